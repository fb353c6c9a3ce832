//! By what a host is recognised: a fingerprint that somebody compared, or a known_hosts file that knows it. Nothing is believed
//! because the host says so.

use std::collections::BTreeSet;
use std::process::{Output, Stdio};
use std::time::Duration;

use ssh_key::{HashAlg, PublicKey};
use tokio::process::Command;

use super::way::{Place, Way};
use crate::provider::ProviderError;

/// How long the host's keys may take to be fetched.
const SCAN: Duration = Duration::from_secs(60);

/// The host's keys, one a line, as `known_hosts` has them behind the name.
///
/// # Errors
/// When nobody vouches for the host, or it shows other keys than those that are expected.
pub async fn keys(way: &Way, place: &Place) -> Result<String, ProviderError> {
    let known = known(place).await;
    let Some(wanted) = &way.fingerprint else {
        return match known.is_empty() {
            true => Err(unknown(place)),
            false => Ok(lines(&known)),
        };
    };
    let fits = |keys: &[PublicKey]| -> Vec<PublicKey> {
        let keys = keys.iter();
        keys.filter(|key| fingerprint(key) == *wanted).cloned().collect()
    };
    let mut fit = fits(&known);
    if !fit.is_empty() {
        return Ok(lines(&fit));
    }
    if place.through_another {
        return Err(ProviderError::new(format!(
            "failed to recognise the host {}: the way there leads through another host, and no known_hosts file has a key of the \
             fingerprint {wanted}",
            shown(place)
        ))
        .with_remedy(format!(
            "log in once with your own ssh, `ssh {}`, and compare the fingerprint that it shows",
            way.destination()
        )));
    }
    // Each kind of key is asked for by a connection of its own, and OpenSSH 9.8 and later shut out an address that makes too many
    // without logging in: the usual kind first.
    let mut offered = scan(place, "ed25519").await?;
    fit = fits(&offered);
    if fit.is_empty() {
        offered.extend(scan(place, "ecdsa,rsa").await?);
        fit = fits(&offered);
    }
    if offered.is_empty() {
        return Err(silent(place, "it shows no key"));
    }
    if fit.is_empty() {
        let shows: BTreeSet<String> = offered.iter().map(fingerprint).collect();
        let shows: Vec<String> = shows.into_iter().collect();
        return Err(ProviderError::new(format!(
            "failed to recognise the host {}: its keys are {}, and the file says {wanted}",
            shown(place),
            shows.join(", ")
        ))
        .with_remedy(
            "another machine may be answering at this address: compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the \
             host's own console. Nothing was sent to it",
        ));
    }
    Ok(lines(&fit))
}

/// Whether one of these keys has the fingerprint.
pub fn have(keys: &str, wanted: &str) -> bool {
    keys.lines()
        .filter_map(|line| line.parse::<PublicKey>().ok())
        .any(|key| fingerprint(&key) == wanted)
}

/// Their fingerprints, for people.
pub fn fingerprints(keys: &str) -> String {
    let keys = keys.lines().filter_map(|line| line.parse::<PublicKey>().ok());
    keys.map(|key| fingerprint(&key)).collect::<Vec<_>>().join(", ")
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

fn lines(keys: &[PublicKey]) -> String {
    let mut lines: Vec<String> = keys
        .iter()
        .filter_map(|key| {
            let mut key = key.clone();
            key.set_comment("");
            key.to_openssh().ok()
        })
        .map(|line| line.trim().to_owned())
        .collect();
    lines.sort();
    lines.dedup();
    lines.join("\n")
}

fn shown(place: &Place) -> String {
    let address = std::net::SocketAddr::new(place.endpoint.address, place.endpoint.ssh).to_string();
    match place.name == place.endpoint.address.to_string() {
        true => address,
        false => format!("{} ({address})", place.name),
    }
}

fn unknown(place: &Place) -> ProviderError {
    let port = place.endpoint.ssh;
    let port = if port == 22 {
        String::new()
    } else {
        format!("-p {port} ")
    };
    ProviderError::new(format!(
        "failed to recognise the host {}: its file has no `fingerprint`, and no known_hosts file has a key of it",
        shown(place)
    ))
    .with_remedy(format!(
        "show its keys with `ssh-keyscan {port}{} 2>/dev/null | ssh-keygen -lf -`, compare one of them with what \
         `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` says on the host's own console, and write it into [machine.ssh]: \
         fingerprint = \"SHA256:…\"",
        place.name
    ))
}

/// What the known_hosts files have, hashed names included. A file that is not there knows nothing.
async fn known(place: &Place) -> Vec<PublicKey> {
    let mut keys = Vec::new();
    for file in &place.known_hosts {
        for name in &place.known_as {
            let mut command = Command::new("ssh-keygen");
            command.args(["-F", name, "-f"]).arg(file);
            if let Ok(output) = quietly(command).await {
                keys.extend(read(&output.stdout));
            }
        }
    }
    keys
}

fn silent(place: &Place, why: &str) -> ProviderError {
    ProviderError::new(format!("failed to fetch the host keys of {}", shown(place)))
        .because(why.to_owned())
        .with_remedy("check that the host runs, that its sshd listens there, and that no firewall stands between")
}

/// What the host says that its keys of these kinds are: nothing else is asked of it, and nothing is sent.
async fn scan(place: &Place, kinds: &str) -> Result<Vec<PublicKey>, ProviderError> {
    let mut command = Command::new("ssh-keyscan");
    let (address, port) = (place.endpoint.address.to_string(), place.endpoint.ssh.to_string());
    command.args(["-T", "25", "-t", kinds, "-p", &port, "--", &address]);
    let output = quietly(command).await;
    let output = output.map_err(|why| silent(place, &why.to_string()))?;
    let keys = read(&output.stdout);
    // Lines with a `#` say what the server is.
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said
        .lines()
        .rfind(|line| !line.starts_with('#') && !line.trim().is_empty());
    match said {
        Some(said) if keys.is_empty() => Err(silent(place, said.trim())),
        _ => Ok(keys),
    }
}

async fn quietly(mut command: Command) -> std::io::Result<Output> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(SCAN, output).await {
        Ok(output) => output,
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

/// The keys of `known_hosts` lines: a name, then a key; marked lines (revoked, authorities) and comments are none.
fn read(text: &[u8]) -> Vec<PublicKey> {
    String::from_utf8_lossy(text)
        .lines()
        .filter(|line| !line.starts_with(['#', '@']))
        .filter_map(|line| line.split_once(' ')?.1.trim().parse().ok())
        .collect()
}
