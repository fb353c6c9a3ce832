//! `provision state`: a lost state is written again from what there is, and what somebody else made is taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;

use super::Failure;
use super::clouds::provider;
use super::keyring::Keyring;
use super::locked::{Keeper, lock};
use super::project::{Project, desired, names, owner};
use super::shown::waiting;
use super::terminal::tell;
use crate::cli;
use crate::desired::{Desired, DesiredInstance};
use crate::names::{Address, Lineage};
use crate::plan::once_fact;
use crate::provider::{EXPIRES, Found, Instance, Part, Sight};
use crate::state::model::endpoint_facts;
use crate::state::{Life, PublicKey, State, StoreError, random_lineage};

/// The attribute that records what only a first boot reads.
const FIRST_BOOT: &str = "first_boot";

/// Writes a state of everything that is found by its tags.
pub async fn rebuild(directory: &Path, args: &cli::Rebuild) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment)?;
    let sources = project.sources()?;
    let damaged = match project.store.load() {
        Ok(None) => false,
        Ok(Some(_)) => {
            return Err(Failure::input(
                format!("`{}` has a state that reads well", project.name),
                format!("nothing is lost: `provision plan {}` shows what differs", project.name),
            ));
        }
        Err(StoreError::Damaged { .. }) => true,
        Err(other) => return Err(other.into()),
    };
    let lock = lock(&project.store, "state rebuild", &args.locking).await?;
    let _heartbeat = lock.heartbeat();
    let nothing = State::new(project.name.clone(), random_lineage()?);
    let provider = provider(&sources.environment, &nothing).await?;
    let mut found = provider.find(&waiting).await?;
    found.retain(|found| found.environment == project.name);
    let lineage = one_life(&project, &found, args.lineage.as_ref())?;
    found.retain(|found| found.lineage == lineage);

    let mut state = State::new(project.name.clone(), lineage);
    let keyring = Keyring::unlock(&project.store, &state, &sources)?;
    let desired = desired(&sources, &keyring, &state)?;
    let mut owner = owner(&state);
    // Names of routes that are no more are ours all the same.
    let mut names = names(&state, Some(&desired));
    names.extend(found.iter().filter_map(|found| match &found.address {
        Address::Dns(name) => Some(name.clone()),
        _ => None,
    }));
    owner.ids = found.into_iter().map(|found| (found.address, found.id)).collect();
    let sight = provider.observe(&owner, &names).await?;
    let now = Timestamp::now();
    project.origin.record(&mut state, &sources);
    record(&mut state, sight, &provider.facts(), &desired, now);
    let believed = keyring.known_hosts.keys()?;
    // Compared without the words beside a key: the pinned one has none.
    let first_boot: Option<PublicKey> = keyring.host_key_public.parse().ok();
    let first_boot = first_boot.map(|key| key.fingerprint_sha256());
    let is_own = |key: &PublicKey| first_boot.as_ref() != Some(&key.fingerprint_sha256());
    // Whoever gets into a host that was there before does so with their own.
    let ours = desired.instance.spec.existing().is_none() && sources.environment.access.ssh_key.is_none();
    let keys_are_lost = !keyring.store.exists()? && ours;
    match believed.first() {
        Some(key) if !keys_are_lost && believed.iter().all(is_own) => {
            let facts = BTreeMap::from([("fingerprint".to_owned(), key.fingerprint_sha256())]);
            state.present(&Address::HostIdentity, None, BTreeMap::new(), facts, now);
        }
        _ => {}
    }

    if damaged {
        let place = project.store.set_aside(now)?;
        tell(&format!("note: the damaged state is kept as {place}"));
    }
    let mut keep = Keeper {
        store: project.store.clone(),
        lock: &lock,
    };
    keep.record(&mut state)?;
    lock.release()?;
    tell(&told(&state, &desired, keys_are_lost));
    Ok(())
}

/// The one life of the environment that is meant.
fn one_life(project: &Project, found: &[Found], wanted: Option<&Lineage>) -> Result<Lineage, Failure> {
    let lives: BTreeSet<&Lineage> = found.iter().map(|found| &found.lineage).collect();
    let listed: Vec<String> = lives
        .iter()
        .map(|lineage| {
            let things = found.iter().filter(|found| &found.lineage == *lineage);
            let addresses: Vec<String> = things.map(|found| found.address.to_string()).collect();
            format!("{} ({})", lineage.as_str(), addresses.join(", "))
        })
        .collect();
    match (lives.first(), wanted) {
        (None, _) => Err(Failure::input(
            format!("nothing of `{}` is found at its provider", project.name),
            "is it the right region and account? When there is nothing, `provision apply` makes it new",
        )),
        (Some(_), Some(wanted)) if lives.contains(wanted) => Ok(wanted.clone()),
        (Some(_), Some(wanted)) => Err(Failure::input(
            format!("`{}` has no life {}", project.name, wanted.as_str()),
            format!("there are: {}", listed.join("; ")),
        )),
        (Some(only), None) if lives.len() == 1 => Ok((*only).clone()),
        _ => Err(Failure::input(
            format!("`{}` was made more than once: {}", project.name, listed.join("; ")),
            "say which one with --lineage; rebuild and destroy the others under a project folder of their own",
        )),
    }
}

