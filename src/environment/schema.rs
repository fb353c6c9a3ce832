//! The JSON Schema of the files that people write: for editors, and for our own check.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde_json::Value;

use super::model::Environment;

/// The schema of an environment file, with the descriptions of the model's own documentation.
pub fn schema() -> Value {
    let mut schema = Value::clone(&of::<Environment>());
    if let Value::Object(map) = &mut schema {
        map.insert("title".to_owned(), "provision environment".into());
    }
    schema
}

/// The schema of a type, made once however many files are checked against it.
pub(super) fn of<T: JsonSchema + 'static>() -> Arc<Value> {
    static MADE: Mutex<Option<HashMap<TypeId, Arc<Value>>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let schema = made.get_or_insert_default().entry(TypeId::of::<T>());
    let schema = schema.or_insert_with(|| {
        let settings = schemars::generate::SchemaSettings::draft2020_12();
        Arc::new(settings.into_generator().into_root_schema_for::<T>().to_value())
    });
    Arc::clone(schema)
}
