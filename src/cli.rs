//! What can be typed. Types only.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::names::{Address, EnvironmentName, Lineage, NameError, StackName};

mod secrets;

pub use secrets::{Secrets, SecretsCommand, SecretsEdit, SecretsGet, SecretsList, SecretsRotate, SecretsSet};

const EXIT_CODES: &str = "\
Exit codes:
  0    done, or nothing to change
  1    failed
  2    changes pending (plan --detailed-exitcode)
  3    bad input
  4    locked by another run
  5    refused: protection, data would be lost, a saved plan that is stale; audit found a hole
  130  interrupted";

const BY_DAY: &str = "\
The first day:
  init        Write a commented environment file
  validate    Check everything that was written, without network or machine
  stacks      List the stacks there are, or tell what one can be told, needs and offers
  render      Write what would go to the machine into a folder
  plan        Show what would be done
  show        Show a saved plan again
  apply       Do it, or what a saved plan says

Every day:
  status      Show machine, services, routes, certificates, disk and memory
  audit       Look from outside and inside whether it is private
  graph       Draw the environment: what is public, what is not, what needs what
  output      Print what an apply recorded: address, URL, CA certificate
  history     Show who applied what and when, and where the time went
  ssh         Log in, or run one command there
  extend      Give an environment that has an end more time
  secrets     List, set, read, rotate and edit secrets

For other tools:
  export      Write all stacks as one Compose file

When something is lost or forgotten:
  state       Look into the state, mend it, move it; rebuild a lost one
  gc          Find what is expired or has no state here, and destroy what is expired

The last day:
  destroy     Take everything back, and prove it

For editors and shells:
  schema      Print the JSON Schema of the environment file, or of the lines of --json
  completions Print completions for a shell";

/// From an environment file to a running, TLS-served, private-by-default system on one machine, and back.
#[derive(Debug, Parser)]
#[command(
    name = "provision",
    version,
    help_template = "{about-with-newline}\n{usage-heading} {usage}\n\n{before-help}Options:\n{options}{after-help}",
    before_help = BY_DAY,
    after_help = EXIT_CODES,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// The project: a folder with `environments/`, or one below it.
    #[arg(
        short = 'C',
        long = "directory",
        global = true,
        value_name = "DIR",
        default_value = "."
    )]
    pub directory: PathBuf,
    /// Your own network, for a machine that lets in `operator` only; else `PROVISION_OPERATOR_CIDR`, else it is found out.
    #[arg(long, global = true, value_name = "CIDR", value_parser = network)]
    pub operator_cidr: Option<IpNet>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented environment file.
    Init(Init),
    /// Check everything that was written, without network or machine.
    Validate(Name),
    /// Write what would go to the machine into a folder; secrets are left out.
    Render(Render),
    /// Show what would be done.
    Plan(Plan),
    /// Show a saved plan again.
    Show(Show),
    /// Do it, or what a saved plan says.
    Apply(Apply),
    /// Show machine, services, routes, certificates, disk and memory.
    Status(Status),
    /// Look whether it is private: every port from outside; firewall, containers and sshd from inside. Exits with 5 when it is not.
    Audit(Audit),
    /// Draw the environment, without network or machine: what is public, what is not, what needs what, where data is kept.
    Graph(Graph),
    /// Print what an apply recorded: address, URL, CA certificate.
    Output(Output),
    /// Show who applied what and when, and where the time went.
    History(History),
    /// Log in, or run one command there.
    Ssh(Ssh),
    /// Give an environment that has an end (`ttl`) more time.
    Extend(Extend),
    /// List, set, read, rotate and edit secrets.
    Secrets(Secrets),
    /// Take everything back, and prove it.
    Destroy(Destroy),
    /// Rebuild a lost state from what there is, or take a resource over.
    State(State),
    /// Find what bears our tags and is expired or has no state here, and destroy what is expired.
    Gc(Gc),
    /// List the stacks there are, or tell what one can be told, needs, offers and how it is backed up.
    Stacks(Stacks),
    /// Write the environment in a form that other tools take.
    Export(Export),
    /// Print the JSON Schema of the environment file, or of the lines of `--json`.
    Schema(Schema),
    /// Print completions for a shell.
    Completions(Completions),
}

