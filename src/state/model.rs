//! The state, version 1: what was asked for and what came of it, address by address.
//!
//! The shape is frozen: a later version reads it for ever (fixtures in `tests/state`). Fields of version 1 that this
//! build does not know are ignored. No secret is ever in here; see [`super::bundle`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::{Address, Endpoint, EnvironmentName, Lineage};

/// The version that this build writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// Who writes states in this build: `provision <version>`.
pub const WRITER: &str = concat!("provision ", env!("CARGO_PKG_VERSION"));

/// The record of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The version of the shape.
    pub version: u32,
    /// Counts the writes. A writer that loaded another number than the one on disk is refused.
    pub serial: u64,
    /// The identity of this life of the environment.
    pub lineage: Lineage,
    /// Whose state it is.
    pub environment: EnvironmentName,
    /// The build that wrote it last; see [`WRITER`].
    pub written_by: String,
    /// The environment file it was applied from, where that bears another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<EnvironmentName>,
    /// The values that it was given in place of the file's own `[vars]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, String>,
    /// When it ends, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Life>,
    /// Everything that is meant, made, or being removed.
    #[serde(default)]
    pub resources: BTreeMap<Address, Record>,
    /// What `provision output` prints.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
}

/// How long the environment lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The `ttl` that its end was counted from.
    pub ttl_seconds: u64,
    /// When it ends, in whole seconds.
    pub ends: Timestamp,
}

impl Life {
    /// One of so many seconds from now.
    pub fn from(now: Timestamp, ttl_seconds: u64) -> Self {
        Self {
            ttl_seconds,
            ends: later(now, ttl_seconds),
        }
    }
}

/// So many seconds later; in whole seconds, which is what other programs read.
pub fn later(time: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    Timestamp::from_second(time.as_second().saturating_add(seconds)).unwrap_or(Timestamp::MAX)
}

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// How far it came.
    pub status: Status,
    /// The provider's identifier, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What was asked for. Structure is in dotted names.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// What we were told.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// When the record was last changed.
    pub changed_at: Timestamp,
}

/// How far a resource came. A record that is not [`Status::Present`] belongs to a step that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A step to make or change it was begun: it may or may not be as its attributes say.
    Intended,
    /// It is there, as its attributes say.
    Present,
    /// A step to remove it was begun: it may or may not be gone.
    Removing,
}

impl State {
    /// The state of an environment that has nothing yet. It is on no disk: its serial is 0.
    pub fn new(environment: EnvironmentName, lineage: Lineage) -> Self {
        Self {
            version: VERSION,
            serial: 0,
            lineage,
            environment,
            written_by: WRITER.to_owned(),
            file: None,
            vars: BTreeMap::new(),
            life: None,
            resources: BTreeMap::new(),
            outputs: BTreeMap::new(),
        }
    }

    /// Settles when it ends: counted from now when there was no end, or one of another `ttl`; as it was otherwise. Called
    /// before anything is made, so that all of it bears the same end.
    pub fn begin_life(&mut self, ttl_seconds: Option<u64>, now: Timestamp) {
        self.life = ttl_seconds.map(|seconds| match self.life {
            Some(life) if life.ttl_seconds == seconds && life.ends > now => life,
            _ => Life::from(now, seconds),
        });
    }

