//! Saved plans: written by `plan --out`, and a promise that `apply FILE` holds against what there is now.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Failure;
use super::keyring::Keyring;
use super::project::expected;
use super::terminal::tell;
use crate::cli;
use crate::environment::Sources;
use crate::names::Address;
use crate::observe::Observed;
use crate::plan::{Allowed, Options, plan_with};
use crate::planfile::{Basis, MAX_BYTES, Mode, PlanFile};
use crate::state::State;

/// What was typed behind `apply`, understood: which environment, with what options, and whether it was promised in a file.
pub struct Order {
    /// The environment.
    pub environment: cli::Name,
    /// What is asked of the plan.
    pub options: Options,
    /// The plan that was agreed to.
    pub promise: Option<Promise>,
}

/// A plan that somebody looked at and agreed to.
#[derive(Debug)]
pub struct Promise {
    path: PathBuf,
    file: PlanFile,
}

impl Order {
    /// Reads the plan when a file was typed.
    ///
    /// # Errors
    /// A file that is no plan, one that must not be applied, and options beside a plan, which has its own.
    pub fn of(args: &cli::Apply) -> Result<Self, Failure> {
        let options = options(&args.scope, args.allow_data_loss);
        let path = match &args.what {
            cli::Subject::Environment(name) => {
                return Ok(Self {
                    environment: cli::Name {
                        name: name.clone(),
                        own: args.own.clone(),
                    },
                    options,
                    promise: None,
                });
            }
            cli::Subject::File(path) => path,
        };
        if options != Options::default() || args.own != cli::Own::default() {
            return Err(Failure::input(
                format!("{} holds the options that its plan was made with", path.display()),
                "leave --target, --replace, --allow-data-loss, --name and --var away, or make another plan with them",
            ));
        }
        let promise = Promise::read(path)?;
        Ok(Self {
            environment: promise.environment(),
            options: promise.file.options().unwrap_or_default(),
            promise: Some(promise),
        })
    }

    /// The plan of a destroy, when that is what was promised.
    pub fn destroys(&self) -> Option<(&Promise, bool)> {
        match self.promise.as_ref().map(|promise| (promise, &promise.file.mode)) {
            Some((promise, Mode::Destroy { keep_volume })) => Some((promise, *keep_volume)),
            _ => None,
        }
    }
}

/// The options of `plan` and `apply` as the planner takes them.
pub fn options(scope: &cli::Scope, data_loss: bool) -> Options {
    let all = |addresses: &[Address]| addresses.iter().cloned().collect::<BTreeSet<_>>();
    Options {
        allowed: Allowed { data_loss },
        targets: all(&scope.target),
        replace: all(&scope.replace),
    }
}

impl Promise {
    fn read(path: &Path) -> Result<Self, Failure> {
        let file = read(path)?;
        if !file.plan.refusals.is_empty() {
            for refusal in &file.plan.refusals {
                tell(&format!("refused: {refusal}"));
            }
            return Err(Failure::Refused);
        }
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// The state that this plan goes on from: an environment that nothing was made of yet begins the life that was planned.
    pub fn begin(&self, state: State) -> State {
        match (state.serial, self.file.made_from.serial) {
            (0, 0) => State::new(state.environment, self.file.made_from.lineage.clone()),
            _ => state,
        }
    }

    /// Looks that the plan would be made just so now. What is carried out then is that very plan, with the values that a
    /// file must not hold.
    ///
    /// # Errors
    /// [`Failure::Stale`] with everything that moved.
    pub fn holds(
        &self,
        sources: &Sources,
        keyring: &Keyring,
        state: &State,
        observed: &Observed,
        options: &Options,
    ) -> Result<(), Failure> {
        self.agrees(&document(sources, keyring, state, observed, options)?)
    }

    /// As [`Promise::holds`], with the document that would be saved now.
    ///
    /// # Errors
    /// [`Failure::Stale`] with everything that moved.
    pub fn agrees(&self, now: &PlanFile) -> Result<(), Failure> {
        match self.file.moved(now) {
            moved if moved.is_empty() => Ok(()),
            moved => Err(self.stale(moved)),
        }
    }

    /// What it was made for is no more.
    pub fn outlived(&self, moved: &str) -> Failure {
        self.stale(vec![moved.to_owned()])
    }

    /// Whose plan it is.
    pub fn environment(&self) -> cli::Name {
        let PlanFile {
            environment,
            file,
            vars,
            ..
        } = &self.file;
        cli::Name {
            name: file.as_ref().unwrap_or(environment).clone(),
            own: cli::Own {
                name: file.as_ref().map(|_| environment.clone()),
                vars: vars.clone().into_iter().collect(),
            },
        }
    }

    fn stale(&self, moved: Vec<String>) -> Failure {
        Failure::Stale {
            file: self.path.display().to_string(),
            remedy: self.file.remedy(&self.path.display().to_string()),
            moved,
        }
    }
}

/// The plan as it would be saved now.
///
/// # Errors
/// Everything that is wrong with what was written.
pub fn document(
    sources: &Sources,
    keyring: &Keyring,
    state: &State,
    observed: &Observed,
    options: &Options,
) -> Result<PlanFile, Failure> {
    let desired = expected(sources, keyring, state)?;
    let plan = plan_with(&desired, state, observed, options);
    let basis = Basis::new(sources, &desired, observed, &plan);
    let origin = (state.file.clone(), state.vars.clone());
    Ok(PlanFile::new(
        Mode::apply(options),
        basis,
        &plan,
        origin,
        Timestamp::now(),
    ))
}

/// Reads a saved plan.
///
/// # Errors
/// When there is none, or it cannot be used.
pub fn read(path: &Path) -> Result<PlanFile, Failure> {
    let unreadable = |why: std::io::Error| Failure::Input {
        what: format!("failed to read the plan {}: {why}", path.display()),
        hint: Some(
            "a plan is saved by `provision plan NAME --out FILE`; an environment is named without dot and slash".into(),
        ),
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::input(
            format!("failed to read {}: it has more than 64 MiB", path.display()),
            "is this really the file that was meant?",
        ));
    }
    PlanFile::parse(&bytes)
        .map_err(|error| Failure::input(format!("failed to read {}: {error}", path.display()), error.remedy()))
}

/// Saves a plan whole or not at all, for the owner's eyes: it says what runs where. Only a plan is written over.
///
/// # Errors
/// When something else is there, or it cannot be written.
pub fn write(path: &Path, file: &PlanFile) -> Result<(), Failure> {
    let failed = |why| Failure::other(format!("failed to save the plan as {}", path.display()), why);
    match std::fs::symlink_metadata(path) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => {}
        Err(why) => return Err(failed(why)),
        Ok(there) => {
            let plan = there.is_file() && std::fs::read(path).is_ok_and(|bytes| PlanFile::recognises(&bytes));
            if !plan {
                return Err(Failure::input(
                    format!(
                        "{} is there and is no saved plan: it is not written over",
                        path.display()
                    ),
                    "choose another name, or take it away first",
                ));
            }
        }
    }
    let text = file
        .pretty()
        .map_err(|why| Failure::other("failed to write the plan as JSON", why))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut temporary = tempfile::Builder::new()
        .prefix(".tmp-plan-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(failed)?;
    temporary
        .write_all(text.as_bytes())
        .and_then(|()| temporary.as_file().sync_all())
        .map_err(failed)?;
    temporary.persist(path).map_err(|why| failed(why.error))?;
    Ok(())
}
