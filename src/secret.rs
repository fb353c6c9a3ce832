//! A value that must not be seen: it prints as `(secret)` wherever it is formatted.
//!
//! The one way to the text is [`Secret::expose`], so that every place that needs the real value can be found by its name.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

mod fingerprint;
mod redact;

pub use fingerprint::FingerprintKey;
pub use redact::Redactor;

/// What stands in place of a secret in everything a person or a log sees.
pub const REDACTED: &str = "(secret)";

/// The variable of the process's environment that holds the key of every bundle. No program that we start needs it.
pub const IDENTITY_VARIABLE: &str = "PROVISION_IDENTITY";

/// A secret text. Wiped from memory on drop; `Debug` and `Display` print [`REDACTED`].
///
/// It serialises as its real value: only the encrypted bundle may hold one in a type that is serialised.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The real value. Every caller answers for where it goes.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_its_text() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "(secret) (secret)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
