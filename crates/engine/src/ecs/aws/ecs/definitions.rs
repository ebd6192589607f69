//! Task definitions.

use aws_sdk_ecs::types::{ContainerDefinition, TaskDefinitionFamilyStatus, TaskDefinitionField, TaskDefinitionStatus};
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

use super::super::pace::Family;
use super::super::{Aws, AwsError, last_part};

/// The code with which ECS says that there is no such task definition.
const NO_DEFINITION: &str = "ClientException";

/// Which families of task definitions are listed.
#[derive(Debug, Clone, Copy)]
pub(in crate::ecs) enum Families {
    /// Those with active revisions.
    Active,
    /// Those without any.
    Inactive,
    /// All of which there is anything.
    All,
}

impl Aws {
    /// Registers a task definition, the request's body given whole.
    ///
    /// The SDK's types know the keys of its day; a definition that uses newer ones, or any that we do not read, must reach ECS
    /// as its user wrote it. So the SDK makes, signs and repeats the request, with this body in it.
    pub(in crate::ecs) async fn definition_register(&self, body: &Value) -> Result<String, AwsError> {
        let op = "ecs:RegisterTaskDefinition";
        let body = body.to_string();
        let call = self
            .ecs
            .register_task_definition()
            .family("replaced")
            .container_definitions(ContainerDefinition::builder().build())
            .customize()
            .mutate_request(move |request| {
                request.headers_mut().insert("content-length", body.len().to_string());
                *request.body_mut() = SdkBody::from(body.clone());
            });
        let answer = self.send(op, Family::DefinitionsWrite, call.send()).await?;
        let arn = answer.task_definition.and_then(|it| it.task_definition_arn);
        arn.ok_or_else(|| AwsError::incomplete(op, "ARN"))
    }

    /// The newest active revision of a family, with its labels; `None` when there is none.
    pub(in crate::ecs) async fn definition_find(
        &self,
        family: &str,
    ) -> Result<Option<(String, Vec<(String, String)>)>, AwsError> {
        let found = self.definition_describe(family).await?;
        Ok(found.and_then(|(arn, status, tags)| (status == TaskDefinitionStatus::Active).then_some((arn, tags))))
    }

    /// The labels of a revision that is deregistered and not deleted; `None` when there is none.
    pub(in crate::ecs) async fn definition_left(
        &self,
        family: &str,
    ) -> Result<Option<Vec<(String, String)>>, AwsError> {
        let Some(arn) = self.revisions(family, TaskDefinitionStatus::Inactive).await?.pop() else { return Ok(None) };
        Ok(self.definition_describe(&arn).await?.map(|(_, _, tags)| tags))
    }

    /// A revision, by its ARN or the newest active one of a family, with its state and its labels.
    async fn definition_describe(
        &self,
        name: &str,
    ) -> Result<Option<(String, TaskDefinitionStatus, Vec<(String, String)>)>, AwsError> {
        let call = self.ecs.describe_task_definition().task_definition(name).include(TaskDefinitionField::Tags);
        match self.send("ecs:DescribeTaskDefinition", Family::DefinitionsRead, call.send()).await {
            Ok(answer) => {
                let tags = answer.tags.unwrap_or_default().into_iter();
                let tags = tags.filter_map(|tag| Some((tag.key?, tag.value?))).collect();
                let found = answer.task_definition.and_then(|it| Some((it.task_definition_arn?, it.status?)));
                Ok(found.map(|(arn, status)| (arn, status, tags)))
            }
            Err(error) if error.code == NO_DEFINITION || error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Labels a task definition.
    pub(in crate::ecs) async fn definition_tag(&self, arn: &str, tags: &[(String, String)]) -> Result<(), AwsError> {
        let call = self.ecs.tag_resource().resource_arn(arn).set_tags(Some(super::tags(tags)));
        self.send("ecs:TagResource", Family::Tags, call.send()).await?;
        Ok(())
    }

    /// Takes all revisions of a family away, those too that an earlier try has deregistered and not deleted. Tasks that run go on.
    pub(in crate::ecs) async fn definition_family_delete(&self, family: &str) -> Result<(), AwsError> {
        let mut arns = self.revisions(family, TaskDefinitionStatus::Active).await?;
        let inactive = self.revisions(family, TaskDefinitionStatus::Inactive).await?;
        for arn in &arns {
            let call = self.ecs.deregister_task_definition().task_definition(arn);
            self.send("ecs:DeregisterTaskDefinition", Family::DefinitionsWrite, call.send()).await?;
        }
        // What is only deregistered is kept for good; ECS takes ten a call.
        arns.extend(inactive);
        for some in arns.chunks(10) {
            let call = self.ecs.delete_task_definitions().set_task_definitions(Some(some.to_vec()));
            self.send("ecs:DeleteTaskDefinitions", Family::DefinitionsDelete, call.send()).await?;
        }
        Ok(())
    }

    /// The revisions of a family that are in this state.
    async fn revisions(&self, family: &str, status: TaskDefinitionStatus) -> Result<Vec<String>, AwsError> {
        let mut arns = Vec::new();
        let mut token = None;
        loop {
            let call = self.ecs.list_task_definitions().family_prefix(family).status(status.clone());
            let call = call.set_next_token(token);
            let answer = self.send("ecs:ListTaskDefinitions", Family::DefinitionsRead, call.send()).await?;
            arns.extend(answer.task_definition_arns.unwrap_or_default());
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(arns);
            }
        }
    }

    /// The families whose name begins with `prefix`: those with active revisions, or all of which there is anything.
    pub(in crate::ecs) async fn definition_families(
        &self,
        prefix: &str,
        which: Families,
    ) -> Result<Vec<String>, AwsError> {
        let mut families = Vec::new();
        let mut token = None;
        loop {
            let call = self
                .ecs
                .list_task_definition_families()
                .family_prefix(prefix)
                .status(match which {
                    Families::Active => TaskDefinitionFamilyStatus::Active,
                    Families::Inactive => TaskDefinitionFamilyStatus::Inactive,
                    Families::All => TaskDefinitionFamilyStatus::All,
                })
                .set_next_token(token);
            let answer = self.send("ecs:ListTaskDefinitionFamilies", Family::DefinitionsRead, call.send()).await?;
            families.extend(answer.families.unwrap_or_default());
            token = answer.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(families);
            }
        }
    }
}

/// The family in a task definition's ARN, `…:task-definition/family:revision`.
pub(super) fn family(arn: &str) -> &str {
    let last = last_part(arn);
    last.rsplit_once(':').map_or(last, |(family, _)| family)
}
