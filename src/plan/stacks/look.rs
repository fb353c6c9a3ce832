//! How a stack on the host differs from what it shall be.

use std::collections::{BTreeMap, BTreeSet};

use super::{OWNER, STACKS, image_id, short};
use crate::desired::{Desired, DesiredStack, normal_image};
use crate::names::{Address, Digest, StackName};
use crate::plan::drift::is_recorded;
use crate::plan::seen::{self, CONFIG, Facts, Seen};
use crate::plan::{Difference, Origin};
use crate::remote::probe::{Container, Probe};
use crate::state::{Record, State};

/// A stack as the files ask for it, as it is recorded, and as it is.
pub struct Look<'a> {
    /// As the files ask for it.
    pub stack: &'a DesiredStack,
    /// As it is recorded.
    pub record: &'a Record,
    /// As it is.
    pub probe: &'a Probe,
    /// As it is, in the words of the record.
    pub now: Facts,
}

impl Look<'_> {
    /// Who made something differ: what is recorded as it is, was accepted.
    fn origin(&self, fact: &str) -> Origin {
        match is_recorded(self.record, &self.now, fact) {
            true => Origin::Files,
            false => Origin::Outside,
        }
    }

    /// Files that are not as written.
    pub fn files(&self, desired: &Desired, changed: bool) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (path, file) in &self.stack.files {
            let absolute = format!("{STACKS}/{}/{path}", self.stack.name);
            let sha256 = Digest::of(file.bind(&desired.bindings));
            let mode = format!("{:04o}", file.mode);
            let mut origin = self.origin(&format!("file.{path}"));
            let old = match self.probe.files.get(&absolute) {
                None if changed => continue,
                None => "missing on the host".to_owned(),
                Some(seen) if seen.sha256 != sha256.as_str() => {
                    if changed {
                        continue;
                    }
                    let untouched = seen.placed.as_ref() == Some(&seen.sha256);
                    match (file.is_secret(), untouched) {
                        (true, true) => {
                            origin = Origin::Files;
                            "a secret has a new value".to_owned()
                        }
                        (true, false) if seen.placed.is_none() => {
                            "a secret has a new value, or it was edited on the host".to_owned()
                        }
                        _ => "edited on the host".to_owned(),
                    }
                }
                Some(seen) if seen.mode != mode && !changed => format!("mode {}", seen.mode),
                Some(seen) if !seen.owner.is_empty() && seen.owner != OWNER && !changed => {
                    format!("owner {}", seen.owner)
                }
                Some(_) => continue,
            };
            differences.push(Difference {
                subject: path.clone(),
                old: Some(old),
                new: Some(format!("as written, mode {mode}")),
                origin,
            });
        }
        differences
    }

    /// Names that lead to other images.
    pub fn images(&self) -> Vec<Difference> {
        let archives = self.stack.archives.iter();
        let archives = archives.map(|(reference, archive)| (reference.clone(), &archive.image_id));
        // A new archive is a change of the files and is listed there already.
        let mut wanted: BTreeMap<String, &String> = archives
            .filter(|(reference, id)| self.record.attributes.get(&format!("image.{reference}")) == Some(*id))
            .collect();
        let retag = self.retag();
        wanted.extend(retag.iter().map(|(reference, id)| (reference.clone(), id)));
        wanted
            .into_iter()
            .filter_map(|(reference, id)| {
                let seen = image_id(self.probe, &reference);
                (seen != Some(id)).then(|| Difference {
                    origin: self.origin(&format!("image.{reference}")),
                    subject: format!("image {reference}"),
                    old: Some(seen.map_or("missing on the host".to_owned(), |id| short("", id))),
                    new: Some(short("", id)),
                })
            })
            .collect()
    }

    /// Names that lead to another image than they were recorded with, where that one is still there to be named again. An archive
    /// says itself which image its name stands for.
    pub fn retag(&self) -> BTreeMap<String, String> {
        let recorded = self.record.facts.iter();
        let recorded = recorded.filter_map(|(fact, id)| Some((fact.strip_prefix("image.")?, id)));
        recorded
            .filter(|(reference, id)| {
                image_id(self.probe, reference) != Some(id)
                    && !self.stack.archives.keys().any(|archive| same(archive, reference))
                    && self.probe.images.iter().any(|image| image.id == **id)
            })
            .map(|(reference, id)| (reference.to_owned(), id.clone()))
            .collect()
    }

    /// Containers that do not run as they shall.
    pub fn containers(
        &self,
        retag: &BTreeMap<String, String>,
        aside: &[String],
        notes: &mut Vec<String>,
    ) -> Vec<Difference> {
        let mut differences: Vec<Difference> = aside
            .iter()
            .map(|name| Difference {
                subject: format!("container {name}"),
                old: Some("made by somebody else under this name".into()),
                new: Some("stopped and renamed, to make room".into()),
                origin: self.origin(&format!("container.{name}")),
            })
            .collect();
        for (name, service) in &self.stack.services {
            let Some(instances) = service.instances else { continue };
            let all: Vec<&Container> = self
                .probe
                .containers
                .iter()
                .filter(|c| c.project == self.stack.name.as_str() && c.service == *name && !c.oneoff)
                .collect();
            let ended = |c: &Container| service.may_end && c.state == "exited" && c.exit_code == 0;
            let running = all.iter().filter(|c| c.state == "running" || ended(c)).count();
            if u32::try_from(running).unwrap_or(u32::MAX) != instances {
                let others: Vec<String> = all
                    .iter()
                    .filter(|c| c.state != "running")
                    .map(|c| format!("{} {}", c.name, c.state))
                    .collect();
                let detail = if others.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", others.join(", "))
                };
                differences.push(Difference {
                    subject: format!("service {name}"),
                    old: Some(format!("{running} running{detail}")),
                    new: Some(format!("{instances} running")),
                    origin: self.origin_of_service(name),
                });
            }
            for container in &all {
                if container.state == "running" && container.health.as_deref() == Some("unhealthy") {
                    notes.push(format!(
                        "{} is running and unhealthy: see `docker logs {}` on the host",
                        container.name, container.name
                    ));
                }
                let tag = service.image.as_deref().and_then(|reference| {
                    let archive = self.stack.archives.get(reference).map(|archive| &archive.image_id);
                    archive
                        .or_else(|| retag.iter().find_map(|(name, id)| same(name, reference).then_some(id)))
                        .or_else(|| image_id(self.probe, reference))
                });
                let made_from = self.record.facts.get(&format!("{CONFIG}{name}"));
                let origin = self.origin(&format!("container.{}", container.name));
                if let Some(tag) = tag
                    && *tag != container.image
                {
                    differences.push(Difference {
                        subject: format!("container {}", container.name),
                        old: Some(format!("runs {}", short("", &container.image))),
                        new: Some(format!(
                            "{} is {}",
                            service.image.as_deref().unwrap_or_default(),
                            short("", tag)
                        )),
                        origin,
                    });
                } else if made_from.is_some_and(|config| *config != seen::short(&container.config)) {
                    differences.push(Difference {
                        subject: format!("container {}", container.name),
                        old: Some("made with another configuration".into()),
                        new: Some("as written".into()),
                        origin,
                    });
                }
            }
        }
        differences
    }

    fn origin_of_service(&self, service: &str) -> Origin {
        let of_service = |fact: &&String| {
            let values = [self.record.facts.get(*fact), self.now.get(*fact)];
            let mut seen = values.into_iter().flatten().filter_map(|words| Seen::parse(words));
            fact.starts_with("container.") && seen.any(|seen| seen.service == service)
        };
        let facts: BTreeSet<&String> = self.record.facts.keys().chain(self.now.keys()).collect();
        let changed = facts.into_iter().filter(of_service).any(|fact| {
            // Each by itself: one that was accepted stays so when another one changes.
            self.record.facts.get(fact) != self.now.get(fact)
        });
        match !changed && self.record.facts.contains_key(seen::SEEN) {
            true => Origin::Files,
            false => Origin::Outside,
        }
    }
}

