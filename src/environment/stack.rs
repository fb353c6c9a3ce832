//! A stack: a folder with a Compose file and, mostly, a `stack.toml`. Read whole, because its bytes go to the host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::check::nearest;
use super::compose::claims::Claim;
use super::compose::{Compose, Followed, follow};
use super::diagnostic::{Place, Problem, Problems, Source};
use super::folder;
use super::manifest::Manifest;
use super::model::Spanned;
use crate::names::StackName;

/// The catalogue: the stacks that come with the program.
static CATALOGUE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/compose");

/// The manifest's file.
pub const MANIFEST: &str = "stack.toml";

/// The names of a Compose file, the preferred one first, as `docker compose` looks for them.
const COMPOSE_FILES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// Where the files of `[stacks.<name>] files` are found by the stack.
const FILES: &str = "files";

/// Made on the host by us; a stack cannot bring its own.
const GENERATED: &str = "compose.provision.yaml";

/// Where a stack comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackOrigin {
    /// The catalogue.
    BuiltIn,
    /// A folder of the user's.
    Folder(PathBuf),
}

/// One file of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// What it holds.
    pub bytes: Vec<u8>,
    /// Whether it is a program. In the catalogue: whether it starts with `#!`.
    pub executable: bool,
}

/// A stack with everything that its folder holds.
#[derive(Debug, Clone)]
pub struct StackSource {
    /// Its name: the Compose project.
    pub name: StackName,
    /// Where it comes from.
    pub origin: StackOrigin,
    /// The text of `stack.toml`; empty when there is none.
    pub manifest_source: Source,
    /// What the stack can be told, needs and offers.
    pub manifest: Manifest,
    /// The name of the Compose file inside the folder.
    pub compose_file: String,
    /// The text of the Compose file.
    pub compose_source: Source,
    /// What the Compose file says, with what it includes and extends.
    pub compose: Compose,
    /// What its services ask for beyond the walls of a container, through `extends` and `include`.
    pub claims: Vec<Claim>,
    /// What goes to the host, by path below the folder with `/` between: everything but `stack.toml`, `README.md` and
    /// `.env`. Names that end in `.hbs` are templates.
    pub files: BTreeMap<String, SourceFile>,
    /// Mistakes in a stack that could be read nevertheless.
    pub mistakes: Vec<Problem>,
}

/// The names of the built-in stacks.
pub fn built_in() -> Vec<&'static str> {
    let mut names: Vec<&str> = CATALOGUE.dirs().filter_map(|dir| dir.path().to_str()).collect();
    names.sort_unstable();
    names
}

/// Loads a stack: from `path`, else from `<root>/compose/<name>/`, else from the catalogue. `at` is the place in the
/// environment file that asks for it. `more` is a folder whose files become the stack's `files/`, with the place that names it.
///
/// # Errors
/// Files that cannot be read or understood, with all other mistakes. Of a stack that was understood the mistakes are in
/// [`StackSource::mistakes`], so that those which follow can be told with them.
pub fn load_stack(
    name: &StackName,
    path: Option<&Path>,
    more: Option<(PathBuf, Place)>,
    root: &Path,
    at: &Place,
) -> Result<StackSource, Problems> {
    let own = root.join("compose").join(name.as_str());
    let (origin, shown, mut all) = match path {
        Some(path) => (
            StackOrigin::Folder(path.to_owned()),
            shown(path, root),
            folder::read(path, root, at)?,
        ),
        None if own.is_dir() => (
            StackOrigin::Folder(own.clone()),
            shown(&own, root),
            folder::read(&own, root, at)?,
        ),
        None => match CATALOGUE.get_dir(name.as_str()) {
            Some(dir) => (
                StackOrigin::BuiltIn,
                format!("built-in:{name}"),
                catalogue_files(dir, dir.path()),
            ),
            None => return Err(unknown(name, root, at).into()),
        },
    };
    if let Some((folder, at)) = more {
        for (path, file) in folder::read(&folder, root, &at)? {
            let path = format!("{FILES}/{path}");
            if all.insert(path.clone(), file).is_some() {
                let problem = at.says(format!("the stack `{name}` has a file {path} of its own"));
                return Err(problem.help("rename the one in your folder").into());
            }
        }
    }
    assemble(name, origin, &shown, all, at)
}