/// `provision stacks`.
#[derive(Debug, Args)]
pub struct Stacks {
    /// One of them; all without.
    pub name: Option<StackName>,
    /// JSON for programs.
    #[arg(long)]
    pub json: bool,
}

/// `provision export`.
#[derive(Debug, Args)]
pub struct Export {
    #[command(subcommand)]
    #[allow(missing_docs)]
    pub form: ExportForm,
}

/// What is written.
#[derive(Debug, Subcommand)]
pub enum ExportForm {
    /// All stacks as one Compose file that needs nothing beside it; secrets are variables to be set where it runs.
    Compose(ExportCompose),
}

/// `provision export compose`.
#[derive(Debug, Args)]
pub struct ExportCompose {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Write it into this file instead of to standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// An environment.
#[derive(Debug, Clone, Args)]
pub struct Name {
    /// The environment: the name of its file in `environments/`, without `.toml`; or its own, once it was applied.
    pub name: EnvironmentName,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub own: Own,
}

/// What makes one environment of a file that serves many.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Own {
    /// The environment's own name, where one file serves many.
    #[arg(id = "own_name", long = "name", value_name = "NAME")]
    pub name: Option<EnvironmentName>,
    /// Another value for one of the file's `[vars]`. Not for secrets: it stands in the state. Repeatable.
    #[arg(long = "var", value_name = "KEY=VALUE", value_parser = var)]
    pub vars: Vec<(String, String)>,
}

impl Name {
    /// The environment, by its own name.
    pub fn environment(&self) -> &EnvironmentName {
        self.own.name.as_ref().unwrap_or(&self.name)
    }

    /// The environment of this very name.
    pub fn of(name: EnvironmentName) -> Self {
        Self {
            name,
            own: Own::default(),
        }
    }
}

/// `init`
#[derive(Debug, Args)]
pub struct Init {
    /// The new environment's name.
    pub name: EnvironmentName,
    /// Where its machine is: `local`, `aws`, `digitalocean` or `ssh` (a server that is there already).
    #[arg(long, default_value = "local")]
    pub provider: String,
}

/// `render`
#[derive(Debug, Args)]
pub struct Render {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// The folder to write into; it is made. Without it, the list of files is printed.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Options of everything that works on an environment under its lock.
#[derive(Debug, Clone, Args)]
pub struct Locking {
    /// How long to wait for another run to end, such as `90s` or `5m`; a number alone is seconds.
    #[arg(long, value_name = "TIME", default_value = "0", value_parser = wait)]
    pub lock_wait: Duration,
    /// What others are told who want the lock meanwhile, such as a CI job's address.
    #[arg(long, value_name = "TEXT", env = "PROVISION_LOCK_REASON", hide_env_values = true)]
    pub lock_reason: Option<String>,
}

/// Which part of an environment, and what of it anew.
#[derive(Debug, Args)]
pub struct Scope {
    /// Only this address, such as `stack.app`, and what it needs; may be given more than once.
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<Address>,
    /// Make this anew: `machine.instance`, a stack's containers, or `edge.caddy`; may be given more than once.
    #[arg(long, value_name = "ADDRESS")]
    pub replace: Vec<Address>,
}

/// How a plan is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a terminal or a log.
    Text,
    /// For a comment of a pull request; its first line marks it, so that it can be found and replaced.
    Markdown,
}

/// `plan`
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Exit with 2 when there is something to do, or with --refresh-only when something changed outside.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Show only what changed outside since the last apply.
    #[arg(long, conflicts_with_all = ["out", "destroy", "target", "replace", "allow_data_loss", "format"])]
    pub refresh_only: bool,
    /// Save the plan, for `apply FILE`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Plan to take everything back.
    #[arg(long, conflicts_with_all = ["target", "replace", "allow_data_loss"])]
    pub destroy: bool,
    /// With --destroy: keep the data volume.
    #[arg(long, requires = "destroy")]
    pub keep_volume: bool,
    /// With --destroy, on a host that was there before: remove the stacks' volumes too.
    #[arg(long, requires = "destroy", conflicts_with = "keep_volume")]
    pub delete_volumes: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: Scope,
    /// Allow replacing a machine whose data lives on its root disk.
    #[arg(long)]
    pub allow_data_loss: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// One JSON object a line; the last one is the summary.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// `show`
