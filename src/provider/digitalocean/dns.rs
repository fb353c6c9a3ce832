//! DigitalOcean's name servers: the names under which a machine is found.
//!
//! Whose a name is stands beside it, in a TXT record `_provision.<name>`. Records without one, or with that of another
//! environment, are never touched. The API changes one record at a time and knows no condition: so the ownership record is made
//! first and taken away last, every change is followed by another look, and of two that claim a name at once the one with the
//! lower number has it.

mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::try_join_all;
use serde_json::json;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use self::records::{Records, Step, Whose};
use super::access::{self, Access, Token};
use super::client::{Client, Patience};
use super::error::{self, CallError};
use super::wire::{Domain, Record};
use crate::names::Address;
use crate::note::{Note, Say};
use crate::provider::claim::{self, told};
use crate::provider::{Found, InstanceSpec, Money, Owner, Part, ProviderError, Reached};

/// How many changes one name may take. Two addresses and their owner, each made or removed twice, are six.
const STEPS: u32 = 24;

/// The fact that tells who serves a name, where it is us.
pub const SERVED_BY: &str = "served_by";

/// The provider of names.
#[derive(Debug, Clone)]
pub struct Dns {
    client: Client,
    /// The domain as the file names it.
    given: Option<String>,
    /// Asked once a command.
    domains: Arc<OnceCell<Vec<String>>>,
}

impl Dns {
    /// A provider with the token of the user's configuration, beside a machine from elsewhere. Calls nothing.
    ///
    /// # Errors
    /// When there is no token.
    pub fn connect(access: &Access, zone: Option<&str>) -> Result<Self, ProviderError> {
        Ok(Self::new(Client::connect(access)?, zone))
    }

    /// A provider that speaks to `address` with `token`, and has this patience.
    ///
    /// # Errors
    /// When a token may not be sent to that address.
    pub fn at(address: &str, token: &Token, patience: Patience, zone: Option<&str>) -> Result<Self, ProviderError> {
        Ok(Self::new(
            Client::new(access::address(address)?, token, patience)?,
            zone,
        ))
    }

    fn new(client: Client, zone: Option<&str>) -> Self {
        Self {
            client,
            given: zone.map(|zone| zone.trim_end_matches('.').to_ascii_lowercase()),
            domains: Arc::default(),
        }
    }

    /// The records of these names that are ours, and why the others cannot be.
    ///
    /// # Errors
    /// When the account cannot be asked.
    pub async fn observe(
        &self,
        owner: &Owner,
        names: &BTreeSet<String>,
    ) -> Result<(BTreeMap<Address, Part>, BTreeMap<Address, String>), ProviderError> {
        let mut obstacles = BTreeMap::new();
        let mut by_domain: BTreeMap<String, Vec<&String>> = BTreeMap::new();
        for name in names {
            match self.domain_of(owner, name).await? {
                Some(domain) => by_domain.entry(domain).or_default().push(name),
                None => {
                    obstacles.insert(Address::Dns(name.clone()), told(&self.missing(name)));
                }
            }
        }
        let reads = by_domain.into_iter().map(|(domain, names)| async move {
            let all = self.records(&domain).await?;
            Ok::<_, ProviderError>((domain, names, all))
        });
        let mut parts = BTreeMap::new();
        for (domain, names, all) in try_join_all(reads).await? {
            for name in names {
                let seen = Records::of(&all, &domain, name);
                let address = Address::Dns(name.clone());
                match seen.whose(owner) {
                    Whose::Ours => {
                        parts.insert(address, seen.part(&domain, name));
                    }
                    Whose::Another(why) => {
                        obstacles.insert(address, told(&claim::refused(name, &domain, &why)));
                    }
                    Whose::Nobodys => {}
                }
            }
        }
        Ok((parts, obstacles))
    }

