//! Making the Droplet, or going on where an interrupted call ended.

use serde_json::json;

use futures_util::future::{try_join, try_join3, try_join4};

use super::destroy::{made_by_us, remove};
use super::{all, by_id, chosen, list, run};
use crate::note::{Note, Say};
use crate::provider::digitalocean::error::{self, CallError};
use crate::provider::digitalocean::marks::{self, Marks};
use crate::provider::digitalocean::own::{once, shape};
use crate::provider::digitalocean::wire::{Account, Droplet, Image, Region, Size};
use crate::provider::digitalocean::{DigitalOcean, firewall, image, key, project};
use crate::provider::{DigitalOceanShape, Instance, InstanceSpec, Owner, ProviderError};

/// The most that the first boot can be given (API, droplets, `user_data`). It is not unpacked here when it is compressed.
const USER_DATA: usize = 64 * 1024;

/// See [`crate::provider::Provider::create`].
///
/// # Errors
/// When size, image, firewall or room is missing, or the Droplet does not come up.
pub(in crate::provider::digitalocean) async fn create(
    cloud: &DigitalOcean,
    owner: &Owner,
    spec: &InstanceSpec,
    generation: u64,
    say: Say<'_>,
) -> Result<Instance, ProviderError> {
    let shape = shape(spec)?;
    let project = match &shape.project {
        Some(name) => Some(project::choose(cloud, name).await?),
        None => None,
    };
    let id = match made(cloud, owner, generation, say).await? {
        Some(id) => id,
        None => make(cloud, owner, spec, project.as_ref(), generation).await?,
    };
    let instance = run(cloud, owner, id, say).await?;
    if let Some(droplet) = by_id(cloud, &instance.id).await? {
        firewall::protects(cloud, owner, &droplet, say).await?;
    }
    if let Some(project) = &project {
        project::assign(cloud, project, &[project::droplet(id)]).await?;
    }
    Ok(instance)
}

/// Looks whether a Droplet could be made: what cannot be is told while the one before is still there.
///
/// # Errors
/// When something is not to be had, or does not fit.
pub(in crate::provider::digitalocean) async fn check(
    cloud: &DigitalOcean,
    spec: &InstanceSpec,
) -> Result<(), ProviderError> {
    let shape = shape(spec)?;
    prepare(cloud, spec, shape).await?;
    match &shape.project {
        Some(name) => project::choose(cloud, name).await.map(drop),
        None => Ok(()),
    }
}

/// What this step made before, if it did; what it made twice is taken away.
async fn made(
    cloud: &DigitalOcean,
    owner: &Owner,
    generation: u64,
    say: Say<'_>,
) -> Result<Option<u64>, ProviderError> {
    let name = owner.machine_name();
    let (there, named) = try_join(all(cloud, owner), list(cloud, &[("name", &name)])).await?;
    let Some(machine) = chosen(owner, &there) else {
        // A tag is put on after the Droplet is made, and a token may not be allowed to see tags.
        return match named.into_iter().find(|droplet| could_be(owner, droplet)) {
            None => Ok(None),
            Some(found) if made_by_us(owner, &found) => Ok(Some(found.id)),
            Some(found) => Err(ProviderError::new(format!(
                "failed to make machine.instance: the Droplet {} has its name, {name}, and none of its tags",
                found.id
            ))
            .with_remedy(format!(
                "when it is another's or of no use, rename or destroy it; when the token lacks the scope tag:read, add that; to take it over: `provision state import {} machine.instance {}`",
                owner.environment, found.id
            ))),
        };
    };
    let count = generation.to_string();
    let surplus: Vec<&Droplet> = there
        .iter()
        .filter(|droplet| droplet.id != machine.id && made_by_us(owner, droplet))
        .filter(|droplet| Marks::read(droplet.tags.as_ref()).get(marks::GENERATION) == Some(&count))
        .collect();
    for droplet in surplus {
        say(Note::Warning(format!(
            "an interrupted run made the machine twice: {} is kept, {} is destroyed",
            machine.id, droplet.id
        )));
        remove(cloud, droplet.id, say).await?;
    }
    Ok(Some(machine.id))
}

