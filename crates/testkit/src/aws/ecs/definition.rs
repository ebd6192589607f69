//! Task definitions: families of revisions that are never used twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::wire::time::{seconds, seconds_of};
use super::super::wire::{AwsError, Input};
use super::super::world::{World, page_start, page_token};
use super::{Ecs, Tags, checks, fargate, page, page_size, tags_of, tags_value};

/// What was registered; never changes.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) family: String,
    pub(crate) revision: u64,
    pub(crate) arn: String,
    /// As it was given, with ECS's defaults; without its tags.
    pub(crate) document: Value,
    pub(crate) compatibilities: Vec<&'static str>,
    pub(crate) registered_ms: i64,
}

impl Definition {
    pub(crate) fn containers(&self) -> &[Value] {
        self.document.list("containerDefinitions")
    }

    pub(crate) fn is_awsvpc(&self) -> bool {
        self.document.text("networkMode") == Some("awsvpc")
    }
}

/// The state of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Inactive,
    Deleting,
}

impl Status {
    const fn text(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Inactive => "INACTIVE",
            Self::Deleting => "DELETE_IN_PROGRESS",
        }
    }
}

/// A revision and what becomes of it.
pub(crate) struct Registered {
    pub(crate) definition: Arc<Definition>,
    pub(crate) tags: Tags,
    pub(crate) status: Status,
    pub(crate) deregistered_ms: Option<i64>,
    pub(crate) visible_ms: i64,
}

/// A family.
#[derive(Default)]
pub(crate) struct Family {
    /// The revision that was given out last.
    last: u64,
    pub(crate) revisions: BTreeMap<u64, Registered>,
}

pub(super) fn register(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    checks::check(input)?;
    let family = input.required("family", "ClientException")?.to_owned();
    let mut document = checks::with_defaults(input.clone());
    if let Some(members) = document.as_object_mut() {
        members.remove("tags");
    }
    let revision = world.ecs.families.get(&family).map_or(1, |family| family.last + 1);
    let mut compatibilities = vec!["EC2"];
    if fargate::problem(&document).is_none() {
        compatibilities.push("FARGATE");
    }
    let definition = Arc::new(Definition {
        arn: world.arn("ecs", &format!("task-definition/{family}:{revision}")),
        revision,
        document,
        compatibilities,
        registered_ms: world.now_ms,
        family: family.clone(),
    });
    let registered = Registered {
        definition,
        tags: tags_of(input.list("tags")),
        status: Status::Active,
        deregistered_ms: None,
        visible_ms: world.visible_ms(),
    };
    let answer = json!({"taskDefinition": value(world, &registered), "tags": tags_value(&registered.tags)});
    let entry = world.ecs.families.entry(family).or_default();
    entry.last = revision;
    entry.revisions.insert(revision, registered);
    Ok(answer)
}

/// A revision as DescribeTaskDefinition gives it.
pub(crate) fn value(world: &World, registered: &Registered) -> Value {
    let definition = &registered.definition;
    let mut members = definition.document.as_object().cloned().unwrap_or_else(Map::new);
    let mut put = |key: &str, value: Value| members.insert(key.to_owned(), value);
    put("taskDefinitionArn", json!(definition.arn));
    put("family", json!(definition.family));
    put("revision", json!(definition.revision));
    put("status", json!(registered.status.text()));
    put("compatibilities", json!(definition.compatibilities));
    put("registeredAt", seconds(definition.registered_ms));
    put("registeredBy", json!(format!("arn:aws:iam::{}:root", world.config.account)));
    if registered.deregistered_ms.is_some() {
        put("deregisteredAt", seconds_of(registered.deregistered_ms));
    }
    Value::Object(members)
}

/// `family`, `family:revision` or an ARN: the family and the revision.
fn parse(name: &str) -> (&str, Option<u64>) {
    let short = super::last_part(name);
    match short.rsplit_once(':') {
        Some((family, revision)) => (family, revision.parse().ok()),
        None => (short, None),
    }
}

/// The revision that is meant: of a bare family the newest that is ACTIVE.
pub(super) fn registered<'a>(world: &'a World, name: &str) -> Option<&'a Registered> {
    let (family, revision) = parse(name);
    let revisions = &world.ecs.families.get(family)?.revisions;
    let visible = |registered: &&Registered| registered.visible_ms <= world.now_ms;
    match revision {
        Some(revision) => revisions.get(&revision).filter(visible),
        None => revisions.values().rev().filter(visible).find(|registered| registered.status == Status::Active),
    }
}

/// The revision with this ARN, seen or not.
pub(super) fn registered_mut<'a>(ecs: &'a mut Ecs, name: &str) -> Option<&'a mut Registered> {
    let (family, revision) = parse(name);
    ecs.families.get_mut(family)?.revisions.get_mut(&revision?)
}

