//! Why something did not come to a good end.

use super::Cause;
use crate::account::{AccountError, Remain};

/// Why something did not come to a good end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// AWS did not do a call.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A stack has the name, and somebody else made it.
    #[error("{stack} is a stack that was not made by `l0 setup` for this instance: it is left alone")]
    Foreign {
        /// Its name.
        stack: String,
    },
    /// There is no such instance in the account.
    #[error("there is no stack {stack} in this account and region")]
    Absent {
        /// Its name.
        stack: String,
    },
    /// A stack is in a state that CloudFormation does not leave by itself.
    #[error("the stack is in {status}{reason}")]
    Stuck {
        /// The state.
        status: String,
        /// CloudFormation's words, after a colon; empty without any.
        reason: String,
    },
    /// CloudFormation refuses the template.
    #[error("CloudFormation can't work out the changes: {words}")]
    PlanRefused {
        /// Its words.
        words: String,
    },
    /// It was begun and failed.
    #[error("{0}")]
    Failed(Box<Failure>),
    /// Something in AWS takes longer than anybody waits.
    #[error("{what} takes too long; it goes on in AWS, and the same command goes on with it")]
    Late {
        /// What.
        what: String,
    },
    /// The servers run, and nobody answers.
    #[error("nothing answers at {endpoint}: {last}")]
    Silent {
        /// Where.
        endpoint: String,
        /// What the last look gave.
        last: String,
    },
    /// Another version answers than the one that was to.
    #[error("version {found} answers, and not {wanted}")]
    OldVersion {
        /// The one that was to.
        wanted: String,
        /// The one that does.
        found: String,
    },
    /// Things are there that do not go.
    #[error("{} still there: {}", if .0.len() == 1 { "one thing is" } else { "some things are" }, names(.0))]
    Left(Vec<Remain>, Option<String>),
}

fn names(remains: &[Remain]) -> String {
    let names: Vec<String> = remains.iter().map(Remain::to_string).collect();
    names.join(", ")
}

/// A change that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the stack is in now.
    pub status: String,
    /// The first thing that went wrong.
    pub cause: Option<Cause>,
    /// What had been done and was undone, by its name in the template.
    pub undone: Vec<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "{cause}"),
            None => write!(f, "the stack ended in {}", self.status),
        }
    }
}
