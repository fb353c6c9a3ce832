//! Disks, by `qemu-img`. A disk appears under its name whole or not at all.

use std::ffi::OsStr;
use std::path::Path;

use serde::Deserialize;
use tokio::process::Command;

use super::record::Base;
use super::tools::Tools;
use crate::provider::ProviderError;

/// Bytes of a GiB.
pub const GIB: u64 = 1 << 30;

/// What `qemu-img` says of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DiskInfo {
    /// `qcow2`, `raw`, …
    pub format: String,
    /// The size that a guest sees, in bytes.
    pub virtual_size: u64,
}

/// Looks at an image, also one that a machine runs from.
pub async fn info(tools: &Tools, path: &Path) -> Result<DiskInfo, ProviderError> {
    let args = [
        "info".as_ref(),
        "-U".as_ref(),
        "--output=json".as_ref(),
        path.as_os_str(),
    ];
    let text = run(
        tools,
        &args,
        &format!("failed to read the disk image `{}`", path.display()),
    )
    .await?;
    serde_json::from_str(&text).map_err(|why| {
        ProviderError::new(format!(
            "failed to understand what qemu-img says of `{}`",
            path.display()
        ))
        .because(why)
    })
}

/// Makes a copy-on-write overlay of a base.
pub async fn overlay(tools: &Tools, base: &Base, target: &Path, gib: u32) -> Result<(), ProviderError> {
    let over = [
        "-F".as_ref(),
        OsStr::new(&base.format),
        "-b".as_ref(),
        base.path.as_os_str(),
    ];
    let what = format!("failed to make the root disk `{}`", target.display());
    create(tools, &over, target, gib, &what).await
}

/// Makes an empty disk. It takes space only as it is written.
pub async fn blank(tools: &Tools, target: &Path, gib: u32) -> Result<(), ProviderError> {
    let what = format!("failed to make the data volume `{}`", target.display());
    create(tools, &[], target, gib, &what).await
}

/// Makes a disk, whole or not at all.
async fn create(tools: &Tools, over: &[&OsStr], target: &Path, gib: u32, what: &str) -> Result<(), ProviderError> {
    let size = format!("{gib}G");
    let new = beside(target);
    let args = ["create", "-q", "-f", "qcow2"].map(AsRef::as_ref);
    let args = [&args, over, &[new.as_os_str(), size.as_ref()]].concat();
    run(tools, &args, what).await?;
    move_to(&new, target)
}

/// Refuses a disk that would have to shrink: what is beyond the new end would be lost.
pub async fn refuse_shrinking(tools: &Tools, path: &Path, gib: u32, key: &str) -> Result<(), ProviderError> {
    let has = info(tools, path).await?.virtual_size;
    if u64::from(gib) * GIB < has {
        let now = has.div_ceil(GIB);
        return Err(ProviderError::new(format!(
            "failed to shrink `{}` from {now} GiB to {gib} GiB: disks only grow",
            path.display()
        ))
        .with_remedy(format!("set {key} = {now} or more, or replace the machine")));
    }
    Ok(())
}

/// Grows a disk of a machine that does not run. Nothing happens when it has that size.
pub async fn grow(tools: &Tools, path: &Path, gib: u32) -> Result<(), ProviderError> {
    if info(tools, path).await?.virtual_size >= u64::from(gib) * GIB {
        return Ok(());
    }
    let size = format!("{gib}G");
    let args = [
        "resize".as_ref(),
        "-q".as_ref(),
        "-f".as_ref(),
        "qcow2".as_ref(),
        path.as_os_str(),
        size.as_ref(),
    ];
    run(
        tools,
        &args,
        &format!("failed to grow `{}` to {gib} GiB", path.display()),
    )
    .await
    .map(drop)
}

fn beside(target: &Path) -> std::path::PathBuf {
    target.with_extension("qcow2.new")
}

fn move_to(new: &Path, target: &Path) -> Result<(), ProviderError> {
    std::fs::rename(new, target).map_err(|why| {
        ProviderError::new(format!("failed to move `{}` to `{}`", new.display(), target.display())).because(why)
    })
}

async fn run(tools: &Tools, args: &[&OsStr], what: &str) -> Result<String, ProviderError> {
    let done = Command::new(&tools.img)
        .args(args)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|why| ProviderError::new(what).because(why))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    let full = said.contains("No space left on device");
    let error = ProviderError::new(what).because(said);
    Err(if full {
        error.with_remedy("free space on that disk and apply again")
    } else {
        error
    })
}
