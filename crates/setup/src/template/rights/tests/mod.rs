//! The servers may make every call that their code makes, on what is the instance's, and nothing beside that.

mod calls;
mod on;
mod parts;

use std::collections::{BTreeMap, BTreeSet};

use layer0_domain::plan::policy::{Answer, Context, Document, Request, Requester, evaluate};
use serde_json::{Value, json};

use self::on::{Row, rows};
use super::*;
use crate::template::tests::{instance, resolved};

/// The most characters of all policies in a role together, without white space (IAM quotas, "Role inline policies").
const POLICY_MAX: usize = 10_240;

/// Calls whose right is another one's ("DynamoDB API permissions", "Required permissions for Amazon S3 API operations").
const OTHERWISE: [(&str, &[&str]); 9] = [
    (
        "dynamodb:TransactWriteItems",
        &["dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:UpdateItem"],
    ),
    ("s3:CompleteMultipartUpload", &["s3:PutObject"]),
    ("s3:CreateMultipartUpload", &["s3:PutObject"]),
    ("s3:HeadBucket", &["s3:ListBucket"]),
    ("s3:HeadObject", &["s3:GetObject"]),
    ("s3:ListMultipartUploads", &["s3:ListBucketMultipartUploads"]),
    ("s3:ListObjectsV2", &["s3:ListBucket"]),
    ("s3:ListParts", &["s3:ListMultipartUploadParts"]),
    ("s3:UploadPart", &["s3:PutObject"]),
];

/// Calls that the code has and a server of this kind does not make, or that need no right.
const NOT_GIVEN: [(&str, &str); 6] = [
    ("dynamodb:CreateTable", "the stack makes the table before the servers start"),
    ("dynamodb:UpdateTimeToLive", "the stack turns it on"),
    (
        "ecr:DeleteRegistryPolicy",
        "the registry's policy is the whole account's: who wants grants there gives the right",
    ),
    ("ecr:PutRegistryPolicy", "the same"),
    ("sts:AssumeRole", "only for further registries in other accounts, whose roles nobody knows here"),
    ("sts:GetCallerIdentity", "everybody may ask (STS API reference)"),
];

/// What is asked by other protocols than AWS's own: of ECR by that of registries, of S3 by its own, and of IAM by handing on roles.
const BESIDE: [&[&str]; 3] = [actions::LAYERS, actions::OBJECTS, actions::UPLOADS];
const HANDED_ON: &str = "iam:PassRole";

const MAPPED_TO: &str =
    "[registry]\nimage_map = [\"hub.example.com|210987654321.dkr.ecr.us-west-2.amazonaws.com/team\"]";

/// The rights of both kinds of registry, each once.
fn all() -> Vec<Right> {
    let mut all = rights(&instance(MAPPED_TO));
    for right in rights(&instance("[registry]\nbacking = \"s3\"")) {
        if all.iter().all(|known| known.name != right.name) {
            all.push(right);
        }
    }
    all
}

fn document(rights: &[Right]) -> Document {
    let statements: Vec<Value> = rights.iter().map(|right| resolved(&right.statement())).collect();
    let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    assert!(!text.contains("${"), "{text}");
    Document::parse("the servers", &text).unwrap_or_else(|why| panic!("{why}"))
}

/// The keys of conditions that the rights have.
const KEYS: [&str; 7] = [
    "aws:CalledVia",
    "aws:RequestTag/layer0.instance",
    "aws:ResourceTag/layer0.instance",
    "ec2:CreateAction",
    "ecs:cluster",
    "iam:AWSServiceName",
    "iam:PassedToService",
];

/// Whether an action may be done to a resource; what is not said of the request is not so.
fn may(document: &Document, action: &str, resource: &str, with: &[(&str, String)]) -> bool {
    let none = KEYS.iter().fold(Context::new(), |context, key| context.without(key));
    let context = with.iter().fold(none, |context, (key, value)| context.with(key, value.clone()));
    let arn = "arn:aws:iam::123456789012:role/l0-prod-server".to_owned();
    let requester = Requester::Iam { account: "123456789012".to_owned(), arn: Some(arn) };
    // A family of reads is asked about by one of them.
    let action = action.replace('*', "Vpcs");
    let request = Request { requester: &requester, action: &action, resource, context: &context };
    match evaluate(&request, std::slice::from_ref(document)) {
        Answer::Allowed { .. } => true,
        Answer::NotAllowed => false,
        other => panic!("{action} on {resource}: {other}"),
    }
}

/// A row for the instance of that name.
fn of(row: &Row, name: &str) -> (Vec<String>, Vec<(&'static str, String)>) {
    let named = |text: &&str| text.replace("NAME", name);
    (row.on.iter().map(named).collect(), row.with.iter().map(|(key, value)| (*key, named(value))).collect())
}

/// The rights that the code needs, with who needs each.
fn needed() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (call, place) in calls::in_source() {
        if NOT_GIVEN.iter().any(|(name, _)| *name == call) {
            continue;
        }
        match OTHERWISE.iter().find(|(name, _)| *name == call) {
            Some((_, rights)) => all.extend(rights.iter().map(|right| ((*right).to_owned(), place.clone()))),
            None => {
                all.insert(call, place);
            }
        }
    }
    for (kind, calls) in parts::PARTS {
        all.extend(calls.iter().map(|call| ((*call).to_owned(), (*kind).to_owned())));
    }
    all.extend(BESIDE.concat().into_iter().map(|call| (call.to_owned(), "another protocol".to_owned())));
    all.insert(HANDED_ON.to_owned(), "a task definition with roles".to_owned());
    all
}

