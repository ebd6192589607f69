//! SimulatePrincipalPolicy: the documents of a role, evaluated.
//!
//! Actions and resources with wildcards, `NotAction` and `NotResource`, denies, a permissions boundary. A statement with a
//! condition never matches an allow and always matches a deny: the fake does not evaluate conditions.

use serde_json::{Value, json};

use super::super::wildcard;
use super::super::wire::{AwsError, Input};
use super::super::world::World;
use super::{Role, no_entity};

pub(super) fn answer(world: &World, input: &Value) -> Result<Value, AwsError> {
    let arn = input.required("PolicySourceArn", "ValidationError")?;
    let name = arn.rsplit('/').next().unwrap_or_default();
    let role = world.iam.roles.get(name).filter(|_| arn == super::role_arn(world, name));
    let role = role.ok_or_else(|| no_entity(format!("The role with name {name} cannot be found.")))?;
    let mut resources = input.texts("ResourceArns");
    if resources.is_empty() {
        resources.push("*");
    }
    let mut results = Vec::new();
    for action in input.texts("ActionNames") {
        let each: Vec<Value> = resources
            .iter()
            .map(|resource| {
                json!({
                    "EvalResourceName": resource,
                    "EvalResourceDecision": decide(world, role, action, resource),
                    "MissingContextValues": [],
                    "MatchedStatements": [],
                })
            })
            .collect();
        let first_refusal = each.iter().find(|one| one.text("EvalResourceDecision") != Some("allowed"));
        results.push(json!({
            "EvalActionName": action,
            "EvalResourceName": resources[0],
            "EvalDecision": first_refusal.unwrap_or(&each[0]).text("EvalResourceDecision"),
            "MissingContextValues": [],
            "MatchedStatements": [],
            "ResourceSpecificResults": each,
        }));
    }
    Ok(json!({"EvaluationResults": results, "IsTruncated": false}))
}

/// `allowed`, `explicitDeny` or `implicitDeny`.
pub(crate) fn decide(world: &World, role: &Role, action: &str, resource: &str) -> &'static str {
    let attached = role.attached.iter().filter_map(|arn| world.iam.policies.get(arn));
    let documents: Vec<&Value> = role.inline.values().chain(attached).collect();
    let boundary: Option<Vec<&Value>> =
        role.boundary.as_ref().map(|arn| world.iam.policies.get(arn).into_iter().collect());
    let any = |documents: &[&Value], effect: &str| {
        documents
            .iter()
            .flat_map(|document| statements(document))
            .any(|statement| statement.text("Effect") == Some(effect) && applies(statement, effect, action, resource))
    };
    if any(&documents, "Deny") || boundary.as_ref().is_some_and(|documents| any(documents, "Deny")) {
        "explicitDeny"
    } else if any(&documents, "Allow") && boundary.as_ref().is_none_or(|documents| any(documents, "Allow")) {
        "allowed"
    } else {
        "implicitDeny"
    }
}

/// The statements of a document: a list, or one alone.
fn statements(document: &Value) -> Vec<&Value> {
    match document.get("Statement") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    }
}

fn applies(statement: &Value, effect: &str, action: &str, resource: &str) -> bool {
    if statement.member("Condition").is_some() && effect == "Allow" {
        return false;
    }
    let names = |key: &str, text: &str, fold: bool| -> Option<bool> {
        let texts = match statement.get(key)? {
            Value::String(one) => vec![one.as_str()],
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let lower = |text: &str| if fold { text.to_ascii_lowercase() } else { text.to_owned() };
        Some(texts.iter().any(|pattern| wildcard::matches(&lower(pattern), &lower(text))))
    };
    let action_fits = names("Action", action, true).or_else(|| names("NotAction", action, true).map(|named| !named));
    let resource_fits = names("Resource", resource, false)
        .or_else(|| names("NotResource", resource, false).map(|named| !named))
        .unwrap_or(true);
    action_fits.unwrap_or(false) && resource_fits
}
