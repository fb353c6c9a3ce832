//! Which provider: what the environment's file names, or what the state knows when the file is gone.

use std::collections::BTreeMap;
use std::path::Path;

use super::Failure;
use super::terminal::tell;
use crate::desired::absolute;
use crate::environment::model::{Access, DnsProvider, Environment, Machine, Spanned, Ssh};
use crate::names::Address;
use crate::provider::ssh::Way;
use crate::provider::{DnsKind, Machines, Names, Part, Provider, digitalocean, local, ssh};
use crate::state::{Record, State, Status};

/// Where machines are made.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// On this computer.
    Local,
    /// In a region of AWS; in that of the configuration without.
    Aws {
        region: Option<String>,
        profile: Option<String>,
    },
    /// In an account of DigitalOcean's.
    DigitalOcean(digitalocean::Access),
    /// On a host that was there before.
    Ssh(Box<Way>),
}

/// Who serves names, and in which zone of theirs alone.
type NamesAt = Option<(DnsKind, Option<String>)>;

impl Place {
    fn written(environment: &Environment) -> Self {
        match environment.machine.get() {
            Machine::Local(_) => Self::Local,
            Machine::Ssh(ssh) => Self::Ssh(Box::new(way(ssh, &environment.access))),
            Machine::Aws(aws) => Self::Aws {
                region: aws.region.as_ref().map(|region| region.get().clone()),
                profile: aws.profile.as_ref().map(|profile| profile.get().clone()),
            },
            Machine::DigitalOcean(droplet) => Self::DigitalOcean(digitalocean::Access {
                context: droplet.context.as_ref().map(|context| context.get().clone()),
            }),
        }
    }

    /// Where the state's machine was made; none when nothing was.
    fn known(state: &State) -> Result<Option<Self>, Failure> {
        let Some(provider) = known(state, "provider") else {
            return Ok(None);
        };
        if provider == "ssh" {
            return Ok(Some(Self::Ssh(Box::new(known_way(state)))));
        }
        let account = known(state, "profile").or_else(|| known(state, "context"));
        match Self::named(&provider, known(state, "region"), account) {
            Some(place) => Ok(Some(place)),
            None => Err(Failure::input(
                format!(
                    "the state of `{}` is of the provider `{provider}`, which this build does not know",
                    state.environment
                ),
                "use the build that wrote it, or a newer one; `provision --version` says which this is",
            )),
        }
    }

    /// `account` is what the provider's own configuration calls one: a profile, a context.
    fn named(provider: &str, region: Option<String>, account: Option<String>) -> Option<Self> {
        match provider {
            "local" => Some(Self::Local),
            "aws" => Some(Self::Aws {
                region,
                profile: account,
            }),
            "digitalocean" => Some(Self::DigitalOcean(digitalocean::Access { context: account })),
            _ => None,
        }
    }

    fn provider(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Aws { .. } => "aws",
            Self::DigitalOcean(_) => "digitalocean",
            Self::Ssh(_) => "ssh",
        }
    }

    /// Who serves names in the same account.
    fn names(&self) -> Option<DnsKind> {
        match self {
            Self::Local | Self::Ssh(_) => None,
            Self::Aws { .. } => Some(DnsKind::Route53),
            Self::DigitalOcean(_) => Some(DnsKind::DigitalOcean),
        }
    }
}

/// The provider of an environment that was read.
///
/// # Errors
/// When it is another one than that of the state, or it cannot be reached.
pub async fn provider(environment: &Environment, state: &State) -> Result<Provider, Failure> {
    let mut place = Place::written(environment);
    let moved = |what: &str, old: &str, new: &str| {
        Failure::input(
            format!("`{}` lives at {what} {old}, and its file says {new}", state.environment),
            format!(
                "an environment does not move: write {old} again, or `provision destroy {}` first",
                state.environment
            ),
        )
    };
    match (Place::known(state)?, &mut place) {
        (Some(Place::Aws { region: Some(old), .. }), Place::Aws { region, .. }) => match region {
            Some(new) if old != *new => return Err(moved("the region", &old, new)),
            _ => *region = Some(old),
        },
        (Some(old), new) if old.provider() != new.provider() => {
            return Err(moved("the provider", old.provider(), new.provider()));
        }
        _ => {}
    }
    let written = environment.dns.as_ref().map(|dns| {
        let kind = match dns.provider {
            DnsProvider::Route53 => DnsKind::Route53,
            DnsProvider::DigitalOcean => DnsKind::DigitalOcean,
        };
        (kind, dns.zone.as_ref().map(|zone| zone.get().clone()))
    });
    if let (Some((new, _)), Some(old)) = (&written, served(state))
        && old != *new
    {
        return Err(Failure::input(
            format!(
                "the names of `{}` are served by {}, and its file says {}",
                state.environment,
                shown(old),
                shown(*new)
            ),
            "names do not move by themselves: take [dns] out and apply, which removes their records; then write the new one",
        ));
    }
    // What the file names no more has to be taken back all the same.
    let names = written.or_else(|| names_of(state, &place).map(|kind| (kind, None)));
    connect(&place, names, settled(state)).await
}

