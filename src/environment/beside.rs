//! What stands beside an environment file for its edge: a certificate with its key, another authority's root, a page for the time
//! that nothing answers, snippets of Caddyfile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::clean;
use super::diagnostic::{Problem, Source};
use super::model::{Environment, Text};
use crate::certificate::Certificate;
use crate::secret::Secret;

/// What a file here may have: they are read whole, and go to the host with every change of a route.
const MAX_FILE: u64 = 1024 * 1024;

/// The ending of snippets in a folder.
const SNIPPET: &str = "caddy";

/// The files of an environment's edge.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EdgeFiles {
    /// `tls.certificate`
    pub certificate: Option<Certificate>,
    /// `tls.key`, when it is a path.
    pub key: Option<Secret>,
    /// `tls.directory_root`
    pub root: Option<String>,
    /// `edge.maintenance`
    pub maintenance: Option<String>,
    /// `edge.snippets`, by their file's name.
    pub snippets: BTreeMap<String, String>,
}

impl EdgeFiles {
    /// Reads them; what is wrong with one is told where it is named.
    pub(super) fn read(
        directory: &Path,
        file: &Source,
        environment: &Environment,
        now: Timestamp,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut reader = Reader {
            directory,
            file,
            problems,
        };
        let mut files = Self::default();
        if let Some(tls) = &environment.tls {
            if let Some(path) = &tls.certificate {
                files.certificate = reader.text(path).and_then(|pem| {
                    Certificate::read(pem, now)
                        .map_err(|(what, help)| reader.says(path, &what, help))
                        .ok()
                });
            }
            if let Some(path) = tls.key_path().filter(|key| !key.get().is_empty()) {
                files.key = reader.text(path).map(Secret::new);
                if let (Some(certificate), Some(key)) = (&files.certificate, &files.key)
                    && let Err((what, help)) = certificate.belongs(key)
                {
                    reader.says(path, &what, help);
                }
            }
            if let Some(path) = &tls.directory_root {
                files.root = reader.text(path);
                if files
                    .root
                    .as_ref()
                    .is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----"))
                {
                    let help = "it begins with -----BEGIN CERTIFICATE-----";
                    reader.says(path, "this is not a certificate in PEM form", help);
                }
            }
        }
        if let Some(edge) = &environment.edge {
            files.maintenance = edge.maintenance.as_ref().and_then(|path| reader.text(path));
            if let Some(path) = &edge.snippets {
                files.snippets = reader.snippets(path);
            }
        }
        files
    }
}

struct Reader<'a> {
    directory: &'a Path,
    file: &'a Source,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn says(&mut self, path: &Text, what: &str, help: &str) {
        let problem = self.file.at(path.span()).says(what);
        self.problems.push(problem.help(help));
    }

    fn text(&mut self, path: &Text) -> Option<String> {
        let found = clean(&self.directory.join(path.get()));
        self.read(path, &found)
    }

    fn read(&mut self, named: &Text, path: &Path) -> Option<String> {
        let read = match std::fs::metadata(path) {
            Ok(found) if found.len() > MAX_FILE => Err("it has more than 1 MiB".to_owned()),
            Ok(_) => std::fs::read_to_string(path).map_err(|why| why.to_string()),
            Err(why) => Err(why.to_string()),
        };
        read.map_err(|why| {
            let what = format!("failed to read {}: {why}", path.display());
            self.says(named, &what, "a path here is relative to the environment file");
        })
        .ok()
    }

    /// One file, or all of a folder that end in `.caddy`.
    fn snippets(&mut self, named: &Text) -> BTreeMap<String, String> {
        let folder = clean(&self.directory.join(named.get()));
        let is_snippet = |path: &PathBuf| path.extension().is_some_and(|ending| ending == SNIPPET);
        let mut paths = vec![folder.clone()];
        if folder.is_dir() {
            paths = match std::fs::read_dir(&folder) {
                Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(is_snippet).collect(),
                Err(why) => {
                    self.says(
                        named,
                        &format!("failed to list {}: {why}", folder.display()),
                        "see its permissions",
                    );
                    return BTreeMap::new();
                }
            };
            paths.sort();
            if paths.is_empty() {
                let what = format!("no file in {} ends in .{SNIPPET}", folder.display());
                self.says(named, &what, "give the snippets that ending");
            }
        }
        let mut snippets = BTreeMap::new();
        for path in paths {
            let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
            let name = name.unwrap_or_default();
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if name.is_empty() || !name.bytes().all(plain) {
                let what = format!("`{name}` cannot be the name of a snippet");
                self.says(named, &what, "use letters, digits, `-`, `_` and `.`");
            } else if let Some(text) = self.read(named, &path) {
                snippets.insert(format!("{name}.{SNIPPET}"), text);
            }
        }
        snippets
    }
}
