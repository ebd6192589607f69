//! What a plan does to a stack: what is replaced first and loudly, then the rest; properties as they were and as they will be,
//! rights in words. What looks like a secret is never shown, and neither is what CloudFormation makes of one.

mod properties;
#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

use self::properties::{changed, policies};
use super::policy::difference;
use crate::account::{Change, ChangeAction, Replacement};

/// What is never changed in place, and has revisions instead.
const REVISED: &str = "AWS::ECS::TaskDefinition";

/// A plan in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// One entry for each resource.
    pub entries: Vec<Entry>,
}

/// What happens to one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happens.
    pub fate: Fate,
    /// Its name in the template.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// Its name in the account; empty before there is one.
    pub name: String,
    /// What changes of it, a line each.
    pub lines: Vec<String>,
}

/// What happens to a resource. The order is the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Another is made in its place.
    Replaced,
    /// Another may be made in its place.
    PerhapsReplaced,
    /// It goes.
    Removed,
    /// It leaves the stack, and stays in the account.
    LetGo,
    /// It is changed in place.
    Changed,
    /// It is made.
    Made,
    /// It is there, and is taken into the stack.
    TakenIn,
}

impl Fate {
    /// For programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fate::Replaced => "replace",
            Fate::PerhapsReplaced => "may-replace",
            Fate::Removed => "remove",
            Fate::LetGo => "let-go",
            Fate::Changed => "change",
            Fate::Made => "make",
            Fate::TakenIn => "take-in",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Fate::Replaced => "! REPLACE",
            Fate::PerhapsReplaced => "! MAY REPLACE",
            Fate::Removed => "- remove",
            Fate::LetGo => "- let go",
            Fate::Changed => "~ change",
            Fate::Made => "+ make",
            Fate::TakenIn => "+ take in",
        }
    }

    /// What a person should know of it.
    fn note(self) -> Option<&'static str> {
        match self {
            Fate::Replaced => Some("another is made in its place, and this one is deleted with what it holds"),
            Fate::PerhapsReplaced => {
                Some("only CloudFormation will know whether another is made in its place; if so, this one is deleted")
            }
            Fate::LetGo => Some("it is no part of the stack any more, and stays in the account"),
            Fate::Removed | Fate::Changed | Fate::Made | Fate::TakenIn => None,
        }
    }
}

/// A plan in words. `before` is the template that the stack was last made of, `after` the one that is planned.
#[must_use]
pub fn plan(before: Option<&str>, after: &str, changes: &[Change]) -> Told {
    let read = |text: &str| {
        let mut template = serde_json::from_str::<Value>(text).unwrap_or_default();
        template.get_mut("Resources").map(Value::take).unwrap_or_default()
    };
    let (before, after) = (before.map(read).unwrap_or_default(), read(after));
    let mut entries: Vec<Entry> =
        changes.iter().map(|change| entry(change, &before[&change.logical], &after[&change.logical])).collect();
    entries.sort_by(|one, other| (one.fate, &one.id).cmp(&(other.fate, &other.id)));
    Told { entries }
}

fn entry(change: &Change, before: &Value, after: &Value) -> Entry {
    let is_kept = |policy: &str| before[policy] == "Retain";
    let fate = match (change.action, change.replacement) {
        (ChangeAction::Add, _) => Fate::Made,
        (ChangeAction::Import, _) => Fate::TakenIn,
        (ChangeAction::Remove, _) if is_kept("DeletionPolicy") => Fate::LetGo,
        (ChangeAction::Remove, _) => Fate::Removed,
        // Another revision beside the old one: that is how every change of the servers comes about.
        (ChangeAction::Modify | ChangeAction::Dynamic, _) if change.kind == REVISED => Fate::Changed,
        (ChangeAction::Modify | ChangeAction::Dynamic, Replacement::Always) => Fate::Replaced,
        (ChangeAction::Modify, Replacement::Conditional) | (ChangeAction::Dynamic, _) => Fate::PerhapsReplaced,
        (ChangeAction::Modify, Replacement::Never) => Fate::Changed,
    };
    let mut lines: Vec<String> = match fate.note() {
        Some(_) if fate <= Fate::PerhapsReplaced && is_kept("UpdateReplacePolicy") => {
            vec!["another is made in its place, and this one stays in the account beside it".to_owned()]
        }
        note => note.map(str::to_owned).into_iter().collect(),
    };
    let has_before = !before.is_null() && fate != Fate::Removed && fate != Fate::LetGo;
    if fate == Fate::Changed && change.kind == REVISED {
        lines.push("a new revision; servers of it come before the old ones go".to_owned());
    }
    if fate == Fate::Made || has_before {
        let rights = difference(&policies(&before["Properties"]), &policies(&after["Properties"]));
        let mut found = if has_before { changed(&before["Properties"], &after["Properties"]) } else { Vec::new() };
        found.extend(rights.added.iter().map(|right| format!("+ {right}")));
        found.extend(rights.taken.iter().map(|right| format!("- {right}")));
        if found.is_empty() && !change.properties.is_empty() {
            found.push(format!("{}: follows from other changes", change.properties.join(", ")));
        }
        lines.extend(found);
    }
    Entry { fate, id: change.logical.clone(), kind: change.kind.clone(), name: change.physical.clone(), lines }
}

impl Told {
    /// What is replaced, or may be, by name in the template.
    #[must_use]
    pub fn replaced(&self) -> Vec<&str> {
        let all = self.entries.iter().filter(|entry| entry.fate <= Fate::PerhapsReplaced);
        all.map(|entry| entry.id.as_str()).collect()
    }

    fn count(&self, fates: &[Fate]) -> usize {
        self.entries.iter().filter(|entry| fates.contains(&entry.fate)).count()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.entries.is_empty() {
            return writeln!(f, "Nothing changes.");
        }
        for entry in &self.entries {
            let name = if entry.name.is_empty() { String::new() } else { format!(" {}", entry.name) };
            writeln!(f, "{:<13} {} ({}){name}", entry.fate.words(), entry.id, entry.kind)?;
            for line in entry.lines.iter().flat_map(|line| line.lines()) {
                writeln!(f, "      {line}")?;
            }
        }
        let replaced = self.count(&[Fate::Replaced, Fate::PerhapsReplaced]);
        writeln!(
            f,
            "\n{} to make, {} to change, {} to remove{}.",
            self.count(&[Fate::Made, Fate::TakenIn]),
            self.count(&[Fate::Changed]),
            self.count(&[Fate::Removed, Fate::LetGo]),
            if replaced == 0 { String::new() } else { format!(", {replaced} TO REPLACE") },
        )
    }
}
