//! A TOML tree against the JSON schema of its type: every unknown key, missing key and wrong value, each at its place.
//!
//! It knows the part of JSON Schema that schemars writes for our types, and no type by name.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Problem, Source};

/// Everything in `tree` that `schema` does not allow.
pub(super) fn against(schema: &Value, source: &Source, tree: &Spanned<DeTable<'_>>) -> Vec<Problem> {
    let mut check = Check {
        source,
        definitions: schema.get("$defs").and_then(Value::as_object),
        problems: Vec::new(),
    };
    if let Shape::Table(shape) = check.shape(schema) {
        check.table(&shape, tree.get_ref(), &Path::default());
    }
    check.problems
}

/// Where in the document: the keys' names, and the span of the last one.
#[derive(Default, Clone)]
struct Path {
    text: String,
    key: Range<usize>,
}

impl Path {
    fn below(&self, key: &Spanned<std::borrow::Cow<'_, str>>) -> Self {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let name = key.get_ref();
        let name = match !name.is_empty() && name.chars().all(bare) {
            true => name.to_string(),
            false => format!("{:?}", name.as_ref()),
        };
        let text = match self.text.is_empty() {
            true => name,
            false => format!("{}.{name}", self.text),
        };
        Self { text, key: key.span() }
    }
}

/// What a schema says, in the forms that our types take.
enum Shape<'s> {
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
    Choice(BTreeMap<&'s str, &'s Value>),
    /// Any of these: an untagged enum.
    AnyOf(Vec<Shape<'s>>),
}

struct Table<'s> {
    keys: BTreeMap<&'s str, &'s Value>,
    required: Vec<&'s str>,
    /// What other keys hold; `None` refuses them.
    others: Option<&'s Value>,
}

struct Check<'s> {
    source: &'s Source,
    definitions: Option<&'s Map<String, Value>>,
    problems: Vec<Problem>,
}

