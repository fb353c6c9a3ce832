//! The local provider against a real QEMU: machines without an operating system, which is enough for a life cycle.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's helpers are tests too; clippy's own exception knows only functions marked as one"
)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use provision::names::Lineage;
use provision::note::Note;
use provision::provider::local::{Dirs, Local};
use provision::provider::{Acceleration, Instance, InstanceSpec, KEPT, LocalImage, LocalShape, Owner, Power, Shape};

const MIB: u64 = 1 << 20;

/// Each test has an addresses folder of its own, so only taking turns keeps one from the other's address.
static TURN: Mutex<()> = Mutex::new(());

/// A provider with folders of its own, and machines that go when the test ends.
struct Lab {
    _turn: MutexGuard<'static, ()>,
    temp: tempfile::TempDir,
    local: Local,
}

impl Lab {
    /// None, and a word about it, where there is no QEMU.
    fn new() -> Option<Self> {
        // Also around this child: between fork and exec it holds whatever another test is probing.
        let turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let program = format!("qemu-system-{}", std::env::consts::ARCH);
        if Command::new(&program)
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_err()
        {
            println!("skipped: there is no {program} here");
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        let local = Local::new(dirs(temp.path()));
        let base = std::fs::File::create(temp.path().join("base.raw")).unwrap();
        base.set_len(64 * MIB).unwrap();
        Some(Self {
            _turn: turn,
            temp,
            local,
        })
    }

    fn spec(&self) -> InstanceSpec {
        spec(self.temp.path())
    }

    fn folder(&self, owner: &Owner) -> PathBuf {
        self.temp.path().join("machines").join(owner.machine_name())
    }

    /// The numbers of the QEMU processes of one machine.
    fn processes(&self, owner: &Owner) -> Vec<u32> {
        let mark = self.folder(owner).join("pid");
        let mut found: Vec<u32> = std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let mut args = line.split(|byte| *byte == 0);
                args.any(|arg| arg == mark.as_os_str().as_encoded_bytes())
            })
            .collect();
        found.sort_unstable();
        found
    }

    fn power_failure(&self, owner: &Owner) {
        for pid in self.processes(owner) {
            signal("-KILL", pid);
        }
        let begun = Instant::now();
        while !self.processes(owner).is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    async fn create(&self, owner: &Owner) -> Instance {
        self.local.create(owner, &self.spec(), &quiet).await.unwrap()
    }

    async fn power(&self, owner: &Owner) -> Option<Power> {
        self.local.observe(owner).await.unwrap().map(|instance| instance.power)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let machines = std::fs::read_dir(self.temp.path().join("machines"));
        for folder in machines.into_iter().flatten().flatten() {
            if let Ok(pid) = std::fs::read_to_string(folder.path().join("pid"))
                && let Ok(pid) = pid.trim().parse()
                && std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| line.contains(&folder.path().display().to_string()))
            {
                signal("-KILL", pid);
            }
        }
    }
}

fn signal(which: &str, pid: u32) {
    Command::new("kill").args([which, &pid.to_string()]).status().unwrap();
}

fn dirs(root: &Path) -> Dirs {
    Dirs {
        machines: root.join("machines"),
        addresses: root.join("addresses"),
        cache: root.join("images"),
        runtime: root.join("run"),
    }
}

fn spec(root: &Path) -> InstanceSpec {
    InstanceSpec {
        shape: Shape::Local(LocalShape {
            cpus: 1,
            memory_mib: 64,
            image: LocalImage::Path(root.join("base.raw")),
            boot: None,
            acceleration: Acceleration::Tcg,
        }),
        disk_gib: Some(1),
        volume_gib: Some(1),
        user_data: "#cloud-config\n".to_owned(),
        ttl_seconds: None,
        dns: None,
    }
}

fn owner(name: &str) -> Owner {
    Owner {
        environment: name.parse().unwrap(),
        lineage: Lineage::from_bytes([7; 16]),
        ids: Default::default(),
        expires: None,
    }
}

fn quiet(_: Note) {}

