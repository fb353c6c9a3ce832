//! Changing the Droplet in place: only what differs is called, and it is stopped for its size alone.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::create::size;
use super::{acted, all, ask, by_id, chosen, needed, run, until};
use crate::note::{Note, Say};
use crate::provider::digitalocean::marks::{self, Marks};
use crate::provider::digitalocean::own::shape;
use crate::provider::digitalocean::tag::{self, Bearer};
use crate::provider::digitalocean::wire::{Droplet, Volume};
use crate::provider::digitalocean::{DigitalOcean, address, project, volume};
use crate::provider::{DigitalOceanShape, Instance, InstanceSpec, Owner, ProviderError};

/// How long a machine gets to shut down in order; then its power is cut.
const GENTLY: Duration = Duration::from_secs(120);

/// See [`crate::provider::Provider::resize`].
///
/// # Errors
/// When there is no Droplet, or a change is refused; it is started again then, where it can be.
pub(in crate::provider::digitalocean) async fn resize(
    cloud: &DigitalOcean,
    owner: &Owner,
    spec: &InstanceSpec,
    say: Say<'_>,
) -> Result<Instance, ProviderError> {
    let shape = shape(spec)?;
    let droplet = needed(cloud, owner, "change").await?;
    // First what can be refused, then what takes the machine down.
    let change = change(cloud, shape, &droplet).await?;
    let project = match &shape.project {
        Some(name) => Some(project::choose(cloud, name).await?),
        None => None,
    };
    if let Some(project) = &project {
        project::assign(cloud, project, &everything(cloud, owner, droplet.id).await?).await?;
    }
    tags(cloud, owner, spec, shape, project.as_ref(), &droplet).await?;
    backups(cloud, shape, &droplet, say).await?;
    if let Some(with_disk) = change {
        stop(cloud, droplet.id, say).await?;
        let wanted = |now: &Droplet| now.size_slug == shape.size && (!with_disk || now.disk >= disk_of(now));
        let action = json!({"type": "resize", "size": shape.size, "disk": with_disk});
        let reason = format!("machine.instance to become a {}", shape.size);
        let done = until(cloud, droplet.id, &reason, action, wanted, say).await;
        if let Err(refused) = done {
            // It was running: a size that cannot be is no reason to leave it off.
            let _ = super::until_running(cloud, droplet.id, say).await;
            return Err(refused);
        }
    }
    run(cloud, owner, droplet.id, say).await
}

fn disk_of(droplet: &Droplet) -> u64 {
    droplet.size.as_ref().map_or(0, |size| size.disk)
}

/// Whether another size is needed, and with its disk. None when it is as it shall be.
async fn change(
    cloud: &DigitalOcean,
    shape: &DigitalOceanShape,
    droplet: &Droplet,
) -> Result<Option<bool>, ProviderError> {
    let other = droplet.size_slug != shape.size;
    let grows = shape.grow_disk && droplet.disk < disk_of(droplet);
    if !other && !grows {
        return Ok(None);
    }
    let size = size(cloud, &shape.size).await?;
    let what = format!("failed to make machine.instance a {}", shape.size);
    if size.disk < droplet.disk {
        return Err(ProviderError::new(format!(
            "{what}: its disk has {} GiB, that size's has {}, and no disk shrinks",
            droplet.disk, size.disk
        ))
        .with_remedy(
            "write a size whose disk is as large (`doctl compute size list`); or have the machine made anew: `--replace machine.instance`, with the data on a volume",
        ));
    }
    let here = droplet
        .region
        .as_ref()
        .map(|region| region.slug.as_str())
        .unwrap_or_default();
    if other && !(size.available && size.regions.iter().any(|region| region == here)) {
        return Err(
            ProviderError::new(format!("{what}: that size is not to be had in {here}")).with_remedy(format!(
                "write another `size`; this one is in: {}",
                size.regions.join(", ")
            )),
        );
    }
    Ok(Some(shape.grow_disk && size.disk > droplet.disk))
}

async fn backups(
    cloud: &DigitalOcean,
    shape: &DigitalOceanShape,
    droplet: &Droplet,
    say: Say<'_>,
) -> Result<(), ProviderError> {
    let on = |now: &Droplet| now.features.iter().any(|feature| feature == "backups");
    if on(droplet) == shape.backups {
        return Ok(());
    }
    let (action, reason) = match shape.backups {
        true => (json!({"type": "enable_backups"}), "backups to be switched on"),
        false => (json!({"type": "disable_backups"}), "backups to be switched off"),
    };
    let wanted = |now: &Droplet| on(now) == shape.backups;
    until(cloud, droplet.id, reason, action, wanted, say).await.map(drop)
}

