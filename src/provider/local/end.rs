//! When a machine shall be gone: a word in its record, which `gc` reads. It turns itself off by its own timer.

use super::dirs::Dirs;
use super::machine::Machine;
use super::record::Record;
use super::start::none_there;
use crate::note::Say;
use crate::provider::{Owner, ProviderError};

pub async fn end(dirs: &Dirs, owner: &Owner, say: Say<'_>) -> Result<(), ProviderError> {
    let machine = Machine::of(owner, dirs);
    let lock = machine.lock(say).await?;
    let (Some(_lock), Some(mut record)) = (lock, Record::read(&machine)?) else {
        return Err(none_there(&machine));
    };
    if record.expires != owner.expires {
        record.expires = owner.expires;
        record.write(&machine)?;
    }
    Ok(())
}
