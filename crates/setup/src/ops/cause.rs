//! What of a stack's events was the cause.

use std::fmt;

use crate::account::Event;

/// The kind of the stack itself among its events.
const STACK: &str = "AWS::CloudFormation::Stack";

/// The first thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The resource, by its name in the template.
    pub logical: String,
    /// `AWS::ECS::Service`
    pub kind: String,
    /// `CREATE_FAILED`, …
    pub status: String,
    /// Why, in AWS's words.
    pub reason: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match self.status.split('_').next() {
            Some("CREATE") => "made",
            Some("DELETE") => "deleted",
            _ => "changed",
        };
        write!(f, "{} ({}) could not be {doing}: {}", self.logical, self.kind, self.reason)
    }
}

fn of(event: &Event) -> Cause {
    Cause {
        logical: event.logical.clone(),
        kind: event.kind.clone(),
        status: event.status.clone(),
        reason: event.reason.clone(),
    }
}

/// Where the newest change of a stack begins among its events.
pub(super) fn last_change(events: &[Event]) -> usize {
    let begins = |event: &Event| {
        event.kind == STACK
            && matches!(event.status.as_str(), "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" | "DELETE_IN_PROGRESS")
    };
    // A deletion that failed is of interest together with what it was to clear away.
    events.iter().rposition(|event| begins(event) && event.status != "DELETE_IN_PROGRESS").unwrap_or_default()
}

/// What could not be taken away or undone, in the order in which that was tried last.
pub(super) fn failures(events: &[Event]) -> Vec<Cause> {
    let turn = events.iter().position(|event| event.kind == STACK && event.status.contains("ROLLBACK"));
    let mut all: Vec<Cause> = Vec::new();
    for event in &events[turn.unwrap_or_default()..] {
        if event.kind != STACK && event.status.ends_with("_FAILED") && !event.status.starts_with("CREATE") {
            all.retain(|other| other.logical != event.logical);
            all.push(of(event));
        }
    }
    all
}

/// The first real cause: what failed by itself, and not because something else had. Events are of one change, the oldest first.
#[must_use]
pub fn cause(events: &[Event]) -> Option<Cause> {
    let failed = |event: &&Event| event.status.ends_with("_FAILED");
    // "Resource creation cancelled", "Resource update cancelled": another one had failed.
    let by_itself = |event: &&Event| !event.reason.ends_with("cancelled") && !event.reason.ends_with("canceled");
    let of_resources = || events.iter().filter(failed).filter(|event| event.kind != STACK);
    of_resources()
        .find(by_itself)
        .or_else(|| of_resources().next())
        .or_else(|| events.iter().filter(failed).find(|event| !event.reason.is_empty()))
        // A stack that is refused before any resource of it is begun.
        .or_else(|| {
            events.iter().find(|event| event.status.ends_with("ROLLBACK_IN_PROGRESS") && !event.reason.is_empty())
        })
        .map(of)
}

/// What had been done and was undone, in the order in which that happened.
#[must_use]
pub fn undone(events: &[Event]) -> Vec<String> {
    let turn = events.iter().position(|event| event.kind == STACK && event.status.contains("ROLLBACK"));
    let Some(turn) = turn else { return Vec::new() };
    let mut names: Vec<String> = Vec::new();
    for event in &events[turn..] {
        let ended = matches!(event.status.as_str(), "DELETE_COMPLETE" | "UPDATE_COMPLETE");
        if ended && event.kind != STACK && !names.contains(&event.logical) {
            names.push(event.logical.clone());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use layer0_domain::model::time::Timestamp;

    use super::*;

    fn events(lines: &[(&str, &str, &str)]) -> Vec<Event> {
        lines
            .iter()
            .enumerate()
            .map(|(at, (logical, status, reason))| Event {
                id: at.to_string(),
                at: Timestamp(0),
                logical: (*logical).to_owned(),
                physical: String::new(),
                kind: if *logical == "l0-test" { STACK } else { "AWS::EC2::VPC" }.to_owned(),
                status: (*status).to_owned(),
                reason: (*reason).to_owned(),
            })
            .collect()
    }

    #[test]
    fn what_was_cancelled_is_no_cause() {
        let events = events(&[
            ("l0-test", "CREATE_IN_PROGRESS", "User Initiated"),
            ("Vpc", "CREATE_COMPLETE", ""),
            ("Log", "CREATE_FAILED", "Resource creation cancelled"),
            ("State", "CREATE_FAILED", "Resource handler returned message: \"quota\""),
            ("l0-test", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Log, State]."),
            ("Vpc", "DELETE_IN_PROGRESS", ""),
            ("Vpc", "DELETE_COMPLETE", ""),
            ("l0-test", "ROLLBACK_COMPLETE", ""),
        ]);
        let found = cause(&events).expect("a cause");
        assert_eq!(
            found.to_string(),
            "State (AWS::EC2::VPC) could not be made: Resource handler returned message: \"quota\""
        );
        assert_eq!(undone(&events), ["Vpc"]);
    }

    #[test]
    fn a_stack_that_fails_as_a_whole_has_its_own_cause_and_a_good_one_has_none() {
        let whole = events(&[("l0-test", "CREATE_IN_PROGRESS", ""), ("l0-test", "ROLLBACK_IN_PROGRESS", "no rights")]);
        assert_eq!(cause(&whole).expect("a cause").reason, "no rights");
        let good = events(&[("Vpc", "CREATE_COMPLETE", ""), ("l0-test", "CREATE_COMPLETE", "")]);
        assert_eq!((cause(&good), undone(&good)), (None, Vec::new()));
    }
}
