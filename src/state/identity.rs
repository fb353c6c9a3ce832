//! The age key that opens the bundles of a person's environments. It belongs to the person (or the CI job), lies outside
//! every project, and is made once.
//!
//! Looked for in this order: `PROVISION_IDENTITY` (the key's text), `PROVISION_IDENTITY_FILE`, and
//! `$XDG_CONFIG_HOME/provision/identity` (`~/.config` without it), where it is made when it is missing. The file has the
//! format of `age-keygen`, so that `age -d -i` opens a bundle without us.

use std::env;
use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret as _;
use age::x25519;
use thiserror::Error;
use zeroize::Zeroizing;

use super::atomic;
use crate::secret::{IDENTITY_VARIABLE, Secret};

#[cfg(test)]
mod tests;

const TEXT_VARIABLE: &str = IDENTITY_VARIABLE;
const FILE_VARIABLE: &str = "PROVISION_IDENTITY_FILE";

/// Why there is no identity. Never quotes a key.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// Neither `XDG_CONFIG_HOME` nor `HOME` says where configuration lies.
    #[error("failed to find the place of the age identity: neither XDG_CONFIG_HOME nor HOME is set")]
    NoPlace,
    /// The text is not one age key.
    #[error("failed to read the age identity in {origin}: {why}")]
    NotAnIdentity {
        /// Where it came from.
        origin: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Secrets are there, and what opens them is not.
    #[error("failed to find your age identity {}, which alone opens the secrets of this environment", path.display())]
    Missing {
        /// The usual file.
        path: PathBuf,
    },
    /// Others can read it.
    #[error("refused the age identity {}: its mode is {mode:04o}, so that others can read it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The operating system refused.
    #[error("failed to {what} the age identity {}", path.display())]
    File {
        /// `read` or `create`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        why: io::Error,
    },
}

impl IdentityError {
    /// What the person can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::NoPlace => format!("set HOME, or {FILE_VARIABLE} to the identity's file, or {TEXT_VARIABLE} to its text"),
            Self::NotAnIdentity { .. } => {
                "it must hold one line that starts with AGE-SECRET-KEY-1, as `age-keygen` writes it; bring back your copy of it".to_owned()
            }
            Self::Missing { .. } => format!(
                "bring back your copy of it, or ask whoever made the environment for theirs and set {FILE_VARIABLE} to its file"
            ),
            Self::Exposed { path, .. } => format!("run `chmod 600 {}`", path.display()),
            Self::File { path, why, .. } if why.kind() == io::ErrorKind::NotFound => {
                format!("{FILE_VARIABLE} names {}: correct it, or bring the file there", path.display())
            }
            Self::File { path, .. } => format!("check that {} is yours to read and write", path.display()),
        }
    }
}

/// Where the identity is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Given as text.
    Text(Secret),
    /// A file that must exist.
    File(PathBuf),
    /// The usual file, made when it is missing.
    Default(PathBuf),
}

impl Source {
    /// What the process's environment says.
    ///
    /// # Errors
    /// When it names no place.
    pub fn from_environment() -> Result<Self, IdentityError> {
        // Set but empty is kept: that is a CI secret which is missing, not a wish for a new identity.
        if let Some(text) = env::var_os(TEXT_VARIABLE) {
            return Ok(Self::Text(Secret::new(text.into_string().unwrap_or_default())));
        }
        if let Some(path) = env::var_os(FILE_VARIABLE) {
            return Ok(Self::File(path.into()));
        }
        // The XDG specification says that a relative path is to be ignored.
        let configured = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
        let folder = configured.filter(|path| path.is_absolute()).or_else(|| {
            let home = env::var_os("HOME").filter(|home| !home.is_empty())?;
            Some(PathBuf::from(home).join(".config"))
        });
        let folder = folder.ok_or(IdentityError::NoPlace)?;
        Ok(Self::Default(folder.join("provision").join("identity")))
    }
}

/// An age X25519 key.
#[derive(Clone)]
pub struct Identity {
    key: x25519::Identity,
    origin: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("recipient", &self.recipient())
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// The identity of whoever runs this process, made when there is none. `true` says that it was made just now; then
    /// the person is told [`Identity::notice`].
    ///
    /// # Errors
    /// When it cannot be read or made, or others can read it.
    pub fn load_or_create() -> Result<(Self, bool), IdentityError> {
        Self::load_or_create_from(&Source::from_environment()?)
    }

