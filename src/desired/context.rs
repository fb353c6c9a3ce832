//! What templates can name: `vars`, `secrets`, `stacks.<name>.url.<key>`, `domain`, `environment`, `machine.address`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Findings;
use super::secrets::item_secret;
use crate::environment::Sources;
use crate::environment::model::{NeededVar, Parameter, Var};
use crate::names::{EnvironmentName, StackName};
use crate::render::{Mark, Rendered, cloud_init};

/// The context of every template of the environment file.
pub struct Context {
    /// The names and their values.
    pub value: Value,
    /// Each stack's parameters, defaults filled in.
    pub parameters: BTreeMap<StackName, BTreeMap<String, Parameter>>,
    /// Each stack's items (`[each.…]`) with name, secret and URL, by the parameter that lists them, for its `.hbs` files.
    pub items: BTreeMap<StackName, BTreeMap<String, Vec<Value>>>,
}

/// What a stack gives to the others.
#[derive(Default)]
struct Offers {
    urls: Map<String, Value>,
    secrets: Map<String, Value>,
    items: BTreeMap<String, Vec<Value>>,
}

impl Context {
    /// Gathers everything that does not depend on the domain.
    pub fn new(findings: &mut Findings<'_>, sources: &Sources, name: &EnvironmentName) -> Self {
        let mut vars = Map::new();
        for (name, var) in &sources.environment.vars {
            let value = match var.get() {
                Var::Value(value) => value,
                Var::Needed(NeededVar { needed }) => {
                    findings.at(
                        var.span(),
                        format!("`{name}` has no value"),
                        format!("add --var {name}=VALUE: {needed}"),
                    );
                    // Stands for itself, so that its absence is told once.
                    name
                }
            };
            vars.insert(name.clone(), json!(value));
        }
        let secrets: Map<String, Value> = super::secrets::names(&super::secrets::sources(sources))
            .filter(|name| !name.contains('.'))
            .map(|name| (name.clone(), json!(Mark::Secret(name).text())))
            .collect();
        let mut context = Self {
            value: json!({
                "environment": name.as_str(),
                "vars": vars,
                "secrets": secrets,
                "machine": {
                    "address": Mark::Address.text(),
                    "docker": match sources.environment.data {
                        Some(_) => cloud_init::DOCKER_ON_VOLUME,
                        None => cloud_init::DOCKER,
                    },
                },
                "stacks": {},
            }),
            parameters: BTreeMap::new(),
            items: BTreeMap::new(),
        };
        for stack in sources.stacks.keys() {
            let parameters = parameters(findings, sources, stack);
            context.parameters.insert(stack.clone(), parameters);
        }
        for stack in sources.stacks.keys() {
            let Offers { urls, secrets, items } = context.offers(findings, sources, stack);
            context.value["stacks"][stack.as_str()] = match secrets.is_empty() {
                true => json!({ "url": urls }),
                false => json!({ "url": urls, "secret": secrets }),
            };
            context.items.insert(stack.clone(), items);
        }
        context
    }

    /// Adds the domain.
    pub fn with_domain(mut self, domain: &Rendered) -> Self {
        self.value["domain"] = json!(domain.marked());
        self
    }

    /// The context of one stack's own templates: everything, and its `parameters` and `items`.
    pub fn of_stack(&self, stack: &StackName) -> Value {
        let mut value = self.value.clone();
        let parameters: Map<String, Value> = self
            .parameters
            .get(stack)
            .into_iter()
            .flatten()
            .map(|(name, parameter)| (name.clone(), parameter_value(parameter)))
            .collect();
        value["parameters"] = Value::Object(parameters);
        let none = BTreeMap::new();
        let items = self.items.get(stack).unwrap_or(&none);
        value["items"] = items.values().flatten().cloned().collect();
        value["items_of"] = json!(items);
        value
    }

