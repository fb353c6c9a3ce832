//! A stack's services and what they claim, through `extends` and `include`, as far as its own folder goes.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use super::super::diagnostic::{Place, Problem, Problems, Source};
use super::super::yaml::{self, Node, Value};
use super::claims::{Claim, own};
use super::whole::Origin;
use super::{Compose, Service, env_files, variables};

/// How deep files may include each other, and services extend each other.
const DEEPEST: usize = 32;

/// A single one of these keys in a service takes the place of what it extends; all others come together.
const REPLACED: [&str; 4] = ["privileged", "network_mode", "pid", "use_api_socket"];

/// What the files of a stack make together.
#[derive(Debug, Default)]
pub(in super::super) struct Followed {
    /// All services, each with what it extends, as if they stood in the stack's own file.
    pub compose: Compose,
    /// What they ask for beyond the walls of a container.
    pub claims: Vec<Claim>,
    /// Every file that cannot be followed.
    pub problems: Vec<Problem>,
}

/// Follows everything that a stack's Compose file names. `file` gives the bytes of a file of the stack's folder, `shown` its name for people.
pub(in super::super) fn follow(main: (&str, &Source), shown: &str, file: &dyn Fn(&str) -> Option<Vec<u8>>) -> Followed {
    let mut follow = Follow {
        shown,
        file,
        problems: Vec::new(),
        claims: Vec::new(),
        compose: Compose::default(),
        read: BTreeMap::new(),
        included: BTreeSet::new(),
        deep: false,
    };
    let (path, source) = main;
    let parsed = yaml::parse(source).and_then(|root| Document::read(path, source.clone(), root));
    match parsed.map(Rc::new) {
        Ok(document) => {
            follow.read.insert(path.to_owned(), Some(Rc::clone(&document)));
            follow.document(&document, &Origin::default(), &mut vec![path.to_owned()]);
        }
        Err(problems) => follow.problems.extend(problems.into_vec()),
    }
    Followed {
        compose: follow.compose,
        claims: follow.claims,
        problems: follow.problems,
    }
}

/// A Compose file of the stack's folder.
struct Document {
    /// Its path in the folder.
    path: String,
    source: Source,
    root: Node,
    /// The view of it alone.
    compose: Compose,
    /// The place of each service among those of the document.
    services: BTreeMap<String, usize>,
}

impl Document {
    fn read(path: &str, source: Source, root: Node) -> Result<Self, Problems> {
        let names = root.get("services").into_iter().flat_map(|(_, node)| node.entries());
        Ok(Self {
            path: path.to_owned(),
            compose: Compose::read(&source, &root)?,
            source,
            services: names.enumerate().map(|(at, (key, _))| (key.name.clone(), at)).collect(),
            root,
        })
    }

    fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    fn service(&self, name: &str) -> Option<&Node> {
        let Value::Map(services) = &self.root.get("services")?.1.value else {
            return None;
        };
        services.get(*self.services.get(name)?).map(|(_, service)| service)
    }
}

struct Follow<'f> {
    shown: &'f str,
    file: &'f dyn Fn(&str) -> Option<Vec<u8>>,
    problems: Vec<Problem>,
    claims: Vec<Claim>,
    compose: Compose,
    /// Files that were read; none for one that could not be understood, which was told.
    read: BTreeMap<String, Option<Rc<Document>>>,
    /// Files whose services were taken in.
    included: BTreeSet<String>,
    /// Whether it was told that services extend each other too deep.
    deep: bool,
}

