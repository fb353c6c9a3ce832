//! `provision ssh`: a person's own login, under the pinned host key.

use std::io::IsTerminal as _;
use std::path::Path;

use ipnet::IpNet;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use super::applied::Applied;
use super::caller::{admitted, caller};
use super::clouds::provider;
use super::project::owner;
use crate::apply::{ApplyError, Stop};
use crate::cli;
use crate::remote::Interactive;

/// Logs in, or runs one command there and ends with its exit code.
pub async fn run(directory: &Path, operator: Option<&IpNet>, args: &cli::Ssh) -> Result<(), Failure> {
    let known = Applied::open(directory, &args.environment)?;
    let endpoint = known.endpoint()?;
    let terminal = std::io::stdin().is_terminal() && (args.command.is_empty() || std::io::stdout().is_terminal());
    let login = Interactive::new(&known.keyring.reach()(&endpoint), &args.command, terminal)?;
    let status = match caller(&known.desired.instance.spec, operator).await? {
        None => login.status().await?,
        Some(caller) => {
            let provider = provider(&known.sources.environment, &known.state).await?;
            let owner = owner(&known.state);
            let work = until_hung_up(async {
                provider.admit(&owner, &caller).await?;
                Ok(login.status().await?)
            });
            admitted(&provider, &owner, Some(&caller), work).await?
        }
    };
    match status.code() {
        Some(0) => Ok(()),
        code => Err(Failure::Exit(
            code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255),
        )),
    }
}

/// Waits for `what`. Ctrl-C is for the program there, which gets it from the terminal as we do; only when somebody wants us to
/// end, or the terminal is gone, is it ended here.
async fn until_hung_up<T>(what: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let listen = |kind| signal(kind).map_err(|why| Failure::other("failed to listen for signals", why));
    let _ours_no_more = listen(SignalKind::interrupt())?;
    let (mut terminate, mut hang_up) = (listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    tokio::select! {
        result = what => result,
        _ = terminate.recv() => Err(ApplyError::Interrupted { address: None, by: Stop::Terminate }.into()),
        _ = hang_up.recv() => Err(ApplyError::Interrupted { address: None, by: Stop::HangUp }.into()),
    }
}
