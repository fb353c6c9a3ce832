//! The stacks and the edge, which is a stack whose configuration is reloaded with proof.

use std::collections::BTreeMap;

use super::machine::Host;
use super::{Action, Change, Difference, Options, Origin, Plan, Release, Step};
use crate::desired::{Body, Desired, DesiredService, DesiredStack, normal_image};
use crate::names::{Address, Digest, StackName};
use crate::observe::Observed;
use crate::remote::probe::{Container, Probe};
use crate::render::Bindings;
use crate::state::{Record, State, Status};

/// Where the stacks' folders are on a host.
pub const STACKS: &str = "/opt/provision/stacks";

/// Texts longer than this, in bytes, are compared by digest alone: the state stays small enough to read.
const TEXT_MAX: usize = 64 * 1024;

/// The fact that records the digest of the release in place: its files on the host.
pub const RELEASE: &str = "release";

/// The fact that records when a once-only job ran to its end.
pub fn once_fact(job: &str) -> String {
    format!("once.{job}")
}

/// The fact that records when a job of every deploy last ran to its end.
pub fn job_fact(job: &str) -> String {
    format!("job.{job}")
}

/// Plans every stack, then the removal of those that are no longer written, then the edge.
pub fn plan(desired: &Desired, state: &State, observed: &Observed, options: &Options, host: Host, plan: &mut Plan) {
    let probe = observed.host.probe().filter(|_| host == Host::Stays);
    for stack in &desired.stacks {
        one(
            desired,
            &Address::Stack(stack.name.clone()),
            stack,
            Known { state, probe, host },
            options,
            plan,
        );
    }
    for (address, record) in &state.resources {
        let stack = match address {
            Address::Stack(name) if !desired.stacks.iter().any(|stack| stack.name == *name) => name.clone(),
            Address::Edge if desired.edge.is_none() => StackName::edge(),
            _ => continue,
        };
        plan.steps.push(Step {
            address: address.clone(),
            change: Change::Delete {
                shown: vec![("data".into(), "its volumes stay on the host".into())],
            },
            action: match host {
                Host::Stays => Action::RemoveStack { stack, volumes: false },
                Host::New | Host::NewWithOldData | Host::Moves => Action::Forget,
            },
            attributes: record.attributes.clone(),
            facts: record.facts.clone(),
        });
    }
    if let Some(edge) = &desired.edge {
        let known = Known { state, probe, host };
        one(desired, &Address::Edge, &edge.stack, known, options, plan);
    }
}

/// What is known of where a stack is.
struct Known<'a> {
    state: &'a State,
    probe: Option<&'a Probe>,
    host: Host,
}

fn one(
    desired: &Desired,
    address: &Address,
    stack: &DesiredStack,
    known: Known<'_>,
    options: &Options,
    plan: &mut Plan,
) {
    let Known { state, probe, host } = known;
    let wanted = attributes(stack, &desired.bindings);
    let edge = *address == Address::Edge;
    let record = state.record(address);
    // What once-only jobs did is in the data: it holds for as long as the data does.
    let facts = match (record, host) {
        (Some(record), Host::Stays | Host::Moves | Host::NewWithOldData) => record.facts.clone(),
        (_, Host::New) | (None, _) => BTreeMap::new(),
    };
    let once: Vec<String> = stack
        .jobs
        .once
        .iter()
        .filter(|job| !facts.contains_key(&once_fact(job)))
        .cloned()
        .collect();

    let present = record.filter(|record| host == Host::Stays && record.status == Status::Present);
    let Some(record) = present else {
        let change = match facts.contains_key(RELEASE) && host == Host::Stays {
            true => Change::Update {
                differences: vec![unfinished()],
            },
            false => Change::Create { shown: shown(stack) },
        };
        plan.steps.push(Step {
            address: address.clone(),
            change,
            action: Action::Deploy(Box::new(Release {
                stack: stack.clone(),
                archives: stack.archives.clone(),
                before: stack.jobs.before_deploy.clone(),
                after: stack.jobs.after_deploy.clone(),
                once,
                edge,
                recreate: false,
            })),
            attributes: wanted,
            facts,
        });
        return;
    };

    let mut differences = written(record, &wanted);
    differences.extend(once.iter().map(|job| Difference {
        subject: format!("job {job}"),
        old: Some("never ran".into()),
        new: Some("runs once".into()),
        origin: Origin::Files,
    }));
    let changed = !differences.is_empty();
    if let Some(probe) = probe {
        differences.extend(files(desired, stack, changed, probe));
        differences.extend(images(stack, record, probe));
        let seen = containers(stack, probe, &mut plan.notes);
        // What the files ask for anew cannot be there yet: that is no drift.
        differences.extend(seen.into_iter().filter(|_| !changed));
    }
    let recreate = options.replace.contains(address);
    if differences.is_empty() && !recreate {
        return;
    }
    let archives = match probe {
        Some(probe) => stack
            .archives
            .iter()
            .filter(|(reference, archive)| image_id(probe, reference) != Some(&archive.image_id))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        None => stack.archives.clone(),
    };
    // Jobs belong to a deploy of something new; a repair only puts back what ran before.
    let jobs = |jobs: &Vec<String>| if changed { jobs.clone() } else { Vec::new() };
    plan.steps.push(Step {
        address: address.clone(),
        change: match recreate {
            true => Change::Replace {
                because: "asked for with --replace; its containers are made anew, its volumes stay".into(),
                differences,
            },
            false => Change::Update { differences },
        },
        action: Action::Deploy(Box::new(Release {
            stack: stack.clone(),
            archives,
            before: jobs(&stack.jobs.before_deploy),
            after: jobs(&stack.jobs.after_deploy),
            once,
            edge,
            recreate,
        })),
        attributes: wanted,
        facts,
    });
}

