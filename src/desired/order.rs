//! The order of the stacks: each after what it needs.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use crate::environment::Sources;
use crate::names::StackName;

/// Stacks in the order in which they are brought up, by need, then by name; each with what it needs.
///
/// A stack needs what its manifest `requires`, and every stack whose `{{stacks.<name>.…}}` its variables name.
pub fn order(findings: &mut Findings<'_>, sources: &Sources) -> Vec<(StackName, BTreeSet<StackName>)> {
    let needs: BTreeMap<&StackName, BTreeSet<&StackName>> = sources
        .stacks
        .keys()
        .map(|name| (name, needs(findings, sources, name)))
        .collect();
    let mut ordered: Vec<StackName> = Vec::new();
    while ordered.len() < needs.len() {
        let next = needs
            .iter()
            .find(|(name, needed)| !ordered.contains(name) && needed.iter().all(|need| ordered.contains(need)));
        match next {
            Some((name, _)) => ordered.push((*name).clone()),
            None => {
                let rest: Vec<&str> = needs
                    .keys()
                    .filter(|name| !ordered.contains(name))
                    .map(|name| name.as_str())
                    .collect();
                let span = findings
                    .file
                    .span_of(&["stacks", rest.first().copied().unwrap_or_default()]);
                findings.at(
                    span,
                    format!("these stacks need each other in a circle: {}", rest.join(", ")),
                    "one of them must come up without the others: break the circle in `requires` or in its variables",
                );
                break;
            }
        }
    }
    let needed = |name: &StackName| {
        needs
            .get(name)
            .into_iter()
            .flatten()
            .map(|need| (*need).clone())
            .collect()
    };
    ordered
        .into_iter()
        .map(|name| {
            let needs = needed(&name);
            (name, needs)
        })
        .collect()
}

fn needs<'a>(findings: &mut Findings<'_>, sources: &'a Sources, name: &StackName) -> BTreeSet<&'a StackName> {
    let mut needs = BTreeSet::new();
    let Some(source) = sources.stacks.get(name) else {
        return needs;
    };
    for required in &source.manifest.requires {
        match sources.stacks.keys().find(|other| other.as_str() == required.get()) {
            Some(other) => {
                needs.insert(other);
            }
            None => {
                let span = findings.file.span_of(&["stacks", name.as_str()]);
                findings.at(
                    span,
                    format!("stack `{name}` needs the stack `{}`", required.get()),
                    format!("add [stacks.{}]", required.get()),
                );
            }
        }
    }
    let written = sources
        .environment
        .stacks
        .iter()
        .find(|(key, _)| key.get() == name.as_str());
    let texts = written
        .into_iter()
        .flat_map(|(_, stack)| stack.env.values())
        .chain(source.manifest.env.values())
        .map(|text| text.get().as_str());
    for text in texts {
        needs.extend(
            sources
                .stacks
                .keys()
                .filter(|other| *other != name && text.contains(&format!("stacks.{other}."))),
        );
    }
    needs
}
