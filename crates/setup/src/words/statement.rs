//! A statement of a policy in words: who may do what to what, and under which condition.

use std::collections::BTreeMap;

use serde_json::Value;

use super::listed;
use super::resource::{name, resources, title};

/// What actions begin with, and what that means. The order is the order in which they are told.
const VERBS: [(&str, &[&str]); 11] = [
    ("create", &["Create"]),
    (
        "change",
        &[
            "Update",
            "Modify",
            "Put",
            "Set",
            "Configure",
            "Apply",
            "Attach",
            "Detach",
            "Add",
            "Remove",
            "Authorize",
            "Revoke",
            "Write",
        ],
    ),
    ("delete", &["Delete"]),
    ("register", &["Register"]),
    ("take back", &["Deregister"]),
    ("run", &["Run"]),
    ("stop", &["Stop", "Abort"]),
    ("tag", &["Tag", "Untag"]),
    ("send", &["Initiate", "Upload", "Complete"]),
    ("hand on", &["Pass"]),
    ("read", &["Describe", "Get", "List", "Lookup", "Filter", "Query", "Simulate", "Check", "Condition"]),
];

/// Nouns that are no nouns by themselves.
const NOUNS: [(&str, &str); 22] = [
    ("resource", "things"),
    ("tags", "tags"),
    ("tags for resource", "tags"),
    ("or update tags", "tags"),
    ("events", "events"),
    ("caller identity", "who they are"),
    ("item", "items"),
    ("check item", "items"),
    ("object", "objects"),
    ("bucket", "lists of objects"),
    ("principal policy", "what roles may do"),
    ("authorization token", "tokens"),
    ("layer availability", "whether layers are there"),
    ("download url for layer", "layers"),
    ("layer part", "parts of layers"),
    ("instances", "machines"),
    ("time to live", "when items go"),
    ("security groups to load balancer", "load balancer security groups"),
    ("load balancer to subnets", "load balancer subnets"),
    ("load balancer from subnets", "load balancer subnets"),
    ("load balancer listener ssl certificate", "load balancer certificates"),
    ("service linked role", "roles of AWS's services"),
];

/// A statement of a policy, as JSON, in words: `may create and delete services in clusters named l0-test-*`. References of
/// CloudFormation are told by their names.
#[must_use]
pub fn statement(value: &Value) -> String {
    let actions = texts(&value["Action"]);
    let denies = value["Effect"] == "Deny";
    let mut words = match subject(&value["Principal"]) {
        who if who == "everybody " && denies => "nobody may ".to_owned(),
        who if denies => format!("{who}may not "),
        who => format!("{who}may "),
    };
    words.push_str(&told(&actions, if denies { "anything" } else { "everything" }));
    let on = resources(&texts(&value["Resource"]));
    if !on.is_empty() {
        words.push_str(": ");
        words.push_str(&on);
    }
    for condition in conditions(&value["Condition"]) {
        words.push_str(", ");
        words.push_str(&condition);
    }
    words
}

/// Who, where a statement says so.
fn subject(principal: &Value) -> String {
    match principal {
        Value::Null => String::new(),
        Value::Object(kinds) => {
            let all: Vec<String> = kinds.values().flat_map(texts).map(|one| service(&one)).collect();
            format!("{} ", listed(&all))
        }
        _ => "everybody ".to_owned(),
    }
}

/// A service by its principal.
fn service(principal: &str) -> String {
    match principal {
        "ecs-tasks.amazonaws.com" => "tasks of ECS".to_owned(),
        "ec2.amazonaws.com" => "machines of EC2".to_owned(),
        "cloudformation.amazonaws.com" => "CloudFormation".to_owned(),
        "*" => "everybody".to_owned(),
        other => other.to_owned(),
    }
}

/// A text or a list of texts, what CloudFormation fills in by its name.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Object(one) => match one.iter().next() {
            Some((key, Value::String(text))) if key == "Fn::Sub" => vec![text.clone()],
            Some((key, Value::String(text))) if key == "Ref" => vec![format!("${{{text}}}")],
            Some((key, Value::Array(parts))) if key == "Fn::GetAtt" => {
                let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
                vec![format!("${{{}}}", parts.join("."))]
            }
            _ => vec![value.to_string()],
        },
        Value::Null => Vec::new(),
        Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
    }
}

/// Actions by what they do, those that do the same to different things together.
fn told(actions: &[String], all_of: &str) -> String {
    let mut by_noun: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
    let mut others = Vec::new();
    for action in actions {
        let Some((service, call)) = action.split_once(':') else {
            others.push(format!("`{action}`"));
            continue;
        };
        match read(call) {
            Some((verb, noun)) => {
                let verbs = by_noun.entry((service.to_owned(), noun)).or_default();
                if !verbs.contains(&verb) {
                    verbs.push(verb);
                }
            }
            None if call == "*" => others.push(format!("do {all_of} with {}", title(service))),
            None if action == "sts:AssumeRole" => others.push("become this role".to_owned()),
            None => others.push(format!("`{action}`")),
        }
    }
    let mut by_verbs: BTreeMap<(String, Vec<usize>), Vec<String>> = BTreeMap::new();
    for ((service, noun), mut verbs) in by_noun {
        verbs.sort_unstable();
        by_verbs.entry((service, verbs)).or_default().push(noun);
    }
    let all = by_verbs.into_iter().map(|((service, verbs), nouns)| {
        let verbs: Vec<String> = verbs.into_iter().map(|at| VERBS[at].0.to_owned()).collect();
        let nouns: Vec<String> = nouns
            .into_iter()
            .map(|noun| if noun.is_empty() { format!("everything of {}", title(&service)) } else { noun })
            .collect();
        format!("{} {}", listed(&verbs), listed(&nouns))
    });
    let mut told: Vec<String> = Vec::new();
    for one in all.chain(others) {
        if !told.contains(&one) {
            told.push(one);
        }
    }
    told.join("; ")
}

