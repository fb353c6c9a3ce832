//! `provision apply`: the whole way.

use std::path::Path;

use ipnet::IpNet;
use jiff::Timestamp;

use super::caller::{admitted, caller};
use super::clouds::provider;
use super::keyring::Keyring;
use super::life::over;
use super::locked::{Keeper, lock};
use super::project::{Project, desired, hang_up, look, owner};
use super::saved::Order;
use super::shown::Shown;
use super::stop::until_stopped;
use super::terminal::confirm;
use super::{Failure, audit, costs, destroy, output};
use crate::apply::{HostLease, RealWorld, apply};
use crate::cli;
use crate::plan::{plan_with, settle};

/// Applies, and tells how it ended.
pub async fn run(directory: &Path, operator: Option<&IpNet>, args: &cli::Apply) -> Result<(), Failure> {
    let order = Order::of(args); //                                                       reads a saved plan
    let name = order.as_ref().ok().map(|order| order.environment.environment());
    let shown = Shown::begin("apply", name, args.json);
    let ended = match order {
        Ok(order) => Box::pin(way(directory, operator, args, order, &shown)).await,
        Err(failure) => Err(failure),
    };
    shown.end(ended)
}

/// Load, desire, observe, plan, confirm, apply, outputs. A saved plan stands for the question: it is held against the new one.
async fn way(
    directory: &Path,
    operator: Option<&IpNet>,
    args: &cli::Apply,
    order: Order,
    shown: &Shown,
) -> Result<(), Failure> {
    if let Some((promise, keep_volume)) = order.destroys() {
        return Box::pin(destroy::promised(directory, args, promise, keep_volume, shown)).await;
    }
    let stop = shown.stopping();
    let Order {
        environment,
        mut options,
        promise,
    } = order;
    let project = Project::find(directory, &environment)?; //                             reads
    let sources = project.sources()?; //                                                  reads
    let lock = until_stopped(&stop, lock(&project.store, "apply", &args.locking)).await?; // writes the lock
    let _heartbeat = lock.heartbeat();
    let mut state = project.state()?; //                                                  reads
    let ended = over(&mut state, jiff::Timestamp::now()); //                              pure
    if let Some(promise) = &promise {
        state = promise.begin(state);
    }
    let keyring = until_stopped(&stop, Keyring::open(&project.store, &state, &sources)).await?; // reads, makes keys in memory
    let provider = until_stopped(&stop, provider(&sources.environment, &state)).await?;
    let wanted = desired(&sources, &keyring, &state)?; //                                 pure
    options.check(&wanted, &state)?;

    let caller = until_stopped(&stop, caller(&wanted.instance.spec, operator)).await?;
    let whose = owner(&state);
    let mut lease = HostLease::new(&project.name, &state.lineage, "apply", args.locking.lock_wait)?;
    // A part of a plan may have left out who uses a new value.
    let whole = options.targets.is_empty();
    let work = async {
        // A saved plan was looked at and agreed to.
        let mut consent = args.yes || promise.is_some();
        // A machine that had no power is looked at again once it runs, in the same run and under the same consent.
        let mut again = false;
        let waiting = |note| shown.note(note);
        loop {
            let desired = desired(&sources, &keyring, &state)?; //                            pure
            let looked = look(&provider, &state, &desired, caller.as_ref(), &keyring, &waiting); // reads provider and host
            let (observed, session) = until_stopped(&stop, looked).await?;
            let mut plan = plan_with(&desired, &state, &observed, &options); //               pure
            if !again {
                plan.notes.extend(ended.iter().cloned().chain(project.origin.notes()));
                if let Some(promise) = &promise {
                    promise.holds(&sources, &keyring, &state, &observed, &options)?; //       pure
                }
                costs::tell_of(&mut plan, &provider).await; //                                reads the price list
            }
            if !(again && plan.is_empty() && plan.drift.is_empty()) {
                shown.plan(&plan);
            }
            if !plan.refusals.is_empty() {
                return Err(Failure::Refused);
            }
            let mut keep = Keeper {
                store: project.store.clone(),
                lock: &lock,
            };
            if plan.is_empty() {
                audit::in_short(session.as_ref(), &desired, state.endpoint().as_ref(), shown, &stop).await; // reads the host
                lease.release(session.as_ref()).await;
                hang_up(session).await;
                let settled = settle(&plan, &mut state, &observed, Timestamp::now());
                if project.origin.record(&mut state, &sources) | settled {
                    keep.record(&mut state)?;
                }
                break;
            }
            if !consent {
                confirm(&format!("Apply this to {}?", project.name))?;
                consent = true;
            }
            again = true;
            shown.keep(&project); //                                                          writes the history

            settle(&plan, &mut state, &observed, Timestamp::now()); //                    pure: what no step changes back
            project.origin.record(&mut state, &sources);
            state.begin_life(desired.instance.spec.ttl_seconds, Timestamp::now());
            keep.record(&mut state)?;
            let identity = keyring.save()?; //                                                writes the bundle
            let mut bundle = keyring.bundle.clone();
            let mut world = RealWorld {
                provider: &provider,
                owner: &owner(&state),
                reach: &keyring.reach(),
                known_hosts: &keyring.known_hosts,
                bundle: &mut bundle,
                bundle_store: &keyring.store,
                identity: &identity,
                bindings: keyring.bindings(observed.endpoint().or_else(|| state.endpoint())),
                caller: caller.as_ref(),
                ipv6: observed.instance.as_ref().and_then(|instance| instance.ipv6),
                session,
                lease: &mut lease,
            };
            let begun = async { Ok(world.begin(&plan, &waiting).await?) };
            until_stopped(&stop, begun).await?; //                                            takes the host's lease
            let result = apply(
                &plan,
                &mut state,
                &mut keep,
                &mut world,
                &|event| shown.event(&event),
                &stop,
            )
            .await; // acts
            let session = world.session.take();
            if result.is_ok() && plan.look_again.is_none() {
                audit::in_short(session.as_ref(), &desired, state.endpoint().as_ref(), shown, &stop).await; // reads the host
            }
            if result.is_err() || plan.look_again.is_none() {
                lease.release(session.as_ref()).await;
            }
            hang_up(session).await;
            result?;
            output::record(&project, &mut state, &desired)?;
            keep.record(&mut state)?;
            options = options.after(&plan);
            if plan.look_again.is_none() {
                break;
            }
        }
        Ok(())
    };
    admitted(&provider, &whose, caller.as_ref(), work).await?;
    if whole {
        keyring.brought_out()?; //                                                        writes the bundle
    }
    lock.release()?;
    shown.outputs(&state.outputs);
    match args.json {
        true => Ok(()),
        false => output::show(&state, false),
    }
}
