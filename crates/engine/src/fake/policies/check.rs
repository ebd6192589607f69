//! What ECR says of a document.

use std::collections::BTreeSet;

use layer0_domain::model::grant::AccountId;
use layer0_domain::plan::grants::POLICY_MAX;
use layer0_domain::port::repository_policies::PolicyError;
use serde_json::Value;

/// Whose policy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// A repository's: no statement has a `Resource`.
    Repository,
    /// The registry's: each has one.
    Registry,
}

/// Whether ECR takes a document, when AWS knows no account of these.
pub(super) fn check(of: Of, unknown: &BTreeSet<AccountId>, text: &str) -> Result<(), PolicyError> {
    let refused = |why: &str| Err(PolicyError::Refused { why: why.to_owned() });
    if text.chars().count() > POLICY_MAX {
        return refused("it is too long");
    }
    let Ok(document) = serde_json::from_str::<Value>(text) else { return refused("it is no JSON") };
    let statements = match document.get("Statement") {
        Some(Value::Array(all)) => all.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => Vec::new(),
    };
    if statements.is_empty() {
        return refused("it has no statement");
    }
    for statement in &statements {
        if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
            return refused("an Effect is neither Allow nor Deny");
        }
        match (of, statement.get("Resource").is_some()) {
            (Of::Repository, true) => return refused("a statement has a Resource"),
            (Of::Registry, false) => return refused("a statement has no Resource"),
            (Of::Repository, false) | (Of::Registry, true) => {}
        }
    }
    let named = statements.iter().filter_map(|statement| statement.get("Principal")?.get("AWS"));
    let texts = named.flat_map(|who| match who {
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        who => who.as_str().into_iter().collect::<Vec<_>>(),
    });
    let is_unknown = |who: &str| unknown.iter().any(|account| who.contains(account.as_str()));
    if texts.into_iter().any(is_unknown) { Err(PolicyError::UnknownPrincipal) } else { Ok(()) }
}