/// How a host is reached, as it is written.
pub fn way(ssh: &Ssh, access: &Access) -> Way {
    let text = |value: &Option<Spanned<String>>| value.as_ref().map(|value| value.get().clone());
    Way {
        host: text(&ssh.host),
        port: ssh.port.as_ref().and_then(|port| u16::try_from(*port.get()).ok()),
        user: ssh.user.get().clone(),
        ssh_config: text(&ssh.ssh_config),
        fingerprint: text(&ssh.fingerprint),
        proxy_jump: text(&access.proxy_jump),
        // Absolute, or below the home folder.
        key: access.ssh_key.as_ref().map(|path| absolute(Path::new("/"), path.get())),
    }
}

/// How a host is reached, as the state knows it: with whatever the person's own ssh offers.
fn known_way(state: &State) -> Way {
    Way {
        host: known(state, "host"),
        port: known(state, "port").and_then(|port| port.parse().ok()),
        user: known(state, "user").unwrap_or_else(|| "root".to_owned()),
        ssh_config: known(state, "ssh_config"),
        fingerprint: None,
        proxy_jump: known(state, "proxy_jump"),
        key: None,
    }
}

/// The provider of a host that was there before; `settled` is what the state says is there.
fn on_host(way: &Way, settled: &BTreeMap<Address, Part>) -> Machines {
    let known = settled.get(&Address::MachineInstance).map(|part| part.facts.clone());
    Machines::Ssh(ssh::Ssh::new(way.clone(), &known.unwrap_or_default()))
}

/// What the state knows of the provider: told when something was made; states of the first builds have it as attributes only.
fn known(state: &State, name: &str) -> Option<String> {
    let machine = || Some(&state.record(&Address::MachineInstance)?.attributes);
    let found = state.provider().or_else(machine)?;
    found.get(name).cloned()
}

/// What the state says is there, as it says.
fn settled(state: &State) -> BTreeMap<Address, Part> {
    // Whatever became of it, a host that was there before is still there, with the keys that it had.
    let stays = known(state, "provider").is_some_and(|provider| provider == "ssh");
    let present = state
        .resources
        .iter()
        .filter(|(_, record)| stays || record.status == Status::Present);
    let parts = present.filter_map(|(address, record)| {
        let part = Part {
            id: record.id.clone()?,
            attributes: record.attributes.clone(),
            facts: record.facts.clone(),
        };
        Some((address.clone(), part))
    });
    parts.collect()
}

/// The provider that made what the state knows, for the way back: it must be found when the file is gone.
///
/// # Errors
/// When it cannot be reached.
pub async fn provider_of(environment: Option<&Environment>, state: &State) -> Result<Provider, Failure> {
    if let Some(environment) = environment {
        return provider(environment, state).await;
    }
    let place = Place::known(state)?.unwrap_or(Place::Local);
    let names = names_of(state, &place);
    if names.is_some() {
        tell("note: the environment's file is gone; its names are looked for in all zones");
    }
    connect(&place, names.map(|kind| (kind, None)), settled(state)).await
}

/// Who serves the names that the state has; those of the first builds tell nothing of it. None where every one of them was only
/// begun: nothing is recorded of it then.
fn served(state: &State) -> Option<DnsKind> {
    let mut ended = names(state).filter(|record| record.id.is_some());
    let record = ended.next()?;
    let served_by = |record: &Record| record.facts.get(digitalocean::SERVED_BY).cloned();
    let known = std::iter::once(record).chain(ended).find_map(served_by);
    Some(match known.as_deref() {
        Some("digitalocean") => DnsKind::DigitalOcean,
        _ => DnsKind::Route53,
    })
}

/// The same; of names that were only begun, most likely the machine's own provider.
fn names_of(state: &State, place: &Place) -> Option<DnsKind> {
    let begun = || names(state).next().map(|_| place.names().unwrap_or(DnsKind::Route53));
    served(state).or_else(begun)
}

