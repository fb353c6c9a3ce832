//! Whether two accounts, or two states, hold the same: identifiers, keys, addresses and times are no difference.

use serde_json::{Map, Value};

use super::cloud::Cloud;
use super::harness::Site;

/// What identifiers of EC2 begin with; others have numbers and UUIDs.
const KINDS: [&str; 13] = [
    "i", "vol", "sg", "sgr", "eipalloc", "eipassoc", "eni", "key", "subnet", "vpc", "ami", "snap", "igw",
];

/// What is in the account, and what the state says of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Picture {
    account: String,
    state: String,
}

/// Everything as it is now, so that it can be compared.
pub fn picture(cloud: &mut Cloud, site: &Site) -> Picture {
    let (seen, known) = cloud.account_now();
    let state = site.state().unwrap();
    let lineage = state["lineage"].as_str().unwrap().to_owned();
    let mut known: Vec<(&str, &str)> = known.iter().map(|(word, name)| (word.as_str(), *name)).collect();
    known.extend([(lineage.as_str(), "(lineage)"), (lineage.get(..8).unwrap(), "(short)")]);
    let mut records = state["resources"].clone();
    let records_of = records.as_object_mut().unwrap();
    // The run is ended as it turns to the host, before or after it has written that it does.
    records_of.retain(|address, _| !address.starts_with("host."));
    for (address, record) in records_of {
        record.as_object_mut().unwrap().remove("changed_at");
        if address == "machine.instance" {
            // The one that it had before the one that stays, or not: nobody reaches it there.
            record["facts"].as_object_mut().unwrap().remove("address");
        }
    }
    Picture {
        account: pretty(&plain(&seen, &known)),
        state: pretty(&plain(&records, &known)),
    }
}

/// That two pictures are the same; shows where they differ.
#[track_caller]
pub fn assert_same(what: &str, expected: &Picture, got: &Picture) {
    for (kind, expected, got) in [
        ("account", &expected.account, &got.account),
        ("state", &expected.state, &got.state),
    ] {
        assert!(expected == got, "{what}: another {kind}\n{}", difference(expected, got));
    }
}

/// That nothing is there that costs or blocks anything.
#[track_caller]
pub fn assert_nothing(cloud: &mut Cloud, what: &str) {
    let left = cloud.left();
    assert!(left.is_empty(), "{what}: left is {left:#?}");
}

fn difference(one: &str, other: &str) -> String {
    let here: Vec<&str> = one.lines().collect();
    let there: Vec<&str> = other.lines().collect();
    let first = here.iter().zip(&there).position(|(here, there)| here != there);
    let first = first.unwrap_or_else(|| here.len().min(there.len()));
    let around = |lines: &[&str]| {
        let end = (first + 12).min(lines.len());
        lines.get(first.saturating_sub(4)..end).unwrap_or_default().join("\n")
    };
    format!("--- expected\n{}\n--- got\n{}", around(&here), around(&there))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

/// Without what is different each time; lists in an order that does not depend on it.
fn plain(value: &Value, known: &[(&str, &str)]) -> Value {
    match value {
        Value::String(text) => Value::String(plain_text(text, known)),
        Value::Array(entries) => {
            let mut entries: Vec<Value> = entries.iter().map(|entry| plain(entry, known)).collect();
            entries.sort_by_key(Value::to_string);
            Value::Array(entries)
        }
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.clone(), plain(value, known)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        // A number that names something.
        Value::Number(number) if number.as_u64().is_some_and(|number| number >= 10_000_000) => "(number)".into(),
        other => other.clone(),
    }
}

fn plain_text(text: &str, known: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (word, name) in known {
        text = text.replace(word, name);
    }
    if text.starts_with("ssh-ed25519 ") {
        return "(public key)".to_owned();
    }
    if text.parse::<jiff::Timestamp>().is_ok() {
        return "(time)".to_owned();
    }
    let mut plain = String::new();
    let mut word = String::new();
    for letter in text.chars().chain(['\0']) {
        if letter.is_ascii_alphanumeric() || "-.:".contains(letter) {
            word.push(letter);
            continue;
        }
        plain += &plain_word(&word);
        word.clear();
        if letter != '\0' {
            plain.push(letter);
        }
    }
    plain
}

fn plain_word(word: &str) -> String {
    let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    if let Some((kind, rest)) = word.split_once('-')
        && KINDS.contains(&kind)
        && rest.len() >= 8
        && hexadecimal(rest)
    {
        return format!("({kind})");
    }
    if word.parse::<std::net::Ipv4Addr>().is_ok() && word != "0.0.0.0" && !word.ends_with(".0") {
        return "(address)".to_owned();
    }
    if word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return "(number)".to_owned();
    }
    if word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]) {
        return "(uuid)".to_owned();
    }
    if word.len() >= 32 && hexadecimal(word) {
        return "(digits)".to_owned();
    }
    word.to_owned()
}
