//! The stacks of an environment, one after the other, into one Compose document.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::files::{Files, env_file};
use super::values::{ends, list, reference, renamed, take, take_map};
use super::words::{Variables, fill};
use crate::commands::Failure;
use crate::desired::{Body, Desired, DesiredStack};
use crate::names::StackName;
use crate::render::Rendered;

/// One document, and what it cannot say.
pub struct Merged {
    pub document: Map<String, Value>,
    pub notes: Vec<String>,
}

/// What others wait for when they wait for a stack.
type Ready = BTreeMap<String, &'static str>;

const HEALTHY: &str = "service_healthy";
const STARTED: &str = "service_started";
const ENDED: &str = "service_completed_successfully";

/// Merges all stacks.
pub fn merge(desired: &Desired, variables: &Variables) -> Result<Merged, Failure> {
    let mut sections: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut ready: BTreeMap<&StackName, Ready> = BTreeMap::new();
    let mut notes = Vec::new();
    for stack in &desired.stacks {
        let needed: Ready = stack
            .needs
            .iter()
            .filter_map(|need| ready.get(need))
            .flatten()
            .map(|(name, condition)| (name.clone(), *condition))
            .collect();
        let one = Stack::read(stack, variables)?.merged(&needed, &mut notes)?;
        ready.insert(&stack.name, one.ready);
        for (section, entries) in one.sections {
            sections.entry(section).or_default().extend(entries);
        }
    }
    let mut document = Map::new();
    document.insert("name".into(), json!(desired.environment.as_str()));
    for section in ["services", "volumes", "configs", "secrets"] {
        if let Some(entries) = sections.remove(section).filter(|entries| !entries.is_empty()) {
            document.insert(section.into(), Value::Object(entries));
        }
    }
    notes.sort();
    notes.dedup();
    Ok(Merged { document, notes })
}

/// A stack's own document, variables filled in.
struct Stack<'a> {
    stack: &'a DesiredStack,
    env: BTreeMap<String, Rendered>,
    root: Value,
    files: Files<'a>,
    variables: &'a Variables,
}

struct One {
    sections: Vec<(&'static str, Map<String, Value>)>,
    ready: Ready,
}

impl<'a> Stack<'a> {
    fn read(stack: &'a DesiredStack, variables: &'a Variables) -> Result<Self, Failure> {
        let body = |path: &str| stack.files.get(path).map(|file| &file.body);
        let text = match body("compose.yaml") {
            Some(Body::Text(text)) => text.marked(),
            _ => "",
        };
        let env = match body(".env") {
            Some(Body::DotEnv(env)) => env.clone(),
            _ => BTreeMap::new(),
        };
        let mut root: Value = serde_saphyr::from_str(text).map_err(|why| {
            Failure::other(
                format!("failed to read the Compose file of stack `{}`", stack.name),
                why,
            )
        })?;
        let extends = root["services"].as_object().into_iter().flatten();
        if root.get("include").is_some() || extends.into_iter().any(|(_, service)| service.get("extends").is_some()) {
            return Err(Failure::input(
                format!(
                    "stack `{}` uses `include` or `extends`, which name further files",
                    stack.name
                ),
                "write what they bring into its compose.yaml",
            ));
        }
        fill(&mut root, &env, variables);
        Ok(Self {
            stack,
            env,
            root,
            files: Files::new(stack, variables),
            variables,
        })
    }

