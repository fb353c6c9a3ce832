//! The secrets and private keys of one environment: one file encrypted to the person's [`Identity`], beside the state.
//!
//! `secrets.age` is an ordinary age file with JSON inside. It is replaced like the state is, only by whoever has seen the last one,
//! and the one before stays as `secrets.age.bak`. An age file does not tell whom it is for, so `secrets.recipient` does, for the message to whoever
//! has another identity. Plaintext is in memory only; our own buffers of it are wiped.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::iter;
use std::sync::{Arc, Mutex, PoisonError};

use age::{DecryptError, Decryptor};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::identity::Identity;
use super::storage::{Expect, Place, Storage, StorageError, Version};
use crate::names::Lineage;
use crate::secret::Secret;

mod kept;
#[cfg(test)]
mod tests;

pub use kept::{Former, Kept, Maker};

const FILE: &str = "secrets.age";
const PREVIOUS: &str = "secrets.age.bak";
const RECIPIENT: &str = "secrets.recipient";
const VERSION: u32 = 1;

/// The name of the environment's client key in [`Bundle::keys`]: a private key in OpenSSH's format.
pub const CLIENT_KEY: &str = "ssh";

/// The name of the first boot's host key in [`Bundle::keys`]: a private key in OpenSSH's format.
pub const HOST_KEY: &str = "host";

/// The name of the key of all fingerprints in [`Bundle::keys`]: letters and digits.
pub const FINGERPRINTS: &str = "fingerprints";

/// What an environment keeps secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    /// Secrets that are kept here, by their names in the environment file: generated ones, and those a person set.
    pub secrets: BTreeMap<String, Secret>,
    /// What is known of them. Bundles of the first builds know nothing.
    pub kept: BTreeMap<String, Kept>,
    /// Private keys: [`CLIENT_KEY`], [`HOST_KEY`], [`FINGERPRINTS`].
    pub keys: BTreeMap<String, Secret>,
}

/// Why a bundle was not read or written. Never quotes what is inside.
#[derive(Debug, Error)]
pub enum BundleError {
    /// It is encrypted to somebody else.
    #[error(
        "failed to open the secrets {place}: they are encrypted to {}, and the identity in {origin} is {given}",
        wanted.as_deref().unwrap_or("another identity")
    )]
    WrongIdentity {
        /// The bundle.
        place: Place,
        /// Whom it is for, when that is recorded.
        wanted: Option<String>,
        /// Whose identity was tried.
        given: String,
        /// Where that came from.
        origin: String,
    },
    /// It is truncated or altered.
    #[error("failed to open the secrets {place}: the file is damaged ({what})")]
    Damaged {
        /// The bundle.
        place: Place,
        /// What is wrong with it.
        what: String,
        /// The bundle before it, when there is one.
        previous: Option<Place>,
    },
    /// A later version of the content.
    #[error("failed to open the secrets {place}: their version is {version}, and this build reads up to {VERSION}")]
    Newer {
        /// The bundle.
        place: Place,
        /// Its version.
        version: u32,
    },
    /// It belongs to another life of the environment.
    #[error("refused the secrets {place}: they belong to the lineage {found}, and the state to {expected}")]
    OtherLineage {
        /// The bundle.
        place: Place,
        /// The state's.
        expected: Lineage,
        /// The bundle's.
        found: Lineage,
    },
    /// They cannot be encrypted.
    #[error("failed to encrypt the secrets")]
    Encrypt(#[source] age::EncryptError),
    /// Somebody else wrote them.
    #[error("refused to write the secrets {place}: somebody else wrote them after this run had read them")]
    Moved {
        /// The bundle.
        place: Place,
    },
    /// The storage refused.
    #[error("failed to {what} the secrets {place}")]
    File {
        /// `read` or `write`.
        what: &'static str,
        /// The file.
        place: Place,
        /// Why.
        #[source]
        why: StorageError,
    },
}

