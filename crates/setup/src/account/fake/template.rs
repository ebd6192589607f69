//! What the fake understands of a template: its resources, what each of them needs, and the functions that ours use.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// A template that was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Blueprint {
    pub(super) parts: BTreeMap<String, Part>,
    pub(super) outputs: BTreeMap<String, Value>,
}

/// A resource of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) kind: String,
    pub(super) properties: Map<String, Value>,
    /// The resources that must be there before.
    pub(super) needs: BTreeSet<String>,
    pub(super) keep: Keep,
}

/// What becomes of a resource that its stack lets go (`DeletionPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// It is deleted.
    Never,
    /// It stays.
    Always,
    /// It stays, unless the stack that it was made in never came about.
    ExceptOnCreate,
}

/// Reads a template; what is wrong with it in CloudFormation's words.
pub(super) fn read(text: &str) -> Result<Blueprint, String> {
    let value: Value = serde_json::from_str(text).map_err(|why| {
        format!("Template format error: JSON not well-formed. (line {}, column {})", why.line(), why.column())
    })?;
    let Some(resources) = value["Resources"].as_object().filter(|resources| !resources.is_empty()) else {
        return Err("Template format error: At least one Resources member must be defined.".to_owned());
    };
    let mut parts = BTreeMap::new();
    for (name, resource) in resources {
        let Some(kind) = resource["Type"].as_str() else {
            return Err(format!(
                "Template format error: [/Resources/{name}] Every Resources object must contain a Type member."
            ));
        };
        let mut needs = references(&resource["Properties"]);
        match &resource["DependsOn"] {
            Value::String(one) => needs.extend([one.clone()]),
            Value::Array(some) => needs.extend(some.iter().filter_map(|it| it.as_str().map(str::to_owned))),
            _ => {}
        }
        let keep = match resource["DeletionPolicy"].as_str() {
            Some("Retain") => Keep::Always,
            Some("RetainExceptOnCreate") => Keep::ExceptOnCreate,
            _ => Keep::Never,
        };
        let properties = resource["Properties"].as_object().cloned().unwrap_or_default();
        parts.insert(name.clone(), Part { kind: kind.to_owned(), properties, needs, keep });
    }
    let mut outputs = BTreeMap::new();
    let mut asked = BTreeSet::new();
    for (name, output) in value["Outputs"].as_object().into_iter().flatten() {
        asked.extend(references(&output["Value"]));
        outputs.insert(name.clone(), output["Value"].clone());
    }
    let known = |name: &&String| !parts.contains_key(*name);
    let missing: Vec<&String> = parts.values().flat_map(|part| &part.needs).chain(&asked).filter(known).collect();
    if let Some(missing) = missing.first() {
        return Err(format!("Template format error: Unresolved resource dependencies [{missing}] in the template"));
    }
    let blueprint = Blueprint { parts, outputs };
    if blueprint.order().len() < blueprint.parts.len() {
        return Err("Circular dependency between resources".to_owned());
    }
    Ok(blueprint)
}

impl Blueprint {
    /// The resources in an order in which they can be made. Those that wait for each other are not in it.
    pub(super) fn order(&self) -> Vec<String> {
        let mut order: Vec<String> = Vec::new();
        let mut made = BTreeSet::new();
        loop {
            let ready = |(name, part): &(&String, &Part)| !made.contains(*name) && part.needs.is_subset(&made);
            let next: Vec<String> = self.parts.iter().filter(ready).map(|(name, _)| name.clone()).collect();
            if next.is_empty() {
                return order;
            }
            made.extend(next.iter().cloned());
            order.extend(next);
        }
    }
}

/// The resources that a value speaks of.
pub(super) fn references(value: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(value, &mut names);
    names.retain(|name| !name.starts_with("AWS::"));
    names
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Object(object) => {
            if let Some(name) = object.get("Ref").and_then(Value::as_str) {
                names.insert(name.to_owned());
            }
            if let Some(name) = object.get("Fn::GetAtt").and_then(|it| it[0].as_str()) {
                names.insert(name.to_owned());
            }
            if let Some(text) = object.get("Fn::Sub").and_then(Value::as_str) {
                names.extend(holes(text).map(|hole| hole.split('.').next().unwrap_or(hole).to_owned()));
            }
            object.values().for_each(|item| collect(item, names));
        }
        _ => {}
    }
}

