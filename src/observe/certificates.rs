//! The certificates that Caddy holds, and until when they are good.

use jiff::Timestamp;

use super::ObserveError;
use crate::note::Say;
use crate::remote::{RemoteCommand, Session};

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The names and addresses it is for.
    pub names: Vec<String>,
    /// The end of its validity.
    pub expires: Timestamp,
}

/// Reads Caddy's certificates; none while there is no Caddy.
///
/// # Errors
/// When the host cannot be asked.
pub async fn read(session: &Session, say: Say<'_>) -> Result<Vec<Certificate>, ObserveError> {
    let find = "find /data/caddy/certificates /etc/caddy/tls -name '*.crt' -exec cat {} + 2>/dev/null";
    let command = RemoteCommand::in_edge(["sh", "-c", find]).named("read the certificates");
    let output = session.run(&command, say).await?;
    Ok(parse(&output.stdout))
}

/// Every leaf certificate of some PEM text. What is no certificate is passed over.
fn parse(pem: &[u8]) -> Vec<Certificate> {
    x509_parser::prelude::Pem::iter_from_buffer(pem)
        .filter_map(Result::ok)
        .filter_map(|pem| {
            let certificate = pem.parse_x509().ok()?;
            if certificate.is_ca() {
                return None;
            }
            Some(Certificate {
                names: crate::certificate::names(&certificate),
                expires: Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_certificate_is_passed_over() {
        assert!(super::parse(b"").is_empty());
        assert!(super::parse(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").is_empty());
    }
}
