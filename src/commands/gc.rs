//! `provision gc`: what bears our tags and is past its time, or that no state here knows.

use std::collections::BTreeMap;
use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use super::Failure;
use super::backend::store;
use super::clouds::{provider_at, provider_of};
use super::destroy::{take_back, written};
use super::locked::{Keeper, lock};
use super::project::Project;
use super::shown::{Shown, waiting};
use super::terminal::{color, print, tell};
use crate::apply::{Keep, KeepError};
use crate::cli;
use crate::environment::{FOLDER, environments, find_root};
use crate::names::{Address, EnvironmentName, Lineage};
use crate::plan::{end_is_set, plan_destroy, render_plan};
use crate::provider::{Found, Money, Provider};
use crate::state::{State, StoreError};

/// One life of one environment.
#[derive(Debug, Serialize)]
struct Life {
    environment: EnvironmentName,
    lineage: Lineage,
    /// Whether it is past its time to live.
    expired: bool,
    /// Whether this project has its state.
    state_here: bool,
    /// How that is found.
    #[serde(skip)]
    home: Option<cli::Name>,
    created: Option<Timestamp>,
    expires: Option<Timestamp>,
    /// Of what has a price that is known.
    monthly: Option<Money>,
    resources: Vec<Found>,
}

/// Lists, and destroys what is expired when that is wanted.
pub async fn run(directory: &Path, args: &cli::Gc) -> Result<(), Failure> {
    let start = std::path::absolute(directory)
        .map_err(|why| Failure::other(format!("failed to find {}", directory.display()), why))?;
    let root = find_root(&start).ok();
    let provider = provider_at(&args.provider, args.region.clone(), args.profile.clone()).await?;
    let now = Timestamp::now();
    let mut lives = lives(provider.find(&waiting).await?, now, |environment, lineage| {
        home(root.as_ref()?, environment, lineage)
    });
    lives.retain(|life| life.expired || !(args.expired || life.state_here));
    if args.json {
        let text =
            serde_json::to_string_pretty(&lives).map_err(|why| Failure::other("failed to write the list", why))?;
        print(&format!("{text}\n"))?;
    } else if lives.is_empty() {
        tell(match args.expired {
            true => "nothing is past its time",
            false => "nothing is past its time or without a state here",
        });
    } else {
        print(&shown(&lives, now))?;
    }
    if !args.yes {
        if lives.iter().any(|life| !life.expired) && !args.json {
            tell(
                "note: what has no state here may have one elsewhere. Nothing of it is touched; to take it back, \
                 `provision state rebuild NAME` and `provision destroy NAME`",
            );
        }
        return Ok(());
    }
    let mut failed = false;
    for life in &lives {
        let ended = match (root.as_ref(), &life.home) {
            (Some(root), Some(home)) => with_state(root, home, life).await,
            _ => without_state(&provider, life).await,
        };
        match ended {
            Ok(()) => tell(&format!("{} {} is gone", life.environment, life.lineage.short())),
            Err(failure) => {
                failed = true;
                tell(&format!(
                    "{} {} was not destroyed",
                    life.environment,
                    life.lineage.short()
                ));
                failure.print();
            }
        }
    }
    if failed { Err(Failure::Exit(1)) } else { Ok(()) }
}

/// What was found, by the lives that it belongs to.
fn lives(
    found: Vec<Found>,
    now: Timestamp,
    home: impl Fn(&EnvironmentName, &Lineage) -> Option<cli::Name>,
) -> Vec<Life> {
    let mut lives: BTreeMap<(EnvironmentName, Lineage), Vec<Found>> = BTreeMap::new();
    for found in found {
        let life = (found.environment.clone(), found.lineage.clone());
        lives.entry(life).or_default().push(found);
    }
    lives
        .into_iter()
        .map(|((environment, lineage), resources)| {
            // The last word counts: a part that was tagged before the time was put off says nothing.
            let expires = resources.iter().filter_map(|found| found.expires).max();
            let prices: Vec<u64> = resources.iter().filter_map(|found| Some(found.monthly?.0)).collect();
            let home = home(&environment, &lineage);
            Life {
                expired: expires.is_some_and(|expires| expires <= now),
                state_here: home.is_some(),
                home,
                created: resources.iter().filter_map(|found| found.created).min(),
                expires,
                monthly: (!prices.is_empty()).then(|| Money(prices.into_iter().sum())),
                environment,
                lineage,
                resources,
            }
        })
        .collect()
}

