//! A YAML document as a tree whose every node knows its bytes. Anchors, aliases and merge keys are resolved.

use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Location};

use super::diagnostic::{Problem, Problems, Source};

/// What aliases may bring, in events: people repeat a few lines, an alias bomb repeats itself.
const MAX_ALIASED: usize = 50_000;

/// A value with its place. An aliased or merged value stands where it is defined.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub value: Value,
    pub span: Range<usize>,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A mapping's key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub name: String,
    pub span: Range<usize>,
}

/// Parses one document. YAML 1.2 booleans, no interpolation: `${…}` is text like any other.
pub(super) fn parse(source: &Source) -> Result<Node, Problems> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
    };
    let parsed: Result<serde_saphyr::Spanned<Raw>, Error> = serde_saphyr::from_str_with_options(&source.text, options);
    Ok(node(source, parsed.map_err(|error| mistake(source, &error))?))
}

fn mistake(source: &Source, error: &Error) -> Problem {
    let error = error.without_snippet();
    let place = source.at(error.location().map_or(0..0, |location| bytes(source, location)));
    match error {
        Error::DuplicateMappingKey { key, .. } => {
            let key = key
                .clone()
                .unwrap_or_else(|| source.text[place.span.clone()].to_owned());
            place.says(format!("`{key}` is given twice")).help("keep one of them")
        }
        Error::MultipleDocuments { .. } => place
            .says("the file holds more than one YAML document")
            .help("keep one, without `---`"),
        other => {
            let message = other.to_string();
            // The place is shown on its own.
            let told = other
                .location()
                .map(|at| format!(" at line {}, column {}", at.line(), at.column()));
            let message = told
                .as_deref()
                .and_then(|told| message.strip_suffix(told))
                .unwrap_or(&message);
            place.says(message.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    }
}

impl Node {
    /// The value at a key of a mapping.
    pub fn get(&self, name: &str) -> Option<(&Key, &Node)> {
        self.entries().find(|(key, _)| key.name == name)
    }

    /// The entries of a mapping; none for anything else.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Node)> {
        let entries = match &self.value {
            Value::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|(key, value)| (key, value))
    }

    /// The items of a list; none for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// A scalar as text: `8080` and `"8080"` are the same.
    pub fn text(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Boolean(flag) => Some(flag.to_string()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// What it is, in words that fit behind "not".
    pub fn words(&self) -> &'static str {
        match &self.value {
            Value::Null => "empty",
            Value::Boolean(_) => "true or false",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// A document that a program wrote as JSON: nobody needs places in it.
impl From<&serde_json::Value> for Node {
    fn from(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Boolean(*flag),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Value::Integer(number),
                None => Value::Text(number.to_string()),
            },
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => Value::List(items.iter().map(Self::from).collect()),
            Json::Object(entries) => {
                let key = |name: &String| Key {
                    name: name.clone(),
                    span: 0..0,
                };
                Value::Map(
                    entries
                        .iter()
                        .map(|(name, value)| (key(name), Self::from(value)))
                        .collect(),
                )
            }
        };
        Self { value, span: 0..0 }
    }
}

/// Byte offsets when the parser has them, otherwise counted from the line and column.
fn bytes(source: &Source, location: Location) -> Range<usize> {
    let span = location.span();
    if let (Some(start), Some(len)) = (span.byte_offset(), span.byte_len())
        && let (Ok(start), Ok(len)) = (usize::try_from(start), usize::try_from(len))
    {
        return source.at(start..start + len).span;
    }
    let line = usize::try_from(location.line()).unwrap_or(0);
    let column = usize::try_from(location.column()).unwrap_or(0);
    if line == 0 {
        return 0..0;
    }
    let start: usize = source.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let within: usize = source.text[start..]
        .chars()
        .take(column.saturating_sub(1))
        .map(char::len_utf8)
        .sum();
    source.at(start + within..start + within).span
}

fn node(source: &Source, raw: serde_saphyr::Spanned<Raw>) -> Node {
    let span = bytes(source, raw.defined);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Boolean(flag) => Value::Boolean(flag),
        Raw::Integer(number) => Value::Integer(number),
        Raw::Float(number) => Value::Float(number),
        Raw::Text(text) => Value::Text(text),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(source, item)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| {
                    let span = bytes(source, key.defined);
                    (Key { name: key.value, span }, node(source, value))
                })
                .collect(),
        ),
    };
    Node { value, span }
}

enum Raw {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<serde_saphyr::Spanned<Raw>>),
    Map(Vec<(serde_saphyr::Spanned<String>, serde_saphyr::Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Boolean(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Raw, E> {
        Ok(i64::try_from(value).map_or_else(|_| Raw::Text(value.to_string()), Raw::Integer))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}
