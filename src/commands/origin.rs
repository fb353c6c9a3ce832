//! Which file an environment is written in, and what is given in place of its `[vars]`: one file serves many environments,
//! each under a name of its own (`--name`). What an apply was given is recorded, and is true for what comes after.

use std::collections::BTreeMap;
use std::path::Path;

use super::Failure;
use crate::cli;
use crate::environment::{FOLDER, Sources};
use crate::names::EnvironmentName;
use crate::state::State;

/// Where an environment is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The stem of its file.
    pub file: EnvironmentName,
    /// The values in place of the file's own: those recorded, and over them those given now.
    pub vars: BTreeMap<String, String>,
    name: EnvironmentName,
    recorded: Recorded,
}

/// What the state says of it: the file's name where that is another, and values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Recorded {
    file: Option<EnvironmentName>,
    vars: BTreeMap<String, String>,
}

impl Recorded {
    fn of(state: &State) -> Self {
        Self {
            file: state.file.clone(),
            vars: state.vars.clone(),
        }
    }
}

impl Origin {
    /// Finds it out from what was typed and what is recorded. The name alone is enough for one that was applied.
    ///
    /// # Errors
    /// When the two contradict each other: another file's machine must not become of it by a slip.
    pub fn find(root: &Path, typed: &cli::Name, state: Option<&State>) -> Result<Self, Failure> {
        let cli::Name {
            name,
            own: cli::Own { name: own, vars },
        } = typed;
        let is_there = |file: &EnvironmentName| root.join(FOLDER).join(format!("{file}.toml")).is_file();
        let recorded = state.map(Recorded::of).unwrap_or_default();
        let file = match own {
            // The name is not the file's: whose is it already?
            Some(own) => {
                let before = match state {
                    Some(_) => Some(recorded.file.as_ref().unwrap_or(own)),
                    None => Some(own).filter(|own| *own != name),
                };
                if let Some(before) = before.filter(|before| *before != name && is_there(before)) {
                    return Err(Failure::input(
                        format!("`{own}` is written in {FOLDER}/{before}.toml, not in {FOLDER}/{name}.toml"),
                        match state {
                            Some(_) => format!(
                                "leave {FOLDER}/{name}.toml to another --name, or write `{before}` in place of `{name}`"
                            ),
                            None => "give it a --name that no file has".to_owned(),
                        },
                    ));
                }
                name
            }
            None => match &recorded.file {
                Some(file) if is_there(name) && is_there(file) => {
                    return Err(Failure::input(
                        format!(
                            "`{name}` was applied from {FOLDER}/{file}.toml, and there is a file {FOLDER}/{name}.toml too"
                        ),
                        format!(
                            "write `{file} --name {name}` for the one that was applied; the other needs a name of its own"
                        ),
                    ));
                }
                Some(file) if !is_there(name) => file,
                _ => name,
            },
        };
        let mut all = recorded.vars.clone();
        let mut given = BTreeMap::new();
        for (key, value) in vars {
            if let Some(other) = given.insert(key, value).filter(|other| *other != value) {
                return Err(Failure::input(
                    format!("--var gives `{key}` two values: `{other}` and `{value}`"),
                    "keep one of them",
                ));
            }
            all.insert(key.clone(), value.clone());
        }
        Ok(Self {
            file: file.clone(),
            vars: all,
            name: own.as_ref().unwrap_or(name).clone(),
            recorded,
        })
    }

    /// Gives the file its values. A recorded one that the file has no more is left out.
    ///
    /// # Errors
    /// When one was given now that the file does not have.
    pub fn give(&self, sources: &mut Sources) -> Result<(), Failure> {
        let gone = |name: &String| self.recorded.vars.get(name) == self.vars.get(name);
        let vars = &sources.environment.vars;
        let values = self
            .vars
            .iter()
            .filter(|(name, _)| vars.contains_key(*name) || !gone(name));
        let values = values.map(|(name, value)| (name.clone(), value.clone())).collect();
        sources
            .give(&values)
            .map_err(|unknown| Failure::input(unknown.to_string(), unknown.help()))
    }

    /// The state, if it still says what this was found out from.
    ///
    /// # Errors
    /// When another run has recorded something else meanwhile.
    pub fn still(&self, state: State) -> Result<State, Failure> {
        if Recorded::of(&state) == self.recorded {
            return Ok(state);
        }
        Err(Failure::Other {
            what: format!(
                "`{}` was applied with another file or other vars a moment ago",
                self.name
            )
            .into(),
            hint: Some("run it again: it then begins with what is recorded now".into()),
        })
    }

    /// What differs from what the file alone says, for who reads a plan.
    pub fn notes(&self) -> Vec<String> {
        let file = (self.file != self.name).then(|| format!("{} is written in {FOLDER}/{}.toml", self.name, self.file));
        let vars = self
            .vars
            .iter()
            .map(|(name, value)| match self.recorded.vars.get(name) {
                Some(old) if old == value => format!("vars.{name} is `{value}`, as it was given before"),
                Some(old) => format!("vars.{name} is `{value}`; it was `{old}`"),
                None => format!("vars.{name} is `{value}`, as given"),
            });
        file.into_iter().chain(vars).collect()
    }

    /// It, as a saved plan keeps it.
    pub fn of_plan(&self) -> crate::planfile::Origin {
        let file = Some(&self.file).filter(|file| **file != self.name);
        (file.cloned(), self.vars.clone())
    }

    /// Records it, before anything is made from it. Tells whether that is news.
    pub fn record(&self, state: &mut State, sources: &Sources) -> bool {
        let Self {
            file,
            vars,
            name,
            recorded: _,
        } = self;
        let before = Recorded::of(state);
        state.file = Some(file.clone()).filter(|file| file != name);
        let has = |var: &String| sources.environment.vars.contains_key(var);
        let vars = vars.iter().filter(|(var, _)| has(var));
        state.vars = vars.map(|(var, value)| (var.clone(), value.clone())).collect();
        before != Recorded::of(state)
    }
}