impl<'s> Check<'s> {
    fn shape(&self, schema: &'s Value) -> Shape<'s> {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let target = name
                .strip_prefix("#/$defs/")
                .and_then(|name| self.definitions?.get(name));
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

    fn one_of(&self, choices: &'s [Value]) -> Shape<'s> {
        let all_words: Option<Vec<Vec<&str>>> = choices.iter().map(words).collect();
        if let Some(all) = all_words {
            return Shape::Words(all.concat());
        }
        let tagged: Option<BTreeMap<&str, &Value>> = choices
            .iter()
            .map(|choice| {
                let keys = choice.get("properties")?.as_object()?;
                let (name, schema) = keys.iter().next()?;
                (keys.len() == 1).then_some((name.as_str(), schema))
            })
            .collect();
        match tagged {
            Some(tagged) => Shape::Choice(tagged),
            None => Shape::AnyOf(choices.iter().map(|choice| self.shape(choice)).collect()),
        }
    }

    fn value(&mut self, schema: &'s Value, value: &Spanned<DeValue<'_>>, path: &Path) {
        let shape = self.shape(schema);
        match (&shape, value.get_ref()) {
            (Shape::Table(shape), DeValue::Table(table)) => self.table(shape, table, path),
            (Shape::Choice(choices), DeValue::Table(table)) => self.choice(choices, table, path),
            (Shape::List(items), DeValue::Array(list)) => {
                for (index, item) in list.iter().enumerate() {
                    let path = Path {
                        text: format!("{}[{index}]", path.text),
                        key: item.span(),
                    };
                    self.value(items, item, &path);
                }
            }
            (Shape::Words(words), DeValue::String(text)) if !words.contains(&text.as_ref()) => {
                self.problems.push(unknown(
                    self.source
                        .at(value.span())
                        .says(format!("`{}` cannot be `{text}`", path.text)),
                    text,
                    words,
                    "it is one of",
                ));
            }
            (shape, given) if shape.takes(self, given) => {}
            (shape, given) => {
                let message = match (shape, given) {
                    (Shape::Integer { min, max }, DeValue::Integer(number)) if *max < i128::from(i64::MAX) => {
                        match i128::from_str_radix(number.as_str(), number.radix()) {
                            Ok(given) if given < *min => {
                                format!("`{}` must be at least {min}, not {number}", path.text)
                            }
                            _ => format!("`{}` must be at most {max}, not {number}", path.text),
                        }
                    }
                    _ => format!(
                        "`{}` must be {}, not {}",
                        path.text,
                        shape.words(self),
                        given_words(given)
                    ),
                };
                let problem = self.source.at(value.span()).says(message);
                self.problems
                    .push(match remedy(shape, given, self.source, value.span()) {
                        Some(help) => problem.help(help),
                        None => match schema.get("description").and_then(Value::as_str) {
                            Some(text) => problem.help(first_paragraph(text)),
                            None => problem,
                        },
                    });
            }
        }
    }

    fn table(&mut self, shape: &Table<'s>, table: &DeTable<'_>, path: &Path) {
        for (key, value) in table.iter() {
            let below = path.below(key);
            match (shape.keys.get(key.get_ref().as_ref()), shape.others) {
                (Some(schema), _) => self.value(schema, value, &below),
                (None, Some(schema)) => self.value(schema, value, &below),
                (None, None) => {
                    let known: Vec<&str> = shape.keys.keys().copied().collect();
                    let problem = self.source.at(key.span()).says(format!("unknown key `{}`", below.text));
                    self.problems
                        .push(unknown(problem, key.get_ref(), &known, "there are:"));
                }
            }
        }
        for name in &shape.required {
            if table.iter().any(|(key, _)| key.get_ref() == name) {
                continue;
            }
            let schema = shape.keys.get(name).copied().unwrap_or(&Value::Null);
            let full = match path.text.is_empty() {
                true => (*name).to_owned(),
                false => format!("{}.{name}", path.text),
            };
            let problem = self.source.at(path.key.clone()).says(format!("`{full}` is missing"));
            self.problems.push(
                match (self.shape(schema), schema.get("description").and_then(Value::as_str)) {
                    (Shape::Choice(choices), _) => problem.help(one_table(&full, &choices)),
                    (_, Some(text)) => problem.help(first_paragraph(text)),
                    _ => problem,
                },
            );
        }
    }

    fn choice(&mut self, choices: &BTreeMap<&'s str, &'s Value>, table: &DeTable<'_>, path: &Path) {
        let known: Vec<&str> = choices.keys().copied().collect();
        let mut given: Vec<_> = table.iter().collect();
        given.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in &given {
            let below = path.below(key);
            match choices.get(key.get_ref().as_ref()) {
                Some(schema) => self.value(schema, value, &below),
                None => {
                    let message = match path.text.as_str() {
                        "machine" => format!("unknown provider `{}`", key.get_ref()),
                        _ => format!("unknown key `{}`", below.text),
                    };
                    let problem = self.source.at(key.span()).says(message);
                    self.problems
                        .push(unknown(problem, key.get_ref(), &known, "there are:"));
                }
            }
        }
        let empty = given.is_empty();
        given.retain(|(key, _)| choices.contains_key(key.get_ref().as_ref()));
        match given.as_slice() {
            [] if empty => {
                let problem = self
                    .source
                    .at(path.key.clone())
                    .says(format!("`{}` is empty", path.text));
                self.problems.push(problem.help(one_table(&path.text, choices)));
            }
            [] | [_] => {}
            [first, more @ ..] => {
                for (key, _) in more {
                    self.problems.push(
                        self.source
                            .at(key.span())
                            .says(format!(
                                "`{}` can be only one thing: `{}` and `{}` exclude each other",
                                path.text,
                                first.0.get_ref(),
                                key.get_ref()
                            ))
                            .help("keep one of them"),
                    );
                }
            }
        }
    }
}

impl Shape<'_> {
    /// Whether a value fits, without saying why not.
    fn takes(&self, check: &Check<'_>, given: &DeValue<'_>) -> bool {
        match (self, given) {
            (Shape::Anything, _) | (Shape::Text, DeValue::String(_)) | (Shape::Flag, DeValue::Boolean(_)) => true,
            (Shape::Integer { min, max }, DeValue::Integer(number)) => {
                i128::from_str_radix(number.as_str(), number.radix()).is_ok_and(|n| (*min..=*max).contains(&n))
            }
            (Shape::Number, DeValue::Integer(_) | DeValue::Float(_)) => true,
            (Shape::Words(words), DeValue::String(text)) => words.contains(&text.as_ref()),
            (Shape::List(items), DeValue::Array(list)) => {
                let items = check.shape(items);
                list.iter().all(|item| items.takes(check, item.get_ref()))
            }
            (Shape::Table(_) | Shape::Choice(_), DeValue::Table(_)) => true,
            (Shape::AnyOf(shapes), given) => shapes.iter().any(|shape| shape.takes(check, given)),
            _ => false,
        }
    }

    /// What belongs there, in words that fit behind "must be".
    fn words(&self, check: &Check<'_>) -> String {
        match self {
            Self::Anything => "a value".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Integer { .. } => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Words(words) => format!("one of {}", quoted(words)),
            Self::List(items) => match check.shape(items) {
                Shape::Text => "a list of texts".to_owned(),
                item => format!("a list, each item {}", item.words(check)),
            },
            Self::Table(_) => "a table".to_owned(),
            Self::Choice(choices) => {
                let keys: Vec<&str> = choices.keys().copied().collect();
                format!("a table with one of {}", quoted(&keys))
            }
            Self::AnyOf(shapes) => {
                let all: Vec<String> = shapes.iter().map(|shape| shape.words(check)).collect();
                match all.split_last() {
                    Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
                    _ => all.concat(),
                }
            }
        }
    }
}

/// Adds "did you mean" and the list of what is known.
fn unknown(problem: Problem, given: &str, known: &[&str], lead: &str) -> Problem {
    let list = format!("{lead} {}", known.join(", "));
    match nearest(given, known.iter().copied()) {
        Some(near) if known.len() == 1 => problem.help(format!("did you mean `{near}`?")),
        Some(near) => problem.help(format!("did you mean `{near}`? {list}")),
        None => problem.help(list),
    }
    .label("unknown")
}

/// The known word that `given` most likely meant, when one is near enough to be worth a guess.
pub fn nearest<'k>(given: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let given = given.to_lowercase();
    let allowed = (given.chars().count() / 3).clamp(1, 3);
    known
        .map(|word| (strsim::damerau_levenshtein(&given, word), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, word)| word)
        .filter(|_| given.len() < 100)
}

/// What a value of the wrong type could be turned into.
fn remedy(shape: &Shape<'_>, given: &DeValue<'_>, source: &Source, span: Range<usize>) -> Option<String> {
    let written = source.at(span);
    let written = source.text[written.span].trim();
    if written.len() > 80 || written.contains('\n') {
        return None;
    }
    match (shape, given) {
        (Shape::Integer { .. }, DeValue::String(text)) if text.parse::<i64>().is_ok() => {
            Some(format!("write {text} without quotes"))
        }
        (Shape::Flag, DeValue::String(text)) => match text.to_lowercase().as_str() {
            "true" | "yes" | "on" => Some("write true without quotes".to_owned()),
            "false" | "no" | "off" => Some("write false without quotes".to_owned()),
            _ => None,
        },
        (Shape::Text, DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_)) => {
            Some(format!("write \"{written}\" with quotes"))
        }
        (Shape::List(_), DeValue::String(_)) => Some(format!("write [{written}]")),
        _ => None,
    }
}

fn given_words(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn one_table(path: &str, choices: &BTreeMap<&str, &Value>) -> String {
    if path.contains('.') {
        let keys: Vec<&str> = choices.keys().copied().collect();
        return format!("give it one of {}", quoted(&keys));
    }
    let tables: Vec<String> = choices.keys().map(|name| format!("[{path}.{name}]")).collect();
    match tables.as_slice() {
        [only] => format!("add {only}"),
        _ => format!("add one of {}", tables.join(", ")),
    }
}

fn quoted(words: &[&str]) -> String {
    let all: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    all.join(", ")
}

fn first_paragraph(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
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
