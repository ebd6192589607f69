//! Tasks.

use aws_sdk_ecs::types::{CapacityProviderStrategyItem, Container, DesiredStatus, LaunchType, PropagateTags, Task};
use layer0_domain::model::time::Timestamp;

use super::super::pace::Family;
use super::super::{Aws, AwsError, Kind, last_part, moment};
use super::{Network, definitions, network, tags};

/// The most tasks that one `DescribeTasks` takes, and that one `ListTasks` answers.
const TASKS_A_CALL: usize = 100;

/// A task as ECS has it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::ecs) struct EcsTask {
    /// The last part of its ARN.
    pub(in crate::ecs) id: String,
    /// The family of its task definition.
    pub(in crate::ecs) family: String,
    /// `service:NAME` or `family:NAME`.
    pub(in crate::ecs) group: String,
    /// Who started it.
    pub(in crate::ecs) started_by: String,
    /// `PROVISIONING` to `STOPPED`.
    pub(in crate::ecs) status: String,
    /// Whether ECS wants it to run.
    pub(in crate::ecs) wanted: bool,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN` (no container has a health check).
    pub(in crate::ecs) health: String,
    /// Why it stopped, as a code.
    pub(in crate::ecs) stop_code: String,
    /// Why it stopped, in words.
    pub(in crate::ecs) reason: String,
    /// When it was asked for.
    pub(in crate::ecs) created: Option<Timestamp>,
    /// When it ran.
    pub(in crate::ecs) started: Option<Timestamp>,
    /// Its address in the VPC.
    pub(in crate::ecs) address: Option<String>,
    /// The container instance that it runs on; `None` on Fargate.
    pub(in crate::ecs) machine: Option<String>,
    /// Its containers.
    pub(in crate::ecs) containers: Vec<EcsContainer>,
}

impl EcsTask {
    /// Whether it has ended.
    pub(in crate::ecs) fn is_stopped(&self) -> bool {
        self.status == "STOPPED"
    }
}

/// A container of a task as ECS has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct EcsContainer {
    /// The name in the task definition.
    pub(in crate::ecs) name: String,
    /// The image.
    pub(in crate::ecs) image: String,
    /// `PENDING`, `RUNNING`, `STOPPED`.
    pub(in crate::ecs) status: String,
    /// How it ended.
    pub(in crate::ecs) exit_code: Option<i32>,
    /// Why it ended or was not started.
    pub(in crate::ecs) reason: Option<String>,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`.
    pub(in crate::ecs) health: String,
}