    fn merged(mut self, needed: &Ready, notes: &mut Vec<String>) -> Result<One, Failure> {
        let services = take(&mut self.root, "services");
        let volumes = take(&mut self.root, "volumes");
        let secrets = take(&mut self.root, "secrets");
        let configs = take(&mut self.root, "configs");
        let (secrets, as_configs) = self.secrets(&secrets)?;
        let conditions: Ready = services
            .iter()
            .map(|(name, service)| (name.clone(), condition(service)))
            .collect();
        let mut ready = Ready::new();
        let mut out = Map::new();
        for (name, service) in services {
            let mut service = match service {
                Value::Object(service) => service,
                other => Map::from_iter([("image".to_owned(), other)]),
            };
            if service.remove("build").is_some() {
                notes.push(format!(
                    "{name} is not built: push its image to a registry that the other machine reaches"
                ));
            }
            for key in ["networks", "container_name", "profiles"] {
                service.remove(key);
            }
            if let Some(count) = self.stack.services.get(&name).and_then(|service| service.instances)
                && count != 1
            {
                service.remove("scale");
                let mut deploy = take_map(service.remove("deploy"));
                deploy.insert("replicas".into(), json!(count));
                service.insert("deploy".into(), Value::Object(deploy));
            }
            let mounts = self.mounts(&mut service, &volumes, &as_configs, &configs)?;
            if !mounts.is_empty() && service.remove("read_only").is_some_and(|value| value == json!(true)) {
                // Compose copies what it mounts of these into the container before it starts.
                notes.push(format!(
                    "{name} cannot be read-only, because its files come with this one"
                ));
            }
            if !mounts.is_empty() {
                service.insert("configs".into(), Value::Array(mounts));
            }
            self.environment(&mut service)?;
            self.order(&name, &mut service, (needed, &conditions), &mut ready, notes);
            out.insert(name, Value::Object(service));
        }
        let volumes = volumes.into_iter().map(|(name, value)| {
            let value = if value.is_null() { json!({}) } else { value };
            (format!("{}_{name}", self.stack.name), value)
        });
        Ok(One {
            sections: vec![
                ("services", out),
                ("volumes", volumes.collect()),
                ("configs", self.files.configs),
                ("secrets", secrets),
            ],
            ready,
        })
    }

    /// Secrets that are one variable stay secrets; all others become configs: their names, and the configs' names or files.
    fn secrets(&mut self, written: &Map<String, Value>) -> Result<(Map<String, Value>, Sources), Failure> {
        let mut secrets = Map::new();
        let mut sources = BTreeMap::new();
        for (name, secret) in written {
            let whole = format!("{}_{name}", self.stack.name);
            let text = |key: &str| secret.get(key).and_then(Value::as_str);
            let source = if let Some(variable) = text("environment") {
                let value = self.env.get(variable).cloned().unwrap_or_else(|| Rendered::new(""));
                match self.variables.single(&value) {
                    Some(variable) => {
                        secrets.insert(whole.clone(), json!({"environment": variable}));
                        Source::Secret(whole)
                    }
                    None => Source::Config(
                        self.files
                            .text(&format!("secrets/{name}"), self.variables.literal(&value)),
                    ),
                }
            } else if let Some(file) = text("file") {
                Source::File(file.to_owned())
            } else {
                secrets.insert(whole.clone(), secret.clone());
                Source::Secret(whole)
            };
            sources.insert(name.clone(), source);
        }
        Ok((secrets, sources))
    }

    /// What a service mounts of the stack's folder, as configs; its volumes under their new names.
    fn mounts(
        &mut self,
        service: &mut Map<String, Value>,
        volumes: &Map<String, Value>,
        secrets: &Sources,
        configs: &Map<String, Value>,
    ) -> Result<Vec<Value>, Failure> {
        let mut mounts = Vec::new();
        let mut kept = Vec::new();
        for volume in list(service.remove("volumes")) {
            let Some((source, target)) = ends(&volume) else {
                kept.push(volume);
                continue;
            };
            if source.starts_with('.') {
                mounts.extend(self.files.mounted(&source, &target)?);
            } else if volumes.contains_key(&source) {
                kept.push(renamed(volume, &source, &format!("{}_{source}", self.stack.name)));
            } else {
                kept.push(volume);
            }
        }
        if !kept.is_empty() {
            service.insert("volumes".into(), Value::Array(kept));
        }
        let mut own = Vec::new();
        for used in list(service.remove("secrets")) {
            let (name, target) = reference(&used, "/run/secrets/");
            match secrets.get(&name) {
                Some(Source::Secret(whole)) => own.push(json!({"source": whole, "target": target})),
                Some(Source::Config(config)) => {
                    mounts.push(json!({"source": config, "target": target, "mode": "0444"}))
                }
                Some(Source::File(file)) => mounts.extend(self.files.mounted(file, &target)?),
                None => own.push(used),
            }
        }
        if !own.is_empty() {
            service.insert("secrets".into(), Value::Array(own));
        }
        for used in list(service.remove("configs")) {
            let (name, target) = reference(&used, "/");
            let written = configs.get(&name);
            let text = |key: &str| written.and_then(|config| config.get(key)).and_then(Value::as_str);
            match (text("file"), text("content")) {
                (Some(file), _) => mounts.extend(self.files.mounted(file, &target)?),
                (None, Some(content)) => {
                    let config = self.files.text(&name, content.to_owned());
                    mounts.push(json!({"source": config, "target": target}));
                }
                (None, None) => {}
            }
        }
        Ok(mounts)
    }