#[derive(Debug, Args)]
pub struct Show {
    /// A plan that was saved.
    pub file: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Print the document as it was saved, in one line.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// What `apply` is given: an environment's name, or a saved plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The environment.
    Environment(EnvironmentName),
    /// The plan's file.
    File(PathBuf),
}

impl Subject {
    /// A file as it is typed behind `apply`.
    pub fn of(path: &Path) -> String {
        let text = path.display().to_string();
        match text.contains(['.', '/']) {
            true => text,
            false => format!("./{text}"),
        }
    }
}

impl FromStr for Subject {
    type Err = NameError;

    /// A name has neither dot nor slash, so what has one is a file.
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.contains(['.', '/']) {
            true => Ok(Self::File(PathBuf::from(text))),
            false => text.parse().map(Self::Environment),
        }
    }
}

/// `apply`
#[derive(Debug, Args)]
pub struct Apply {
    /// The environment, or a plan that was saved: whatever has a dot or a slash in it is a file.
    #[arg(value_name = "NAME|FILE")]
    pub what: Subject,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub own: Own,
    /// Do not ask. A saved plan needs no asking.
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub scope: Scope,
    /// Allow replacing a machine whose data lives on its root disk.
    #[arg(long)]
    pub allow_data_loss: bool,
    /// Take what changed outside into the state, and change nothing else.
    #[arg(long, conflicts_with_all = ["target", "replace", "allow_data_loss"])]
    pub refresh_only: bool,
    /// One JSON object a line on standard output, in place of progress for people; the last one is the summary.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locking: Locking,
}

/// `status`
#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `audit`
#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// How an environment is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Drawing {
    /// A picture for pages.
    Svg,
    /// A flowchart as text, which pull requests and wikis draw.
    Mermaid,
}