    /// See [`crate::provider::Provider::ensure`].
    ///
    /// # Errors
    /// When the name has records that are not ours, or no domain.
    pub async fn ensure(
        &self,
        owner: &Owner,
        name: &str,
        spec: &InstanceSpec,
        at: &Reached,
        _say: Say<'_>,
    ) -> Result<Part, ProviderError> {
        let Some(domain) = self.domain_of(owner, name).await? else {
            return Err(self.missing(name));
        };
        let ipv6 = spec.dns.as_ref().is_some_and(|dns| dns.ipv6);
        let wanted = records::wanted(owner, name, at, ipv6)?;
        let seen = self
            .change(owner, &domain, name, |seen| match seen.whose(owner) {
                Whose::Another(why) => match seen.step_back(owner) {
                    Some(step) => Ok(Some(step)),
                    None => Err(claim::refused(name, &domain, &why)),
                },
                Whose::Nobodys | Whose::Ours => Ok(seen.step_to(owner, &wanted)),
            })
            .await?;
        // The file names another domain than the one that was used: what is left there would answer nobody, or wrongly.
        if let Some(old) = recorded(owner, name).filter(|old| *old != domain) {
            self.clear(owner, &old, name).await?;
        }
        Ok(seen.part(&domain, name))
    }

    /// See [`crate::provider::Provider::remove`]. Records that are not ours stay.
    ///
    /// # Errors
    /// When ours are left.
    pub async fn remove(&self, owner: &Owner, name: &str, _say: Say<'_>) -> Result<(), ProviderError> {
        match self.domain_of(owner, name).await? {
            Some(domain) => self.clear(owner, &domain, name).await,
            None => Ok(()),
        }
    }

