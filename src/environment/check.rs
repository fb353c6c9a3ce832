//! A TOML tree against the JSON schema of its type: every unknown key, missing key and wrong value, each at its place.
//!
//! It knows the part of JSON Schema that schemars writes for our types, and no type by name.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Problem, Source};

mod shape;

use shape::{Choice, Definitions, Shape, Table, quoted};

/// Everything in `tree` that `schema` does not allow.
pub(super) fn against(schema: &Value, source: &Source, tree: &Spanned<DeTable<'_>>) -> Vec<Problem> {
    let mut check = Check {
        source,
        definitions: Definitions::of(schema),
        problems: Vec::new(),
    };
    if let Shape::Table(shape) = check.definitions.shape(schema) {
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

struct Check<'s> {
    source: &'s Source,
    definitions: Definitions<'s>,
    problems: Vec<Problem>,
}

impl<'s> Check<'s> {
    fn value(&mut self, schema: &'s Value, value: &Spanned<DeValue<'_>>, path: &Path) {
        let shape = self.definitions.shape(schema);
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
            (Shape::AnyOf(shapes), DeValue::Table(table))
                if shapes.iter().any(|shape| matches!(shape, Shape::Table(_))) =>
            {
                for shape in shapes {
                    if let Shape::Table(shape) = shape {
                        self.table(shape, table, path);
                    }
                }
            }
            (shape, given) if shape.takes(self.definitions, given) => {}
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
                        shape.words(self.definitions),
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
                match (
                    self.definitions.shape(schema),
                    schema.get("description").and_then(Value::as_str),
                ) {
                    (Shape::Choice(choices), _) => problem.help(one_table(&full, &choices)),
                    (_, Some(text)) => problem.help(first_paragraph(text)),
                    _ => problem,
                },
            );
        }
    }

    fn choice(&mut self, choices: &BTreeMap<&'s str, Choice<'s>>, table: &DeTable<'_>, path: &Path) {
        let beside: BTreeMap<&str, Vec<&str>> = choices.iter().fold(BTreeMap::new(), |mut all, (name, choice)| {
            for key in choice.beside.keys() {
                all.entry(*key).or_insert_with(Vec::new).push(*name);
            }
            all
        });
        let known: Vec<&str> = choices.keys().chain(beside.keys()).copied().collect();
        let mut given: Vec<_> = table.iter().collect();
        given.sort_by_key(|(key, _)| key.span().start);
        let chosen = given.iter().find_map(|(key, _)| choices.get(key.get_ref().as_ref()));
        for (key, value) in &given {
            let below = path.below(key);
            let name = key.get_ref().as_ref();
            let schema = choices.get(name).map(|choice| choice.schema);
            match (schema.or_else(|| chosen?.beside.get(name).copied()), beside.get(name)) {
                (Some(schema), _) => self.value(schema, value, &below),
                // Without any of the keys that it goes with, those are what is missing.
                (None, Some(with)) => self.problems.push(
                    self.source
                        .at(key.span())
                        .says(format!("`{}` does not belong here", below.text))
                        .help(format!("it goes with {}", quoted(with))),
                ),
                (None, None) => {
                    let message = match path.text.as_str() {
                        "machine" => format!("unknown provider `{name}`"),
                        _ => format!("unknown key `{}`", below.text),
                    };
                    let problem = self.source.at(key.span()).says(message);
                    self.problems.push(unknown(problem, name, &known, "there are:"));
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
    let written = source.at(span.clone());
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
        (Shape::AnyOf(shapes), given)
            if shapes
                .iter()
                .all(|shape| matches!(shape, Shape::Text | Shape::Table(_))) =>
        {
            shapes
                .iter()
                .find_map(|shape| remedy(shape, given, source, span.clone()))
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

fn one_table(path: &str, choices: &BTreeMap<&str, Choice<'_>>) -> String {
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

fn first_paragraph(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or(text);
    paragraph.split_whitespace().collect::<Vec<_>>().join(" ")
}
