//! The end of an environment: marked at its provider first, so that `gc` knows it when the host cannot be reached.

use jiff::Timestamp;

use super::{ActError, Outcome, RealWorld};
use crate::note::{Note, Say};
use crate::plan::end_attributes;
use crate::provider::InstanceSpec;
use crate::remote::{RemoteCommand, Script};
use crate::state::Life;

/// A clock that is off by more, in seconds, is told: the machine ends by its own.
const CLOCK: i64 = 120;

impl RealWorld<'_> {
    /// Sets the end that the state names; none takes it away.
    pub(super) async fn set_end(
        &mut self,
        life: Option<Life>,
        spec: &InstanceSpec,
        say: Say<'_>,
    ) -> Result<Outcome, ActError> {
        self.provider.end(self.owner, spec, say).await?;
        let when = life.map_or_else(|| "never".to_owned(), |life| life.ends.as_second().to_string());
        let command = RemoteCommand::script(Script::TTL, [when]);
        let output = self.session(say).await?.run_ok(&command, say).await?;
        let clock = String::from_utf8_lossy(&output.stdout).trim().parse::<i64>();
        let off = clock.map_or(0, |clock| clock - Timestamp::now().as_second());
        if life.is_some() && off.abs() > CLOCK {
            let ahead = if off > 0 { "ahead" } else { "behind" };
            say(Note::Warning(format!(
                "the machine's clock is {} min {ahead}: it ends by its own clock until that is set right",
                off.abs() / 60
            )));
        }
        Ok(Outcome {
            attributes: life.map(end_attributes),
            ..Outcome::default()
        })
    }
}
