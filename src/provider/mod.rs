//! Machines: what a provider is asked for and what it answers, in our own words.
//!
//! One file or folder per provider. A vendor's types, error texts and pagination end there; nothing here knows a plan.
//! Reading calls (`observe`, `leftovers`) never write; every writing call is idempotent under its token, so that a call
//! repeated after a crash finds what the first one made.

#![cfg_attr(
    not(feature = "aws"),
    allow(unused_variables, reason = "some words are spoken to one cloud only")
)]

#[cfg(feature = "aws")]
pub mod aws;
mod claim;
pub mod digitalocean;
pub mod local;
mod newest;
#[cfg(feature = "aws")]
pub mod route53;
mod runs;
pub mod spec;
pub mod ssh;
mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use spec::{
    Acceleration, Attributes, AwsShape, Course, CpuCredits, DigitalOceanShape, DirectBoot, DnsKind, DnsSpec,
    InstanceSpec, LocalImage, LocalShape, Sha512Source, Shape, SshFrom, SshShape, Walls,
};

use crate::names::{Address, Endpoint, EnvironmentName, Lineage};
use crate::note::Say;
use crate::remote::Session;

/// How a line of [`Provider::leftovers`] begins when it names something that was kept on purpose.
pub const KEPT: &str = "kept: ";

/// How a line of [`Provider::leftovers`] begins when it names something that no destroy takes away, whatever was asked for.
pub const STAYS: &str = "stays: ";

/// Who the machine belongs to: every resource's name and tag derive from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The environment.
    pub environment: EnvironmentName,
    /// Its lineage.
    pub lineage: Lineage,
    /// What the state knows it to have: found even when somebody took its tags away.
    pub ids: BTreeMap<Address, String>,
    /// When all of it shall be gone: everything is marked with it.
    pub expires: Option<Timestamp>,
}

impl Owner {
    /// The name of the environment's machine: `<environment>-<eight digits of lineage>`.
    pub fn machine_name(&self) -> String {
        format!("{}-{}", self.environment, self.lineage.short())
    }
}

/// A machine that exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// The provider's identifier.
    pub id: String,
    /// Whether it has power.
    pub power: Power,
    /// Where it is reached; kept over a stop.
    pub endpoint: Endpoint,
    /// What it is like, as far as the provider can tell: attribute names as in the plan.
    pub attributes: Attributes,
    /// Its IPv6 address, when it has one beside that of its endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// What we were told beside that, such as its zone and the image that an alias stood for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// Whether a machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// It runs.
    On,
    /// It exists and does not run.
    Off,
}

/// What there is of one owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// The machine.
    pub instance: Option<Instance>,
    /// What belongs to it, where a provider makes it apart: key, firewall, volume, address, names.
    pub parts: BTreeMap<Address, Part>,
    /// Worth knowing: an image that is newer than the one in use.
    pub news: Vec<String>,
    /// What stands in the way and is not ours to take away, by what it keeps from being made.
    pub obstacles: BTreeMap<Address, String>,
}

/// One thing that belongs to a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The provider's identifier.
    pub id: String,
    /// All that it is like, of what can be asked for: attribute names as in [`InstanceSpec::parts`]. What is not meant to be
    /// there, such as a foreign rule of a firewall, is in here too.
    pub attributes: Attributes,
    /// What we were told beside that; `address` where the machine is found under it.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
}

/// The attribute that tells with which end a machine is marked; `none` where it should be.
pub const EXPIRES: &str = "expires";

/// The attribute that tells what becomes of a machine that turns itself off; told where that can be chosen, of owners that
/// have an end. It shall be [`GONE`].
pub const POWEROFF: &str = "poweroff";

/// What shall become of a machine that turns itself off at its end.
pub const GONE: &str = "terminate";

