//! What IAM policies say about a request: an evaluator that never guesses.
//!
//! It answers questions such as "may this execution role get this layer?" from the documents alone, for the pull check
//! and for what else has to be known before AWS is asked. Written after the IAM user guide ("Policy evaluation logic",
//! "IAM JSON policy elements").
//!
//! Three-valued throughout: a condition on something that nobody knows beforehand (the address that a request will come
//! from, the tags of a session) is neither met nor missed, and neither is a construct that is not understood here. The
//! invariants, shown by property tests:
//! - an explicit deny wins; one that may apply makes an allowed request [`Answer::Unknown`], never allowed;
//! - what is [`Answer::Allowed`] stays allowed, and what is refused stays refused, whatever the unknown turns out to be;
//! - the order of statements and documents does not matter.
//!
//! Not evaluated, as no account may read them about another: service and resource control policies of an organization.
//! They only ever take rights away; who shows a result to a user says "by the policies that could be read".

use std::fmt;

mod combine;
mod condition;
mod context;
mod document;
mod pattern;
mod principal;
#[cfg(test)]
mod tests;

pub use combine::{Sides, authorise};
pub use context::Context;
pub use document::{Document, PolicyError};
pub use principal::{Reach, Requester};

use document::Effect;

/// What is asked of the policies.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who asks.
    pub requester: &'a Requester,
    /// `service:Action`, in any case.
    pub action: &'a str,
    /// The ARN that it is asked of; `*` for an action that knows no resource.
    pub resource: &'a str,
    /// What is known besides.
    pub context: &'a Context,
}

/// What the policies come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It may be done.
    Allowed {
        /// The statement that allows it: its `Sid` or its number, with the document's name.
        statement: String,
    },
    /// A statement denies it expressly.
    Denied {
        /// Which.
        statement: String,
    },
    /// Nothing allows it.
    NotAllowed,
    /// It hangs on what is not known.
    Unknown {
        /// What that is.
        why: String,
    },
}

/// Judges a request by one set of documents alone: all of a kind (a resource's, or a principal's). How the kinds work
/// together is [`authorise`]'s business.
#[must_use]
pub fn evaluate(request: &Request<'_>, documents: &[Document]) -> Answer {
    Tally::of(request, documents).answer()
}

/// Whether something is so.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Truth {
    Yes,
    No,
    /// Not known, and why.
    Unknown(String),
}

impl Truth {
    fn of(yes: bool) -> Self {
        if yes { Truth::Yes } else { Truth::No }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Truth::No, _) | (_, Truth::No) => Truth::No,
            (Truth::Unknown(why), _) | (_, Truth::Unknown(why)) => Truth::Unknown(why),
            (Truth::Yes, Truth::Yes) => Truth::Yes,
        }
    }

    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Truth::Yes, _) | (_, Truth::Yes) => Truth::Yes,
            (Truth::Unknown(why), _) | (_, Truth::Unknown(why)) => Truth::Unknown(why),
            (Truth::No, Truth::No) => Truth::No,
        }
    }

    fn not(self) -> Self {
        match self {
            Truth::Yes => Truth::No,
            Truth::No => Truth::Yes,
            Truth::Unknown(why) => Truth::Unknown(why),
        }
    }

    fn any(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Truth::No, Truth::or)
    }

    fn all(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Truth::Yes, Truth::and)
    }
}

/// What the statements of one kind of policy say, each kind of word kept apart.
#[derive(Debug, Default)]
struct Tally {
    denied: Option<String>,
    maybe_denied: Option<String>,
    /// The statements that allow it, by how they reach the requester.
    allowed: Vec<(Reach, String)>,
    /// Why it is not known whether it is allowed, by how the statement would reach the requester.
    maybe_allowed: Vec<(Reach, String)>,
}

impl Tally {
    fn of(request: &Request<'_>, documents: &[Document]) -> Self {
        let mut tally = Self::default();
        for document in documents {
            for statement in document.statements() {
                let name = || format!("`{}` of {}", statement.label, document.name());
                for (applies, reach) in statement.applies(request) {
                    match (statement.effect, applies) {
                        (_, Truth::No) => {}
                        (Effect::Deny, Truth::Yes) => {
                            tally.denied.get_or_insert_with(name);
                        }
                        (Effect::Deny, Truth::Unknown(why)) => {
                            tally.maybe_denied.get_or_insert_with(|| format!("{} may deny it: {why}", name()));
                        }
                        (Effect::Allow, Truth::Yes) => tally.allowed.push((reach, name())),
                        (Effect::Allow, Truth::Unknown(why)) => {
                            tally.maybe_allowed.push((reach, format!("{} may allow it: {why}", name())));
                        }
                    }
                }
            }
        }
        tally
    }

    /// What they come to, if only statements count that reach the requester in a way that `counts`.
    fn grant(&self, counts: impl Fn(Reach) -> bool) -> Answer {
        if let Some((_, statement)) = self.allowed.iter().find(|(reach, _)| counts(*reach)) {
            return Answer::Allowed { statement: statement.clone() };
        }
        match self.maybe_allowed.iter().find(|(reach, _)| counts(*reach)) {
            Some((_, why)) => Answer::Unknown { why: why.clone() },
            None => Answer::NotAllowed,
        }
    }

    fn answer(&self) -> Answer {
        if let Some(statement) = &self.denied {
            return Answer::Denied { statement: statement.clone() };
        }
        match (self.grant(|_| true), &self.maybe_denied) {
            (Answer::Allowed { .. }, Some(why)) => Answer::Unknown { why: why.clone() },
            (answer, _) => answer,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Allowed { statement } => write!(f, "allowed by {statement}"),
            Answer::Denied { statement } => write!(f, "denied by {statement}"),
            Answer::NotAllowed => f.write_str("allowed by nothing"),
            Answer::Unknown { why } => f.write_str(why),
        }
    }
}
