//! Which provider: what the environment's file names, or what the state knows when the file is gone.

use super::Failure;
use super::terminal::tell;
use crate::environment::model::{DnsProvider, Environment, Machine};
use crate::names::Address;
use crate::provider::{Machines, Names, Provider, local};
use crate::state::State;

/// Where a machine is made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    provider: &'static str,
    region: Option<String>,
    profile: Option<String>,
}

/// The provider of an environment that was read.
///
/// # Errors
/// When it is another one than that of the state, or it cannot be reached.
pub async fn provider(environment: &Environment, state: &State) -> Result<Provider, Failure> {
    let mut place = match environment.machine.get() {
        Machine::Local(_) => Place {
            provider: "local",
            region: None,
            profile: None,
        },
        Machine::Aws(aws) => Place {
            provider: "aws",
            region: aws.region.as_ref().map(|region| region.get().clone()),
            profile: aws.profile.as_ref().map(|profile| profile.get().clone()),
        },
    };
    let moved = |what: &str, old: &str, new: &str| {
        Failure::input(
            format!("`{}` lives at {what} {old}, and its file says {new}", state.environment),
            format!(
                "an environment does not move: write {old} again, or `provision destroy {}` first",
                state.environment
            ),
        )
    };
    if let Some(old) = known(state, "provider").filter(|old| *old != place.provider) {
        return Err(moved("the provider", &old, place.provider));
    }
    match (known(state, "region"), &place.region) {
        (Some(old), Some(new)) if old != *new => return Err(moved("the region", &old, new)),
        (old, None) => place.region = old,
        _ => {}
    }
    let written = environment.dns.as_ref().map(|dns| {
        let DnsProvider::Route53 = dns.provider;
        dns.zone.as_ref().map(|zone| zone.get().clone())
    });
    // What the file names no more has to be taken back all the same.
    let names = written.or_else(|| has_names(state).then_some(None));
    connect(&place, names).await
}

/// What the state knows of the provider: told when something was made; states of the first builds have it as attributes only.
fn known(state: &State, name: &str) -> Option<String> {
    let machine = || Some(&state.record(&Address::MachineInstance)?.attributes);
    let found = state.provider().or_else(machine)?;
    found.get(name).cloned()
}

/// The provider that made what the state knows, for the way back: it must be found when the file is gone.
///
/// # Errors
/// When it cannot be reached.
pub async fn provider_of(environment: Option<&Environment>, state: &State) -> Result<Provider, Failure> {
    if let Some(environment) = environment {
        return provider(environment, state).await;
    }
    let place = Place {
        provider: match known(state, "provider").as_deref() {
            Some("aws") => "aws",
            _ => "local",
        },
        region: known(state, "region"),
        profile: known(state, "profile"),
    };
    let has_names = has_names(state);
    if has_names {
        tell("note: the environment's file is gone; its names are looked for in all zones");
    }
    connect(&place, has_names.then_some(None)).await
}

fn has_names(state: &State) -> bool {
    state.resources.keys().any(|address| matches!(address, Address::Dns(_)))
}

/// A provider by its name, for what belongs to no one environment; with the names that the same account serves.
///
/// # Errors
/// When it cannot be reached.
pub async fn provider_at(name: &str, region: Option<String>, profile: Option<String>) -> Result<Provider, Failure> {
    let provider = match name {
        "aws" => "aws",
        _ => "local",
    };
    let place = Place {
        provider,
        region,
        profile,
    };
    connect(&place, (place.provider == "aws").then_some(None)).await
}

#[cfg(feature = "aws")]
async fn connect(place: &Place, names: Option<Option<String>>) -> Result<Provider, Failure> {
    use crate::provider::{aws, route53};
    let machine = match place.provider {
        "aws" => Machines::Aws(
            aws::Aws::connect(&aws::Access {
                region: place.region.clone(),
                profile: place.profile.clone(),
            })
            .await?,
        ),
        _ => Machines::Local(local::Local::new(local::Dirs::of_user()?)),
    };
    let names = match names {
        None => None,
        Some(zone) => Some(Names::Route53(
            route53::Route53::connect(place.profile.as_deref(), zone.as_deref()).await?,
        )),
    };
    Ok(Provider::new(machine, names))
}

#[cfg(not(feature = "aws"))]
async fn connect(place: &Place, names: Option<Option<String>>) -> Result<Provider, Failure> {
    if place.provider == "aws" || names.is_some() {
        return Err(Failure::input(
            "this build has no AWS in it",
            "build it with its default features: cargo build --release",
        ));
    }
    Ok(Provider::new(
        Machines::Local(local::Local::new(local::Dirs::of_user()?)),
        None::<Names>,
    ))
}
