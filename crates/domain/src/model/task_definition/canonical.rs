//! From the keys that a user wrote to the ones that ECS documents, with every type checked on the way.

use serde_json::{Map, Value};

use super::amount;
use super::problem::{Problems, join};
use super::schema::{self, Field, Kind, Use};
use crate::model::digest::shorten;

/// A document whose known keys have ECS's spelling, with what was found on the way.
pub(super) struct Canonical {
    /// Known keys in camelCase without nulls, unknown keys as they were.
    pub(super) value: Map<String, Value>,
    /// JSON paths of the unknown keys.
    pub(super) unknown: Vec<String>,
    /// JSON paths of known keys that are set and that the typed form does not carry.
    pub(super) not_modelled: Vec<String>,
}

/// Canonicalises a whole document. Idempotent: a canonical document comes back as it is.
pub(super) fn canonicalise(document: &Map<String, Value>, problems: &mut Problems) -> Canonical {
    let mut walk = Walk { problems, unknown: Vec::new(), not_modelled: Vec::new() };
    let value = walk.object(document, schema::TASK, "");
    let Walk { mut unknown, mut not_modelled, .. } = walk;
    // In an order of their own: that of the keys is another one once they have ECS's spelling.
    unknown.sort();
    not_modelled.sort();
    Canonical { value, unknown, not_modelled }
}

struct Walk<'a> {
    problems: &'a mut Problems,
    unknown: Vec<String>,
    not_modelled: Vec<String>,
}

impl Walk<'_> {
    fn object(&mut self, object: &Map<String, Value>, fields: &'static [Field], path: &str) -> Map<String, Value> {
        let mut canonical = Map::new();
        for (key, value) in object {
            let Some(field) = schema::find(fields, key) else {
                if !(path.is_empty() && schema::is_ignored(key)) {
                    self.unknown.push(join(path, key));
                }
                canonical.insert(key.clone(), value.clone());
                continue;
            };
            // A null stands for an absent key, as in the read form of a deploy.
            if value.is_null() {
                continue;
            }
            let path = join(path, field.name);
            if canonical.contains_key(field.name) {
                self.problems.add(path, "is written more than once, with different upper and lower case");
                continue;
            }
            let before = self.not_modelled.len();
            let value = self.value(value, field.kind, &path);
            if field.used != Use::Typed {
                // The key stands for all that is in it.
                self.not_modelled.truncate(before);
            }
            if field.used == Use::Other && is_set(&value) {
                self.not_modelled.push(path);
            }
            canonical.insert(field.name.to_owned(), value);
        }
        canonical
    }

    fn value(&mut self, value: &Value, kind: Kind, path: &str) -> Value {
        match kind {
            Kind::Any => value.clone(),
            Kind::Text => self.leaf(value, path, "a string", Value::is_string),
            Kind::Flag => self.leaf(value, path, "true or false", Value::is_boolean),
            Kind::Int => self.int(value, path),
            Kind::TextList => {
                self.list(value, path, |walk, item, path| walk.leaf(item, path, "a string", Value::is_string))
            }
            Kind::IntList => self.list(value, path, Self::int),
            Kind::TextMap => self.text_map(value, path),
            Kind::Object(fields) => match value {
                Value::Object(object) => Value::Object(self.object(object, fields, path)),
                other => self.leaf(other, path, "an object", Value::is_object),
            },
            Kind::List(fields) => self.list(value, path, |walk, item, path| match item {
                Value::Object(object) => Value::Object(walk.object(object, fields, path)),
                other => walk.leaf(other, path, "an object", Value::is_object),
            }),
            Kind::TaskCpu => self.task_amount(value, path, amount::cpu_units),
            Kind::TaskMemory => self.task_amount(value, path, amount::memory_mib),
            Kind::ContainerCpu => self.container_amount(value, path, amount::cpu_units),
            Kind::ContainerMemory => self.container_amount(value, path, amount::memory_mib),
        }
    }

    fn leaf(&mut self, value: &Value, path: &str, expected: &str, is_legal: fn(&Value) -> bool) -> Value {
        if !is_legal(value) {
            let hint = match value {
                Value::Number(_) | Value::Bool(_) if expected == "a string" => "; put it in quotes",
                _ => "",
            };
            self.problems.add(path, format!("must be {expected}, not {}{hint}", kind_of(value)));
        }
        value.clone()
    }

    fn int(&mut self, value: &Value, path: &str) -> Value {
        if let Some(number) = amount::whole(value) {
            return Value::from(number);
        }
        let found = match value {
            Value::Number(number) => number.to_string(),
            other => kind_of(other).to_owned(),
        };
        self.problems.add(path, format!("must be a whole number, not {found}"));
        value.clone()
    }

    fn list(&mut self, value: &Value, path: &str, mut item: impl FnMut(&mut Self, &Value, &str) -> Value) -> Value {
        let Value::Array(items) = value else {
            return self.leaf(value, path, "a list", Value::is_array);
        };
        Value::Array(
            items.iter().enumerate().map(|(index, value)| item(self, value, &format!("{path}[{index}]"))).collect(),
        )
    }

    fn text_map(&mut self, value: &Value, path: &str) -> Value {
        let Value::Object(map) = value else {
            return self.leaf(value, path, "an object", Value::is_object);
        };
        for (key, value) in map {
            self.leaf(value, &join(path, key), "a string", Value::is_string);
        }
        value.clone()
    }

    /// ECS has strings here, and keeps `1 vCPU` as it is written.
    fn task_amount(&mut self, value: &Value, path: &str, read: fn(&Value) -> Result<u32, String>) -> Value {
        match read(value) {
            Err(message) => {
                self.problems.add(path, message);
                value.clone()
            }
            Ok(_) if value.is_string() => value.clone(),
            Ok(amount) => Value::from(amount.to_string()),
        }
    }

    /// ECS has numbers here.
    fn container_amount(&mut self, value: &Value, path: &str, read: fn(&Value) -> Result<u32, String>) -> Value {
        match read(value) {
            Err(message) => {
                self.problems.add(path, message);
                value.clone()
            }
            Ok(amount) => Value::from(amount),
        }
    }
}

/// Whether a value says anything: what AWS prints for "not set" does not.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => map.values().any(is_set),
    }
}

/// What a value is, in words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A key in any case, at the top of a document.
pub(super) fn key_in_any_case<'a>(object: &'a Map<String, Value>, name: &str) -> Option<(&'a String, &'a Value)> {
    object.iter().find(|(key, value)| key.eq_ignore_ascii_case(name) && !value.is_null())
}

/// A text in quotes, fit for a message.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shorten(text))
}