fn assemble(
    name: &StackName,
    origin: StackOrigin,
    shown: &str,
    mut files: BTreeMap<String, SourceFile>,
    at: &Place,
) -> Result<StackSource, Problems> {
    let text = |file: &str, bytes: Vec<u8>| Source::from_bytes(&format!("{shown}/{file}"), bytes);
    let manifest_source = text(
        MANIFEST,
        files.remove(MANIFEST).map(|file| file.bytes).unwrap_or_default(),
    )?;
    let Some(compose_file) = COMPOSE_FILES.iter().find(|file| files.contains_key(**file)) else {
        let problem = at.says(format!("the stack `{name}` has no compose.yaml in {shown}"));
        let template = files.contains_key("compose.yaml.hbs");
        return Err(problem
            .help(match template {
                true => "a Compose file cannot be a template: it is checked as it stands. Use ${NAME} and [env] of stack.toml",
                false => "add one, or let `path` name the folder that has it",
            })
            .into());
    };
    let compose_bytes = files
        .get(*compose_file)
        .map(|file| file.bytes.clone())
        .unwrap_or_default();
    let compose_source = text(compose_file, compose_bytes)?;

    let mut problems = Vec::new();
    let mut keep =
        |result: Result<(), Problems>| problems.extend(result.err().into_iter().flat_map(Problems::into_vec));
    let mut manifest = Manifest::default();
    keep(Manifest::decode(&manifest_source).map(|read| manifest = read));
    let readable = Compose::decode(&compose_source).map(drop);
    let is_readable = readable.is_ok();
    keep(readable);

    let Followed {
        compose,
        claims,
        problems: cannot,
    } = match is_readable {
        true => follow((*compose_file, &compose_source), shown, &|path| {
            files.get(path).map(|file| file.bytes.clone())
        }),
        false => Followed::default(),
    };
    // Of what could not be followed nobody knows what it has.
    let is_whole = is_readable && cannot.is_empty();
    // A folder's own `.env` serves `docker compose` by hand; on the host that file is ours.
    files.retain(|path, _| !matches!(path.as_str(), ".env" | "README.md"));
    let stack = StackSource {
        name: name.clone(),
        origin,
        manifest_source,
        manifest,
        compose_file: (*compose_file).to_owned(),
        compose_source,
        compose,
        claims,
        files,
        mistakes: Vec::new(),
    };
    let mut mistakes = stack.clashing_files(at);
    mistakes.extend(cannot);
    if is_whole {
        mistakes.extend(stack.unknown_services());
        mistakes.extend(stack.missing_files());
        mistakes.extend(stack.manifest.backup.unknown(&stack.manifest_source, &stack.compose));
    }
    if !problems.is_empty() {
        problems.append(&mut mistakes);
    }
    Problems::check(problems)?;
    Ok(StackSource { mistakes, ..stack })
}