/// Where this project has the state of a life: under its own name, or in the store of a file that serves many. One that does not
/// read is there all the same.
fn home(root: &Path, environment: &EnvironmentName, lineage: &Lineage) -> Option<cli::Name> {
    let files = environments(root).unwrap_or_default();
    let files = files.iter().filter_map(|file| file.parse::<EnvironmentName>().ok());
    let candidates = std::iter::once(environment.clone()).chain(files.filter(|file| file != environment));
    for file in candidates {
        let written = match store(root, environment, &file).map(|store| store.load()) {
            Ok(loaded) => match of_life(loaded, lineage) {
                Kept::Here(written) => written.unwrap_or_else(|| environment.clone()),
                Kept::Unread => file,
                Kept::NotHere => continue,
            },
            // Another file's mistakes say nothing of this environment.
            Err(_) if file != *environment => continue,
            Err(_) => file,
        };
        // A file that is gone leaves what is remembered.
        let is_there = root.join(FOLDER).join(format!("{written}.toml")).is_file();
        return Some(match is_there && written != *environment {
            true => cli::Name {
                name: written,
                own: cli::Own {
                    name: Some(environment.clone()),
                    vars: Vec::new(),
                },
            },
            false => cli::Name::of(environment.clone()),
        });
    }
    None
}

/// Whether a store keeps the state of a life.
#[derive(Debug, PartialEq, Eq)]
enum Kept {
    /// It does; the file that it was written in, where that has another name.
    Here(Option<EnvironmentName>),
    /// It may: nobody knows what would be forgotten, so what is swept there ends with the reason.
    Unread,
    /// It does not.
    NotHere,
}

fn of_life(loaded: Result<Option<State>, StoreError>, lineage: &Lineage) -> Kept {
    match loaded {
        Ok(Some(state)) if state.lineage == *lineage => Kept::Here(state.file),
        // What is kept elsewhere is found there.
        Ok(_) | Err(StoreError::Elsewhere { .. }) => Kept::NotHere,
        Err(_) => Kept::Unread,
    }
}

/// The end that an extension has recorded and not brought about: what is marked is not true then.
fn put_off(state: &State, now: Timestamp) -> Option<Timestamp> {
    let life = state.life.filter(|life| life.ends > now && !end_is_set(state, *life))?;
    state.record(&Address::Ttl).map(|_| life.ends)
}

fn shown(lives: &[Life], now: Timestamp) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["environment", "lineage", "what", "age", "a month", "why"]);
    for life in lives {
        let what: Vec<String> = life
            .resources
            .iter()
            .map(|found| format!("{} {}", found.address, found.id))
            .collect();
        let why = match (life.expired, life.state_here) {
            (true, true) => "expired",
            (true, false) => "expired, no state here",
            (false, _) => "no state here",
        };
        table.add_row([
            life.environment.to_string(),
            life.lineage.short().to_owned(),
            what.join("\n"),
            life.created.map_or_else(|| "?".to_owned(), |created| age(now, created)),
            life.monthly.map_or_else(|| "?".to_owned(), |money| money.to_string()),
            why.to_owned(),
        ]);
    }
    format!("{table}\n")
}

fn age(now: Timestamp, then: Timestamp) -> String {
    let hours = now.duration_since(then).as_hours();
    match hours {
        ..48 => format!("{hours} h"),
        _ => format!("{} days", hours / 24),
    }
}

/// As `provision destroy` does it, under the environment's lock; a protected one is left alone.
async fn with_state(root: &Path, home: &cli::Name, life: &Life) -> Result<(), Failure> {
    let project = Project::find(root, home)?;
    let lock = lock(
        &project.store,
        "gc",
        &cli::Locking {
            lock_wait: std::time::Duration::ZERO,
            lock_reason: None,
        },
    )
    .await?;
    let _heartbeat = lock.heartbeat();
    let mut state = project.applied()?;
    if let Some(ends) = put_off(&state, Timestamp::now()) {
        return Err(Failure::Other {
            what: format!(
                "`{}` was given time until {ends}, which is not marked at its provider yet",
                project.name
            )
            .into(),
            hint: Some(format!(
                "`provision apply {0}` marks it, `provision destroy {0}` does not wait",
                project.name
            )),
        });
    }
    let environment = written(&project)?;
    let protect = environment.as_ref().is_some_and(|environment| environment.protect);
    enter(&mut state, life);
    let plan = plan_destroy(&state, protect, false);
    tell(render_plan(&plan, color()).trim_end());
    if !plan.refusals.is_empty() {
        return Err(Failure::Refused);
    }
    let provider = provider_of(environment.as_ref(), &state).await?;
    let mut keep = Keeper {
        store: project.store.clone(),
        lock: &lock,
    };
    let shown = Shown::begin("gc", Some(&state.environment), false);
    take_back(&provider, &mut state, &plan, &mut keep, &shown).await?;
    project.store.archive_and_remove(Timestamp::now())?;
    Ok(())
}

