//! The read form of a deploy: what the predecessor's API answered, a task definition with PascalCase keys and explicit nulls.

use serde_json::{Map, Value};

use super::schema::{self, Field, Kind};

/// The whole document in its read form. Unknown keys and the keys of user maps stay as they are.
pub(super) fn document(canonical: &Map<String, Value>) -> Value {
    Value::Object(object(canonical, schema::TASK))
}

fn object(canonical: &Map<String, Value>, fields: &'static [Field]) -> Map<String, Value> {
    let mut read: Map<String, Value> = fields
        .iter()
        .map(|field| {
            let value = canonical.get(field.name).map_or(Value::Null, |found| value(found, field.kind));
            (pascal_case(field.name), value)
        })
        .collect();
    for (key, value) in canonical {
        if schema::find(fields, key).is_none() {
            read.insert(key.clone(), value.clone());
        }
    }
    read
}

fn value(canonical: &Value, kind: Kind) -> Value {
    match (kind, canonical) {
        (Kind::Object(fields), Value::Object(map)) => Value::Object(object(map, fields)),
        (Kind::List(fields), Value::Array(items)) => {
            Value::Array(items.iter().map(|item| value(item, Kind::Object(fields))).collect())
        }
        _ => canonical.clone(),
    }
}

/// The SDK's spelling of a key: the first letter in upper case.
fn pascal_case(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}
