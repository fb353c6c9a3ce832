//! The state while a step works on it: what a step must not forget is recorded at once, not at its end.

use crate::names::Address;
use crate::state::State;

use super::ActError;

/// Writes the state down so that it outlives us.
pub trait Keep: Send {
    /// Persists `state`.
    ///
    /// # Errors
    /// When it cannot be written, or when somebody else has taken the environment over.
    fn keep(&mut self, state: &mut State) -> Result<(), KeepError>;
}

/// Why the state could not be written.
pub type KeepError = Box<dyn std::error::Error + Send + Sync>;

/// The state of one step at work.
pub struct Ledger<'a> {
    state: &'a mut State,
    keep: &'a mut dyn Keep,
    address: &'a Address,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(state: &'a mut State, keep: &'a mut dyn Keep, address: &'a Address) -> Self {
        Self { state, keep, address }
    }

    /// Everything that is recorded.
    pub fn state(&self) -> &State {
        self.state
    }

    /// Records a fact of this step's address now, so that it is not done twice.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub fn fact(&mut self, name: &str, value: impl Into<String>) -> Result<(), ActError> {
        if let Some(record) = self.state.resources.get_mut(self.address) {
            record.facts.insert(name.to_owned(), value.into());
        }
        self.keep.keep(self.state).map_err(ActError::Keep)
    }
}
