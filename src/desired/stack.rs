//! One stack's folder, variables and services to what goes to the host.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::context::Context;
use super::order::order;
use super::walls::{self, Grants};
use super::{ArchiveRef, Body, DesiredFile, DesiredService, DesiredStack, Findings, Given, Jobs, Users};
use crate::environment::Sources;
use crate::environment::compose::{Compose, Service};
use crate::environment::diagnostic::Problem;
use crate::environment::model::Spanned;
use crate::environment::stack::StackSource;
use crate::names::{Digest, StackName};
use crate::render::compose::{OVERRIDE, ServiceOverride, compose_override};
use crate::render::{Rendered, render};

/// The stack's own Compose file.
const COMPOSE: &str = "compose.yaml";

/// Compose's variables.
const DOT_ENV: &str = ".env";

/// Files with secrets: only root reads them.
pub const SECRET: u32 = 0o600;

/// All stacks in the order in which they come up; none when something is wrong, which is said.
pub fn stacks(
    findings: &mut Findings<'_>,
    sources: &Sources,
    context: &Context,
    given: &Given<'_>,
    network: &str,
    grants: &Grants,
) -> Option<Vec<DesiredStack>> {
    let before = findings.problems.len();
    let stacks: Vec<DesiredStack> = order(findings, sources)
        .into_iter()
        .filter_map(|(name, needs)| one(findings, sources, context, given, network, grants, (&name, needs)))
        .collect();
    unused_images(findings, sources);
    (findings.problems.len() == before).then_some(stacks)
}

fn one(
    findings: &mut Findings<'_>,
    sources: &Sources,
    context: &Context,
    given: &Given<'_>,
    network: &str,
    grants: &Grants,
    (name, needs): (&StackName, BTreeSet<StackName>),
) -> Option<DesiredStack> {
    let source = sources.stacks.get(name)?;
    let stack_context = context.of_stack(name);
    let mut files = own_files(findings, source, &stack_context);
    let dot_env = dot_env(findings, sources, source, &stack_context);
    unset_variables(findings, source, &dot_env);
    files.insert(DOT_ENV.into(), dot_env);
    let granted = grants.get(name).cloned().unwrap_or_default();
    walls::check(findings, source, &files, &granted);
    let jobs = jobs(source);
    let scale = scale(findings, sources, source);
    let overrides = overrides(source, &files, &scale, given);
    let text = findings.template(compose_override(given.name, name, network, &overrides))?;
    files.insert(
        OVERRIDE.into(),
        DesiredFile {
            body: Body::Text(Rendered::new(text)),
            mode: 0o644,
        },
    );
    Some(DesiredStack {
        name: name.clone(),
        needs,
        services: services(&source.compose, &jobs, &scale),
        archives: archives(sources, &source.compose),
        secrets: users(&source.compose, &files),
        granted,
        files,
        jobs,
    })
}

/// The folder's files; those that end in `.hbs` are rendered.
fn own_files(findings: &mut Findings<'_>, source: &StackSource, context: &Value) -> BTreeMap<String, DesiredFile> {
    let mut files = BTreeMap::new();
    for (path, file) in &source.files {
        let mode = if file.executable { 0o755 } else { 0o644 };
        let text = std::str::from_utf8(&file.bytes).ok();
        let (path, desired) = match (path.strip_suffix(".hbs"), text) {
            (Some(target), Some(text)) => match render(text, context) {
                Ok(rendered) => {
                    let mode = if rendered.is_secret() { SECRET } else { mode };
                    (
                        target,
                        DesiredFile {
                            body: Body::Text(rendered),
                            mode,
                        },
                    )
                }
                Err(error) => {
                    let line = error.place.map_or(1, |(line, _)| line);
                    findings.say(
                        Problem::new(format!("stack `{}`, {path}, line {line}: {}", source.name, error.what))
                            .help(error.help.unwrap_or_else(|| "see the template".into())),
                    );
                    continue;
                }
            },
            (None, Some(text)) if *path == source.compose_file => (
                COMPOSE,
                DesiredFile {
                    body: Body::Text(Rendered::new(text)),
                    mode: 0o644,
                },
            ),
            _ => (
                path.as_str(),
                DesiredFile {
                    body: Body::Raw(file.bytes.clone()),
                    mode,
                },
            ),
        };
        files.insert(path.to_owned(), desired);
    }
    files
}