/// Whether a Droplet of our name may be one that we made.
fn could_be(owner: &Owner, droplet: &Droplet) -> bool {
    Marks::read(droplet.tags.as_ref()).is_nobody_elses(owner)
}

async fn make(
    cloud: &DigitalOcean,
    owner: &Owner,
    spec: &InstanceSpec,
    project: Option<&project::Chosen>,
    generation: u64,
) -> Result<u64, ProviderError> {
    let shape = shape(spec)?;
    let (image, key, ()) = try_join3(
        prepare(cloud, spec, shape),
        key::ensure(cloud, owner, spec),
        walled(cloud, owner),
    )
    .await?;
    let count = generation.to_string();
    let mut facts = vec![(marks::IMAGE, shape.image.as_str()), (marks::GENERATION, &count)];
    facts.extend(shape.vpc.as_deref().map(|vpc| (marks::VPC, vpc)));
    let project = project.map(|project| project.mark(&owner.lineage));
    facts.extend(project.as_deref().map(|project| (marks::PROJECT, project)));
    let tags = Marks::wanted(owner, spec, &facts);
    let key: Option<u64> = key.id.parse().ok();
    let name = owner.machine_name();
    let mut body = json!({
        "name": name,
        "region": shape.region,
        "size": shape.size,
        "image": image,
        "ssh_keys": key.into_iter().collect::<Vec<_>>(),
        "backups": shape.backups,
        "ipv6": shape.ipv6,
        "monitoring": shape.monitoring,
        "tags": tags.list(),
        "user_data": spec.user_data,
        // It would let people in by the console with keys of its own.
        "with_droplet_agent": false,
    });
    if let Some(vpc) = &shape.vpc {
        body["vpc_uuid"] = json!(vpc);
    }
    let look = || async {
        let there = all(cloud, owner).await?;
        if let Some(found) = chosen(owner, &there) {
            return Ok(Some(found.clone()));
        }
        let named = list(cloud, &[("name", &name)]).await?;
        Ok(named.into_iter().find(|droplet| could_be(owner, droplet)))
    };
    let call = || cloud.client.make::<Droplet>(&["droplets"], body.clone());
    let made = once(
        cloud,
        call,
        look,
        error::of_ref("failed to make machine.instance", "droplet:create"),
    )
    .await?;
    Ok(made.id)
}

/// A Droplet without a firewall is open to everybody: it has to be there first.
async fn walled(cloud: &DigitalOcean, owner: &Owner) -> Result<(), ProviderError> {
    let all = firewall::list(cloud).await?;
    match firewall::of(owner, all).is_empty() {
        false => Ok(()),
        true => Err(
            ProviderError::new("failed to make machine.instance: its firewall is not there")
                .with_remedy("somebody removed it meanwhile: apply again, it is made anew"),
        ),
    }
}

/// All that has to fit before a Droplet can be made; gives the number of the image.
async fn prepare(cloud: &DigitalOcean, spec: &InstanceSpec, shape: &DigitalOceanShape) -> Result<u64, ProviderError> {
    let what = "failed to make machine.instance";
    // Before anything is asked: no answer would change it.
    if spec.user_data.len() > USER_DATA {
        return Err(ProviderError::new(format!(
            "{what}: its first boot needs {} bytes of user-data, and DigitalOcean takes {USER_DATA}",
            spec.user_data.len()
        ))
        .with_remedy("shorten what the environment adds to the first boot: users, keys, packages"));
    }
    let (size, region, image, ()) = try_join4(
        size(cloud, &shape.size),
        region(cloud, &shape.region),
        image::resolve(cloud, &shape.image),
        room(cloud),
    )
    .await?;
    if !region.available {
        return Err(
            ProviderError::new(format!("{what}: the region {} takes no new Droplets now", shape.region))
                .with_remedy("write another `region`: `doctl compute region list` tells which are available"),
        );
    }
    if !size.available || !size.regions.contains(&shape.region) {
        let others = match size.regions.is_empty() {
            true => "write another `size`".to_owned(),
            false => format!(
                "write another `size`, or one of its regions: {}",
                size.regions.join(", ")
            ),
        };
        return Err(ProviderError::new(format!(
            "{what}: the size {} is not to be had in {}",
            shape.size, shape.region
        ))
        .with_remedy(others));
    }
    fits(&image, &size, shape)
}

