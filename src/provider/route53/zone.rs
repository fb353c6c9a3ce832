//! Hosted zones: which one serves a name.

use std::fmt;

use aws_sdk_route53::Client;
use aws_sdk_route53::types::HostedZone;

use crate::provider::ProviderError;
use crate::provider::aws::error;

/// A hosted zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Zone {
    /// Its identifier, without the `/hosted-zone/` that some answers put before it.
    pub id: String,
    /// Its name without the dot at the end; empty where only the identifier is known.
    pub name: String,
}

impl Zone {
    /// Whether a name lies in it. A zone of which only the identifier is known is one that served the name before.
    fn serves(&self, name: &str) -> bool {
        name == self.name
            || name
                .strip_suffix(self.name.as_str())
                .is_some_and(|rest| rest.ends_with('.'))
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.id),
            name => write!(f, "{name} ({})", self.id),
        }
    }
}

/// The zones that can be meant: those that `given` names, or all public ones.
pub(super) async fn list(client: &Client, given: Option<&str>) -> Result<Vec<Zone>, ProviderError> {
    match given {
        Some(id) if is_id(id) => {
            let output = client.get_hosted_zone().id(id).send().await.map_err(|why| {
                error::failed(
                    format!("failed to find the hosted zone `{id}`"),
                    "route53:GetHostedZone",
                    why,
                )
            })?;
            Ok(output.hosted_zone.iter().map(zone).collect())
        }
        Some(name) => {
            // Sorted by name, beginning with the one asked for: all of that name are on the first page.
            let output = client
                .list_hosted_zones_by_name()
                .dns_name(name)
                .max_items(20)
                .send()
                .await
                .map_err(|why| {
                    let what = format!("failed to find the hosted zone `{name}`");
                    error::failed(what, "route53:ListHostedZonesByName", why)
                })?;
            Ok(public(&output.hosted_zones)
                .filter(|zone| zone.name.eq_ignore_ascii_case(name))
                .collect())
        }
        None => {
            let mut zones = Vec::new();
            let mut marker = None;
            loop {
                let request = client.list_hosted_zones().set_marker(marker);
                let output = request.send().await.map_err(|why| {
                    let what = "failed to list the hosted zones of the account";
                    error::failed(what, "route53:ListHostedZones", why)
                })?;
                zones.extend(public(&output.hosted_zones));
                marker = output.next_marker.filter(|_| output.is_truncated);
                if marker.is_none() {
                    return Ok(zones);
                }
            }
        }
    }
}

/// Private zones answer only inside a VPC: they are meant only when the file gives their identifier.
fn public(zones: &[HostedZone]) -> impl Iterator<Item = Zone> {
    zones
        .iter()
        .filter(|zone| !zone.config.as_ref().is_some_and(|config| config.private_zone))
        .map(zone)
}

fn zone(described: &HostedZone) -> Zone {
    let id = described.id.rsplit('/').next().unwrap_or(&described.id);
    Zone {
        id: id.to_owned(),
        name: described.name.trim_end_matches('.').to_ascii_lowercase(),
    }
}

/// Whether a text is a zone's identifier: unlike a name it has no dot and is all capitals and digits.
fn is_id(text: &str) -> bool {
    text.len() > 4
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// The longest zone that a name lies in.
pub(super) fn pick<'a>(zones: &'a [Zone], name: &str) -> Result<Option<&'a Zone>, ProviderError> {
    let fitting = || zones.iter().filter(|zone| zone.serves(name));
    let Some(longest) = fitting().max_by_key(|zone| zone.name.len()) else {
        return Ok(None);
    };
    let mut same: Vec<&str> = fitting()
        .filter(|zone| zone.name == longest.name)
        .map(|zone| zone.id.as_str())
        .collect();
    if same.len() < 2 {
        return Ok(Some(longest));
    }
    same.sort_unstable();
    Err(ProviderError::new(format!(
        "failed to choose the hosted zone of `{name}`: {} are all named `{}`",
        same.join(" and "),
        longest.name
    ))
    .with_remedy(format!(
        "write the identifier of the one whose name servers the registrar has, such as `zone = \"{}\"`, in [dns]",
        same.first().copied().unwrap_or_default()
    )))
}

/// No zone serves a name.
pub(super) fn missing(name: &str, given: Option<&str>) -> ProviderError {
    match given {
        Some(given) => ProviderError::new(format!("failed to point `{name}` at the machine: the hosted zone `{given}` is not there or does not hold it"))
            .with_remedy("write a public zone of this account in which the name lies as `zone` in [dns], or leave it out and the longest one is found"),
        None => ProviderError::new(format!("failed to point `{name}` at the machine: no public hosted zone of this account holds it"))
            .with_remedy("make a hosted zone for its domain and have the registrar point at its name servers, choose the profile of the account that has it, or take [dns] out and set the record by hand"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(list: &[(&str, &str)]) -> Vec<Zone> {
        list.iter()
            .map(|(id, name)| Zone {
                id: (*id).to_owned(),
                name: (*name).to_owned(),
            })
            .collect()
    }

    #[test]
    fn the_longest_zone_serves_a_name() {
        let zones = zones(&[("Z1", "example.com"), ("Z2", "eu.example.com"), ("Z3", "ample.com")]);
        let id = |name| pick(&zones, name).unwrap().map(|zone| zone.id.as_str());
        assert_eq!(id("shop.example.com"), Some("Z1"));
        assert_eq!(id("shop.eu.example.com"), Some("Z2"));
        assert_eq!(id("eu.example.com"), Some("Z2"));
        assert_eq!(id("example.org"), None);
        assert_eq!(id("notexample.com"), None);
    }

    #[test]
    fn two_zones_of_one_name_need_a_word() {
        let zones = zones(&[("Z2B", "example.com"), ("Z1A", "example.com"), ("Z3", "com")]);
        let error = pick(&zones, "shop.example.com").unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to choose the hosted zone of `shop.example.com`: Z1A and Z2B are all named `example.com`"
        );
        assert!(error.remedy.unwrap().contains("zone = \"Z1A\""));
    }

    #[test]
    fn an_identifier_is_not_a_name() {
        assert!(is_id("Z0123456789ABCDEF"));
        assert!(!is_id("example.com") && !is_id("Zone"));
    }
}
