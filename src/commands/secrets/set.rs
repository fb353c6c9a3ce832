//! `provision secrets set`: a value that a person has, into the bundle.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::super::Failure;
use super::{Opened, elsewhere};
use crate::cli;
use crate::secret::Secret;
use crate::state::bundle::Maker;

/// The largest value in bytes: certificates with their chain stay far below.
const LARGEST: usize = 256 * 1024;

/// Puts one value into the bundle.
pub async fn run(directory: &Path, args: &cli::SecretsSet) -> Result<(), Failure> {
    let (mut opened, lock) = Opened::locked(directory, &args.environment, "secrets set", &args.locking).await?;
    let name = args.secret.as_str();
    let entry = opened.entry(name)?.clone();
    if let Some(refusal) = elsewhere(name, &entry.source) {
        return Err(refusal);
    }
    let value = read(name)?;
    check(name, value.expose(), entry.retention.is_some())?;
    if opened.keyring.bundle.secrets.get(name) == Some(&value) {
        return Err(Failure::input(
            format!("`{name}` has this very value already"),
            "give it another one; nothing was changed",
        ));
    }
    let keep = entry.retention.is_some();
    opened
        .keyring
        .bundle
        .put(name, value, Maker::Set, keep, Timestamp::now());
    opened.save(&lock)?;
    lock.release()?;
    opened.tell_of(name, "set")?;
    opened.tell_next();
    Ok(())
}

/// What a value may be.
pub(super) fn check(name: &str, value: &str, rotates: bool) -> Result<(), Failure> {
    let wrong = |what: &str, hint: &str| Err(Failure::input(format!("the value of `{name}` {what}"), hint));
    if value.is_empty() {
        return wrong("is empty", "give it on standard input, or type it when asked");
    }
    if value.len() > LARGEST {
        return wrong("has more than 256 KiB", "keep large files outside, and their key here");
    }
    if value.contains('\0') {
        return wrong("holds a NUL byte", "a secret is text: encode it, as base64 for example");
    }
    if rotates && value.contains(',') {
        return wrong(
            "holds a comma, and commas stand between the values before a rotation",
            "choose a value without, or take `retention` away",
        );
    }
    Ok(())
}

/// From standard input when something is there, else asked for without showing what is typed.
fn read(name: &str) -> Result<Secret, Failure> {
    let failed = |why| Failure::other("failed to read the value", why);
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        // As large as it may get, so that no outgrown buffer is left in memory.
        let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST + 2));
        let most = u64::try_from(LARGEST + 2).unwrap_or(u64::MAX);
        stdin.lock().take(most).read_to_end(&mut bytes).map_err(failed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            Failure::input(
                format!("the value of `{name}` is no UTF-8 text"),
                "encode it, as base64 for example",
            )
        })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        return Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)));
    }
    let terminal = console::Term::stderr();
    let ask = |question: &str| -> std::io::Result<Zeroizing<String>> {
        terminal.write_str(question)?;
        terminal.read_secure_line().map(Zeroizing::new)
    };
    let first = ask(&format!("value of {name} (not shown): ")).map_err(failed)?;
    let second = ask("once more: ").map_err(failed)?;
    if *first != *second {
        return Err(Failure::input(
            "the two values differ",
            "run it again; nothing was changed",
        ));
    }
    Ok(Secret::new(first.as_str()))
}