/// The verb, by its place, and the noun of a call; none for one that begins with no verb that is known.
fn read(call: &str) -> Option<(usize, String)> {
    let is_family = call.ends_with('*');
    let mut words = camel(call.trim_end_matches('*'));
    if words.first().is_some_and(|word| word == "Batch") {
        words.remove(0);
    }
    let first = words.first()?;
    let verb = VERBS.iter().position(|(_, starts)| starts.contains(&first.as_str()))?;
    if is_family {
        return Some((verb, String::new()));
    }
    let noun = words[1..].join(" ").to_ascii_lowercase();
    Some((
        verb,
        match NOUNS.iter().find(|(from, _)| *from == noun) {
            Some((_, to)) => (*to).to_owned(),
            None if noun.is_empty() => "items".to_owned(),
            None => plural(&noun),
        },
    ))
}

/// `DescribeServices` in its words.
fn camel(call: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in call.replace("SSL", "Ssl").chars() {
        match words.last_mut() {
            Some(word) if !letter.is_ascii_uppercase() => word.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    words
}

fn plural(noun: &str) -> String {
    match noun {
        _ if noun.ends_with('s') || noun.ends_with("health") => noun.to_owned(),
        _ if noun.ends_with("cy") || noun.ends_with("ry") => format!("{}ies", &noun[..noun.len() - 1]),
        _ => format!("{noun}s"),
    }
}

fn conditions(condition: &Value) -> Vec<String> {
    let mut all = Vec::new();
    for (operator, keys) in condition.as_object().into_iter().flatten() {
        for (key, values) in keys.as_object().into_iter().flatten() {
            let values: Vec<String> = texts(values).iter().map(|value| name(value)).collect();
            all.push(one_condition(operator, key, &values));
        }
    }
    all
}

fn one_condition(operator: &str, key: &str, values: &[String]) -> String {
    let either = values.join(" or ");
    if operator.contains("Not") {
        return format!("where {key} is not {either}");
    }
    match (key, key.split_once('/')) {
        ("aws:CalledVia", _) => {
            let by: Vec<String> = values.iter().map(|value| service(value)).collect();
            format!("through {} alone", by.join(" or "))
        }
        ("iam:PassedToService", _) => {
            let to: Vec<String> = values.iter().map(|value| service(value)).collect();
            format!("to {} alone", to.join(" or "))
        }
        ("iam:AWSServiceName", _) => format!("for {either} alone"),
        ("ec2:CreateAction", _) => format!("as part of {either}"),
        ("aws:SecureTransport", _) if either == "false" => "without TLS".to_owned(),
        ("aws:PrincipalAccount", _) => format!("who is of account {either}"),
        ("ecs:cluster", _) => format!("of {}", resources(values)),
        (_, Some(("aws:ResourceTag", tag))) => format!("if they have the tag {tag} = {either}"),
        (_, Some(("aws:RequestTag", tag))) => format!("if they are given the tag {tag} = {either}"),
        _ => format!("where {key} is {either}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_have_a_verb_and_a_noun() {
        for (call, verb, noun) in [
            ("CreateService", "create", "services"),
            ("BatchDeleteImage", "delete", "images"),
            ("PutLifecyclePolicy", "change", "lifecycle policies"),
            ("DescribeRepositories", "read", "repositories"),
            ("DescribeTargetHealth", "read", "target health"),
            ("GetDownloadUrlForLayer", "read", "layers"),
            ("Query", "read", "items"),
            ("PassRole", "hand on", "roles"),
            ("SetLoadBalancerListenerSSLCertificate", "change", "load balancer certificates"),
        ] {
            let (at, found) = read(call).unwrap_or_else(|| panic!("{call}"));
            assert_eq!((VERBS[at].0, found.as_str()), (verb, noun), "{call}");
        }
        assert_eq!(read("Frobnicate"), None);
    }

    #[test]
    fn a_statement_says_who_may_do_what_to_what_and_when() {
        let lines: Vec<String> = [
            json!({ "Effect": "Allow", "Action": ["ecs:CreateService", "ecs:UpdateService", "ecs:DeleteService"],
                "Resource": "arn:aws:ecs:eu-central-1:123456789012:service/l0-test-*/*" }),
            json!({ "Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::123456789012:role/l0-test-task-*",
                "Condition": { "StringEquals": { "iam:PassedToService": "ecs-tasks.amazonaws.com" } } }),
            json!({ "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
                "Condition": { "Bool": { "aws:SecureTransport": "false" } } }),
            json!({ "Effect": "Allow", "Principal": { "Service": "ecs-tasks.amazonaws.com" }, "Action": "sts:AssumeRole" }),
            json!({ "Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": [{ "Ref": "AdminToken" }] }),
            json!({ "Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*",
                "Condition": { "StringNotEquals": { "aws:RequestedRegion": "eu-central-1" } } }),
        ]
        .iter()
        .map(statement)
        .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