/// From what was found alone. Nothing needs to be recorded: what a cut leaves is found again.
async fn without_state(provider: &Provider, life: &Life) -> Result<(), Failure> {
    let mut state = State::new(life.environment.clone(), life.lineage.clone());
    enter(&mut state, life);
    let plan = plan_destroy(&state, false, false);
    tell(render_plan(&plan, color()).trim_end());
    let shown = Shown::begin("gc", Some(&state.environment), false);
    take_back(provider, &mut state, &plan, &mut Nowhere, &shown).await?;
    Ok(())
}

/// Records what was found and the state does not know.
fn enter(state: &mut State, life: &Life) {
    for found in &life.resources {
        if state.record(&found.address).is_none() {
            state.present(
                &found.address,
                Some(found.id.clone()),
                BTreeMap::new(),
                BTreeMap::new(),
                Timestamp::now(),
            );
        }
    }
}

/// Keeps nothing.
struct Nowhere;

impl Keep for Nowhere {
    fn keep(&mut self, _: &mut State) -> Result<(), KeepError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(environment: &str, lineage: u8, address: Address, expires: Option<&str>) -> Found {
        Found {
            id: format!("id-{address}"),
            address,
            environment: environment.parse().unwrap(),
            lineage: Lineage::from_bytes([lineage; 16]),
            created: Some("2026-11-20T10:00:00Z".parse().unwrap()),
            expires: expires.map(|time| time.parse().unwrap()),
            monthly: Some(Money(190_400)),
        }
    }

    #[test]
    fn what_was_found_is_told_by_life() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let (early, late) = (Some("2026-11-21T09:00:00Z"), Some("2026-11-21T11:00:00Z"));
        let lives = lives(
            vec![
                found("pilot", 1, Address::MachineInstance, early),
                found("pilot", 1, Address::MachineVolume, early),
                found("prod", 2, Address::MachineInstance, None),
                found("moved", 3, Address::MachineKey, early),
                found("moved", 3, Address::MachineInstance, late),
            ],
            now,
            |environment, _| (environment.as_str() == "pilot").then(|| cli::Name::of(environment.clone())),
        );
        let expired: Vec<(&str, bool)> = lives.iter().map(|l| (l.environment.as_str(), l.expired)).collect();
        assert_eq!(expired, [("moved", false), ("pilot", true), ("prod", false)]);
        let text = shown(&lives, now);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        environment  lineage   what                                  age   a month   why
        moved        03030303  machine.key id-machine.key            24 h  3.81 USD  no state here
                               machine.instance id-machine.instance
        pilot        01010101  machine.instance id-machine.instance  24 h  3.81 USD  expired
                               machine.volume id-machine.volume
        prod         02020202  machine.instance id-machine.instance  24 h  1.90 USD  no state here
        ");
    }

    #[test]
    fn a_store_that_cannot_be_read_may_keep_the_life() {
        let lineage = Lineage::from_bytes([1; 16]);
        let mut state = State::new("pilot-7".parse().unwrap(), lineage.clone());
        state.file = Some("pilot".parse().unwrap());
        let file = state.file.clone();
        assert_eq!(of_life(Ok(Some(state.clone())), &lineage), Kept::Here(file));
        assert_eq!(of_life(Ok(Some(state)), &Lineage::from_bytes([2; 16])), Kept::NotHere);
        assert_eq!(of_life(Ok(None), &lineage), Kept::NotHere);
        assert_eq!(of_life(Err(StoreError::NotBuilt), &lineage), Kept::Unread);
    }

    #[test]
    fn what_was_given_more_time_is_not_swept_before_it_is_marked() {
        let mut state = State::new("pilot".parse().unwrap(), Lineage::from_bytes([1; 16]));
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let first = crate::state::Life::from(now, 3600);
        state.life = Some(first);
        let attributes = crate::plan::end_attributes(first);
        state.present(&Address::Ttl, None, attributes, BTreeMap::new(), now);
        assert_eq!(put_off(&state, now), None);
        let second = crate::state::Life::from(now, 7200);
        state.life = Some(second);
        assert_eq!(put_off(&state, now), Some(second.ends));
        assert_eq!(put_off(&state, second.ends), None);
    }

    #[test]
    fn all_that_was_found_is_taken_back_in_order() {
        let parts = [
            Address::MachineKey,
            Address::MachineInstance,
            Address::MachineVolume,
            Address::MachineAddress,
        ];
        let all = parts.map(|address| found("pilot", 1, address, None)).to_vec();
        let life = lives(all, Timestamp::UNIX_EPOCH, |_, _| None).remove(0);
        let mut state = State::new(life.environment.clone(), life.lineage.clone());
        enter(&mut state, &life);
        let plan = plan_destroy(&state, false, false);
        let order: Vec<String> = plan.steps.iter().map(|step| step.address.to_string()).collect();
        assert_eq!(
            order,
            ["machine.address", "machine.instance", "machine.volume", "machine.key"]
        );
    }
}
