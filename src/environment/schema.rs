//! The JSON Schema of the files that people write: for editors, and for our own check.

use schemars::JsonSchema;
use serde_json::Value;

use super::model::Environment;

/// The schema of an environment file, with the descriptions of the model's own documentation.
pub fn schema() -> Value {
    let mut schema = of::<Environment>();
    if let Value::Object(map) = &mut schema {
        map.insert("title".to_owned(), "provision environment".into());
    }
    schema
}

pub(super) fn of<T: JsonSchema>() -> Value {
    schemars::generate::SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}
