//! What a new machine is told at its first boot: user-data, and the converge script inside it.

use std::collections::BTreeSet;
use std::io::Write as _;

use base64::Engine as _;
use flate2::{Compression, GzBuilder};
use serde_json::json;

use super::{BuiltIn, Mark, RenderError, Rendered};

static USER_DATA: BuiltIn = BuiltIn::new(include_str!("../../cloud-init/user-data.yaml.hbs"));
static CONVERGE: BuiltIn = BuiltIn::new(include_str!("../../cloud-init/converge.sh.hbs"));

/// Where the converge script stands on a host.
pub const CONVERGE_PATH: &str = "/usr/local/lib/provision/converge";

/// Where Docker keeps its data: containers' logs among them.
pub const DOCKER: &str = "/var/lib/docker";

/// The same with a data volume.
pub const DOCKER_ON_VOLUME: &str = "/data/docker";

/// The smallest limit of all vendors on user-data, in bytes before base64: EC2's 16 KiB.
pub const USER_DATA_MAX: usize = 16 * 1024;

/// What the host's base state depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base<'a> {
    /// Whether Docker's data lives on a volume of its own.
    pub data_volume: bool,
    /// The Docker network that every stack shares.
    pub network: &'a str,
    /// Public keys that may log in.
    pub authorized_keys: &'a [String],
    /// What is open to everybody beside the edge's ports and sshd's: `tcp/8883`.
    pub open: &'a BTreeSet<String>,
    /// What is known of a host that was there before; none of a machine that we make.
    pub existing: Option<Existing<'a>>,
}

/// A host that was there before: what is not ours on it stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Existing<'a> {
    /// Whose stacks are on it.
    pub environment: &'a str,
    /// Who logs in.
    pub login: &'a str,
    /// Whether the firewall is for the whole host, and not for our own network alone.
    pub whole: bool,
}

/// The user that a machine of ours lets in.
const LOGIN: &str = "deploy";

/// The script that brings a host to its base state; run by cloud-init at first boot and over SSH when it changes.
///
/// # Errors
/// When the template in this repository is broken.
pub fn converge(base: &Base<'_>) -> Result<String, RenderError> {
    let login = base.existing.map_or(LOGIN, |existing| existing.login);
    // sshd shows `prohibit-password` under its older name.
    let (root_login, root_shown) = match login {
        "root" => ("prohibit-password", "without-password"),
        _ => ("no", "no"),
    };
    let open: Vec<(&str, &str)> = base.open.iter().filter_map(|wall| wall.split_once('/')).collect();
    let of = |wanted: &str| {
        let ports = open.iter().filter(|(protocol, _)| *protocol == wanted);
        ports.map(|(_, port)| format!(", {port}")).collect::<String>()
    };
    let udp = match of("udp") {
        none if none.is_empty() => "443".to_owned(),
        more => format!("{{ 443{more} }}"),
    };
    let open: Vec<_> = open
        .iter()
        .map(|(protocol, port)| json!({"protocol": protocol, "port": port}))
        .collect();
    let context = json!({
        "open": open,
        "more_tcp": of("tcp"),
        "udp": udp,
        "data_volume": base.data_volume,
        "network": base.network,
        "authorized_keys": base.authorized_keys,
        "environment": base.existing.map(|existing| existing.environment),
        "login": login,
        "root_login": root_login,
        "root_shown": root_shown,
        "existing": base.existing.is_some(),
        "scoped": base.existing.is_some_and(|existing| !existing.whole),
        "whole": base.existing.is_none_or(|existing| existing.whole),
        "ours": base.existing.is_none(),
    });
    CONVERGE.render(&context).map(|text| text.marked().to_owned())
}

