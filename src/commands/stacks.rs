//! `provision stacks`: the stacks that there are, and what one of them can be told, needs and offers.

use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::Failure;
use super::terminal::print;
use crate::cli;
use crate::environment::diagnostic::{Problems, Source};
use crate::environment::find_root;
use crate::environment::manifest::{Declaration, Manifest};
use crate::environment::model::{Parameter, Spanned};
use crate::environment::stack::{StackOrigin, StackSource, built_in, load_stack};
use crate::names::StackName;

/// Lists them, or tells one.
pub fn run(directory: &Path, args: &cli::Stacks) -> Result<(), Failure> {
    let start = std::path::absolute(directory)
        .map_err(|why| Failure::other(format!("failed to find {}", directory.display()), why))?;
    let root = find_root(&start).unwrap_or(start);
    if let Some(name) = &args.name {
        let stack = load(&root, name)?;
        return match args.json {
            true => print(&format!("{:#}\n", document(&stack))),
            false => print(&told(&stack)),
        };
    }
    let mut names: Vec<StackName> = built_in().iter().filter_map(|name| name.parse().ok()).collect();
    // A folder that cannot be listed holds no stack that could be used.
    let own = std::fs::read_dir(root.join("compose")).into_iter().flatten().flatten();
    names.extend(own.filter_map(|entry| entry.file_name().to_str()?.parse::<StackName>().ok()));
    names.sort();
    names.dedup();
    let stacks = names
        .iter()
        .filter(|name| has_compose_file(&root, name))
        .map(|name| load(&root, name))
        .collect::<Result<Vec<_>, _>>()?;
    match args.json {
        true => print(&format!("{:#}\n", Value::from_iter(stacks.iter().map(document)))),
        false => print(&list(&stacks)),
    }
}

/// A folder in `compose/` may be something else than a stack.
fn has_compose_file(root: &Path, name: &StackName) -> bool {
    let folder = root.join("compose").join(name.as_str());
    !folder.is_dir()
        || ["compose", "docker-compose"].iter().any(|file| {
            ["yaml", "yml"]
                .iter()
                .any(|end| folder.join(format!("{file}.{end}")).is_file())
        })
}

fn load(root: &Path, name: &StackName) -> Result<StackSource, Failure> {
    let asked = Source::new("the command line", name.as_str());
    let place = asked.at(0..name.as_str().len());
    let stack = load_stack(name, None, None, root, &place)?;
    Problems::check(stack.mistakes.clone())?;
    Ok(stack)
}