fn fits(image: &Image, size: &Size, shape: &DigitalOceanShape) -> Result<u64, ProviderError> {
    let what = "failed to make machine.instance";
    let least = image.min_disk_size.unwrap_or_default();
    if least > size.disk {
        return Err(ProviderError::new(format!(
            "{what}: the size {} has a disk of {} GiB and the image {} needs {least}",
            size.slug, size.disk, shape.image
        ))
        .with_remedy("write a larger `size`"));
    }
    if !image.regions.is_empty() && !image.regions.contains(&shape.region) {
        return Err(
            ProviderError::new(format!("{what}: the image {} is not in {}", shape.image, shape.region)).with_remedy(
                format!(
                    "write another `image`, or have it copied to {}; it is in: {}",
                    shape.region,
                    image.regions.join(", ")
                ),
            ),
        );
    }
    image
        .id
        .ok_or_else(|| ProviderError::new(format!("{what}: the image {} has no number", shape.image)))
}

/// The size as the vendor has it.
pub(super) async fn size(cloud: &DigitalOcean, slug: &str) -> Result<Size, ProviderError> {
    let listed: Result<Vec<Size>, CallError> = cloud.client.list(&["sizes"], &[]).await;
    let sizes = listed.map_err(error::of("failed to list the sizes of Droplets", "sizes:read"))?;
    let names: Vec<&str> = sizes.iter().map(|size| size.slug.as_str()).collect();
    let near = nearest(slug, &names);
    let missing = || {
        ProviderError::new(format!(
            "failed to find the size `{slug}`: DigitalOcean has none of this name"
        ))
        .with_remedy(format!("{near}`doctl compute size list` tells what there is"))
    };
    sizes.iter().find(|size| size.slug == slug).cloned().ok_or_else(missing)
}

async fn region(cloud: &DigitalOcean, slug: &str) -> Result<Region, ProviderError> {
    let listed: Result<Vec<Region>, CallError> = cloud.client.list(&["regions"], &[]).await;
    let regions = listed.map_err(error::of("failed to list the regions", "regions:read"))?;
    let names: Vec<&str> = regions.iter().map(|region| region.slug.as_str()).collect();
    let missing = || {
        ProviderError::new(format!(
            "failed to find the region `{slug}`: DigitalOcean has none of this name"
        ))
        .with_remedy(format!("there are: {}", names.join(", ")))
    };
    regions
        .iter()
        .find(|region| region.slug == slug)
        .cloned()
        .ok_or_else(missing)
}

fn nearest(word: &str, there: &[&str]) -> String {
    let scored = there.iter().map(|name| (strsim::jaro_winkler(word, name), name));
    match scored.max_by(|one, other| one.0.total_cmp(&other.0)) {
        Some((score, name)) if score > 0.8 => format!("did you mean `{name}`? "),
        _ => String::new(),
    }
}

/// Whether the account may have one more. Where that may not be asked, the call itself tells.
async fn room(cloud: &DigitalOcean) -> Result<(), ProviderError> {
    let account = match cloud.client.get::<Account>(&["account"]).await {
        Ok(account) => account,
        Err(forbidden) if forbidden.status() == Some(403) => return Ok(()),
        Err(other) => return Err(error::failed("failed to look at the account", "account:read", other)),
    };
    let Some(limit) = account.droplet_limit else {
        return Ok(());
    };
    let there = cloud.client.count(&["droplets"]).await;
    let there = there.map_err(error::of("failed to count the Droplets of the account", "droplet:read"))?;
    if there < limit {
        return Ok(());
    }
    Err(ProviderError::new(format!(
        "failed to make machine.instance: the account may have {limit} Droplets and has {there}"
    ))
    .with_remedy("raise the limit in the console (Settings, Team), or destroy what is not needed (`provision gc --provider digitalocean` lists what is ours)"))
}
