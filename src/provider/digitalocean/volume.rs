//! `machine.volume`: the data volume, which outlives the Droplet.
//!
//! Nothing here makes a snapshot, takes a volume from another Droplet by force, or deletes more than the one it was asked to.

use std::time::Duration;

use serde_json::{Value, json};

use super::error::{self, CallError};
use super::marks::Marks;
use super::own::{needed_machine, once, shape};
use super::tag::{self, Bearer};
use super::wire::{Action, Droplet, Volume};
use super::{DigitalOcean, droplet, project};
use crate::names::Address;
use crate::note::Say;
use crate::provider::spec::ATTACHED;
use crate::provider::wait::{self, Look};
use crate::provider::{Attributes, InstanceSpec, Owner, Part, ProviderError};

/// How long an action on a volume may take, with what has to end on its Droplet before.
const ACTED_WITHIN: Duration = Duration::from_secs(600);

/// What observation tells of a data volume. `machine` is the owner's Droplet.
pub(super) fn part(volume: &Volume, owner: &Owner, machine: Option<u64>) -> Part {
    let marks = Marks::read(volume.tags.as_ref());
    let mut attributes = Attributes::from([("size_gib".to_owned(), volume.size_gigabytes.to_string())]);
    if let Some(holder) = holder(volume) {
        let on = match machine {
            Some(machine) if machine == holder => Address::MachineInstance.to_string(),
            _ => format!("droplet {holder}"),
        };
        attributes.insert(ATTACHED.to_owned(), on);
    }
    attributes.extend(marks.shown(owner).map(|tags| ("tags".to_owned(), tags)));
    let region = volume
        .region
        .as_ref()
        .map(|region| ("region".to_owned(), region.slug.clone()));
    Part {
        id: volume.id.clone(),
        attributes,
        facts: region.into_iter().collect(),
    }
}

fn holder(volume: &Volume) -> Option<u64> {
    volume.droplet_ids.as_ref().and_then(|ids| ids.first().copied())
}

pub(super) async fn list(cloud: &DigitalOcean, query: &[(&str, &str)]) -> Result<Vec<Volume>, ProviderError> {
    let listed: Result<Vec<Volume>, CallError> = cloud.client.list(&["volumes"], query).await;
    listed.map_err(error::of("failed to look for volumes", "block_storage:read"))
}

async fn by_id(cloud: &DigitalOcean, id: &str) -> Result<Option<Volume>, ProviderError> {
    let found = cloud.client.find::<Volume>(&["volumes", id]).await;
    found.map_err(error::of(
        format!("failed to look at the volume {id}"),
        "block_storage:read",
    ))
}

/// The owner's data volume: by its name, or the one in the state. Two of them are nobody's choice but the person's: there may be
/// data on either.
pub(super) async fn find(cloud: &DigitalOcean, owner: &Owner) -> Result<Option<Volume>, ProviderError> {
    let recorded = owner.ids.get(&Address::MachineVolume);
    let name = owner.machine_name();
    let mut found = list(cloud, &[("name", &name)]).await?;
    found.retain(|volume| {
        let marks = Marks::read(volume.tags.as_ref());
        marks.is_of(owner) || Some(&volume.id) == recorded && marks.is_nobody_elses(owner)
    });
    if let Some(id) = recorded
        && !found.iter().any(|volume| volume.id == *id)
        && let Some(other) = by_id(cloud, id).await?
        && Marks::read(other.tags.as_ref()).is_nobody_elses(owner)
    {
        return Ok(Some(other));
    }
    if let Some(place) = found.iter().position(|volume| Some(&volume.id) == recorded) {
        return Ok(Some(found.swap_remove(place)));
    }
    if found.len() > 1 {
        let ids: Vec<&str> = found.iter().map(|volume| volume.id.as_str()).collect();
        return Err(ProviderError::new(format!(
            "failed to choose the data volume of {}: {} are marked as it",
            owner.environment,
            ids.join(" and ")
        ))
        .with_remedy("look which one has the data, and take our tags off the other one in the console"));
    }
    Ok(found.pop())
}

