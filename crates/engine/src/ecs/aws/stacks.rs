//! CloudFormation stacks.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::types::{Capability, OnFailure, Parameter, Tag};

use super::pace::Family;
use super::{Aws, AwsError, Kind};

/// A stack as CloudFormation has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct Stack {
    /// Its ARN, by which it is found after its deletion too.
    pub(in crate::ecs) id: String,
    /// Its name.
    pub(in crate::ecs) name: String,
    /// `CREATE_COMPLETE`, …
    pub(in crate::ecs) status: String,
    /// Why, in CloudFormation's words.
    pub(in crate::ecs) reason: String,
    /// The parameters it was last made with.
    pub(in crate::ecs) parameters: BTreeMap<String, String>,
    /// What it answers.
    pub(in crate::ecs) outputs: BTreeMap<String, String>,
    /// Labels.
    pub(in crate::ecs) tags: BTreeMap<String, String>,
}

/// A stack to be made or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct StackWanted {
    /// Its name.
    pub(in crate::ecs) name: String,
    /// The template, JSON.
    pub(in crate::ecs) template: String,
    /// The parameters.
    pub(in crate::ecs) parameters: Vec<(String, String)>,
    /// Labels, for the stack and all that it makes.
    pub(in crate::ecs) tags: Vec<(String, String)>,
}

impl Aws {
    /// Begins to make a stack; one that can't be made takes all that it made away again, itself too. Answers its ARN.
    pub(in crate::ecs) async fn stack_create(&self, wanted: &StackWanted) -> Result<String, AwsError> {
        let op = "cloudformation:CreateStack";
        let call = self
            .stacks
            .create_stack()
            .stack_name(&wanted.name)
            .template_body(&wanted.template)
            .set_parameters(Some(parameters(wanted)))
            .set_tags(Some(tags(wanted)))
            .capabilities(Capability::CapabilityNamedIam)
            .on_failure(OnFailure::Delete);
        let answer = self.send(op, Family::Stacks, call.send()).await?;
        answer.stack_id.ok_or_else(|| AwsError::incomplete(op, "stack id"))
    }

    /// Begins to change a stack; `false` when there is nothing to change.
    pub(in crate::ecs) async fn stack_update(&self, wanted: &StackWanted) -> Result<bool, AwsError> {
        let call = self
            .stacks
            .update_stack()
            .stack_name(&wanted.name)
            .template_body(&wanted.template)
            .set_parameters(Some(parameters(wanted)))
            .set_tags(Some(tags(wanted)))
            .capabilities(Capability::CapabilityNamedIam);
        match self.send("cloudformation:UpdateStack", Family::Stacks, call.send()).await {
            Ok(_) => Ok(true),
            // There is no code of its own for it.
            Err(error) if error.code == VALIDATION && error.message.contains("No updates are to be performed") => {
                Ok(false)
            }
            // A stack that is being changed is refused with the same code as a wrong template.
            Err(error) if error.code == VALIDATION && error.message.contains("_IN_PROGRESS") => {
                Err(error.with_kind(Kind::Busy))
            }
            Err(error) => Err(gone(error)),
        }
    }

    /// Begins to take a stack away with all that it made.
    pub(in crate::ecs) async fn stack_delete(&self, name: &str) -> Result<(), AwsError> {
        let call = self.stacks.delete_stack().stack_name(name);
        match self.send("cloudformation:DeleteStack", Family::Stacks, call.send()).await {
            Ok(_) => Ok(()),
            // One that is being changed can't be deleted before that has ended.
            Err(error) if error.code == VALIDATION && error.message.contains("_IN_PROGRESS") => {
                Err(error.with_kind(Kind::Busy))
            }
            Err(error) => Err(error),
        }
    }

