//! `Environment` to `Desired`: every check, every default, every template. All problems at once; no I/O.

mod aws;
mod cloud;
mod context;
mod digitalocean;
mod edge;
mod existing;
mod machine;
mod memory;
mod model;
mod order;
mod routes;
pub mod secrets;
mod stack;
#[cfg(test)]
mod tests;
mod tls;
pub mod walls;

pub use edge::url;
pub use machine::absolute;
pub use memory::MemoryPlan;
pub use model::{
    ArchiveRef, Body, Desired, DesiredBase, DesiredEdge, DesiredFile, DesiredInstance, DesiredService, DesiredStack,
    Jobs, Users,
};

use std::collections::BTreeSet;

pub use crate::environment::image::normal as normal_image;
pub use crate::environment::model::Power;

use crate::environment::Sources;
use crate::environment::diagnostic::{Problem, Problems, Source};
use crate::environment::model::{Machine, Text};
use crate::names::{EnvironmentName, Lineage};
use crate::provider::{InstanceSpec, Walls};
use crate::render::{Bindings, Mark, RenderError, Rendered, cloud_init, render};

/// The bytes of an ed25519 private key inside a JSON string, with room to spare.
const HOST_KEY: usize = 512;

/// What is known beside the files.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    /// The environment's name.
    pub name: &'a EnvironmentName,
    /// Its lineage; names the machine.
    pub lineage: &'a Lineage,
    /// Public keys that may log in, ours first.
    pub authorized_keys: &'a [String],
    /// The public half of the SSH host key of a first boot.
    pub host_key_public: &'a str,
    /// Secrets, the machine's address: as far as they are known.
    pub bindings: &'a Bindings,
}

/// Works out what shall be.
///
/// # Errors
/// Everything that is wrong with what was written, in one go.
pub fn desire(sources: &Sources, given: &Given<'_>) -> Result<Desired, Problems> {
    let mut findings = Findings {
        file: &sources.file,
        problems: sources.mistakes.clone(),
    };
    let environment = &sources.environment;

    authorized_keys(&mut findings, sources);
    let network = network(&mut findings, &environment.network);
    let public_key = given.authorized_keys.first().map(String::as_str).unwrap_or_default();
    let mut instance_spec = machine::spec(&mut findings, sources, public_key);
    let context = context::Context::new(&mut findings, sources, given.name);
    let domain = match &environment.domain {
        Some(text) => host_name(&mut findings, text, &context),
        None => Rendered::new(Mark::Address.text()),
    };
    let context = context.with_domain(&domain);
    let grants = walls::grants(&mut findings, sources);
    let open: BTreeSet<String> = grants
        .values()
        .flat_map(|stack| stack.values().flat_map(walls::Grant::walls))
        .collect();
    if let Some(spec) = &mut instance_spec {
        spec.open(&open);
    }
    let stacks = stack::stacks(&mut findings, sources, &context, given, &network, &grants);
    let edge = edge::edge(&mut findings, sources, &context, given, &network, &domain);
    let memory = memory::plan(
        &mut findings,
        sources,
        stacks.as_deref().unwrap_or_default(),
        edge.as_ref(),
        instance_spec.as_ref(),
    );
    let hosts = edge.iter().flat_map(|edge| edge.routes.iter().map(|route| &route.host));
    let dns = cloud::dns(&mut findings, sources, &domain, hosts);
    if let Some(spec) = &mut instance_spec {
        spec.dns = dns;
    }
    findings.clashes(sources);
    let base = cloud_init::Base {
        data_volume: environment.data.is_some(),
        network: &network,
        authorized_keys: given.authorized_keys,
        open: &open,
        existing: existing(instance_spec.as_ref(), given.name),
    };
    let script = findings.template(cloud_init::converge(&base));
    let hostname = format!("{}-{}", given.name, given.lineage.short());
    let user_data = findings.template(cloud_init::user_data(
        &hostname,
        &base,
        given.host_key_public,
        script.as_deref().unwrap_or_default(),
        instance_spec.as_ref().and_then(|spec| spec.ttl_seconds),
    ));
    if user_data
        .as_ref()
        .is_some_and(|text| text.marked().len() + HOST_KEY > cloud_init::USER_DATA_MAX)
    {
        let span = findings.file.span_of(&["access", "authorized_keys"]);
        findings.at(
            span,
            "these keys are too long for a machine's user-data, which may have 16 KiB",
            "use ed25519 keys, or fewer of them",
        );
    }
    let first_boot_base = cloud_init::Base {
        authorized_keys: &[],
        ..base
    };
    let first_boot = findings.template(cloud_init::user_data(&hostname, &first_boot_base, "", "", None));

    Problems::check(findings.problems)?;
    // Whatever is missing here has been reported above, so the check has returned already.
    let (Some(spec), Some(script), Some(user_data), Some(first_boot), Some(stacks)) =
        (instance_spec, script, user_data, first_boot, stacks)
    else {
        return Err(Problem::new("the environment could not be worked out").into());
    };
    let spec_is_existing = spec.existing().is_some();
    Ok(Desired {
        environment: given.name.clone(),
        protect: environment.protect,
        domain,
        network,
        instance: DesiredInstance {
            spec,
            // A host that was there before has had its first boot.
            user_data: match spec_is_existing {
                true => Rendered::new(""),
                false => user_data,
            },
            first_boot: crate::names::Digest::of(first_boot.marked()),
        },
        base: DesiredBase { script },
        stacks,
        edge,
        memory,
        bindings: given.bindings.clone(),
    })
}

