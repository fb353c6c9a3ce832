//! A folder's files into memory, in a fixed order and within limits: they go to the host as they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::diagnostic::{Place, Problem, Problems};
use super::stack::{SourceFile, shown};

/// What one file of a stack may have. Data belongs into volumes and images, not into the folder of a stack.
const MAX_FILE: u64 = 32 * 1024 * 1024;

/// What all files of a stack may have together.
const MAX_FOLDER: u64 = 128 * 1024 * 1024;

/// How many files a stack may have; more is a build folder or dependencies that came along.
const MAX_FILES: usize = 10_000;

/// Reads all files below `folder`, except version control and what editors leave behind. Symbolic links are followed
/// as long as they stay inside.
pub(super) fn read(folder: &Path, root: &Path, at: &Place) -> Result<BTreeMap<String, SourceFile>, Problems> {
    let name = shown(folder, root);
    let real = match fs::canonicalize(folder) {
        Ok(real) if real.is_dir() => real,
        Ok(_) => return Err(at.says(format!("{name} is not a folder")).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(at
                .says(format!("there is no folder {name}"))
                .help("a path here is relative to the environment file")
                .into());
        }
        Err(error) => {
            return Err(at
                .says(format!("failed to read the stack's folder {name}: {error}"))
                .help("a path here is relative to the environment file")
                .into());
        }
    };
    let mut walk = Walk {
        name,
        at,
        real,
        bytes: 0,
        files: BTreeMap::new(),
        problems: Vec::new(),
    };
    walk.folder(&walk.real.clone(), "", &mut Vec::new());
    Problems::check(walk.problems)?;
    Ok(walk.files)
}

struct Walk<'a> {
    name: String,
    at: &'a Place,
    /// The folder without symbolic links.
    real: PathBuf,
    bytes: u64,
    files: BTreeMap<String, SourceFile>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn folder(&mut self, path: &Path, below: &str, above: &mut Vec<PathBuf>) {
        let entries = match fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>()) {
            Ok(entries) => entries,
            Err(error) => return self.says(below, &format!("failed to be listed: {error}"), None),
        };
        let mut names: Vec<_> = entries.into_iter().map(|entry| entry.file_name()).collect();
        names.sort();
        above.push(path.to_owned());
        for name in names {
            let shown = format!("{below}{}", name.to_string_lossy());
            let Some(name) = name.to_str() else {
                self.says(&shown, "has a name that is not UTF-8", Some("rename it"));
                continue;
            };
            if is_left_behind(name) {
                continue;
            }
            if self.files.len() >= MAX_FILES || self.bytes > MAX_FOLDER {
                let help = "a stack's folder holds what the host needs; build the rest into an image";
                let at = self
                    .at
                    .says(format!("{} has more than {MAX_FILES} files or 128 MiB", self.name));
                self.problems.push(at.help(help));
                break;
            }
            self.entry(&path.join(name), &shown, above);
        }
        above.pop();
    }

    fn entry(&mut self, path: &Path, shown: &str, above: &mut Vec<PathBuf>) {
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) => return self.says(shown, &format!("leads nowhere: {error}"), Some("remove it")),
        };
        if !real.starts_with(&self.real) {
            let help = "copy what it leads to into the folder";
            return self.says(shown, "is a symbolic link that leaves the folder", Some(help));
        }
        if real.is_dir() {
            if above.contains(&real) {
                return self.says(shown, "is a symbolic link to a folder that it is in", Some("remove it"));
            }
            return self.folder(&real, &format!("{shown}/"), above);
        }
        match fs::metadata(&real) {
            Ok(metadata) if !metadata.is_file() => {
                self.says(shown, "is neither a file nor a folder", Some("remove it"));
            }
            Ok(metadata) if metadata.len() > MAX_FILE => {
                let help = "large data belongs into a volume or an image";
                self.says(
                    shown,
                    &format!("has {} bytes, more than 32 MiB", metadata.len()),
                    Some(help),
                );
            }
            Ok(metadata) => match fs::read(&real) {
                Ok(bytes) => {
                    self.bytes += metadata.len();
                    let executable = is_executable(&metadata);
                    self.files.insert(shown.to_owned(), SourceFile { bytes, executable });
                }
                Err(error) => self.says(shown, &format!("failed to be read: {error}"), None),
            },
            Err(error) => self.says(shown, &format!("failed to be read: {error}"), None),
        }
    }

    fn says(&mut self, path: &str, what: &str, help: Option<&str>) {
        let problem = self.at.says(format!("{}/{path} {what}", self.name));
        self.problems.push(match help {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
}

fn is_left_behind(name: &str) -> bool {
    name == ".git"
        || name == ".DS_Store"
        || name.ends_with('~')
        || (name.starts_with('#') && name.ends_with('#'))
        || name.starts_with(".#")
        || (name.starts_with('.') && (name.ends_with(".swp") || name.ends_with(".swo")))
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}