/// The `#cloud-config` of a new machine. Its one secret, the first host key, is a mark and rotated after first contact.
///
/// # Errors
/// When the template in this repository is broken.
pub fn user_data(
    hostname: &str,
    base: &Base<'_>,
    host_key_public: &str,
    converge: &str,
    ttl_seconds: Option<u64>,
) -> Result<Rendered, RenderError> {
    let context = json!({
        "hostname": hostname,
        "authorized_keys": base.authorized_keys,
        "host_key_private": Mark::HostKey.text(),
        "host_key_public": host_key_public,
        "converge_path": CONVERGE_PATH,
        "ttl_seconds": ttl_seconds,
        "converge_gz_b64": base64::engine::general_purpose::STANDARD.encode(gzip(converge.as_bytes())),
    });
    USER_DATA.render(&context)
}

/// Gzip without a time stamp: the same bytes for the same input.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    // A `Vec` takes every write.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ demo";

    static NONE: &BTreeSet<String> = &BTreeSet::new();

    fn base(keys: &[String]) -> Base<'_> {
        Base {
            data_volume: true,
            network: "provision",
            authorized_keys: keys,
            open: NONE,
            existing: None,
        }
    }

    #[test]
    fn user_data_fits_the_smallest_vendor_limit_and_is_yaml() {
        let keys = [KEY.to_owned()];
        let script = converge(&base(&keys)).unwrap();
        let text = user_data("demo-0123abcd", &base(&keys), KEY, &script, Some(28_800)).unwrap();
        let bindings = super::super::Bindings {
            host_key: Some(crate::secret::Secret::new("-----BEGIN\nabc\n-----END\n")),
            ..Default::default()
        };
        let bound = text.bind(&bindings);
        assert!(bound.starts_with("#cloud-config\n"));
        assert!(bound.len() + 500 < USER_DATA_MAX, "{} bytes", bound.len());
        let yaml: serde_json::Value = serde_saphyr::from_str(&bound).unwrap();
        assert_eq!(yaml["ssh_keys"]["ed25519_private"], "-----BEGIN\nabc\n-----END\n");
        assert_eq!(yaml["users"][0]["ssh_authorized_keys"][0], KEY);
        assert!(text.shown(&bindings).contains("(secret)"));
    }

    #[test]
    fn the_script_is_the_same_each_time_and_differs_with_its_input() {
        let keys = [KEY.to_owned()];
        let one = converge(&base(&keys)).unwrap();
        assert_eq!(one, converge(&base(&keys)).unwrap());
        assert_ne!(
            one,
            converge(&Base {
                data_volume: false,
                ..base(&keys)
            })
            .unwrap()
        );
        assert!(!one.contains("{{"));
    }

    #[test]
    fn what_is_allowed_is_let_in_by_both_chains() {
        let open = BTreeSet::from(["tcp/8883".to_owned(), "udp/5000".to_owned()]);
        let keys = [KEY.to_owned()];
        let wide = Base {
            open: &open,
            ..base(&keys)
        };
        let existing = Existing {
            environment: "demo",
            login: "root",
            whole: false,
        };
        let guest = Base {
            existing: Some(existing),
            ..wide.clone()
        };
        for base in [&wide, &guest] {
            let script = converge(base).unwrap();
            for (protocol, port) in [("tcp", 8883), ("udp", 5000)] {
                let rule = format!(
                    "\n-A PROVISION-DOCKER -p {protocol} -m conntrack --ctstate DNAT --ctorigdstport {port} --ctdir ORIGINAL -j RETURN\n"
                );
                assert!(script.contains(&rule), "{rule}");
            }
        }
        let script = converge(&wide).unwrap();
        assert!(script.contains("\n    tcp dport { ${ports:-22}, 80, 443, 8883 } accept\n"));
        assert!(script.contains("\n    udp dport { 443, 5000 } accept\n"));
        let narrow = converge(&base(&keys)).unwrap();
        assert!(narrow.contains("\n    tcp dport { ${ports:-22}, 80, 443 } accept\n    udp dport 443 accept\n"));
    }
}