/// Which tasks are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecs) enum TaskFilter<'a> {
    /// All of the cluster.
    All,
    /// Those of a service.
    Service(&'a str),
    /// Those that somebody started.
    StartedBy(&'a str),
}

/// Tasks to be run.
#[derive(Debug, Clone)]
pub(in crate::ecs) struct TaskWanted {
    /// The cluster.
    pub(in crate::ecs) cluster: String,
    /// The task definition's ARN.
    pub(in crate::ecs) definition: String,
    /// How many; at most ten.
    pub(in crate::ecs) count: u32,
    /// The capacity provider; `None` for Fargate.
    pub(in crate::ecs) provider: Option<String>,
    /// `None` unless the tasks have an address of their own.
    pub(in crate::ecs) network: Option<Network>,
    /// By which they are found again.
    pub(in crate::ecs) started_by: String,
    /// Labels.
    pub(in crate::ecs) tags: Vec<(String, String)>,
    /// The same token with the same wish runs them once ("Ensuring idempotency", ECS API reference).
    pub(in crate::ecs) token: String,
}

/// What came of a call of `RunTask`. Of the copies that were asked for some may be started and others not.
#[derive(Debug, Clone)]
pub(in crate::ecs) struct Ran {
    /// Those that were started, by this call or by an earlier one with the same token. `ListTasks` and `DescribeTasks` may
    /// not know them yet ("eventual consistency", `RunTask`).
    pub(in crate::ecs) started: Vec<EcsTask>,
    /// Why another one could not be placed: ECS's reason (`RESOURCE:MEMORY`), and more where it says more.
    pub(in crate::ecs) refused: Option<(String, Option<String>)>,
}

impl Aws {
    /// Runs tasks.
    pub(in crate::ecs) async fn task_run(&self, wanted: &TaskWanted) -> Result<Ran, AwsError> {
        let op = "ecs:RunTask";
        let mut call = self
            .ecs
            .run_task()
            .cluster(&wanted.cluster)
            .task_definition(&wanted.definition)
            .count(super::count(wanted.count))
            .client_token(&wanted.token)
            .started_by(&wanted.started_by)
            .set_network_configuration(wanted.network.as_ref().map(|it| network(op, it)).transpose()?)
            .set_tags(Some(tags(&wanted.tags)))
            .propagate_tags(PropagateTags::TaskDefinition);
        call = match &wanted.provider {
            None => call.launch_type(LaunchType::Fargate),
            Some(provider) => {
                let item = CapacityProviderStrategyItem::builder().capacity_provider(provider).weight(1).build();
                call.capacity_provider_strategy(item.map_err(|_| AwsError::incomplete(op, "capacity provider"))?)
            }
        };
        let answer = match self.send(op, Family::TasksWrite, call.send()).await {
            Ok(answer) => answer,
            Err(error) if error.lacks_definition() => return Err(error.with_kind(Kind::Missing)),
            Err(error) => return Err(error),
        };
        let started = answer.tasks.unwrap_or_default().into_iter().filter_map(task).collect();
        let refused = answer.failures.unwrap_or_default().into_iter().next();
        let refused = refused.map(|it| (it.reason.unwrap_or_else(|| "no reason was given".to_owned()), it.detail));
        Ok(Ran { started, refused })
    }

    /// Stops a task; one that isn't there any more is stopped.
    pub(in crate::ecs) async fn task_stop(&self, cluster: &str, id: &str, reason: &str) -> Result<(), AwsError> {
        let call = self.ecs.stop_task().cluster(cluster).task(id).reason(reason);
        match self.send("ecs:StopTask", Family::TasksWrite, call.send()).await {
            Ok(_) => Ok(()),
            // "The referenced task was not found." comes as an InvalidParameterException.
            Err(error) if error.is_missing() || error.code == "InvalidParameterException" => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The ids of tasks that are wanted to run, or of those that are not (any more); ECS keeps the latter for an hour.
    pub(in crate::ecs) async fn tasks_list(
        &self,
        cluster: &str,
        filter: TaskFilter<'_>,
        wanted: bool,
    ) -> Result<Vec<String>, AwsError> {
        let status = if wanted { DesiredStatus::Running } else { DesiredStatus::Stopped };
        let mut ids = Vec::new();
        let mut token = None;
        loop {
            let mut call = self.ecs.list_tasks().cluster(cluster).desired_status(status.clone()).set_next_token(token);
            call = match filter {
                TaskFilter::All => call,
                TaskFilter::Service(name) => call.service_name(name),
                TaskFilter::StartedBy(who) => call.started_by(who),
            };
            match self.send("ecs:ListTasks", Family::TasksRead, call.send()).await {
                Ok(answer) => {
                    let arns = answer.task_arns.unwrap_or_default();
                    ids.extend(arns.iter().map(|arn| last_part(arn).to_owned()));
                    token = answer.next_token.filter(|token| !token.is_empty());
                }
                Err(error) if error.is_missing() => return Ok(vec![]),
                Err(error) => return Err(error),
            }
            if token.is_none() {
                return Ok(ids);
            }
        }
    }

    /// Tasks by id; those that ECS does not know are left out.
    pub(in crate::ecs) async fn tasks_describe(&self, cluster: &str, ids: &[String]) -> Result<Vec<EcsTask>, AwsError> {
        let mut tasks = Vec::new();
        for some in ids.chunks(TASKS_A_CALL) {
            let call = self.ecs.describe_tasks().cluster(cluster).set_tasks(Some(some.to_vec()));
            match self.send("ecs:DescribeTasks", Family::TasksRead, call.send()).await {
                Ok(answer) => tasks.extend(answer.tasks.unwrap_or_default().into_iter().filter_map(task)),
                Err(error) if error.is_missing() => return Ok(vec![]),
                Err(error) => return Err(error),
            }
        }
        Ok(tasks)
    }
}

fn task(from: Task) -> Option<EcsTask> {
    let details = from.attachments.unwrap_or_default().into_iter().flat_map(|it| it.details.unwrap_or_default());
    let address =
        details.filter(|detail| detail.name.as_deref() == Some("privateIPv4Address")).find_map(|detail| detail.value);
    Some(EcsTask {
        id: last_part(from.task_arn.as_deref()?).to_owned(),
        family: definitions::family(from.task_definition_arn.as_deref().unwrap_or_default()).to_owned(),
        group: from.group.unwrap_or_default(),
        started_by: from.started_by.unwrap_or_default(),
        status: from.last_status.unwrap_or_default(),
        wanted: from.desired_status.as_deref() == Some("RUNNING"),
        health: from.health_status.map(|it| it.as_str().to_owned()).unwrap_or_default(),
        stop_code: from.stop_code.map(|it| it.as_str().to_owned()).unwrap_or_default(),
        reason: from.stopped_reason.unwrap_or_default(),
        created: moment(from.created_at),
        started: moment(from.started_at),
        address,
        machine: from.container_instance_arn.as_deref().map(|arn| last_part(arn).to_owned()),
        containers: from.containers.unwrap_or_default().into_iter().map(container).collect(),
    })
}

fn container(from: Container) -> EcsContainer {
    EcsContainer {
        name: from.name.unwrap_or_default(),
        image: from.image.unwrap_or_default(),
        status: from.last_status.unwrap_or_default(),
        exit_code: from.exit_code,
        reason: from.reason,
        health: from.health_status.map(|it| it.as_str().to_owned()).unwrap_or_default(),
    }
}
