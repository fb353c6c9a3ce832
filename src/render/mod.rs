//! Text from templates: handlebars, strict, without I/O.
//!
//! What must not be written down yet (secrets) or is not known yet (the machine's address) goes through a template as a
//! *mark*; [`Rendered`] is text with marks in it. It can be shown to anyone, stored in a plan, and is turned into the real
//! bytes by [`Rendered::bind`] right before it leaves for the host.

pub mod caddyfile;
pub mod cloud_init;
pub mod compose;
mod template;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::names::Endpoint;
use crate::secret::{FingerprintKey, REDACTED, Secret};

pub use template::{BuiltIn, RenderError, render, upper_snake};

/// Brackets of a mark. From Unicode's private use area, so that no ordinary text holds them.
const OPEN: char = '\u{E0F0}';
const CLOSE: char = '\u{E0F1}';

/// Shown in place of a value that the provider has yet to tell.
pub const UNKNOWN: &str = "(known after apply)";

/// A value that a template may name before it may be written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A secret by name.
    Secret(String),
    /// A secret by name, percent-encoded for a URL.
    UrlSecret(String),
    /// What a password, a secret by name, is checked by.
    PasswordHash(String),
    /// The machine's public address.
    Address,
    /// `:port` behind the host of an HTTPS address; empty for 443.
    HttpsPort,
    /// The private half of the SSH host key for the first boot, as it stands inside a JSON string (line ends escaped).
    HostKey,
}

impl Mark {
    /// The mark as it stands in a text.
    pub fn text(&self) -> String {
        match self {
            Self::Secret(name) => format!("{OPEN}secret {name}{CLOSE}"),
            Self::UrlSecret(name) => format!("{OPEN}url-secret {name}{CLOSE}"),
            Self::PasswordHash(name) => format!("{OPEN}password-hash {name}{CLOSE}"),
            Self::Address => format!("{OPEN}address{CLOSE}"),
            Self::HttpsPort => format!("{OPEN}https-port{CLOSE}"),
            Self::HostKey => format!("{OPEN}host-key{CLOSE}"),
        }
    }

    fn parse(inner: &str) -> Option<Self> {
        Some(match inner.split_once(' ') {
            Some(("secret", name)) => Self::Secret(name.to_owned()),
            Some(("url-secret", name)) => Self::UrlSecret(name.to_owned()),
            Some(("password-hash", name)) => Self::PasswordHash(name.to_owned()),
            None if inner == "address" => Self::Address,
            None if inner == "https-port" => Self::HttpsPort,
            None if inner == "host-key" => Self::HostKey,
            _ => return None,
        })
    }

    fn is_secret(&self) -> bool {
        matches!(
            self,
            Self::Secret(_) | Self::UrlSecret(_) | Self::PasswordHash(_) | Self::HostKey
        )
    }
}

/// What marks stand for.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    /// Where the machine is reached, once it is known.
    pub endpoint: Option<Endpoint>,
    /// Every secret by name.
    pub secrets: BTreeMap<String, Secret>,
    /// The private half of the SSH host key for the first boot.
    pub host_key: Option<Secret>,
    /// What tells two values of a secret apart without giving them away.
    pub fingerprints: FingerprintKey,
}

impl Bindings {
    /// The fingerprint of a secret's value; none when there is no such secret.
    pub fn fingerprint(&self, name: &str) -> Option<String> {
        Some(self.fingerprints.of(name, self.secrets.get(name)?))
    }

    fn value(&self, mark: &Mark) -> Option<String> {
        match mark {
            Mark::Secret(name) => self.secrets.get(name).map(|secret| secret.expose().to_owned()),
            Mark::UrlSecret(name) => self.secrets.get(name).map(|secret| percent_encode(secret.expose())),
            Mark::PasswordHash(name) => self.fingerprints.password_hash(name, self.secrets.get(name)?),
            Mark::Address => self.endpoint.as_ref().map(|endpoint| endpoint.address.to_string()),
            Mark::HttpsPort => self.endpoint.as_ref().map(|endpoint| match endpoint.https {
                443 => String::new(),
                port => format!(":{port}"),
            }),
            Mark::HostKey => self.host_key.as_ref().map(|key| key.expose().replace('\n', "\\n")),
        }
    }
}

/// Text with marks: harmless to show, to store and to compare.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rendered(String);

impl Rendered {
    /// Takes a text that a template made.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text with its marks.
    pub fn marked(&self) -> &str {
        &self.0
    }

    /// For people: `(secret)` for secrets; what `known` does not hold is `(known after apply)`.
    pub fn shown(&self, known: &Bindings) -> String {
        self.replace(|mark| {
            if mark.is_secret() {
                REDACTED.to_owned()
            } else {
                known.value(mark).unwrap_or_else(|| UNKNOWN.to_owned())
            }
        })
    }

