//! TOML text to a typed value, with every mistake at once.
//!
//! Serde stops at its first error. So the text is parsed once into a tree with places, the tree is checked against the
//! JSON schema that schemars derives from the very type (`check`), and only a tree without a mistake is given to serde.

use std::ops::Range;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::check;
use super::diagnostic::{Problem, Problems, Source};
use super::model::{Environment, StateTable};

/// Reads an environment file. The problems are never empty and never mix syntax with content: a text that is not TOML
/// has no content to speak of.
pub fn decode(source: &Source) -> Result<Environment, Problems> {
    document(source)
}

/// Tables whose settings have no consequences outside of them: without a mistaken one, the rest can be understood.
const INDEPENDENT: [&str; 6] = ["machine", "data", "access", "edge", "tls", "state"];

/// Reads an environment file like [`decode`]; where it can be understood in spite of its mistakes, because they lie in
/// settings on which nothing else depends, it is returned with them, so that those in other files are told in the same go.
pub(super) fn understand(source: &Source) -> Result<(Environment, Vec<Problem>), Problems> {
    let mistakes = match decode(source) {
        Ok(environment) => return Ok((environment, Vec::new())),
        Err(mistakes) => mistakes,
    };
    let Ok(mut tree) = parse(source) else {
        return Err(mistakes);
    };
    for mistake in mistakes.iter() {
        let mended = tree.get_mut().iter_mut().any(|(key, value)| {
            let independent = INDEPENDENT.contains(&key.get_ref().as_ref());
            independent && leave_out_of(value, mistake.span.start)
        });
        if !mended {
            return Err(mistakes);
        }
    }
    let whole = check::against(&super::schema::of::<Environment>(), source, &tree).is_empty();
    match <Environment as serde::Deserialize>::deserialize(toml::Deserializer::from(tree)) {
        Ok(environment) if whole => Ok((environment, mistakes.into_vec())),
        _ => Err(mistakes),
    }
}

/// The table `[state]` alone, as if the file held nothing else.
#[derive(Debug, serde::Deserialize, JsonSchema)]
struct OnlyState {
    #[serde(default)]
    state: StateTable,
}

/// Reads `[state]` of an environment file, whatever else is in it.
pub(super) fn state(source: &Source) -> Result<StateTable, Problems> {
    let mut tree = parse(source)?;
    let others: Vec<_> = tree
        .get_ref()
        .keys()
        .filter(|key| key.get_ref() != "state")
        .cloned()
        .collect();
    for key in &others {
        tree.get_mut().remove(key);
    }
    Problems::check(check::against(&super::schema::of::<OnlyState>(), source, &tree))?;
    match <OnlyState as serde::Deserialize>::deserialize(toml::Deserializer::from(tree)) {
        Ok(only) => Ok(only.state),
        Err(error) => {
            let place = source.at(error.span().unwrap_or(0..0));
            Err(place.says(error.message().trim().replace('\n', "; ")).into())
        }
    }
}

/// Takes the innermost setting at a place out of a value, if that is a table.
fn leave_out_of(value: &mut Spanned<DeValue<'_>>, at: usize) -> bool {
    let DeValue::Table(table) = value.get_mut() else {
        return false;
    };
    let inner = table.iter_mut().any(|(_, value)| leave_out_of(value, at));
    let found = table
        .iter()
        .find(|(key, value)| key.span().contains(&at) || value.span().contains(&at))
        .map(|(key, _)| key.clone());
    inner || found.is_some_and(|key| table.remove(&key).is_some())
}

/// Reads any TOML document whose type has a schema.
pub(super) fn document<T: DeserializeOwned + JsonSchema + 'static>(source: &Source) -> Result<T, Problems> {
    let tree = parse(source)?;
    Problems::check(check::against(&super::schema::of::<T>(), source, &tree))?;
    T::deserialize(toml::Deserializer::from(tree)).map_err(|error| {
        // Only reached where the schema says less than the type; serde's words and place then stand as they are.
        let place = source.at(error.span().unwrap_or(0..0));
        place.says(error.message().trim().replace('\n', "; ")).into()
    })
}

fn parse(source: &Source) -> Result<Spanned<DeTable<'_>>, Problems> {
    // The parser takes other control characters for syntax errors far from where they stand.
    if let Some(at) = source.text.find('\0') {
        return Err(Problem::at(source, at..at + 1)
            .says("the file holds a NUL byte: it is not text, or it is UTF-16")
            .help("save it as UTF-8")
            .into());
    }
    let (tree, mut errors) = DeTable::parse_recoverable(&source.text);
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    // One slip often upsets the lines after it; only independent findings, such as keys given twice, are worth a list.
    let duplicates = errors.iter().filter(|error| error.message() == DUPLICATE).count();
    let shown = if duplicates == errors.len() { errors.len() } else { 1 };
    let found = errors.iter().take(shown).map(|error| syntax(source, error));
    Problems::check(found.collect())?;
    Ok(tree)
}

/// The parser's words for a key that stands twice. Were they to change, less would be listed, nothing missed.
const DUPLICATE: &str = "duplicate key";

fn syntax(source: &Source, error: &toml::de::Error) -> Problem {
    let place = source.at(error.span().unwrap_or(0..0));
    let message = error.message().trim();
    let mut lines = message.lines();
    let what = lines.next().unwrap_or("the text is not TOML").to_owned();
    let rest: Vec<&str> = lines.map(str::trim).collect();
    let problem = if message == DUPLICATE {
        let key = &source.text[place.span.clone()];
        place
            .says(format!("`{}` is given twice", key.trim_matches('"')))
            .help("keep one of them")
    } else {
        place.says(what)
    };
    if rest.is_empty() {
        problem
    } else {
        problem.label(rest.join("; "))
    }
}

impl Source {
    /// The place of the key at a dotted path of this TOML text, `["stacks", "app", "path"]`; in a list a number names
    /// the item. Where the path ends early, the last key that is there. Nothing there: the start of the file.
    pub fn span_of(&self, path: &[&str]) -> Range<usize> {
        self.spans_of(path).0
    }

    /// The place of the value at a dotted path; see [`span_of`](Self::span_of).
    pub fn value_span_of(&self, path: &[&str]) -> Range<usize> {
        self.spans_of(path).1
    }

    fn spans_of(&self, path: &[&str]) -> (Range<usize>, Range<usize>) {
        let (root, _) = DeTable::parse_recoverable(&self.text);
        let mut found = (0..0, 0..0);
        let mut table = Some(root.get_ref());
        let mut list = None;
        for part in path {
            let (key, value) = match (table, list) {
                (Some(table), _) => match table.iter().find(|(key, _)| key.get_ref() == part) {
                    Some((key, value)) => (key.span(), value),
                    None => break,
                },
                (None, Some(list)) => match item(list, part) {
                    Some(value) => (value.span(), value),
                    None => break,
                },
                (None, None) => break,
            };
            found = (key, value.span());
            table = value.get_ref().as_table();
            list = value.get_ref().as_array();
        }
        let fit = |span: Range<usize>| self.at(span).span;
        (fit(found.0), fit(found.1))
    }
}

fn item<'a, 'i>(list: &'a toml::de::DeArray<'i>, index: &str) -> Option<&'a Spanned<DeValue<'i>>> {
    list.get(index.parse::<usize>().ok()?)
}

#[cfg(test)]
#[path = "decode/tests.rs"]
mod tests;
