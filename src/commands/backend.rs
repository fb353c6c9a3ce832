//! Which store an environment has: what its file says, or what this computer remembers when the file says nothing that can be read.

use std::path::Path;

use super::Failure;
use crate::environment::model::{BackendKind, StateTable};
use crate::environment::{load, written_state};
use crate::names::EnvironmentName;
use crate::state::{Backend, Bucket, Store};

/// The store of an environment; `file` names the file that it is written in. Nothing is called.
///
/// # Errors
/// A mistake in `[state]`, where nothing else says where the state is.
pub fn store(root: &Path, environment: &EnvironmentName, file: &EnvironmentName) -> Result<Store, Failure> {
    let backend = match written_state(root, file) {
        Ok(Some(table)) => backend(&table),
        // The file is gone, or was never there: what was made is taken back all the same.
        Ok(None) => Store::remembered(root, environment)?.unwrap_or_default(),
        Err(mistakes) => match Store::remembered(root, environment)? {
            Some(remembered) => remembered,
            None if Store::new(root, environment).load().is_ok_and(|state| state.is_none()) => {
                // All that is wrong with the file, not this table's mistakes alone.
                load(root, file)?;
                return Err(mistakes.into());
            }
            None => Backend::Local,
        },
    };
    Ok(Store::open(root, environment, &backend)?)
}

/// What `[state]` says.
fn backend(table: &StateTable) -> Backend {
    let text =
        |value: &Option<crate::environment::model::Spanned<String>>| value.as_ref().map(|value| value.get().clone());
    match (table.backend, text(&table.bucket)) {
        (BackendKind::S3, Some(bucket)) => Backend::S3(Bucket {
            bucket,
            key: text(&table.key).unwrap_or_default(),
            region: text(&table.region),
            endpoint: text(&table.endpoint),
            profile: text(&table.profile),
        }),
        _ => Backend::Local,
    }
}