    /// The names of all environments, by their ownership records. What may not be listed is told.
    pub async fn find(&self, say: Say<'_>) -> Vec<Found> {
        let tell = |error: &ProviderError, what: &str| {
            let why = error.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            say(Note::Warning(format!("{error}{why}; {what} are not in the list")));
        };
        let domains = match self.domains().await {
            Ok(domains) => domains,
            Err(error) => {
                tell(&error, "names");
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for domain in domains {
            match self.records(domain).await {
                Ok(all) => found.extend(all.iter().filter_map(|record| claimed(record, domain))),
                Err(error) => tell(&error, &format!("names in {domain}")),
            }
        }
        found
    }

    async fn clear(&self, owner: &Owner, domain: &str, name: &str) -> Result<(), ProviderError> {
        let step = |seen: &Records| {
            Ok(match seen.whose(owner) {
                Whose::Ours => seen.step_away(owner),
                Whose::Another(_) => seen.step_back(owner),
                Whose::Nobodys => None,
            })
        };
        self.change(owner, domain, name, step).await.map(drop)
    }

    /// Looks, decides on one change and makes it, until there is none to make.
    async fn change(
        &self,
        owner: &Owner,
        domain: &str,
        name: &str,
        decide: impl Fn(&Records) -> Result<Option<Step>, ProviderError>,
    ) -> Result<Records, ProviderError> {
        let what = || format!("failed to change the records of `{name}` in the domain {domain}");
        let mut last = None;
        for _ in 0..STEPS {
            let all = self.records(domain).await?;
            let seen = Records::of(&all, domain, name);
            let Some(step) = decide(&seen)? else {
                return Ok(seen);
            };
            match self.take(domain, &step).await {
                Ok(()) => {}
                // It may have been made: the next look tells.
                Err(unclear) if unclear.is_unclear() => {
                    sleep(self.client.patience().pause * 2).await;
                    last = Some(unclear);
                }
                Err(other) => {
                    let scope = step.scope();
                    return Err(error::failed(what(), scope, other));
                }
            }
        }
        Err(match last {
            Some(error) => error::failed(what(), "domain:update", error),
            None => ProviderError::new(format!(
                "{}: somebody else changes them as fast, or the environment {} is applied twice at once",
                what(),
                owner.environment
            ))
            .with_remedy("run it again when the other one is done"),
        })
    }

    async fn take(&self, domain: &str, step: &Step) -> Result<(), CallError> {
        let of = |id: &u64| id.to_string();
        match step {
            Step::Make { kind, name, data } => {
                let mut body =
                    json!({"type": kind, "name": records::short(name, domain), "data": data, "ttl": records::TTL});
                if *kind == "TXT" {
                    // They mean nothing here, and the API's description wants them.
                    body["flags"] = json!(null);
                    body["tag"] = json!(null);
                }
                self.client.post(&["domains", domain, "records"], body).await
            }
            Step::Change { id, kind, data } => {
                let body = json!({"type": kind, "data": data, "ttl": records::TTL});
                let changed = self
                    .client
                    .patch::<Record>(&["domains", domain, "records", &of(id)], body)
                    .await;
                match changed {
                    Err(gone) if gone.is_gone() => Ok(()),
                    other => other.map(drop),
                }
            }
            Step::Remove { id } => self.client.delete(&["domains", domain, "records", &of(id)], None).await,
        }
    }

    async fn records(&self, domain: &str) -> Result<Vec<Record>, ProviderError> {
        match self.client.list::<Record>(&["domains", domain, "records"], &[]).await {
            Ok(all) => Ok(all),
            // Somebody removed the domain: its records are gone with it.
            Err(gone) if gone.is_gone() => Ok(Vec::new()),
            Err(other) => {
                let what = format!("failed to list the records of the domain {domain}");
                Err(error::failed(what, "domain:read", other))
            }
        }
    }

    /// The domain that serves a name: the one that it is recorded in, or the given one, or the longest that fits.
    async fn domain_of(&self, owner: &Owner, name: &str) -> Result<Option<String>, ProviderError> {
        if self.given.is_none()
            && let Some(domain) = recorded(owner, name)
        {
            return Ok(Some(domain));
        }
        if let Some(given) = &self.given
            && recorded(owner, name).as_ref() == Some(given)
        {
            return Ok(Some(given.clone()));
        }
        let wanted = |domain: &&String| self.given.as_ref().is_none_or(|given| given == *domain);
        let fitting = self
            .domains()
            .await?
            .iter()
            .filter(wanted)
            .filter(|domain| records::serves(domain, name));
        Ok(fitting.max_by_key(|domain| domain.len()).cloned())
    }

    async fn domains(&self) -> Result<&[String], ProviderError> {
        let asked = self.domains.get_or_try_init(|| async {
            let listed: Result<Vec<Domain>, CallError> = self.client.list(&["domains"], &[]).await;
            let listed = listed.map_err(error::of("failed to list the domains of the account", "domain:read"))?;
            Ok::<_, ProviderError>(
                listed
                    .into_iter()
                    .map(|domain| domain.name.to_ascii_lowercase())
                    .collect(),
            )
        });
        Ok(asked.await?)
    }

    fn missing(&self, name: &str) -> ProviderError {
        match &self.given {
            Some(given) => ProviderError::new(format!(
                "failed to point `{name}` at the machine: DigitalOcean does not serve the domain `{given}`, or the name is not in it"
            ))
            .with_remedy("write a domain of this account in which the name lies as `zone` in [dns], or leave it out and the longest one is found"),
            None => ProviderError::new(format!(
                "failed to point `{name}` at the machine: no domain of this account holds it"
            ))
            .with_remedy("add its domain (`doctl compute domain create`) and have the registrar point at ns1.digitalocean.com, choose the token of the account that has it, or take [dns] out and set the record by hand"),
        }
    }
}

/// The domain in which the state has a name; see [`Records::part`] for the form.
fn recorded(owner: &Owner, name: &str) -> Option<String> {
    let (domain, _) = owner.ids.get(&Address::Dns(name.to_owned()))?.split_once('/')?;
    Some(domain.to_owned())
}

fn claimed(record: &Record, domain: &str) -> Option<Found> {
    let full = records::full(&record.name, domain);
    let name = claim::named(&full).filter(|_| record.kind == "TXT")?;
    let (lineage, environment) = claim::read(&record.data)?;
    Some(Found {
        id: records::id(domain, name),
        address: Address::Dns(name.to_owned()),
        environment,
        lineage,
        created: None,
        expires: None,
        monthly: Some(Money(0)),
    })
}