/// Makes the volume or takes the one that is there, brings it to its size and hangs it on the machine.
pub(super) async fn ensure(
    cloud: &DigitalOcean,
    owner: &Owner,
    spec: &InstanceSpec,
    say: Say<'_>,
) -> Result<Part, ProviderError> {
    let shape = shape(spec)?;
    let Some(gib) = spec.volume_gib.map(u64::from) else {
        return Err(ProviderError::new("failed to make a data volume: none is asked for"));
    };
    let machine = needed_machine(cloud, owner, "hang the data volume on the machine").await?;
    let wanted = Marks::wanted(owner, spec, &[]);
    let there = match find(cloud, owner).await? {
        Some(there) => there,
        None => make(cloud, owner, gib, &machine, &wanted).await?,
    };
    let here = region(&machine);
    if there.region.as_ref().is_some_and(|region| region.slug != here) {
        return Err(ProviderError::new(format!(
            "failed to hang the data volume {} on the Droplet {}: it is in {}, the Droplet in {here}",
            there.id,
            machine.id,
            there.region.as_ref().map_or("", |region| region.slug.as_str())
        ))
        .with_remedy("write the volume's region under [machine.digitalocean]: a volume moves by a snapshot only"));
    }
    let marks = Marks::read(there.tags.as_ref());
    tag::set(cloud, &Bearer::Volume(there.id.clone()), &wanted, &marks).await?;
    if there.size_gigabytes > gib {
        return Err(ProviderError::new(format!(
            "failed to bring the data volume {} from {} to {gib} GiB: no volume shrinks",
            there.id, there.size_gigabytes
        ))
        .with_remedy(format!("write `volume_gib = {}`", there.size_gigabytes)));
    }
    let grow = json!({"type": "resize", "size_gigabytes": gib, "region": here});
    let large = |volume: &Volume| volume.size_gigabytes >= gib;
    until(cloud, &there.id, "the data volume to have its size", &grow, large, say).await?;
    free_of_others(cloud, owner, &there, &machine).await?;
    let attach = json!({"type": "attach", "droplet_id": machine.id, "region": here});
    let hangs = |volume: &Volume| holder(volume) == Some(machine.id);
    let now = until(
        cloud,
        &there.id,
        "the data volume to hang on the machine",
        &attach,
        hangs,
        say,
    )
    .await?;
    if let Some(name) = &shape.project {
        project::give(cloud, name, &[project::volume(&there.id)]).await?;
    }
    let mut now = part(&now, owner, Some(machine.id));
    // Tags may be seen later than they are written.
    now.attributes.remove("tags");
    now.attributes
        .extend(wanted.shown(owner).map(|tags| ("tags".to_owned(), tags)));
    Ok(now)
}

fn region(machine: &Droplet) -> String {
    machine
        .region
        .as_ref()
        .map(|region| region.slug.clone())
        .unwrap_or_default()
}

/// Makes a blank one: the host makes its file system. Its name makes that happen once, within a region.
async fn make(
    cloud: &DigitalOcean,
    owner: &Owner,
    gib: u64,
    machine: &Droplet,
    tags: &Marks,
) -> Result<Volume, ProviderError> {
    let name = owner.machine_name();
    let body = json!({
        "name": name,
        "description": format!("provision, environment {}", owner.environment),
        "region": region(machine),
        "size_gigabytes": gib,
        "tags": tags.list(),
    });
    let what = format!("failed to make the data volume {name}");
    let made = once(
        cloud,
        || async {
            match cloud.client.make::<Volume>(&["volumes"], body.clone()).await {
                Ok(made) => Ok(Some(made)),
                // Made by a call that was given up, or somebody else's.
                Err(taken) if taken.is_refused_as("already") => Ok(None),
                Err(other) => Err(other),
            }
        },
        || async { Ok(find(cloud, owner).await?.map(Some)) },
        error::of_ref(what.clone(), "block_storage:create"),
    )
    .await?;
    let made = match made {
        Some(made) => Some(made),
        None => find(cloud, owner).await?,
    };
    made.ok_or_else(|| {
        ProviderError::new(format!("{what}: another volume has this name and is not ours"))
            .with_remedy("when nobody needs it, remove it in the console; then apply again")
    })
}

