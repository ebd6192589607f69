//! Templates: what they name, and what that stands for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::super::wire::{AwsError, Input};
use super::super::world::World;
use super::resources;
use super::stack::{Resource, Stack};

/// Reads and checks a template and the parameters that go with it.
pub(super) fn read(input: &Value, before: Option<&Stack>) -> Result<(Value, BTreeMap<String, String>), AwsError> {
    let template = match (input.text("TemplateBody"), before) {
        (Some(body), _) => serde_json::from_str(body).map_err(|error| {
            let place = format!("(line {}, column {})", error.line(), error.column());
            AwsError::validation(format!("Template format error: JSON not well-formed. {place}"))
        })?,
        (None, Some(stack)) if input.flag("UsePreviousTemplate") => stack.template.clone(),
        (None, _) => return Err(AwsError::validation("Either Template URL or Template Body must be specified.")),
    };
    let parameters = parameters(&template, input, before)?;
    check(&template, &parameters, input)?;
    Ok((template, parameters))
}

fn parameters(template: &Value, input: &Value, before: Option<&Stack>) -> Result<BTreeMap<String, String>, AwsError> {
    let none = Map::new();
    let declared = template.get("Parameters").and_then(Value::as_object).unwrap_or(&none);
    let mut values = BTreeMap::new();
    for given in input.list("Parameters") {
        let key = given.text("ParameterKey").unwrap_or_default();
        if !declared.contains_key(key) {
            return Err(AwsError::validation(format!("Parameters: [{key}] do not exist in the template")));
        }
        let value = match before {
            Some(stack) if given.flag("UsePreviousValue") => stack.parameters.get(key).cloned().unwrap_or_default(),
            _ => given.get("ParameterValue").and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        values.insert(key.to_owned(), value);
    }
    let mut missing = Vec::new();
    for (key, declaration) in declared {
        if values.contains_key(key) {
            continue;
        }
        match declaration.get("Default") {
            Some(Value::String(default)) => values.insert(key.clone(), default.clone()),
            Some(default) => values.insert(key.clone(), default.to_string()),
            None => {
                missing.push(key.as_str());
                continue;
            }
        };
    }
    if missing.is_empty() {
        Ok(values)
    } else {
        Err(AwsError::validation(format!("Parameters: [{}] must have values", missing.join(", "))))
    }
}

fn check(template: &Value, parameters: &BTreeMap<String, String>, input: &Value) -> Result<(), AwsError> {
    let declared = resources_of(template);
    if declared.is_empty() {
        return Err(AwsError::validation("Template format error: At least one Resources member must be defined."));
    }
    let kinds: BTreeSet<&str> = declared.values().map(|resource| resource.text("Type").unwrap_or_default()).collect();
    let unknown: Vec<&str> = kinds.iter().copied().filter(|kind| !resources::KINDS.contains(kind)).collect();
    if !unknown.is_empty() {
        return Err(AwsError::validation(format!(
            "Template format error: Unrecognized resource types: [{}]",
            unknown.join(", ")
        )));
    }
    let mut unresolved = BTreeSet::new();
    for resource in declared.values().chain(template.get("Outputs")) {
        let named = names_in(resource);
        unresolved.extend(named.into_iter().filter(|name| {
            !declared.contains_key(name) && !parameters.contains_key(name) && !name.starts_with("AWS::")
        }));
    }
    if !unresolved.is_empty() {
        let names: Vec<String> = unresolved.into_iter().collect();
        return Err(AwsError::validation(format!(
            "Template format error: Unresolved resource dependencies [{}] in the Resources block of the template",
            names.join(", ")
        )));
    }
    check_order(declared)?;
    let capabilities = input.texts("Capabilities");
    let iam: Vec<&Value> = declared
        .values()
        .filter(|resource| resource.text("Type").is_some_and(|kind| kind.starts_with("AWS::IAM::")))
        .collect();
    let is_named = |resource: &&&Value| {
        let properties = resource.member("Properties");
        properties.is_some_and(|p| p.member("RoleName").is_some() || p.member("InstanceProfileName").is_some())
    };
    let needed = match (iam.is_empty(), iam.iter().any(|resource| is_named(&resource))) {
        (true, _) => return Ok(()),
        (false, true) => "CAPABILITY_NAMED_IAM",
        (false, false) => "CAPABILITY_IAM",
    };
    if capabilities.contains(&needed) || capabilities.contains(&"CAPABILITY_NAMED_IAM") {
        return Ok(());
    }
    Err(AwsError::new("InsufficientCapabilitiesException", format!("Requires capabilities : [{needed}]")))
}

/// No resource may wait for itself.
fn check_order(declared: &Map<String, Value>) -> Result<(), AwsError> {
    let mut left: BTreeMap<&String, BTreeSet<String>> =
        declared.iter().map(|(name, resource)| (name, depends(resource, declared))).collect();
    loop {
        let ready: Vec<&String> = left
            .iter()
            .filter(|(_, on)| on.iter().all(|name| !left.contains_key(name)))
            .map(|(name, _)| *name)
            .collect();
        if ready.is_empty() {
            break;
        }
        for name in ready {
            left.remove(name);
        }
    }
    if left.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = left.keys().map(|name| name.as_str()).collect();
    Err(AwsError::validation(format!("Circular dependency between resources: [{}]", names.join(", "))))
}

/// The resources that a template declares.
pub(super) fn resources_of(template: &Value) -> &Map<String, Value> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    template.get("Resources").and_then(Value::as_object).unwrap_or(&NONE)
}

