//! What is wrong with a document, and where.

use std::fmt;

use crate::model::digest::shorten;

/// One thing wrong with a document. Everything that can be found is reported together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// JSON path in the canonical spelling, such as `containerDefinitions[0].image`; empty for the document itself.
    pub path: String,
    /// What is wrong and what would be right; for the user. Never holds a value of an environment variable.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

/// Where problems are gathered while a document is read.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes one problem.
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { path: path.into(), message: message.into() });
    }

    /// All of them in the order found, each once.
    pub(super) fn into_vec(self) -> Vec<Problem> {
        let mut seen = std::collections::BTreeSet::new();
        self.0.into_iter().filter(|problem| seen.insert(problem.clone())).collect()
    }
}

/// `path.key`, or `key` at the top; keys that would be hard to read so are put in brackets and quotes.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$'));
    match (plain && key.len() <= 100, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{:?}]", shorten(key)),
    }
}
