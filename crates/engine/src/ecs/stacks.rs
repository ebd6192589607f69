//! One stack, brought to what is wanted of it step by step.

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::port::engine::Removed;

use super::aws::{Aws, AwsError, FailureOf, Kind, Stack, StackWanted};
use super::template::FINGERPRINT;

/// What is known of a stack.
#[derive(Debug, Clone, Default)]
pub(super) struct StackState {
    /// As it was last seen.
    pub(super) seen: Option<Stack>,
    /// What we last began to make of it.
    begun: Option<Begun>,
    /// The wish for which what is left of another one is being taken away.
    clearing: Option<String>,
    /// How far it is.
    pub(super) progress: Progress,
}

/// What we began to make of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Begun {
    fingerprint: String,
    /// The stack's ARN where we made it.
    id: Option<String>,
}

/// How far a stack is.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Progress {
    /// It is as wanted.
    Done,
    /// It is not; what it waits for, in words.
    #[default]
    Unknown,
    /// Being made or changed.
    Going(&'static str),
    /// It can't be made so.
    Broken(Failure),
}

impl StackState {
    /// An output of a stack that is there, whether or not it is being changed.
    pub(super) fn output(&self, key: &str) -> Option<&str> {
        let seen = self.seen.as_ref().filter(|stack| !stack.status.starts_with("DELETE"))?;
        seen.outputs.get(key).map(String::as_str)
    }

    /// Whether there is something to look at again soon.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.progress, Progress::Unknown | Progress::Going(_))
    }

    /// Forgets that what is wanted was tried in vain: it is wanted anew.
    pub(super) fn try_again(&mut self) {
        if matches!(self.progress, Progress::Broken(_)) {
            self.begun = None;
            self.clearing = None;
        }
        self.progress = Progress::Unknown;
    }
}

/// The next step towards what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Make it.
    Create,
    /// Change it.
    Update,
    /// Take away what is left of one that could not be made.
    Clear,
    /// It goes on by itself.
    Wait(&'static str),
    /// It was made by us, and can't be found by its name (any more, or yet).
    LookById,
    /// It is as wanted.
    Done,
    /// It went back to what it was.
    Broken,
    /// What is left of it can't be taken away.
    Stuck,
    /// It belongs to somebody else.
    Foreign,
}

/// Decides the next step. Total: an unknown status is waited for. `clearing`: what was left of another one was being taken away
/// for this wish.
fn step(fingerprint: &str, seen: Option<&Stack>, is_ours: bool, begun: Option<&Begun>, clearing: bool) -> Step {
    let tried = begun.is_some_and(|begun| begun.fingerprint == fingerprint);
    let Some(stack) = seen else {
        return match begun {
            Some(begun) if tried && begun.id.is_some() => Step::LookById,
            _ => Step::Create,
        };
    };
    if !is_ours {
        return Step::Foreign;
    }
    let is_same = stack.parameters.get(FINGERPRINT).is_some_and(|made| made == fingerprint);
    match stack.status.as_str() {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_COMPLETE" if is_same => Step::Done,
        "UPDATE_ROLLBACK_COMPLETE" if tried => Step::Broken,
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "UPDATE_ROLLBACK_COMPLETE" | "IMPORT_COMPLETE" => Step::Update,
        "UPDATE_ROLLBACK_FAILED" | "UPDATE_FAILED" => Step::Broken,
        // Tried once for each wish: over and over it would hide what hinders it.
        "DELETE_FAILED" if tried || clearing => Step::Stuck,
        "CREATE_FAILED" | "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "DELETE_FAILED" => Step::Clear,
        "CREATE_IN_PROGRESS" => Step::Wait("its parts to be made"),
        "DELETE_IN_PROGRESS" => Step::Wait("what was there before to be taken away"),
        "ROLLBACK_IN_PROGRESS" | "UPDATE_ROLLBACK_IN_PROGRESS" | "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS" => {
            Step::Wait("AWS to undo what could not be done")
        }
        _ => Step::Wait("its parts to be changed"),
    }
}