fn list(stacks: &[StackSource]) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["stack", "memory", "what"]);
    for stack in stacks {
        let memory = stack.manifest.memory_mib.map(|mib| format!("{mib} MiB"));
        table.add_row([
            stack.name.to_string(),
            memory.unwrap_or_default(),
            stack.manifest.description.clone(),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

fn told(stack: &StackSource) -> String {
    let name = &stack.name;
    let Manifest {
        description,
        memory_mib,
        requires,
        parameters,
        secrets,
        env: _,
        each,
        urls,
        admin,
        jobs,
        backup,
    } = &stack.manifest;
    let mut out = format!("{name}: {description}\n");
    let mut say = |head: &str, lines: Vec<String>| {
        for (index, line) in lines.iter().enumerate() {
            out.push_str(&format!("{:<10}  {line}\n", if index == 0 { head } else { "" }));
        }
    };
    if let StackOrigin::Folder(path) = &stack.origin {
        say("from", vec![path.display().to_string()]);
    }
    say("memory", memory_mib.iter().map(|mib| format!("{mib} MiB")).collect());
    say(
        "needs",
        requires
            .iter()
            .map(|name| format!("the stack {}", name.get()))
            .collect(),
    );
    say("services", services(stack));
    say(
        "parameters",
        parameters
            .iter()
            .map(|(name, declared)| parameter(name, declared))
            .collect(),
    );
    let own = secrets.keys().cloned();
    let of_items = each.iter().filter(|(_, each)| each.secret.is_some());
    let of_items = of_items.map(|(parameter, _)| format!("{name}.… for each of `{parameter}`"));
    say("secrets", own.chain(of_items).collect());
    let of_items = each.iter().filter(|(_, each)| each.url.is_some());
    let of_items = of_items.map(|(parameter, _)| format!("{{{{stacks.{name}.url.…}}}} for each of `{parameter}`"));
    let single = urls.keys().map(|key| format!("{{{{stacks.{name}.url.{key}}}}}"));
    say("offers", of_items.chain(single).collect());
    say("admin", admin.iter().map(|page| page.get().clone()).collect());
    let when = [
        ("before each deploy", &jobs.before_deploy),
        ("after each deploy", &jobs.after_deploy),
        ("once", &jobs.once),
    ];
    let when = when.into_iter().filter(|(_, jobs)| !jobs.is_empty());
    say(
        "jobs",
        when.map(|(when, jobs)| format!("{}, {when}", names(jobs))).collect(),
    );
    let mut saved = Vec::new();
    if let Some(service) = &backup.service {
        saved.push(format!("saved by    {} (in {})", backup.save.join(" "), service.get()));
        saved.push(format!(
            "restored by {} (in {})",
            backup.restore.join(" "),
            service.get()
        ));
    }
    if !backup.volumes.is_empty() {
        let still = match backup.stop.is_empty() {
            true => String::new(),
            false => format!(", while {} stands still", names(&backup.stop)),
        };
        saved.push(format!("the volume {}{still}", names(&backup.volumes)));
    }
    say("backup", saved);
    out
}

fn services(stack: &StackSource) -> Vec<String> {
    let services = stack.compose.services.iter();
    services
        .map(|(name, service)| match &service.image {
            Some(image) => format!("{name} ({})", image.get()),
            None => name.clone(),
        })
        .collect()
}

fn parameter(name: &str, declared: &Declaration) -> String {
    let value = match &declared.default {
        Some(default) => written(default.get()),
        None => format!("needed, {}", declared.kind().words()),
    };
    format!("{name} = {value}: {}", declared.help)
}

/// As it is written in an environment file.
fn written(value: &Parameter) -> String {
    match value {
        Parameter::Text(text) => format!("{text:?}"),
        Parameter::Integer(number) => number.to_string(),
        Parameter::Boolean(yes) => yes.to_string(),
        Parameter::List(items) => format!("{items:?}"),
    }
}

fn names(list: &[Spanned<String>]) -> String {
    let names: Vec<&str> = list.iter().map(|name| name.get().as_str()).collect();
    names.join(", ")
}

fn document(stack: &StackSource) -> Value {
    let manifest = &stack.manifest;
    let plain = |list: &[Spanned<String>]| -> Vec<String> { list.iter().map(|name| name.get().clone()).collect() };
    let value = |parameter: &Parameter| match parameter {
        Parameter::Text(text) => json!(text),
        Parameter::Integer(number) => json!(number),
        Parameter::Boolean(yes) => json!(yes),
        Parameter::List(items) => json!(items),
    };
    let parameters = manifest.parameters.iter().map(|(name, declared)| {
        let default = declared.default.as_ref().map(|default| value(default.get()));
        (name.clone(), json!({"help": declared.help, "default": default}))
    });
    let images = stack.compose.services.iter().map(|(name, service)| {
        let image = service.image.as_ref().map(|image| image.get().clone());
        (name.clone(), json!(image))
    });
    let backup = &manifest.backup;
    json!({
        "name": stack.name.as_str(),
        "built_in": stack.origin == StackOrigin::BuiltIn,
        "description": manifest.description,
        "memory_mib": manifest.memory_mib,
        "requires": plain(&manifest.requires),
        "services": Value::from_iter(images),
        "parameters": Value::from_iter(parameters),
        "secrets": manifest.secrets.keys().collect::<Vec<_>>(),
        "each": manifest.each.keys().collect::<Vec<_>>(),
        "urls": manifest.urls.keys().collect::<Vec<_>>(),
        "jobs": {
            "before_deploy": plain(&manifest.jobs.before_deploy),
            "after_deploy": plain(&manifest.jobs.after_deploy),
            "once": plain(&manifest.jobs.once),
        },
        "backup": {
            "service": backup.service.as_ref().map(|service| service.get().clone()),
            "save": backup.save,
            "restore": backup.restore,
            "volumes": plain(&backup.volumes),
            "stop": plain(&backup.stop),
        },
    })
}