/// The resources that a resource waits for.
pub(super) fn depends(resource: &Value, declared: &Map<String, Value>) -> BTreeSet<String> {
    let mut on = names_in(resource);
    match resource.get("DependsOn") {
        Some(Value::String(name)) => {
            on.insert(name.clone());
        }
        Some(Value::Array(names)) => on.extend(names.iter().filter_map(Value::as_str).map(str::to_owned)),
        _ => {}
    }
    on.retain(|name| declared.contains_key(name));
    on
}

/// What `Ref`, `Fn::GetAtt` and `Fn::Sub` in a value name.
fn names_in(value: &Value) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(value, &mut names);
    names
}

fn collect(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| collect(value, names)),
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("Ref", Value::String(name)) => {
                        names.insert(name.clone());
                    }
                    ("Fn::GetAtt", Value::String(path)) => {
                        names.insert(path.split('.').next().unwrap_or(path).to_owned());
                    }
                    ("Fn::GetAtt", Value::Array(path)) => {
                        names.extend(path.first().and_then(Value::as_str).map(str::to_owned))
                    }
                    ("Fn::Sub", value) => collect_sub(value, names),
                    (_, value) => collect(value, names),
                }
            }
        }
        _ => {}
    }
}

fn collect_sub(value: &Value, names: &mut BTreeSet<String>) {
    let (text, own) = match value {
        Value::String(text) => (text.as_str(), None),
        Value::Array(parts) => (parts.first().and_then(Value::as_str).unwrap_or_default(), parts.get(1)),
        _ => return,
    };
    if let Some(own) = own {
        collect(own, names);
    }
    for (name, _) in placeholders(text) {
        let name = name.split('.').next().unwrap_or(name);
        if own.is_none_or(|own| own.get(name).is_none()) {
            names.insert(name.to_owned());
        }
    }
}

/// The names of `${Name}` in a text, with the places of the whole; `${!Literal}` is none.
fn placeholders(text: &str) -> Vec<(&str, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("${").map(|start| at + start) {
        let Some(end) = text[start..].find('}').map(|end| start + end) else { break };
        let name = &text[start + 2..end];
        if !name.starts_with('!') {
            found.push((name.trim(), start..end + 1));
        }
        at = end + 1;
    }
    found
}

/// What a template's names stand for.
pub(super) struct Names<'a> {
    pub(super) world: &'a World,
    pub(super) stack: &'a Stack,
}

