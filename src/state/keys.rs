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

/// What a lease's holder proves itself with: 32 hexadecimal digits.
///
/// # Errors
/// When the operating system gives no randomness.
pub fn random_token() -> Result<String, KeyError> {
    let mut bytes = [0_u8; 16];
    fill(&mut bytes, "make a token")?;
    Ok(crate::names::hex(&bytes))
}

pub(super) fn fill(bytes: &mut [u8], what: &'static str) -> Result<(), KeyError> {
    getrandom::fill(bytes).map_err(|e| KeyError::new(what, std::io::Error::other(e.to_string())))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_key_is_one_pair_and_reads_back() {
        let key = SshKey::generate("deploy@demo").unwrap();
        assert!(
            key.private_openssh
                .expose()
                .starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n")
        );
        assert!(
            key.private_openssh
                .expose()
                .ends_with("-----END OPENSSH PRIVATE KEY-----\n")
        );
        assert!(key.public_openssh.starts_with("ssh-ed25519 AAAA"));
        assert!(key.public_openssh.ends_with(" deploy@demo"));
        assert_eq!(SshKey::from_private(&key.private_openssh).unwrap(), key);
        assert_ne!(SshKey::generate("deploy@demo").unwrap(), key);
        assert!(!format!("{key:?}").contains("BEGIN"));

        let public: PublicKey = key.public_openssh.parse().unwrap();
        assert_eq!(public.fingerprint_sha256(), key.fingerprint_sha256);
        assert_eq!(public.algorithm(), "ssh-ed25519");
        assert_eq!(public.to_string(), key.public_openssh);
    }

    /// GitHub's published host key and its published fingerprint.
    #[test]
    fn a_fingerprint_is_openssh_s() {
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n";
        let key: PublicKey = line.parse().unwrap();
        assert_eq!(
            key.fingerprint_sha256(),
            "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
        );
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
        ] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }

    /// As `ssh-keygen -l` prints them for keys that it made.
    #[test]
    fn public_keys_of_other_algorithms_are_read() {
        let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBI2EojoKCt1pM2enxqH09tltPJ4x3TtqGJOeSAZdjwa8U8pM4ChVgPP7BREOUFVbLhkSe+1QDubTTTz3tZxJ/kI=";
        let key: PublicKey = ecdsa.parse().unwrap();
        assert_eq!(key.algorithm(), "ecdsa-sha2-nistp256");
        assert_eq!(
            key.fingerprint_sha256(),
            "SHA256:zHwVUjewQtju14snENbdmUojZrLwDuInBXdIeMDvIYU"
        );

        let rsa = concat!(
            "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDJK5pwP3ip3xHzjDmpy0+ZZaaVJfsv4LB+ReZuHrepdRUR4RkwQoy/3LoV",
            "VT6jOVMcTwSpGi/Fwg/bzAwNIHqNaWrRpV4BTmyDVX4b6OJhR+hDUnLhaWUINxanStWrGAvddzYx6ROc85RivdKqbZf2C/5g",
            "yj0qDx4hH3oaLXfSVl3ztJk8Vi2hO5TAqw0hFtIYtP57H69s52HR2DrGLsQmYvwvrTnMKk4s9G5p9g9s4+NkWul7iEMdJbzF",
            "eBWFUj2gX3/qY7PI9ud0iiqfScGewDvX3Rbly1FkSDmSiNRV/VKk8YW4vrtFIaVPC4tsJhTrQ+LQftYutAVrfKR7f+xCjsGI",
            "4vzO7gSQb4wEDVqnvW7raARR+vOgxTNcifn3JT2psMHhg7s3wxi6SHiTivkDtcgexyF02PkRReMfDBj8v1O19wAQ391fzLo5",
            "/1GFiVPW6NS/2zh7DDYqtjBHECUBP1WKsl9OhOtKglp7U2HgROIK38qrnwvgEUEqMdACR8c=",
        );
        let key: PublicKey = rsa.parse().unwrap();
        assert_eq!(key.algorithm(), "ssh-rsa");
        assert_eq!(
            key.fingerprint_sha256(),
            "SHA256:1NJqsvImjk1xLyeTUMq+z6FHgTNvP7vY2fTgmg4HyqQ"
        );
        assert_eq!(key.to_string(), rsa);
    }

    #[test]
    fn a_password_is_letters_and_digits_of_the_length_asked_for() {
        for length in [0, 1, 32, 63, 64, 65, 1000] {
            let password = random_password(length).unwrap();
            assert_eq!(password.expose().len(), length);
            assert!(password.expose().bytes().all(|byte| byte.is_ascii_alphanumeric()));
        }
    }

    /// 62 000 draws: each character 1000 times, give or take 31 (one sigma). Without the rejection the first eight
    /// would come 1211 times; six sigma go wrong once in ten million runs.
    #[test]
    fn no_character_is_likelier_than_another() {
        let password = random_password(62_000).unwrap();
        let mut counts = BTreeMap::<char, i32>::new();
        for character in password.expose().chars() {
            *counts.entry(character).or_default() += 1;
        }
        assert_eq!(counts.len(), 62);
        assert!(counts.values().all(|count| (count - 1000).abs() < 190), "{counts:?}");
    }

    #[test]
    fn every_lineage_is_another() {
        assert_ne!(random_lineage().unwrap(), random_lineage().unwrap());
    }
}
