//! Certificates of one's own: what they are for, until when, and whether a key is theirs.

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::secret::Secret;

/// A certificate, with those between it and its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// All of them, PEM, its own first.
    pub pem: String,
    /// The names and addresses that it is for.
    pub names: Vec<String>,
    /// The end of its validity.
    pub expires: Timestamp,
}

/// What is wrong, and what to do about it.
pub type Wrong = (String, &'static str);

impl Certificate {
    /// Reads a file of certificates that shall be used at `now`.
    ///
    /// # Errors
    /// What keeps it from being used.
    pub fn read(pem: String, now: Timestamp) -> Result<Self, Wrong> {
        let chain = chain(&pem)?;
        let Some((_, leaf)) = chain.first().and_then(|der| X509Certificate::from_der(der).ok()) else {
            return Err(broken());
        };
        if leaf.is_ca() && chain.len() > 1 {
            return Err((
                "the first certificate in it is one of an authority".into(),
                "put the certificate of your own names first, those between it and its root after it",
            ));
        }
        let time = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).map_err(|_| broken());
        let (begins, expires) = (time(leaf.validity().not_before)?, time(leaf.validity().not_after)?);
        if expires <= now {
            return Err((format!("this certificate ended on {}", day(expires)), "have it renewed"));
        }
        if begins > now {
            return Err((
                format!("this certificate begins on {}", day(begins)),
                "use one that is good already",
            ));
        }
        let names = names(&leaf);
        if names.is_empty() {
            return Err((
                "this certificate is for no name".into(),
                "have one made with the hosts as subject alternative names; browsers read no other",
            ));
        }
        Ok(Self { pem, names, expires })
    }

    /// Whether it is for a host: by its name, or by a wildcard in place of its first label (RFC 6125).
    pub fn covers(&self, host: &str) -> bool {
        covers(&self.names, host)
    }

    /// Whether a private key is its own.
    ///
    /// # Errors
    /// When it is not, or is no key that can be used.
    pub fn belongs(&self, key: &Secret) -> Result<(), Wrong> {
        let text = key.expose();
        if text.contains("ENCRYPTED") {
            return Err((
                "this key is encrypted with a password".into(),
                "nobody is there to type it: take the password off, and let the key be a secret",
            ));
        }
        let unusable = || {
            (
                "this is not a private key in PEM form".to_owned(),
                "it begins with -----BEGIN PRIVATE KEY-----, or RSA or EC before PRIVATE",
            )
        };
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| unusable())?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = provider.key_provider.load_private_key(key).map_err(|_| unusable())?;
        match rustls::sign::CertifiedKey::new(chain(&self.pem)?, key).keys_match() {
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => Err((
                "this key belongs to another certificate".into(),
                "give the key that the certificate was asked for with",
            )),
            _ => Ok(()),
        }
    }
}

/// Whether one of the names is a host's, or a wildcard in place of its first label.
pub fn covers(names: &[String], host: &str) -> bool {
    names.iter().any(|name| {
        name.eq_ignore_ascii_case(host)
            || name
                .strip_prefix("*.")
                .zip(host.split_once('.'))
                .is_some_and(|(domain, (_, rest))| domain.eq_ignore_ascii_case(rest))
    })
}

/// The names and addresses that a certificate is for.
pub fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(four) => Some(std::net::Ipv4Addr::from(four).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes)
                .ok()
                .map(|all| std::net::Ipv6Addr::from(all).to_string()),
        },
        _ => None,
    };
    alternatives.value.general_names.iter().filter_map(name).collect()
}

fn chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(broken)
}

fn broken() -> Wrong {
    (
        "this is not a certificate in PEM form".into(),
        "it begins with -----BEGIN CERTIFICATE-----",
    )
}

fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let names = ["*.example.com".to_owned(), "Example.org".to_owned()];
        assert!(covers(&names, "www.example.com") && covers(&names, "example.ORG"));
        assert!(
            !covers(&names, "example.com") && !covers(&names, "a.b.example.com") && !covers(&names, "www.example.org")
        );
    }
}
