//! What one policy gives that another does not, in words: how statements are cut and called makes no difference.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::statement::{statement, texts};

/// The difference of two policies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Statements of what the later one has and the earlier one has not.
    pub added: Vec<String>,
    /// Statements of what the earlier one has and the later one has not.
    pub taken: Vec<String>,
}

impl Difference {
    /// Whether they come to the same.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.added.is_empty() && self.taken.is_empty()
    }
}

/// One action on one resource. Effect, principal and condition are JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Atom {
    under: Under,
    action: String,
    resource: String,
}

/// Effect, principal and condition, the latter two as JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Under {
    effect: String,
    principal: String,
    condition: String,
}

/// The difference of two policies, as lists of their documents.
#[must_use]
pub fn difference(before: &[Value], after: &[Value]) -> Difference {
    let (before, after) = (atoms(before), atoms(after));
    Difference { added: told(after.difference(&before)), taken: told(before.difference(&after)) }
}

fn atoms(documents: &[Value]) -> BTreeSet<Atom> {
    let mut all = BTreeSet::new();
    for document in documents {
        let statements = match &document["Statement"] {
            Value::Array(all) => all.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        for one in statements {
            let under = Under {
                effect: one["Effect"].as_str().unwrap_or_default().to_owned(),
                principal: one["Principal"].to_string(),
                condition: one["Condition"].to_string(),
            };
            let resources = match texts(&one["Resource"]) {
                none if none.is_empty() => vec![String::new()],
                some => some,
            };
            for action in texts(&one["Action"]) {
                for resource in &resources {
                    all.insert(Atom { under: under.clone(), action: action.clone(), resource: resource.clone() });
                }
            }
        }
    }
    all
}

/// As few statements as say it.
fn told<'a>(atoms: impl Iterator<Item = &'a Atom>) -> Vec<String> {
    let mut by_resource: BTreeMap<(&Under, &str), BTreeSet<&str>> = BTreeMap::new();
    for atom in atoms {
        by_resource.entry((&atom.under, &atom.resource)).or_default().insert(&atom.action);
    }
    let mut by_actions: BTreeMap<(&Under, BTreeSet<&str>), Vec<&str>> = BTreeMap::new();
    for ((under, resource), actions) in by_resource {
        by_actions.entry((under, actions)).or_default().push(resource);
    }
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let one = |((under, actions), mut resources): ((&Under, BTreeSet<&str>), Vec<&str>)| {
        resources.retain(|resource| !resource.is_empty());
        statement(&json!({
            "Effect": under.effect,
            "Principal": read(&under.principal),
            "Condition": read(&under.condition),
            "Action": actions,
            "Resource": resources,
        }))
    };
    by_actions.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(statements: &Value) -> Vec<Value> {
        vec![json!({ "Version": "2012-10-17", "Statement": statements })]
    }

    #[test]
    fn the_same_rights_in_other_statements_are_no_difference() {
        let one = document(
            &json!([{ "Sid": "A", "Effect": "Allow", "Action": ["ecs:RunTask", "ecs:StopTask"], "Resource": ["a", "b"] }]),
        );
        let other = document(&json!([
            { "Effect": "Allow", "Action": "ecs:StopTask", "Resource": ["b", "a"] },
            { "Sid": "B", "Effect": "Allow", "Action": ["ecs:RunTask"], "Resource": "a" },
            { "Sid": "C", "Effect": "Allow", "Action": ["ecs:RunTask"], "Resource": "b" },
        ]));
        assert!(difference(&one, &other).is_none());
        assert!(difference(&[], &[]).is_none());
    }

    #[test]
    fn what_comes_and_what_goes_is_told() {
        let service = "arn:aws:ecs:eu-central-1:123456789012:service/l0-test-*/*";
        let before = document(
            &json!([{ "Effect": "Allow", "Action": ["ecs:CreateService", "ecs:DeleteService"], "Resource": service }]),
        );
        let after = document(&json!([
            { "Effect": "Allow", "Action": ["ecs:CreateService", "ecs:UpdateService"], "Resource": service },
            { "Effect": "Allow", "Action": "iam:PassRole", "Resource": "*", "Condition": { "StringEquals": { "iam:PassedToService": "ec2.amazonaws.com" } } },
        ]));
        assert_eq!(
            difference(&before, &after),
            Difference {
                added: vec![
                    "may change services: services in clusters named l0-test-* of account 123456789012 in eu-central-1"
                        .to_owned(),
                    "may hand on roles: anything, to machines of EC2 alone".to_owned(),
                ],
                taken: vec![
                    "may delete services: services in clusters named l0-test-* of account 123456789012 in eu-central-1"
                        .to_owned()
                ],
            }
        );
        // The same under another condition is another right.
        let mut narrowed = after.clone();
        narrowed[0]["Statement"][1]["Condition"] = Value::Null;
        let found = difference(&after, &narrowed);
        assert_eq!((found.added.len(), found.taken.len()), (1, 1));
    }
}