    /// Files of variables into `environment`, which wins over them.
    fn environment(&self, service: &mut Map<String, Value>) -> Result<(), Failure> {
        let Some(files) = service.remove("env_file") else {
            return Ok(());
        };
        let mut all = Map::new();
        for file in list(Some(files)) {
            let path = file
                .as_str()
                .or_else(|| file.get("path").and_then(Value::as_str))
                .unwrap_or_default();
            let path = path.trim_start_matches("./");
            let text = match self.stack.files.get(path).map(|file| &file.body) {
                Some(Body::Text(text)) => self.variables.literal(text),
                Some(Body::Raw(bytes)) => String::from_utf8_lossy(bytes).replace('$', "$$"),
                Some(Body::DotEnv(env)) => env
                    .iter()
                    .filter(|(name, _)| *name != "COMPOSE_FILE")
                    .map(|(name, value)| format!("{name}={}\n", self.variables.literal(value)))
                    .collect(),
                None => continue,
            };
            all.extend(env_file(&text).into_iter().map(|(name, value)| (name, json!(value))));
        }
        match service.remove("environment") {
            Some(Value::Object(own)) => all.extend(own),
            Some(Value::Array(own)) => all.extend(own.iter().filter_map(Value::as_str).filter_map(|line| {
                let (name, value) = line.split_once('=')?;
                Some((name.to_owned(), json!(value)))
            })),
            _ => {}
        }
        service.insert("environment".into(), Value::Object(all));
        Ok(())
    }

    /// Who waits for whom: a stack for those that it needs, its services for its migrations, what runs afterwards for them.
    fn order(
        &self,
        name: &str,
        service: &mut Map<String, Value>,
        (needed, conditions): (&Ready, &Ready),
        ready: &mut Ready,
        notes: &mut Vec<String>,
    ) {
        let jobs = &self.stack.jobs;
        let running = || {
            let services = self.stack.services.iter();
            services
                .filter(|(_, service)| service.instances.is_some())
                .map(|(name, _)| name)
        };
        let mut waits = needed.clone();
        let named = |list: &[String]| list.iter().any(|job| job == name);
        if named(&jobs.once) {
            service.insert("profiles".into(), json!(["once"]));
            notes.push(format!("{name} runs once, by hand: docker compose run --rm {name}"));
            service.insert("restart".into(), json!("no"));
        } else if named(&jobs.before_deploy) {
            service.insert("restart".into(), json!("no"));
        } else if named(&jobs.after_deploy) {
            service.insert("restart".into(), json!("no"));
            waits.extend(running().filter_map(|name| Some((name.clone(), *conditions.get(name)?))));
            ready.insert(name.to_owned(), ENDED);
        } else if self
            .stack
            .services
            .get(name)
            .is_some_and(|service| service.instances.is_none())
        {
            service.insert("profiles".into(), json!(["manual"]));
        } else {
            waits.extend(jobs.before_deploy.iter().map(|job| (job.clone(), ENDED)));
            ready.extend(
                conditions
                    .get_key_value(name)
                    .map(|(name, condition)| (name.clone(), *condition)),
            );
        }
        let mut all = match service.remove("depends_on") {
            Some(Value::Object(own)) => own,
            Some(Value::Array(own)) => own
                .iter()
                .filter_map(Value::as_str)
                .map(|name| (name.to_owned(), json!({"condition": STARTED})))
                .collect(),
            _ => Map::new(),
        };
        for (wait, condition) in waits {
            all.entry(wait).or_insert_with(|| json!({"condition": condition}));
        }
        if !all.is_empty() {
            service.insert("depends_on".into(), Value::Object(all));
        }
    }
}

/// What to wait for at a service.
fn condition(service: &Value) -> &'static str {
    match service.get("healthcheck") {
        Some(check) if check.get("disable") != Some(&json!(true)) => HEALTHY,
        _ => STARTED,
    }
}

/// A stack's secrets by name.
type Sources = BTreeMap<String, Source>;

/// Where a secret's content comes from.
enum Source {
    Secret(String),
    Config(String),
    File(String),
}