/// Whether two names of images mean the same.
fn same(one: &str, other: &str) -> bool {
    normal_image(one) == normal_image(other)
}

/// Containers that no Compose project of this name made, under names that Compose will want for ours.
pub fn impostors(stack: &DesiredStack, record: Option<&Record>, probe: &Probe) -> Vec<String> {
    let made = stack.services.iter().flat_map(|(name, service)| {
        (1..=service.instances.unwrap_or(0)).map(move |index| format!("{}-{name}-{index}", stack.name))
    });
    let recorded = record.into_iter().flat_map(|record| record.facts.keys());
    let recorded = recorded.filter_map(|fact| fact.strip_prefix("container.").map(str::to_owned));
    let names: BTreeSet<String> = made.chain(recorded).collect();
    let foreign = |name: &String| {
        let mut containers = probe.containers.iter();
        containers.any(|container| container.name == *name && container.project != stack.name.as_str())
    };
    names.into_iter().filter(foreign).collect()
}

/// Says which containers of others have ports on the host. They are not ours to take away, and the firewall lets nobody in to them.
pub fn exposed(desired: &Desired, state: &State, probe: &Probe, notes: &mut Vec<String>) {
    let ours: BTreeSet<&str> = desired
        .stacks
        .iter()
        .map(|stack| stack.name.as_str())
        .chain(state.resources.keys().filter_map(|address| match address {
            Address::Stack(name) => Some(name.as_str()),
            _ => None,
        }))
        .collect();
    let edge = StackName::edge();
    for container in &probe.containers {
        let own = ours.contains(container.project.as_str()) || container.project == edge.as_str();
        if !own && container.state == "running" && !container.ports.is_empty() {
            notes.push(format!(
                "container {} ({}) is none of this environment's and publishes {}: the firewall closes all but 80 and 443",
                container.name,
                container.image_ref,
                container.ports.join(", ")
            ));
        }
    }
}
