//! Amazon Route 53: the names under which a machine is found.
//!
//! Whose a name is stands beside it, in a TXT record `_provision.<name>`. Records without one, or with that of another
//! environment, are never touched. Every change is one batch of DELETEs of exactly what was seen and of CREATEs, never an
//! UPSERT: Route 53 takes a batch whole or not at all, so whoever was faster is noticed and looked at anew.

mod find;
mod records;
mod zone;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_route53::Client;
use aws_sdk_route53::error::ProvideErrorMetadata as _;
use aws_sdk_route53::types::{Change, ChangeBatch, ChangeInfo, ChangeStatus};
use futures_util::future::try_join_all;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use self::records::{Records, Whose};
use self::zone::Zone;
use super::aws::{Access, client, error};
use super::claim::{self, told};
use super::{Found, InstanceSpec, Owner, Part, ProviderError, Reached};
use crate::names::Address;
use crate::note::{Note, Say};

/// How often a change is decided anew because somebody changed the same records meanwhile.
const ATTEMPTS: u32 = 4;
/// How long a change is waited for. Route 53 says that its servers mostly have it within 60 seconds; the records are made in
/// any case, so a slow one is worth a word and no more.
const IN_SYNC_WITHIN: Duration = Duration::from_secs(180);
/// Pauses between two questions whether a change is everywhere: the first one, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// The provider of names.
#[derive(Debug, Clone)]
pub struct Route53 {
    client: Client,
    /// The zone as the file names it: a name or an identifier.
    given: Option<String>,
    /// Asked once a command.
    zones: Arc<OnceCell<Vec<Zone>>>,
}

impl Route53 {
    /// A provider with the credentials of the ordinary chain. `zone` is a zone's name or its identifier; without, the longest
    /// public zone that fits a name serves it.
    ///
    /// # Errors
    /// When they cannot be had.
    pub async fn connect(profile: Option<&str>, zone: Option<&str>) -> Result<Self, ProviderError> {
        let access = Access {
            region: None,
            profile: profile.map(str::to_owned),
        };
        let config = client::configuration(&access).await;
        Ok(Self::new(&config, zone))
    }

    /// A provider that speaks as `config` says.
    pub fn new(config: &aws_config::SdkConfig, zone: Option<&str>) -> Self {
        // The service is one for the whole world and signs for this region whatever the rest of the configuration says.
        let region = aws_config::Region::new("us-east-1");
        let config = aws_sdk_route53::config::Builder::from(config).region(region).build();
        Self {
            client: Client::from_conf(config),
            given: zone.map(|zone| zone.trim_end_matches('.').to_owned()),
            zones: Arc::default(),
        }
    }

    /// The records of these names that are ours, and why the others cannot be.
    ///
    /// # Errors
    /// When Route 53 cannot be asked, or when it cannot be told which zone is meant.
    pub async fn observe(
        &self,
        owner: &Owner,
        names: &BTreeSet<String>,
    ) -> Result<(BTreeMap<Address, Part>, BTreeMap<Address, String>), ProviderError> {
        let mut obstacles = BTreeMap::new();
        let mut by_zone: BTreeMap<Zone, BTreeSet<String>> = BTreeMap::new();
        for name in names {
            match self.zone_of(owner, name).await? {
                Some(zone) => {
                    by_zone.entry(zone).or_default().insert(name.clone());
                }
                None => {
                    let why = told(&zone::missing(name, self.given.as_deref()));
                    obstacles.insert(Address::Dns(name.clone()), why);
                }
            }
        }
        let reads = by_zone.iter().map(|(zone, names)| async move {
            let read = records::read(&self.client, zone, names).await?;
            Ok::<_, ProviderError>((zone, read))
        });
        let mut parts = BTreeMap::new();
        for (zone, read) in try_join_all(reads).await? {
            for (name, seen) in read {
                let address = Address::Dns(name.clone());
                match seen.whose(owner) {
                    Whose::Ours => {
                        parts.insert(address, seen.part(zone, &name));
                    }
                    Whose::Another(why) => {
                        obstacles.insert(address, told(&refused(&name, zone, &why)));
                    }
                    Whose::Nobodys => {}
                }
            }
        }
        Ok((parts, obstacles))
    }

    /// See [`super::Provider::ensure`].
    ///
    /// # Errors
    /// When the name has records that are not ours, or no zone.
    pub async fn ensure(
        &self,
        owner: &Owner,
        name: &str,
        spec: &InstanceSpec,
        at: &Reached,
        say: Say<'_>,
    ) -> Result<Part, ProviderError> {
        let Some(zone) = self.zone_of(owner, name).await? else {
            return Err(zone::missing(name, self.given.as_deref()));
        };
        let ipv6 = spec.dns.as_ref().is_some_and(|dns| dns.ipv6);
        let wanted = records::wanted(owner, name, at, ipv6)?;
        let change = self
            .change(owner, &zone, name, |seen| match seen.whose(owner) {
                Whose::Another(why) => Err(refused(name, &zone, &why)),
                Whose::Nobodys | Whose::Ours => seen.changes(&wanted),
            })
            .await?;
        if let Some(change) = change {
            self.in_sync(name, &change, say).await;
        }
        // The file names another zone than the one that was used: what is left there would answer nobody, or wrongly.
        if let Some(old) = recorded(owner, name).filter(|old| old.id != zone.id) {
            self.clear(owner, &old, name).await?;
        }
        Ok(Records::of(wanted).part(&zone, name))
    }