/// Something that bears our tags, whoever's it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// What it is for.
    pub address: Address,
    /// The provider's identifier.
    pub id: String,
    /// Whose.
    pub environment: EnvironmentName,
    /// Of which life of it.
    pub lineage: Lineage,
    /// Since when it is there, where that is told.
    pub created: Option<Timestamp>,
    /// When it shall be gone.
    pub expires: Option<Timestamp>,
    /// What it costs a month, where that is known.
    pub monthly: Option<Money>,
}

/// An amount of US dollars in a thousandth of a cent, as price lists are finer than cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Money(pub u64);

impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cents = self.0.saturating_add(500) / 1000;
        write!(f, "{}.{:02} USD", cents / 100, cents % 100)
    }
}

/// What a machine costs a month of 730 hours, item by item.
pub type Costs = Vec<(String, Money)>;

/// The providers of one environment: of its machine, and of its names.
#[derive(Debug)]
pub struct Provider {
    machine: Machines,
    names: Option<Names>,
}

/// What makes machines.
#[derive(Debug)]
pub enum Machines {
    /// QEMU on this computer.
    Local(local::Local),
    /// Amazon EC2.
    #[cfg(feature = "aws")]
    Aws(aws::Aws),
    /// DigitalOcean.
    DigitalOcean(digitalocean::DigitalOcean),
    /// A host that was there before.
    Ssh(ssh::Ssh),
}

/// What serves names.
#[derive(Debug)]
pub enum Names {
    /// Amazon Route 53.
    #[cfg(feature = "aws")]
    Route53(route53::Route53),
    /// DigitalOcean's name servers.
    DigitalOcean(digitalocean::Dns),
}

impl Provider {
    /// The providers of an environment.
    pub fn new(machine: Machines, names: Option<Names>) -> Self {
        Self { machine, names }
    }

    /// One that asks nothing that can wait, such as whether a newer image is out: for a look that shall be quick.
    #[must_use]
    pub fn lean(self) -> Self {
        Self {
            machine: match self.machine {
                #[cfg(feature = "aws")]
                Machines::Aws(aws) => Machines::Aws(aws.lean()),
                Machines::DigitalOcean(cloud) => Machines::DigitalOcean(cloud.lean()),
                Machines::Local(local) => Machines::Local(local),
                Machines::Ssh(ssh) => Machines::Ssh(ssh),
            },
            ..self
        }
    }

    /// What finds the provider again when the environment's file is gone; recorded with everything it makes.
    pub fn facts(&self) -> BTreeMap<String, String> {
        match &self.machine {
            Machines::Local(_) => BTreeMap::from([("provider".to_owned(), "local".to_owned())]),
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.facts(),
            Machines::DigitalOcean(cloud) => cloud.facts(),
            Machines::Ssh(ssh) => ssh.facts(),
        }
    }