    /// One stack by name or ARN. By name, one that was deleted isn't there.
    pub(in crate::ecs) async fn stack_describe(&self, name: &str) -> Result<Option<Stack>, AwsError> {
        let call = self.stacks.describe_stacks().stack_name(name);
        match self.send("cloudformation:DescribeStacks", Family::StacksRead, call.send()).await.map_err(gone) {
            Ok(answer) => Ok(answer.stacks.unwrap_or_default().into_iter().next().map(stack)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All stacks of the account and region whose name begins with `prefix`.
    pub(in crate::ecs) async fn stacks_list(&self, prefix: &str) -> Result<Vec<Stack>, AwsError> {
        let mut stacks = Vec::new();
        let mut token = None;
        loop {
            let call = self.stacks.describe_stacks().set_next_token(token);
            let answer = self.send("cloudformation:DescribeStacks", Family::StacksRead, call.send()).await?;
            stacks.extend(answer.stacks.unwrap_or_default().into_iter().map(stack));
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                stacks.retain(|stack| stack.name.starts_with(prefix));
                return Ok(stacks);
            }
        }
    }

    /// What a part of a stack is called; `None` when stack or part is not there.
    pub(in crate::ecs) async fn stack_resource(&self, stack: &str, part: &str) -> Result<Option<String>, AwsError> {
        let call = self.stacks.describe_stack_resources().stack_name(stack).logical_resource_id(part);
        let op = "cloudformation:DescribeStackResources";
        let answer = match self.send(op, Family::StacksRead, call.send()).await.map_err(gone) {
            Ok(answer) => answer,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut found = answer.stack_resources.unwrap_or_default().into_iter();
        Ok(found.find(|it| it.logical_resource_id.as_deref() == Some(part)).and_then(|it| it.physical_resource_id))
    }

    /// The first failure in what a stack last did, or in its creation: which resource, and why. What was cancelled because of it
    /// is left out.
    pub(in crate::ecs) async fn stack_failure(&self, id: &str, of: FailureOf) -> Result<Option<String>, AwsError> {
        let mut first = None;
        let mut token = None;
        // The newest first.
        loop {
            let call = self.stacks.describe_stack_events().stack_name(id).set_next_token(token);
            let answer = self.send("cloudformation:DescribeStackEvents", Family::StacksRead, call.send());
            let answer = match answer.await.map_err(gone) {
                Ok(answer) => answer,
                Err(error) if error.is_missing() => return Ok(None),
                Err(error) => return Err(error),
            };
            for event in answer.stack_events.unwrap_or_default() {
                let status = event.resource_status.as_ref().map(|it| it.as_str()).unwrap_or_default();
                let of_stack = event.physical_resource_id.as_deref() == event.stack_id.as_deref();
                if of_stack && of.begins_with(status) {
                    return Ok(first);
                }
                let reason = event.resource_status_reason.as_deref().unwrap_or_default();
                if of.counts(status) && !of_stack && !reason.contains("cancelled") {
                    first = Some(format!("{}: {reason}", event.resource_type.as_deref().unwrap_or_default()));
                }
            }
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(first);
            }
        }
    }
}

/// Of what the failure is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecs) enum FailureOf {
    /// Of what it did last.
    LastChange,
    /// Of its creation, whatever was done since: one that fails is taken away again, which is a change of its own.
    Creation,
}

impl FailureOf {
    /// Whether it began with an event of the stack itself with this status.
    fn begins_with(self, status: &str) -> bool {
        match self {
            Self::LastChange => matches!(status, "CREATE_IN_PROGRESS" | "UPDATE_IN_PROGRESS" | "DELETE_IN_PROGRESS"),
            Self::Creation => status == "CREATE_IN_PROGRESS",
        }
    }

    /// Whether a resource with this status is a failure of it.
    fn counts(self, status: &str) -> bool {
        match self {
            Self::LastChange => status.ends_with("_FAILED"),
            Self::Creation => status == "CREATE_FAILED",
        }
    }
}

/// CloudFormation's code for most of what it refuses.
const VALIDATION: &str = "ValidationError";

/// A stack that isn't there has no code of its own: `ValidationError: Stack with id … does not exist`.
fn gone(error: AwsError) -> AwsError {
    if error.code == VALIDATION && error.message.contains("does not exist") {
        return error.with_kind(Kind::Missing);
    }
    error
}

fn parameters(wanted: &StackWanted) -> Vec<Parameter> {
    let pairs = wanted.parameters.iter();
    pairs.map(|(key, value)| Parameter::builder().parameter_key(key).parameter_value(value).build()).collect()
}

fn tags(wanted: &StackWanted) -> Vec<Tag> {
    wanted.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn stack(from: aws_sdk_cloudformation::types::Stack) -> Stack {
    let parameters = from.parameters.unwrap_or_default().into_iter();
    let outputs = from.outputs.unwrap_or_default().into_iter();
    let tags = from.tags.unwrap_or_default().into_iter();
    Stack {
        id: from.stack_id.unwrap_or_default(),
        name: from.stack_name.unwrap_or_default(),
        status: from.stack_status.map(|it| it.as_str().to_owned()).unwrap_or_default(),
        reason: from.stack_status_reason.unwrap_or_default(),
        parameters: parameters.filter_map(|it| Some((it.parameter_key?, it.parameter_value?))).collect(),
        outputs: outputs.filter_map(|it| Some((it.output_key?, it.output_value?))).collect(),
        tags: tags.filter_map(|it| Some((it.key?, it.value?))).collect(),
    }
}
