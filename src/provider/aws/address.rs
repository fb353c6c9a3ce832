//! `machine.address`: an elastic IP, which stays when the instance is replaced.
//!
//! No token makes an allocation happen once: an address of ours is looked for by its tags first, and of two of them, which
//! only a lost answer can leave behind, one is given back.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types::{Address as Described, DomainType, ResourceType};

use super::own::{is_gone, is_nobody_elses, needed_machine, retag};
use super::tags::{self, Tags};
use super::wait::{self, Look};
use super::{Aws, error};
use crate::names::Address;
use crate::note::Say;
use crate::provider::spec::ATTACHED;
use crate::provider::{Attributes, InstanceSpec, Owner, Part, ProviderError};

/// How long an instance may take until an address can be put on it: as long as it is `pending`.
const ASSOCIATE_WITHIN: Duration = Duration::from_secs(180);
/// How long an address may take to be free after it was taken off.
const RELEASE_WITHIN: Duration = Duration::from_secs(60);

/// What observation tells of an elastic IP. `instance` is the owner's machine.
pub(super) fn part(described: &Described, owner: &Owner, instance: Option<&str>) -> Part {
    let mut attributes = Attributes::new();
    let on = described.instance_id().filter(|id| !id.is_empty());
    let other = described
        .network_interface_id()
        .filter(|_| described.association_id().is_some());
    if let Some(on) = on.or(other) {
        let ours = Some(on) == instance;
        let shown = if ours {
            Address::MachineInstance.to_string()
        } else {
            on.to_owned()
        };
        attributes.insert(ATTACHED.to_owned(), shown);
    }
    let tags = Tags::read(described.tags());
    attributes.extend(tags.shown(owner).map(|tags| ("tags".to_owned(), tags)));
    let address = described.public_ip().map(|ip| ("address".to_owned(), ip.to_owned()));
    Part {
        id: described.allocation_id().unwrap_or_default().to_owned(),
        attributes,
        facts: BTreeMap::from_iter(address),
    }
}

/// Allocates an address or takes the one that is there, and puts it on the machine.
pub(super) async fn ensure(aws: &Aws, owner: &Owner, spec: &InstanceSpec, say: Say<'_>) -> Result<Part, ProviderError> {
    let wanted = Tags::of(owner, &Address::MachineAddress, spec);
    let machine = needed_machine(aws, owner, "put the elastic IP on the machine").await?;
    let mut found = find(aws, owner).await?.into_iter();
    let there = match found.next() {
        Some(there) => {
            let id = there.allocation_id().unwrap_or_default();
            retag(aws, id, &wanted, &Tags::read(there.tags())).await?;
            there
        }
        None => {
            let made = allocate(aws, &wanted).await?;
            // When its answer was lost, the SDK has asked again and there are two.
            found = find(aws, owner).await?.into_iter();
            made
        }
    };
    let id = there.allocation_id().unwrap_or_default().to_owned();
    for spare in found.filter(|spare| spare.allocation_id() != Some(id.as_str())) {
        release(aws, &spare, say).await?;
    }
    if there.instance_id() != Some(machine.id.as_str()) {
        wait::until("the instance to take its address", ASSOCIATE_WITHIN, say, || async {
            let request = aws.ec2.associate_address().allocation_id(&id).instance_id(&machine.id);
            // It is ours: whoever put it elsewhere did not mean us to lose it.
            match request.allow_reassociation(true).send().await {
                Ok(_) => Ok(Look::Done(())),
                Err(early) if is_early(error::code(&early)) => Ok(Look::NotYet("not ready for one".to_owned())),
                Err(other) => {
                    let what = format!("failed to put the elastic IP {id} on {}", machine.id);
                    Err(error::failed(what, "ec2:AssociateAddress", other))
                }
            }
        })
        .await?;
    }
    let now = Described::builder()
        .allocation_id(&id)
        .set_public_ip(there.public_ip)
        .instance_id(&machine.id)
        .set_tags(Some(wanted.list()))
        .build();
    Ok(part(&now, owner, Some(&machine.id)))
}

/// Takes it off and gives it back.
pub(super) async fn remove(aws: &Aws, owner: &Owner, say: Say<'_>) -> Result<(), ProviderError> {
    for there in find(aws, owner).await? {
        release(aws, &there, say).await?;
    }
    Ok(())
}

/// Those of this owner, the one to keep first: the one in the state, one in use, the oldest identifier.
async fn find(aws: &Aws, owner: &Owner) -> Result<Vec<Described>, ProviderError> {
    let failed = |why| error::failed("failed to look for the elastic IP", "ec2:DescribeAddresses", why);
    let recorded = owner.ids.get(&Address::MachineAddress);
    let by_tag = aws
        .ec2
        .describe_addresses()
        .set_filters(Some(tags::at(owner, &Address::MachineAddress)));
    let mut found = by_tag.send().await.map_err(failed)?.addresses.unwrap_or_default();
    if found.is_empty()
        && let Some(id) = recorded
    {
        match aws.ec2.describe_addresses().allocation_ids(id).send().await {
            Ok(output) => {
                found = output.addresses.unwrap_or_default();
                found.retain(|address| is_nobody_elses(address.tags(), owner));
            }
            Err(gone) if is_gone(error::code(&gone)) => {}
            Err(other) => return Err(failed(other)),
        }
    }
    found.sort_by_key(|address| {
        let id = address.allocation_id().map(str::to_owned);
        (id.as_ref() != recorded, address.association_id().is_none(), id)
    });
    Ok(found)
}

async fn allocate(aws: &Aws, tags: &Tags) -> Result<Described, ProviderError> {
    let request = aws
        .ec2
        .allocate_address()
        .domain(DomainType::Vpc)
        .tag_specifications(tags.specification(ResourceType::ElasticIp));
    let made = request
        .send()
        .await
        .map_err(|why| error::failed("failed to allocate an elastic IP", "ec2:AllocateAddress", why))?;
    Ok(Described::builder()
        .set_allocation_id(made.allocation_id)
        .set_public_ip(made.public_ip)
        .build())
}

async fn release(aws: &Aws, there: &Described, say: Say<'_>) -> Result<(), ProviderError> {
    let id = there.allocation_id().unwrap_or_default();
    if let Some(association) = there.association_id() {
        match aws.ec2.disassociate_address().association_id(association).send().await {
            Ok(_) => {}
            Err(gone) if is_gone(error::code(&gone)) => {}
            Err(other) => {
                let what = format!("failed to take the elastic IP {id} off");
                return Err(error::failed(what, "ec2:DisassociateAddress", other));
            }
        }
    }
    wait::until("the elastic IP to be free", RELEASE_WITHIN, say, || async {
        match aws.ec2.release_address().allocation_id(id).send().await {
            Ok(_) => Ok(Look::Done(())),
            Err(gone) if is_gone(error::code(&gone)) => Ok(Look::Done(())),
            Err(busy) if error::code(&busy) == Some("InvalidIPAddress.InUse") => {
                Ok(Look::NotYet("still in use".to_owned()))
            }
            Err(other) => {
                let what = format!("failed to release the elastic IP {id}");
                Err(error::failed(what, "ec2:ReleaseAddress", other))
            }
        }
    })
    .await
}

/// Whether a call came too early: the instance is `pending`, or what was just made is not seen everywhere yet.
fn is_early(code: Option<&str>) -> bool {
    matches!(
        code,
        Some("IncorrectInstanceState" | "InvalidInstanceID" | "InvalidInstanceState")
    ) || is_gone(code)
}
