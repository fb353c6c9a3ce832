//! Who runs this command, and from where: a machine whose firewall opens only for its operator must be told.

use std::time::Duration;

use ipnet::IpNet;

use super::Failure;
use super::terminal::tell;
use crate::cli::network;
use crate::provider::{Caller, InstanceSpec, Owner, Provider, ProviderError, Shape};
use crate::state::run_name;

/// What names the caller's network where `--operator-cidr` is not given.
const VARIABLE: &str = "PROVISION_OPERATOR_CIDR";

/// Answers with the address that it was asked from, and nothing else.
const WHO_AM_I: &str = "https://checkip.amazonaws.com";

/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long closing the firewall may take at a command's end: as long as the SDK tries again.
const CLOSING: Duration = Duration::from_secs(30);

/// The caller of a machine that lets its operator in one by one; none where nobody needs to be let in.
///
/// # Errors
/// When the caller's network is not a network, or cannot be found out.
pub async fn caller(spec: &InstanceSpec, given: Option<&IpNet>) -> Result<Option<Caller>, Failure> {
    let wanted = match &spec.shape {
        Shape::Local(_) | Shape::Ssh(_) => false,
        Shape::Aws(aws) => aws.ssh_from.operator,
    };
    if !wanted {
        return Ok(None);
    }
    let network = match (given, std::env::var(VARIABLE)) {
        (Some(network), _) => *network,
        (None, Ok(text)) if !text.is_empty() => network(&text).map_err(|why| {
            Failure::input(
                format!("{VARIABLE} is `{text}`: {why}"),
                "set it to an address or a network such as 203.0.113.7/32",
            )
        })?,
        _ => asked(WHO_AM_I).await?,
    };
    Ok(Some(Caller {
        network: network.to_string(),
        run: run_name(),
    }))
}

/// The address that the world sees. Over IPv4, as the machine is called.
async fn asked(url: &str) -> Result<IpNet, Failure> {
    let failed = |why: Box<dyn std::error::Error + Send + Sync>| {
        Failure::from(
            ProviderError::new(format!("failed to find out your address from {url}"))
                .because(why)
                .with_remedy(format!(
                    "name it: --operator-cidr 203.0.113.7/32, or {VARIABLE}=203.0.113.7/32; the machine's firewall opens for it \
                     only while a command runs (access.ssh_from)"
                )),
        )
    };
    let client = reqwest::Client::builder()
        .timeout(PATIENCE)
        .local_address(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
        .build()
        .map_err(|why| failed(why.into()))?;
    let answer = async { client.get(url).send().await?.error_for_status()?.text().await };
    let text = answer.await.map_err(|why| failed(why.into()))?;
    let start: String = text.chars().take(60).collect();
    network(&text).map_err(|why| failed(format!("it answered `{}`, {why}", start.trim()).into()))
}

/// Ends `work` with the firewall closed again, however it ended. What a killed command leaves open, the next one closes.
///
/// # Errors
/// Those of `work`; that the firewall did not close is told and fails nothing.
pub async fn admitted<T>(
    provider: &Provider,
    owner: &Owner,
    caller: Option<&Caller>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let work = Box::pin(work);
    match caller {
        None => work.await,
        Some(caller) => closed(work, provider.dismiss(owner, caller), &caller.network).await,
    }
}

async fn closed<T>(
    work: impl Future<Output = Result<T, Failure>>,
    close: impl Future<Output = Result<(), ProviderError>>,
    network: &str,
) -> Result<T, Failure> {
    let result = work.await;
    let why = match tokio::time::timeout(CLOSING, close).await {
        Ok(Ok(())) => return result,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer in {} s", CLOSING.as_secs()),
    };
    tell(&format!(
        "warning: port 22 may still be open for {network}: {why}; the next command closes it"
    ));
    result
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers every request with this body.
    fn server(body: &'static str) -> String {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        std::thread::spawn(move || {
            for connection in server.incoming() {
                let mut connection = connection.unwrap();
                let _ = connection.read(&mut [0; 4096]);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = connection.write_all(format!("{head}{body}").as_bytes());
            }
        });
        url
    }

    #[test]
    fn an_address_is_a_network_of_one() {
        for (text, told) in [
            ("203.0.113.7", "203.0.113.7/32"),
            (" 203.0.113.7\n", "203.0.113.7/32"),
            ("203.0.113.7/24", "203.0.113.0/24"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(network(text).unwrap().to_string(), told);
        }
        for text in ["", "office", "203.0.113", "203.0.113.7/33"] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn who_asks_is_told_his_address() {
        assert_eq!(
            asked(&server("203.0.113.7\n")).await.unwrap().to_string(),
            "203.0.113.7/32"
        );
        for url in [server("<html>log in first</html>"), "http://127.0.0.1:1".to_owned()] {
            let Failure::Other { what, hint } = asked(&url).await.unwrap_err() else {
                panic!("another failure");
            };
            assert!(
                what.to_string().starts_with("failed to find out your address"),
                "{what}"
            );
            let hint = hint.unwrap();
            assert!(hint.contains("--operator-cidr") && hint.contains(VARIABLE), "{hint}");
        }
    }

    #[tokio::test]
    async fn what_was_opened_is_closed_however_the_work_ended() {
        let closed_so_often = AtomicUsize::new(0);
        let close = || async {
            closed_so_often.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        assert!(closed(async { Ok(1) }, close(), "x").await.is_ok());
        assert!(matches!(
            closed(async { Err::<(), _>(Failure::Refused) }, close(), "x").await,
            Err(Failure::Refused)
        ));
        assert_eq!(closed_so_often.load(Ordering::Relaxed), 2);
        let broken = async { Err(ProviderError::new("failed to close")) };
        assert!(closed(async { Ok(1) }, broken, "x").await.is_ok(), "told, not fatal");
    }
}
