//! Port 22 for the caller's own address, only while its command runs.
//!
//! Rules have no descriptions here, and firewalls add up: so every run that is let in has a firewall of its own, whose name says
//! which run made it and when. What a killed run left, the next one recognises and takes away.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::own::once;
use super::wire::Firewall;
use super::{DigitalOcean, error, firewall, rules};
use crate::names::Lineage;
use crate::provider::{Caller, Owner, ProviderError, runs};

/// How the name of a run's firewall begins.
const RUN: &str = "provision-run.";
/// For how long firewalls are as they were seen.
const FRESH: Duration = Duration::from_secs(10);

/// What this process opened, by run: so it need not look before it closes it. Shared by all copies of one provider.
#[derive(Debug, Clone, Default)]
pub(super) struct Opened(Arc<Mutex<Option<(String, String)>>>);

/// The firewalls that this process looked at just now, so that a caller is let in without another look. Good for one time.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<Option<Look>>>);

/// When, and what was there.
type Look = (Instant, Vec<Firewall>);

impl Seen {
    pub(super) fn note(&self, all: &[Firewall]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), all.to_vec()));
    }

    /// It has to be looked at again.
    pub(super) fn forget(&self) {
        self.take();
    }

    fn take(&self) -> Option<Vec<Firewall>> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        seen.filter(|(at, _)| at.elapsed() < FRESH).map(|(_, all)| all)
    }
}

impl Opened {
    fn note(&self, run: &str, firewall: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((run.to_owned(), firewall.to_owned()));
    }

    fn take(&self, run: &str) -> Option<String> {
        let opened = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        opened.filter(|(of, _)| of == run).map(|(_, firewall)| firewall)
    }
}

/// Those that runs of this owner made for themselves.
pub(super) fn of<'a>(owner: &Owner, all: &'a [Firewall]) -> Vec<&'a Firewall> {
    let ours = |firewall: &&Firewall| named(&firewall.name).is_some_and(|(lineage, _)| lineage == owner.lineage);
    all.iter().filter(ours).collect()
}

/// Whose a run's firewall is, by its name; and the rest of that.
pub(super) fn named(name: &str) -> Option<(Lineage, &str)> {
    let (lineage, rest) = name.strip_prefix(RUN)?.split_once('.')?;
    Some((lineage.parse().ok()?, rest))
}

/// Lets the caller in; closes what runs left open that are no more. Nothing to do without a firewall: it is made later.
pub(super) async fn admit(cloud: &DigitalOcean, owner: &Owner, caller: &Caller) -> Result<(), ProviderError> {
    let now = Timestamp::now();
    let here = plain(&caller.run);
    let all = match cloud.seen.take() {
        Some(all) => all,
        None => firewall::list(cloud).await?,
    };
    let mut open = None;
    for there in of(owner, &all) {
        let opening = named(&there.name).and_then(|(_, rest)| Opening::read(rest));
        match opening {
            Some(opening) if opening.run == here => open = Some(there.id.clone()),
            Some(opening) if !opening.is_over(&here, now) => {}
            _ => firewall::delete(cloud, &there.id).await?,
        }
    }
    if !firewall::of(owner, all).first().is_some_and(firewall::lets_operator_in) {
        return Ok(());
    }
    let id = match open {
        Some(id) => id,
        None => {
            let name = format!("{RUN}{}.{}.{here}", owner.lineage, now.as_second());
            let body = firewall::body(&name, owner, &rules::ssh(&caller.network), &BTreeSet::new());
            let make = || cloud.client.make::<Firewall>(&["firewalls"], body.clone());
            let look = || async {
                let all = firewall::list(cloud).await?;
                Ok(all.into_iter().find(|firewall| firewall.name == name))
            };
            let what = format!("failed to let {} reach port 22", caller.network);
            once(cloud, make, look, error::of_ref(what, "firewall:create"))
                .await?
                .id
        }
    };
    cloud.opened.note(&caller.run, &id);
    Ok(())
}

/// Closes what was opened for the caller.
pub(super) async fn dismiss(cloud: &DigitalOcean, owner: &Owner, caller: &Caller) -> Result<(), ProviderError> {
    if let Some(id) = cloud.opened.take(&caller.run) {
        return firewall::delete(cloud, &id).await;
    }
    let here = plain(&caller.run);
    let all = firewall::list(cloud).await?;
    for there in of(owner, &all) {
        let opening = named(&there.name).and_then(|(_, rest)| Opening::read(rest));
        if opening.is_some_and(|opening| opening.run == here) {
            firewall::delete(cloud, &there.id).await?;
        }
    }
    Ok(())
}

/// A run's name with what the name of a firewall may hold: `host.process.start`.
fn plain(run: &str) -> String {
    run.chars()
        .take(150)
        .map(|letter| match letter {
            ':' => '.',
            letter if letter.is_ascii_alphanumeric() => letter,
            _ => '-',
        })
        .collect()
}

/// Which run opened it, and when.
#[derive(Debug, PartialEq, Eq)]
struct Opening<'a> {
    run: &'a str,
    at: Option<Timestamp>,
}

impl<'a> Opening<'a> {
    fn read(name: &'a str) -> Option<Self> {
        let (at, run) = name.split_once('.')?;
        Some(Self {
            run,
            at: at.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok()),
        })
    }

    fn is_over(&self, here: &str, now: Timestamp) -> bool {
        runs::is_over(&self.run.replace('.', ":"), self.at, &here.replace('.', ":"), now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_over_when_its_process_is_gone_or_an_hour_has_passed() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let here = plain(&format!("my.host_1:{}:77", std::process::id()));
        assert_eq!(here, format!("my-host-1.{}.77", std::process::id()));
        let over = |name: &str| Opening::read(name).unwrap().is_over(&here, now);
        let at = |seconds: i64, run: &str| format!("{}.{run}", now.as_second() - seconds);
        assert!(!over(&at(60, &here)));
        assert!(over(&at(3700, &here)));
        let gone = format!("my-host-1.{}.5", i32::MAX);
        assert!(over(&at(60, &gone)), "no process of this number");
        assert!(
            !over(&at(60, &gone.replace("my-host", "elsewhere"))),
            "nothing is known of another computer"
        );
        assert!(over(&format!("yesterday.{here}")));
    }

    #[test]
    fn the_name_of_a_runs_firewall_says_whose_it_is() {
        let lineage = Lineage::from_bytes([7; 16]);
        let name = format!("{RUN}{lineage}.1800000000.host.1.2");
        assert_eq!(named(&name), Some((lineage, "1800000000.host.1.2")));
        assert_eq!(named("provision-run.x.1"), None);
    }
}
