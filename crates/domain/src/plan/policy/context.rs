//! What is known of a request besides who, what and of what.

use std::collections::{BTreeMap, BTreeSet};

/// The condition keys of a request. A key that was never spoken of is unknown; one that is known to be missing is said to
/// be [`without`](Context::without).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// By the key in lower case: names of keys are case-insensitive (IAM user guide, "Condition").
    keys: BTreeMap<String, Vec<String>>,
    absent: BTreeSet<String>,
    beginnings: BTreeMap<String, String>,
}

/// What is known of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// The request has it, with these values.
    Known(&'a [String]),
    /// The request has it, with one value that begins so.
    Begins(&'a str),
    /// The request does not have it.
    Absent,
    /// Nobody knows.
    Unknown,
}

impl Context {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The request has this key, with one value.
    #[must_use]
    pub fn with(self, key: &str, value: impl Into<String>) -> Self {
        self.with_all(key, [value.into()])
    }

    /// The request has this key, with several values.
    #[must_use]
    pub fn with_all(mut self, key: &str, values: impl IntoIterator<Item = String>) -> Self {
        let key = self.forget(key);
        self.keys.insert(key, values.into_iter().collect());
        self
    }

    /// The request has this key, with one value of which only the beginning is known.
    #[must_use]
    pub fn with_beginning(mut self, key: &str, beginning: impl Into<String>) -> Self {
        let key = self.forget(key);
        self.beginnings.insert(key, beginning.into());
        self
    }

    /// The request does not have this key.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        let key = self.forget(key);
        self.absent.insert(key);
        self
    }

    fn forget(&mut self, key: &str) -> String {
        let key = key.to_ascii_lowercase();
        self.keys.remove(&key);
        self.absent.remove(&key);
        self.beginnings.remove(&key);
        key
    }

    pub(super) fn get(&self, key: &str) -> Key<'_> {
        let key = key.to_ascii_lowercase();
        match (self.keys.get(&key), self.beginnings.get(&key)) {
            (Some(values), _) => Key::Known(values),
            (None, Some(beginning)) => Key::Begins(beginning),
            (None, None) if self.absent.contains(&key) => Key::Absent,
            (None, None) => Key::Unknown,
        }
    }
}