    /// The real text. Marks without a value are as in [`Rendered::shown`]; [`Rendered::missing`] names them.
    pub fn bind(&self, bindings: &Bindings) -> String {
        self.replace(|mark| {
            bindings.value(mark).unwrap_or_else(|| {
                if mark.is_secret() {
                    REDACTED.to_owned()
                } else {
                    UNKNOWN.to_owned()
                }
            })
        })
    }

    /// For digests that may be published: fingerprints in place of secrets, the marks of everything else.
    pub fn fingerprinted(&self, bindings: &Bindings) -> String {
        self.replace(|mark| match mark {
            Mark::Secret(name) | Mark::UrlSecret(name) | Mark::PasswordHash(name) => {
                bindings.fingerprint(name).unwrap_or_else(|| mark.text())
            }
            Mark::Address | Mark::HttpsPort | Mark::HostKey => mark.text(),
        })
    }

    /// The names of the secrets in it.
    pub fn secret_names(&self) -> impl Iterator<Item = String> {
        self.marks().into_iter().filter_map(|mark| match mark {
            Mark::Secret(name) | Mark::UrlSecret(name) | Mark::PasswordHash(name) => Some(name),
            Mark::Address | Mark::HttpsPort | Mark::HostKey => None,
        })
    }

    /// The marks that `bindings` has no value for.
    pub fn missing(&self, bindings: &Bindings) -> Vec<Mark> {
        self.marks()
            .into_iter()
            .filter(|mark| bindings.value(mark).is_none())
            .collect()
    }

    /// Whether anything in it is not known yet.
    pub fn has_marks(&self) -> bool {
        !self.missing(&Bindings::default()).is_empty()
    }

    /// Whether the real text holds a secret.
    pub fn is_secret(&self) -> bool {
        self.marks().iter().any(Mark::is_secret)
    }

    fn marks(&self) -> Vec<Mark> {
        let mut marks = Vec::new();
        self.walk(|piece| {
            if let Piece::Mark(mark) = piece {
                marks.push(mark);
            }
        });
        marks
    }

    /// The text with something else in place of every mark.
    pub fn replace(&self, value: impl Fn(&Mark) -> String) -> String {
        let mut out = String::with_capacity(self.0.len());
        self.walk(|piece| match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Mark(mark) => out.push_str(&value(&mark)),
        });
        out
    }

    fn walk<'a>(&'a self, mut visit: impl FnMut(Piece<'a>)) {
        let mut rest = self.0.as_str();
        while let Some((before, after)) = rest.split_once(OPEN) {
            visit(Piece::Text(before));
            match after
                .split_once(CLOSE)
                .and_then(|(inner, tail)| Some((Mark::parse(inner)?, tail)))
            {
                Some((mark, tail)) => {
                    visit(Piece::Mark(mark));
                    rest = tail;
                }
                None => rest = after,
            }
        }
        visit(Piece::Text(rest));
    }
}

enum Piece<'a> {
    Text(&'a str),
    Mark(Mark),
}

/// Percent-encoding of everything but RFC 3986's unreserved characters: right in every part of a URL.
pub fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bindings() -> Bindings {
        Bindings {
            endpoint: Some(Endpoint {
                address: "127.77.0.1".parse().unwrap(),
                ssh: 22,
                http: 80,
                https: 8443,
            }),
            secrets: BTreeMap::from([("P".to_owned(), Secret::new("a/b c"))]),
            ..Bindings::default()
        }
    }

    #[test]
    fn text_without_marks_changes_nothing() {
        let text = Rendered::new("plain {{ not ours }} ü");
        assert_eq!(text.bind(&bindings()), text.marked());
        assert!(!text.is_secret());
    }

    #[test]
    fn marks_are_bound_for_the_host_and_redacted_for_people() {
        let text = Rendered::new(format!(
            "postgres://u:{}@{}{}/{}",
            Mark::UrlSecret("P".into()).text(),
            Mark::Address.text(),
            Mark::HttpsPort.text(),
            Mark::Secret("P".into()).text()
        ));
        assert_eq!(text.bind(&bindings()), "postgres://u:a%2Fb%20c@127.77.0.1:8443/a/b c");
        assert_eq!(
            text.shown(&bindings()),
            "postgres://u:(secret)@127.77.0.1:8443/(secret)"
        );
        assert_eq!(
            text.shown(&Bindings::default()),
            "postgres://u:(secret)@(known after apply)(known after apply)/(secret)"
        );
        assert!(text.is_secret());
        assert_eq!(text.missing(&Bindings::default()).len(), 4);
    }
}
