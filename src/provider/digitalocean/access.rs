//! Which token, and where it is spoken to: from the places that the vendor's own tools know.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;

use crate::provider::ProviderError;

/// Where the vendor answers.
const VENDOR: &str = "https://api.digitalocean.com";
/// Another place: a proxy of one's own, or a double. Terraform's provider and doctl know the same one.
const ENDPOINT: &str = "DIGITALOCEAN_API_URL";
/// Where a token stands, the first that is set.
const TOKENS: [&str; 2] = ["DIGITALOCEAN_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"];
/// The name of doctl's own context, whose token stands outside of the list.
const DEFAULT: &str = "default";

/// How the cloud is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// A context of doctl's configuration; the environment's token without.
    pub context: Option<String>,
}

/// A token, which nothing shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// One that is known. Surrounding spaces and line ends are not part of it.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// doctl's `config.yaml`, as far as tokens are in it.
#[derive(Deserialize)]
struct Doctl {
    #[serde(rename = "access-token")]
    access_token: Option<String>,
    #[serde(rename = "auth-contexts", default)]
    contexts: Option<BTreeMap<String, String>>,
    context: Option<String>,
}

/// The token: that of the context which the file names, else of a variable, else of doctl's current context.
pub(super) fn token(access: &Access) -> Result<Token, ProviderError> {
    let config = doctl_config();
    if let Some(context) = &access.context {
        // A file that names an account always means that one, whatever a variable says.
        let what = || format!("failed to find the token of the doctl context `{context}`");
        let Some(path) = config.filter(|path| path.exists()) else {
            return Err(ProviderError::new(format!("{}: doctl is not configured here", what()))
                .with_remedy(format!("run `doctl auth init --context {context}`, or take `context` out of [machine.digitalocean] and set DIGITALOCEAN_TOKEN")));
        };
        let doctl = read(&path)?;
        return doctl.token(context).ok_or_else(|| {
            ProviderError::new(format!("{}: {} has none of this name", what(), path.display())).with_remedy(format!(
                "there are: {}; or run `doctl auth init --context {context}`",
                doctl.names().join(", ")
            ))
        });
    }
    for name in TOKENS {
        if let Ok(text) = std::env::var(name)
            && !text.trim().is_empty()
        {
            return Ok(Token::new(&text));
        }
    }
    if let Some(path) = config.filter(|path| path.exists()) {
        let doctl = read(&path)?;
        let current = doctl.context.clone().unwrap_or_else(|| DEFAULT.to_owned());
        if let Some(token) = doctl.token(&current) {
            return Ok(token);
        }
    }
    Err(
        ProviderError::new("failed to reach DigitalOcean: there is no token").with_remedy(
            "make one at https://cloud.digitalocean.com/account/api/tokens and set DIGITALOCEAN_TOKEN, or log in with `doctl auth init`",
        ),
    )
}

impl Doctl {
    fn token(&self, context: &str) -> Option<Token> {
        let contexts = self.contexts.as_ref();
        let own = (context == DEFAULT).then_some(self.access_token.as_ref()).flatten();
        let text = contexts.and_then(|contexts| contexts.get(context)).or(own)?;
        Some(Token::new(text)).filter(|token| !token.0.is_empty())
    }

    fn names(&self) -> Vec<&str> {
        let own = self.access_token.as_deref().filter(|token| !token.is_empty());
        let listed = self
            .contexts
            .iter()
            .flat_map(|contexts| contexts.keys().map(String::as_str));
        own.map(|_| DEFAULT).into_iter().chain(listed).collect()
    }
}

fn read(path: &Path) -> Result<Doctl, ProviderError> {
    let what = || format!("failed to read {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|why| ProviderError::new(what()).because(why))?;
    // The reader's message would quote the file, and tokens are in it.
    serde_saphyr::from_str(&text).map_err(|_| {
        ProviderError::new(format!("{}: it is not what doctl writes", what()))
            .with_remedy("log in again with `doctl auth init`, or set DIGITALOCEAN_TOKEN")
    })
}

/// Where doctl keeps its configuration: in the user's configuration folder, as Go's standard library has it.
fn doctl_config() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let folder = if cfg!(target_os = "macos") {
        set("HOME")?.join("Library/Application Support")
    } else {
        set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?
    };
    Some(folder.join("doctl/config.yaml"))
}

/// The address of the API.
pub(super) fn endpoint() -> Result<Url, ProviderError> {
    match std::env::var(ENDPOINT) {
        Ok(text) if !text.trim().is_empty() => address(text.trim()),
        _ => address(VENDOR),
    }
}

/// An address that a token may be sent to: nobody on the way reads it.
pub(super) fn address(text: &str) -> Result<Url, ProviderError> {
    let wrong = |why: &str| {
        ProviderError::new(format!("failed to reach DigitalOcean: {ENDPOINT} is `{text}`, {why}")).with_remedy(format!(
            "take {ENDPOINT} away, or write an address that begins with https://"
        ))
    };
    let url: Url = text.parse().map_err(|_| wrong("which is no address"))?;
    let here = url.host_str().is_some_and(|host| {
        let bare = host.trim_matches(['[', ']']);
        bare == "localhost"
            || bare
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    });
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        "http" => Err(wrong("and a token goes over TLS only")),
        _ => Err(wrong("which is not of the web")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "access-token: dop_v1_a\nauth-contexts:\n  work: dop_v1_b\ncontext: default\noutput: text\n";

    #[test]
    fn a_context_has_its_token() {
        let doctl: Doctl = serde_saphyr::from_str(CONFIG).unwrap();
        assert_eq!(doctl.token("default"), Some(Token::new("dop_v1_a")));
        assert_eq!(doctl.token("work"), Some(Token::new("dop_v1_b\n")));
        assert_eq!(doctl.token("other"), None);
        assert_eq!(doctl.names(), ["default", "work"]);
        assert_eq!(format!("{:?}", doctl.token("work")), "Some((secret))");
    }

    #[test]
    fn a_token_is_never_sent_in_the_clear() {
        for good in [
            "https://api.digitalocean.com",
            "http://127.0.0.1:4010",
            "http://localhost:1/",
            "http://[::1]:4",
        ] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in [
            "http://api.digitalocean.com",
            "ftp://127.0.0.1",
            "api.digitalocean.com",
            "http://127.0.0.1.example.com",
        ] {
            let error = address(bad).unwrap_err();
            assert!(error.to_string().contains(bad) && error.remedy.is_some(), "{error}");
        }
    }
}