/// Looks at a stack and goes one step.
pub(super) async fn advance(
    aws: &Aws,
    is_ours: impl Fn(&Stack) -> bool,
    wanted: &StackWanted,
    state: &mut StackState,
) -> Result<(), AwsError> {
    let fingerprint = fingerprint(wanted);
    state.seen = aws.stack_describe(&wanted.name).await?;
    let ours = state.seen.as_ref().is_some_and(&is_ours);
    let clearing = state.clearing.as_deref() == Some(fingerprint);
    let next = step(fingerprint, state.seen.as_ref(), ours, state.begun.as_ref(), clearing);
    state.progress = match next {
        Step::Done => Progress::Done,
        Step::Wait(what) => Progress::Going(what),
        Step::Create => {
            state.clearing = None;
            match aws.stack_create(wanted).await {
                Ok(id) => state.begun = Some(Begun { fingerprint: fingerprint.to_owned(), id: Some(id) }),
                // An answer was lost, or another server was faster: it is there, which is what is wanted.
                Err(error) if error.kind == Kind::Exists => {}
                Err(error) => return refused(state, error),
            }
            Progress::Going("its parts to be made")
        }
        Step::Update => {
            let id = state.begun.take().and_then(|begun| begun.id);
            state.begun = Some(Begun { fingerprint: fingerprint.to_owned(), id });
            match aws.stack_update(wanted).await {
                Ok(true) => Progress::Going("its parts to be changed"),
                Ok(false) => Progress::Done,
                Err(error) => return refused(state, error),
            }
        }
        Step::Clear => {
            aws.stack_delete(&wanted.name).await?;
            state.clearing = Some(fingerprint.to_owned());
            Progress::Going("what could not be made to be taken away")
        }
        Step::LookById => by_id(aws, state).await?,
        Step::Broken => {
            let id = state.seen.as_ref().map(|stack| stack.id.clone()).unwrap_or_default();
            let words = state.seen.as_ref().map(|stack| stack.reason.clone()).unwrap_or_default();
            Progress::Broken(failure(&aws.stack_failure(&id, FailureOf::LastChange).await?.unwrap_or(words)))
        }
        Step::Stuck => match &state.seen {
            Some(stack) => {
                let tried = state.begun.as_ref().is_some_and(|begun| begun.fingerprint == fingerprint);
                Progress::Broken(stuck(aws, stack, tried).await?)
            }
            None => Progress::Unknown,
        },
        Step::Foreign => {
            let text = format!("there is a stack `{}` that this instance did not make", wanted.name);
            let mut failure = Failure::new(FailureClass::Other, text);
            failure.hint = Some("give this instance another name (`--instance`), or remove that stack".to_owned());
            Progress::Broken(failure)
        }
    };
    Ok(())
}

/// Why what is left of a stack can't be taken away, and where we made it, why it could not be made.
async fn stuck(aws: &Aws, stack: &Stack, tried: bool) -> Result<Failure, AwsError> {
    let hindrance = hindrance(aws, stack).await?.unwrap_or_default();
    let cause = if tried { aws.stack_failure(&stack.id, FailureOf::Creation).await? } else { None };
    let text = match cause {
        Some(why) => format!("AWS could not make it: {why}; and what was made can't be taken away: {hindrance}"),
        None => format!("what was there before can't be taken away: {hindrance}"),
    };
    let mut failure = Failure::new(FailureClass::Other, text);
    failure.hint = Some("remove what AWS names, correct what it refuses, and try again".to_owned());
    Ok(failure)
}

/// A stack that we made and that its name does not lead to: it took itself away again, or is not visible yet.
async fn by_id(aws: &Aws, state: &StackState) -> Result<Progress, AwsError> {
    let Some(id) = state.begun.as_ref().and_then(|begun| begun.id.clone()) else { return Ok(Progress::Unknown) };
    Ok(match aws.stack_describe(&id).await? {
        None => Progress::Going("its parts to be made"),
        Some(stack) if stack.status == "DELETE_COMPLETE" => {
            Progress::Broken(failure(&aws.stack_failure(&id, FailureOf::Creation).await?.unwrap_or(stack.reason)))
        }
        Some(_) => Progress::Going("AWS to undo what could not be done"),
    })
}

/// A refusal is the end of it until something else is wanted; anything else is tried again.
fn refused(state: &mut StackState, error: AwsError) -> Result<(), AwsError> {
    if error.retryable() {
        return Err(error);
    }
    state.progress = Progress::Broken(error.failure());
    Ok(())
}

fn failure(why: &str) -> Failure {
    let why = if why.is_empty() { "AWS gave no reason" } else { why };
    let mut failure = Failure::new(FailureClass::Other, format!("AWS could not make it: {why}"));
    failure.hint = Some("correct what AWS names, and try again".to_owned());
    failure
}

/// The fingerprint of a wish.
fn fingerprint(wanted: &StackWanted) -> &str {
    wanted.parameters.iter().find(|(key, _)| key == FINGERPRINT).map_or("", |(_, value)| value)
}