impl StackSource {
    /// Names of files as they will be on the host: templates lose their ending.
    pub fn file_names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|path| path.strip_suffix(".hbs").unwrap_or(path))
    }

    fn clashing_files(&self, at: &Place) -> Vec<Problem> {
        let name = &self.name;
        let mut found = Vec::new();
        for path in self.files.keys() {
            if let Some(rendered) = path.strip_suffix(".hbs") {
                if self.files.contains_key(rendered) {
                    found.push(
                        at.says(format!("the stack `{name}` has both {path} and {rendered}"))
                            .help("the first becomes the second when it is rendered; remove one of them"),
                    );
                }
                if matches!(rendered, ".env" | MANIFEST) || COMPOSE_FILES.contains(&rendered) {
                    found.push(at.says(format!(
                        "the stack `{name}` has {path}, but {rendered} cannot be a template"
                    )));
                }
            }
        }
        if self.file_names().any(|path| path == GENERATED) {
            found.push(
                at.says(format!("the stack `{name}` has a file {GENERATED}, which is generated"))
                    .help("rename it"),
            );
        }
        found
    }

    /// Names in `[jobs]` and `depends_on` that are no services.
    fn unknown_services(&self) -> Vec<Problem> {
        let services = &self.compose.services;
        let check = |source: &Source, asked: &Spanned<String>| {
            if services.contains_key(asked.get()) {
                return None;
            }
            let problem = source.at(asked.span()).says(format!(
                "there is no service `{}` in {}",
                asked.get(),
                self.compose_source.name
            ));
            let names: Vec<&str> = services.keys().map(String::as_str).collect();
            Some(problem.help(suggest(asked.get(), &names, "services:")))
        };
        let jobs = self
            .manifest
            .jobs
            .all()
            .filter_map(|job| check(&self.manifest_source, job));
        let pages = self
            .manifest
            .admin
            .iter()
            .filter_map(|page| match page.get().split_once(':') {
                Some((service, port)) if port.parse::<u16>().is_ok() => {
                    let place = self.manifest_source.at(page.span()).span;
                    check(&self.manifest_source, &Spanned::at(service.to_owned(), place))
                }
                _ => Some(
                    self.manifest_source
                        .at(page.span())
                        .says(format!("`{}` is not a service and its port", page.get()))
                        .help("write \"service:port\", such as \"grafana:3000\""),
                ),
            });
        let waits = services.values().flat_map(|service| &service.depends_on);
        jobs.chain(pages)
            .chain(waits.filter_map(|wait| check(&self.compose_source, wait)))
            .collect()
    }

    /// Files that the Compose file reads and the folder does not have.
    fn missing_files(&self) -> Vec<Problem> {
        let compose = &self.compose;
        let env_files = compose.services.values().flat_map(|service| &service.env_files);
        let mounted = compose.secret_files.iter().chain(&compose.config_files);
        let named = env_files.chain(mounted.map(|(_, file)| file));
        named
            .filter_map(|file| {
                let path = file.get().strip_prefix("./").unwrap_or(file.get());
                let elsewhere = path.contains('$') || path.starts_with('/') || path.starts_with('~');
                if elsewhere || path == ".env" || self.file_names().any(|name| name == path) {
                    return None;
                }
                let problem = self
                    .compose_source
                    .at(file.span())
                    .says(format!("there is no file {path} in the stack's folder"));
                Some(problem.help(format!("add it, or {path}.hbs as a template of it")))
            })
            .collect()
    }
}

fn catalogue_files(dir: &Dir<'_>, base: &Path) -> BTreeMap<String, SourceFile> {
    let mut files = BTreeMap::new();
    for file in dir.files() {
        if let Some(path) = file.path().strip_prefix(base).ok().and_then(Path::to_str) {
            let bytes = file.contents().to_vec();
            let executable = bytes.starts_with(b"#!");
            files.insert(path.replace('\\', "/"), SourceFile { bytes, executable });
        }
    }
    for below in dir.dirs() {
        files.extend(catalogue_files(below, base));
    }
    files
}

/// Every name that could have been meant, and the nearest.
fn unknown(name: &StackName, root: &Path, at: &Place) -> Problem {
    let mut known: Vec<String> = built_in().into_iter().map(str::to_owned).collect();
    // A folder that cannot be listed has nothing to suggest.
    let own = std::fs::read_dir(root.join("compose")).into_iter().flatten().flatten();
    known.extend(
        own.filter(|entry| entry.path().is_dir())
            .filter_map(|entry| entry.file_name().into_string().ok()),
    );
    known.sort();
    known.dedup();
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let help = suggest(name.as_str(), &names, "there are:");
    at.says(format!("there is no stack `{name}`"))
        .label("unknown")
        .help(format!(
            "{help}. A stack of your own needs `path`, or a folder compose/{name}"
        ))
}

fn suggest(given: &str, known: &[&str], lead: &str) -> String {
    let list = match known.is_empty() {
        true => format!("{lead} none"),
        false => format!("{lead} {}", known.join(", ")),
    };
    match nearest(given, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    }
}

/// A path as messages show it: relative to the project when it lies inside.
pub(super) fn shown(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
#[path = "stack/tests.rs"]
mod tests;
