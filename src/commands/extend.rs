//! `provision extend`: more time for an environment that has an end.

use std::path::Path;

use ipnet::IpNet;
use jiff::Timestamp;

use super::Failure;
use super::caller::{admitted, caller};
use super::clouds::provider;
use super::keyring::Keyring;
use super::life::away;
use super::locked::{Keeper, lock};
use super::output::EXPIRES;
use super::project::{Project, desired, hang_up, look, owner};
use super::shown::Shown;
use super::stop::until_stopped;
use super::terminal::tell;
use crate::apply::{HostLease, RealWorld, apply};
use crate::cli;
use crate::names::{LONGEST_LIFE, shown_seconds};
use crate::plan::{end_is_set, plan_end};
use crate::provider::Power;
use crate::state::model::later;
use crate::state::{Life, State};

/// Adds time to what is left, records it, and brings it about: at the provider and as the timer on the host.
pub async fn run(directory: &Path, operator: Option<&IpNet>, args: &cli::Extend) -> Result<(), Failure> {
    let shown = Shown::begin("extend", Some(args.environment.environment()), false);
    let ended = Box::pin(way(directory, operator, args, &shown)).await;
    shown.end(ended)
}

async fn way(directory: &Path, operator: Option<&IpNet>, args: &cli::Extend, shown: &Shown) -> Result<(), Failure> {
    let stop = shown.stopping();
    let project = Project::find(directory, &args.environment)?;
    let sources = project.sources()?;
    let lock = until_stopped(&stop, lock(&project.store, "extend", &args.locking)).await?;
    let _heartbeat = lock.heartbeat();
    let mut state = project.state()?;
    let now = Timestamp::now();
    let life = extended(&state, args.time, now)?;
    let keyring = Keyring::open(&project.store, &state, &sources).await?;
    let desired = desired(&sources, &keyring, &state)?;
    let spec = &desired.instance.spec;
    let provider = provider(&sources.environment, &state).await?.lean();
    let caller = caller(spec, operator).await?;
    let mut keep = Keeper {
        store: project.store.clone(),
        lock: &lock,
    };
    let mut lease = HostLease::new(&project.name, &state.lineage, "extend", args.locking.lock_wait)?;
    let whose = owner(&state);
    let work = async {
        let waiting = |note| shown.note(note);
        let looked = look(&provider, &state, &desired, caller.as_ref(), &keyring, &waiting);
        let (observed, session) = until_stopped(&stop, looked).await?;
        let power = observed.instance.as_ref().map(|instance| instance.power);
        if power != Some(Power::On) {
            hang_up(session).await;
            return Err(Failure::Other {
                what: format!(
                    "failed to give `{}` more time: its machine is {}",
                    project.name,
                    match power {
                        None => "gone",
                        Some(_) => "off",
                    }
                )
                .into(),
                hint: Some(format!(
                    "`provision apply {0}` lets it live once more, `provision destroy {0}` takes back what is left",
                    project.name
                )),
            });
        }
        state.life = Some(life);
        shown.keep(&project);
        keep.record(&mut state)?;
        let identity = keyring.save()?;
        let mut bundle = keyring.bundle.clone();
        let mut world = RealWorld {
            provider: &provider,
            owner: &owner(&state),
            reach: &keyring.reach(),
            known_hosts: &keyring.known_hosts,
            bundle: &mut bundle,
            bundle_store: &keyring.store,
            identity: &identity,
            bindings: keyring.bindings(observed.endpoint()),
            caller: caller.as_ref(),
            ipv6: None,
            session,
            lease: &mut lease,
        };
        let plan = plan_end(&state, spec, life);
        let begun = async { Ok(world.begin(&plan, &waiting).await?) };
        until_stopped(&stop, begun).await?;
        let result = apply(
            &plan,
            &mut state,
            &mut keep,
            &mut world,
            &|event| shown.event(&event),
            &stop,
        )
        .await;
        let session = world.session.take();
        lease.release(session.as_ref()).await;
        hang_up(session).await;
        result?;
        state.outputs.insert(EXPIRES.into(), life.ends.to_string());
        keep.record(&mut state)
    };
    admitted(&provider, &whose, caller.as_ref(), work).await?;
    lock.release()?;
    tell(&format!(
        "{} now ends {} ({})",
        project.name,
        life.ends,
        away(life.ends, now)
    ));
    Ok(())
}

/// The new end: so much later than the old one, or than now when that has passed. One that was recorded and never brought
/// about comes first: an extension that was cut off and is made again adds its time once.
fn extended(state: &State, seconds: u64, now: Timestamp) -> Result<Life, Failure> {
    let name = &state.environment;
    let Some(life) = state.life else {
        return Err(Failure::input(
            format!("`{name}` has no end"),
            format!("write `ttl = \"{}\"` in its file and apply it", shown_seconds(seconds)),
        ));
    };
    if life.ends > now && !end_is_set(state, life) {
        tell(&format!(
            "note: {} was recorded before and not brought about; that is done first, and nothing is added",
            life.ends
        ));
        return Ok(life);
    }
    let ends = later(life.ends.max(now), seconds);
    if ends > later(now, LONGEST_LIFE) {
        return Err(Failure::input(
            format!("`{name}` would end {ends}"),
            "nothing is given more than a year from now; take `ttl` out of its file and it has no end",
        ));
    }
    Ok(Life { ends, ..life })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{Address, Lineage};

    const HOUR: u64 = 3600;

    fn state(ends: &str, set: bool) -> State {
        let mut state = State::new("demo".parse().unwrap(), Lineage::from_bytes([1; 16]));
        let life = Life {
            ttl_seconds: 8 * HOUR,
            ends: ends.parse().unwrap(),
        };
        state.life = Some(life);
        if set {
            let attributes = crate::plan::end_attributes(life);
            state.present(
                &Address::Ttl,
                None,
                attributes,
                Default::default(),
                Timestamp::UNIX_EPOCH,
            );
        }
        state
    }

    fn ends(state: &State, hours: u64) -> Result<String, Failure> {
        let now = "2026-11-21T10:00:00Z".parse().unwrap();
        extended(state, hours * HOUR, now).map(|life| life.ends.to_string())
    }

    #[test]
    fn time_is_added_to_what_is_left() {
        let left = state("2026-11-21T12:00:00Z", true);
        assert_eq!(ends(&left, 4).unwrap(), "2026-11-21T16:00:00Z");
        let over = state("2026-11-21T08:00:00Z", true);
        assert_eq!(ends(&over, 4).unwrap(), "2026-11-21T14:00:00Z");
    }

    #[test]
    fn an_extension_that_was_cut_off_adds_its_time_once() {
        let cut = state("2026-11-21T16:00:00Z", false);
        assert_eq!(ends(&cut, 4).unwrap(), "2026-11-21T16:00:00Z");
    }

    #[test]
    fn what_has_no_end_or_too_late_a_one_is_told() {
        let mut none = state("2026-11-21T12:00:00Z", true);
        assert!(matches!(ends(&none, 24 * 366), Err(Failure::Input { .. })));
        none.life = None;
        assert!(matches!(ends(&none, 4), Err(Failure::Input { .. })));
    }
}