fn virtual_size(disk: &Path) -> u64 {
    let done = Command::new("qemu-img")
        .args(["info", "-U", "--output=json"])
        .arg(disk)
        .output()
        .unwrap();
    let info: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    info["virtual-size"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_lives_survives_a_power_failure_and_goes() {
    let Some(lab) = Lab::new() else { return };
    let owner = owner("life");
    assert_eq!(lab.local.observe(&owner).await.unwrap(), None);
    assert!(lab.local.leftovers(&owner).await.unwrap().is_empty());

    let made = lab.create(&owner).await;
    assert_eq!(made.power, Power::On);
    assert_eq!(lab.local.observe(&owner).await.unwrap(), Some(made.clone()));
    let begun = Instant::now();
    assert_eq!(lab.power(&owner).await, Some(Power::On));
    println!("observe took {:?}", begun.elapsed());
    let pids = lab.processes(&owner);
    assert_eq!(pids.len(), 1);
    assert_eq!(made.attributes["accelerator"], "tcg");
    assert_eq!(made.attributes["volume_gib"], "1");
    let session = std::fs::read_to_string(format!("/proc/{}/stat", pids[0])).unwrap();
    let session: u32 = session
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .nth(3)
        .unwrap()
        .parse()
        .unwrap();
    assert_ne!(session, std::process::id(), "it has a session of its own");

    assert_eq!(lab.create(&owner).await, made, "a second create adopts it");
    assert_eq!(
        lab.local.start(&owner, &quiet).await.unwrap(),
        made,
        "a start of a running one does nothing"
    );
    assert_eq!(lab.processes(&owner), pids);

    lab.power_failure(&owner);
    assert_eq!(lab.power(&owner).await, Some(Power::Off));
    assert_eq!(
        lab.local.start(&owner, &quiet).await.unwrap(),
        made,
        "the endpoint stays"
    );
    assert_ne!(lab.processes(&owner), pids);

    signal("-KILL", lab.processes(&owner)[0]);
    std::thread::sleep(Duration::from_millis(300));
    let taken = TcpListener::bind((made.endpoint.address, made.endpoint.http)).unwrap();
    let error = lab.local.start(&owner, &quiet).await.unwrap_err();
    let told = format!("{}\n{}", error.what, error.remedy.unwrap_or_default())
        .replace(&std::process::id().to_string(), "[pid]")
        .replace(&made.endpoint.address.to_string(), "[address]")
        .replace(&format!(":{}", made.endpoint.http), ":[port]")
        .replace(&owner.machine_name(), "[machine]");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("messages/snapshots");
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("port_in_use", told));
    drop(taken);
    lab.local.start(&owner, &quiet).await.unwrap();

    assert_eq!(
        lab.local.leftovers(&owner).await.unwrap().len(),
        4,
        "process, folder, address, socket"
    );
    lab.local.destroy(&owner, false, &quiet).await.unwrap();
    assert!(lab.local.leftovers(&owner).await.unwrap().is_empty());
    assert!(lab.processes(&owner).is_empty());
    lab.local.destroy(&owner, false, &quiet).await.unwrap();
    assert_eq!(lab.local.observe(&owner).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_volume_comes_back_with_the_next_machine() {
    let Some(lab) = Lab::new() else { return };
    let owner = owner("keep");
    lab.create(&owner).await;
    let data = lab.folder(&owner).join("data.qcow2");
    let before = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&data).unwrap());
    // A guest without a system would not answer the power button, which is pressed for the sake of the volume.
    lab.power_failure(&owner);
    lab.local.destroy(&owner, true, &quiet).await.unwrap();
    let left = lab.local.leftovers(&owner).await.unwrap();
    assert!(left.len() == 1 && left[0].starts_with(KEPT), "{left:?}");
    lab.create(&owner).await;
    let after = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&data).unwrap());
    assert_eq!(before, after);
    lab.local.destroy(&owner, false, &quiet).await.unwrap();
    assert!(lab.local.leftovers(&owner).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resize_grows_and_never_shrinks() {
    let Some(lab) = Lab::new() else { return };
    let owner = owner("size");
    lab.create(&owner).await;
    // A guest without a system would not answer the power button; off it is resized at once.
    lab.power_failure(&owner);
    let mut bigger = lab.spec();
    let Shape::Local(shape) = &mut bigger.shape else {
        panic!()
    };
    shape.cpus = 2;
    (bigger.disk_gib, bigger.volume_gib) = (Some(2), Some(3));
    let resized = lab.local.resize(&owner, &bigger, &quiet).await.unwrap();
    assert_eq!((resized.power, resized.attributes["cpus"].as_str()), (Power::On, "2"));
    assert_eq!(virtual_size(&lab.folder(&owner).join("root.qcow2")), 2048 * MIB);
    assert_eq!(virtual_size(&lab.folder(&owner).join("data.qcow2")), 3072 * MIB);

    let pids = lab.processes(&owner);
    let error = lab.local.resize(&owner, &lab.spec(), &quiet).await.unwrap_err();
    assert!(error.what.contains("disks only grow"), "{error}");
    bigger.volume_gib = None;
    assert!(lab.local.resize(&owner, &bigger, &quiet).await.is_err());
    assert_eq!(lab.processes(&owner), pids, "what is refused is refused while it runs");
    lab.local.destroy(&owner, false, &quiet).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_named() {
    let Some(lab) = Lab::new() else { return };
    let owner = owner("missing");
    let error = lab.local.start(&owner, &quiet).await.unwrap_err();
    assert!(error.what.starts_with("failed to find the machine"), "{error}");

    let mut large = lab.spec();
    let Shape::Local(shape) = &mut large.shape else {
        panic!()
    };
    shape.image = LocalImage::Path(lab.temp.path().join("large.raw"));
    let error = lab.local.create(&owner, &large, &quiet).await.unwrap_err();
    assert!(error.what.starts_with("failed to find the base image"), "{error}");
    std::fs::File::create(lab.temp.path().join("large.raw"))
        .unwrap()
        .set_len(1500 * MIB)
        .unwrap();
    let error = lab.local.create(&owner, &large, &quiet).await.unwrap_err();
    assert_eq!(error.remedy.as_deref(), Some("set disk_gib = 2 or more"));
    assert_eq!(lab.local.observe(&owner).await.unwrap(), None, "it never ran");

    lab.create(&owner).await;
    lab.power_failure(&owner);
    let (data, away) = (lab.folder(&owner).join("data.qcow2"), lab.temp.path().join("away"));
    std::fs::rename(&data, &away).unwrap();
    let error = lab.local.start(&owner, &quiet).await.unwrap_err();
    assert!(
        error.what.contains("its data volume") && error.what.ends_with("is missing"),
        "{error}"
    );
    std::fs::rename(&away, &data).unwrap();
    std::fs::File::create(lab.temp.path().join("base.raw"))
        .unwrap()
        .set_len(63 * MIB)
        .unwrap();
    let error = lab.local.start(&owner, &quiet).await.unwrap_err();
    assert!(error.what.contains("has changed since the machine was made"), "{error}");
    lab.local.destroy(&owner, false, &quiet).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_creates_make_one_machine_an_owner() {
    let Some(lab) = Lab::new() else { return };
    let (one, two) = (owner("one"), owner("two"));
    let (a, b, c) = tokio::join!(lab.create(&one), lab.create(&one), lab.create(&two));
    assert_eq!(a, b);
    assert_ne!(
        (a.endpoint.address, a.endpoint.ssh),
        (c.endpoint.address, c.endpoint.ssh)
    );
    assert_eq!((lab.processes(&one).len(), lab.processes(&two).len()), (1, 1));
    lab.local.destroy(&one, false, &quiet).await.unwrap();
    assert_eq!(lab.power(&two).await, Some(Power::On));
    lab.local.destroy(&two, false, &quiet).await.unwrap();
}

/// What a run of its own does: only when a test starts it, in the folder that is named.
#[tokio::test]
async fn child_that_creates() {
    let Some(root) = std::env::var_os("PROVISION_TEST_CREATE_IN") else {
        return;
    };
    let root = PathBuf::from(root);
    let mut spec = spec(&root);
    let Shape::Local(shape) = &mut spec.shape else { panic!() };
    if std::env::var_os("PROVISION_TEST_AUTO").is_some() {
        shape.acceleration = Acceleration::Auto;
    }
    let made = Local::new(dirs(&root))
        .create(&owner("killed"), &spec, &quiet)
        .await
        .unwrap();
    assert_eq!(made.attributes["accelerator"], "tcg");
}

fn child_in(lab: &Lab) -> Command {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "child_that_creates"])
        .env("PROVISION_TEST_CREATE_IN", lab.temp.path())
        .stdout(Stdio::null());
    child
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hypervisor_that_fails_is_tried_once_in_a_boot() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(lab) = Lab::new() else { return };
    if std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        println!("skipped: there is no /dev/kvm here");
        return;
    }
    // QEMU as it is where /dev/kvm opens and does not work; every accelerator that it is asked for goes into a list.
    let program = format!("qemu-system-{}", std::env::consts::ARCH);
    let bin = lab.temp.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let script = format!(
        "#!/bin/sh\nPATH='{path}'\ncase \"$*\" in *'-accel kvm'*) echo kvm >>'{0}/asked'; echo 'no kvm' >&2; exit 1;; esac\n\
         echo tcg >>'{0}/asked'\nexec {program} \"$@\"\n",
        bin.display()
    );
    std::fs::write(bin.join(&program), script).unwrap();
    std::fs::set_permissions(bin.join(&program), std::fs::Permissions::from_mode(0o755)).unwrap();
    let owner = owner("killed");
    for asked in ["kvm\ntcg\n", "kvm\ntcg\ntcg\n"] {
        let mut child = child_in(&lab);
        child
            .env("PROVISION_TEST_AUTO", "1")
            .env("PATH", format!("{}:{path}", bin.display()));
        assert!(child.status().unwrap().success());
        assert_eq!(std::fs::read_to_string(bin.join("asked")).unwrap(), asked);
        lab.local.destroy(&owner, false, &quiet).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_killed_at_any_time_converges_to_one_machine() {
    let Some(lab) = Lab::new() else { return };
    let owner = owner("killed");
    // A whole create takes some 300 ms: these end in its intent, its disks, its address, QEMU's start and after it.
    for millis in [5, 15, 30, 45, 60, 80, 100, 130, 160, 200, 250, 300, 400] {
        let mut child = child_in(&lab).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(millis));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = std::fs::read_dir(lab.folder(&owner))
            .map(|entries| entries.count())
            .unwrap_or(0);
        let made = lab.create(&owner).await;
        println!("killed after {millis} ms with {found} files: {}", made.endpoint.address);
        assert_eq!(lab.processes(&owner).len(), 1, "after {millis} ms");
        assert_eq!(std::fs::read_dir(lab.temp.path().join("addresses")).unwrap().count(), 1);
        assert_eq!(lab.local.observe(&owner).await.unwrap(), Some(made));
        lab.local.destroy(&owner, false, &quiet).await.unwrap();
        assert!(lab.local.leftovers(&owner).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_its_pid_file_and_half_a_folder_are_found() {
    let Some(lab) = Lab::new() else { return };
    let owner = owner("half");
    lab.create(&owner).await;
    let pids = lab.processes(&owner);
    std::fs::remove_file(lab.folder(&owner).join("pid")).unwrap();
    lab.local.start(&owner, &quiet).await.unwrap();
    assert_eq!(lab.processes(&owner), pids);
    std::fs::remove_file(lab.folder(&owner).join("machine.json")).unwrap();
    assert!(lab.local.leftovers(&owner).await.unwrap()[0].starts_with("process:"));
    lab.local.destroy(&owner, false, &quiet).await.unwrap();
    assert!(lab.local.leftovers(&owner).await.unwrap().is_empty());
}
