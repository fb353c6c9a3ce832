//! `[machine.ssh]` to an `SshShape`.

use super::Findings;
use super::machine::within;
use crate::environment::Sources;
use crate::environment::model::{self, Spanned};
use crate::provider::{SshShape, Walls};

/// The length of a SHA-256 fingerprint in base64, without padding.
const FINGERPRINT: usize = 43;

/// The host; none when something is wrong, which is said.
pub fn shape(findings: &mut Findings<'_>, sources: &Sources, machine: &model::Ssh) -> Option<SshShape> {
    let model::Ssh {
        host,
        port,
        user,
        ssh_config,
        fingerprint,
        firewall,
    } = machine;
    not_here(findings, sources);
    if host.is_none() && ssh_config.is_none() {
        let span = findings.file.span_of(&["machine", "ssh"]);
        findings.at(
            span,
            "it is not said which host this is",
            "set `host` to its name or address, or `ssh_config` to a Host of your ssh configuration",
        );
        return None;
    }
    let host = word(findings, host.as_ref(), "the name or address of a host");
    let ssh_config = word(findings, ssh_config.as_ref(), "a Host of an ssh configuration");
    let user = word(findings, Some(user), "the name of a user");
    let port = match port {
        Some(port) => Some(within(findings, "port", port, 1, 65_535)?),
        None => None,
    };
    if let Some(written) = fingerprint
        && !is_fingerprint(written.get())
    {
        findings.at(
            written.span(),
            "this is not the fingerprint of a host key",
            "write it as ssh-keygen -l shows it: SHA256: and 43 characters",
        );
    }
    Some(SshShape {
        host: host?,
        port: port.and_then(|port| u16::try_from(port).ok()),
        user: user??,
        ssh_config: ssh_config?,
        fingerprint: fingerprint.as_ref().map(|text| text.get().clone()),
        firewall: match firewall {
            model::Walls::Stacks => Walls::Stacks,
            model::Walls::Host => Walls::Host,
        },
    })
}

/// What is for machines that we make.
fn not_here(findings: &mut Findings<'_>, sources: &Sources) {
    let environment = &sources.environment;
    if let Some(ttl) = &environment.ttl {
        findings.at(
            ttl.span(),
            "a host that was there before does not take itself down",
            "take `ttl` out, and run `provision destroy` when it is time: others may live on this host",
        );
    }
    if let Some(data) = &environment.data {
        findings.at(
            data.volume_gib.span(),
            "a host that was there before keeps Docker's data where it is",
            "take [data] out: volumes stay at a destroy unless you say otherwise",
        );
    }
    let access = &environment.access;
    if let Some(key) = access.authorized_keys.first() {
        findings.at(
            key.span(),
            "who gets into a host that was there before is not ours to say",
            "take `authorized_keys` out, and write the key into the host's own authorized_keys",
        );
    }
    if let Some(network) = access.ssh_from.as_ref().and_then(|list| list.first()) {
        findings.at(
            network.span(),
            "a host that was there before has no firewall of a provider",
            "take `ssh_from` out: the host's own firewall decides",
        );
    }
    if let Some(key) = &access.ssh_key
        && !key.get().starts_with(['/', '~'])
    {
        findings.at(
            key.span(),
            "the key for a host that was there before is looked for from anywhere",
            "write a path that begins with / or ~/, or take `ssh_key` out to use your agent and ssh configuration",
        );
    }
}

/// A text that stands in an ssh configuration as one word. None is a mistake that was said.
#[allow(clippy::option_option, reason = "said to be wrong, not there, there")]
fn word(findings: &mut Findings<'_>, text: Option<&Spanned<String>>, what: &str) -> Option<Option<String>> {
    let Some(text) = text else { return Some(None) };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:".contains(&b);
    let value = text.get();
    if value.is_empty() || value.starts_with('-') || !value.bytes().all(plain) {
        findings.at(
            text.span(),
            format!("`{value}` is not {what}"),
            "use letters, digits, `.`, `-`, `_` and `:`",
        );
        return None;
    }
    Some(Some(value.clone()))
}

fn is_fingerprint(text: &str) -> bool {
    let base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    text.strip_prefix("SHA256:")
        .is_some_and(|digest| digest.len() == FINGERPRINT && digest.bytes().all(base64))
}

#[cfg(test)]
mod tests {
    use super::is_fingerprint;

    #[test]
    fn a_fingerprint_is_as_ssh_keygen_shows_it() {
        assert!(is_fingerprint("SHA256:uNiVztksCsDhcc0u9e8BrCJXIa6L7PHNZyPcBLWNcjI"));
        for wrong in [
            "uNiVztksCsDhcc0u9e8BrCJXIa6L7PHNZyPcBLWNcjI",
            "SHA256:uNiVztksCsDhcc0u9e8BrCJXIa6L7PHNZyPcBLWNcjI=",
            "SHA256:short",
            "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
        ] {
            assert!(!is_fingerprint(wrong), "{wrong}");
        }
    }
}