/// What stands in `${…}`.
fn holes(text: &str) -> impl Iterator<Item = &str> {
    text.split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}').map(|(hole, _)| hole))
        .filter(|hole| !hole.starts_with('!'))
}

/// What stands for the names in a template.
pub(super) trait Names {
    /// What `Ref` gives.
    fn reference(&self, name: &str) -> String;
    /// What `Fn::GetAtt` gives.
    fn attribute(&self, name: &str, attribute: &str) -> String;
    /// What `Fn::GetAZs` gives.
    fn zones(&self) -> Vec<String>;
}

/// A value with its functions carried out.
pub(super) fn resolved(value: &Value, names: &dyn Names) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| resolved(item, names)).collect(),
        Value::Object(object) => match object.iter().next().filter(|_| object.len() == 1) {
            Some((function, of)) => function_of(function, of, names).unwrap_or_else(|| inside(object, names)),
            None => inside(object, names),
        },
        other => other.clone(),
    }
}

fn inside(object: &Map<String, Value>, names: &dyn Names) -> Value {
    Value::Object(object.iter().map(|(key, value)| (key.clone(), resolved(value, names))).collect())
}

fn function_of(function: &str, of: &Value, names: &dyn Names) -> Option<Value> {
    Some(match function {
        "Ref" => names.reference(of.as_str()?).into(),
        "Fn::GetAtt" => names.attribute(of[0].as_str()?, of[1].as_str()?).into(),
        "Fn::GetAZs" => names.zones().into(),
        "Fn::Sub" => {
            let mut text = of.as_str()?.to_owned();
            for hole in holes(of.as_str()?) {
                let value = match hole.split_once('.') {
                    Some((name, attribute)) => names.attribute(name, attribute),
                    None => names.reference(hole),
                };
                text = text.replace(&format!("${{{hole}}}"), &value);
            }
            text.into()
        }
        "Fn::Join" => {
            let parts = resolved(&of[1], names);
            let texts: Vec<&str> = parts.as_array()?.iter().filter_map(Value::as_str).collect();
            texts.join(of[0].as_str()?).into()
        }
        "Fn::Select" => {
            let list = resolved(&of[1], names);
            list.get(usize::try_from(of[0].as_u64()?).ok()?)?.clone()
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn blueprint(resources: Value) -> Result<Blueprint, String> {
        read(&json!({ "Resources": resources }).to_string())
    }

    #[test]
    fn what_is_needed_comes_first_and_a_circle_is_refused() {
        let made = blueprint(json!({
            "A": { "Type": "t", "Properties": { "x": [{ "Fn::Sub": "${AWS::Region}-${C.Arn}-${!No}" }] } },
            "B": { "Type": "t", "DependsOn": ["A"] },
            "C": { "Type": "t", "Properties": { "y": { "Fn::GetAtt": ["D", "Id"] } } },
            "D": { "Type": "t" },
        }));
        assert_eq!(made.expect("it is whole").order(), ["D", "C", "A", "B"]);
        let circle = json!({ "A": { "Type": "t", "DependsOn": "B" }, "B": { "Type": "t", "DependsOn": "A" } });
        assert!(blueprint(circle).is_err_and(|why| why.contains("Circular")));
        let lost = json!({ "A": { "Type": "t", "Properties": { "x": { "Ref": "B" } } } });
        assert!(blueprint(lost).is_err_and(|why| why.contains("[B]")));
    }

    #[test]
    fn functions_are_carried_out() {
        struct Some;
        impl Names for Some {
            fn reference(&self, name: &str) -> String {
                format!("<{name}>")
            }
            fn attribute(&self, name: &str, attribute: &str) -> String {
                format!("<{name}/{attribute}>")
            }
            fn zones(&self) -> Vec<String> {
                vec!["a".to_owned(), "b".to_owned()]
            }
        }
        let value = json!({
            "Sub": { "Fn::Sub": "arn:${AWS::Region}:${A.Arn}" },
            "Join": { "Fn::Join": [",", [{ "Ref": "B" }, "c"]] },
            "Zone": { "Fn::Select": [1, { "Fn::GetAZs": "" }] },
            "One": { "Plain": 1 },
        });
        let expected =
            json!({ "Sub": "arn:<AWS::Region>:<A/Arn>", "Join": "<B>,c", "Zone": "b", "One": { "Plain": 1 } });
        assert_eq!(resolved(&value, &Some), expected);
    }
}