impl Names<'_> {
    fn reference(&self, name: &str) -> Result<Value, String> {
        let config = &self.world.config;
        let pseudo = match name {
            "AWS::Region" => Some(config.region.clone()),
            "AWS::AccountId" => Some(config.account.clone()),
            "AWS::Partition" => Some("aws".to_owned()),
            "AWS::URLSuffix" => Some("amazonaws.com".to_owned()),
            "AWS::StackName" => Some(self.stack.name.clone()),
            "AWS::StackId" => Some(self.stack.arn.to_string()),
            "AWS::NoValue" => return Ok(Value::Null),
            _ => None,
        };
        if let Some(text) = pseudo {
            return Ok(json!(text));
        }
        if let Some(value) = self.stack.parameters.get(name) {
            let declared = self.stack.template.get("Parameters").and_then(|declared| declared.get(name));
            let kind = declared.and_then(|declared| declared.text("Type")).unwrap_or("String");
            if kind == "CommaDelimitedList" || kind.starts_with("List<") {
                return Ok(value.split(',').filter(|part| !part.is_empty()).map(|part| json!(part.trim())).collect());
            }
            return Ok(json!(value));
        }
        let resource = self.resource(name)?;
        resource.physical.as_ref().map(|id| json!(id)).ok_or_else(|| format!("Resource {name} was not created"))
    }

    fn resource(&self, name: &str) -> Result<&Resource, String> {
        self.stack.resources.get(name).ok_or_else(|| format!("Unresolved resource dependency [{name}]"))
    }

    fn attribute(&self, name: &str, attribute: &str) -> Result<Value, String> {
        let resource = self.resource(name)?;
        let found = resource.attributes.get(attribute).cloned();
        found.ok_or_else(|| format!("Requested attribute {attribute} does not exist in schema for {}", resource.kind))
    }

    /// A value with everything in it resolved. What is `AWS::NoValue` is left out.
    pub(super) fn resolve(&self, value: &Value) -> Result<Value, String> {
        match value {
            Value::Array(list) => {
                let mut resolved = Vec::new();
                for value in list {
                    let value = self.resolve(value)?;
                    if !value.is_null() {
                        resolved.push(value);
                    }
                }
                Ok(Value::Array(resolved))
            }
            Value::Object(members) if members.len() == 1 => match members.iter().next() {
                Some((key, argument)) if key == "Ref" || key.starts_with("Fn::") => self.call(key, argument),
                _ => self.resolve_members(members),
            },
            Value::Object(members) => self.resolve_members(members),
            other => Ok(other.clone()),
        }
    }

    fn resolve_members(&self, members: &Map<String, Value>) -> Result<Value, String> {
        let mut resolved = Map::new();
        for (key, value) in members {
            let value = self.resolve(value)?;
            if !value.is_null() {
                resolved.insert(key.clone(), value);
            }
        }
        Ok(Value::Object(resolved))
    }

    fn call(&self, function: &str, argument: &Value) -> Result<Value, String> {
        let bad = || format!("Template error: the argument of {function} is not valid");
        let pair = || match argument.as_array().map(Vec::as_slice) {
            Some([first, second]) => Ok((self.resolve(first)?, self.resolve(second)?)),
            _ => Err(bad()),
        };
        match function {
            "Ref" => self.reference(argument.as_str().ok_or_else(bad)?),
            "Fn::GetAtt" => {
                let path = match argument {
                    Value::String(path) => {
                        path.split_once('.').map(|(name, attribute)| (name.to_owned(), json!(attribute)))
                    }
                    Value::Array(path) => match path.as_slice() {
                        [Value::String(name), attribute] => Some((name.clone(), self.resolve(attribute)?)),
                        _ => None,
                    },
                    _ => None,
                };
                let (name, attribute) = path.ok_or_else(bad)?;
                self.attribute(&name, attribute.as_str().ok_or_else(bad)?)
            }
            "Fn::Join" => {
                let (delimiter, parts) = pair()?;
                let parts: Vec<String> = parts.as_array().ok_or_else(bad)?.iter().map(plain).collect();
                Ok(json!(parts.join(delimiter.as_str().ok_or_else(bad)?)))
            }
            "Fn::Split" => {
                let (delimiter, text) = pair()?;
                let (delimiter, text) = (delimiter.as_str().ok_or_else(bad)?, text.as_str().ok_or_else(bad)?);
                Ok(text.split(delimiter).map(|part| json!(part)).collect())
            }
            "Fn::Select" => {
                let (index, list) = pair()?;
                let index: usize = plain(&index).parse().map_err(|_| bad())?;
                list.get(index).cloned().ok_or_else(bad)
            }
            "Fn::Base64" => {
                use base64::Engine as _;
                let text = plain(&self.resolve(argument)?);
                Ok(json!(base64::engine::general_purpose::STANDARD.encode(text)))
            }
            "Fn::Sub" => self.substitute(argument),
            "Fn::ImportValue" => {
                let name = plain(&self.resolve(argument)?);
                let value = self.world.stacks.stacks.values().find_map(|stack| stack.exported(&name));
                value.map(|value| json!(value)).ok_or_else(|| format!("No export named {name} found."))
            }
            other => Err(format!("Template error: the fake does not know the function {other}")),
        }
    }

    fn substitute(&self, argument: &Value) -> Result<Value, String> {
        let (text, own) = match argument {
            Value::String(text) => (text.as_str(), Value::Null),
            Value::Array(parts) => match parts.as_slice() {
                [Value::String(text), own] => (text.as_str(), self.resolve(own)?),
                _ => return Err("Template error: the argument of Fn::Sub is not valid".to_owned()),
            },
            _ => return Err("Template error: the argument of Fn::Sub is not valid".to_owned()),
        };
        let mut made = String::new();
        let mut at = 0;
        for (name, place) in placeholders(text) {
            made.push_str(&text[at..place.start]);
            at = place.end;
            let value = match (own.get(name), name.split_once('.')) {
                (Some(value), _) => value.clone(),
                (None, Some((resource, attribute))) => self.attribute(resource, attribute)?,
                (None, None) => self.reference(name)?,
            };
            made.push_str(&plain(&value));
        }
        made.push_str(&text[at..]);
        Ok(json!(made.replace("${!", "${")))
    }
}

/// A value as text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_wherever_they_are() {
        let resource = json!({"Properties": {
            "a": {"Ref": "One"},
            "b": [{"Fn::GetAtt": ["Two", "Arn"]}, {"Fn::GetAtt": "Three.Arn"}],
            "c": {"Fn::Sub": "x ${Four} ${Five.Arn} ${!Literal}"},
            "d": {"Fn::Sub": ["${Own} ${Six}", {"Own": {"Ref": "Seven"}}]},
        }});
        let names: Vec<String> = names_in(&resource).into_iter().collect();
        assert_eq!(names, ["Five", "Four", "One", "Seven", "Six", "Three", "Two"]);
    }

    #[test]
    fn circles_are_refused() {
        let template = json!({"Resources": {
            "A": {"Type": "AWS::ECS::Cluster", "DependsOn": "B"},
            "B": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": {"Ref": "A"}}},
        }});
        let error = check(&template, &BTreeMap::new(), &json!({})).expect_err("a circle");
        assert_eq!(error.message, "Circular dependency between resources: [A, B]");
    }
}
