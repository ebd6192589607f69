//! CloudFormation.

use aws_sdk_cloudformation::types::{
    Capability, ChangeAction as Action, ChangeSetStatus, ChangeSetType, ExecutionStatus, Replacement as Replaced,
    ResourceAttribute, ResourceChange, ResourceStatus, StackEvent, Tag, TemplateStage,
};
use layer0_aws::{AwsError, Kind};
use layer0_domain::model::time::Timestamp;

use super::AwsAccount;
use crate::account::{
    AccountError, Change, ChangeAction, ChangeSet, ChangeSetState, Event, PlanWanted, Replacement, Stack, TAG, fits,
};

/// A stack of which there is no more than a change set.
const REVIEW: &str = "REVIEW_IN_PROGRESS";

impl AwsAccount {
    pub(super) async fn stack_describe(&self, name: &str) -> Result<Option<Stack>, AccountError> {
        let call = self.stacks.describe_stacks().stack_name(name);
        let answer = self.send("cloudformation:DescribeStacks", call.send()).await;
        let found = there(answer)?.and_then(|answer| answer.stacks.unwrap_or_default().into_iter().next());
        Ok(found.map(stack))
    }

    /// All stacks that are not deleted.
    pub(super) async fn stacks_all(&self) -> Result<Vec<Stack>, AccountError> {
        let mut stacks = Vec::new();
        let mut token = None;
        loop {
            let call = self.stacks.describe_stacks().set_next_token(token);
            let answer = self.send("cloudformation:DescribeStacks", call.send()).await?;
            stacks.extend(answer.stacks.unwrap_or_default().into_iter().map(stack));
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(stacks);
            }
        }
    }

    pub(super) async fn stacks_ours(&self) -> Result<Vec<Stack>, AccountError> {
        let mut stacks = self.stacks_all().await?;
        stacks.retain(|stack| stack.tags.contains_key(TAG));
        Ok(stacks)
    }

    /// Kinds and names of what a stack is made of; by its id.
    pub(super) async fn stack_parts(&self, id: &str) -> Result<Vec<(String, String)>, AccountError> {
        let mut parts = Vec::new();
        let mut token = None;
        loop {
            let call = self.stacks.list_stack_resources().stack_name(id).set_next_token(token);
            let Some(answer) = there(self.send("cloudformation:ListStackResources", call.send()).await)? else {
                return Ok(parts);
            };
            let living = answer.stack_resource_summaries.unwrap_or_default().into_iter();
            let living = living.filter(|part| part.resource_status != Some(ResourceStatus::DeleteComplete));
            parts.extend(living.filter_map(|part| Some((part.resource_type?, part.physical_resource_id?))));
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(parts);
            }
        }
    }

    pub(super) async fn stack_template(&self, name: &str) -> Result<Option<String>, AccountError> {
        if self.stack_describe(name).await?.is_none_or(|stack| stack.status == REVIEW) {
            return Ok(None);
        }
        let call = self.stacks.get_template().stack_name(name).template_stage(TemplateStage::Original);
        let answer = there(self.send("cloudformation:GetTemplate", call.send()).await)?;
        Ok(answer.and_then(|answer| answer.template_body))
    }

    pub(super) async fn change_set_create(&self, wanted: &PlanWanted) -> Result<(), AccountError> {
        let op = "cloudformation:CreateChangeSet";
        fits(op, &wanted.template)?;
        let tags = wanted.tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
        let call = self
            .stacks
            .create_change_set()
            .stack_name(&wanted.stack)
            .change_set_name(&wanted.name)
            .change_set_type(if wanted.exists { ChangeSetType::Update } else { ChangeSetType::Create })
            .template_body(&wanted.template)
            .set_tags(Some(tags.collect()))
            .capabilities(Capability::CapabilityNamedIam)
            .import_existing_resources(true)
            .client_token(&wanted.name);
        match self.send(op, call.send()).await {
            Ok(_) => Ok(()),
            // The plan, or the stack: only the first is what was asked for.
            Err(error) if error.kind == Kind::Exists => match self.change_set(&wanted.stack, &wanted.name).await? {
                Some(_) => Ok(()),
                None => Err(error.into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn change_set(&self, stack: &str, plan: &str) -> Result<Option<ChangeSet>, AccountError> {
        let mut changes = Vec::new();
        let mut token = None;
        loop {
            let call = self.stacks.describe_change_set().stack_name(stack).change_set_name(plan).set_next_token(token);
            let Some(answer) = there(self.send("cloudformation:DescribeChangeSet", call.send()).await)? else {
                return Ok(None);
            };
            changes
                .extend(answer.changes.unwrap_or_default().into_iter().filter_map(|it| it.resource_change).map(change));
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                let reason = answer.status_reason.unwrap_or_default();
                let state = state(answer.status.as_ref(), answer.execution_status.as_ref(), reason);
                return Ok(Some(ChangeSet { state, changes }));
            }
        }
    }

    pub(super) async fn change_set_execute(&self, stack: &str, plan: &str) -> Result<(), AccountError> {
        let call = self.stacks.execute_change_set().stack_name(stack).change_set_name(plan).client_request_token(plan);
        match self.send("cloudformation:ExecuteChangeSet", call.send()).await {
            Ok(_) => Ok(()),
            Err(error) if self.is_begun(stack, plan, &error).await? => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a plan that can't be carried out is being carried out, or was: the answer to the first call was lost.
    async fn is_begun(&self, stack: &str, plan: &str, error: &AwsError) -> Result<bool, AccountError> {
        if error.code != "InvalidChangeSetStatus" && error.code != "InvalidChangeSetStatusException" {
            return Ok(false);
        }
        let call = self.stacks.describe_change_set().stack_name(stack).change_set_name(plan);
        let answer = there(self.send("cloudformation:DescribeChangeSet", call.send()).await)?;
        let status = answer.and_then(|answer| answer.execution_status);
        Ok(matches!(status, Some(ExecutionStatus::ExecuteInProgress | ExecutionStatus::ExecuteComplete)))
    }

    pub(super) async fn change_set_delete(&self, stack: &str, plan: &str) -> Result<(), AccountError> {
        let call = self.stacks.delete_change_set().stack_name(stack).change_set_name(plan);
        there(self.send("cloudformation:DeleteChangeSet", call.send()).await)?;
        if self.stack_describe(stack).await?.is_none_or(|stack| stack.status != REVIEW) {
            return Ok(());
        }
        let call = self.stacks.list_change_sets().stack_name(stack);
        let others = there(self.send("cloudformation:ListChangeSets", call.send()).await)?;
        let others = others.and_then(|answer| answer.summaries).unwrap_or_default();
        if others.iter().all(|other| other.change_set_name.as_deref() == Some(plan)) {
            self.stack_remove(stack, &[]).await?;
        }
        Ok(())
    }

    pub(super) async fn stack_events(&self, stack: &str, after: Option<&str>) -> Result<Vec<Event>, AccountError> {
        let mut events = Vec::new();
        let mut token = None;
        // The newest come first.
        'pages: loop {
            let call = self.stacks.describe_stack_events().stack_name(stack).set_next_token(token);
            let answer = self.send("cloudformation:DescribeStackEvents", call.send()).await?;
            for event in answer.stack_events.unwrap_or_default() {
                if after.is_some() && event.event_id.as_deref() == after {
                    break 'pages;
                }
                events.push(told(event));
            }
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        events.reverse();
        Ok(events)
    }

    /// No token goes along: a deletion that failed is begun again by the same call.
    pub(super) async fn stack_remove(&self, stack: &str, keep: &[String]) -> Result<(), AccountError> {
        let kept = (!keep.is_empty()).then(|| keep.to_vec());
        let call = self.stacks.delete_stack().stack_name(stack).set_retain_resources(kept);
        there(self.send("cloudformation:DeleteStack", call.send()).await)?;
        Ok(())
    }

    pub(super) async fn rollback_go_on(&self, stack: &str, skip: &[String]) -> Result<(), AccountError> {
        let skipped = (!skip.is_empty()).then(|| skip.to_vec());
        let call = self.stacks.continue_update_rollback().stack_name(stack).set_resources_to_skip(skipped);
        let answer = self.send("cloudformation:ContinueUpdateRollback", call.send()).await;
        let Err(error) = answer else { return Ok(()) };
        let status = self.stack_describe(stack).await?.map(|stack| stack.status).unwrap_or_default();
        // It goes on already, or went.
        if status.starts_with("UPDATE_ROLLBACK_") && status != "UPDATE_ROLLBACK_FAILED" {
            return Ok(());
        }
        Err(error.into())
    }
}

/// `None` for what is not there. A stack that isn't there has no code of its own: `ValidationError: Stack with id … does not
/// exist`.
fn there<T>(answer: Result<T, AwsError>) -> Result<Option<T>, AccountError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) if error.code == "ValidationError" && error.message.contains("does not exist") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn stack(from: aws_sdk_cloudformation::types::Stack) -> Stack {
    let outputs = from.outputs.unwrap_or_default().into_iter();
    let tags = from.tags.unwrap_or_default();
    Stack {
        id: from.stack_id.unwrap_or_default(),
        name: from.stack_name.unwrap_or_default(),
        status: from.stack_status.map(|it| it.as_str().to_owned()).unwrap_or_default(),
        reason: from.stack_status_reason.unwrap_or_default(),
        outputs: outputs.filter_map(|it| Some((it.output_key?, it.output_value?))).collect(),
        tags: super::tags(tags.iter().map(|tag| (tag.key(), tag.value()))),
    }
}

fn state(status: Option<&ChangeSetStatus>, execution: Option<&ExecutionStatus>, reason: String) -> ChangeSetState {
    match (status, execution) {
        // There is no code for it ("DescribeChangeSet": a change set without changes has the status FAILED).
        (Some(ChangeSetStatus::Failed), _) if NOTHING.iter().any(|words| reason.contains(words)) => {
            ChangeSetState::Empty
        }
        (Some(ChangeSetStatus::Failed | ChangeSetStatus::DeleteFailed), _) => ChangeSetState::Failed(reason),
        (Some(ChangeSetStatus::CreateComplete), Some(ExecutionStatus::Available)) => ChangeSetState::Ready,
        (Some(ChangeSetStatus::CreateComplete), Some(ExecutionStatus::Unavailable)) if !reason.is_empty() => {
            ChangeSetState::Failed(reason)
        }
        (Some(ChangeSetStatus::CreatePending | ChangeSetStatus::CreateInProgress), _)
        | (Some(ChangeSetStatus::CreateComplete), Some(ExecutionStatus::Unavailable)) => ChangeSetState::Pending,
        _ => ChangeSetState::Obsolete,
    }
}

/// How CloudFormation says that nothing would change.
const NOTHING: [&str; 2] = ["didn't contain changes", "No updates are to be performed"];

fn change(from: ResourceChange) -> Change {
    let details = from.details.unwrap_or_default().into_iter().filter_map(|detail| detail.target);
    let mut properties: Vec<String> = details
        .filter_map(|target| match target.attribute {
            Some(ResourceAttribute::Properties) => target.name,
            other => other.map(|attribute| attribute.as_str().to_owned()),
        })
        .collect();
    properties.sort();
    properties.dedup();
    let action = match from.action {
        Some(Action::Add) => ChangeAction::Add,
        Some(Action::Modify) => ChangeAction::Modify,
        Some(Action::Remove) => ChangeAction::Remove,
        Some(Action::Import) => ChangeAction::Import,
        _ => ChangeAction::Dynamic,
    };
    let replacement = match from.replacement {
        Some(Replaced::True) => Replacement::Always,
        Some(Replaced::Conditional) => Replacement::Conditional,
        _ => Replacement::Never,
    };
    Change {
        properties: if action == ChangeAction::Modify { properties } else { Vec::new() },
        action,
        logical: from.logical_resource_id.unwrap_or_default(),
        physical: from.physical_resource_id.unwrap_or_default(),
        kind: from.resource_type.unwrap_or_default(),
        replacement,
    }
}

fn told(from: StackEvent) -> Event {
    Event {
        id: from.event_id.unwrap_or_default(),
        at: Timestamp(from.timestamp.and_then(|at| at.to_millis().ok()).unwrap_or_default()),
        logical: from.logical_resource_id.unwrap_or_default(),
        physical: from.physical_resource_id.unwrap_or_default(),
        kind: from.resource_type.unwrap_or_default(),
        status: from.resource_status.map(|it| it.as_str().to_owned()).unwrap_or_default(),
        reason: from.resource_status_reason.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_set_is_told_by_both_of_its_statuses() {
        let nothing =
            "The submitted information didn't contain changes. Submit different information to create a change set.";
        for (status, execution, reason, expected) in [
            (ChangeSetStatus::CreatePending, ExecutionStatus::Unavailable, "", ChangeSetState::Pending),
            (ChangeSetStatus::CreateComplete, ExecutionStatus::Available, "", ChangeSetState::Ready),
            (ChangeSetStatus::CreateComplete, ExecutionStatus::Obsolete, "", ChangeSetState::Obsolete),
            (ChangeSetStatus::CreateComplete, ExecutionStatus::ExecuteComplete, "", ChangeSetState::Obsolete),
            (ChangeSetStatus::Failed, ExecutionStatus::Unavailable, nothing, ChangeSetState::Empty),
            (
                ChangeSetStatus::Failed,
                ExecutionStatus::Unavailable,
                "No updates are to be performed.",
                ChangeSetState::Empty,
            ),
            (ChangeSetStatus::Failed, ExecutionStatus::Unavailable, "no", ChangeSetState::Failed("no".to_owned())),
        ] {
            assert_eq!(
                state(Some(&status), Some(&execution), reason.to_owned()),
                expected,
                "{status:?} {execution:?} {reason}"
            );
        }
    }
}
