//! The names of all environments: every ownership record of every zone.

use aws_sdk_route53::Client;

use super::Route53;
use super::records::{PAGE, claimed, id};
use super::zone::Zone;
use crate::names::Address;
use crate::note::{Note, Say};
use crate::provider::aws::error;
use crate::provider::{Found, Money, ProviderError};

/// Zone after zone: Route 53 answers five calls a second to a whole account.
pub(super) async fn find(route53: &Route53, say: Say<'_>) -> Vec<Found> {
    let zones = match route53.zones().await {
        Ok(zones) => zones,
        Err(error) => {
            tell(&error, "names", say);
            return Vec::new();
        }
    };
    let mut found = Vec::new();
    for zone in zones {
        match in_zone(&route53.client, zone).await {
            Ok(names) => found.extend(names),
            Err(error) => tell(&error, &format!("names in {zone}"), say),
        }
    }
    found
}

/// Machines are found all the same. What is not is said, so that nobody takes the list for whole.
fn tell(error: &ProviderError, what: &str, say: Say<'_>) {
    let why = error.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    say(Note::Warning(format!("{error}{why}; {what} are not in the list")));
}

async fn in_zone(client: &Client, zone: &Zone) -> Result<Vec<Found>, ProviderError> {
    let mut found = Vec::new();
    let mut next = (None, None, None);
    loop {
        let (name, kind, identifier) = next;
        let request = client
            .list_resource_record_sets()
            .hosted_zone_id(&zone.id)
            .set_start_record_name(name)
            .set_start_record_type(kind)
            .set_start_record_identifier(identifier)
            .max_items(PAGE);
        let page = request.send().await.map_err(|why| {
            let what = format!("failed to list the records of the zone {zone}");
            error::failed(what, "route53:ListResourceRecordSets", why)
        })?;
        let claims = page.resource_record_sets.iter().filter_map(claimed);
        found.extend(claims.map(|(name, lineage, environment)| Found {
            id: id(zone, &name),
            address: Address::Dns(name),
            environment,
            lineage,
            created: None,
            expires: None,
            // Only queries are paid for.
            monthly: Some(Money(0)),
        }));
        if !page.is_truncated || page.next_record_name.is_none() {
            return Ok(found);
        }
        next = (
            page.next_record_name,
            page.next_record_type,
            page.next_record_identifier,
        );
    }
}