/// `graph`
#[derive(Debug, Args)]
pub struct Graph {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// How.
    #[arg(long, value_enum, default_value_t = Drawing::Svg)]
    pub format: Drawing,
    /// Write it into this file instead of to standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `output`
#[derive(Debug, Args)]
pub struct Output {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// One output; all of them without.
    pub key: Option<String>,
    /// Print JSON.
    #[arg(long, conflicts_with = "raw")]
    pub json: bool,
    /// Print the value without a line end.
    #[arg(long, requires = "key")]
    pub raw: bool,
}

/// `history`
#[derive(Debug, Args)]
pub struct History {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// One run, by its number; a list of all without.
    pub number: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Draw the steps of a run over time, the newest without a number, and write the picture here.
    #[arg(long, value_name = "FILE.svg", conflicts_with = "json")]
    pub timeline: Option<PathBuf>,
}

/// `ssh`
#[derive(Debug, Args)]
pub struct Ssh {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// A command to run there; a login without.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `extend`
#[derive(Debug, Args)]
pub struct Extend {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// How much is added to the time that is left, such as `4h` or `2d`.
    #[arg(value_parser = time)]
    pub time: u64,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locking: Locking,
}

/// `destroy`
#[derive(Debug, Args)]
pub struct Destroy {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Keep the data volume; the next apply of the same name does not take it back by itself.
    #[arg(long)]
    pub keep_volume: bool,
    /// On a host that was there before, where volumes stay otherwise: remove the stacks' volumes with all that is in them.
    #[arg(long, conflicts_with = "keep_volume")]
    pub delete_volumes: bool,
    /// One JSON object a line on standard output, in place of progress for people; the last one is the summary.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locking: Locking,
}

/// `state`
#[derive(Debug, Args)]
pub struct State {
    /// What to do.
    #[command(subcommand)]
    pub command: StateCommand,
}

/// What `state` does.
#[derive(Debug, Subcommand)]
pub enum StateCommand {
    /// Find everything of an environment by its tags and write a new state. Changes nothing else.
    Rebuild(Rebuild),
    /// Take one resource over: it gets our tags and a record in the state.
    Import(Import),
    /// List what is recorded.
    List(StateList),
    /// Show what is recorded of one address.
    Show(StateShow),
    /// Forget what is recorded of an address. Nothing else is touched.
    Rm(StateRm),
    /// Take the lock away from a run that will not give it back.
    Unlock(Unlock),
    /// Print the state as it is kept.
    Pull(Pull),
    /// Put a state in the place of the one that is kept, which goes to the backups.
    Push(Push),
    /// Move the state, with secrets and history, to where [state] of the file says.
    Migrate(Migrate),
}

/// `state list`
#[derive(Debug, Args)]
pub struct StateList {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `state show`
#[derive(Debug, Args)]
pub struct StateShow {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Which, such as `machine.instance` or `stack.app`.
    pub address: Address,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `state rm`
#[derive(Debug, Args)]
pub struct StateRm {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Which, such as `stack.app`.
    pub address: Address,
    /// Also the machine itself.
    #[arg(long)]
    pub force: bool,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locking: Locking,
}

/// `state unlock`
#[derive(Debug, Args)]
pub struct Unlock {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,
    /// Also from a run whose lease has not run out; with --host, also give the host to this state.
    #[arg(long)]
    pub force: bool,
    /// The lease on the host, in place of the lock beside the state.
    #[arg(long)]
    pub host: bool,
}

/// `state pull`
#[derive(Debug, Args)]
pub struct Pull {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
}

/// `state push`
#[derive(Debug, Args)]
pub struct Push {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// The state, as `state pull` prints it.
    pub file: PathBuf,
    /// Whatever is there now: another lineage, another serial, or nothing that can be read.
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locking: Locking,
}

/// `state migrate`
#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locking: Locking,
}

/// `state rebuild`
#[derive(Debug, Args)]
pub struct Rebuild {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// Which life of the environment, when there is more than one.
    #[arg(long)]
    pub lineage: Option<Lineage>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locking: Locking,
}

/// `state import`
#[derive(Debug, Args)]
pub struct Import {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub environment: Name,
    /// What it shall be, such as `machine.volume`.
    pub address: Address,
    /// The provider's identifier, such as `vol-0123456789abcdef0`.
    pub id: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub locking: Locking,
}

/// `gc`
#[derive(Debug, Args)]
pub struct Gc {
    /// Where to look: `local`, `aws` or `digitalocean`.
    #[arg(long, default_value = "local", value_parser = ["aws", "digitalocean", "local"])]
    pub provider: String,
    /// The region of AWS to look in; that of your AWS configuration without.
    #[arg(long)]
    pub region: Option<String>,
    /// A profile of your AWS configuration, or a context of doctl's.
    #[arg(long, visible_alias = "context")]
    pub profile: Option<String>,
    /// Only what is past its time to live.
    #[arg(long)]
    pub expired: bool,
    /// Destroy it.
    #[arg(long, short, requires = "expired")]
    pub yes: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `schema`
#[derive(Debug, Args)]
pub struct Schema {
    /// Of what.
    #[arg(value_enum, default_value_t = SchemaOf::Environment)]
    pub of: SchemaOf,
}

/// What there are schemas of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// `environments/NAME.toml`.
    Environment,
    /// One line of `plan`, `apply` and `destroy` with `--json`.
    Events,
}

/// `completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

/// An address or a CIDR block, as the network that it is in.
///
/// # Errors
/// When it is neither.
pub fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let address = || Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?));
    let parsed = text.parse::<IpNet>().ok().or_else(address);
    parsed
        .map(|network| network.trunc())
        .ok_or_else(|| "neither an address nor a network such as 203.0.113.7/32".to_owned())
}

/// `KEY=VALUE`; only the first `=` parts them.
fn var(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as customer=acme".to_owned()),
    }
}

fn time(text: &str) -> Result<u64, String> {
    crate::names::seconds(text, 60..=crate::names::LONGEST_LIFE)
        .ok_or_else(|| "write hours or days such as 4h or 2d, from a minute to a year".to_owned())
}

/// A length of time: a number with `s`, `m` or `h`, or without for seconds.
fn wait(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let (number, factor) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => (text, 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    seconds
        .filter(|seconds| *seconds <= 7 * 24 * 3600)
        .map(Duration::from_secs)
        .ok_or_else(|| "not a length of time of at most a week, such as 90s, 5m or 1h".to_owned())
}