/// Nothing is taken from another Droplet that is there.
async fn free_of_others(
    cloud: &DigitalOcean,
    owner: &Owner,
    there: &Volume,
    machine: &Droplet,
) -> Result<(), ProviderError> {
    let Some(holder) = holder(there).filter(|holder| *holder != machine.id) else {
        return Ok(());
    };
    match droplet::by_id(cloud, &holder.to_string()).await? {
        None => Ok(()),
        Some(_) => Err(taken(&there.id, holder, owner)),
    }
}

fn taken(id: &str, holder: u64, owner: &Owner) -> ProviderError {
    ProviderError::new(format!(
        "failed to take the data volume {id}: it hangs on the Droplet {holder}, which is not the machine of {}",
        owner.environment
    ))
    .with_remedy(format!(
        "nothing is taken from another machine: unmount it there, `doctl compute volume-action detach {id} {holder}`, then run it again"
    ))
}

/// Acts on a volume until it is so, with one thing at a time on its Droplet.
async fn until<F>(
    cloud: &DigitalOcean,
    id: &str,
    what: &str,
    action: &Value,
    is_so: F,
    say: Say<'_>,
) -> Result<Volume, ProviderError>
where
    F: Fn(&Volume) -> bool + Send + Sync,
{
    wait::until(what, ACTED_WITHIN, say, || async {
        let Some(there) = by_id(cloud, id).await? else {
            return Ok(Look::NotYet("not seen yet".to_owned()));
        };
        if is_so(&there) {
            return Ok(Look::Done(there));
        }
        match cloud
            .client
            .make::<Action>(&["volumes", id, "actions"], action.clone())
            .await
        {
            Ok(action) => {
                droplet::acted(cloud, &action, what, say).await?;
                Ok(Look::NotYet("not so after its action".to_owned()))
            }
            Err(early) if early.is_busy() || early.is_unclear() || early.is_gone() => {
                Ok(Look::NotYet("not to be changed yet".to_owned()))
            }
            // The next look tells.
            Err(so) if so.is_refused_as("already") => Ok(Look::NotYet("so already, it is said".to_owned())),
            Err(other) => Err(error::failed(
                format!("failed to wait for {what} ({id})"),
                "block_storage_action:create",
                other,
            )),
        }
    })
    .await
}

/// Takes it off and deletes it, with all that is on it.
pub(super) async fn remove(cloud: &DigitalOcean, owner: &Owner, say: Say<'_>) -> Result<(), ProviderError> {
    let Some(there) = find(cloud, owner).await? else {
        return Ok(());
    };
    let id = there.id.clone();
    if let Some(holder) = holder(&there)
        && let Some(droplet) = droplet::by_id(cloud, &holder.to_string()).await?
    {
        let ours = droplet::all(cloud, owner).await?.iter().any(|one| one.id == holder);
        if !ours {
            return Err(taken(&id, holder, owner));
        }
        let detach = json!({"type": "detach", "droplet_id": holder, "region": region(&droplet)});
        let free = |volume: &Volume| self::holder(volume).is_none();
        until(cloud, &id, "the data volume to be free", &detach, free, say).await?;
    }
    wait::until("the data volume to be deleted", ACTED_WITHIN, say, || async {
        if by_id(cloud, &id).await?.is_none() {
            return Ok(Look::Done(()));
        }
        match cloud.client.delete(&["volumes", &id], None).await {
            Ok(()) => Ok(Look::NotYet("being deleted".to_owned())),
            // A Droplet that was destroyed a moment ago may still hold it.
            Err(busy) if busy.is_busy() || busy.is_refused_as("attached") => {
                Ok(Look::NotYet("still in use".to_owned()))
            }
            Err(other) => {
                let what = format!("failed to delete the data volume {id}");
                Err(error::failed(what, "block_storage:delete", other))
            }
        }
    })
    .await
}
