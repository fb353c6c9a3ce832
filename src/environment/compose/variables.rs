//! The variables that Compose will put into a file: Docker makes an unset one an empty text, without an error.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::diagnostic::{Place, Source};
use super::super::yaml::{Node, Value};

/// One use of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The value that it stands in, which may be in another file.
    pub place: Place,
    /// Whether it says nothing about what to do without it: `$NAME`, `${NAME}`, `${NAME:?…}`.
    pub required: bool,
}

/// A use, by the bytes of the value that it stands in.
#[derive(PartialEq, Eq)]
struct Use {
    name: String,
    span: Range<usize>,
    required: bool,
}

/// Every variable in a value of the tree, each place once although aliases repeat it.
pub(super) fn variables(source: &Source, root: &Node) -> Vec<Variable> {
    let mut found = Vec::new();
    collect(root, &mut found);
    found.sort_by_key(|variable| variable.span.start);
    let mut once: Vec<Use> = Vec::new();
    for variable in found {
        let same_place = once.iter().rev().take_while(|other| other.span == variable.span);
        if !same_place.clone().any(|other| *other == variable) {
            once.push(variable);
        }
    }
    once.into_iter()
        .map(|Use { name, span, required }| Variable {
            name,
            place: source.at(span),
            required,
        })
        .collect()
}

/// The names of all variables in a value.
pub(super) fn names(node: &Node) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    collect(node, &mut found);
    found.into_iter().map(|variable| variable.name)
}

fn collect(node: &Node, found: &mut Vec<Use>) {
    match &node.value {
        Value::Text(text) => scan(text, &node.span, found),
        Value::List(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| collect(value, found)),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}

/// Finds the variables of one text. Those inside another's default are only asked for when the other is unset. In one pass and without
/// recursion: what is nested a hundred thousand deep costs time by its length and no stack.
fn scan(text: &str, span: &Range<usize>, found: &mut Vec<Use>) {
    let closing = closing_braces(text);
    // Where the defaults end that we are in.
    let mut within: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|offset| at + offset) {
        at = dollar + 1;
        if text[at..].starts_with('$') {
            at += 1;
            continue;
        }
        while within.last().is_some_and(|end| *end < dollar) {
            within.pop();
        }
        let braced = text[at..].starts_with('{');
        let begin = at + usize::from(braced);
        let length = text[begin..]
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
            .count();
        let name = &text[begin..begin + length];
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            continue;
        }
        let end = closing.get(&at).copied().filter(|_| braced);
        let default = end.map_or("", |end| &text[begin + length..end]);
        found.push(Use {
            name: name.to_owned(),
            span: span.clone(),
            required: within.is_empty() && !default.trim_start_matches(':').starts_with(['-', '+']),
        });
        within.extend(end);
        at = begin + length;
    }
}

/// Where each brace ends, by where it was opened.
fn closing_braces(text: &str) -> BTreeMap<usize, usize> {
    let mut open = Vec::new();
    let mut closing = BTreeMap::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open.push(at),
            b'}' => {
                if let Some(begin) = open.pop() {
                    closing.insert(begin, at);
                }
            }
            _ => {}
        }
    }
    closing
}

/// A text with its variables filled in as Compose does it: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`,
/// `${NAME:?…}`; `$$` stays. None when it cannot be told here: a variable without a value, or a form that this does not know.
pub fn filled(text: &str, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let Some((before, after)) = text.split_once('$') else {
        return Some(text.to_owned());
    };
    if let Some(rest) = after.strip_prefix('$') {
        return Some(format!("{before}$${}", filled(rest, value)?));
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (put, rest) = match after.strip_prefix('{') {
        Some(inner) => {
            let end = closing(inner)?;
            let (expression, rest) = (&inner[..end], &inner[end + 1..]);
            let length = expression.find(|c| !is_name(c)).unwrap_or(expression.len());
            let (name, operator) = expression.split_at(length);
            let given = value(name);
            let put = match operator {
                "" => given?,
                other if other.starts_with(":-") => match given.filter(|given| !given.is_empty()) {
                    Some(given) => given,
                    None => filled(&other[2..], value)?,
                },
                other if other.starts_with('-') => match given {
                    Some(given) => given,
                    None => filled(&other[1..], value)?,
                },
                other if other.starts_with('?') || other.starts_with(":?") => given?,
                _ => return None,
            };
            (put, rest)
        }
        None => {
            let length = after.find(|c| !is_name(c)).unwrap_or(after.len());
            (value(&after[..length])?, &after[length..])
        }
    };
    Some(format!("{before}{put}{}", filled(rest, value)?))
}

/// Where the brace closes that was opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_as_compose_does_it() {
        let value = |name: &str| match name {
            "A" => Some("256m".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        for (text, expected) in [
            ("512m", Some("512m")),
            ("$A", Some("256m")),
            ("${A}", Some("256m")),
            ("${A:-1g}", Some("256m")),
            ("${B:-1g}", Some("1g")),
            ("${EMPTY:-1g}", Some("1g")),
            ("${EMPTY-1g}", Some("")),
            ("${B:-${C:-2g}}", Some("2g")),
            ("${B}", None),
            ("${B:?must be set}", None),
            ("${A:?must be set}", Some("256m")),
            ("${A", None),
            ("$$A ${A}", Some("$$A 256m")),
        ] {
            assert_eq!(filled(text, &value).as_deref(), expected, "{text}");
        }
    }
}