/// Whether a stack that is to go has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Going {
    /// It has.
    Gone,
    /// It goes on; what it waits for.
    On(&'static str),
    /// It could not go, and has been begun again: what it waits for, and what hindered it.
    Again(&'static str, String),
}

impl From<Going> for Removed {
    fn from(going: Going) -> Self {
        match going {
            Going::Gone => Removed::Gone,
            Going::On(waiting_for) => Removed::Going { waiting_for: waiting_for.to_owned() },
            Going::Again(waiting_for, why) => Removed::Hindered { waiting_for: waiting_for.to_owned(), why },
        }
    }
}

/// What a stack waits for that is being taken away.
const PARTS_TO_GO: &str = "its parts to be taken away";

/// Takes a stack away, or goes on with that.
pub(super) async fn remove(aws: &Aws, is_ours: impl Fn(&Stack) -> bool, name: &str) -> Result<Going, AwsError> {
    let Some(stack) = aws.stack_describe(name).await? else { return Ok(Going::Gone) };
    if stack.status == "DELETE_COMPLETE" || !is_ours(&stack) {
        return Ok(Going::Gone);
    }
    if stack.status == "DELETE_IN_PROGRESS" {
        return Ok(Going::On(PARTS_TO_GO));
    }
    // After a failure (what is in use by others can't go) it is simply begun again, and what hinders is told.
    let why = hindrance(aws, &stack).await?;
    match aws.stack_delete(name).await {
        Err(error) if error.kind == Kind::Busy => return Ok(Going::On("AWS to finish a change")),
        begun => begun?,
    }
    Ok(match why {
        Some(why) => Going::Again(PARTS_TO_GO, why),
        None => Going::On(PARTS_TO_GO),
    })
}

/// Why a stack is still there that was to go; `None` for one that was not, or is going.
pub(super) async fn hindrance(aws: &Aws, stack: &Stack) -> Result<Option<String>, AwsError> {
    if stack.status != "DELETE_FAILED" {
        return Ok(None);
    }
    let why = aws.stack_failure(&stack.id, FailureOf::LastChange).await?.unwrap_or_else(|| stack.reason.clone());
    Ok(Some(if why.is_empty() { "AWS gave no reason".to_owned() } else { why }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn stack(status: &str, made: &str) -> Stack {
        Stack {
            id: "arn:stack/x".to_owned(),
            name: "x".to_owned(),
            status: status.to_owned(),
            reason: String::new(),
            parameters: BTreeMap::from([(FINGERPRINT.to_owned(), made.to_owned())]),
            outputs: BTreeMap::new(),
            tags: BTreeMap::new(),
        }
    }

    fn begun(fingerprint: &str) -> Begun {
        Begun { fingerprint: fingerprint.to_owned(), id: Some("arn:stack/x".to_owned()) }
    }

    #[test]
    fn each_state_leads_to_the_wanted_one_or_to_a_reason() {
        let new = begun("new");
        for (seen, begun, expected) in [
            (None, None, Step::Create),
            (None, Some(&new), Step::LookById),
            (Some(stack("CREATE_COMPLETE", "new")), None, Step::Done),
            (Some(stack("CREATE_COMPLETE", "old")), None, Step::Update),
            (Some(stack("UPDATE_ROLLBACK_COMPLETE", "old")), Some(&new), Step::Broken),
            (Some(stack("UPDATE_ROLLBACK_COMPLETE", "old")), None, Step::Update),
            (Some(stack("UPDATE_ROLLBACK_COMPLETE", "new")), Some(&new), Step::Done),
            (Some(stack("ROLLBACK_COMPLETE", "new")), Some(&new), Step::Clear),
            (Some(stack("DELETE_FAILED", "new")), None, Step::Clear),
            (Some(stack("DELETE_FAILED", "new")), Some(&new), Step::Stuck),
            (Some(stack("CREATE_IN_PROGRESS", "new")), Some(&new), Step::Wait("its parts to be made")),
            (Some(stack("SOMETHING_NEW", "new")), None, Step::Wait("its parts to be changed")),
        ] {
            assert_eq!(step("new", seen.as_ref(), true, begun, false), expected, "{seen:?} {begun:?}");
        }
        assert_eq!(step("new", Some(&stack("CREATE_COMPLETE", "new")), false, None, false), Step::Foreign);
        assert_eq!(step("new", Some(&stack("DELETE_FAILED", "new")), true, None, true), Step::Stuck);
    }
}
