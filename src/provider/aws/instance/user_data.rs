//! What the first boot is given, in the form EC2 takes: base64 of at most 16384 bytes.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::provider::ProviderError;

/// EC2's limit, before base64 (docs.aws.amazon.com, "Run commands when you launch an EC2 instance with user data input").
const MOST: usize = 16_384;

/// As it is where it fits, compressed where it does not: cloud-init unpacks gzip by itself.
///
/// # Errors
/// When it does not fit even so.
pub fn encode(text: &str) -> Result<String, ProviderError> {
    if text.len() <= MOST {
        return Ok(STANDARD.encode(text));
    }
    let cause = |why| ProviderError::new("failed to compress the first boot's user-data").because(why);
    // No time stamp and no name are written: the same text gives the same bytes, and so the same call.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(text.as_bytes()).map_err(cause)?;
    let packed = gzip.finish().map_err(cause)?;
    if packed.len() > MOST {
        return Err(ProviderError::new(format!(
            "failed to make machine.instance: its first boot needs {} bytes of user-data, {} compressed, and EC2 takes {MOST}",
            text.len(),
            packed.len()
        ))
        .with_remedy("shorten what the environment adds to the first boot: users, keys, packages"));
    }
    Ok(STANDARD.encode(packed))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_fits_goes_as_it_is() {
        assert_eq!(encode("#cloud-config\n").unwrap(), STANDARD.encode("#cloud-config\n"));
    }

    #[test]
    fn what_does_not_fit_is_compressed_the_same_each_time() {
        let text = "#cloud-config\n".repeat(2000);
        let first = encode(&text).unwrap();
        assert_eq!(first, encode(&text).unwrap());
        let packed = STANDARD.decode(first).unwrap();
        let mut back = String::new();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_string(&mut back)
            .unwrap();
        assert_eq!(back, text);
    }

    #[test]
    fn what_does_not_fit_compressed_either_is_refused() {
        let noise: String = (0_u32..12_000)
            .map(|n| crate::names::Digest::of(n.to_string()).short().to_owned())
            .collect();
        insta::assert_snapshot!(encode(&noise).unwrap_err().to_string().replace(char::is_numeric, "9"), @"failed to make machine.instance: its first boot needs 999999 bytes of user-data, 99999 compressed, and EC9 takes 99999");
    }
}
