//! What a look at an operation comes to.

use crate::model::failure::Failure;

/// What a look at an operation comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Not done; what it waits for, in words.
    Wait(String),
    /// Done.
    Done(String),
    /// It will not be done.
    Failed(Failure),
    /// It will not be done, and what was before takes its place again.
    RollBack(Failure),
}
