//! What happens to an environment in any cloud, in chapters. What differs between clouds, each says of itself.

use std::path::Path;

use super::lab::{Lab, reaches};
use super::life::{edit, the_row_comes_back};

/// A cloud of the lab, whose machines are virtual machines.
pub trait Cloud: Sized {
    /// The table of the environment's file that makes a machine here.
    const MACHINE: &'static str;
    /// A size, and a larger one that a machine of it can become.
    const SIZES: (&'static str, &'static str);

    /// None, and a word, where the lab is not installed.
    fn start(images: &Path, image: &Path) -> Option<Self>;

    /// What the tool needs to know: an address, credentials.
    fn variables(&self) -> Vec<(&'static str, String)>;

    /// The machines that are there: identifier and size.
    fn machines(&self) -> Vec<(String, String)>;

    /// All rules of firewalls, as somebody sees them from outside.
    fn rules(&self) -> String;

    /// Somebody opens port 5432 of the environment's firewall to the world.
    fn open_a_hole(&self);

    /// The process that is the network of the one machine.
    fn network(&self) -> i32;

    /// What is there, of every kind that costs or blocks something.
    fn left(&self) -> Vec<String>;
}

/// A machine with a data volume and an address that stays, for eight hours; the demo's stacks on it.
pub fn write_environment<C: Cloud>(lab: &Lab, _: &C) {
    let text = format!(
        "ttl = \"8h\"\n\n{}\nsize = \"{}\"\n\n[data]\nvolume_gib = 4\n\n[tls]\nmode = \"internal\"\n\n\
         [stacks.postgres]\ndatabases = [\"app\"]\n\n[stacks.demo]\n\n[routes]\n\"/\" = \"web:8000\"\n\n{}",
        C::MACHINE,
        C::SIZES.0,
        lab.archives(&[])
    );
    std::fs::create_dir(lab.path("environments")).unwrap();
    std::fs::write(lab.environment(), text).unwrap();
}

/// Port 22 opens for the caller alone, and only while a command runs.
pub fn the_door_is_shut_behind_every_command(lab: &Lab, cloud: &impl Cloud) {
    assert!(
        !reaches(&lab.output("address"), 22),
        "port 22 is open while no command runs"
    );
    let rules = cloud.rules();
    assert!(!rules.contains("127.0.0.1/32"), "{rules}");
}

pub fn a_hole_in_the_firewall_is_closed(lab: &Lab, cloud: &impl Cloud) {
    cloud.open_a_hole();
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    assert!(
        plan.contains("~ machine.firewall") && plan.contains("tcp/5432 (drift): 0.0.0.0/0 → (none)"),
        "{plan}"
    );
    lab.ok(&["apply", lab.name, "--yes"]);
    lab.is_settled();
}

pub fn a_larger_size_keeps_the_data<C: Cloud>(lab: &Lab, cloud: &C) {
    let (before, address) = (machine(cloud), lab.output("address"));
    let (small, large) = C::SIZES;
    edit(lab, &format!("size = \"{small}\""), &format!("size = \"{large}\""));
    let plan = lab.fails(2, &["plan", lab.name, "--detailed-exitcode"]);
    assert!(plan.contains(&format!("size: {small} → {large}")), "{plan}");
    lab.ok(&["apply", lab.name, "--yes"]);
    assert_eq!(machine(cloud), (before.0, large.to_owned()), "in place");
    assert_eq!(lab.output("address"), address);
    the_row_comes_back(lab);
}

/// The one machine that lives.
pub fn machine(cloud: &impl Cloud) -> (String, String) {
    let mut living = cloud.machines();
    assert_eq!(living.len(), 1, "{living:?}");
    living.remove(0)
}

pub fn nothing_is_left(lab: &Lab, cloud: &impl Cloud) {
    assert_eq!(cloud.machines(), []);
    assert_eq!(cloud.left(), Vec::<String>::new());
    assert!(!lab.path(&format!(".provision/{}", lab.name)).exists(), "no state");
}
