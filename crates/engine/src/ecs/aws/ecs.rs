//! ECS: services. Task definitions and tasks are in the files beside.

mod definitions;
mod machines;
mod rollouts;
mod tasks;
mod together;

use aws_sdk_ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, DeploymentCircuitBreaker,
    DeploymentConfiguration, DeploymentController, DeploymentControllerType, LaunchType, LoadBalancer,
    NetworkConfiguration, PropagateTags, Service, Tag,
};
use layer0_domain::model::time::Timestamp;

pub(in crate::ecs) use self::definitions::Families;
pub(in crate::ecs) use self::rollouts::{EcsRollout, RolloutStatus};
pub(in crate::ecs) use self::tasks::{EcsContainer, EcsTask, TaskFilter, TaskWanted};
pub(super) use self::together::Together;
use super::pace::Family;
use super::{Aws, AwsError, Kind, last_part, moment};

/// How many of a service's last hundred events are kept: they are what tells that something happened between two looks which
/// left all counts as they were, and the newest tell that.
const EVENTS_KEPT: usize = 5;

/// What ECS says of copies that it did not even begin, as those begin with it that it says more of ("Amazon ECS service event
/// messages"). Only events tell of them: no task of such a copy is ever shown.
const NOT_BEGUN: [&str; 2] = ["was unable to place a task", "failed to launch a task with"];

/// What it says when all that was wanted runs.
const STEADY: &str = "has reached a steady state";

/// The most services that one `DescribeServices` takes.
const SERVICES_A_CALL: usize = 10;

/// A service as ECS has it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::ecs) struct EcsService {
    /// Its name.
    pub(in crate::ecs) name: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub(in crate::ecs) status: String,
    /// When it was made.
    pub(in crate::ecs) created: Option<Timestamp>,
    /// Tasks wanted.
    pub(in crate::ecs) desired: u32,
    /// Tasks that run.
    pub(in crate::ecs) running: u32,
    /// Tasks that are on their way up.
    pub(in crate::ecs) pending: u32,
    /// The ARN of the service deployment that is under way, where ECS says.
    pub(in crate::ecs) rollout: Option<String>,
    /// Its deployments, the primary one first.
    pub(in crate::ecs) deployments: Vec<EcsDeployment>,
    /// What ECS said of it last, the newest first.
    pub(in crate::ecs) events: Vec<(Timestamp, String)>,
    /// Why it did not begin a copy, in its words, when it said so last; `None` when all that was wanted ran since. It says the
    /// same once in six hours, so it is looked for among all events.
    pub(in crate::ecs) not_begun: Option<(Timestamp, String)>,
    /// Target groups it registers its tasks in.
    pub(in crate::ecs) targets: Vec<ServiceTarget>,
}

impl EcsDeployment {
    /// Whether ECS works at it.
    pub(in crate::ecs) fn is_in_progress(&self) -> bool {
        !self.has_failed && !self.is_completed
    }
}

impl EcsService {
    /// Whether it is there to be updated.
    pub(in crate::ecs) fn is_active(&self) -> bool {
        self.status == "ACTIVE"
    }

    /// Whether it counts as gone: ECS shows deleted services for a while.
    pub(in crate::ecs) fn is_gone(&self) -> bool {
        self.status == "INACTIVE"
    }
}

/// A deployment of a service as ECS has it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::ecs) struct EcsDeployment {
    /// `ecs-svc/…`.
    pub(in crate::ecs) id: String,
    /// Whether it is the one that ECS works towards.
    pub(in crate::ecs) is_primary: bool,
    /// The family of its task definition.
    pub(in crate::ecs) family: String,
    /// Its task definition.
    pub(in crate::ecs) definition: String,
    /// When it was made.
    pub(in crate::ecs) created: Option<Timestamp>,
    /// Tasks wanted of it.
    pub(in crate::ecs) desired: u32,
    /// Tasks of it that run.
    pub(in crate::ecs) running: u32,
    /// Tasks of it that are on their way up.
    pub(in crate::ecs) pending: u32,
    /// Tasks of it that failed to come up.
    pub(in crate::ecs) failed: u32,
    /// Whether ECS gave it up.
    pub(in crate::ecs) has_failed: bool,
    /// Whether ECS counts it as done.
    pub(in crate::ecs) is_completed: bool,
    /// Why, in ECS's words.
    pub(in crate::ecs) reason: String,
}

