//! `provision secrets edit`: the values of the bundle in an editor. The file lies in memory where that can be had, and is
//! overwritten before it is removed; what cannot be read is neither saved nor lost.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use zeroize::Zeroizing;

use super::super::Failure;
use super::super::terminal::{confirm, tell};
use super::{Opened, set};
use crate::cli;
use crate::secret::{IDENTITY_VARIABLE, Secret};
use crate::state::bundle::Maker;

/// The file's name. Editors know TOML by its ending.
const FILE: &str = "secrets.toml";

/// Folders that are in memory, if they are there: what is written below never reaches a disk.
const IN_MEMORY: [&str; 1] = ["/dev/shm"];

/// Opens the editor until what it leaves can be read, then saves.
pub async fn run(directory: &Path, args: &cli::SecretsEdit) -> Result<(), Failure> {
    let editor = editor()?;
    let (mut opened, lock) = Opened::locked(directory, &args.environment, "secrets edit", &args.locking).await?;
    let _heartbeat = lock.heartbeat();
    let workplace = Workplace::new(&text(&opened))?;
    let values = loop {
        open(&editor, &workplace.file()).await?;
        match read(&opened, &workplace.file()) {
            Ok(values) => break values,
            Err(failure) => {
                failure.print();
                let again = std::io::stdin().is_terminal() && confirm("Go on editing?").is_ok();
                if !again {
                    let kept = workplace.keep();
                    return Err(Failure::input(
                        format!("nothing was saved; what you wrote is in {}", kept.display()),
                        format!(
                            "take from it what you need, then `rm -r {}`",
                            kept.parent().unwrap_or(&kept).display()
                        ),
                    ));
                }
            }
        }
    };
    let now = Timestamp::now();
    let mut changed = Vec::new();
    for (name, value) in values {
        let keep = opened.entry(&name)?.retention.is_some();
        if opened.keyring.bundle.secrets.get(&name) != Some(&value) {
            opened.keyring.bundle.put(&name, value, Maker::Set, keep, now);
            changed.push(name);
        }
    }
    if changed.is_empty() {
        lock.release()?;
        tell("nothing was changed");
        return Ok(());
    }
    if let Err(failure) = opened.save(&lock) {
        let kept = workplace.keep();
        tell(&format!("note: what you wrote is in {}", kept.display()));
        return Err(failure);
    }
    lock.release()?;
    for name in &changed {
        opened.tell_of(name, "set")?;
    }
    opened.tell_next();
    Ok(())
}

/// `$VISUAL`, else `$EDITOR`, as other programs do it.
fn editor() -> Result<String, Failure> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    set("VISUAL").or_else(|| set("EDITOR")).ok_or_else(|| {
        Failure::input(
            "no editor is set",
            "set VISUAL or EDITOR, for example `EDITOR=nano`; or use `provision secrets set`",
        )
    })
}

/// Runs the editor on this terminal. Ctrl-C is for it, not for us.
async fn open(editor: &str, file: &Path) -> Result<(), Failure> {
    let failed = |why| Failure::other(format!("failed to run the editor `{editor}`"), why);
    let _interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let _quit = signal(SignalKind::quit()).map_err(failed)?;
    // The shell splits what is set, such as `code --wait`, as it does for git.
    let status = tokio::process::Command::new("sh")
        .args(["-c", &format!("exec {editor} \"$1\""), "sh"])
        .arg(file)
        .env_remove(IDENTITY_VARIABLE)
        .status()
        .await
        .map_err(failed)?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::input(
            format!("the editor `{editor}` ended with {status}"),
            "nothing was changed",
        )),
    }
}

