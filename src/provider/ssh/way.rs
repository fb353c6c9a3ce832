//! How a host is reached: what was written, and what the person's own ssh configuration adds.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use crate::names::Endpoint;
use crate::provider::ProviderError;
use crate::remote::ClientKey;

/// Where sshd listens when nobody says otherwise.
const PORT: u16 = 22;

/// A host as it was written, or as the state recorded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Its name or address.
    pub host: Option<String>,
    /// Where sshd listens.
    pub port: Option<u16>,
    /// Who logs in.
    pub user: String,
    /// The `Host` of the person's ssh configuration.
    pub ssh_config: Option<String>,
    /// The fingerprint of one of its keys.
    pub fingerprint: Option<String>,
    /// A host to go through.
    pub proxy_jump: Option<String>,
    /// The person's key file, private or public; what their ssh offers without.
    pub key: Option<PathBuf>,
}

/// Where that leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name or address that is connected to.
    pub name: String,
    /// Its address and port.
    pub endpoint: Endpoint,
    /// Whether the way leads through another host, which this computer's own connections do not take.
    pub through_another: bool,
    /// The names under which known_hosts files may have it.
    pub known_as: Vec<String>,
    /// The known_hosts files of the person and of this computer.
    pub known_hosts: Vec<PathBuf>,
}

impl Way {
    /// What ssh is asked to reach.
    pub fn destination(&self) -> &str {
        self.ssh_config.as_deref().or(self.host.as_deref()).unwrap_or_default()
    }

    /// What the login is proven with.
    pub fn client_key(&self) -> ClientKey {
        match &self.key {
            Some(path) if path.extension().is_some_and(|extension| extension == "pub") => {
                ClientKey::Agent(Some(path.clone()))
            }
            Some(path) => ClientKey::File(path.clone()),
            None => ClientKey::Agent(None),
        }
    }

    /// Asks the person's ssh configuration, then DNS. Of several addresses it is `known`, if that is one of them.
    ///
    /// # Errors
    /// When there is no ssh, or the name leads nowhere.
    pub async fn place(&self, known: Option<IpAddr>) -> Result<Place, ProviderError> {
        let said = self.ask_ssh().await?;
        let value = |key: &str| {
            let mut lines = said.lines().filter_map(|line| line.split_once(' '));
            lines
                .find_map(|(word, value)| (word == key).then_some(value))
                .filter(|value| !value.is_empty() && *value != "none")
        };
        let name = match (&self.host, &self.ssh_config) {
            (Some(host), Some(_)) => host.clone(),
            _ => value("hostname").unwrap_or(self.destination()).to_owned(),
        };
        let port = self.port.or_else(|| value("port")?.parse().ok()).unwrap_or(PORT);
        let through_another =
            self.proxy_jump.is_some() || value("proxyjump").is_some() || value("proxycommand").is_some();
        let address = resolve(&name, port, known).await?;
        let files = ["userknownhostsfile", "globalknownhostsfile"];
        let known_hosts = files.iter().filter_map(|key| value(key));
        let known_hosts = known_hosts.flat_map(str::split_whitespace).map(at_home).collect();
        let with_port = |name: &str| match port {
            PORT => name.to_owned(),
            port => format!("[{name}]:{port}"),
        };
        let mut known_as = Vec::new();
        for name in [
            value("hostkeyalias").map(str::to_owned),
            Some(with_port(&name)),
            Some(with_port(&address.to_string())),
        ] {
            known_as.extend(name.filter(|name| !known_as.contains(name)));
        }
        Ok(Place {
            name,
            endpoint: Endpoint {
                ssh: port,
                ..Endpoint::standard(address)
            },
            through_another,
            known_as,
            known_hosts,
        })
    }

    /// What the person's ssh makes of the destination.
    async fn ask_ssh(&self) -> Result<String, ProviderError> {
        let failed = |why: std::io::Error| {
            ProviderError::new(format!("failed to ask ssh where `{}` is", self.destination()))
                .because(why)
                .with_remedy("install OpenSSH's client: apt-get install openssh-client")
        };
        // Its own choice of files goes by the user's entry in passwd, not by HOME.
        let mut config = tempfile::NamedTempFile::new().map_err(failed)?;
        let own = own_config().map_or_else(String::new, |path| format!("Include \"{}\"\n", path.display()));
        writeln!(config, "{own}Include /etc/ssh/ssh_config").map_err(failed)?;
        let mut command = Command::new("ssh");
        command.arg("-F").arg(config.path());
        let output = command
            .args(["-G", "--", self.destination()])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(failed)?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(
                ProviderError::new(format!("failed to ask ssh where `{}` is", self.destination()))
                    .because(String::from_utf8_lossy(&output.stderr).trim().to_owned())
                    .with_remedy("mend your ssh configuration"),
            ),
        }
    }
}

/// The person's own ssh configuration, where there is one.
pub fn own_config() -> Option<PathBuf> {
    let path = std::env::home_dir()?.join(".ssh/config");
    path.is_file().then_some(path)
}

/// A path as ssh's configuration shows it: `~` is the home folder.
fn at_home(path: &str) -> PathBuf {
    let passwd = path.find("/.ssh/").map(|at| &path[at + 1..]);
    match (path.strip_prefix("~/").or(passwd), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

async fn resolve(name: &str, port: u16, known: Option<IpAddr>) -> Result<IpAddr, ProviderError> {
    let failed = || {
        ProviderError::new(format!("failed to find the address of `{name}`"))
            .with_remedy("write its address into `host`; a name has to be known on this computer, also where the way leads through another host")
    };
    let found = tokio::net::lookup_host((name, port)).await;
    let mut found: Vec<IpAddr> = found
        .map_err(|why| failed().because(why))?
        .map(|address: SocketAddr| address.ip())
        .collect();
    if let Some(known) = known.filter(|known| found.contains(known)) {
        return Ok(known);
    }
    // The same one each time.
    found.sort_by_key(|address| (address.is_ipv6(), *address));
    found.first().copied().ok_or_else(failed)
}
