//! Makes SSH keys, passwords and lineages from the operating system's randomness, and reads public key lines.

use std::fmt;
use std::str::FromStr;

use ssh_key::rand_core::OsRng;
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey};
use thiserror::Error;

use crate::names::Lineage;
use crate::secret::Secret;

/// Why a key could not be made or read. Never quotes a private key.
#[derive(Debug, Error)]
#[error("failed to {what}")]
pub struct KeyError {
    what: &'static str,
    #[source]
    why: Box<dyn std::error::Error + Send + Sync>,
}

impl KeyError {
    fn new(what: &'static str, why: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self {
            what,
            why: Box::new(why),
        }
    }
}

/// An ed25519 key pair: the client key of an environment, or the host key of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey {
    /// The private key in OpenSSH's format, without passphrase, ending in a newline.
    pub private_openssh: Secret,
    /// The public key line: `ssh-ed25519 AAAA… comment`.
    pub public_openssh: String,
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint_sha256: String,
}

impl SshKey {
    /// Makes a new pair. The comment stands at the end of the public line.
    ///
    /// # Errors
    /// When the key cannot be encoded.
    pub fn generate(comment: &str) -> Result<Self, KeyError> {
        let what = "make an SSH key";
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(|e| KeyError::new(what, e))?;
        key.set_comment(comment);
        Self::from_key(&key, what)
    }

    /// Reads a private key in OpenSSH's format, as the bundle keeps it.
    ///
    /// # Errors
    /// When the text is no such key or needs a passphrase.
    pub fn from_private(text: &Secret) -> Result<Self, KeyError> {
        let what = "read a private SSH key";
        let key = PrivateKey::from_openssh(text.expose()).map_err(|e| KeyError::new(what, e))?;
        Self::from_key(&key, what)
    }

    fn from_key(key: &PrivateKey, what: &'static str) -> Result<Self, KeyError> {
        let private = key.to_openssh(LineEnding::LF).map_err(|e| KeyError::new(what, e))?;
        let public_openssh = key.public_key().to_openssh().map_err(|e| KeyError::new(what, e))?;
        Ok(Self {
            private_openssh: Secret::new(private.as_str()),
            public_openssh,
            fingerprint_sha256: key.fingerprint(HashAlg::Sha256).to_string(),
        })
    }
}

/// A public key, as in `authorized_keys`, `known_hosts` and `*.pub`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(ssh_key::PublicKey);

impl PublicKey {
    /// The algorithm's name: `ssh-ed25519`, `ssh-rsa`, …
    pub fn algorithm(&self) -> String {
        self.0.algorithm().to_string()
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fn fingerprint_sha256(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }

    /// The line without its comment.
    pub fn without_comment(&self) -> Self {
        let mut key = self.0.clone();
        key.set_comment("");
        Self(key)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(line: &str) -> Result<Self, KeyError> {
        ssh_key::PublicKey::from_openssh(line.trim())
            .map(Self)
            .map_err(|e| KeyError::new("read a public SSH key line", e))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_openssh().map_err(|_| fmt::Error)?)
    }
}

/// Letters and digits only: they need no quoting in URLs, `.env` files, YAML or shell.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The largest multiple of 62 that fits a byte: bytes from there on are drawn again, or `A` to `H` would be likelier.
const UNBIASED: u8 = 248;

/// A password of `length` letters and digits, each of the 62 equally likely (5.95 bits a character).
///
/// # Errors
/// When the operating system gives no randomness.
pub fn random_password(length: usize) -> Result<Secret, KeyError> {
    let mut password = String::with_capacity(length);
    let mut bytes = zeroize::Zeroizing::new([0_u8; 64]);
    while password.len() < length {
        fill(&mut *bytes, "make a password")?;
        let drawn = bytes.iter().filter(|byte| **byte < UNBIASED);
        let characters = drawn.filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()));
        for character in characters.take(length - password.len()) {
            password.push(char::from(*character));
        }
    }
    Ok(Secret::new(password))
}

/// A new lineage.
///
/// # Errors
/// When the operating system gives no randomness.
pub fn random_lineage() -> Result<Lineage, KeyError> {
    let mut bytes = [0_u8; 16];
    fill(&mut bytes, "make a lineage")?;
    Ok(Lineage::from_bytes(bytes))
}

pub(super) fn fill(bytes: &mut [u8], what: &'static str) -> Result<(), KeyError> {
    getrandom::fill(bytes).map_err(|e| KeyError::new(what, std::io::Error::other(e.to_string())))
}
