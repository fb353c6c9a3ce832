//! The variables that Compose will put into a file: Docker makes an unset one an empty text, without an error.

use std::ops::Range;

use super::super::yaml::{Node, Value};

/// One use of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The value that it stands in.
    pub span: Range<usize>,
    /// Whether it says nothing about what to do without it: `$NAME`, `${NAME}`, `${NAME:?…}`.
    pub required: bool,
}

/// Every variable in a value of the tree, each place once although aliases repeat it.
pub(super) fn variables(root: &Node) -> Vec<Variable> {
    let mut found = Vec::new();
    collect(root, &mut found);
    found.sort_by_key(|variable| variable.span.start);
    let mut once: Vec<Variable> = Vec::new();
    for variable in found {
        let same_place = once.iter().rev().take_while(|other| other.span == variable.span);
        if !same_place.clone().any(|other| *other == variable) {
            once.push(variable);
        }
    }
    once
}

/// The names of all variables in a value.
pub(super) fn names(node: &Node) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    collect(node, &mut found);
    found.into_iter().map(|variable| variable.name)
}

fn collect(node: &Node, found: &mut Vec<Variable>) {
    match &node.value {
        Value::Text(text) => scan(text, &node.span, true, found),
        Value::List(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| collect(value, found)),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => {}
    }
}

/// Finds the variables of one text. Those inside another's default are only asked for when the other is unset.
fn scan(text: &str, span: &Range<usize>, outermost: bool, found: &mut Vec<Variable>) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        if let Some(escaped) = after.strip_prefix('$') {
            rest = escaped;
            continue;
        }
        let braced = after.strip_prefix('{');
        let body = braced.unwrap_or(after);
        let length = body
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
            .count();
        let (name, tail) = body.split_at(length);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            rest = after;
            continue;
        }
        let default = braced.and_then(|_| closing_brace(tail)).unwrap_or(0);
        let (default, tail) = tail.split_at(default);
        found.push(Variable {
            name: name.to_owned(),
            span: span.clone(),
            required: outermost && !default.trim_start_matches(':').starts_with(['-', '+']),
        });
        scan(default, span, false, found);
        rest = tail;
    }
}

/// Where the brace ends that was opened before `text`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}
