//! What is wrong with a document, and where.

use std::collections::BTreeSet;
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

/// The most problems that are told of one document. Who has more of them mends these first; a list of a hundred thousand would
/// help nobody, and be far larger than the document.
const TOLD: usize = 100;

/// The most characters of one message. Only the names of a long cycle come near it.
const MESSAGE: usize = 1_000;

/// Where problems are gathered while a document is read.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    seen: BTreeSet<Problem>,
    more: bool,
}

impl Problems {
    /// Notes one problem; again is no other one. Beyond [`TOLD`] only that there are more.
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        if self.found.len() >= TOLD {
            self.more = true;
            return;
        }
        let mut message: String = message.into();
        if let Some((end, _)) = message.char_indices().nth(MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        let problem = Problem { path: path.into(), message };
        if self.seen.insert(problem.clone()) {
            self.found.push(problem);
        }
    }

    /// All of them in the order found, each once.
    pub(super) fn into_vec(self) -> Vec<Problem> {
        let mut found = self.found;
        if self.more {
            found.push(Problem {
                path: String::new(),
                message: format!("there are more than these {TOLD} problems; mend them first"),
            });
        }
        found
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
