//! What one template changes about what another one made.

use std::collections::BTreeMap;

use super::kinds;
use super::template::{Blueprint, Part, references};
use crate::account::{Change, ChangeAction, Replacement};

/// The changes from `old` to `new`, in the order of their names. `physical` is what each part of `old` is called; `is_there` tells
/// whether a part of `new` stands in the account already, outside of all stacks.
pub(super) fn changes(
    old: &Blueprint,
    new: &Blueprint,
    physical: &BTreeMap<String, String>,
    is_there: &dyn Fn(&Part) -> bool,
) -> Vec<Change> {
    let mut changes: BTreeMap<String, Change> = BTreeMap::new();
    let called = |name: &String| physical.get(name).cloned().unwrap_or_default();
    for name in new.order() {
        let Some(part) = new.parts.get(&name) else { continue };
        let (action, replacement, properties) = match old.parts.get(&name) {
            None if is_there(part) => (ChangeAction::Import, Replacement::Never, Vec::new()),
            None => (ChangeAction::Add, Replacement::Never, Vec::new()),
            Some(was) => {
                let (replacement, properties) = difference(was, part, &changes);
                if properties.is_empty() {
                    continue;
                }
                (ChangeAction::Modify, replacement, properties)
            }
        };
        let (logical, physical) = (name.clone(), called(&name));
        changes.insert(name, Change { action, logical, physical, kind: part.kind.clone(), replacement, properties });
    }
    for (name, part) in old.parts.iter().filter(|(name, _)| !new.parts.contains_key(*name)) {
        let (logical, physical, kind) = (name.clone(), called(name), part.kind.clone());
        let (action, replacement) = (ChangeAction::Remove, Replacement::Never);
        changes.insert(name.clone(), Change { action, logical, physical, kind, replacement, properties: Vec::new() });
    }
    changes.into_values().collect()
}

/// What differs between two parts of one name: properties that were changed, and those that speak of what is replaced.
fn difference(was: &Part, part: &Part, changes: &BTreeMap<String, Change>) -> (Replacement, Vec<String>) {
    if was.kind != part.kind {
        return (Replacement::Always, vec!["Type".to_owned()]);
    }
    let mut replacement = Replacement::Never;
    let mut properties = Vec::new();
    let names = was.properties.keys().chain(part.properties.keys().filter(|name| !was.properties.contains_key(*name)));
    for name in names {
        let (before, after) = (was.properties.get(name), part.properties.get(name));
        let is_replaced = |name: &String| changes.get(name).is_some_and(|it| it.replacement == Replacement::Always);
        let follows = after.is_some_and(|value| references(value).iter().any(is_replaced));
        let is_other = before != after;
        if !is_other && !follows {
            continue;
        }
        if kinds::is_replaced_by(&part.kind, name) {
            replacement = match (is_other, replacement) {
                (true, _) | (_, Replacement::Always) => Replacement::Always,
                // What it will be called is not known before: it may be the same.
                (false, _) => Replacement::Conditional,
            };
        }
        properties.push(name.clone());
    }
    properties.sort();
    (replacement, properties)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::template::read;
    use super::*;

    fn made(resources: Value) -> Blueprint {
        read(&json!({ "Resources": resources }).to_string()).expect("it is whole")
    }

    #[test]
    fn each_kind_of_change_is_told() {
        let old = made(json!({
            "Definition": { "Type": "AWS::ECS::TaskDefinition", "Properties": { "Cpu": "256" } },
            "Service": { "Type": "AWS::ECS::Service", "Properties": { "TaskDefinition": { "Ref": "Definition" } } },
            "Table": { "Type": "AWS::DynamoDB::Table", "Properties": { "TableName": "a" } },
            "Vpc": { "Type": "AWS::EC2::VPC", "Properties": { "CidrBlock": "10.0.0.0/16" } },
            "Subnet": { "Type": "AWS::EC2::Subnet", "Properties": { "VpcId": { "Ref": "Vpc" } } },
            "Gone": { "Type": "AWS::Logs::LogGroup" },
            "Same": { "Type": "AWS::Logs::LogGroup", "Properties": { "RetentionInDays": 1 } },
        }));
        let new = made(json!({
            "Definition": { "Type": "AWS::ECS::TaskDefinition", "Properties": { "Cpu": "512" } },
            "Service": { "Type": "AWS::ECS::Service", "Properties": { "TaskDefinition": { "Ref": "Definition" } } },
            "Table": { "Type": "AWS::DynamoDB::Table", "Properties": { "TableName": "a", "BillingMode": "x" } },
            "Vpc": { "Type": "AWS::EC2::VPC", "Properties": { "CidrBlock": "10.1.0.0/16" } },
            "Subnet": { "Type": "AWS::EC2::Subnet", "Properties": { "VpcId": { "Ref": "Vpc" } } },
            "Bucket": { "Type": "AWS::S3::Bucket" },
            "New": { "Type": "AWS::Logs::LogGroup" },
            "Same": { "Type": "AWS::Logs::LogGroup", "Properties": { "RetentionInDays": 1 } },
        }));
        let physical = BTreeMap::from([("Table".to_owned(), "a".to_owned())]);
        let found = changes(&old, &new, &physical, &|part| part.kind == "AWS::S3::Bucket");
        let short: Vec<_> = found
            .iter()
            .map(|it| (it.logical.as_str(), it.action, it.replacement, it.properties.join(","), it.physical.as_str()))
            .collect();
        let text = |text: &str| text.to_owned();
        assert_eq!(
            short,
            [
                ("Bucket", ChangeAction::Import, Replacement::Never, text(""), ""),
                ("Definition", ChangeAction::Modify, Replacement::Always, text("Cpu"), ""),
                ("Gone", ChangeAction::Remove, Replacement::Never, text(""), ""),
                ("New", ChangeAction::Add, Replacement::Never, text(""), ""),
                ("Service", ChangeAction::Modify, Replacement::Never, text("TaskDefinition"), ""),
                ("Subnet", ChangeAction::Modify, Replacement::Conditional, text("VpcId"), ""),
                ("Table", ChangeAction::Modify, Replacement::Never, text("BillingMode"), "a"),
                ("Vpc", ChangeAction::Modify, Replacement::Always, text("CidrBlock"), ""),
            ]
        );
    }
}