impl BundleError {
    /// What the person can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::WrongIdentity { .. } => {
                "ask whoever made the environment for that identity, and set PROVISION_IDENTITY_FILE to its file"
                    .to_owned()
            }
            Self::Damaged {
                place,
                previous: Some(previous),
                ..
            } => format!("restore the one before with `{}`", place.copy_from(previous)),
            Self::Damaged { place, .. } => format!("bring back a copy of {place}: there is no {PREVIOUS} beside it"),
            Self::Newer { .. } => "upgrade provision".to_owned(),
            Self::OtherLineage { place, .. } => format!("bring {place} and the state of the same backup together"),
            Self::Encrypt(_) => "run the command again".to_owned(),
            Self::Moved { .. } => "run the command again: it begins with what is there now".to_owned(),
            Self::File { place, why, .. } => why.remedy().unwrap_or_else(|| {
                format!(
                    "check that {} is yours to read and write, and that there is room",
                    place.folder()
                )
            }),
        }
    }
}

/// The bundle of one environment. Clones share what they have seen.
#[derive(Debug, Clone)]
pub struct BundleStore {
    storage: Storage,
    lineage: Lineage,
    seen: Arc<Mutex<Option<Seen>>>,
}

/// The bundle that was first read or last written: whoever changes it began with this one.
#[derive(Debug)]
struct Seen {
    version: Option<Version>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    lineage: &'a Lineage,
    secrets: &'a BTreeMap<String, Secret>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    kept: &'a BTreeMap<String, Kept>,
    keys: &'a BTreeMap<String, Secret>,
}

#[derive(Deserialize)]
struct Header {
    version: u32,
}

#[derive(Deserialize)]
struct Content {
    lineage: Lineage,
    #[serde(default)]
    secrets: BTreeMap<String, Secret>,
    #[serde(default)]
    kept: BTreeMap<String, Kept>,
    #[serde(default)]
    keys: BTreeMap<String, Secret>,
}

impl BundleStore {
    /// The bundle in an environment's storage, for the life that `lineage` names. Nothing is read or made.
    pub fn new(storage: &Storage, lineage: &Lineage) -> Self {
        Self {
            storage: storage.clone(),
            lineage: lineage.clone(),
            seen: Arc::default(),
        }
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.storage.place(FILE)
    }

    /// Whether there is one. It is not opened.
    ///
    /// # Errors
    /// When the storage cannot be asked.
    pub fn exists(&self) -> Result<bool, BundleError> {
        Ok(self.sealed()?.is_some())
    }

    /// Opens the bundle. `None` when there is none yet.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or belongs to another identity or another lineage.
    pub fn load(&self, identity: &Identity) -> Result<Option<Bundle>, BundleError> {
        let Some(sealed) = self.sealed()? else {
            return Ok(None);
        };
        let place = self.place();
        let plain = open(identity, &sealed).map_err(|why| match why {
            DecryptError::NoMatchingKeys => BundleError::WrongIdentity {
                place: place.clone(),
                wanted: self.recorded_recipient(),
                given: identity.recipient(),
                origin: identity.origin().to_owned(),
            },
            why => self.damaged(why.to_string()),
        })?;
        // serde_json's messages quote values, and these are secrets: only the place may be told.
        let undecodable = |why: serde_json::Error| {
            self.damaged(format!("its content at line {}, column {}", why.line(), why.column()))
        };
        let Header { version } = serde_json::from_slice(&plain).map_err(undecodable)?;
        if version > VERSION {
            return Err(BundleError::Newer { place, version });
        }
        let content = serde_json::from_slice(&plain).map_err(undecodable)?;
        let Content {
            lineage,
            secrets,
            kept,
            keys,
        } = content;
        if lineage != self.lineage {
            return Err(BundleError::OtherLineage {
                place,
                expected: self.lineage.clone(),
                found: lineage,
            });
        }
        Ok(Some(Bundle { secrets, kept, keys }))
    }

