//! Files as nobody would write them: a real one, cut, doubled, spliced with another, and with words of the formats in wrong places.

use proptest::prelude::*;

/// Words that mean something to one of the readers, or often broke one.
const WORDS: &[&str] = &[
    "[",
    "]",
    "[[",
    "{",
    "}",
    "{{",
    "}}",
    "{{{",
    "{{#each",
    "{{/each}}",
    "{{secrets.",
    "{{stacks.postgres.url.shop}}",
    "${",
    "${A:-${B:?c}}",
    "$$",
    "\"",
    "\"\"\"",
    "'",
    "'''",
    "\\",
    "\\u0000",
    "\\uD800",
    "#",
    ":",
    ": ",
    "- ",
    "-",
    "?",
    "|",
    ">",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "!tag ",
    "%YAML 9.9\n",
    "---\n",
    "...\n",
    "=",
    ",",
    ".",
    "..",
    "/",
    "../",
    "/etc/passwd",
    "\0",
    "\r",
    "\r\n",
    "\n",
    "\t",
    " ",
    "\u{feff}",
    "\u{202e}",
    "🦀",
    "ü",
    "\u{301}",
    "\u{7f}",
    "\u{1b}[31m",
    "null",
    "~",
    "true",
    "no",
    "NaN",
    "inf",
    "-inf",
    "1e999",
    "-1",
    "0",
    "00",
    "0x",
    "0o9",
    "9223372036854775808",
    "18446744073709551616",
    "4294967296",
    "65536",
    "1_000",
    "1:2:3",
    "2026-02-30T25:61:61Z",
    "0.0.0.0:80:80",
    "[::]:1-70000:1-2/udp",
    "256.256.256.256",
    "::1/129",
    "host",
    "root",
    "services:",
    "extends:",
    "include:",
    "ports:",
    "version = ",
    "\"version\":",
    "\"version\":0",
    "\"serial\":-1",
    "path = ",
    "[machine.local]",
    "[machine.aws]",
    "[stacks.",
    "[routes]",
    "[secrets]",
];

/// One thing done to a file. Places are fractions of its length: they fit every file.
#[derive(Debug, Clone)]
pub enum Mutation {
    Insert { at: u16, word: usize },
    Cut { at: u16, length: u16 },
    Double { at: u16, length: u16 },
    Byte { at: u16, value: u8 },
    Truncate { at: u16 },
    Splice { at: u16, other: usize, from: u16 },
    Nest { at: u16, kind: u8, depth: u16 },
    Move { at: u16, length: u16, to: u16 },
}

/// What is done to a file before it is read.
pub fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let at = any::<u16>;
    let length = || 0_u16..200;
    let one = prop_oneof![
        6 => (at(), 0..WORDS.len()).prop_map(|(at, word)| Mutation::Insert { at, word }),
        3 => (at(), length()).prop_map(|(at, length)| Mutation::Cut { at, length }),
        2 => (at(), length()).prop_map(|(at, length)| Mutation::Double { at, length }),
        2 => (at(), any::<u8>()).prop_map(|(at, value)| Mutation::Byte { at, value }),
        1 => at().prop_map(|at| Mutation::Truncate { at }),
        1 => (at(), 0_usize..64, at()).prop_map(|(at, other, from)| Mutation::Splice { at, other, from }),
        1 => (at(), 0_u8..6, 0_u16..20_000).prop_map(|(at, kind, depth)| Mutation::Nest { at, kind, depth }),
        2 => (at(), length(), at()).prop_map(|(at, length, to)| Mutation::Move { at, length, to }),
    ];
    proptest::collection::vec(one, 1..8)
}

impl Mutation {
    /// Applies it to the bytes of a file, `others` being the files to splice with.
    pub fn apply(&self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        let place = |at: u16| usize::from(at) * bytes.len() / usize::from(u16::MAX);
        let range = |at: u16, length: u16| {
            let from = place(at);
            from..(from + usize::from(length)).min(bytes.len())
        };
        match self {
            Self::Insert { at, word } => {
                let at = place(*at);
                bytes.splice(at..at, WORDS[*word].bytes());
            }
            Self::Cut { at, length } => {
                let range = range(*at, *length);
                bytes.drain(range);
            }
            Self::Double { at, length } => {
                let range = range(*at, *length);
                let copy = bytes[range.clone()].to_vec();
                bytes.splice(range.end..range.end, copy);
            }
            Self::Byte { at, value } => {
                let at = place(*at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *value;
                }
            }
            Self::Truncate { at } => bytes.truncate(place(*at)),
            Self::Splice { at, other, from } => {
                let at = place(*at);
                let other = &others[other % others.len()];
                let from = usize::from(*from) * other.len() / usize::from(u16::MAX);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            Self::Nest { at, kind, depth } => {
                let at = place(*at);
                let open = ["[", "{", "{\"a\":", "- ", "a.", "{{#if a}}"][usize::from(*kind)];
                bytes.splice(at..at, open.repeat(usize::from(*depth)).into_bytes());
            }
            Self::Move { at, length, to } => {
                let range = range(*at, *length);
                let moved: Vec<u8> = bytes.drain(range).collect();
                let to = usize::from(*to) * bytes.len() / usize::from(u16::MAX);
                bytes.splice(to..to, moved);
            }
        }
    }
}
