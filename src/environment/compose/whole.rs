//! What the files of a stack make together: a service with all that it extends, a file with all that it includes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use super::super::model::Spanned;
use super::follow::join;
use super::{Compose, Service};

/// How another file's part came into the stack's own Compose file.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    /// The folder, below the stack's, that relative paths start from.
    pub folder: String,
    /// Values of variables that only the file has which includes it; those of the stack win.
    pub variables: Arc<BTreeMap<String, String>>,
    /// Where the stack's own Compose file asks for it; none for what stands there itself.
    pub asked: Option<Range<usize>>,
}

impl Origin {
    /// A path as one that starts at the stack's folder, and the place where its file was asked for.
    fn path(&self, path: Spanned<String>) -> Spanned<String> {
        let below = match path.get().starts_with(['/', '~', '$']) || self.folder.is_empty() {
            true => None,
            false => join(&self.folder, path.get()).map(|below| format!("./{below}")),
        };
        let span = self.asked.clone().unwrap_or_else(|| path.span());
        Spanned::at(below.unwrap_or_else(|| path.get().clone()), span)
    }

    fn name(&self, name: Spanned<String>) -> Spanned<String> {
        match &self.asked {
            Some(asked) => Spanned::at(name.get().clone(), asked.clone()),
            None => name,
        }
    }

    fn names(&self, names: Vec<Spanned<String>>) -> Vec<Spanned<String>> {
        names.into_iter().map(|name| self.name(name)).collect()
    }

    fn paths(&self, paths: Vec<Spanned<String>>) -> Vec<Spanned<String>> {
        paths.into_iter().map(|path| self.path(path)).collect()
    }

    /// A service as if it stood in the stack's own file.
    pub(super) fn service(&self, service: Service) -> Service {
        Service {
            image: service.image.map(|image| self.name(image)),
            networks: self.names(service.networks),
            binds: self.paths(service.binds),
            env_files: self.paths(service.env_files),
            depends_on: self.names(service.depends_on),
            container_name: service.container_name.map(|name| self.name(name)),
            memory: service.memory.map(|memory| self.name(memory)),
            defaults: Arc::clone(&self.variables),
            ..service
        }
    }

    /// What a file has beside its services, as if it stood in the stack's own file.
    pub(super) fn resources(&self, compose: &Compose) -> Compose {
        let from = |list: &[(String, Spanned<String>)], place: &dyn Fn(Spanned<String>) -> Spanned<String>| {
            let entries = list.iter().cloned();
            entries.map(|(name, from)| (name, place(from))).collect()
        };
        let unset = |name: &String| !self.variables.contains_key(name);
        let variables = compose.variables.iter().filter(|variable| unset(&variable.name));
        Compose {
            services: BTreeMap::new(),
            volumes: self.names(compose.volumes.clone()),
            networks: self.names(compose.networks.clone()),
            secret_files: from(&compose.secret_files, &|path| self.path(path)),
            config_files: from(&compose.config_files, &|path| self.path(path)),
            secret_variables: from(&compose.secret_variables, &|name| self.name(name)),
            config_variables: from(&compose.config_variables, &|name| self.name(name)),
            variables: variables.cloned().collect(),
            shared_variables: compose.shared_variables.clone(),
        }
    }
}

impl Compose {
    /// Takes in what another file has beside its services.
    pub(super) fn include(&mut self, other: Self) {
        self.volumes.extend(other.volumes);
        self.networks.extend(other.networks);
        self.secret_files.extend(other.secret_files);
        self.config_files.extend(other.config_files);
        self.secret_variables.extend(other.secret_variables);
        self.config_variables.extend(other.config_variables);
        self.variables.extend(other.variables);
        self.shared_variables.extend(other.shared_variables);
    }
}

impl Service {
    /// Takes what the service says that it extends: one value where it has none itself; lists come together.
    pub(super) fn extend(&mut self, base: Self) {
        self.image = self.image.take().or(base.image);
        self.replicas = self.replicas.or(base.replicas);
        self.restart = self.restart.take().or(base.restart);
        self.container_name = self.container_name.take().or(base.container_name);
        self.memory = self.memory.take().or(base.memory);
        self.networks.extend(base.networks);
        self.binds.extend(base.binds);
        self.env_files.extend(base.env_files);
        self.depends_on.extend(base.depends_on);
        self.profiles.extend(base.profiles);
        self.volumes.extend(base.volumes);
        self.variables.extend(base.variables);
        self.secrets.extend(base.secrets);
        self.configs.extend(base.configs);
    }
}