    /// The identity that opens what is there already: a new one would not.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or others can read it.
    pub fn load_existing() -> Result<Self, IdentityError> {
        match Source::from_environment()? {
            Source::Default(path) => Self::load(&path)?.ok_or(IdentityError::Missing { path }),
            given => Ok(Self::load_or_create_from(&given)?.0),
        }
    }

    /// The identity from a given place.
    ///
    /// # Errors
    /// As [`Identity::load_or_create`].
    pub fn load_or_create_from(source: &Source) -> Result<(Self, bool), IdentityError> {
        match source {
            Source::Text(text) => Ok((Self::parse(text.expose(), TEXT_VARIABLE.to_owned())?, false)),
            Source::File(path) => match Self::load(path)? {
                Some(identity) => Ok((identity, false)),
                None => Err(IdentityError::File {
                    what: "read",
                    path: path.clone(),
                    why: io::Error::new(io::ErrorKind::NotFound, "there is no such file"),
                }),
            },
            Source::Default(path) => match Self::load(path)? {
                Some(identity) => Ok((identity, false)),
                None => Self::create(path),
            },
        }
    }

    /// The public half, `age1…`: whom a bundle is encrypted to.
    pub fn recipient(&self) -> String {
        self.key.to_public().to_string()
    }

    /// Where it came from: a path, or the name of a variable.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What a person is told whose identity was made just now.
    pub fn notice(&self) -> String {
        format!(
            "made your identity {}: it alone opens the secrets and SSH keys of the environments you make. Back it up \
             (a password manager will do); give a copy to whoever shall work on them too",
            self.origin
        )
    }

    pub(super) fn key(&self) -> &x25519::Identity {
        &self.key
    }

    fn load(path: &Path) -> Result<Option<Self>, IdentityError> {
        let read = |why| IdentityError::File {
            what: "read",
            path: path.to_owned(),
            why,
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(read(why)),
        };
        let mode = fs::metadata(path).map_err(read)?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed {
                path: path.to_owned(),
                mode,
            });
        }
        Self::parse(&text, path.display().to_string()).map(Some)
    }

    fn parse(text: &str, origin: String) -> Result<Self, IdentityError> {
        let mut keys = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let key = match (keys.next(), keys.next()) {
            (Some(key), None) => key.parse(),
            (None, _) => Err("it is empty"),
            (Some(_), Some(_)) => Err("it holds more than one key"),
        };
        match key {
            Ok(key) => Ok(Self { key, origin }),
            Err(why) => Err(IdentityError::NotAnIdentity { origin, why }),
        }
    }

    fn create(path: &Path) -> Result<(Self, bool), IdentityError> {
        let create = |why| IdentityError::File {
            what: "create",
            path: path.to_owned(),
            why,
        };
        let identity = Self {
            key: x25519::Identity::generate(),
            origin: path.display().to_string(),
        };
        let folder = path.parent().unwrap_or(path);
        atomic::make_folder(folder).map_err(create)?;
        let secret = identity.key.to_string();
        let text = Zeroizing::new(format!(
            "# the identity of `provision`: it opens the secrets of your environments; keep a copy\n# public key: {}\n{}\n",
            identity.recipient(),
            secret.expose_secret()
        ));
        let write = || -> io::Result<tempfile::NamedTempFile> {
            let mut file = tempfile::Builder::new()
                .prefix(".tmp-identity-")
                .permissions(Permissions::from_mode(atomic::PRIVATE))
                .tempfile_in(folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        match write().map_err(create)?.persist_noclobber(path) {
            Ok(_) => atomic::sync_folder(folder).map_err(create)?,
            // Another run was quicker: two identities would lock one of the two out of its own bundle.
            Err(e) if e.error.kind() == io::ErrorKind::AlreadyExists => {
                return match Self::load(path)? {
                    Some(identity) => Ok((identity, false)),
                    None => Err(create(e.error)),
                };
            }
            Err(e) => return Err(create(e.error)),
        }
        Ok((identity, true))
    }
}
