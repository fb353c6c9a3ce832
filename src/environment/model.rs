//! The environment file as it is written: what serde reads, nothing checked beyond types.
//!
//! Everything that `desired` may complain about later carries its place in the text (`Spanned`).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

pub use super::edge::{EdgeTable, Header, Route, RouteTable, Tls, TlsMode};
use super::secret::SecretEntry;

/// A text that may hold `{{…}}`, with its place.
pub type Text = Spanned<String>;

/// A value with its byte range in the file. A newtype over `toml::Spanned` so that it can have a JSON schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct Spanned<T>(toml::Spanned<T>);

impl<T> Spanned<T> {
    /// The value.
    pub fn get(&self) -> &T {
        self.0.get_ref()
    }

    /// Its byte range in the file.
    pub fn span(&self) -> std::ops::Range<usize> {
        self.0.span()
    }

    /// A value that stands at a byte range of a file.
    pub fn at(value: T, span: std::ops::Range<usize>) -> Self {
        Self(toml::Spanned::new(span, value))
    }

    /// A value that stands nowhere in the file: a default.
    pub fn nowhere(value: T) -> Self {
        Self(toml::Spanned::new(0..0, value))
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
    fn inline_schema() -> bool {
        T::inline_schema()
    }
}

/// One environment: `environments/<name>.toml`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The host name that the system answers to. Without one, the machine's own address is used.
    pub domain: Option<Text>,
    /// Refuse `destroy` and everything that loses data.
    #[serde(default)]
    pub protect: bool,
    /// The Docker network that every stack shares.
    #[serde(default = "default_network")]
    pub network: Text,
    /// How long the environment shall live, such as `8h` or `3d`: then the machine takes itself down.
    pub ttl: Option<Spanned<String>>,
    /// The machine: exactly one of the tables `[machine.aws]`, `[machine.digitalocean]`, `[machine.local]`, `[machine.ssh]`; the table
    /// names the provider.
    pub machine: Spanned<Machine>,
    /// A volume that survives a replacement of the machine; Docker's data lives on it.
    pub data: Option<Data>,
    /// Who gets in over SSH.
    #[serde(default)]
    pub access: Access,
    /// Address records of the hosts in `routes` and of `domain`.
    pub dns: Option<Dns>,
    /// Certificates.
    pub tls: Option<Tls>,
    /// Where the state is kept.
    #[serde(default)]
    pub state: StateTable,
    /// Values for `{{vars.NAME}}`; `--var NAME=VALUE` gives another one.
    #[serde(default)]
    pub vars: BTreeMap<String, Spanned<Var>>,
    /// Secrets for `{{secrets.NAME}}` and for the stacks that ask for them.
    #[serde(default)]
    pub secrets: BTreeMap<String, Spanned<SecretEntry>>,
    /// The Compose projects, by name: a built-in stack or a folder.
    #[serde(default)]
    pub stacks: BTreeMap<Spanned<String>, Stack>,
    /// What is public: `"host/path"` or `"/path"` (on `domain`) to `"service:port"`, or to a table.
    #[serde(default)]
    pub routes: BTreeMap<Spanned<String>, Spanned<Route>>,
    /// What holds for all routes.
    pub edge: Option<EdgeTable>,
    /// Container images that no registry serves: `"name:tag"` to a `docker save` archive, sent over SSH.
    #[serde(default)]
    pub images: BTreeMap<Spanned<String>, Spanned<String>>,
}

fn default_network() -> Text {
    Spanned::nowhere("provision".to_owned())
}

/// The machine's provider.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Machine {
    /// An EC2 instance.
    Aws(Aws),
    /// A Droplet of DigitalOcean's.
    DigitalOcean(DigitalOcean),
    /// A QEMU virtual machine on this computer.
    Local(Local),
    /// A Debian or Ubuntu server that is there already.
    Ssh(Ssh),
}

/// `[machine.ssh]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ssh {
    /// The host's name or address; what `ssh_config` says without.
    pub host: Option<Spanned<String>>,
    /// The port of its sshd; what `ssh_config` says without, or 22.
    pub port: Option<Spanned<u32>>,
    /// Who logs in: `root`, or somebody whom sudo asks for no password.
    pub user: Spanned<String>,
    /// A `Host` of your own ssh_config that leads there: its keys, agent and jump hosts are used.
    pub ssh_config: Option<Spanned<String>>,
    /// The fingerprint of one of its host keys, `SHA256:…`; without, your known_hosts file must know the host.
    pub fingerprint: Option<Spanned<String>>,
    /// What our firewall is for: `stacks` (our own network alone; all else on the host stays as it is) or `host` (closed but for
    /// sshd, 80 and 443).
    #[serde(default)]
    pub firewall: Walls,
}

/// What our firewall is for on a host that was there before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Walls {
    /// Our own network alone.
    #[default]
    Stacks,
    /// The whole host.
    Host,
}