#[test]
fn every_call_of_the_code_is_allowed_on_what_is_the_instances() {
    let document = document(&all());
    for (call, place) in needed() {
        let rows: Vec<Row> = rows().into_iter().filter(|row| row.calls.contains(&call.as_str())).collect();
        assert!(!rows.is_empty(), "{call} ({place}) is new: say in `on.rs` what it is asked of, and give the right");
        for row in rows {
            let (on, with) = of(&row, "prod");
            for resource in on {
                assert!(may(&document, &call, &resource, &with), "{call} on {resource} with {with:?} is not allowed");
            }
        }
    }
}

#[test]
fn nothing_is_allowed_on_what_is_another_ones() {
    let document = document(&all());
    for row in rows() {
        for call in row.calls {
            // A name that only begins so, and one that is quite another.
            for name in ["prodx", "other"] {
                let (on, with) = of(&row, name);
                for resource in on.iter().filter(|_| row.is_named()) {
                    assert!(!may(&document, call, resource, &with), "{call} on {resource} with {with:?} is allowed");
                }
            }
            let (_, with) = of(&row, "prod");
            for resource in row.not_on {
                assert!(!may(&document, call, resource, &with), "{call} on {resource} with {with:?} is allowed");
            }
            let unsaid: Vec<(&str, String)> = with.iter().filter(|(key, _)| *key != "aws:CalledVia").cloned().collect();
            if unsaid.len() < with.len() && !row.is_direct_too {
                for resource in of(&row, "prod").0 {
                    assert!(
                        !may(&document, call, &resource, &unsaid),
                        "{call} on {resource} is allowed without a stack"
                    );
                }
            }
        }
    }
}

/// Each action of each statement is there for a call, and a statement on everything says why.
#[test]
fn no_right_is_without_a_call() {
    let needed = needed();
    for right in all() {
        let one = document(std::slice::from_ref(&right));
        for action in right.actions {
            assert!(needed.contains_key(*action), "{}: nothing needs {action}", right.name);
            let has_row = rows().iter().filter(|row| row.calls.contains(action)).any(|row| {
                let (on, with) = of(row, "prod");
                on.iter().any(|resource| may(&one, action, resource, &with))
            });
            assert!(has_row, "{}: {action} is allowed here, and nothing asks for it so", right.name);
            let is_read = action.split_once(':').is_some_and(|(_, action)| action.starts_with("Describe"));
            assert!(!action.contains('*') || is_read, "{}: {action}", right.name);
        }
        let is_open = right.resources.iter().any(|resource| resource == "*");
        assert_eq!(is_open, right.open.is_some(), "{}: {:?}", right.name, right.open);
    }
    let rows: BTreeSet<&str> = rows().iter().flat_map(|row| row.calls.iter().copied()).collect();
    for call in rows {
        assert!(needed.contains_key(call), "nothing calls {call} any more");
    }
    let in_source = calls::in_source();
    for (call, _) in NOT_GIVEN {
        assert!(in_source.contains_key(call), "nothing calls {call} any more");
    }
}

#[test]
fn every_kind_of_part_of_a_stack_has_its_calls() {
    let known: BTreeSet<String> = parts::PARTS.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    assert_eq!(known, calls::kinds_of_parts());
}

/// What a deploy or an environment starts must never have the rights of the servers, or read their token.
#[test]
fn a_servers_own_roles_are_handed_to_nobody() {
    let document = document(&all());
    for service in ["ecs-tasks.amazonaws.com", "ec2.amazonaws.com", "lambda.amazonaws.com"] {
        let with = [("iam:PassedToService", service.to_owned())];
        for own in ["l0-prod-server", "l0-prod-server-execution", "admin", "l0-prod"] {
            let role = format!("arn:aws:iam::123456789012:role/{own}");
            assert!(!may(&document, HANDED_ON, &role, &with), "{own} to {service}");
        }
        let machine = "arn:aws:iam::123456789012:role/l0-prod-machine";
        assert_eq!(may(&document, HANDED_ON, machine, &with), service.starts_with("ec2."), "{service}");
        let task = "arn:aws:iam::123456789012:role/l0-prod-task-web";
        assert_eq!(may(&document, HANDED_ON, task, &with), service.starts_with("ecs-"), "{service}");
    }
    for action in all().iter().flat_map(|right| right.actions) {
        let makes = ["iam:Create", "iam:Put", "iam:Attach", "iam:Update", "iam:Delete", "iam:*", "sts:"];
        let is_made = makes.iter().any(|start| action.starts_with(start));
        assert!(!is_made || *action == "iam:CreateServiceLinkedRole", "{action}");
    }
}

#[test]
fn the_policy_fits_a_role() {
    let long = "[network]\nvpc = \"vpc-0123456789abcdef0\"\nway_out = \"public\"\n\
                public_subnets = [\"subnet-12345678\", \"subnet-87654321\"]\n";
    let mut longest = instance(&format!("{long}{MAPPED_TO}"));
    longest.name = "abcdefghijklmnop".to_owned();
    let statements: Vec<Value> = rights(&longest).iter().map(|right| resolved(&right.statement())).collect();
    let text = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    let count = text.replace("eu-central-1", "ap-northeast-1").chars().filter(|it| !it.is_whitespace()).count();
    assert!(count <= POLICY_MAX, "{count} characters");
}