/// The stack's variables: its manifest's, then the environment's, which win. `COMPOSE_FILE` lets a person on the host type
/// `docker compose ps` in the folder and mean the same project.
fn dot_env(findings: &mut Findings<'_>, sources: &Sources, source: &StackSource, context: &Value) -> DesiredFile {
    let mut variables = BTreeMap::from([(
        "COMPOSE_FILE".to_owned(),
        Rendered::new(format!("{COMPOSE}:{OVERRIDE}")),
    )]);
    let written = sources
        .environment
        .stacks
        .iter()
        .find(|(name, _)| name.get() == source.name.as_str());
    let written = written.map(|(_, stack)| &stack.env);
    // A default that the environment replaces is not rendered: it may name a stack that is not there.
    let replaced = |name: &String| written.is_some_and(|env| env.keys().any(|key| key.get() == name));
    for (name, text) in source.manifest.env.iter().filter(|(name, _)| !replaced(name)) {
        if let Some(rendered) = findings.render(&source.manifest_source, text, context) {
            variables.insert(name.clone(), rendered);
        }
    }
    for (name, text) in written.into_iter().flatten() {
        if !is_variable(name.get()) {
            findings.at(
                name.span(),
                format!("`{}` is not the name of an environment variable", name.get()),
                "use letters, digits and `_`, not beginning with a digit",
            );
        } else if name.get().starts_with("COMPOSE_") {
            findings.at(
                name.span(),
                format!("`{}` steers Compose itself", name.get()),
                "use another name",
            );
        } else if let Some(rendered) = findings.render(findings.file, text, context) {
            variables.insert(name.get().clone(), rendered);
        }
    }
    DesiredFile {
        body: Body::DotEnv(variables),
        mode: SECRET,
    }
}