    /// See [`super::Provider::remove`]. Records that are not ours stay.
    ///
    /// # Errors
    /// When ours are left.
    pub async fn remove(&self, owner: &Owner, name: &str, _say: Say<'_>) -> Result<(), ProviderError> {
        match self.zone_of(owner, name).await? {
            Some(zone) => self.clear(owner, &zone, name).await,
            None => Ok(()),
        }
    }

    /// The names of all environments, by their ownership records; see [`super::Provider::find`]. What may not be listed is told.
    pub async fn find(&self, say: Say<'_>) -> Vec<Found> {
        find::find(self, say).await
    }

    async fn clear(&self, owner: &Owner, zone: &Zone, name: &str) -> Result<(), ProviderError> {
        let changes = |seen: &Records| match seen.whose(owner) {
            Whose::Ours => seen.changes(&[]),
            Whose::Another(_) | Whose::Nobodys => Ok(Vec::new()),
        };
        self.change(owner, zone, name, changes).await.map(drop)
    }

    /// Looks, decides and changes, until nobody else changed the same in between. None when nothing was to be changed.
    async fn change(
        &self,
        owner: &Owner,
        zone: &Zone,
        name: &str,
        decide: impl Fn(&Records) -> Result<Vec<Change>, ProviderError>,
    ) -> Result<Option<ChangeInfo>, ProviderError> {
        let what = || format!("failed to change the records of `{name}` in the zone {zone}");
        let names = BTreeSet::from([name.to_owned()]);
        let mut attempt = 0;
        loop {
            attempt += 1;
            let seen = records::read(&self.client, zone, &names).await?;
            let changes = match seen.get(name) {
                Some(seen) => decide(seen)?,
                None => decide(&Records::default())?,
            };
            if changes.is_empty() {
                return Ok(None);
            }
            let batch = ChangeBatch::builder()
                .comment(format!("provision, environment {}", owner.environment))
                .set_changes(Some(changes))
                .build()
                .map_err(|why| ProviderError::new(what()).because(why))?;
            let request = self.client.change_resource_record_sets();
            match request.hosted_zone_id(&zone.id).change_batch(batch).send().await {
                Ok(output) => return Ok(output.change_info),
                Err(stale) if stale.code() == Some("InvalidChangeBatch") && attempt < ATTEMPTS => {}
                Err(other) => return Err(error::failed(what(), "route53:ChangeResourceRecordSets", other)),
            }
        }
    }

    /// Waits until all name servers have a change. What goes wrong here costs nothing: the records are made.
    async fn in_sync(&self, name: &str, change: &ChangeInfo, say: Say<'_>) {
        let (mut pause, longest) = PAUSES;
        let start = Instant::now();
        let mut status = change.status.clone();
        let mut said = false;
        while status == ChangeStatus::Pending {
            if start.elapsed() > IN_SYNC_WITHIN {
                let text = format!("the name servers do not have `{name}` yet; it goes on without waiting for them");
                return say(Note::Warning(text));
            }
            if !said {
                say(Note::Waiting(format!("the name servers to have {name}")));
                said = true;
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
            let id = change.id.trim_start_matches("/change/");
            match self.client.get_change().id(id).send().await {
                Ok(output) => {
                    let Some(now) = output.change_info else { return };
                    status = now.status;
                }
                Err(other) => {
                    let why = error::failed(
                        format!("failed to ask whether the name servers have `{name}`"),
                        "route53:GetChange",
                        other,
                    );
                    return say(Note::Warning(format!("{why}; it goes on without waiting for them")));
                }
            }
        }
    }

    /// The zone that serves a name: the given one, or the one it is recorded in, or the longest public one that fits.
    async fn zone_of(&self, owner: &Owner, name: &str) -> Result<Option<Zone>, ProviderError> {
        if self.given.is_none()
            && let Some(zone) = recorded(owner, name)
        {
            return Ok(Some(zone));
        }
        zone::pick(self.zones().await?, name).map(|zone| zone.cloned())
    }

    async fn zones(&self) -> Result<&[Zone], ProviderError> {
        let asked = self
            .zones
            .get_or_try_init(|| zone::list(&self.client, self.given.as_deref()));
        Ok(asked.await?)
    }
}

/// The zone in which the state has a name; see [`Records::part`] for the form.
fn recorded(owner: &Owner, name: &str) -> Option<Zone> {
    let (id, _) = owner.ids.get(&Address::Dns(name.to_owned()))?.split_once('/')?;
    Some(Zone {
        id: id.to_owned(),
        name: String::new(),
    })
}

fn refused(name: &str, zone: &Zone, why: &str) -> ProviderError {
    claim::refused(name, &zone.to_string(), why)
}
