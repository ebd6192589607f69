//! CloudFormation: stacks that make, change and take away the things of the other services, in the order of their
//! dependencies and side by side where nothing depends.
//!
//! ```text
//! CREATE_IN_PROGRESS -> CREATE_COMPLETE | ROLLBACK_IN_PROGRESS -> ROLLBACK_COMPLETE | ROLLBACK_FAILED
//! UPDATE_IN_PROGRESS -> UPDATE_COMPLETE_CLEANUP_IN_PROGRESS -> UPDATE_COMPLETE
//!            `-> UPDATE_ROLLBACK_IN_PROGRESS -> UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS -> UPDATE_ROLLBACK_COMPLETE
//! DELETE_IN_PROGRESS -> DELETE_COMPLETE | DELETE_FAILED
//! ```
//!
//! [`engine`] walks through a stack ([`teardown`] and [`finish`] are its ends), [`template`] resolves what a template says, [`resources`] holds one file for each
//! service whose things can be made. Conditions, mappings, macros, nested stacks and change sets are not there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::wire::{AwsError, Service};
use super::world::{Id, World, unknown_operation};

mod calls;
mod describe;
pub(crate) mod engine;
mod finish;
mod resources;
mod stack;
mod teardown;
mod template;

pub(crate) use resources::instances_set;
pub(crate) use stack::Stack;

/// What CloudFormation holds.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    /// By ARN, deleted ones too.
    pub(crate) stacks: BTreeMap<Id, Stack>,
    /// By name, those that are not deleted.
    pub(crate) names: BTreeMap<String, Id>,
    /// The ARNs in the order in which they were created.
    pub(crate) order: Vec<Id>,
}

/// Answers an operation.
pub(crate) fn answer(world: &mut World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    match operation {
        "CreateStack" => calls::create(world, input),
        "UpdateStack" => calls::update(world, input),
        "DeleteStack" => calls::delete(world, input),
        "DescribeStacks" => describe::stacks(world, input),
        "DescribeStackEvents" => describe::events(world, input),
        "DescribeStackResources" => describe::resources(world, input),
        "ListStackResources" => describe::list_resources(world, input),
        "ListStacks" => describe::list(world, input),
        "GetTemplate" => describe::template(world, input),
        _ => Err(unknown_operation(Service::CloudFormation, operation)),
    }
}

/// All stacks as DescribeStacks gives them.
pub(crate) fn all(world: &World) -> Vec<Value> {
    world.stacks.order.iter().filter_map(|arn| world.stacks.stacks.get(arn)).map(describe::stack).collect()
}
