//! The stacks and the edge, which is a stack whose configuration is reloaded with proof.

mod look;

use std::collections::BTreeMap;

pub(super) use look::impostors;
use look::{Look, exposed};

use super::machine::Host;
use super::secrets;
use super::seen::{self, CONFIG};
use super::{Action, Change, Difference, Options, Origin, Plan, Release, Step};
use crate::desired::{Body, Desired, DesiredService, DesiredStack, normal_image};
use crate::names::{Address, Digest, StackName};
use crate::observe::Observed;
use crate::provider::Walls;
use crate::remote::probe::Probe;
use crate::render::Bindings;
use crate::state::{Record, State, Status};

/// Where the stacks' folders are on a host.
pub const STACKS: &str = "/opt/provision/stacks";

/// Who owns all that we put on a host.
pub const OWNER: &str = "root:root";

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
    let walls = desired.instance.spec.existing().map(|existing| existing.firewall);
    if let Some(probe) = probe.filter(|_| walls != Some(Walls::Stacks)) {
        exposed(desired, state, probe, &mut plan.notes);
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
    let mut facts = match (record, host) {
        (Some(record), Host::Stays | Host::Moves | Host::NewWithOldData) => record.facts.clone(),
        (_, Host::New) | (None, _) => BTreeMap::new(),
    };
    // A deploy makes another host of it, which is looked at once it has come to its end.
    facts.retain(|fact, _| !seen::is_seen(address, fact) && !fact.starts_with(CONFIG));
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
                retag: BTreeMap::new(),
                aside: probe.map_or_else(Vec::new, |probe| impostors(stack, None, probe)),
                edge,
                recreate: false,
            })),
            attributes: wanted,
            facts,
        });
        return;
    };

    let mut differences = secrets::rotated(stack, record, &wanted);
    let rotated = !differences.is_empty();
    differences.extend(written(record, &wanted).into_iter().filter(|difference| {
        // The labels follow the secrets, and who is made anew has been said.
        !(rotated && secrets::is_label_alone(difference))
    }));
    differences.extend(once.iter().map(|job| Difference {
        subject: format!("job {job}"),
        old: Some("never ran".into()),
        new: Some("runs once".into()),
        origin: Origin::Files,
    }));
    let changed = !differences.is_empty();
    let mut retag = BTreeMap::new();
    let mut aside = Vec::new();
    if let Some(probe) = probe {
        let look = Look {
            stack,
            record,
            probe,
            now: seen::stack(&stack.name, record, probe),
        };
        differences.extend(look.files(desired, changed));
        differences.extend(look.images());
        retag = look.retag();
        aside = impostors(stack, Some(record), probe);
        let seen = look.containers(&retag, &aside, &mut plan.notes);
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
            retag,
            aside,
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
    attributes.extend(secrets::fingerprints(stack, known));
    attributes
}

fn shown(stack: &DesiredStack) -> Vec<(String, String)> {
    let mut shown = Vec::new();
    for (name, service) in &stack.services {
        let DesiredService {
            image,
            instances,
            may_end: _,
            after: _,
            volumes: _,
            networks: _,
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
        .filter(|name| *name != "written" && !name.starts_with(secrets::PREFIX))
        .filter(|name| record.attributes.get(*name) != wanted.get(*name))
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

/// The image that a name leads to on a host.
pub fn image_id<'a>(probe: &'a Probe, reference: &str) -> Option<&'a String> {
    let wanted = normal_image(reference);
    probe
        .images
        .iter()
        .find(|image| image.tags.iter().any(|tag| normal_image(tag) == wanted))
        .map(|image| &image.id)
}
