//! `[machine.…]` to an `InstanceSpec`.

use std::path::{Path, PathBuf};

use super::Findings;
use crate::environment::Sources;
use crate::environment::model::{self, Machine, Spanned};
use crate::names;
use crate::provider::{Acceleration, DirectBoot, InstanceSpec, LocalImage, LocalShape, Sha512Source, Shape, local};

/// The machine without its user-data; none when something is wrong, which is said. `public_key` is the key that logs in.
pub fn spec(findings: &mut Findings<'_>, sources: &Sources, public_key: &str) -> Option<InstanceSpec> {
    let machine = sources.environment.machine.get();
    let data = sources.environment.data.as_ref();
    let volume_gib = data.map(|data| within(findings, "volume_gib", &data.volume_gib, 1, 16 * 1024));
    let ttl_seconds = sources.environment.ttl.as_ref().map(|ttl| seconds(findings, ttl));
    let (shape, disk_gib) = match machine {
        Machine::Local(machine) => (
            local(findings, sources, machine).map(Shape::Local),
            Some(&machine.disk_gib),
        ),
        Machine::Aws(machine) => (
            super::aws::shape(findings, sources, machine, public_key).map(Shape::Aws),
            Some(&machine.disk_gib),
        ),
        // The disk comes with the size.
        Machine::DigitalOcean(machine) => (
            super::digitalocean::shape(findings, sources, machine, public_key).map(Shape::DigitalOcean),
            None,
        ),
        Machine::Ssh(machine) => (super::existing::shape(findings, sources, machine).map(Shape::Ssh), None),
    };
    let disk_gib = disk_gib.map(|gib| within(findings, "disk_gib", gib, 4, 2048));
    Some(InstanceSpec {
        shape: shape?,
        disk_gib: match disk_gib {
            Some(gib) => Some(gib?),
            None => None,
        },
        volume_gib: match volume_gib {
            Some(gib) => Some(gib?),
            None => None,
        },
        user_data: String::new(),
        ttl_seconds: match ttl_seconds {
            Some(seconds) => Some(seconds?),
            None => None,
        },
        dns: None,
    })
}

fn local(findings: &mut Findings<'_>, sources: &Sources, machine: &model::Local) -> Option<LocalShape> {
    if let Some(ssh_from) = sources
        .environment
        .access
        .ssh_from
        .as_ref()
        .and_then(|list| list.first())
    {
        findings.at(
            ssh_from.span(),
            "a machine on this computer has no firewall of a provider",
            "take `ssh_from` out: only this computer reaches it",
        );
    }
    let cpus = within(findings, "cpus", &machine.cpus, 1, 64);
    let memory_gib = within(findings, "memory_gib", &machine.memory_gib, 1, 256);
    let image = image(findings, sources, machine);
    let boot = machine.boot.as_ref().map(|boot| DirectBoot {
        kernel: absolute(&sources.directory, boot.kernel.get()),
        initrd: boot
            .initrd
            .as_ref()
            .map(|initrd| absolute(&sources.directory, initrd.get())),
        cmdline: boot.cmdline.clone(),
    });
    Some(LocalShape {
        cpus: cpus?,
        memory_mib: memory_gib? * 1024,
        image: image?,
        boot,
        acceleration: match machine.acceleration {
            model::Acceleration::Auto => Acceleration::Auto,
            model::Acceleration::Kvm => Acceleration::Kvm,
            model::Acceleration::Hvf => Acceleration::Hvf,
            model::Acceleration::Tcg => Acceleration::Tcg,
        },
    })
}

/// A time such as `8h`, `3d` or `1h 30m`, from ten minutes to a year.
fn seconds(findings: &mut Findings<'_>, text: &Spanned<String>) -> Option<u64> {
    let seconds = names::seconds(text.get(), 600..=names::LONGEST_LIFE);
    if seconds.is_none() {
        findings.at(
            text.span(),
            format!("`{}` is not a time to live", text.get()),
            "write hours or days such as \"8h\" or \"3d\", from ten minutes to a year",
        );
    }
    seconds
}

pub(super) fn within(
    findings: &mut Findings<'_>,
    name: &str,
    value: &Spanned<u32>,
    least: u32,
    most: u32,
) -> Option<u32> {
    if (least..=most).contains(value.get()) {
        return Some(*value.get());
    }
    findings.at(
        value.span(),
        format!("`{name}` is {}", value.get()),
        format!("it must be from {least} to {most}"),
    );
    None
}

fn image(findings: &mut Findings<'_>, sources: &Sources, machine: &model::Local) -> Option<LocalImage> {
    let written = machine.image.get();
    if let Some(image) = local::alias(written, std::env::consts::ARCH) {
        return Some(image);
    }
    if written.starts_with("https://") || written.starts_with("http://") {
        let Some(sha512) = &machine.sha512 else {
            findings.at(
                machine.image.span(),
                "a downloaded image needs its checksum",
                "add `sha512 = \"…\"` with the 128 hexadecimal digits that its publisher names",
            );
            return None;
        };
        let digest = sha512.get().to_ascii_lowercase();
        if digest.len() != 128 || !digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            findings.at(
                sha512.span(),
                "this is not a SHA-512 checksum",
                "it has 128 hexadecimal digits",
            );
            return None;
        }
        return Some(LocalImage::Url {
            url: written.clone(),
            sha512: Sha512Source::Digest(digest),
        });
    }
    if !written.contains(['/', '.']) {
        findings.at(
            machine.image.span(),
            format!("there is no image alias `{written}`"),
            "write `debian-13`, the path of an image file, or an https:// address with `sha512`",
        );
        return None;
    }
    // That the file is there is checked when a machine is made from it.
    Some(LocalImage::Path(absolute(&sources.directory, written)))
}

/// A path relative to the environment file's folder, without `.` and `..`; `~/` is the home folder. Asks no file system.
pub fn absolute(directory: &Path, path: &str) -> PathBuf {
    let path = match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => directory.join(path),
    };
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                out.pop();
            }
            std::path::Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}
