//! Waiting for the cloud: with an end, a reason and ever longer pauses.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::note::{Note, Say};
use crate::provider::ProviderError;

/// The first pause; most things are done by then, or nearly.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// What a look found.
pub enum Look<T> {
    /// What was waited for.
    Done(T),
    /// Not yet; what it is like meanwhile, for the error message.
    NotYet(String),
}

/// Looks until it is done, at most for `limit`. `reason` fits behind "waiting for …".
///
/// # Errors
/// When a look fails, or when the time is over: with what was seen last.
pub async fn until<T, L, F>(reason: &str, limit: Duration, say: Say<'_>, look: L) -> Result<T, ProviderError>
where
    L: FnMut() -> F,
    F: Future<Output = Result<Look<T>, ProviderError>> + Send,
{
    let remedy = "look at it in the console; the same command goes on from here";
    until_or(remedy, reason, limit, say, look).await
}

/// The same, where it is known what helps when the time is over. A look that fails keeps its own remedy.
///
/// # Errors
/// As [`until`].
pub async fn until_or<T, L, F>(
    remedy: &str,
    reason: &str,
    limit: Duration,
    say: Say<'_>,
    mut look: L,
) -> Result<T, ProviderError>
where
    L: FnMut() -> F,
    F: Future<Output = Result<Look<T>, ProviderError>> + Send,
{
    let end = Instant::now() + limit;
    let mut pause = FIRST;
    let mut said = false;
    loop {
        let seen = match look().await? {
            Look::Done(done) => return Ok(done),
            Look::NotYet(seen) => seen,
        };
        if Instant::now() >= end {
            return Err(ProviderError::new(format!(
                "failed to wait for {reason}: after {} s it is {seen}",
                limit.as_secs()
            ))
            .with_remedy(remedy));
        }
        if !said {
            say(Note::Waiting(reason.to_owned()));
            said = true;
        }
        sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST);
    }
}
