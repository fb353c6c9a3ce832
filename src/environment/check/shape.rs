//! The part of JSON Schema that schemars writes for our types, as an enum.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use toml::de::DeValue;

/// What a schema says, in the forms that our types take.
pub(super) enum Shape<'s> {
    Anything,
    Text,
    Flag,
    Integer {
        min: i128,
        max: i128,
    },
    Number,
    /// One of these texts: an enum without data.
    Words(Vec<&'s str>),
    List(&'s Value),
    Table(Table<'s>),
    /// A table with exactly one of these keys: an enum with data.
    Choice(BTreeMap<&'s str, Choice<'s>>),
    /// Any of these: an untagged enum.
    AnyOf(Vec<Shape<'s>>),
}

pub(super) struct Table<'s> {
    pub keys: BTreeMap<&'s str, &'s Value>,
    pub required: Vec<&'s str>,
    /// What other keys hold; `None` refuses them.
    pub others: Option<&'s Value>,
}

/// One of a table's exclusive keys.
pub(super) struct Choice<'s> {
    pub schema: &'s Value,
    /// Keys that may stand beside it.
    pub beside: BTreeMap<&'s str, &'s Value>,
}

/// What `$ref` leads to.
#[derive(Clone, Copy)]
pub(super) struct Definitions<'s>(Option<&'s Map<String, Value>>);

impl<'s> Definitions<'s> {
    /// Those of a root schema.
    pub fn of(schema: &'s Value) -> Self {
        Self(schema.get("$defs").and_then(Value::as_object))
    }

    /// What a schema says; references and the `null` of an `Option` are seen through.
    pub fn shape(self, schema: &'s Value) -> Shape<'s> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let target = name.strip_prefix("#/$defs/").and_then(|name| self.0?.get(name));
            return target.map_or(Shape::Anything, |target| self.shape(target));
        }
        if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
            // An `Option` is "anyOf the type or null", and TOML has no null.
            let mut shapes: Vec<_> = choices.iter().filter(|s| !is_null(s)).map(|s| self.shape(s)).collect();
            return match shapes.len() {
                1 => shapes.remove(0),
                _ => Shape::AnyOf(shapes),
            };
        }
        if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
            return self.one_of(choices);
        }
        if let Some(words) = words(schema) {
            return Shape::Words(words);
        }
        match type_of(schema) {
            Some("string") => Shape::Text,
            Some("boolean") => Shape::Flag,
            Some("integer") => integer(schema),
            Some("number") => Shape::Number,
            Some("array") => schema.get("items").map_or(Shape::Anything, Shape::List),
            Some("object") => Shape::Table(table(schema)),
            _ => Shape::Anything,
        }
    }

    fn one_of(self, choices: &'s [Value]) -> Shape<'s> {
        let all_words: Option<Vec<Vec<&str>>> = choices.iter().map(words).collect();
        if let Some(all) = all_words {
            return Shape::Words(all.concat());
        }
        let tagged: Option<BTreeMap<&str, Choice<'_>>> = choices.iter().map(choice).collect();
        match tagged {
            Some(tagged) => Shape::Choice(tagged),
            None => Shape::AnyOf(choices.iter().map(|choice| self.shape(choice)).collect()),
        }
    }
}

impl Shape<'_> {
    /// Whether a value fits, without saying why not.
    pub fn takes(&self, definitions: Definitions<'_>, given: &DeValue<'_>) -> bool {
        match (self, given) {
            (Shape::Anything, _) | (Shape::Text, DeValue::String(_)) | (Shape::Flag, DeValue::Boolean(_)) => true,
            (Shape::Integer { min, max }, DeValue::Integer(number)) => {
                i128::from_str_radix(number.as_str(), number.radix()).is_ok_and(|n| (*min..=*max).contains(&n))
            }
            (Shape::Number, DeValue::Integer(_) | DeValue::Float(_)) => true,
            (Shape::Words(words), DeValue::String(text)) => words.contains(&text.as_ref()),
            (Shape::List(items), DeValue::Array(list)) => {
                let items = definitions.shape(items);
                list.iter().all(|item| items.takes(definitions, item.get_ref()))
            }
            (Shape::Table(_) | Shape::Choice(_), DeValue::Table(_)) => true,
            (Shape::AnyOf(shapes), given) => shapes.iter().any(|shape| shape.takes(definitions, given)),
            _ => false,
        }
    }

    /// What belongs there, in words that fit behind "must be".
    pub fn words(&self, definitions: Definitions<'_>) -> String {
        match self {
            Self::Anything => "a value".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Integer { .. } => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Words(words) => format!("one of {}", quoted(words)),
            Self::List(items) => match definitions.shape(items) {
                Shape::Text => "a list of texts".to_owned(),
                item => format!("a list, each item {}", item.words(definitions)),
            },
            Self::Table(_) => "a table".to_owned(),
            Self::Choice(choices) => {
                let keys: Vec<&str> = choices.keys().copied().collect();
                format!("a table with one of {}", quoted(&keys))
            }
            Self::AnyOf(shapes) => {
                let all: Vec<String> = shapes.iter().map(|shape| shape.words(definitions)).collect();
                match all.split_last() {
                    Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
                    _ => all.concat(),
                }
            }
        }
    }
}

/// A table with one required key, which tells it from the others.
fn choice(schema: &Value) -> Option<(&str, Choice<'_>)> {
    let Table { mut keys, required, .. } = table(schema);
    let [name] = required.as_slice() else {
        return None;
    };
    let schema = keys.remove(name)?;
    Some((name, Choice { schema, beside: keys }))
}

/// `` `a`, `b` ``
pub(super) fn quoted(words: &[&str]) -> String {
    let all: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    all.join(", ")
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// The type that is not null.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(name) => Some(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        _ => None,
    }
}

fn words(schema: &Value) -> Option<Vec<&str>> {
    if let Some(word) = schema.get("const").and_then(Value::as_str) {
        return Some(vec![word]);
    }
    let words = schema.get("enum")?.as_array()?;
    Some(words.iter().filter_map(Value::as_str).collect())
}

fn integer(schema: &Value) -> Shape<'_> {
    let (low, high) = match schema.get("format").and_then(Value::as_str) {
        Some("uint8") => (0, i128::from(u8::MAX)),
        Some("uint16") => (0, i128::from(u16::MAX)),
        Some("uint32") => (0, i128::from(u32::MAX)),
        Some("uint64" | "uint") => (0, i128::from(u64::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    let bound = |name: &str| schema.get(name).and_then(Value::as_i64).map(i128::from);
    Shape::Integer {
        min: bound("minimum").unwrap_or(low),
        max: bound("maximum").unwrap_or(high),
    }
}

fn table(schema: &Value) -> Table<'_> {
    let keys = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array);
    Table {
        keys: keys
            .into_iter()
            .flatten()
            .map(|(name, schema)| (name.as_str(), schema))
            .collect(),
        required: required.into_iter().flatten().filter_map(Value::as_str).collect(),
        others: schema
            .get("additionalProperties")
            .filter(|others| **others != Value::Bool(false)),
    }
}