/// Collects problems, so that one run tells them all.
struct Findings<'a> {
    file: &'a Source,
    problems: Vec<Problem>,
}

impl Findings<'_> {
    fn say(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// A problem in the environment file.
    fn at(&mut self, span: std::ops::Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        self.problems
            .push(Problem::at(self.file, span).says(message).help(help));
    }

    /// Renders a text of the environment file or of a manifest; a mistake is told at its line.
    fn render(&mut self, source: &Source, text: &Text, context: &serde_json::Value) -> Option<Rendered> {
        render(text.get(), context)
            .map_err(|error| {
                let span = line_of(source, text.span(), &error);
                let problem = Problem::at(source, span).says(&error.what);
                self.say(match error.help {
                    Some(help) => problem.help(help),
                    None => problem,
                });
            })
            .ok()
    }

    /// A template of this repository: broken only by a bug of ours.
    fn template<T>(&mut self, result: Result<T, RenderError>) -> Option<T> {
        result
            .map_err(|error| self.say(Problem::new(format!("a built-in template is broken (a bug): {error}"))))
            .ok()
    }

    /// Two services of one name on the shared network would answer in turns.
    fn clashes(&mut self, sources: &Sources) {
        let mut owners: std::collections::BTreeMap<&str, &str> = std::collections::BTreeMap::new();
        for (name, stack) in &sources.stacks {
            for service in stack.compose.services.keys() {
                if let Some(other) = owners.insert(service, name.as_str()) {
                    let span = self.file.span_of(&["stacks", name.as_str()]);
                    self.at(
                        span,
                        format!("stacks `{other}` and `{name}` both have a service `{service}`"),
                        "services find each other by name on the shared network: rename one of them",
                    );
                }
            }
        }
    }
}

/// The line of a (possibly multi-line) text that an error speaks of.
fn line_of(source: &Source, span: std::ops::Range<usize>, error: &RenderError) -> std::ops::Range<usize> {
    let Some((line, _)) = error.place.filter(|(line, _)| *line > 1) else {
        return span;
    };
    let Some(text) = source.text.get(span.clone()) else {
        return span;
    };
    // A multi-line string begins with its quotes, and a line end right behind them is not part of it.
    let skipped = usize::from(text.starts_with("\"\"\"\n") || text.starts_with("'''\n"));
    let mut start = span.start;
    for (index, part) in text.split_inclusive('\n').enumerate() {
        if index == line - 1 + skipped {
            return start..start + part.trim_end().len();
        }
        start += part.len();
    }
    span
}

fn authorized_keys(findings: &mut Findings<'_>, sources: &Sources) {
    for key in &sources.environment.access.authorized_keys {
        if key.get().contains('\n') || ssh_key::PublicKey::from_openssh(key.get()).is_err() {
            findings.at(
                key.span(),
                "this is not a public SSH key",
                "write one line of a .pub file: ssh-ed25519 AAAA… name",
            );
        }
    }
}

fn network(findings: &mut Findings<'_>, text: &Text) -> String {
    let name = text.get();
    let good = name.len() <= 63
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
    if !good {
        findings.at(
            text.span(),
            format!("`{name}` is not the name of a Docker network"),
            "use letters, digits, `_`, `.` and `-`, beginning with a letter or digit",
        );
    }
    name.clone()
}

fn host_name(findings: &mut Findings<'_>, text: &Text, context: &context::Context) -> Rendered {
    let Some(rendered) = findings.render(findings.file, text, &context.value) else {
        return Rendered::new("");
    };
    if rendered.is_secret() {
        findings.at(
            text.span(),
            "a host name cannot hold a secret",
            "host names are public; use a variable",
        );
    } else if !is_host(&rendered) {
        findings.at(
            text.span(),
            format!("`{}` is not a host name", rendered.shown(&Bindings::default())),
            "write a name such as shop.example.com, without https:// and without a path",
        );
    }
    rendered
}

/// Whether a text can stand as a host name (RFC 1123); the machine's address counts as one.
fn is_host(rendered: &Rendered) -> bool {
    let text = rendered.marked().replace(&Mark::Address.text(), "address");
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

/// What the base state of a host depends on that was there before.
fn existing<'a>(spec: Option<&'a InstanceSpec>, name: &'a EnvironmentName) -> Option<cloud_init::Existing<'a>> {
    let ssh = spec?.existing()?;
    Some(cloud_init::Existing {
        environment: name.as_str(),
        login: &ssh.user,
        whole: ssh.firewall == Walls::Host,
    })
}

/// Whether the machine is a virtual machine on this computer.
fn is_local(machine: &Machine) -> bool {
    match machine {
        Machine::Local(_) => true,
        Machine::Aws(_) | Machine::DigitalOcean(_) | Machine::Ssh(_) => false,
    }
}
