//! The saved plan: what was shown, and what it was made from. Reads and writes no file itself.
//!
//! It holds no secret: neither one's value nor anything that a guess could be tried against. What carries a plan out is worked
//! out again from the same files, so none of it is in here; that it would be the same is what [`PlanFile::moved`] looks at.

mod markdown;
mod moved;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use markdown::{COMMENT_MAX, markdown};
pub use seen::Seen;

use crate::desired::Desired;
use crate::environment::Sources;
use crate::environment::beside::EdgeFiles;
use crate::names::{Address, Digest, EnvironmentName, Lineage};
use crate::observe::Observed;
use crate::plan::{Allowed, Options, Outline, Plan};

/// What tells a saved plan from other JSON.
pub const FORMAT: &str = "provision plan";

/// The version that this build writes, and the newest it reads.
pub const VERSION: u32 = 1;

/// No plan is this long; what is was not written by us.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A saved plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanFile {
    /// [`FORMAT`].
    pub format: String,
    /// The version of the shape.
    pub version: u32,
    /// The build that wrote it.
    pub written_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Whose plan it is.
    pub environment: EnvironmentName,
    /// The environment file, where that bears another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<EnvironmentName>,
    /// The values in place of the file's own `[vars]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vars: BTreeMap<String, String>,
    /// What was asked for.
    pub mode: Mode,
    /// What it was made from: as long as this is the same, so is the plan.
    pub made_from: Basis,
    /// What would be done.
    pub plan: Outline,
}

/// Where an environment is written: the file, where that bears another name, and the values in place of its own `[vars]`.
pub type Origin = (Option<EnvironmentName>, BTreeMap<String, String>);

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Bring it to what was written.
    Apply {
        /// Only these and what they need; everything when empty.
        targets: BTreeSet<Address>,
        /// What is made anew.
        replace: BTreeSet<Address>,
        /// Whether data on a root disk may be lost.
        allow_data_loss: bool,
    },
    /// Take it back.
    Destroy {
        /// Whether the data volume stays.
        keep_volume: bool,
    },
}

impl Mode {
    /// To bring it to what was written, with these options.
    pub fn apply(options: &Options) -> Self {
        let Options {
            allowed: Allowed { data_loss },
            targets,
            replace,
        } = options;
        Self::Apply {
            targets: targets.clone(),
            replace: replace.clone(),
            allow_data_loss: *data_loss,
        }
    }
}

/// What a plan was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// The life of the environment.
    pub lineage: Lineage,
    /// The state's serial; 0 when there was none.
    pub serial: u64,
    /// Every file that was read, by the name that messages show, and the images, by reference.
    pub files: BTreeMap<String, Digest>,
    /// Everything that was rendered, marks in place of secrets, by the address that it is for.
    pub rendered: BTreeMap<Address, Digest>,
    /// What was seen, without what moves by itself.
    pub observed: Seen,
}

impl Basis {
    /// Of a plan that brings an environment to what was written.
    pub fn new(sources: &Sources, desired: &Desired, observed: &Observed, plan: &Plan) -> Self {
        Self {
            lineage: plan.lineage.clone(),
            serial: plan.serial,
            files: files(sources),
            rendered: rendered(desired),
            observed: Seen::of(observed, Some(desired)),
        }
    }

    /// Of a plan that takes an environment back: what is written counts as far as it protects.
    pub fn of_destroy(file: Option<(&str, &str)>, observed: &Observed, plan: &Plan) -> Self {
        Self {
            lineage: plan.lineage.clone(),
            serial: plan.serial,
            files: file
                .into_iter()
                .map(|(name, text)| (name.to_owned(), Digest::of(text)))
                .collect(),
            rendered: BTreeMap::new(),
            observed: Seen::of(observed, None),
        }
    }
}