    /// When it ended, if it has.
    pub fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        self.life.map(|life| life.ends).filter(|ends| *ends <= now)
    }

    /// The record of an address.
    pub fn record(&self, address: &Address) -> Option<&Record> {
        self.resources.get(address)
    }

    /// Records that a step to make or change a resource begins. Identifier and facts stay: they may still be true, and
    /// they are what is needed to find the thing again.
    pub fn intend(&mut self, address: &Address, attributes: BTreeMap<String, String>, now: Timestamp) {
        let record = self.entry(address, Status::Intended, now);
        record.status = Status::Intended;
        record.attributes = attributes;
        record.changed_at = now;
    }

    /// Records that a resource is there, replacing all that was recorded of it.
    pub fn present(
        &mut self,
        address: &Address,
        id: Option<String>,
        attributes: BTreeMap<String, String>,
        facts: BTreeMap<String, String>,
        now: Timestamp,
    ) {
        let record = Record {
            status: Status::Present,
            id,
            attributes,
            facts,
            changed_at: now,
        };
        self.resources.insert(address.clone(), record);
    }

    /// Records that a step to remove a resource begins. Nothing happens when there is no record of it.
    pub fn removing(&mut self, address: &Address, now: Timestamp) {
        if let Some(record) = self.resources.get_mut(address) {
            record.status = Status::Removing;
            record.changed_at = now;
        }
    }

    /// Records that a resource is gone, and returns what was known of it.
    pub fn remove(&mut self, address: &Address) -> Option<Record> {
        self.resources.remove(address)
    }

    /// Where the machine is reached, when that is known: the facts of `machine.instance`, under its fixed address when it has
    /// one.
    pub fn endpoint(&self) -> Option<Endpoint> {
        let facts = &self.record(&Address::MachineInstance)?.facts;
        let fixed = self
            .record(&Address::MachineAddress)
            .filter(|record| record.status != Status::Removing)
            .and_then(|record| record.facts.get("address"));
        let port = |name: &str| facts.get(name)?.parse().ok();
        Some(Endpoint {
            address: fixed.or_else(|| facts.get("address"))?.parse().ok()?,
            ssh: port("port.ssh")?,
            http: port("port.http")?,
            https: port("port.https")?,
        })
    }

    /// What finds the provider that made the machine, when something was made: the facts `provider`, `region` and so on of
    /// any of its resources.
    pub fn provider(&self) -> Option<&BTreeMap<String, String>> {
        let machine = self
            .resources
            .iter()
            .filter(|(address, _)| address.layer() == "machine");
        machine
            .map(|(_, record)| &record.facts)
            .find(|facts| facts.contains_key("provider"))
    }

    /// Records where the machine is reached, beside the other facts of `machine.instance`.
    pub fn set_endpoint(&mut self, endpoint: &Endpoint, now: Timestamp) {
        let record = self.entry(&Address::MachineInstance, Status::Intended, now);
        record.facts.append(&mut endpoint_facts(endpoint));
        record.changed_at = now;
    }

    fn entry(&mut self, address: &Address, status: Status, now: Timestamp) -> &mut Record {
        self.resources.entry(address.clone()).or_insert_with(|| Record {
            status,
            id: None,
            attributes: BTreeMap::new(),
            facts: BTreeMap::new(),
            changed_at: now,
        })
    }
}

/// An endpoint as the facts that [`State::endpoint`] reads.
pub fn endpoint_facts(endpoint: &Endpoint) -> BTreeMap<String, String> {
    let Endpoint {
        address,
        ssh,
        http,
        https,
    } = endpoint;
    BTreeMap::from([
        ("address".to_owned(), address.to_string()),
        ("port.ssh".to_owned(), ssh.to_string()),
        ("port.http".to_owned(), http.to_string()),
        ("port.https".to_owned(), https.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T10:00:00Z".parse().unwrap()
    }

    fn text(key: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn an_intent_keeps_what_finds_the_thing_again() {
        let mut state = State::new("demo".parse().unwrap(), Lineage::from_bytes([1; 16]));
        let address = Address::MachineInstance;
        state.intend(&address, text("cpus", "1"), now());
        assert_eq!(state.record(&address).unwrap().id, None);
        state.present(
            &address,
            Some("i-1".to_owned()),
            text("cpus", "1"),
            text("zone", "a"),
            now(),
        );
        state.intend(&address, text("cpus", "2"), now());
        assert_eq!(
            state.record(&address).unwrap(),
            &Record {
                status: Status::Intended,
                id: Some("i-1".to_owned()),
                attributes: text("cpus", "2"),
                facts: text("zone", "a"),
                changed_at: now(),
            }
        );
        state.removing(&address, now());
        assert_eq!(state.record(&address).unwrap().status, Status::Removing);
        assert!(state.remove(&address).is_some());
        state.removing(&address, now());
        assert!(state.resources.is_empty());
    }

    #[test]
    fn an_endpoint_is_read_as_it_was_set() {
        let mut state = State::new("demo".parse().unwrap(), Lineage::from_bytes([1; 16]));
        assert_eq!(state.endpoint(), None);
        let mut endpoint = Endpoint::standard("127.77.1.2".parse().unwrap());
        endpoint.https = 8443;
        let address = Address::MachineInstance;
        state.present(&address, None, BTreeMap::new(), text("zone", "a"), now());
        assert_eq!(state.endpoint(), None);
        state.set_endpoint(&endpoint, now());
        assert_eq!(state.endpoint(), Some(endpoint.clone()));
        assert_eq!(state.record(&address).unwrap().facts.len(), 5);
        state.present(&address, None, BTreeMap::new(), endpoint_facts(&endpoint), now());
        assert_eq!(state.endpoint(), Some(endpoint));
    }
}
