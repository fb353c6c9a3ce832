//! `provision apply`: the whole way.

use std::path::Path;
use std::sync::{Arc, Mutex};

use ipnet::IpNet;
use tokio::sync::watch;

use super::caller::{admitted, caller};
use super::clouds::provider;
use super::costs;
use super::keyring::Keyring;
use super::project::{Project, desired, hang_up, look, owner};
use super::terminal::{color, confirm, tell};
use super::{Failure, output};
use crate::apply::event::Event;
use crate::apply::{Keep, KeepError, RealWorld, apply};
use crate::cli;
use crate::note::Note;
use crate::plan::{Allowed, plan, render_plan};
use crate::progress::Progress;
use crate::state::{LocalStore, Lock, State, StoreError};

/// Load, desire, observe, plan, confirm, apply, outputs.
pub async fn run(directory: &Path, operator: Option<&IpNet>, args: &cli::Apply) -> Result<(), Failure> {
    let project = Project::find(directory, &args.environment.name)?; //                   reads
    let sources = project.sources()?; //                                                  reads
    let lock = lock(&project.store, "apply", &args.locking).await?; //                    writes the lock
    let _heartbeat = lock.heartbeat();
    let mut state = project.state()?; //                                                  reads
    let keyring = Keyring::open(&project.store, &state, &sources)?; //                    reads, makes keys in memory
    let provider = provider(&sources.environment, &state).await?;
    let shown = Shown::new(args.json);
    let stop = stop_on_signal();
    let allowed = Allowed {
        data_loss: args.allow_data_loss,
    };

    let caller = caller(&desired(&sources, &keyring, &state)?.instance.spec, operator).await?;
    let whose = owner(&state);
    let work = async {
        let mut consent = args.yes;
        // A machine that had no power is looked at again once it runs, in the same run and under the same consent.
        let mut again = false;
        loop {
            let desired = desired(&sources, &keyring, &state)?; //                            pure
            let looked = look(&provider, &state, &desired, caller.as_ref(), &keyring, &waiting); // reads provider and host
            let (observed, session) = until_stopped(&stop, looked).await?;
            let mut plan = plan(&desired, &state, &observed, allowed); //                     pure
            if !again {
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
            if plan.look_again.is_none() {
                break;
            }
        }
        Ok(())
    };
    admitted(&provider, &whose, caller.as_ref(), work).await?;
    lock.release()?;
    output::show(&state, args.json)
}

/// Takes the environment's lock, and says when a dead run's was taken over.
pub async fn lock(store: &LocalStore, command: &str, args: &cli::Locking) -> Result<Lock, Failure> {
    store.prepare()?;
    let lock = Lock::acquire(store.folder(), command, None, args.lock_wait).await?;
    if let Some(left) = lock.taken_over() {
        tell(&format!("note: {left}; it goes on where that run stopped"));
    }
    Ok(lock)
}

/// Writes the state, for as long as the lock is ours.
pub struct Keeper<'a> {
    /// Where.
    pub store: LocalStore,
    /// Whose.
    pub lock: &'a Lock,
}

impl Keep for Keeper<'_> {
    fn keep(&mut self, state: &mut State) -> Result<(), KeepError> {
        self.lock.verify()?;
        match self.store.save(state) {
            // The state is written; only its copy is not.
            Err(error @ StoreError::Backup { .. }) => {
                tell(&format!("warning: {error}"));
                Ok(())
            }
            other => Ok(other?),
        }
    }
}

/// Progress, shared with everything that says something.
#[derive(Clone)]
pub struct Shown(Arc<Mutex<Progress>>);

impl Shown {
    /// For a terminal, a pipe or a program.
    pub fn new(json: bool) -> Self {
        Self(Arc::new(Mutex::new(Progress::detect(json))))
    }

    /// Shows one event.
    pub fn event(&self, event: &Event) {
        if let Ok(mut progress) = self.0.lock() {
            progress.handle(event);
        }
    }
}

/// What looking says while it waits: nothing, until it takes long enough for a person to wonder.
pub fn waiting(note: Note) {
    match note {
        Note::Waiting(reason) => tell(&format!("waiting for {reason}")),
        Note::Warning(message) => tell(&format!("warning: {message}")),
        Note::Bytes { .. } | Note::Line(_) => {}
    }
}

/// Waits for `what`, or for the person to want an end. Only for what writes nothing.
pub async fn until_stopped<T>(
    stop: &watch::Receiver<bool>,
    what: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut stop = stop.clone();
    tokio::select! {
        result = what => result,
        Ok(_) = stop.wait_for(|stop| *stop) => Err(crate::apply::ApplyError::Interrupted { address: None }.into()),
    }
}

/// Turns true at the first Ctrl-C or SIGTERM. A second one ends the process at once: what was done is recorded already.
pub fn stop_on_signal() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        use tokio::signal::unix::{SignalKind, signal};
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if *sender.borrow() {
                tell("stopped at once; run the same command again to go on");
                std::process::exit(130);
            }
            let _ = sender.send(true);
        }
    });
    receiver
}