/// The digest of every file that was read.
fn files(sources: &Sources) -> BTreeMap<String, Digest> {
    let Sources {
        file,
        environment: _,
        stacks,
        images,
        beside,
        directory: _,
        mistakes: _,
    } = sources;
    let mut files = BTreeMap::from([(file.name.clone(), Digest::of(file.text.as_bytes()))]);
    for stack in stacks.values() {
        let folder = match stack.compose_source.name.strip_suffix(&stack.compose_file) {
            Some(folder) => folder.to_owned(),
            None => format!("stack {}/", stack.name),
        };
        // Its manifest is no part of what goes to the host; an empty one stands for none.
        let manifest = &stack.manifest_source;
        if !manifest.text.is_empty() {
            files.insert(manifest.name.clone(), Digest::of(manifest.text.as_bytes()));
        }
        for (path, source) in &stack.files {
            let mode: &[u8] = if source.executable { b"x" } else { b"-" };
            files.insert(
                format!("{folder}{path}"),
                Digest::of([mode, source.bytes.as_slice()].concat()),
            );
        }
    }
    let EdgeFiles {
        certificate,
        // It belongs to the certificate, and no digest of it is written down.
        key: _,
        root,
        maintenance,
        snippets,
    } = beside;
    let certificate = certificate.as_ref().map(|certificate| &certificate.pem);
    let named = [
        ("certificate", certificate),
        ("directory_root", root.as_ref()),
        ("maintenance", maintenance.as_ref()),
    ];
    for (name, text) in named {
        files.extend(text.map(|text| (format!("edge {name}"), Digest::of(text))));
    }
    for (name, text) in snippets {
        files.insert(format!("edge snippets/{name}"), Digest::of(text));
    }
    for (reference, image) in images {
        files.insert(format!("image {reference}"), Digest::of(&image.image_id));
    }
    files
}

/// The digest of everything that was rendered.
fn rendered(desired: &Desired) -> BTreeMap<Address, Digest> {
    let mut rendered: BTreeMap<Address, Digest> = desired
        .instance
        .spec
        .parts()
        .into_iter()
        .map(|(address, attributes)| (address, Digest::of(lines(&attributes))))
        .collect();
    let machine = format!(
        "{}{}",
        lines(&desired.instance.spec.attributes()),
        desired.instance.user_data.marked()
    );
    rendered.insert(Address::MachineInstance, Digest::of(machine));
    rendered.insert(Address::HostBase, desired.base.digest());
    for stack in &desired.stacks {
        rendered.insert(Address::Stack(stack.name.clone()), stack.written());
    }
    if let Some(edge) = &desired.edge {
        rendered.insert(Address::Edge, edge.stack.written());
    }
    rendered
}

fn lines(attributes: &BTreeMap<String, String>) -> String {
    attributes
        .iter()
        .map(|(name, value)| format!("{name}={value:?}\n"))
        .collect()
}

/// Why a file cannot be taken for a plan.
#[derive(Debug, Error)]
pub enum PlanFileError {
    /// It is something else.
    #[error("it is no saved plan{}", why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    Other {
        /// Where it stops to be JSON.
        why: Option<String>,
    },
    /// It ends too early.
    #[error("the plan is cut short: it ends at line {line}, column {column}")]
    Cut {
        /// The line, counted from one.
        line: usize,
        /// The column, counted from one.
        column: usize,
    },
    /// A later program wrote it.
    #[error("the plan has version {found} and this program reads up to {VERSION}; {written_by} wrote it")]
    Newer {
        /// Its version.
        found: u64,
        /// Who wrote it.
        written_by: String,
    },
    /// It is a plan, and something in it is not as it should be.
    #[error("the plan is damaged: {why}")]
    Damaged {
        /// What.
        why: String,
    },
}

impl PlanFileError {
    /// The remedy.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Other { .. } => "a plan is saved by `provision plan NAME --out FILE`",
            Self::Cut { .. } | Self::Damaged { .. } => "make it again with `provision plan NAME --out FILE`",
            Self::Newer { .. } => "use a program of that version, or make the plan again with this one",
        }
    }
}

/// What every version has.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u64,
    #[serde(default)]
    written_by: String,
}

