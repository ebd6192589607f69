//! Reading a request's members, whichever protocol they came by: the query protocols carry numbers and booleans as text.

use serde_json::Value;

use super::AwsError;

/// Access to the members of a request. What has the wrong type reads as absent.
pub(crate) trait Input {
    /// The member as it came.
    fn member(&self, key: &str) -> Option<&Value>;

    /// A text that is not empty.
    fn text(&self, key: &str) -> Option<&str> {
        self.member(key)?.as_str().filter(|text| !text.is_empty())
    }

    /// A whole number.
    fn number(&self, key: &str) -> Option<i64> {
        match self.member(key)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A boolean; absent is `false`.
    fn flag(&self, key: &str) -> bool {
        match self.member(key) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// A list; absent is empty.
    fn list(&self, key: &str) -> &[Value] {
        self.member(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A list of texts; absent is empty.
    fn texts(&self, key: &str) -> Vec<&str> {
        self.list(key).iter().filter_map(Value::as_str).collect()
    }

    /// A text that must be there.
    fn required(&self, key: &str, code: &str) -> Result<&str, AwsError> {
        self.text(key).ok_or_else(|| AwsError::new(code, format!("{key} must not be empty")))
    }
}

impl Input for Value {
    fn member(&self, key: &str) -> Option<&Value> {
        self.get(key).filter(|value| !value.is_null())
    }
}

/// A copy of the members that are there, under the names they have.
pub(crate) fn members(from: &Value, keys: &[&str]) -> serde_json::Map<String, Value> {
    keys.iter().filter_map(|key| from.member(key).map(|value| ((*key).to_owned(), value.clone()))).collect()
}