    /// Encrypts and replaces the bundle; the one before becomes `secrets.age.bak`.
    ///
    /// # Errors
    /// When somebody else wrote it since this value first read it, or when it cannot be encrypted or written; the one that is there
    /// is then as it was.
    pub fn save(&self, bundle: &Bundle, identity: &Identity) -> Result<(), BundleError> {
        let write = |why: StorageError| match why {
            StorageError::Conflict => BundleError::Moved { place: self.place() },
            why => BundleError::File {
                what: "write",
                place: self.place(),
                why,
            },
        };
        let plain = encode(bundle, &self.lineage).map_err(|why| write(io::Error::from(why).into()))?;
        let sealed = age::encrypt(&identity.key().to_public(), &plain).map_err(BundleError::Encrypt)?;

        let previous = self.sealed()?;
        let expect = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            Expect::unchanged(seen.as_ref().and_then(|seen| seen.version.as_ref()))
        };
        let recipient = format!("{}\n", identity.recipient());
        self.storage
            .put(RECIPIENT, recipient.as_bytes(), &Expect::Any)
            .map_err(write)?;
        if let Some(previous) = previous {
            self.storage.put(PREVIOUS, &previous, &Expect::Any).map_err(write)?;
        }
        let version = self.storage.put(FILE, &sealed, &expect).map_err(write)?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen { version: Some(version) });
        Ok(())
    }

    /// The encrypted bytes. What was there the first time is what a change is based on.
    fn sealed(&self) -> Result<Option<Vec<u8>>, BundleError> {
        let found = self.storage.get(FILE).map_err(|why| BundleError::File {
            what: "read",
            place: self.place(),
            why,
        })?;
        let (bytes, version) = found.unzip();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get_or_insert(Seen { version });
        Ok(bytes)
    }

    fn recorded_recipient(&self) -> Option<String> {
        let (bytes, _) = self.storage.get(RECIPIENT).ok()??;
        let text = String::from_utf8(bytes).ok()?;
        let line = text.trim();
        line.starts_with("age1").then(|| line.to_owned())
    }

    fn damaged(&self, what: String) -> BundleError {
        let previous = self.storage.get(PREVIOUS).ok().flatten();
        BundleError::Damaged {
            place: self.place(),
            what,
            previous: previous.map(|_| self.storage.place(PREVIOUS)),
        }
    }
}

/// The plaintext, in a buffer large enough that no half-filled one is left behind in memory.
fn encode(bundle: &Bundle, lineage: &Lineage) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    /// The longest that JSON makes of one byte: `\u0000`.
    const ESCAPED: usize = 6;
    const AROUND: usize = 16;
    /// Field names and times of one secret, or of one former value.
    const TOLD: usize = 192;
    let values = bundle.secrets.iter().chain(&bundle.keys);
    let values = values.map(|(name, value)| (name.len() + value.expose().len()) * ESCAPED + AROUND);
    let kept = bundle.kept.iter().map(|(name, kept)| {
        let before = kept
            .before
            .iter()
            .map(|former| former.value.expose().len() * ESCAPED + TOLD);
        name.len() * ESCAPED + TOLD + before.sum::<usize>()
    });
    let length = 256 + values.sum::<usize>() + kept.sum::<usize>();
    let mut plain = Zeroizing::new(Vec::with_capacity(length));
    let content = Written {
        version: VERSION,
        lineage,
        secrets: &bundle.secrets,
        kept: &bundle.kept,
        keys: &bundle.keys,
    };
    serde_json::to_writer(&mut *plain, &content)?;
    Ok(plain)
}

fn open(identity: &Identity, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let decryptor = Decryptor::new_buffered(sealed)?;
    let mut reader = decryptor.decrypt(iter::once(identity.key() as _))?;
    // The plaintext is shorter than its file, so that this buffer never moves.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len() + 64));
    reader.read_to_end(&mut plain)?;
    Ok(plain)
}
