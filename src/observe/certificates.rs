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
    let find = "find /data/caddy/certificates -name '*.crt' -exec cat {} +";
    let command = RemoteCommand::in_edge(["sh", "-c", find]).named("read the certificates");
    let output = session.run(&command, say).await?;
    Ok(parse(&output.stdout))
}

/// Every leaf certificate of some PEM text. What is no certificate is passed over.
fn parse(pem: &[u8]) -> Vec<Certificate> {
    use x509_parser::prelude::{GeneralName, Pem};
    Pem::iter_from_buffer(pem)
        .filter_map(Result::ok)
        .filter_map(|pem| {
            let certificate = pem.parse_x509().ok()?;
            if certificate.is_ca() {
                return None;
            }
            let names = certificate.subject_alternative_name().ok()??.value.general_names.iter();
            let names = names.filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
                    Ok(four) => Some(std::net::Ipv4Addr::from(four).to_string()),
                    Err(_) => <[u8; 16]>::try_from(*bytes)
                        .ok()
                        .map(|all| std::net::Ipv6Addr::from(all).to_string()),
                },
                _ => None,
            });
            Some(Certificate {
                names: names.collect(),
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
