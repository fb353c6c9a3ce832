//! What is public, as it is written: `[routes]`, `[edge]` and `[tls]`.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::model::{Spanned, Text};

/// What one host or path leads to: `"service:port"`, or a table.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(untagged)]
pub enum Route {
    /// `"service:port"`, or `"h2c://service:port"` for gRPC.
    To(String),
    /// The same with settings, or a redirect.
    Table(Box<RouteTable>),
}

/// Serde's own untagged enums forget the places of what is in them.
impl<'de> Deserialize<'de> for Route {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Route;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a table")
            }
            fn visit_str<E>(self, text: &str) -> Result<Route, E> {
                Ok(Route::To(text.to_owned()))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Route, A::Error> {
                RouteTable::deserialize(MapAccessDeserializer::new(map)).map(|table| Route::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A route as a table: `to` or `redirect`, and what holds for it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteTable {
    /// A service of any stack and its port, `service:port`; `h2c://service:port` for gRPC.
    pub to: Option<Text>,
    /// Where browsers are sent instead: a host, `https://host/path`, or `/path` on the same host. Path and query of the request are added.
    pub redirect: Option<Text>,
    /// Take the path of a pattern such as `/api/*` off before the request goes on.
    pub strip: Option<Spanned<bool>>,
    /// Who gets in with which password: names and secrets, such as `{ admin = "{{secrets.ADMIN_PASSWORD}}" }`.
    #[serde(default)]
    pub users: BTreeMap<Spanned<String>, Text>,
    /// Let the service see the password that `users` asked for, because it checks the same one.
    pub keep_authorization: Option<Spanned<bool>>,
    /// An oauth2-proxy, `service:port`, that says who gets in.
    pub forward_auth: Option<Text>,
    /// Headers of the answer; false removes one.
    #[serde(default)]
    pub headers: BTreeMap<Spanned<String>, Spanned<Header>>,
    /// What a request may bring at most, such as `10MB`.
    pub max_body: Option<Spanned<String>>,
    /// Why a page for administrators has neither `users` nor `forward_auth`.
    pub public: Option<Spanned<String>>,
}

/// A header of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Header {
    /// It has this value, whatever the service says.
    Value(String),
    /// `false`: it is removed.
    Removed(bool),
}

/// `[edge]`: what holds for all routes.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EdgeTable {
    /// Headers of every answer; false removes one.
    #[serde(default)]
    pub headers: BTreeMap<Spanned<String>, Spanned<Header>>,
    /// What a request may bring at most, such as `10MB`; a route may say otherwise.
    pub max_body: Option<Spanned<String>>,
    /// Compress answers for those who ask for it.
    pub compression: Option<bool>,
    /// Serve HTTP/3 too.
    pub http3: Option<bool>,
    /// A page of yours, relative to this file, that is shown while a service does not answer.
    pub maintenance: Option<Spanned<String>>,
    /// A Caddyfile snippet of yours, or a folder of `*.caddy`, relative to this file: part of every host.
    pub snippets: Option<Spanned<String>>,
}

/// `[tls]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Where certificates come from. Default: `internal` on a local machine, `acme` elsewhere.
    pub mode: Option<Spanned<TlsMode>>,
    /// The address that the certificate authority writes to.
    pub email: Option<Text>,
    /// With `files`: the certificate and those between it and its root, PEM, relative to this file.
    pub certificate: Option<Spanned<String>>,
    /// With `files`: its private key, PEM: a path relative to this file, or a secret such as `{{secrets.TLS_KEY}}`.
    pub key: Option<Text>,
    /// With `acme`: another authority's directory, such as `https://ca.internal/acme/acme/directory`.
    pub directory: Option<Spanned<String>>,
    /// The certificate, PEM, relative to this file, by which the directory's own certificate is checked; the public ones without.
    pub directory_root: Option<Spanned<String>>,
}

/// Where certificates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Let's Encrypt, or the authority that `directory` names.
    Acme,
    /// Let's Encrypt's staging service: no rate limits to speak of, not trusted by browsers.
    AcmeStaging,
    /// Caddy's own certificate authority.
    Internal,
    /// `certificate` and `key`.
    Files,
}

impl Tls {
    /// The path of the private key, when it is one and no secret.
    pub fn key_path(&self) -> Option<&Text> {
        self.key.as_ref().filter(|key| !key.get().contains("{{"))
    }
}

impl Route {
    /// The text of the short form.
    pub fn short(&self) -> Option<&str> {
        match self {
            Self::To(text) => Some(text),
            Self::Table(_) => None,
        }
    }
}
