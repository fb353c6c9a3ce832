//! `provision apply`: the whole way.

use std::path::Path;

use ipnet::IpNet;

use super::caller::{admitted, caller};
use super::clouds::provider;
use super::keyring::Keyring;
use super::locked::{Keeper, lock};
use super::project::{Project, desired, hang_up, look, owner};
use super::saved::Order;
use super::shown::{Shown, waiting};
use super::stop::{stop_on_signal, until_stopped};
use super::terminal::{color, confirm, tell};
use super::{Failure, costs, destroy, output};
use crate::apply::{Keep as _, RealWorld, apply};
use crate::cli;
use crate::plan::{plan_with, render_plan};

/// Load, desire, observe, plan, confirm, apply, outputs. A saved plan stands for the question: it is held against the new one.
pub async fn run(directory: &Path, operator: Option<&IpNet>, args: &cli::Apply) -> Result<(), Failure> {
    let order = Order::of(args)?; //                                                      reads a saved plan
    if let Some((promise, keep_volume)) = order.destroys() {
        return Box::pin(destroy::promised(directory, args, promise, keep_volume)).await;
    }
    let Order {
        environment,
        mut options,
        promise,
    } = order;
    let project = Project::find(directory, &environment)?; //                             reads
    let sources = project.sources()?; //                                                  reads
    let lock = lock(&project.store, "apply", &args.locking).await?; //                    writes the lock
    let _heartbeat = lock.heartbeat();
    let mut state = project.state()?; //                                                  reads
    if let Some(promise) = &promise {
        state = promise.begin(state);
    }
    let keyring = Keyring::open(&project.store, &state, &sources).await?; //              reads, makes keys in memory
    let provider = provider(&sources.environment, &state).await?;
    let shown = Shown::new(args.json);
    let stop = stop_on_signal();
    let wanted = desired(&sources, &keyring, &state)?; //                                 pure
    options.check(&wanted, &state)?;

    let caller = caller(&wanted.instance.spec, operator).await?;
    let whose = owner(&state);
    // A part of a plan may have left out who uses a new value.
    let whole = options.targets.is_empty();
    let work = async {
        // A saved plan was looked at and agreed to.
        let mut consent = args.yes || promise.is_some();
        // A machine that had no power is looked at again once it runs, in the same run and under the same consent.
        let mut again = false;
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
            if !(args.json || again && plan.is_empty()) {
                tell(render_plan(&plan, color()).trim_end());
            }
            if !plan.refusals.is_empty() {
                return Err(Failure::Refused);
            }
            if plan.is_empty() {
                hang_up(session).await;
                break;
            }
            if !consent {
                confirm(&format!("Apply this to {}?", project.name))?;
                consent = true;
            }
            again = true;

            let mut keep = Keeper {
                store: project.store.clone(),
                lock: &lock,
            };
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
    if whole {
        keyring.brought_out()?; //                                                        writes the bundle
    }
    lock.release()?;
    output::show(&state, args.json)
}