/// Variables that the Compose file needs and nobody sets: Docker would make them empty texts, or stop half-way through an
/// apply.
fn unset_variables(findings: &mut Findings<'_>, source: &StackSource, dot_env: &DesiredFile) {
    let Body::DotEnv(set) = &dot_env.body else { return };
    let mut told = BTreeSet::new();
    for variable in &source.compose.variables {
        let name = &variable.name;
        // A text that did not render was told; Compose sets its project name itself.
        let asked = source.manifest.env.contains_key(name);
        let known = set.contains_key(name) || asked || name == "COMPOSE_PROJECT_NAME";
        if variable.required && !known && told.insert(name) {
            findings.say(
                variable
                    .place
                    .says(format!("nothing sets the variable {name}"))
                    .help(format!(
                        "set it with `env = {{ {name} = \"…\" }}` in [stacks.{}], in [env] of stack.toml, or give it a default: ${{{name}:-…}}",
                        source.name
                    )),
            );
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn jobs(source: &StackSource) -> Jobs {
    let manifest = &source.manifest.jobs;
    let names = |jobs: &[Spanned<String>]| jobs.iter().map(|job| job.get().clone()).collect();
    Jobs {
        before_deploy: names(&manifest.before_deploy),
        after_deploy: names(&manifest.after_deploy),
        once: names(&manifest.once),
    }
}

fn scale(findings: &mut Findings<'_>, sources: &Sources, source: &StackSource) -> BTreeMap<String, u32> {
    let written = sources
        .environment
        .stacks
        .iter()
        .find(|(name, _)| name.get() == source.name.as_str());
    let mut scale = BTreeMap::new();
    for (service, count) in written.into_iter().flat_map(|(_, stack)| &stack.scale) {
        let Some(found) = source.compose.services.get(service.get()) else {
            let known: Vec<&str> = source.compose.services.keys().map(String::as_str).collect();
            findings.at(
                service.span(),
                format!("stack `{}` has no service `{}` to scale", source.name, service.get()),
                format!("it has: {}", known.join(", ")),
            );
            continue;
        };
        if let (Some(name), 2..) = (&found.container_name, *count.get()) {
            findings.at(
                count.span(),
                format!(
                    "`{}` is always the container `{}`, and of that there can be only one",
                    service.get(),
                    name.get()
                ),
                "take `container_name` out of its Compose file: services are found by their own names",
            );
        } else if *count.get() > 100 {
            findings.at(
                count.span(),
                format!("{} instances on one machine", count.get()),
                "use 0 to 100",
            );
        } else {
            scale.insert(service.get().clone(), *count.get());
        }
    }
    scale
}

fn overrides(
    source: &StackSource,
    files: &BTreeMap<String, DesiredFile>,
    scale: &BTreeMap<String, u32>,
    given: &Given<'_>,
) -> BTreeMap<String, ServiceOverride> {
    source
        .compose
        .services
        .keys()
        .map(|name| {
            let mounted = seen_files(&source.compose, name, files)
                .into_iter()
                .filter_map(|path| files.get(path).map(|file| (path, file)))
                .map(|(path, file)| format!("{} {path}\n", file.fingerprint(given.bindings)));
            // What Compose copies into a container out of a variable is not in the configuration that it compares.
            let copied = copied_values(&source.compose, name, files)
                .into_iter()
                .map(|(variable, value)| format!("{} ${variable}\n", Digest::of(value.fingerprinted(given.bindings))));
            let lines: String = mounted.chain(copied).collect();
            let digest = (!lines.is_empty()).then(|| Digest::of(lines));
            (
                name.clone(),
                ServiceOverride {
                    files: digest,
                    scale: scale.get(name).copied(),
                },
            )
        })
        .collect()
}

/// The stack's files that a service sees: bind mounts of relative paths, files of variables, and the files behind the Compose
/// secrets and configs that it uses.
fn seen_files<'a>(compose: &Compose, service: &str, files: &'a BTreeMap<String, DesiredFile>) -> BTreeSet<&'a String> {
    let Some(service) = compose.services.get(service) else {
        return BTreeSet::new();
    };
    let roots: Vec<&str> = service
        .relative_binds()
        .chain(&service.env_files)
        .chain(used(&compose.secret_files, &service.secrets))
        .chain(used(&compose.config_files, &service.configs))
        .map(|path| path.get().trim_start_matches("./").trim_end_matches('/'))
        .collect();
    let under = |path: &str, root: &str| {
        matches!(root, "" | ".")
            || path
                .strip_prefix(root)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    files
        .keys()
        .filter(|path| roots.iter().any(|root| under(path, root)))
        .collect()
}

/// The variables behind the Compose secrets and configs that a service uses, with what `.env` gives them.
fn copied_values<'a>(
    compose: &'a Compose,
    service: &str,
    files: &'a BTreeMap<String, DesiredFile>,
) -> BTreeMap<&'a String, &'a Rendered> {
    let (Some(service), Some(Body::DotEnv(values))) =
        (compose.services.get(service), files.get(DOT_ENV).map(|file| &file.body))
    else {
        return BTreeMap::new();
    };
    used(&compose.secret_variables, &service.secrets)
        .chain(used(&compose.config_variables, &service.configs))
        .filter_map(|variable| values.get_key_value(variable.get()))
        .collect()
}

fn used<'c>(
    list: &'c [(String, Spanned<String>)],
    names: &BTreeSet<String>,
) -> impl Iterator<Item = &'c Spanned<String>> {
    let used = list.iter().filter(move |(name, _)| names.contains(name));
    used.map(|(_, from)| from)
}

