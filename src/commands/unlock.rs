//! `provision state unlock`: the lock beside the state, and the lease on the host, taken from who will not give them back.

use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use super::Failure;
use super::applied::Applied;
use super::caller::{admitted, caller};
use super::clouds::provider;
use super::project::{Project, hang_up, owner};
use super::shown::waiting;
use super::terminal::{confirm, tell};
use crate::cli;
use crate::names::EnvironmentName;
use crate::remote::lease::{Ask, ask};
use crate::remote::{ConnectPolicy, Session};
use crate::state::{Lock, State};

/// A host that does not answer for so long is not there.
const REACH: Duration = Duration::from_secs(60);

/// The lock beside the state.
pub fn state(directory: &Path, args: &cli::Unlock) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    let storage = project.store.storage();
    let Some(holder) = Lock::look(storage)? else {
        tell(&format!("nobody has the lock of {}", project.name));
        return Ok(());
    };
    let reason = holder.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let who = format!(
        "{} (process {}), running `{}` since {}{reason}",
        holder.holder, holder.pid, holder.command, holder.since
    );
    if !holder.is_free && !args.force {
        return Err(held(
            &project.name,
            &who,
            &format!("its lease lasts until {}", holder.expires),
        ));
    }
    tell(&format!("the lock of {} is held by {who}", project.name));
    if !args.yes {
        confirm("Take it away?")?;
    }
    Lock::break_lease(storage, &holder.token)?;
    tell(&format!("nobody has the lock of {} now", project.name));
    Ok(())
}

/// The lease on the host; with `--force` the host itself, when it belongs to another state.
pub async fn host(directory: &Path, operator: Option<&IpNet>, args: &cli::Unlock) -> Result<(), Failure> {
    let known = Applied::open(directory, &args.environment)?;
    let endpoint = known.endpoint()?;
    let caller = caller(&known.desired.instance.spec, operator).await?;
    let provider = provider(&known.sources.environment, &known.state).await?;
    let whose = owner(&known.state);
    let work = async {
        if let Some(caller) = &caller {
            provider.admit(&whose, caller).await?;
        }
        let policy = ConnectPolicy {
            deadline: REACH,
            first_contact: false,
        };
        let session = Session::connect(&known.keyring.reach()(&endpoint), policy, &waiting).await?;
        let taken = taken(&session, &known.state, args).await;
        hang_up(Some(session)).await;
        taken
    };
    admitted(&provider, &whose, caller.as_ref(), work).await
}

async fn taken(session: &Session, state: &State, args: &cli::Unlock) -> Result<(), Failure> {
    let failed = |why| Failure::other("failed to ask the host for its lease", why);
    let seen = ask(session, &Ask::Show, &waiting).await.map_err(failed)?;
    match &seen.lease {
        None => tell("nobody has the lease of the host"),
        Some(lease) => {
            let holder = &lease.holder;
            let who = format!(
                "{}, running `{}` on `{}` since {}",
                holder.who, holder.command, holder.environment, holder.since
            );
            if !args.force {
                let lasts = format!("its lease lasts {} s more unless it is renewed", lease.seconds);
                return Err(held(&state.environment, &who, &lasts));
            }
            tell(&format!("the lease of the host is held by {who}"));
            if !args.yes {
                confirm("Take it away?")?;
            }
            ask(session, &Ask::Break { token: &lease.token }, &waiting)
                .await
                .map_err(failed)?;
            tell("nobody has the lease of the host now");
        }
    }
    match &seen.owner {
        Some(old) if *old != state.lineage && args.force => {
            tell(&format!(
                "the host belongs to the lineage {old}, this state is of {}",
                state.lineage
            ));
            if !args.yes {
                confirm("Give the host to this state?")?;
            }
            let own = Ask::Own {
                old,
                new: &state.lineage,
            };
            ask(session, &own, &waiting).await.map_err(failed)?;
            tell("the host belongs to this state now");
        }
        Some(old) if *old != state.lineage => tell(&format!(
            "note: the host belongs to the lineage {old}, and this state is of {}; --force gives it to this state",
            state.lineage
        )),
        _ => {}
    }
    Ok(())
}

fn held(name: &EnvironmentName, who: &str, lasts: &str) -> Failure {
    Failure::input(
        format!("`{name}` is held by {who}, and {lasts}"),
        "wait for its end; --force takes it away all the same, and that run then fails at its next step",
    )
}
