//! Values that are given with `--var`, in place of the file's own.

use std::collections::BTreeMap;

use thiserror::Error;

use super::model::{Spanned, Var};
use super::{Sources, nearest};

/// A value for something that the file does not have.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("{file} has no var `{name}`")]
pub struct UnknownVar {
    /// The file.
    pub file: String,
    /// What was given a value.
    pub name: String,
    /// The vars that there are, sorted.
    pub known: Vec<String>,
}

impl UnknownVar {
    /// The remedy.
    pub fn help(&self) -> String {
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        let list = match known.as_slice() {
            [] => format!("it has no [vars]: write `{} = \"…\"` there first", self.name),
            known => format!("it has: {}", known.join(", ")),
        };
        match nearest(&self.name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? {list}"),
            None => list,
        }
    }
}

impl Sources {
    /// Puts values in place of the file's own. Each stands where the file has its var, so that what is wrong with it is told
    /// there.
    ///
    /// # Errors
    /// The first value for a var that the file does not have.
    pub fn give(&mut self, given: &BTreeMap<String, String>) -> Result<(), UnknownVar> {
        let vars = &mut self.environment.vars;
        for (name, value) in given {
            let Some(var) = vars.get_mut(name) else {
                return Err(UnknownVar {
                    file: self.file.name.clone(),
                    name: name.clone(),
                    known: vars.keys().cloned().collect(),
                });
            };
            *var = Spanned::at(Var::Value(value.clone()), var.span());
        }
        Ok(())
    }
}