impl Follow<'_> {
    fn document(&mut self, document: &Rc<Document>, origin: &Origin, within: &mut Vec<String>) {
        self.compose.include(origin.resources(&document.compose));
        for (name, service) in &document.compose.services {
            let mut whole = origin.service(service.clone());
            self.service(document, name, origin.clone(), &mut whole);
            // Two of one name are refused by Compose itself, which looks deeper into what they say.
            self.compose.services.entry(name.clone()).or_insert(whole);
        }
        let Some((_, include)) = document.root.get("include") else {
            return;
        };
        for entry in include.items() {
            self.include(document, entry, origin, within);
        }
    }

    /// One service, and all that it extends.
    fn service(&mut self, document: &Rc<Document>, name: &str, mut origin: Origin, whole: &mut Service) {
        let own_file = document.path.clone();
        let (mut document, mut current) = (Rc::clone(document), name.to_owned());
        let mut replaced: BTreeSet<&'static str> = BTreeSet::new();
        let mut passed: BTreeSet<(String, String)> = BTreeSet::new();
        loop {
            passed.insert((document.path.clone(), current.clone()));
            let Some(service) = document.service(&current) else {
                return;
            };
            for own in own(&document.source, &document.root, service) {
                if !replaced.contains(own.key) {
                    self.claims.push(Claim {
                        service: name.to_owned(),
                        place: own.place,
                        folder: origin.folder.clone(),
                        asks: own.asks,
                        variables: Arc::clone(&origin.variables),
                    });
                }
            }
            replaced.extend(REPLACED.iter().filter(|key| service.get(key).is_some()));
            let Some((key, extends)) = service.get("extends") else {
                return;
            };
            let at = document.source.at(key.span.clone());
            let (file, base) = match &extends.value {
                Value::Map(_) => (extends.get("file"), extends.get("service")),
                _ => (None, Some((key, extends))),
            };
            let Some((base_at, base)) = base.and_then(|(_, base)| Some((base.span.clone(), base.text()?))) else {
                let problem = at.says("`extends` does not say which service");
                self.problems
                    .push(problem.help("write `extends: { file: other.yaml, service: name }`, or only the name"));
                return;
            };
            let base_at = document.source.at(base_at);
            if let Some((_, file)) = file {
                let place = document.source.at(file.span.clone());
                let path = match file.text() {
                    Some(path) => self.inside(&place, "extends", document.folder(), &path),
                    None => None,
                };
                let Some(other) = path.and_then(|path| self.load(&place, &path)) else {
                    return;
                };
                origin.folder = other.folder().to_owned();
                origin.asked.get_or_insert_with(|| file.span.clone());
                document = other;
            }
            let Some(node) = document.service(&base) else {
                let problem = base_at.says(format!(
                    "there is no service `{base}` in {} to extend",
                    document.source.name
                ));
                self.problems.push(problem.help("name one that is there"));
                return;
            };
            let round = passed.contains(&(document.path.clone(), base.clone()));
            if round || passed.len() >= DEEPEST {
                let problem = match round {
                    true => base_at.says(format!("service `{base}` extends itself in the end")),
                    // Of a long chain every part is too deep.
                    false if self.deep => return,
                    false => base_at.says(format!("services extend each other more than {DEEPEST} deep")),
                };
                self.deep |= !round;
                self.problems.push(problem.help("take one `extends` of the chain out"));
                return;
            }
            if let Some(service) = document.compose.services.get(&base) {
                whole.extend(origin.service(service.clone()));
            }
            // Those of its own file are known.
            if document.path != own_file {
                for used in variables::variables(&document.source, node) {
                    if !origin.variables.contains_key(&used.name) && !self.compose.variables.contains(&used) {
                        self.compose.variables.push(used);
                    }
                }
            }
            current = base;
        }
    }

    /// One entry of `include`: a path, or paths with a folder and variables of their own.
    fn include(&mut self, document: &Rc<Document>, entry: &Node, origin: &Origin, within: &mut Vec<String>) {
        let outer = origin.folder.as_str();
        let at = document.source.at(entry.span.clone());
        let (written, options): (Vec<&Node>, Option<&Node>) = match &entry.value {
            Value::Map(_) => match entry.get("path") {
                Some((_, path)) if matches!(path.value, Value::List(_)) => (path.items().iter().collect(), Some(entry)),
                Some((_, path)) => (vec![path], Some(entry)),
                None => (Vec::new(), Some(entry)),
            },
            _ => (vec![entry], None),
        };
        if written.is_empty() {
            let problem = at.says("`include` does not say which file");
            self.problems
                .push(problem.help("write the path of a file of the stack's folder"));
            return;
        }
        // Paths start where the including project is.
        let mut found = Vec::new();
        for node in written {
            let place = document.source.at(node.span.clone());
            let path = node
                .text()
                .and_then(|text| self.inside(&place, "include", outer, &text));
            if let Some(path) = path {
                found.push((place, path));
            }
        }
        let Some((place, first)) = found.first().cloned() else {
            return;
        };
        let own = first.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let project = options.and_then(|options| options.get("project_directory"));
        let folder = match project.and_then(|(_, node)| Some((node.span.clone(), node.text()?))) {
            Some((span, text)) => match self.inside(&document.source.at(span), "include", outer, &text) {
                Some(folder) => folder,
                None => return,
            },
            None => own,
        };
        let files = options.and_then(|options| options.get("env_file"));
        let mut more = BTreeMap::clone(&origin.variables);
        match files {
            Some((_, node)) => {
                for file in env_files(node) {
                    let place = document.source.at(file.span());
                    if let Some(path) = self.inside(&place, "include", outer, file.get()) {
                        self.variables(Some(&place), &path, &mut more);
                    }
                }
            }
            None if !folder.is_empty() => self.variables(None, &format!("{folder}/.env"), &mut more),
            None => {}
        }
        let asked = origin.asked.clone().unwrap_or(place.span);
        let inner = Origin {
            folder,
            variables: Arc::new(more),
            asked: Some(asked),
        };
        for (place, path) in found {
            if within.contains(&path) || within.len() >= DEEPEST {
                let problem = match within.contains(&path) {
                    true => place.says(format!("{path} includes itself in the end")),
                    false => place.says(format!("files include each other more than {DEEPEST} deep")),
                };
                self.problems.push(problem.help("take one `include` of the chain out"));
                continue;
            }
            if !self.included.insert(path.clone()) {
                continue;
            }
            if let Some(other) = self.load(&place, &path) {
                within.push(path);
                self.document(&other, &inner, within);
                within.pop();
            }
        }
    }

    /// The values of a file of variables; those that are there already win.
    fn variables(&mut self, place: Option<&Place>, path: &str, into: &mut BTreeMap<String, String>) {
        let Some(bytes) = (self.file)(path) else {
            if let Some(place) = place {
                self.problems.push(missing(place, path));
            }
            return;
        };
        for line in String::from_utf8_lossy(&bytes).lines() {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line);
            if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
                let value = value.trim();
                let quoted = ['"', '\'']
                    .into_iter()
                    .find_map(|quote| value.strip_prefix(quote)?.split(quote).next());
                let plain = value.split(" #").next().unwrap_or(value).trim_end();
                into.entry(name.trim().to_owned())
                    .or_insert_with(|| quoted.unwrap_or(plain).to_owned());
            }
        }
    }

    /// A path as one of the stack's folder; one that leaves it is told.
    fn inside(&mut self, place: &Place, key: &str, folder: &str, written: &str) -> Option<String> {
        let says = |what: &str| place.says(format!("`{key}` of {written}: {what}"));
        if written.contains('$') {
            self.problems.push(
                says("a path with a variable cannot be followed")
                    .help("write it out: what it brings must be checked before it is sent"),
            );
            return None;
        }
        let remote = written.contains("://") || written.starts_with("oci:") || written.starts_with("git@");
        let path = match remote || written.starts_with(['/', '~']) {
            true => None,
            false => join(folder, written),
        };
        if path.is_none() {
            self.problems.push(
                says("it lies outside of the stack's folder, so it is not there on the host")
                    .help("copy it into the folder and name that"),
            );
        }
        path
    }

    fn load(&mut self, place: &Place, path: &str) -> Option<Rc<Document>> {
        if let Some(document) = self.read.get(path) {
            return document.clone();
        }
        let document = self.parse(place, path).map(Rc::new);
        self.read.insert(path.to_owned(), document.clone());
        document
    }

    fn parse(&mut self, place: &Place, path: &str) -> Option<Document> {
        let Some(bytes) = (self.file)(path) else {
            let template = (self.file)(&format!("{path}.hbs")).is_some();
            self.problems.push(match template {
                true => place
                    .says(format!("{path} is a template, and a Compose file cannot be one"))
                    .help("it is checked as it stands. Use ${NAME} and [env] of stack.toml"),
                false => missing(place, path),
            });
            return None;
        };
        let read = Source::from_bytes(&format!("{}/{path}", self.shown), bytes);
        let read = read.and_then(|source| {
            let root = yaml::parse(&source)?;
            Document::read(path, source, root)
        });
        match read {
            Ok(document) => Some(document),
            Err(problems) => {
                self.problems.extend(problems.into_vec());
                None
            }
        }
    }
}

fn missing(place: &Place, path: &str) -> Problem {
    place
        .says(format!("there is no file {path} in the stack's folder"))
        .help("add it, or take the line out")
}

/// A path below a folder; none when it leaves the stack's.
pub(super) fn join(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