fn names(state: &State) -> impl Iterator<Item = &Record> {
    let all = state.resources.iter();
    all.filter(|(address, _)| matches!(address, Address::Dns(_)))
        .map(|(_, record)| record)
}

fn shown(kind: DnsKind) -> &'static str {
    match kind {
        DnsKind::Route53 => "route53",
        DnsKind::DigitalOcean => "digitalocean",
    }
}

/// A provider by its name, for what belongs to no one environment; with the names that the same account serves.
///
/// # Errors
/// When there is none of this name, or it cannot be reached.
pub async fn provider_at(name: &str, region: Option<String>, account: Option<String>) -> Result<Provider, Failure> {
    let Some(place) = Place::named(name, region, account) else {
        return Err(Failure::input(
            format!("there is no provider `{name}`"),
            "there are `local`, `aws` and `digitalocean`",
        ));
    };
    let names = place.names().map(|kind| (kind, None));
    connect(&place, names, BTreeMap::new()).await
}

async fn connect(place: &Place, names: NamesAt, settled: BTreeMap<Address, Part>) -> Result<Provider, Failure> {
    let machine = match place {
        Place::Local => Machines::Local(local::Local::new(local::Dirs::of_user()?)),
        Place::Aws { region, profile } => aws(region.clone(), profile.clone(), settled).await?,
        Place::Ssh(way) => on_host(way, &settled),
        Place::DigitalOcean(access) => Machines::DigitalOcean(digitalocean::DigitalOcean::connect(access)?),
    };
    let names = match (names, place) {
        (None, _) => None,
        (Some((DnsKind::Route53, zone)), Place::Aws { profile, .. }) => {
            Some(route53(profile.as_deref(), zone.as_deref()).await?)
        }
        (Some((DnsKind::Route53, zone)), _) => Some(route53(None, zone.as_deref()).await?),
        (Some((DnsKind::DigitalOcean, zone)), Place::DigitalOcean(access)) => Some(Names::DigitalOcean(
            digitalocean::Dns::connect(access, zone.as_deref())?,
        )),
        (Some((DnsKind::DigitalOcean, zone)), _) => {
            let access = digitalocean::Access::default();
            Some(Names::DigitalOcean(digitalocean::Dns::connect(
                &access,
                zone.as_deref(),
            )?))
        }
    };
    Ok(Provider::new(machine, names))
}

#[cfg(feature = "aws")]
async fn aws(
    region: Option<String>,
    profile: Option<String>,
    settled: BTreeMap<Address, Part>,
) -> Result<Machines, Failure> {
    use crate::provider::aws::{Access, Aws};
    let aws = Aws::connect(&Access { region, profile }).await?;
    Ok(Machines::Aws(aws.knowing(settled)))
}

#[cfg(feature = "aws")]
async fn route53(profile: Option<&str>, zone: Option<&str>) -> Result<Names, Failure> {
    use crate::provider::route53::Route53;
    Ok(Names::Route53(Route53::connect(profile, zone).await?))
}

#[cfg(not(feature = "aws"))]
async fn aws(_: Option<String>, _: Option<String>, _: BTreeMap<Address, Part>) -> Result<Machines, Failure> {
    Err(without_aws())
}

#[cfg(not(feature = "aws"))]
async fn route53(_: Option<&str>, _: Option<&str>) -> Result<Names, Failure> {
    Err(without_aws())
}

#[cfg(not(feature = "aws"))]
fn without_aws() -> Failure {
    Failure::input(
        "this build has no AWS in it",
        "build it with its default features: cargo build --release",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Lineage;

    #[test]
    fn a_state_of_a_provider_that_nobody_knows_is_not_taken_for_a_local_one() {
        let mut state = State::new("shop".parse().unwrap(), Lineage::from_bytes([1; 16]));
        assert_eq!(Place::known(&state).unwrap_or(Some(Place::Local)), None);
        let mut made_at = |provider: &str| {
            let facts = ["provider", "region"].map(|name| (name.to_owned(), provider.to_owned()));
            let (address, id) = (Address::MachineInstance, Some("i-1".to_owned()));
            state.present(&address, id, BTreeMap::new(), facts.into(), jiff::Timestamp::UNIX_EPOCH);
            Place::known(&state)
        };
        assert_eq!(made_at("local").unwrap_or(None), Some(Place::Local));
        let region = Some("aws".to_owned());
        assert_eq!(
            made_at("aws").unwrap_or(None),
            Some(Place::Aws { region, profile: None })
        );
        let Err(Failure::Input { what, .. }) = made_at("hetzner") else {
            panic!("taken for another one");
        };
        assert!(what.contains("`hetzner`"), "{what}");
    }
}