/// What a service's tasks are registered in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ecs) struct ServiceTarget {
    /// A target group's ARN, or the name of a classic load balancer.
    pub(in crate::ecs) of: TargetOf,
    /// The container.
    pub(in crate::ecs) container: String,
    /// Its port.
    pub(in crate::ecs) port: u16,
}

/// The kinds of things that tasks are registered in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ecs) enum TargetOf {
    /// A target group, by ARN.
    Group(String),
    /// A classic load balancer, by name.
    Classic(String),
}

/// Where tasks with an address of their own stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct Network {
    /// Subnets.
    pub(in crate::ecs) subnets: Vec<String>,
    /// Security groups.
    pub(in crate::ecs) security_groups: Vec<String>,
    /// Whether they get a public address.
    pub(in crate::ecs) public_ip: bool,
}

/// A service to be made.
#[derive(Debug, Clone)]
pub(in crate::ecs) struct ServiceWanted {
    /// The cluster.
    pub(in crate::ecs) cluster: String,
    /// The name.
    pub(in crate::ecs) name: String,
    /// The task definition's ARN.
    pub(in crate::ecs) definition: String,
    /// Tasks.
    pub(in crate::ecs) desired: u32,
    /// The capacity provider; `None` for Fargate.
    pub(in crate::ecs) provider: Option<String>,
    /// `None` unless the tasks have an address of their own.
    pub(in crate::ecs) network: Option<Network>,
    /// What its tasks are registered in.
    pub(in crate::ecs) targets: Vec<ServiceTarget>,
    /// Seconds in which failing health checks of the load balancer do not count.
    pub(in crate::ecs) grace_s: u16,
    /// Labels.
    pub(in crate::ecs) tags: Vec<(String, String)>,
    /// The same token with the same wish makes the service once ("Ensuring idempotency", ECS API reference).
    pub(in crate::ecs) token: String,
}

/// What is to change of a service; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::ecs) struct ServiceUpdate {
    /// The task definition's ARN.
    pub(in crate::ecs) definition: Option<String>,
    /// Tasks.
    pub(in crate::ecs) desired: Option<u32>,
    /// What its tasks are registered in.
    pub(in crate::ecs) targets: Option<Vec<ServiceTarget>>,
}

impl Aws {
    /// Makes a service. `false` when the token stands for one that is gone: ECS answers with that one then, and makes none.
    pub(in crate::ecs) async fn service_create(&self, wanted: &ServiceWanted) -> Result<bool, AwsError> {
        let op = "ecs:CreateService";
        let mut call = self
            .ecs
            .create_service()
            .cluster(&wanted.cluster)
            .service_name(&wanted.name)
            .task_definition(&wanted.definition)
            .desired_count(count(wanted.desired))
            .client_token(&wanted.token)
            .deployment_controller(rolling(op)?)
            .deployment_configuration(deployment_configuration())
            .set_network_configuration(wanted.network.as_ref().map(|it| network(op, it)).transpose()?)
            .set_tags(Some(tags(&wanted.tags)))
            .propagate_tags(PropagateTags::Service);
        call = match &wanted.provider {
            None => call.launch_type(LaunchType::Fargate),
            Some(provider) => {
                let item = CapacityProviderStrategyItem::builder().capacity_provider(provider).weight(1).build();
                call.capacity_provider_strategy(item.map_err(|_| AwsError::incomplete(op, "capacity provider"))?)
            }
        };
        if !wanted.targets.is_empty() {
            call = call
                .set_load_balancers(Some(wanted.targets.iter().map(load_balancer).collect()))
                .health_check_grace_period_seconds(i32::from(wanted.grace_s));
        }
        match self.send(op, Family::EcsWrite, call.send()).await {
            Ok(answer) => Ok(answer.service.is_none_or(|it| it.status.as_deref() == Some("ACTIVE"))),
            Err(error) if error.lacks_definition() => Err(error.with_kind(Kind::Missing)),
            // A service of that name is there, made with another wish. There is no code of its own for it, so the words decide.
            Err(error) if error.message.contains("not idempotent") => Err(error.with_kind(Kind::Exists)),
            Err(error) => Err(error),
        }
    }

