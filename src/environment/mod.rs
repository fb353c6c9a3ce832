//! The environment file: text to `Environment`, and every mistake in it with its place.
//!
//! [`load`] reads everything that people wrote for one environment: its file ([`model`], by [`decode`]), the folders of
//! its stacks ([`stack`], with [`manifest`] and [`compose`]) and the image archives ([`image`]). It reads files and
//! nothing else: no network, no secret's value, no host. What the values mean together is checked by `desired`.

mod backend;
pub mod backup;
pub mod beside;
mod check;
pub mod compose;
pub mod decode;
pub mod diagnostic;
pub mod edge;
mod folder;
pub mod image;
pub mod manifest;
pub mod model;
pub mod schema;
pub mod secret;
pub mod stack;
pub mod template;
mod vars;
mod yaml;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

pub use backend::written_state;
use beside::EdgeFiles;
pub use check::nearest;
use diagnostic::{Problem, Problems, Source};
use image::ImageArchive;
use model::Environment;
use stack::{StackSource, load_stack};
pub use vars::UnknownVar;

use crate::names::{EnvironmentName, StackName};

/// The folder of environment files; the project's root is where it is.
pub const FOLDER: &str = "environments";

/// Everything that was written for one environment.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The environment file.
    pub file: Source,
    /// What it says.
    pub environment: Environment,
    /// Its stacks.
    pub stacks: BTreeMap<StackName, StackSource>,
    /// Its image archives, by the name that the file gives them.
    pub images: BTreeMap<String, ImageArchive>,
    /// The files of its edge.
    pub beside: EdgeFiles,
    /// The folder of the environment file: relative paths in it start here.
    pub directory: PathBuf,
    /// Mistakes that keep nothing from being read. `desired` tells them together with those that it finds.
    pub mistakes: Vec<Problem>,
}

/// Why there are no [`Sources`].
#[derive(Debug, Error)]
pub enum LoadError {
    /// No folder above holds `environments/`.
    #[error("no project here: neither {} nor a folder above it holds `{FOLDER}/`", start.display())]
    NoProject {
        /// Where the search began.
        start: PathBuf,
    },
    /// There is no such environment.
    #[error("there is no environment `{name}`: {} does not exist", path.display())]
    NotFound {
        /// What was asked for.
        name: EnvironmentName,
        /// Where it would be.
        path: PathBuf,
        /// The environments there are, sorted.
        known: Vec<String>,
    },
    /// The folder of environments cannot be listed.
    #[error("failed to list {}", path.display())]
    Unlistable {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Mistakes in the files, or files that cannot be read.
    #[error(transparent)]
    Problems(#[from] Problems),
}

impl LoadError {
    /// The remedy; problems carry their own.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoProject { .. } => Some("begin one with `provision init demo`".to_owned()),
            Self::NotFound { name, known, .. } => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                let near = nearest(name.as_str(), known.iter().copied());
                let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
                let list = match known.is_empty() {
                    true => String::new(),
                    false => format!("there are: {}. ", known.join(", ")),
                };
                Some(format!(
                    "{near}{list}A new one is written by `provision init {name}`; \
                     one of a file that serves many is `FILE --name {name}` until it is applied"
                ))
            }
            Self::Unlistable { .. } | Self::Problems(_) => None,
        }
    }
}

/// The nearest folder, from `start` upwards, that holds `environments/`.
pub fn find_root(start: &Path) -> Result<PathBuf, LoadError> {
    let root = start.ancestors().find(|folder| folder.join(FOLDER).is_dir());
    root.map(Path::to_owned).ok_or_else(|| LoadError::NoProject {
        start: start.to_owned(),
    })
}

/// The names of the environments of a project, sorted.
pub fn environments(root: &Path) -> Result<Vec<String>, LoadError> {
    let folder = root.join(FOLDER);
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(LoadError::Unlistable { path: folder, source }),
    };
    let stem = |path: PathBuf| {
        let is_toml = path.extension().is_some_and(|ending| ending == "toml");
        is_toml.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
    };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| stem(entry.path())).collect();
    names.sort();
    Ok(names)
}

/// Reads everything that was written for an environment.
///
/// # Errors
/// What cannot be read or understood, with every other mistake in all files. When all was understood, mistakes are in
/// [`Sources::mistakes`].
pub fn load(root: &Path, name: &EnvironmentName) -> Result<Sources, LoadError> {
    let directory = root.join(FOLDER);
    let path = directory.join(format!("{name}.toml"));
    if !path.is_file() {
        return Err(LoadError::NotFound {
            name: name.clone(),
            path,
            known: environments(root)?,
        });
    }
    let file = Source::read(&path, &stack::shown(&path, root))?;
    let (environment, mistaken) = decode::understand(&file)?;

    let mut problems = Vec::new();
    let stacks = load_stacks(root, &directory, &file, &environment, &mut problems);
    let in_stacks = stacks.values().flat_map(|stack| stack.mistakes.clone());
    let mut mistakes: Vec<Problem> = mistaken.into_iter().chain(in_stacks).collect();
    mistakes.extend(backend::check(&file, &environment.state));
    let images = load_images(&directory, &file, &environment, &mut mistakes);
    let beside = EdgeFiles::read(&directory, &file, &environment, jiff::Timestamp::now(), &mut mistakes);
    if !problems.is_empty() {
        problems.append(&mut mistakes);
    }
    Problems::check(problems)?;
    Ok(Sources {
        file,
        environment,
        stacks,
        images,
        beside,
        directory,
        mistakes,
    })
}

fn load_stacks(
    root: &Path,
    directory: &Path,
    file: &Source,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> BTreeMap<StackName, StackSource> {
    let mut stacks = BTreeMap::new();
    for (key, stack) in &environment.stacks {
        let at = file.at(key.span());
        let name: StackName = match key.get().parse() {
            Ok(name) => name,
            Err(error) => {
                problems.push(at.says(format!("{error}")));
                continue;
            }
        };
        let path = stack.path.as_ref().map(|path| clean(&directory.join(path.get())));
        let at = stack.path.as_ref().map_or(at, |path| file.at(path.span()));
        let own = stack
            .files
            .as_ref()
            .map(|files| (clean(&directory.join(files.get())), file.at(files.span())));
        match load_stack(&name, path.as_deref(), own, root, &at) {
            Ok(stack) => {
                stacks.insert(name, stack);
            }
            Err(found) => problems.extend(found.into_vec()),
        }
    }
    stacks
}

fn load_images(
    directory: &Path,
    file: &Source,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, ImageArchive> {
    let mut images = BTreeMap::new();
    for (reference, path) in &environment.images {
        match ImageArchive::read(reference.get(), &clean(&directory.join(path.get()))) {
            Ok(image) => {
                images.insert(reference.get().clone(), image);
            }
            Err(error) => {
                let why = std::error::Error::source(&error)
                    .map(|why| format!(": {why}"))
                    .unwrap_or_default();
                problems.push(file.at(path.span()).says(format!("{error}{why}")).help(error.help()));
            }
        }
    }
    images
}

/// A path without `.` and `..`, as long as that needs no look at the file system's links: `environments/../app` is
/// shown as `app`.
fn clean(path: &Path) -> PathBuf {
    use std::path::Component;
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(clean.components().next_back(), Some(Component::Normal(_))) => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests;
