//! ECS: task definitions, services with their deployments, tasks, and the scheduler behind them.
//!
//! ```text
//! PROVISIONING -> PENDING -> ACTIVATING -> RUNNING -> DEACTIVATING -> STOPPING -> DEPROVISIONING -> STOPPED
//!       a start that fails leaves for DEPROVISIONING at any time before RUNNING
//! ```
//!
//! [`life`] moves tasks along that line, [`scheduler`] makes the tasks of services; both act on timers, never by polling.
//! Clusters are made by stacks (or by `FakeAws::cluster`), not by calls.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::wire::{AwsError, Input, Service as AwsService};
use super::world::{Id, World, unknown_operation};

mod checks;
pub(crate) mod cluster;
mod definition;
mod deployments;
mod describe;
mod events;
mod fargate;
pub(crate) mod life;
mod logging;
pub(crate) mod machines;
mod place;
mod pull;
mod rollout;
mod run;
pub(crate) mod scheduler;
mod service;
mod services;
mod tags;
mod task;
mod tasks;

pub(crate) use cluster::Cluster;
pub(crate) use definition::{Definition, Family, value as definition_value};
pub(crate) use describe::{describe_service, describe_task};
pub(crate) use life::Step;
pub(crate) use rollout::alarm;
pub(crate) use service::Service;
pub(crate) use tags::{Tags, tags_of, tags_value};
pub(crate) use task::Task;

/// What ECS holds.
#[derive(Default)]
pub(crate) struct Ecs {
    /// By name.
    pub(crate) clusters: BTreeMap<String, Cluster>,
    /// By family.
    pub(crate) families: BTreeMap<String, Family>,
    /// By ARN.
    pub(crate) services: HashMap<Id, Service>,
    /// By id.
    pub(crate) tasks: HashMap<Id, Task>,
    /// Service deployments by ARN: the service.
    pub(crate) rollouts: HashMap<String, Id>,
    /// By operation, cluster and client token: the request, and what it made.
    pub(crate) tokens: HashMap<(&'static str, String, String), (Value, Vec<Id>)>,
    /// The launch types and capacity providers that have no capacity right now.
    pub(crate) without_capacity: BTreeSet<String>,
    /// For how many more tasks of `RunTask` there is room, where that is bounded.
    pub(crate) room: BTreeMap<String, u64>,
    /// Counts the addresses given out.
    pub(crate) addresses: u64,
}

/// Answers an operation.
pub(crate) fn answer(world: &mut World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    match operation {
        "DescribeClusters" => cluster::describe(world, input),
        "ListClusters" => cluster::list(world, input),
        "DescribeContainerInstances" => machines::describe(world, input),
        "RegisterTaskDefinition" => definition::register(world, input),
        "DescribeTaskDefinition" => definition::describe(world, input),
        "DeregisterTaskDefinition" => definition::deregister(world, input),
        "DeleteTaskDefinitions" => definition::delete(world, input),
        "ListTaskDefinitions" => definition::list(world, input),
        "ListTaskDefinitionFamilies" => definition::list_families(world, input),
        "CreateService" => services::create(world, input),
        "UpdateService" => services::update(world, input),
        "DeleteService" => services::delete(world, input),
        "DescribeServices" => services::describe(world, input),
        "ListServices" => services::list(world, input),
        "ListServiceDeployments" => deployments::list(world, input),
        "DescribeServiceDeployments" => deployments::describe(world, input),
        "DescribeServiceRevisions" => deployments::revisions(world, input),
        "StopServiceDeployment" => deployments::stop(world, input),
        "RunTask" => run::run(world, input),
        "StopTask" => tasks::stop(world, input),
        "ListTasks" => tasks::list(world, input),
        "DescribeTasks" => tasks::describe(world, input),
        "TagResource" => tags::tag(world, input),
        "UntagResource" => tags::untag(world, input),
        "ListTagsForResource" => tags::list(world, input),
        _ => Err(unknown_operation(AwsService::Ecs, operation)),
    }
}

/// What a request with a client token made before.
///
/// # Errors
/// `conflict` makes the error for the same token with another request.
pub(crate) fn known_token(
    world: &World,
    operation: &'static str,
    cluster: &str,
    input: &Value,
    conflict: impl Fn(&[Id]) -> AwsError,
) -> Result<Option<Vec<Id>>, AwsError> {
    let Some(token) = input.text("clientToken") else { return Ok(None) };
    match world.ecs.tokens.get(&(operation, cluster.to_owned(), token.to_owned())) {
        None => Ok(None),
        Some((before, made)) if before == input => Ok(Some(made.clone())),
        Some((_, made)) => Err(conflict(made)),
    }
}

/// Keeps what a request with a client token made.
pub(crate) fn keep_token(world: &mut World, operation: &'static str, cluster: &str, input: &Value, made: Vec<Id>) {
    if let Some(token) = input.text("clientToken") {
        world.ecs.tokens.insert((operation, cluster.to_owned(), token.to_owned()), (input.clone(), made));
    }
}

/// A page of names: those after the token, at most `maxResults` (100 unless it is given).
pub(crate) fn page<'a>(
    names: impl Iterator<Item = &'a str>,
    input: &Value,
    key: &str,
    value: impl Fn(&str) -> Value,
) -> Result<Value, AwsError> {
    let after = super::world::page_start(input, "nextToken")?;
    let most = page_size(input)?;
    let mut names: Vec<&str> =
        names.filter(|name| after.as_deref().is_none_or(|after| *name > after)).take(most + 1).collect();
    let more = names.len() > most;
    names.truncate(most);
    let mut answer = Map::new();
    if more && let Some(last) = names.last() {
        answer.insert("nextToken".to_owned(), super::world::page_token(last));
    }
    answer.insert(key.to_owned(), names.into_iter().map(value).collect());
    Ok(Value::Object(answer))
}

/// How many entries a page may have: `maxResults`, or 100.
pub(crate) fn page_size(input: &Value) -> Result<usize, AwsError> {
    let Some(most) = input.number("maxResults") else { return Ok(100) };
    let legal = usize::try_from(most).ok().filter(|most| (1..=100).contains(most));
    legal.ok_or_else(|| AwsError::invalid_parameter("maxResults must be between 1 and 100"))
}

/// A failure entry.
pub(crate) fn missing(arn: String) -> Value {
    json!({"arn": arn, "reason": "MISSING"})
}

/// What comes after the last `/` or, without one, the whole: names and ids out of ARNs.
pub(crate) fn last_part(name_or_arn: &str) -> &str {
    name_or_arn.rsplit('/').next().unwrap_or(name_or_arn)
}

/// A set of ids in their order.
pub(crate) type Ids = BTreeSet<Id>;
