//! `provision output`, and the outputs at the end of an apply.

use std::collections::BTreeMap;
use std::path::Path;

use super::Failure;
use super::project::Project;
use super::terminal::print;
use crate::cli;
use crate::desired::{Desired, url};
use crate::names::Address;
use crate::render::caddyfile::Certificates;
use crate::state::State;

/// The certificate of Caddy's own authority, in the environment's folder.
const CERTIFICATE: &str = "ca.crt";

/// When the environment ends.
pub const EXPIRES: &str = "expires";

/// The output that names its file.
const CA_CERTIFICATE: &str = "ca_certificate";

/// Prints outputs.
pub fn run(directory: &Path, args: &cli::Output) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    let mut state = project.applied()?;
    bring_home(&project, &mut state)?;
    let Some(key) = &args.key else {
        return show(&state, args.json);
    };
    let Some(value) = state.outputs.get(key) else {
        let known: Vec<&str> = state.outputs.keys().map(String::as_str).collect();
        return Err(Failure::input(
            format!("there is no output `{key}`"),
            format!("there are: {}", known.join(", ")),
        ));
    };
    match (args.json, args.raw) {
        (true, _) => print(&format!("{}\n", serde_json::json!(value))),
        (_, true) => print(value),
        _ => print(&format!("{value}\n")),
    }
}

/// Prints all outputs.
pub fn show(state: &State, json: bool) -> Result<(), Failure> {
    if json {
        return print(&format!("{:#}\n", serde_json::json!(state.outputs)));
    }
    let width = state.outputs.keys().map(String::len).max().unwrap_or(0);
    let width = width.min(crate::plan::WIDEST);
    let lines: String = state
        .outputs
        .iter()
        .map(|(key, value)| format!("{key:width$}  {value}\n"))
        .collect();
    print(&lines)
}

/// Has the files that outputs name on this computer: another one may have applied.
fn bring_home(project: &Project, state: &mut State) -> Result<(), Failure> {
    let Some(there) = state.outputs.get(CA_CERTIFICATE).cloned() else {
        return Ok(());
    };
    let here = project.store.folder().join(CERTIFICATE).display().to_string();
    if there == here && Path::new(&here).exists() {
        return Ok(());
    }
    if project.store.as_file(CERTIFICATE)?.is_some() {
        for value in state.outputs.values_mut() {
            *value = value.replace(&there, &here);
        }
    }
    Ok(())
}

/// Works the outputs out and writes the authority's certificate beside the state. Nothing in them is secret.
///
/// # Errors
/// When the certificate cannot be written.
pub fn record(project: &Project, state: &mut State, desired: &Desired) -> Result<(), Failure> {
    let mut outputs = BTreeMap::from([
        ("ssh".to_owned(), format!("provision ssh {}", project.name)),
        ("destroy".to_owned(), format!("provision destroy {}", project.name)),
    ]);
    let bindings = crate::render::Bindings {
        endpoint: state.endpoint(),
        ..Default::default()
    };
    if let Some(endpoint) = &bindings.endpoint {
        outputs.insert("address".into(), endpoint.address.to_string());
        if *endpoint != crate::names::Endpoint::standard(endpoint.address) {
            outputs.insert(
                "ports".into(),
                format!("ssh {}, http {}, https {}", endpoint.ssh, endpoint.http, endpoint.https),
            );
        }
    }
    if let Some(life) = state.life {
        outputs.insert(EXPIRES.into(), life.ends.to_string());
    }
    if let Some(edge) = &desired.edge {
        let url = url(&desired.domain, &bindings);
        let authority = state
            .record(&Address::Edge)
            .and_then(|record| record.facts.get("authority"));
        if let (true, Some(authority)) = (edge.certificates == Certificates::Internal, authority) {
            if project.store.get(CERTIFICATE)?.as_deref() != Some(authority.as_bytes()) {
                project.store.put(CERTIFICATE, authority.as_bytes())?;
            }
            if let Some(path) = project.store.as_file(CERTIFICATE)? {
                outputs.insert(CA_CERTIFICATE.into(), path.display().to_string());
                outputs.insert("look".into(), format!("curl --cacert {} {url}/", path.display()));
            }
        }
        outputs.insert("url".into(), url);
    }
    state.outputs = outputs;
    Ok(())
}
