//! What can be made to go wrong.

use crate::account::{AccountError, Trouble};

/// Something that goes wrong, until [`heal`](super::FakeAccount::heal) or until it says that it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A part of a stack can't be made, for AWS's reason: a quota, a name that is taken, a right that lacks.
    Create {
        /// Its name in the template.
        part: String,
        /// The reason.
        reason: String,
    },
    /// A part of a stack can't be changed.
    Update {
        /// Its name in the template.
        part: String,
        /// The reason.
        reason: String,
    },
    /// A part can't be deleted with its stack.
    Delete {
        /// Its name in the template.
        part: String,
        /// The reason.
        reason: String,
    },
    /// A part can't be brought back to what it was, or taken away, when what was begun is undone.
    Rollback {
        /// Its name in the template.
        part: String,
        /// The reason.
        reason: String,
    },
    /// After so many more calls the credentials are no good any more.
    CredentialsExpire {
        /// How many calls still go through.
        after: u32,
    },
    /// One action is not allowed.
    Denied {
        /// As IAM writes it: `cloudformation:CreateChangeSet`.
        action: String,
    },
    /// So many calls reach nobody.
    Unreachable {
        /// How many.
        calls: u32,
    },
    /// So many calls are too many.
    Throttled {
        /// How many.
        calls: u32,
    },
    /// The next call of an action does what it is asked, and its answer is lost.
    AnswerLost {
        /// As IAM writes it.
        action: String,
    },
}

/// What a step of a stack does with a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Create,
    Update,
    Delete,
    Undo,
}

/// The faults that are set, and the calls that were made.
#[derive(Debug, Default)]
pub(super) struct Faults {
    set: Vec<Fault>,
    pub(super) calls: Vec<&'static str>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.set.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.set.clear();
    }

    /// Counts a call; why it comes to nothing.
    pub(super) fn begin(&mut self, action: &'static str) -> Result<(), AccountError> {
        self.calls.push(action);
        let mut met = None;
        for fault in &mut self.set {
            let found = match fault {
                Fault::Unreachable { calls } if *calls > 0 => {
                    *calls -= 1;
                    (Trouble::Unreachable, "AWS could not be reached".to_owned())
                }
                Fault::Throttled { calls } if *calls > 0 => {
                    *calls -= 1;
                    (Trouble::Throttled, "Throttling: Rate exceeded".to_owned())
                }
                Fault::CredentialsExpire { after: 0 } => {
                    let words = "ExpiredToken: The security token included in the request is expired";
                    (Trouble::Credentials, words.to_owned())
                }
                Fault::CredentialsExpire { after } => {
                    *after -= 1;
                    continue;
                }
                Fault::Denied { action: denied } if *denied == action => {
                    let words = format!(
                        "AccessDenied: User: arn:aws:iam::123456789012:user/fake is not authorized to perform: {action}"
                    );
                    (Trouble::Denied, words)
                }
                _ => continue,
            };
            met = met.or(Some(found));
        }
        match met {
            None => Ok(()),
            Some((trouble, words)) => Err(AccountError { action: action.to_owned(), trouble, words }),
        }
    }

    /// Why the answer of a call that was carried out is not given.
    pub(super) fn end(&mut self, action: &'static str) -> Result<(), AccountError> {
        let is_lost = |fault: &Fault| matches!(fault, Fault::AnswerLost { action: lost } if lost == action);
        let Some(at) = self.set.iter().position(is_lost) else { return Ok(()) };
        self.set.remove(at);
        let words = "no answer in time".to_owned();
        Err(AccountError { action: action.to_owned(), trouble: Trouble::Unreachable, words })
    }

    /// Why a step of a stack fails.
    pub(super) fn of_part(&self, doing: Doing, logical: &str) -> Option<String> {
        self.set.iter().find_map(|fault| {
            let (of, part, reason) = match fault {
                Fault::Create { part, reason } => (Doing::Create, part, reason),
                Fault::Update { part, reason } => (Doing::Update, part, reason),
                Fault::Delete { part, reason } => (Doing::Delete, part, reason),
                Fault::Rollback { part, reason } => (Doing::Undo, part, reason),
                _ => return None,
            };
            (of == doing && part == logical).then(|| reason.clone())
        })
    }
}