fn unfinished() -> Difference {
    Difference {
        subject: RELEASE.into(),
        old: Some("a deploy that did not come to its end".into()),
        new: Some("as written".into()),
        origin: Origin::Files,
    }
}

/// What the state records of a stack. Texts are as shown: `(secret)` in place of secrets.
pub fn attributes(stack: &DesiredStack, known: &Bindings) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::from([("written".to_owned(), stack.written().to_string())]);
    for (path, file) in &stack.files {
        match file.shown(known) {
            Some(text) if text.len() <= TEXT_MAX => attributes.insert(format!("text.{path}"), text),
            Some(text) => attributes.insert(format!("file.{path}"), Digest::of(text).to_string()),
            None => match &file.body {
                Body::Raw(bytes) => attributes.insert(format!("file.{path}"), Digest::of(bytes).to_string()),
                Body::Text(_) | Body::DotEnv(_) => None,
            },
        };
    }
    for (reference, archive) in &stack.archives {
        attributes.insert(format!("image.{reference}"), archive.image_id.clone());
    }
    attributes
}

fn shown(stack: &DesiredStack) -> Vec<(String, String)> {
    let mut shown = Vec::new();
    for (name, service) in &stack.services {
        let DesiredService {
            image,
            instances,
            may_end: _,
        } = service;
        let kind = match instances {
            Some(1) => String::new(),
            Some(count) => format!(" × {count}"),
            None => " (job)".into(),
        };
        shown.push((
            name.clone(),
            format!("{}{kind}", image.as_deref().unwrap_or("built on the host")),
        ));
    }
    for (reference, archive) in &stack.archives {
        shown.push((
            "image".into(),
            format!("{reference}, {} MB over SSH", archive.bytes.div_ceil(1_000_000)),
        ));
    }
    shown
}

/// What the person's files say now and did not at the last apply.
fn written(record: &Record, wanted: &BTreeMap<String, String>) -> Vec<Difference> {
    let names: std::collections::BTreeSet<&String> = record.attributes.keys().chain(wanted.keys()).collect();
    let mut differences: Vec<Difference> = names
        .into_iter()
        .filter(|name| *name != "written" && record.attributes.get(*name) != wanted.get(*name))
        .map(|name| Difference {
            subject: name.split_once('.').map_or(name.as_str(), |(_, rest)| rest).to_owned(),
            old: record.attributes.get(name).map(|value| short(name, value)),
            new: wanted.get(name).map(|value| short(name, value)),
            origin: Origin::Files,
        })
        .collect();
    if differences.is_empty() && record.attributes.get("written") != wanted.get("written") {
        differences.push(Difference {
            subject: "files".into(),
            old: Some("other permissions".into()),
            new: Some("as written".into()),
            origin: Origin::Files,
        });
    }
    differences
}

/// Digests are cut for people, texts are left whole for the diff.
fn short(name: &str, value: &str) -> String {
    if name.starts_with("text.") {
        value.to_owned()
    } else {
        value.chars().take("sha256:".len() + 12).collect()
    }
}

fn files(desired: &Desired, stack: &DesiredStack, changed: bool, probe: &Probe) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (path, file) in &stack.files {
        let absolute = format!("{STACKS}/{}/{path}", stack.name);
        let sha256 = Digest::of(file.bind(&desired.bindings));
        let mode = format!("{:04o}", file.mode);
        let old = match probe.files.get(&absolute) {
            None if changed => continue,
            None => "missing on the host".to_owned(),
            Some(seen) if seen.sha256 != sha256.as_str() => {
                if changed {
                    continue;
                }
                match file.is_secret() {
                    true => "a secret has a new value, or it was edited on the host".to_owned(),
                    false => "edited on the host".to_owned(),
                }
            }
            Some(seen) if seen.mode != mode && !changed => format!("mode {}", seen.mode),
            Some(_) => continue,
        };
        differences.push(Difference {
            subject: path.clone(),
            old: Some(old),
            new: Some(format!("as written, mode {mode}")),
            origin: Origin::Outside,
        });
    }
    differences
}

fn image_id<'a>(probe: &'a Probe, reference: &str) -> Option<&'a String> {
    let wanted = normal_image(reference);
    probe
        .images
        .iter()
        .find(|image| image.tags.iter().any(|tag| normal_image(tag) == wanted))
        .map(|image| &image.id)
}

fn images(stack: &DesiredStack, record: &Record, probe: &Probe) -> Vec<Difference> {
    stack
        .archives
        .iter()
        // A new archive is a change of the files and is listed there already.
        .filter(|(reference, archive)| record.attributes.get(&format!("image.{reference}")) == Some(&archive.image_id))
        .filter_map(|(reference, archive)| {
            let seen = image_id(probe, reference);
            (seen != Some(&archive.image_id)).then(|| Difference {
                subject: format!("image {reference}"),
                old: Some(seen.map_or("missing on the host".to_owned(), |id| short("", id))),
                new: Some(short("", &archive.image_id)),
                origin: Origin::Outside,
            })
        })
        .collect()
}

fn containers(stack: &DesiredStack, probe: &Probe, notes: &mut Vec<String>) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (name, service) in &stack.services {
        let Some(instances) = service.instances else { continue };
        let all: Vec<&Container> = probe
            .containers
            .iter()
            .filter(|c| c.project == stack.name.as_str() && c.service == *name && !c.oneoff)
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
                origin: Origin::Outside,
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
                let archive = stack.archives.get(reference).map(|archive| &archive.image_id);
                archive.or_else(|| image_id(probe, reference))
            });
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
                    origin: Origin::Outside,
                });
            }
        }
    }
    differences
}
