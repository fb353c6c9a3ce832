//! Texts of a stack as they stand in the one file: variables filled in, secrets as variables to be set.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::environment::compose::filled;
use crate::render::{Mark, Rendered};

/// The variables that must be set where the file runs.
#[derive(Default)]
pub struct Variables(RefCell<BTreeSet<String>>);

impl Variables {
    /// Their names, in order.
    pub fn names(&self) -> Vec<String> {
        self.0.borrow().iter().cloned().collect()
    }

    /// `postgres.app` is `POSTGRES_APP`.
    fn of(&self, mark: &Mark) -> String {
        let name = match mark {
            Mark::Secret(name) | Mark::UrlSecret(name) | Mark::PasswordHash(name) => name
                .replace(|c: char| !c.is_ascii_alphanumeric(), "_")
                .to_ascii_uppercase(),
            Mark::Address => "ADDRESS".to_owned(),
            Mark::HttpsPort => return String::new(),
            Mark::HostKey => "HOST_KEY".to_owned(),
        };
        self.0.borrow_mut().insert(name.clone());
        format!("${{{name}:?}}")
    }

    /// The text as Compose shall read it: what is no variable of ours stays as it is, `$` and all.
    pub fn literal(&self, text: &Rendered) -> String {
        Rendered::new(text.marked().replace('$', "$$")).replace(|mark| self.of(mark))
    }

    /// The one variable that a text consists of.
    pub fn single(&self, text: &Rendered) -> Option<String> {
        let names: Vec<String> = text.secret_names().collect();
        let name = names.first().filter(|_| names.len() == 1)?;
        let whole = *text == Rendered::new(Mark::Secret(name.clone()).text());
        whole.then(|| {
            self.of(&Mark::Secret(name.clone()))
                .trim_start_matches("${")
                .trim_end_matches(":?}")
                .to_owned()
        })
    }
}

/// Every text of a tree with the stack's variables filled in.
pub fn fill(value: &mut Value, env: &BTreeMap<String, Rendered>, variables: &Variables) {
    match value {
        Value::String(text) => {
            let lookup = |name: &str| env.get(name).map(|value| variables.literal(value));
            // A form that cannot be worked out here is left to Compose.
            if let Some(done) = filled(text, &lookup) {
                *text = done;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, env, variables)),
        Value::Object(map) => map.values_mut().for_each(|item| fill(item, env, variables)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
