//! The forms in which Compose lets the same thing be written.

use serde_json::{Map, Value, json};

/// Takes a table out of a document; empty when there is none.
pub fn take(root: &mut Value, key: &str) -> Map<String, Value> {
    take_map(root.get_mut(key).map(Value::take))
}

/// A value as a table.
pub fn take_map(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// One or many.
pub fn list(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        Some(Value::Null) | None => Vec::new(),
        Some(one) => vec![one],
    }
}

/// Source and target of an entry of `volumes`; none for one without a source.
pub fn ends(volume: &Value) -> Option<(String, String)> {
    match volume {
        Value::String(text) => {
            let mut parts = text.split(':');
            Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
        }
        Value::Object(map) => {
            let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
            Some((text("source")?, text("target")?))
        }
        _ => None,
    }
}

/// An entry of `volumes` with another source.
pub fn renamed(volume: Value, from: &str, to: &str) -> Value {
    match volume {
        Value::String(text) => json!(text.replacen(from, to, 1)),
        Value::Object(mut map) => {
            map.insert("source".into(), json!(to));
            Value::Object(map)
        }
        other => other,
    }
}

/// Name and target of an entry of `secrets` or `configs`.
pub fn reference(used: &Value, folder: &str) -> (String, String) {
    let text = |key: &str| used.get(key).and_then(Value::as_str);
    let name = used.as_str().or_else(|| text("source")).unwrap_or_default().to_owned();
    let target = match text("target") {
        Some(target) if target.starts_with('/') => target.to_owned(),
        Some(target) => format!("{folder}{target}"),
        None => format!("{folder}{name}"),
    };
    (name, target)
}