/// Records all that is seen.
fn record(state: &mut State, sight: Sight, provider: &BTreeMap<String, String>, desired: &Desired, now: Timestamp) {
    let Sight {
        instance,
        parts,
        news: _,
        obstacles: _,
    } = sight;
    let has_data = instance.is_some() || parts.contains_key(&Address::MachineVolume);
    if let Some(instance) = instance {
        record_instance(state, instance, provider, &desired.instance, now);
    }
    for (address, part) in parts {
        record_part(state, &address, part, provider, now);
    }
    if !has_data {
        return;
    }
    // Whether these ran is not known; run twice they may spoil data, and not run they can be called by hand.
    for stack in desired.stacks.iter().filter(|stack| !stack.jobs.once.is_empty()) {
        let address = Address::Stack(stack.name.clone());
        state.intend(&address, BTreeMap::new(), now);
        if let Some(record) = state.resources.get_mut(&address) {
            let ran = stack.jobs.once.iter().map(|job| (once_fact(job), now.to_string()));
            record.facts.extend(ran);
        }
    }
}

fn record_instance(
    state: &mut State,
    instance: Instance,
    provider: &BTreeMap<String, String>,
    desired: &DesiredInstance,
    now: Timestamp,
) {
    let found_end = instance.attributes.get(EXPIRES).and_then(|time| time.parse().ok());
    // What the provider does not tell is taken for what the file says.
    let told = desired.spec.told();
    let mut attributes = desired.spec.attributes();
    attributes.retain(|name, _| !told.contains(&name.as_str()));
    attributes.extend(
        instance
            .attributes
            .into_iter()
            .filter(|(name, _)| told.contains(&name.as_str()) || ["tags", "ttl"].contains(&name.as_str())),
    );
    attributes.insert(FIRST_BOOT.to_owned(), desired.first_boot.to_string());
    state.life = desired
        .spec
        .ttl_seconds
        .zip(found_end)
        .map(|(ttl_seconds, ends)| Life { ttl_seconds, ends });
    let mut facts = instance.facts;
    facts.extend(endpoint_facts(&instance.endpoint));
    facts.extend(instance.ipv6.map(|ipv6| ("ipv6".to_owned(), ipv6.to_string())));
    facts.extend(provider.clone());
    state.present(&Address::MachineInstance, Some(instance.id), attributes, facts, now);
}

fn record_part(state: &mut State, address: &Address, part: Part, provider: &BTreeMap<String, String>, now: Timestamp) {
    let mut facts = part.facts;
    facts.extend(provider.clone());
    state.present(address, Some(part.id), part.attributes, facts, now);
}

/// What was found, and what cannot be known.
fn told(state: &State, desired: &Desired, keys_are_lost: bool) -> String {
    let machine = state
        .resources
        .iter()
        .filter(|(address, _)| address.layer() == "machine");
    let mut lines: Vec<String> = machine
        .map(|(address, record)| format!("{address}  {}", record.id.as_deref().unwrap_or("?")))
        .collect();
    lines.push(
        "note: what is on the host is not in the state; the next apply converges it and deploys what differs".into(),
    );
    lines.push(
        "note: stacks that the environment's files name no more are not known: remove them on the host by hand".into(),
    );
    let once = desired.stacks.iter().flat_map(|stack| {
        let name = &stack.name;
        stack.jobs.once.iter().map(move |job| format!("{name}.{job}"))
    });
    let once: Vec<String> = once.collect();
    if !once.is_empty()
        && state
            .resources
            .keys()
            .any(|address| matches!(address, Address::Stack(_)))
    {
        lines.push(format!("note: jobs that run once count as done: {}", once.join(", ")));
    }
    if keys_are_lost {
        lines.push(
            "warning: the keys and generated secrets are lost with secrets.age: nobody can log in, and new passwords do not \
             open old databases. Put a copy of secrets.age and known_hosts back beside the state before the next apply; \
             without one, destroy is what is left"
                .into(),
        );
    }
    lines.push(format!("next: provision plan {}", state.environment));
    lines.join("\n")
}

