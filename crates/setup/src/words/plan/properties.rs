//! Properties of a resource as they were and as they will be.

use std::collections::BTreeSet;

use serde_json::Value;

/// The longest value that is shown whole, in characters.
const VALUE_MAX: usize = 100;

/// Properties that hold policies, which are told as rights.
const POLICIES: [&str; 3] = ["Policies", "PolicyDocument", "AssumeRolePolicyDocument"];

/// Names of properties and variables whose values are nobody's business.
const SECRETS: [&str; 5] = ["SECRET", "PASSWORD", "TOKEN", "CREDENTIAL", "_KEY"];

/// What a list is told by: of two entries those belong together that have the same of the first of these.
const KEYS: [&str; 4] = ["Name", "Key", "Id", "Sid"];

/// What differs, a line each.
pub(super) fn changed(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for key in keys(before, after) {
        if !POLICIES.contains(&key.as_str()) {
            walk(&key, &before[&key], &after[&key], &mut lines);
        }
    }
    lines
}

/// The policy documents of a resource; those that say who may become a role among them.
pub(super) fn policies(properties: &Value) -> Vec<Value> {
    let inline = properties["Policies"].as_array().into_iter().flatten().map(|policy| &policy["PolicyDocument"]);
    let own = [&properties["PolicyDocument"], &properties["AssumeRolePolicyDocument"]];
    inline.chain(own).filter(|document| !document.is_null()).cloned().collect()
}

fn keys(before: &Value, after: &Value) -> BTreeSet<String> {
    let all = [before, after].into_iter().filter_map(Value::as_object);
    all.flat_map(|object| object.keys().cloned()).collect()
}

/// Whether an object is one value to people: a reference or a call of CloudFormation.
fn is_one(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|object| object.len() == 1 && object.keys().all(|key| key == "Ref" || key.starts_with("Fn::")))
}

fn walk(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(_), Value::Object(_)) if !is_one(before) && !is_one(after) => {
            for key in keys(before, after) {
                walk(&format!("{path}.{key}"), &before[&key], &after[&key], lines);
            }
        }
        (Value::Array(old), Value::Array(new)) => match key_of(old, new) {
            Some(key) => by_key(path, key, old, new, lines),
            // Two lists of one thing each are about the same thing.
            None if old.len() == 1 && new.len() == 1 => walk(&format!("{path}[0]"), &old[0], &new[0], lines),
            None => lines.push(line(path, before, after)),
        },
        (Value::String(old), Value::String(new)) if old.contains('\n') || new.contains('\n') => {
            by_line(path, old, new, lines);
        }
        _ => lines.push(line(path, before, after)),
    }
}

/// What tells the entries of both lists apart, if anything does.
fn key_of(old: &[Value], new: &[Value]) -> Option<&'static str> {
    let is_told = |list: &[Value], key: &str| {
        let found: BTreeSet<&str> = list.iter().filter_map(|entry| entry[key].as_str()).collect();
        found.len() == list.len()
    };
    KEYS.into_iter().find(|key| is_told(old, key) && is_told(new, key))
}

fn by_key(path: &str, key: &str, old: &[Value], new: &[Value], lines: &mut Vec<String>) {
    let named = |list: &[Value], name: &str| list.iter().find(|entry| entry[key] == name).cloned().unwrap_or_default();
    let all: BTreeSet<&str> = old.iter().chain(new).filter_map(|entry| entry[key].as_str()).collect();
    for name in all {
        let (old, new) = (named(old, name), named(new, name));
        let path = format!("{path}.{name}");
        // A name with a value is one thing to people.
        match (&old["Value"], &new["Value"]) {
            (Value::Null, Value::Null) => walk(&path, &old, &new, lines),
            (old, new) => walk(&path, old, new, lines),
        }
    }
}

fn by_line(path: &str, old: &str, new: &str, lines: &mut Vec<String>) {
    let (before, after): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let shown = |text: &str| {
        let name = text.split('=').next().unwrap_or_default();
        if is_secret(name) { format!("{}= (not shown)", name) } else { text.to_owned() }
    };
    let of = |from: &[&str], other: &[&str], mark: &str| -> Vec<String> {
        from.iter().filter(|text| !other.contains(text)).map(|text| format!("{path} {mark} {}", shown(text))).collect()
    };
    lines.extend(of(&before, &after, "-"));
    lines.extend(of(&after, &before, "+"));
}

fn line(path: &str, before: &Value, after: &Value) -> String {
    if is_secret(path) {
        return format!("{path}: changes (not shown)");
    }
    format!("{path}: {} → {}", shown(before), shown(after))
}

fn is_secret(path: &str) -> bool {
    let path = path.to_ascii_uppercase();
    SECRETS.iter().any(|word| path.contains(word))
}

/// A value for people; of what CloudFormation fills in, what it is.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => return "(none)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(one) if is_one(value) => match one.iter().next() {
            Some((_, Value::String(name))) => format!("<{name}>"),
            Some((call, Value::Array(parts))) if call == "Fn::GetAtt" => {
                let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
                format!("<{}>", parts.join("."))
            }
            _ => value.to_string(),
        },
        other => other.to_string(),
    };
    if text.chars().count() <= VALUE_MAX {
        return text;
    }
    // Two long values mostly differ at their ends: a digest, a list.
    let (head, tail) = (VALUE_MAX / 3, VALUE_MAX - VALUE_MAX / 3 - 1);
    let count = text.chars().count();
    let (first, last): (String, String) =
        (text.chars().take(head).collect(), text.chars().skip(count - tail).collect());
    format!("{first}…{last}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_value_that_differs_has_its_path() {
        let before = json!({
            "Cpu": "512", "Same": 1, "Gone": true,
            "Containers": [{ "Image": "a", "Environment": [{ "Name": "A", "Value": "1" }, { "Name": "B", "Value": "2" }] }],
            "Tags": [{ "Key": "x", "Value": "1" }], "Subnets": ["a"], "Text": "one\ntwo\nAPI_TOKEN = \"hunter2\"",
        });
        let after = json!({
            "Cpu": "1024", "Same": 1,
            "Containers": [{ "Image": { "Ref": "Image" }, "Environment": [{ "Name": "B", "Value": "3" }, { "Name": "DB_PASSWORD", "Value": "hunter2" }] }],
            "Tags": [{ "Key": "x", "Value": "2" }], "Subnets": ["a", "b"], "Text": "one\nthree",
            "SecretString": "hunter2",
        });
        let lines = changed(&before, &after);
        assert!(!lines.join("").contains("hunter2"), "{lines:?}");
        assert_eq!(
            lines,
            [
                "Containers[0].Environment.A: 1 → (none)",
                "Containers[0].Environment.B: 2 → 3",
                "Containers[0].Environment.DB_PASSWORD: changes (not shown)",
                "Containers[0].Image: a → <Image>",
                "Cpu: 512 → 1024",
                "Gone: true → (none)",
                "SecretString: changes (not shown)",
                "Subnets: [\"a\"] → [\"a\",\"b\"]",
                "Tags.x: 1 → 2",
                "Text - two",
                "Text - API_TOKEN = (not shown)",
                "Text + three",
            ]
        );
    }

    #[test]
    fn of_a_long_value_both_ends_are_shown() {
        let text = format!("{}{}", "a".repeat(200), "z".repeat(200));
        let short = shown(&json!(text));
        assert_eq!(short.chars().count(), VALUE_MAX);
        assert!(short.starts_with("aa") && short.ends_with("zz") && short.contains('…'));
    }
}