    fn offers(&self, findings: &mut Findings<'_>, sources: &Sources, stack: &StackName) -> Offers {
        let mut offers = Offers::default();
        let Some(source) = sources.stacks.get(stack) else {
            return offers;
        };
        let manifest = &source.manifest;
        let context = self.of_stack(stack);
        for (parameter, each) in &manifest.each {
            let Some(Parameter::List(names)) = self.parameters.get(stack).and_then(|all| all.get(parameter)) else {
                continue;
            };
            let items = offers.items.entry(parameter.clone()).or_default();
            for name in names {
                let mut context = context.clone();
                context["item"] = json!(name);
                let secret = Mark::Secret(item_secret(stack, name)).text();
                if each.secret.is_some() {
                    context["secret"] = json!(secret);
                    offers.secrets.insert(name.clone(), json!(secret));
                }
                let mut item = json!({"name": name, "secret": secret});
                if let Some(url) = &each.url
                    && let Some(rendered) = findings.render(&source.manifest_source, url, &context)
                {
                    offers.urls.insert(name.clone(), json!(rendered.marked()));
                    item["url"] = json!(rendered.marked());
                }
                items.push(item);
            }
        }
        for (name, url) in &manifest.urls {
            if let Some(rendered) = findings.render(&source.manifest_source, url, &context) {
                offers.urls.insert(name.clone(), json!(rendered.marked()));
            }
        }
        offers
    }
}

fn parameter_value(parameter: &Parameter) -> Value {
    match parameter {
        Parameter::Integer(number) => json!(number),
        Parameter::Boolean(yes) => json!(yes),
        Parameter::Text(text) => json!(text),
        Parameter::List(items) => json!(items),
    }
}

/// The parameters of a stack: the environment's values over the manifest's defaults, each of the declared type.
fn parameters(findings: &mut Findings<'_>, sources: &Sources, stack: &StackName) -> BTreeMap<String, Parameter> {
    let (Some(source), Some(written)) = (
        sources.stacks.get(stack),
        sources
            .environment
            .stacks
            .iter()
            .find(|(name, _)| name.get() == stack.as_str()),
    ) else {
        return BTreeMap::new();
    };
    let written = &written.1.parameters;
    let declared = &source.manifest.parameters;
    let mut parameters = BTreeMap::new();
    for (name, value) in written {
        let span = findings.file.span_of(&["stacks", stack.as_str(), name]);
        let Some(declaration) = declared.get(name) else {
            let known: Vec<&str> = ["path", "files", "env", "scale", "allow"]
                .into_iter()
                .chain(declared.keys().map(String::as_str))
                .collect();
            let help = match crate::environment::nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? known: {}", known.join(", ")),
                None => format!("known: {}", known.join(", ")),
            };
            findings.at(span, format!("stack `{stack}` has no parameter `{name}`"), help);
            continue;
        };
        let kind = declaration.kind();
        if crate::environment::manifest::ParameterKind::of(value) == kind {
            parameters.insert(name.clone(), value.clone());
        } else {
            findings.at(
                span,
                format!("parameter `{name}` of stack `{stack}` must be {}", kind.words()),
                &declaration.help,
            );
        }
    }
    for (name, declaration) in declared {
        if written.contains_key(name) {
            continue;
        }
        match &declaration.default {
            Some(default) => {
                parameters.insert(name.clone(), default.get().clone());
            }
            None => {
                let span = findings.file.span_of(&["stacks", stack.as_str()]);
                findings.at(
                    span,
                    format!("stack `{stack}` needs the parameter `{name}`"),
                    &declaration.help,
                );
            }
        }
    }
    let mut taken: BTreeMap<&str, &str> = BTreeMap::new();
    for (parameter, value) in &parameters {
        if let (Parameter::List(items), true) = (value, source.manifest.each.contains_key(parameter)) {
            check_items(findings, stack, parameter, items);
            for item in items {
                match taken.insert(item, parameter) {
                    Some(other) if other != parameter => findings.at(
                        findings.file.span_of(&["stacks", stack.as_str(), parameter]),
                        format!("`{item}` stands in `{other}` and in `{parameter}`"),
                        "each becomes a user with a secret of its own: use different names",
                    ),
                    _ => {}
                }
            }
        }
    }
    parameters
}

/// Items become names of databases, users, secrets and URLs: they must be plain and different from each other.
fn check_items(findings: &mut Findings<'_>, stack: &StackName, parameter: &str, items: &[String]) {
    let span = findings.file.span_of(&["stacks", stack.as_str(), parameter]);
    for (index, item) in items.iter().enumerate() {
        let plain = item.len() <= 40
            && item.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && item
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !plain {
            findings.at(
                span.clone(),
                format!("`{item}` cannot be one of `{parameter}`"),
                "use 1 to 40 lower-case letters, digits and `_`, beginning with a letter",
            );
        }
        if items.iter().take(index).any(|other| other == item) {
            findings.at(
                span.clone(),
                format!("`{item}` stands twice in `{parameter}`"),
                "leave one of them out",
            );
        }
    }
}