/// What the person sees: every value that the bundle keeps.
fn text(opened: &Opened) -> Zeroizing<String> {
    let lengths = opened.entries.keys().map(|name| {
        let value = opened.keyring.bundle.secrets.get(name);
        // The longest that TOML makes of one byte is six; the rest is the line above.
        (name.len() + value.map_or(0, |value| value.expose().len())) * 6 + 256
    });
    let mut text = Zeroizing::new(String::with_capacity(512 + lengths.sum::<usize>()));
    text.push_str(&format!(
        "# Secrets of `{}` that are kept in its encrypted bundle.\n\
         # Save and leave the editor to change them; a line that you take away leaves its secret as it is.\n\n",
        opened.project.name
    ));
    for (name, entry) in opened.entries.iter().filter(|(_, entry)| entry.source.is_kept()) {
        let key = toml::Value::from(name.as_str()).to_string();
        match opened.keyring.bundle.secrets.get(name) {
            Some(value) => {
                let value = Zeroizing::new(toml::Value::from(value.expose()).to_string());
                text.push_str(&format!("# {}\n{key} = {}\n", entry.source.words(), *value));
            }
            None => text.push_str(&format!("# {}, no value yet\n# {key} = \"\"\n", entry.source.words())),
        }
    }
    text
}

/// What the editor left. Messages name places and keys, never values.
fn read(opened: &Opened, file: &Path) -> Result<BTreeMap<String, Secret>, Failure> {
    let text = fs::read_to_string(file).map(Zeroizing::new);
    let text = text.map_err(|why| Failure::other(format!("failed to read {}", file.display()), why))?;
    let parsed: Result<BTreeMap<String, String>, toml::de::Error> = toml::from_str(&text);
    let values = parsed.map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
        Failure::input(
            format!("line {line} cannot be read"),
            "write `NAME = \"value\"`, with \\\" for a quote and \\\\ for a backslash; '''…''' takes several lines as they are",
        )
    })?;
    let values: BTreeMap<String, Secret> = values
        .into_iter()
        .map(|(name, value)| (name, Secret::new(value)))
        .collect();
    for (name, value) in &values {
        let entry = opened.entry(name)?;
        if let Some(refusal) = super::elsewhere(name, &entry.source) {
            return Err(refusal);
        }
        set::check(name, value.expose(), entry.retention.is_some())?;
    }
    Ok(values)
}

/// A folder of our own for the file and what editors put beside it. Wiped at the end.
struct Workplace {
    folder: Option<tempfile::TempDir>,
}

impl Workplace {
    fn new(text: &str) -> Result<Self, Failure> {
        let failed = |why| Failure::other("failed to make a place for the editor", why);
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let candidates = IN_MEMORY.iter().map(PathBuf::from).chain(runtime);
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix("provision-").permissions(Permissions::from_mode(0o700));
        let in_memory = candidates
            .filter(|folder| folder.is_dir())
            .find_map(|folder| builder.tempdir_in(folder).ok());
        let folder = match in_memory {
            Some(folder) => folder,
            None => builder.tempdir().map_err(failed)?,
        };
        let workplace = Self { folder: Some(folder) };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(workplace.file())
            .map_err(failed)?;
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok(workplace)
    }

    fn file(&self) -> PathBuf {
        self.folder
            .as_ref()
            .map(|folder| folder.path().join(FILE))
            .unwrap_or_default()
    }

    /// Leaves it where it is.
    fn keep(mut self) -> PathBuf {
        let file = self.file();
        if let Some(folder) = self.folder.take() {
            let _ = folder.keep();
        }
        file
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let Some(folder) = self.folder.take() else { return };
        // Copies and swap files of the editor, too.
        for entry in fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            if let (Ok(meta), Ok(mut file)) = (entry.metadata(), OpenOptions::new().write(true).open(entry.path()))
                && meta.is_file()
            {
                let length = usize::try_from(meta.len()).unwrap_or(0);
                let _ = file.write_all(&vec![0; length]).and_then(|()| file.sync_all());
            }
        }
        if let Err(why) = folder.close() {
            tell(&format!("warning: failed to remove what the editor left: {why}"));
        }
    }
}