/// `[machine.aws]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// The region, such as `eu-central-1`; the one of your AWS configuration without.
    pub region: Option<Spanned<String>>,
    /// A profile of your AWS configuration; its credentials may be an assumed role or a single sign-on.
    pub profile: Option<Spanned<String>>,
    /// The instance type, such as `t3.small`.
    #[serde(default = "default_size")]
    pub size: Text,
    /// `debian-13`, `debian-12`, `ubuntu-24.04`, `ubuntu-22.04`, or `ami-…`.
    #[serde(default = "default_image")]
    pub image: Text,
    /// Root disk in GiB.
    #[serde(default = "default_disk")]
    pub disk_gib: Spanned<u32>,
    /// `static`, an elastic address that outlives the instance, or `ephemeral`.
    #[serde(default)]
    pub address: AddressKind,
    /// The subnet, `subnet-…`; one of the VPC's without.
    pub subnet: Option<Spanned<String>>,
    /// The VPC, `vpc-…`; the account's default one without.
    pub vpc: Option<Spanned<String>>,
    /// The name of an instance profile, for programs on the machine that talk to AWS.
    pub instance_profile: Option<Spanned<String>>,
    /// Ask for spot capacity first, and take an ordinary instance when there is none.
    #[serde(default)]
    pub spot: bool,
    /// Have an IPv6 address too; the subnet must have an IPv6 range.
    #[serde(default)]
    pub ipv6: bool,
    /// `standard` or `unlimited`, for sizes that earn credits; the size's own default without.
    pub cpu_credits: Option<Credits>,
    /// The KMS key of all disks; the account's default key for EBS without. They are always encrypted.
    pub kms_key: Option<Spanned<String>>,
    /// Tags of your own, on everything.
    #[serde(default)]
    pub tags: BTreeMap<Spanned<String>, Text>,
}

fn default_size() -> Text {
    Spanned::nowhere("t3.small".to_owned())
}

/// Whether an address outlives its machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AddressKind {
    /// It does: it stays over a stop and over a replacement.
    #[default]
    Static,
    /// It changes with every start.
    Ephemeral,
}

/// What an instance does when its credits are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Credits {
    /// It gets slower.
    Standard,
    /// It costs more.
    Unlimited,
}

/// `[machine.digitalocean]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DigitalOcean {
    /// The region, such as `fra1`.
    pub region: Spanned<String>,
    /// A context of doctl's configuration, whose token is used; the environment's token without.
    pub context: Option<Spanned<String>>,
    /// The size, such as `s-1vcpu-2gb`; the root disk comes with it.
    #[serde(default = "default_droplet_size")]
    pub size: Text,
    /// `debian-13`, `debian-12`, `ubuntu-24.04`, `ubuntu-22.04`, a slug such as `debian-13-x64`, or the number of an image of
    /// your own.
    #[serde(default = "default_image")]
    pub image: Text,
    /// `static`, a reserved address that outlives the Droplet, or `ephemeral`.
    #[serde(default)]
    pub address: AddressKind,
    /// Have an IPv6 address too.
    #[serde(default)]
    pub ipv6: bool,
    /// Install DigitalOcean's agent for metrics at the first boot.
    #[serde(default)]
    pub monitoring: bool,
    /// Have DigitalOcean back up the whole Droplet, which costs a part of its price.
    #[serde(default)]
    pub backups: bool,
    /// Let a larger size bring its larger disk too. No disk shrinks, so there is no way back to a smaller size.
    #[serde(default)]
    pub grow_disk: bool,
    /// The VPC, by its identifier; the region's default one without.
    pub vpc: Option<Spanned<String>>,
    /// The project, by its name or its identifier; the account's default one without.
    pub project: Option<Spanned<String>>,
    /// Tags of your own, on Droplet and volume.
    #[serde(default)]
    pub tags: Vec<Spanned<String>>,
}

fn default_droplet_size() -> Text {
    Spanned::nowhere("s-1vcpu-2gb".to_owned())
}

/// `[machine.local]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// The base image: `debian-13`, a path (relative to this file), or an `https://` address with `sha512`.
    #[serde(default = "default_image")]
    pub image: Text,
    /// The checksum of a downloaded image: 128 hexadecimal digits.
    pub sha512: Option<Spanned<String>>,
    /// Virtual processors.
    #[serde(default = "default_cpus")]
    pub cpus: Spanned<u32>,
    /// Memory in GiB.
    #[serde(default = "default_memory")]
    pub memory_gib: Spanned<u32>,
    /// Root disk in GiB.
    #[serde(default = "default_disk")]
    pub disk_gib: Spanned<u32>,
    /// `auto`, `kvm`, `hvf` or `tcg`.
    #[serde(default)]
    pub acceleration: Acceleration,
    /// Boot a kernel directly instead of the image's boot loader: faster under emulation.
    pub boot: Option<Boot>,
}

fn default_image() -> Text {
    Spanned::nowhere("debian-13".to_owned())
}
fn default_cpus() -> Spanned<u32> {
    Spanned::nowhere(2)
}
fn default_memory() -> Spanned<u32> {
    Spanned::nowhere(2)
}
fn default_disk() -> Spanned<u32> {
    Spanned::nowhere(20)
}

/// How QEMU executes the guest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Acceleration {
    /// KVM or HVF when it really runs a guest, otherwise emulation with a warning.
    #[default]
    Auto,
    /// Linux's KVM.
    Kvm,
    /// Apple's hypervisor.
    Hvf,
    /// Emulation.
    Tcg,
}

