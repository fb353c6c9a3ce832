//! Telling two values of a secret apart without giving either away.
//!
//! A plain digest of a weak secret can be guessed by whoever reads a state or a container's labels. A keyed one (HMAC-SHA-256,
//! RFC 2104) cannot: its key lies in the encrypted bundle.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Secret;

/// The block size of SHA-256 in bytes (FIPS 180-4).
const BLOCK: usize = 64;

/// Digits of a fingerprint: 64 bits, enough to tell the few values that one secret ever has.
const DIGITS: usize = 16;

/// Rounds of bcrypt, as a power of two: some 60 ms of a current processor, for us at every plan and for Caddy at every login.
const COST: u32 = 10;

/// The key of all fingerprints of one environment.
#[derive(Debug, Clone, Default)]
pub struct FingerprintKey(Option<Secret>);

impl FingerprintKey {
    /// A key that the bundle keeps.
    pub fn new(key: Secret) -> Self {
        Self(Some(key))
    }

    /// The fingerprint of the value of the secret `name`. Equal values of two secrets have different ones. Without a key, all
    /// values of a secret look alike.
    pub fn of(&self, name: &str, value: &Secret) -> String {
        match &self.0 {
            Some(key) => mac(
                key.expose().as_bytes(),
                &[name.as_bytes(), &[0], value.expose().as_bytes()],
                DIGITS,
            ),
            None => format!("secret {name}"),
        }
    }

    /// What the password `name` is checked by: bcrypt, the same for as long as key and password are. Its salt follows from both: a
    /// random one would make a difference at every plan, and one without a key would tell equal passwords of two environments.
    /// None when there is no such hash.
    pub fn password_hash(&self, name: &str, value: &Secret) -> Option<String> {
        let key = self.0.as_ref().map(|key| key.expose().as_bytes()).unwrap_or_default();
        // Without a key the value must not go into the salt, which is no secret and quickly made.
        let value_in_salt = self.0.as_ref().map(|_| value.expose().as_bytes()).unwrap_or_default();
        let salt = raw(key, &[b"bcrypt", &[0], name.as_bytes(), &[0], value_in_salt]);
        let salt = <[u8; 16]>::try_from(salt.get(..16)?).ok()?;
        let hash = bcrypt::hash_with_salt(value.expose(), COST, salt).ok()?;
        Some(hash.format_for_version(bcrypt::Version::TwoB))
    }

    /// A digest of a text that may hold secrets, 64 digits long.
    pub fn digest(&self, text: &str) -> Option<String> {
        let key = self.0.as_ref()?;
        Some(mac(
            key.expose().as_bytes(),
            &[text.as_bytes()],
            2 * Sha256::output_size(),
        ))
    }
}

/// HMAC-SHA-256 over the parts, in hexadecimal digits.
fn mac(key: &[u8], parts: &[&[u8]], digits: usize) -> String {
    let mut text = raw(key, parts).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    text.truncate(digits);
    text
}

/// HMAC-SHA-256 over the parts.
fn raw(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut block = Zeroizing::new([0_u8; BLOCK]);
    if key.len() > BLOCK {
        let short = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(key)));
        block.iter_mut().zip(short.iter()).for_each(|(to, from)| *to = *from);
    } else {
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    }
    let pad = |byte: u8| Zeroizing::new(block.map(|each| each ^ byte));
    let mut inner = Sha256::new_with_prefix(*pad(0x36));
    parts.iter().for_each(|part| inner.update(part));
    Sha256::new_with_prefix(*pad(0x5c))
        .chain_update(inner.finalize())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test cases 1, 2 and 6 of RFC 4231.
    #[test]
    fn it_is_hmac_sha_256() {
        assert_eq!(
            mac(&[0x0b; 20], &[b"Hi ", b"There"], 64),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            mac(b"Jefe", &[b"what do ya want for nothing?"], 64),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            mac(
                &[0xaa; 131],
                &[b"Test Using Larger Than Block-Size Key - Hash Key First"],
                64
            ),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_password_has_one_hash_a_key() {
        let key = FingerprintKey::new(Secret::new("k"));
        let password = Secret::new("correct-horse");
        let hash = key.password_hash("A", &password).unwrap();
        assert!(
            hash.starts_with("$2b$10$") && bcrypt::verify("correct-horse", &hash).unwrap(),
            "{hash}"
        );
        assert_eq!(key.password_hash("A", &password).unwrap(), hash);
        let others = [
            key.password_hash("B", &password),
            key.password_hash("A", &Secret::new("battery")),
            FingerprintKey::new(Secret::new("l")).password_hash("A", &password),
            FingerprintKey::default().password_hash("A", &password),
        ];
        assert!(
            others.iter().flatten().all(|other| other[..29] != hash[..29]),
            "{others:?}"
        );
    }

    #[test]
    fn a_value_has_one_fingerprint_a_name_and_a_key() {
        let key = FingerprintKey::new(Secret::new("k"));
        let of = |key: &FingerprintKey, name, value| key.of(name, &Secret::new(value));
        assert_eq!(of(&key, "A", "1"), of(&key, "A", "1"));
        assert_ne!(of(&key, "A", "1"), of(&key, "A", "2"));
        assert_ne!(of(&key, "A", "1"), of(&key, "B", "1"));
        assert_ne!(of(&key, "A", "1"), of(&FingerprintKey::new(Secret::new("l")), "A", "1"));
        assert_eq!(of(&key, "A", "1").len(), DIGITS);
    }
}