/// Turns it off: in order where its system follows, by its power where not.
async fn stop(cloud: &DigitalOcean, id: u64, say: Say<'_>) -> Result<(), ProviderError> {
    let off = |now: &Droplet| now.status == "off";
    let gently = async {
        let end = Instant::now() + GENTLY;
        let mut asked = false;
        while Instant::now() < end {
            let now = by_id(cloud, &id.to_string()).await?;
            if now.as_ref().is_some_and(|now| off(now) && !now.locked) {
                return Ok(true);
            }
            if !asked && now.as_ref().is_some_and(|now| !now.locked) {
                say(Note::Waiting(format!("machine.instance to shut down ({id})")));
                if let Some(action) = ask(cloud, id, json!({"type": "shutdown"})).await? {
                    asked = true;
                    // It may be given up by the vendor when the system does not follow.
                    let _ = acted(cloud, &action, "the shutdown", say).await;
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
        Ok::<_, ProviderError>(false)
    };
    if gently.await? {
        return Ok(());
    }
    say(Note::Warning(format!(
        "machine.instance ({id}) does not shut down in {} s: its power is cut",
        GENTLY.as_secs()
    )));
    let reason = format!("machine.instance to be off ({id})");
    until(cloud, id, &reason, json!({"type": "power_off"}), off, say)
        .await
        .map(drop)
}

async fn tags(
    cloud: &DigitalOcean,
    owner: &Owner,
    spec: &InstanceSpec,
    shape: &DigitalOceanShape,
    project: Option<&project::Chosen>,
    droplet: &Droplet,
) -> Result<(), ProviderError> {
    let there = Marks::read(droplet.tags.as_ref());
    // What it was made from stays so; of one that lost its tags, what is asked for is as good as known.
    let mut facts = Vec::new();
    if there.get(marks::IMAGE).is_none() {
        facts.push((marks::IMAGE, shape.image.as_str()));
    }
    let project = project.map(|project| project.mark(&owner.lineage));
    facts.extend(project.as_deref().map(|project| (marks::PROJECT, project)));
    let wanted = Marks::wanted(owner, spec, &facts);
    // The machine's own mark is written last: a run that was cut off before it begins again.
    if wanted.get(marks::EXPIRES) != there.get(marks::EXPIRES) || wanted.get(marks::TTL) != there.get(marks::TTL) {
        for one in volumes(cloud, owner).await? {
            let there = Marks::read(one.tags.as_ref());
            tag::set(cloud, &Bearer::Volume(one.id), &Marks::wanted(owner, spec, &[]), &there).await?;
        }
    }
    tag::set(cloud, &Bearer::Droplet(droplet.id), &wanted, &there).await
}

async fn volumes(cloud: &DigitalOcean, owner: &Owner) -> Result<Vec<Volume>, ProviderError> {
    Ok(volume::find(cloud, owner).await?.into_iter().collect())
}

/// All that a project can hold of this owner.
async fn everything(cloud: &DigitalOcean, owner: &Owner, droplet: u64) -> Result<Vec<String>, ProviderError> {
    let mut all = vec![project::droplet(droplet)];
    all.extend(volumes(cloud, owner).await?.iter().map(|one| project::volume(&one.id)));
    let addresses = address::list(cloud).await?;
    let ours = addresses.iter().filter(|one| address::is_on(one, droplet));
    all.extend(ours.map(|one| project::address(&one.ip)));
    Ok(all)
}

/// Marks Droplet and volume with the end, or with none. A Droplet that turns itself off stays, and costs what it did: nothing
/// can be told to the vendor that would change that.
///
/// # Errors
/// When it cannot be written.
pub(in crate::provider::digitalocean) async fn end(
    cloud: &DigitalOcean,
    owner: &Owner,
    spec: &InstanceSpec,
) -> Result<(), ProviderError> {
    let mut marked = Vec::new();
    for one in volumes(cloud, owner).await? {
        marked.push((Bearer::Volume(one.id), Marks::read(one.tags.as_ref())));
    }
    let there = all(cloud, owner).await?;
    if let Some(droplet) = chosen(owner, &there) {
        marked.push((Bearer::Droplet(droplet.id), Marks::read(droplet.tags.as_ref())));
    }
    let mut old = Vec::new();
    for (bearer, there) in &marked {
        // Which project it is in is no matter of its end.
        let project: Vec<_> = there
            .get(marks::PROJECT)
            .map(|mark| (marks::PROJECT, mark))
            .into_iter()
            .collect();
        let wanted = Marks::wanted(owner, spec, &project);
        let (_, drop) = wanted.missing(there);
        old.extend(
            drop.into_iter()
                .filter(|tag| tag.starts_with(&marks::life(&owner.lineage)))
                .map(str::to_owned),
        );
        tag::set(cloud, bearer, &wanted, there).await?;
    }
    // An end that was put off is nobody's any more.
    old.sort();
    old.dedup();
    for tag in old {
        tag::delete(cloud, &tag).await?;
    }
    Ok(())
}