/// The definition that a service or task is to be made of.
pub(super) fn usable(world: &World, input: &Value) -> Result<Arc<Definition>, AwsError> {
    let name = input.text("taskDefinition").ok_or_else(|| AwsError::client("TaskDefinition can not be blank."))?;
    let found = registered(world, name).ok_or_else(|| AwsError::client("TaskDefinition not found."))?;
    if found.status != Status::Active {
        return Err(AwsError::client("TaskDefinition is inactive"));
    }
    Ok(found.definition.clone())
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, AwsError> {
    let name = input.required("taskDefinition", "ClientException")?;
    let found = registered(world, name).ok_or_else(|| AwsError::client("Unable to describe task definition."))?;
    let mut answer = json!({"taskDefinition": value(world, found)});
    if input.texts("include").contains(&"TAGS") {
        answer["tags"] = tags_value(&found.tags);
    }
    Ok(answer)
}

pub(super) fn deregister(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let name = input.required("taskDefinition", "ClientException")?;
    if parse(name).1.is_none() {
        return Err(AwsError::invalid_parameter("Revision is missing"));
    }
    if registered(world, name).is_none() {
        return Err(AwsError::client(
            "The specified task definition does not exist. Specify a valid account, family, revision and try again.",
        ));
    }
    let now_ms = world.now_ms;
    if let Some(found) = registered_mut(&mut world.ecs, name)
        && found.status == Status::Active
    {
        found.status = Status::Inactive;
        found.deregistered_ms = Some(now_ms);
    }
    let found = registered(world, name).ok_or_else(|| AwsError::client("Unable to describe task definition."))?;
    Ok(json!({"taskDefinition": value(world, found)}))
}

/// Deletes revisions that are INACTIVE. One that a service or task still uses stays DELETE_IN_PROGRESS; the others are gone at
/// once (AWS takes up to an hour).
pub(super) fn delete(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let names = input.texts("taskDefinitions");
    if names.is_empty() || names.len() > 10 {
        return Err(AwsError::invalid_parameter("taskDefinitions must have between 1 and 10 elements"));
    }
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        let status = registered(world, name).map(|found| (found.status, found.definition.clone()));
        match status {
            Some((Status::Inactive | Status::Deleting, definition)) => {
                if let Some(found) = registered_mut(&mut world.ecs, name) {
                    found.status = Status::Deleting;
                }
                if let Some(found) = registered(world, name) {
                    deleted.push(value(world, found));
                }
                // One holder is this function, another the registry.
                if Arc::strong_count(&definition) <= 2
                    && let Some(family) = world.ecs.families.get_mut(&definition.family)
                {
                    family.revisions.remove(&definition.revision);
                }
            }
            Some((Status::Active, definition)) => failures.push(json!({
                "arn": definition.arn,
                "reason": "The specified task definition is still in ACTIVE status. Please deregister the target and try again.",
            })),
            None => failures.push(json!({
                "arn": name,
                "reason": "The specified task definition identifier does not exist. Specify a valid name or ARN and try again.",
            })),
        }
    }
    Ok(json!({"taskDefinitions": deleted, "failures": failures}))
}

pub(super) fn list(world: &World, input: &Value) -> Result<Value, AwsError> {
    let prefix = input.text("familyPrefix");
    let status = input.text("status").unwrap_or("ACTIVE");
    let mut arns = Vec::new();
    for (name, family) in &world.ecs.families {
        // The parameter is called a prefix, but it names one family (API reference).
        if prefix.is_some_and(|prefix| prefix != name) {
            continue;
        }
        let shown =
            family.revisions.values().filter(|found| found.status.text() == status && found.visible_ms <= world.now_ms);
        // Padded, so that the order of the texts is that of the numbers.
        arns.extend(shown.map(|found| format!("{name}:{:020}", found.definition.revision)));
    }
    let newest_first = input.text("sort") == Some("DESC");
    if newest_first {
        arns.reverse();
    }
    let after = page_start(input, "nextToken")?;
    let start = after
        .map_or(0, |after| arns.partition_point(|name| if newest_first { *name >= after } else { *name <= after }));
    let most = page_size(input)?;
    let shown: Vec<String> = arns.iter().skip(start).take(most).map(|name| arn_of(world, name)).collect();
    let mut answer = json!({"taskDefinitionArns": shown});
    if arns.len() > start + most {
        answer["nextToken"] = page_token(&arns[start + most - 1]);
    }
    Ok(answer)
}

/// `ListTaskDefinitionFamilies`: here the prefix is one.
pub(super) fn list_families(world: &World, input: &Value) -> Result<Value, AwsError> {
    let prefix = input.text("familyPrefix").unwrap_or_default();
    let asked = input.text("status").unwrap_or("ACTIVE");
    let names = world.ecs.families.iter().filter(|(name, family)| {
        let active = family.revisions.values().any(|found| found.status.text() == "ACTIVE");
        name.starts_with(prefix)
            && family.revisions.values().any(|found| found.visible_ms <= world.now_ms)
            && match asked {
                "ACTIVE" => active,
                "INACTIVE" => !active,
                _ => true,
            }
    });
    page(names.map(|(name, _)| name.as_str()), input, "families", |name| json!(name))
}

/// The ARN of a padded `family:revision`.
fn arn_of(world: &World, padded: &str) -> String {
    let (family, revision) = padded.rsplit_once(':').unwrap_or((padded, "0"));
    world.arn("ecs", &format!("task-definition/{family}:{}", revision.trim_start_matches('0')))
}