/// `[machine.local.boot]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// The kernel, relative to this file.
    pub kernel: Spanned<String>,
    /// The initial RAM disk, relative to this file.
    pub initrd: Option<Spanned<String>>,
    /// The kernel's command line.
    #[serde(default)]
    pub cmdline: String,
}

/// `[data]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// Size in GiB. It can grow, never shrink.
    pub volume_gib: Spanned<u32>,
}

/// `[access]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Your own SSH key (private, or public with the private half in your agent). Without one a key is made and kept in
    /// the encrypted bundle.
    pub ssh_key: Option<Spanned<String>>,
    /// More public keys that may log in (`ssh-ed25519 AAAA… name`).
    #[serde(default)]
    pub authorized_keys: Vec<Spanned<String>>,
    /// Who may reach port 22, where the provider has a firewall: `operator` (the caller's own address, only while a command
    /// runs) and networks such as `203.0.113.0/24`. Default: `["operator"]`.
    pub ssh_from: Option<Vec<Spanned<String>>>,
    /// A jump host, as ssh's `ProxyJump`; names of your own ssh_config work.
    pub proxy_jump: Option<Spanned<String>>,
}

/// `[dns]`
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    /// Who serves the names: `route53` or `digitalocean`.
    pub provider: DnsProvider,
    /// The zone, by its name or its identifier; the longest hosted one that fits each name without.
    pub zone: Option<Spanned<String>>,
}

/// Who serves names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DnsProvider {
    /// Amazon Route 53.
    Route53,
    /// DigitalOcean's name servers.
    DigitalOcean,
}

/// `[state]`
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateTable {
    /// `local`, in `.provision/` of the project, or `s3`.
    #[serde(default)]
    pub backend: BackendKind,
    /// The bucket, with `s3`; it must exist.
    pub bucket: Option<Spanned<String>>,
    /// What the keys of all objects begin with; after it comes the environment's name.
    pub key: Option<Spanned<String>>,
    /// The bucket's region; the one of your AWS configuration without.
    pub region: Option<Spanned<String>>,
    /// The address of another service than Amazon's that speaks S3, such as `https://s3.example.com`.
    pub endpoint: Option<Spanned<String>>,
    /// A profile of your AWS configuration; its credentials may be an assumed role or a single sign-on.
    pub profile: Option<Spanned<String>>,
}

/// Where the state is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// In `.provision/` of the project.
    #[default]
    Local,
    /// In a bucket of Amazon S3, or of another service that speaks its protocol.
    S3,
}

/// `[stacks.<name>]`: `path`, `files`, `env`, `scale` and `allow` are ours, every other key is a parameter of the stack.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct Stack {
    /// Your own folder with `compose.yaml`, relative to this file. Built-in stacks need none.
    pub path: Option<Spanned<String>>,
    /// A folder of yours that goes to the host with the stack, as `files/` beside its Compose file, relative to this file.
    pub files: Option<Spanned<String>>,
    /// Variables for the Compose file.
    #[serde(default)]
    pub env: BTreeMap<Spanned<String>, Text>,
    /// Instances per service.
    #[serde(default)]
    pub scale: BTreeMap<Spanned<String>, Spanned<u32>>,
    /// What a service may beside what every container may, by service: `{ ports = ["8883:8883"], reason = "…" }`.
    #[serde(default)]
    pub allow: BTreeMap<Spanned<String>, Allow>,
    /// Parameters that the stack's `stack.toml` declares.
    #[serde(flatten)]
    pub parameters: BTreeMap<String, Parameter>,
}

/// `[stacks.<name>.allow.<service>]`: a way around the edge, or out of the container, and why it has to be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Ports that it may publish, as in a Compose file: `8883:8883`, `127.0.0.1:9000:9000`, `5000-5003:5000-5003/udp`.
    #[serde(default)]
    pub ports: Vec<Spanned<String>>,
    /// What else it may: `docker-socket`, `privileged`, `host-network`.
    #[serde(default)]
    pub may: Vec<Spanned<Power>>,
    /// Why; `provision audit` shows it.
    pub reason: Spanned<String>,
}

/// What takes a container out of its walls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// The socket of Docker, or a folder of the host that holds it or is as good.
    DockerSocket,
    /// `privileged`, `pid: host`, a capability or a device that is as good as root of the host.
    Privileged,
    /// The host's own network.
    HostNetwork,
}

impl Power {
    /// The word for it, in the environment file and in an audit.
    pub fn word(self) -> &'static str {
        match self {
            Self::DockerSocket => "docker-socket",
            Self::Privileged => "privileged",
            Self::HostNetwork => "host-network",
        }
    }
}

/// The value of a var.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Var {
    /// The value, unless another is given.
    Value(String),
    /// None: it must be given.
    Needed(NeededVar),
}

/// A var that has no value of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeededVar {
    /// What it is for, told to who forgets `--var`.
    pub needed: String,
}

/// The value of a stack's parameter.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Parameter {
    /// A number.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
    /// A text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}
