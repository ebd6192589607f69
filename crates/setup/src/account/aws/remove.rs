//! How what remains goes. Each call may be repeated: what is gone stays gone, and what is not done yet is busy.

use layer0_aws::AwsError;
use serde_json::{Value, json};

use super::AwsAccount;
use super::error::refused;
use super::json::{text, there};
use crate::account::{AccountError, Kind, Remain};

impl AwsAccount {
    pub(super) async fn remove_one(&self, remain: &Remain) -> Result<(), AccountError> {
        let name = remain.name.as_str();
        match remain.kind {
            Kind::Servers | Kind::Service => self.service_remove(name).await,
            Kind::Task => {
                let (cluster, task) = parts("ecs:StopTask", name)?;
                let asked = json!({ "cluster": cluster, "task": task, "reason": "the instance is taken away" });
                self.gone("ecs:StopTask", &asked).await
            }
            Kind::BalancerStack | Kind::EnvironmentStack | Kind::Stack => self.stack_remove(name, &[]).await,
            Kind::TaskDefinition => self.definition_remove(name).await,
            Kind::LogGroup => self.gone("logs:DeleteLogGroup", &json!({ "logGroupName": name })).await,
            Kind::Secret => {
                let asked = json!({ "SecretId": name, "ForceDeleteWithoutRecovery": true });
                self.gone("secretsmanager:DeleteSecret", &asked).await
            }
            Kind::Parameter => self.gone("ssm:DeleteParameter", &json!({ "Name": name })).await,
            Kind::ServerRepository | Kind::Repository => self.repository_remove(name).await,
            Kind::Bucket => self.bucket_remove(name).await,
            Kind::Table => self.table_remove(name).await,
            Kind::Other => Err(refused("tag:GetResources", format!("what {name} is, and how it goes, is not known"))),
        }
    }

    /// Makes a call that takes something away.
    async fn gone(&self, op: &'static str, asked: &Value) -> Result<(), AccountError> {
        there(self.ask(op, asked).await)?;
        Ok(())
    }

    async fn service_remove(&self, name: &str) -> Result<(), AccountError> {
        let (cluster, service) = parts("ecs:DeleteService", name)?;
        // One that is being drained can't be changed any more, and is not in the way.
        self.gone("ecs:UpdateService", &json!({ "cluster": cluster, "service": service, "desiredCount": 0 })).await?;
        self.gone("ecs:DeleteService", &json!({ "cluster": cluster, "service": service, "force": true })).await
    }

    async fn definition_remove(&self, name: &str) -> Result<(), AccountError> {
        let asked = json!({ "taskDefinition": name });
        let Some(answer) = self.definition(&asked).await? else { return Ok(()) };
        match text(&answer["taskDefinition"], "status") {
            "ACTIVE" => self.gone("ecs:DeregisterTaskDefinition", &asked).await?,
            "DELETE_IN_PROGRESS" => return Ok(()),
            _ => {}
        }
        let op = "ecs:DeleteTaskDefinitions";
        let answer = self.ask(op, &json!({ "taskDefinitions": [name] })).await?;
        match answer["failures"].get(0) {
            None => Ok(()),
            Some(failure) if text(failure, "reason") == "MISSING" => Ok(()),
            Some(failure) => Err(refused(op, format!("{}: {}", text(failure, "reason"), text(failure, "detail")))),
        }
    }

    /// A task definition. ECS has no code for one that is not there.
    pub(super) async fn definition(&self, asked: &Value) -> Result<Option<Value>, AwsError> {
        match self.ask("ecs:DescribeTaskDefinition", asked).await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.is_missing() || error.lacks_definition() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn table_remove(&self, name: &str) -> Result<(), AccountError> {
        let asked = json!({ "TableName": name });
        let Some(answer) = there(self.ask("dynamodb:DescribeTable", &asked).await)? else { return Ok(()) };
        if text(&answer["Table"], "TableStatus") == "DELETING" {
            return Ok(());
        }
        if answer["Table"]["DeletionProtectionEnabled"] == true {
            let asked = json!({ "TableName": name, "DeletionProtectionEnabled": false });
            self.gone("dynamodb:UpdateTable", &asked).await?;
        }
        self.gone("dynamodb:DeleteTable", &asked).await
    }

    async fn repository_remove(&self, name: &str) -> Result<(), AccountError> {
        let call = self.registry.delete_repository().repository_name(name).force(true);
        there(self.send("ecr:DeleteRepository", call.send()).await)?;
        Ok(())
    }
}

/// A cluster and what is in it.
fn parts<'a>(op: &str, name: &'a str) -> Result<(&'a str, &'a str), AccountError> {
    name.split_once('/').ok_or_else(|| refused(op, format!("{name} is not in a cluster")))
}
