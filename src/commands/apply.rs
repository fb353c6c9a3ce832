//! `provision apply`: the whole way.

use std::path::Path;

use ipnet::IpNet;
use jiff::Timestamp;

use super::caller::{admitted, caller};
use super::clouds::provider;
use super::keyring::Keyring;
use super::locked::{Keeper, lock};
use super::project::{Project, desired, hang_up, look, owner};
use super::saved::Order;
use super::shown::Shown;
use super::stop::until_stopped;
use super::terminal::confirm;
use super::{Failure, costs, destroy, output};
use crate::apply::{Keep as _, RealWorld, apply};
use crate::cli;
use crate::plan::{plan_with, settle};

/// Applies, and tells how it ended.
pub async fn run(directory: &Path, operator: Option<&IpNet>, args: &cli::Apply) -> Result<(), Failure> {
    let order = Order::of(args); //                                                       reads a saved plan
    let name = order.as_ref().ok().map(|order| &order.environment.name);
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
    let Order {
        environment,
        mut options,
        promise,
    } = order;
    let stop = shown.stopping();
    let project = Project::find(directory, &environment)?; //                             reads
    let sources = project.sources()?; //                                                  reads
    let lock = until_stopped(&stop, lock(&project.store, "apply", &args.locking)).await?; // writes the lock
    let _heartbeat = lock.heartbeat();
    let mut state = project.state()?; //                                                  reads
    if let Some(promise) = &promise {
        state = promise.begin(state);
    }
    let keyring = Keyring::open(&project.store, &state, &sources)?; //                    reads, makes keys in memory
    let provider = until_stopped(&stop, provider(&sources.environment, &state)).await?;
    let wanted = desired(&sources, &keyring, &state)?; //                                 pure
    options.check(&wanted, &state)?;

    let caller = until_stopped(&stop, caller(&wanted.instance.spec, operator)).await?;
    let whose = owner(&state);
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
                hang_up(session).await;
                if settle(&plan, &mut state, &observed, Timestamp::now()) {
                    keep.keep(&mut state)
                        .map_err(|why| Failure::from(crate::apply::ApplyError::Keep(why)))?;
                }
                break;
            }
            if !consent {
                confirm(&format!("Apply this to {}?", project.name))?;
                consent = true;
            }
            again = true;
            shown.keep(&project.store); //                                                    writes the history

            settle(&plan, &mut state, &observed, Timestamp::now()); //                    pure: what no step changes back
            keep.keep(&mut state)
                .map_err(|why| Failure::from(crate::apply::ApplyError::Keep(why)))?;
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
            };
            let result = apply(
                &plan,
                &mut state,
                &mut keep,
                &mut world,
                &|event| shown.event(&event),
                &stop,
            )
            .await; // acts
            hang_up(world.session.take()).await;
            result?;
            output::record(&project, &mut state, &desired)?;
            keep.keep(&mut state)
                .map_err(|why| Failure::from(crate::apply::ApplyError::Keep(why)))?;
            options = options.after(&plan);
            if plan.look_again.is_none() {
                break;
            }
        }
        Ok(())
    };
    admitted(&provider, &whose, caller.as_ref(), work).await?;
    lock.release()?;
    shown.outputs(&state.outputs);
    match args.json {
        true => Ok(()),
        false => output::show(&state, false),
    }
}