/// Takes one resource over.
pub async fn import(directory: &Path, args: &cli::Import) -> Result<(), Failure> {
    let cli::Import {
        environment,
        address,
        id,
        locking,
    } = args;
    let project = Project::find(directory, environment)?;
    if address.layer() != "machine" {
        return Err(Failure::input(
            format!("{address} is nothing that a provider has"),
            "only machine.key, machine.firewall, machine.instance, machine.volume and machine.address can be taken over",
        ));
    }
    let sources = project.sources()?;
    let lock = lock(&project.store, "state import", locking).await?;
    let _heartbeat = lock.heartbeat();
    let mut state = project.state()?;
    let known = state.record(address).and_then(|record| record.id.clone());
    if let Some(known) = known.filter(|known| known != id) {
        return Err(Failure::input(
            format!("{address} of `{}` is {known} already", project.name),
            "one environment has one of each: destroy that one first, or give the other an environment of its own",
        ));
    }
    let keyring = Keyring::unlock(&project.store, &state, &sources)?;
    let desired = desired(&sources, &keyring, &state)?;
    let provider = provider(&sources.environment, &state).await?;
    let mut owner = owner(&state);
    super::surgery::keep_before(&project.store, "import")?;
    provider.adopt(&owner, address, id).await?;
    owner.ids.insert(address.clone(), id.clone());
    let sight = provider.observe(&owner, &names(&state, Some(&desired))).await?;
    let (facts, now) = (provider.facts(), Timestamp::now());
    match (address, sight.instance, sight.parts) {
        (Address::MachineInstance, Some(instance), _) if instance.id == *id => {
            record_instance(&mut state, instance, &facts, &desired.instance, now);
        }
        (_, _, mut parts) if parts.get(address).is_some_and(|part| part.id == *id) => {
            if let Some(part) = parts.remove(address) {
                record_part(&mut state, address, part, &facts, now);
            }
        }
        _ => {
            return Err(Failure::Other {
                what: format!("failed to find {id} as {address} after it was taken over").into(),
                hint: Some("it bears our tags by now: run the same command again".into()),
            });
        }
    }
    let mut keep = Keeper {
        store: project.store.clone(),
        lock: &lock,
    };
    keep.record(&mut state)?;
    lock.release()?;
    tell(&format!(
        "{id} is {address} of {name} now\nnext: provision plan {name}",
        name = project.name
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Deed, Ended, Lab, Run};

    /// The state is lost; what there is, is found.
    fn rebuilt(lab: &Lab, run: &Run) -> Run {
        let observed = run.world.observe(&run.state);
        let sight = Sight {
            instance: observed.instance,
            parts: observed.parts,
            news: Vec::new(),
            obstacles: BTreeMap::new(),
        };
        let mut state = State::new(run.state.environment.clone(), run.state.lineage.clone());
        record(
            &mut state,
            sight,
            &observed.provider,
            &lab.desired(None),
            Timestamp::UNIX_EPOCH,
        );
        let identity = run.state.resources[&Address::HostIdentity].clone();
        state.resources.insert(Address::HostIdentity, identity);
        Run { state, ..run.clone() }
    }

    #[test]
    fn a_rebuilt_state_makes_no_second_machine_and_seeds_nothing_twice() {
        for lab in [Lab::demo(), Lab::aws()] {
            let mut run = rebuilt(&lab, &Run::settled(&lab));
            let plan = run.plan(&lab);
            let machine = plan.steps.iter().filter(|step| step.address.layer() == "machine");
            assert_eq!(machine.count(), 0, "{}", crate::plan::render_plan(&plan, false));
            run.settle(&lab);
            assert_eq!(run.world.count(&Deed::Made), 0);
            assert_eq!(run.world.count(&Deed::Job("demo.seed".into())), 0);
        }
    }

    #[test]
    fn what_really_differs_is_shown() {
        let lab = Lab::aws();
        let mut run = Run::settled(&lab);
        let rules = run.world.parts.get_mut(&Address::MachineFirewall).unwrap();
        rules.insert("tcp/1".into(), "0.0.0.0/0".into());
        lab.change("t3.small", "t3.large");
        let run = rebuilt(&lab, &run);
        let plan = run.plan(&lab);
        let machine: Vec<String> = plan
            .steps
            .iter()
            .filter(|step| step.address.layer() == "machine")
            .map(|step| step.address.to_string())
            .collect();
        assert_eq!(machine, ["machine.firewall", "machine.instance"]);
    }

    #[test]
    fn a_rebuilt_state_takes_everything_back() {
        for lab in [Lab::demo(), Lab::aws()] {
            let mut run = rebuilt(&lab, &Run::settled(&lab));
            assert!(matches!(run.destroy(false), Ended::Done));
            assert!(run.world.machine.is_none() && run.world.parts.is_empty());
        }
    }
}
