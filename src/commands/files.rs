//! `provision validate` and `provision render`: what needs neither network nor machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::Failure;
use super::project::Project;
use super::terminal::{print, tell};
use crate::cli;
use crate::desired::{Body, Desired, DesiredStack, Given, desire};
use crate::names::{Endpoint, Lineage};
use crate::render::Bindings;
use crate::render::cloud_init::CONVERGE_PATH;

/// In place of the machine's address, so that what is rendered can be read by the programs it is for: one that documentation may
/// use (RFC 5737).
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// In place of keys that are made at the first apply.
const KEY: &str = "ssh-ed25519 (made at the first apply)";

/// Checks everything that was written.
pub fn validate(directory: &Path, args: &cli::Name) -> Result<(), Failure> {
    let project = Project::on_paper(directory, args)?;
    let desired = written(&project)?;
    tell(&format!(
        "{} is valid: {}, {}",
        project.name,
        count(desired.stacks.len(), "stack"),
        count(desired.edge.as_ref().map_or(0, |edge| edge.routes.len()), "route")
    ));
    if let Some(note) = desired.memory.note() {
        tell(&format!("note: {note}"));
    }
    Ok(())
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Writes what would go to the machine, as people may see it.
pub fn render(directory: &Path, args: &cli::Render) -> Result<(), Failure> {
    let project = Project::on_paper(directory, &args.environment)?;
    let files = rendered(&written(&project)?);
    let Some(out) = &args.out else {
        let list: String = files
            .iter()
            .map(|(path, bytes)| format!("{:>8}  {path}\n", bytes.len()))
            .collect();
        return print(&list);
    };
    for (path, bytes) in &files {
        let path = out.join(path);
        let failed = |why| Failure::other(format!("failed to write {}", path.display()), why);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(&path, bytes).map_err(failed)?;
    }
    tell(&format!(
        "wrote {} files to {}; {ADDRESS} and ports 22, 80, 443 stand for the machine's own",
        files.len(),
        out.display()
    ));
    Ok(())
}

/// What shall be, without anything that only an apply knows.
pub(super) fn written(project: &Project) -> Result<Desired, Failure> {
    let given = Given {
        name: &project.name,
        lineage: &Lineage::from_bytes([0; 16]),
        authorized_keys: &[KEY.to_owned()],
        host_key_public: KEY,
        bindings: &Bindings::default(),
    };
    Ok(desire(&project.sources()?, &given)?)
}

fn rendered(desired: &Desired) -> BTreeMap<String, Vec<u8>> {
    let known = Bindings {
        endpoint: Some(Endpoint::standard(ADDRESS)),
        ..Bindings::default()
    };
    let mut files = BTreeMap::from([(format!("host{CONVERGE_PATH}"), desired.base.script.clone().into_bytes())]);
    if desired.instance.spec.existing().is_none() {
        let user_data = desired.instance.user_data.shown(&known).into_bytes();
        files.insert("cloud-init/user-data".to_owned(), user_data);
    }
    let mut add = |stack: &DesiredStack| {
        for (path, file) in &stack.files {
            let bytes = match &file.body {
                Body::Raw(bytes) => bytes.clone(),
                Body::Text(_) | Body::DotEnv(_) => file.shown(&known).unwrap_or_default().into_bytes(),
            };
            files.insert(format!("stacks/{}/{path}", stack.name), bytes);
        }
    };
    desired.stacks.iter().for_each(&mut add);
    if let Some(edge) = &desired.edge {
        add(&edge.stack);
    }
    files
}