    /// Changes a service.
    pub(in crate::ecs) async fn service_update(
        &self,
        cluster: &str,
        name: &str,
        update: &ServiceUpdate,
    ) -> Result<(), AwsError> {
        let call = self
            .ecs
            .update_service()
            .cluster(cluster)
            .service(name)
            .set_task_definition(update.definition.clone())
            .set_desired_count(update.desired.map(count))
            .set_load_balancers(update.targets.as_ref().map(|all| all.iter().map(load_balancer).collect()));
        match self.send("ecs:UpdateService", Family::EcsWrite, call.send()).await {
            Ok(_) => Ok(()),
            Err(error) if error.lacks_definition() => Err(error.with_kind(Kind::Missing)),
            Err(error) => Err(error),
        }
    }

    /// Deletes a service, whatever it runs: ECS drains its tasks and stops them.
    pub(in crate::ecs) async fn service_delete(&self, cluster: &str, name: &str) -> Result<(), AwsError> {
        let call = self.ecs.delete_service().cluster(cluster).service(name).force(true);
        match self.send("ecs:DeleteService", Family::EcsWrite, call.send()).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Services by name; those that aren't there are left out, as are all when the cluster isn't there.
    pub(in crate::ecs) async fn services_describe(
        &self,
        cluster: &str,
        names: &[String],
    ) -> Result<Vec<EcsService>, AwsError> {
        let mut services = Vec::new();
        for some in names.chunks(SERVICES_A_CALL) {
            let call = self.ecs.describe_services().cluster(cluster).set_services(Some(some.to_vec()));
            match self.send("ecs:DescribeServices", Family::EcsRead, call.send()).await {
                Ok(answer) => services.extend(answer.services.unwrap_or_default().into_iter().map(service)),
                Err(error) if error.is_missing() => return Ok(vec![]),
                Err(error) => return Err(error),
            }
        }
        Ok(services)
    }

    /// The names of all services of a cluster; none when the cluster isn't there.
    pub(in crate::ecs) async fn services_list(&self, cluster: &str) -> Result<Vec<String>, AwsError> {
        let mut names = Vec::new();
        let mut token = None;
        loop {
            let call = self.ecs.list_services().cluster(cluster).max_results(100).set_next_token(token);
            match self.send("ecs:ListServices", Family::EcsRead, call.send()).await {
                Ok(answer) => {
                    let arns = answer.service_arns.unwrap_or_default();
                    names.extend(arns.iter().map(|arn| last_part(arn).to_owned()));
                    token = answer.next_token.filter(|token| !token.is_empty());
                }
                Err(error) if error.is_missing() => return Ok(vec![]),
                Err(error) => return Err(error),
            }
            if token.is_none() {
                return Ok(names);
            }
        }
    }
}

fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn uncount(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

pub(super) fn tags(pairs: &[(String, String)]) -> Vec<Tag> {
    pairs.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect()
}

fn rolling(op: &'static str) -> Result<DeploymentController, AwsError> {
    let built = DeploymentController::builder().r#type(DeploymentControllerType::Ecs).build();
    built.map_err(|_| AwsError::incomplete(op, "deployment controller"))
}

/// New tasks come up before old ones go, and ECS itself goes back when they do not: the safety net for when no server of
/// ours is there to do it.
fn deployment_configuration() -> DeploymentConfiguration {
    let breaker = DeploymentCircuitBreaker::builder().enable(true).rollback(true).build();
    DeploymentConfiguration::builder()
        .deployment_circuit_breaker(breaker)
        .minimum_healthy_percent(100)
        .maximum_percent(200)
        .build()
}

pub(super) fn network(op: &'static str, wanted: &Network) -> Result<NetworkConfiguration, AwsError> {
    let public_ip = if wanted.public_ip { AssignPublicIp::Enabled } else { AssignPublicIp::Disabled };
    let vpc = AwsVpcConfiguration::builder()
        .set_subnets(Some(wanted.subnets.clone()))
        .set_security_groups(Some(wanted.security_groups.clone()))
        .assign_public_ip(public_ip)
        .build();
    let vpc = vpc.map_err(|_| AwsError::incomplete(op, "subnets"))?;
    Ok(NetworkConfiguration::builder().awsvpc_configuration(vpc).build())
}

fn load_balancer(target: &ServiceTarget) -> LoadBalancer {
    let builder = LoadBalancer::builder().container_name(&target.container).container_port(i32::from(target.port));
    match &target.of {
        TargetOf::Group(arn) => builder.target_group_arn(arn).build(),
        TargetOf::Classic(name) => builder.load_balancer_name(name).build(),
    }
}

fn service_target(from: LoadBalancer) -> Option<ServiceTarget> {
    let of = match (from.target_group_arn, from.load_balancer_name) {
        (Some(arn), _) => TargetOf::Group(arn),
        (None, Some(name)) => TargetOf::Classic(name),
        (None, None) => return None,
    };
    let port = u16::try_from(from.container_port?).ok()?;
    Some(ServiceTarget { of, container: from.container_name?, port })
}

fn service(from: Service) -> EcsService {
    let mut deployments: Vec<EcsDeployment> =
        from.deployments.unwrap_or_default().into_iter().filter_map(deployment).collect();
    deployments.sort_by_key(|it| !it.is_primary);
    let events = from.events.unwrap_or_default().into_iter();
    let events: Vec<(Timestamp, String)> =
        events.filter_map(|it| Some((moment(it.created_at)?, it.message?))).collect();
    EcsService {
        name: from.service_name.unwrap_or_default(),
        status: from.status.unwrap_or_default(),
        created: moment(from.created_at),
        desired: uncount(from.desired_count),
        running: uncount(from.running_count),
        pending: uncount(from.pending_count),
        rollout: from.current_service_deployment.filter(|arn| !arn.is_empty()),
        deployments,
        not_begun: not_begun(&events),
        events: events.into_iter().take(EVENTS_KEPT).collect(),
        targets: from.load_balancers.unwrap_or_default().into_iter().filter_map(service_target).collect(),
    }
}

/// The newest event about a copy that was not begun, without the service's name before it.
fn not_begun(newest_first: &[(Timestamp, String)]) -> Option<(Timestamp, String)> {
    newest_first.iter().take_while(|(_, text)| !text.contains(STEADY)).find_map(|(at, text)| {
        let from = NOT_BEGUN.iter().find_map(|words| text.find(words))?;
        Some((*at, text[from..].to_owned()))
    })
}

fn deployment(from: aws_sdk_ecs::types::Deployment) -> Option<EcsDeployment> {
    let definition = from.task_definition?;
    let rollout = from.rollout_state.as_ref().map(|state| state.as_str());
    Some(EcsDeployment {
        id: from.id.unwrap_or_default(),
        is_primary: from.status.as_deref() == Some("PRIMARY"),
        family: definitions::family(&definition).to_owned(),
        definition,
        created: moment(from.created_at),
        desired: uncount(from.desired_count),
        running: uncount(from.running_count),
        pending: uncount(from.pending_count),
        failed: uncount(from.failed_tasks),
        has_failed: rollout == Some("FAILED"),
        is_completed: rollout == Some("COMPLETED"),
        reason: from.rollout_state_reason.unwrap_or_default(),
    })
}