    /// What there is of this owner's machine. Reads only. `names` are the host names that it shall have or has.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn observe(&self, owner: &Owner, names: &BTreeSet<String>) -> Result<Sight, ProviderError> {
        let machine = async {
            match &self.machine {
                Machines::Local(local) => Ok(Sight {
                    instance: local.observe(owner).await?,
                    ..Sight::default()
                }),
                #[cfg(feature = "aws")]
                Machines::Aws(aws) => aws.observe(owner).await,
                Machines::DigitalOcean(cloud) => cloud.observe(owner).await,
                Machines::Ssh(ssh) => ssh.observe(owner).await,
            }
        };
        let records = async {
            match &self.names {
                None => Ok::<_, ProviderError>((BTreeMap::new(), BTreeMap::new())),
                #[cfg(feature = "aws")]
                Some(Names::Route53(route53)) => route53.observe(owner, names).await,
                Some(Names::DigitalOcean(dns)) => dns.observe(owner, names).await,
            }
        };
        let (mut sight, (records, obstacles)) = futures_util::future::try_join(machine, records).await?;
        sight.parts.extend(records);
        sight.obstacles.extend(obstacles);
        Ok(sight)
    }

    /// The connection that [`Provider::observe`] opened to look at a host that was there before; handed on once.
    pub fn session(&self) -> Option<Session> {
        match &self.machine {
            Machines::Ssh(ssh) => ssh.session(),
            _ => None,
        }
    }

    /// Makes the machine and starts it, or adopts the one that an interrupted run made for the same owner. `generation` counts
    /// the machines of this owner: a call repeated with the same one gives the same machine.
    ///
    /// # Errors
    /// When it cannot be made; what was half made is removed or adopted by the next call.
    pub async fn create(
        &self,
        owner: &Owner,
        spec: &InstanceSpec,
        generation: u64,
        say: Say<'_>,
    ) -> Result<Instance, ProviderError> {
        match &self.machine {
            Machines::Local(local) => local.create(owner, spec, say).await,
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.create(owner, spec, generation, say).await,
            Machines::DigitalOcean(cloud) => cloud.create(owner, spec, generation, say).await,
            Machines::Ssh(ssh) => ssh.find_it(owner).await,
        }
    }

    /// Looks whether the machine that replaces another could be made, as far as that can be known: asked while the other one is
    /// still there. Reads only.
    ///
    /// # Errors
    /// What would keep it from being made.
    pub async fn check(&self, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<(), ProviderError> {
        match &self.machine {
            Machines::Local(_) | Machines::Ssh(_) => Ok(()),
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.check(owner, spec, say).await,
            Machines::DigitalOcean(cloud) => cloud.check(spec).await,
        }
    }

    /// Asked while a machine's sshd does not answer: that the machine is off or gone, which no waiting helps. A provider that cannot
    /// be asked says nothing, and a host that was there before has none that could.
    pub async fn fallen(&self, owner: &Owner) -> Option<ProviderError> {
        let mut more = String::new();
        let on = match &self.machine {
            Machines::Local(local) => {
                let [guest, qemu] = local.last_words(owner);
                more = format!(". Its last words are in {} and {}", guest.display(), qemu.display());
                local.has_power(owner).await
            }
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.has_power(owner).await,
            Machines::DigitalOcean(cloud) => cloud.has_power(owner).await,
            Machines::Ssh(_) => return None,
        };
        matches!(on, Ok(false)).then(|| {
            ProviderError::new("machine.instance went off while its sshd was waited for").with_remedy(format!(
                "apply again: it is started, or made anew where it is gone{more}"
            ))
        })
    }

    /// Gives an existing machine power. Nothing happens when it runs.
    ///
    /// # Errors
    /// When there is no such machine or it does not start.
    pub async fn start(&self, owner: &Owner, say: Say<'_>) -> Result<Instance, ProviderError> {
        match &self.machine {
            Machines::Local(local) => local.start(owner, say).await,
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.start(owner, say).await,
            Machines::DigitalOcean(cloud) => cloud.start(owner, say).await,
            Machines::Ssh(ssh) => ssh.find_it(owner).await,
        }
    }

    /// Brings an existing machine to what `spec` says, stopping and starting it where that is needed. Changes nothing that
    /// only a new machine can have.
    ///
    /// # Errors
    /// When there is no such machine or the change cannot be made.
    pub async fn resize(&self, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Instance, ProviderError> {
        match &self.machine {
            Machines::Local(local) => local.resize(owner, spec, say).await,
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.resize(owner, spec, say).await,
            Machines::DigitalOcean(cloud) => cloud.resize(owner, spec, say).await,
            Machines::Ssh(ssh) => ssh.find_it(owner).await,
        }
    }

    /// Removes the machine and, unless `keep_volume`, a data volume that was made with it. Nothing happens when it is gone.
    ///
    /// # Errors
    /// When something is left.
    pub async fn destroy(&self, owner: &Owner, keep_volume: bool, say: Say<'_>) -> Result<(), ProviderError> {
        match &self.machine {
            Machines::Local(local) => local.destroy(owner, keep_volume, say).await,
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.destroy(owner, say).await,
            Machines::DigitalOcean(cloud) => cloud.destroy(owner, say).await,
            Machines::Ssh(ssh) => ssh.destroy(owner, keep_volume, say).await,
        }
    }

    /// Marks everything of this owner with its end, or with none; and sees to it that a machine that turns itself off at
    /// its end is gone then, where the provider can do that. Nothing happens where it is so.
    ///
    /// # Errors
    /// When it cannot be done; the next call goes on.
    pub async fn end(&self, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<(), ProviderError> {
        match &self.machine {
            Machines::Local(local) => local.end(owner, say).await,
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.end(owner, spec).await,
            Machines::DigitalOcean(cloud) => cloud.end(owner, spec).await,
            // It has no end, and is marked nowhere.
            Machines::Ssh(_) => Ok(()),
        }
    }

    /// Brings one part to what `spec` says: makes it, adopts what an interrupted run made, or changes it. `at` is where the
    /// machine is found, for names.
    ///
    /// # Errors
    /// When it cannot be done; the next call goes on.
    pub async fn ensure(
        &self,
        owner: &Owner,
        address: &Address,
        spec: &InstanceSpec,
        at: &Reached,
        say: Say<'_>,
    ) -> Result<Part, ProviderError> {
        match (&self.machine, &self.names, address) {
            #[cfg(feature = "aws")]
            (_, Some(Names::Route53(route53)), Address::Dns(name)) => route53.ensure(owner, name, spec, at, say).await,
            #[cfg(feature = "aws")]
            (Machines::Aws(aws), ..) => aws.ensure(owner, address, spec, say).await,
            (_, Some(Names::DigitalOcean(dns)), Address::Dns(name)) => dns.ensure(owner, name, spec, at, say).await,
            (Machines::DigitalOcean(cloud), ..) => cloud.ensure(owner, address, spec, say).await,
            _ => Err(no_such_part(address)),
        }
    }

    /// Removes one part. Nothing happens when it is gone.
    ///
    /// # Errors
    /// When it is left.
    pub async fn remove(&self, owner: &Owner, address: &Address, say: Say<'_>) -> Result<(), ProviderError> {
        match (&self.machine, &self.names, address) {
            #[cfg(feature = "aws")]
            (_, Some(Names::Route53(route53)), Address::Dns(name)) => route53.remove(owner, name, say).await,
            #[cfg(feature = "aws")]
            (Machines::Aws(aws), ..) => aws.remove(owner, address, say).await,
            (_, Some(Names::DigitalOcean(dns)), Address::Dns(name)) => dns.remove(owner, name, say).await,
            (Machines::DigitalOcean(cloud), ..) => cloud.remove(owner, address, say).await,
            _ => Err(no_such_part(address)),
        }
    }

    /// Everything that still exists for this owner, one line each: the proof after a destroy. Reads only.
    /// A line that begins with [`KEPT`] names a volume that was kept on purpose; it is no failure of a destroy.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn leftovers(&self, owner: &Owner, names: &BTreeSet<String>) -> Result<Vec<String>, ProviderError> {
        let mut left = match &self.machine {
            Machines::Local(local) => local.leftovers(owner).await?,
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.leftovers(owner).await?,
            Machines::DigitalOcean(cloud) => cloud.leftovers(owner).await?,
            Machines::Ssh(ssh) => ssh.leftovers(owner).await?,
        };
        let records = match &self.names {
            None => BTreeMap::new(),
            #[cfg(feature = "aws")]
            Some(Names::Route53(route53)) => route53.observe(owner, names).await?.0,
            Some(Names::DigitalOcean(dns)) => dns.observe(owner, names).await?.0,
        };
        left.extend(records.into_keys().map(|address| address.to_string()));
        Ok(left)
    }

    /// Lets the caller's own address reach port 22 until [`Provider::dismiss`]; what crashed runs left open is closed.
    /// Nothing happens where the caller needs no admission.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn admit(&self, owner: &Owner, caller: &Caller) -> Result<(), ProviderError> {
        match &self.machine {
            Machines::Local(_) | Machines::Ssh(_) => Ok(()),
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.admit(owner, caller).await,
            Machines::DigitalOcean(cloud) => cloud.admit(owner, caller).await,
        }
    }

    /// Closes what [`Provider::admit`] opened for this caller.
    ///
    /// # Errors
    /// When it cannot be closed.
    pub async fn dismiss(&self, owner: &Owner, caller: &Caller) -> Result<(), ProviderError> {
        match &self.machine {
            Machines::Local(_) | Machines::Ssh(_) => Ok(()),
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.dismiss(owner, caller).await,
            Machines::DigitalOcean(cloud) => cloud.dismiss(owner, caller).await,
        }
    }

    /// What the machine that `spec` asks for costs. None where there are no prices or none can be had.
    pub async fn costs(&self, spec: &InstanceSpec) -> Option<Costs> {
        match &self.machine {
            Machines::Local(_) | Machines::Ssh(_) => None,
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.costs(spec).await,
            Machines::DigitalOcean(cloud) => cloud.costs(spec).await,
        }
    }

    /// Everything that bears our tags where this provider looks, of all environments. Reads only. Names that may not be listed
    /// are told and keep nothing else from being found.
    ///
    /// # Errors
    /// When the provider cannot be asked.
    pub async fn find(&self, say: Say<'_>) -> Result<Vec<Found>, ProviderError> {
        let machines = async {
            match &self.machine {
                Machines::Local(local) => local.find().await,
                #[cfg(feature = "aws")]
                Machines::Aws(aws) => aws.find().await,
                Machines::DigitalOcean(cloud) => cloud.find().await,
                Machines::Ssh(ssh) => ssh.find().await,
            }
        };
        let names = async {
            match &self.names {
                None => Vec::new(),
                #[cfg(feature = "aws")]
                Some(Names::Route53(route53)) => route53.find(say).await,
                Some(Names::DigitalOcean(dns)) => dns.find(say).await,
            }
        };
        let (machines, names) = futures_util::future::join(machines, names).await;
        let mut found = machines?;
        found.extend(names);
        Ok(found)
    }

    /// Takes one resource over: checks that it is there, is of the right kind and nobody else's, and gives it our tags.
    ///
    /// # Errors
    /// When it is not fit for that.
    pub async fn adopt(&self, owner: &Owner, address: &Address, id: &str) -> Result<(), ProviderError> {
        match &self.machine {
            #[cfg(feature = "aws")]
            Machines::Aws(aws) => aws.adopt(owner, address, id).await,
            Machines::DigitalOcean(cloud) => cloud.adopt(owner, address, id).await,
            Machines::Local(_) => Err(ProviderError::new(format!(
                "failed to take over {address} {id}: the local provider makes its machines itself"
            ))),
            Machines::Ssh(_) => Err(ProviderError::new(format!(
                "failed to take over {address} {id}: a host that was there before is taken over by `provision apply`"
            ))),
        }
    }
}

/// Where a machine is found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// Its address.
    pub address: Option<IpAddr>,
    /// Its IPv6 address, when it has one beside.
    pub ipv6: Option<Ipv6Addr>,
}

/// Who runs this command, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The network it calls from: one address, mostly.
    pub network: String,
    /// Names this run, so that another one does not close what it opened: `host:process:start`.
    pub run: String,
}

fn no_such_part(address: &Address) -> ProviderError {
    ProviderError::new(format!("failed to work on {address}: its provider has no such thing"))
        .with_remedy("the state is from another provider: destroy the environment with the file that made it")
}

/// Why a provider did not do what it was asked for. `what` begins with "failed to …".
#[derive(Debug, Error)]
#[error("{what}")]
pub struct ProviderError {
    /// What failed, on which resource.
    pub what: String,
    /// What the person can do.
    pub remedy: Option<String>,
    /// Why.
    #[source]
    pub why: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ProviderError {
    /// An error that says what failed; begin with "failed to …".
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: None,
            why: None,
        }
    }

    /// Adds why.
    #[must_use]
    pub fn because(mut self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.why = Some(why.into());
        self
    }

    /// Adds what the person can do.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}
