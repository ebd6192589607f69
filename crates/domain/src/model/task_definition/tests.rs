use super::*;
use serde_json::{Value, json};

mod accepted;
mod properties;
mod refused;

fn parse(value: &Value) -> Result<Document, DocumentError> {
    Document::parse(value.to_string().as_bytes())
}

fn document(value: &Value) -> Document {
    parse(value).unwrap_or_else(|error| panic!("{value}: {error}"))
}

/// The first container of a document that has only one, with these keys added.
fn one(extra: Value) -> Value {
    let mut container = json!({"name": "web", "image": "team/app"});
    if let (Value::Object(container), Value::Object(extra)) = (&mut container, extra) {
        container.extend(extra);
    }
    json!({"containerDefinitions": [container]})
}