/// Who uses each secret of a stack: through a file that a service sees, or a variable that its part of the Compose file names.
fn users(compose: &Compose, files: &BTreeMap<String, DesiredFile>) -> BTreeMap<String, Users> {
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for secret in files.values().flat_map(DesiredFile::secret_names) {
        users.entry(secret).or_default();
    }
    for (name, service) in &compose.services {
        let seen = seen_files(compose, name, files);
        let seen = seen
            .into_iter()
            .filter_map(|path| files.get(path))
            .flat_map(DesiredFile::secret_names);
        let named = service
            .variables
            .iter()
            .flat_map(|variable| secrets_of(files, variable));
        let copied = copied_values(compose, name, files);
        let copied = copied.into_values().flat_map(Rendered::secret_names);
        for secret in seen.chain(named).chain(copied) {
            users.entry(secret).or_default().insert(name.clone());
        }
    }
    for variable in &compose.shared_variables {
        shared.extend(secrets_of(files, variable));
    }
    users
        .into_iter()
        .map(
            |(secret, services)| match services.is_empty() || shared.contains(&secret) {
                true => (secret, Users::Stack),
                false => (secret, Users::Services(services)),
            },
        )
        .collect()
}

/// The secrets in the value of a variable of `.env`.
fn secrets_of(files: &BTreeMap<String, DesiredFile>, variable: &str) -> Vec<String> {
    match files.get(DOT_ENV).map(|file| &file.body) {
        Some(Body::DotEnv(variables)) => variables
            .get(variable)
            .into_iter()
            .flat_map(Rendered::secret_names)
            .collect(),
        _ => Vec::new(),
    }
}

fn image_of(service: &Service) -> Option<String> {
    service.image.as_ref().map(|image| image.get().clone())
}

fn services(compose: &Compose, jobs: &Jobs, scale: &BTreeMap<String, u32>) -> BTreeMap<String, DesiredService> {
    let Jobs {
        before_deploy,
        after_deploy,
        once,
    } = jobs;
    let is_job = |name: &String| before_deploy.contains(name) || after_deploy.contains(name) || once.contains(name);
    compose
        .services
        .iter()
        .map(|(name, service)| {
            let instances = match is_job(name) || !service.profiles.is_empty() {
                true => None,
                false => Some(scale.get(name).copied().or(service.replicas).unwrap_or(1)),
            };
            let may_end = matches!(service.restart.as_deref(), None | Some("no" | "on-failure"));
            (
                name.clone(),
                DesiredService {
                    image: image_of(service),
                    instances,
                    may_end,
                    after: service.depends_on.iter().map(|other| other.get().clone()).collect(),
                    volumes: service.volumes.clone(),
                    networks: service.networks.iter().map(|network| network.get().clone()).collect(),
                },
            )
        })
        .collect()
}

fn archives(sources: &Sources, compose: &Compose) -> BTreeMap<String, ArchiveRef> {
    compose
        .services
        .values()
        .filter_map(image_of)
        .filter_map(|image| archive(sources, &image))
        .collect()
}

/// The archive of an image that no registry serves.
pub fn archive(sources: &Sources, image: &str) -> Option<(String, ArchiveRef)> {
    let archive = sources.images.get(image)?;
    let reference = ArchiveRef {
        path: archive.path.clone(),
        bytes: archive.bytes,
        image_id: archive.image_id.clone(),
    };
    Some((image.to_owned(), reference))
}

fn unused_images(findings: &mut Findings<'_>, sources: &Sources) {
    let used: BTreeSet<&str> = sources
        .stacks
        .values()
        .flat_map(|stack| stack.compose.services.values())
        .filter_map(|service| service.image.as_ref().map(|image| image.get().as_str()))
        .chain([super::edge::IMAGE])
        .collect();
    for reference in sources.environment.images.keys() {
        if !used.contains(reference.get().as_str()) {
            let help = match crate::environment::nearest(reference.get(), used.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("images in use: {}", used.iter().copied().collect::<Vec<_>>().join(", ")),
            };
            findings.at(
                reference.span(),
                format!("no service uses the image `{}`", reference.get()),
                help,
            );
        }
    }
}