impl PlanFile {
    /// Puts a plan and what it was made from together.
    pub fn new(mode: Mode, made_from: Basis, plan: &Plan, (file, vars): Origin, now: Timestamp) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            written_by: crate::state::model::WRITER.to_owned(),
            // Whole seconds: a plan that is made again has the same length.
            created_at: now.round(jiff::Unit::Second).unwrap_or(now),
            environment: plan.environment.clone(),
            file,
            vars,
            mode,
            made_from,
            plan: Outline::from(plan),
        }
    }

    /// Reads a saved plan.
    ///
    /// # Errors
    /// When it is none, cut short, of a later version, or damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlanFileError> {
        let header: Header = serde_json::from_slice(bytes).map_err(|why| match why.classify() {
            serde_json::error::Category::Eof if begins_like_one(bytes) => PlanFileError::Cut {
                line: why.line(),
                column: why.column(),
            },
            serde_json::error::Category::Data => PlanFileError::Other { why: None },
            _ => PlanFileError::Other {
                why: Some(why.to_string()),
            },
        })?;
        if header.format != FORMAT {
            return Err(PlanFileError::Other { why: None });
        }
        if header.version > u64::from(VERSION) {
            return Err(PlanFileError::Newer {
                found: header.version,
                written_by: header.written_by,
            });
        }
        serde_json::from_slice(bytes).map_err(|why| PlanFileError::Damaged { why: why.to_string() })
    }

    /// Whether these bytes are a saved plan of any version, whole or not: only such a file is written over.
    pub fn recognises(bytes: &[u8]) -> bool {
        match serde_json::from_slice::<Header>(bytes) {
            Ok(header) => header.format == FORMAT,
            Err(why) => why.is_eof() && begins_like_one(bytes),
        }
    }

    /// As it is saved: for people who look into it.
    ///
    /// # Errors
    /// None that any plan leads to.
    pub fn pretty(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// In one line, for programs.
    ///
    /// # Errors
    /// None that any plan leads to.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// The options that it was made with; none of a destroy.
    pub fn options(&self) -> Option<Options> {
        match &self.mode {
            Mode::Apply {
                targets,
                replace,
                allow_data_loss,
            } => Some(Options {
                allowed: Allowed {
                    data_loss: *allow_data_loss,
                },
                targets: targets.clone(),
                replace: replace.clone(),
            }),
            Mode::Destroy { .. } => None,
        }
    }

    /// The command that makes such a plan again and saves it as `file`.
    pub fn remedy(&self, file: &str) -> String {
        let mut command = match &self.file {
            None => format!("provision plan {}", self.environment),
            Some(written) => format!("provision plan {written} --name {}", self.environment),
        };
        for (name, value) in &self.vars {
            let plain = value
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._/:@".contains(&b));
            command.push_str(&match plain {
                true => format!(" --var {name}={value}"),
                false => format!(" --var '{name}={}'", value.replace('\'', "'\\''")),
            });
        }
        command.push_str(&format!(" --out {file}"));
        match &self.mode {
            Mode::Apply {
                targets,
                replace,
                allow_data_loss,
            } => {
                for target in targets {
                    command.push_str(&format!(" --target {target}"));
                }
                for address in replace {
                    command.push_str(&format!(" --replace {address}"));
                }
                if *allow_data_loss {
                    command.push_str(" --allow-data-loss");
                }
            }
            Mode::Destroy { keep_volume } => {
                command.push_str(" --destroy");
                if *keep_volume {
                    command.push_str(" --keep-volume");
                }
            }
        }
        command
    }

    /// What moved since this plan was saved, a line each, when `now` is what would be saved in its place. A plan may be
    /// carried out only when there is nothing.
    pub fn moved(&self, now: &Self) -> Vec<String> {
        moved::moved(self, now)
    }
}

/// Whether a text begins as we write a plan.
fn begins_like_one(bytes: &[u8]) -> bool {
    let begin: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|b| !b.is_ascii_whitespace())
        .take(64)
        .collect();
    let ours = format!("{{\"format\":\"{}\"", FORMAT.replace(' ', ""));
    begin.starts_with(ours.as_bytes())
}
