//! Services: what is wanted, and the operations that change it. The scheduler does the rest.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value, json};

use super::super::elbv2;
use super::super::wire::input::members;
use super::super::wire::{AwsError, Input};
use super::super::world::{Id, World};
use super::place::{self, Choice};
use super::rollout;
use super::service::{Service, ServiceStatus};
use super::{
    Definition, Ids, Tags, cluster, definition, describe_service, keep_token, known_token, last_part, missing, page,
    scheduler, tags_of, tags_value,
};

/// The members of a request that a service keeps as they are.
const SETTINGS: [&str; 17] = [
    "loadBalancers",
    "serviceRegistries",
    "launchType",
    "capacityProviderStrategy",
    "platformVersion",
    "deploymentConfiguration",
    "placementConstraints",
    "placementStrategy",
    "networkConfiguration",
    "healthCheckGracePeriodSeconds",
    "schedulingStrategy",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "availabilityZoneRebalancing",
];

/// Those of them whose change begins a new deployment (API reference, UpdateService), and that a rollback takes back.
pub(super) const DEPLOYED: [&str; 7] = [
    "loadBalancers",
    "serviceRegistries",
    "capacityProviderStrategy",
    "platformVersion",
    "networkConfiguration",
    "serviceConnectConfiguration",
    "volumeConfigurations",
];

pub(super) fn create(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let cluster_name = cluster::named(world, input)?;
    let name = input.required("serviceName", "InvalidParameterException")?;
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    if name.len() > 255 || !name.chars().all(legal) {
        return Err(AwsError::invalid_parameter("Service name contains invalid characters."));
    }
    let not_idempotent = || AwsError::invalid_parameter("Creation of service was not idempotent.");
    if let Some(made) = known_token(world, "CreateService", &cluster_name, input, |_| not_idempotent())?
        && let Some(service) = made.first().and_then(|arn| world.ecs.services.get(arn)).filter(|s| !s.is_inactive())
    {
        return Ok(json!({"service": describe_service(world, service, true)}));
    }
    let arn: Id = world.arn("ecs", &format!("service/{cluster_name}/{name}")).into();
    match world.ecs.services.get(&arn).map(|service| service.status) {
        Some(ServiceStatus::Active) => return Err(not_idempotent()),
        Some(ServiceStatus::Draining) => {
            return Err(AwsError::invalid_parameter("Unable to Start a service that is still Draining."));
        }
        Some(ServiceStatus::Inactive) | None => {}
    }
    let definition = definition::usable(world, input)?;
    if input.text("schedulingStrategy").is_some_and(|strategy| strategy != "REPLICA") {
        return Err(AwsError::new("UnsupportedFeatureException", "the fake schedules REPLICA services only"));
    }
    let desired = desired_count(input)?.ok_or_else(|| AwsError::invalid_parameter("desiredCount cannot be empty"))?;
    let mut settings = Value::Object(members(input, &SETTINGS));
    check(world, &cluster_name, &definition, &settings)?;
    complete(&mut settings, &world.ecs.clusters[&cluster_name].default_strategy);
    let service = Service {
        arn: arn.clone(),
        name: name.to_owned(),
        cluster: cluster_name.clone(),
        status: ServiceStatus::Active,
        desired,
        settings: settings.clone(),
        deployments: Vec::new(),
        completed: None,
        rollouts: Vec::new(),
        events: VecDeque::new(),
        live: Ids::new(),
        stopped: Ids::new(),
        tags: tags_of(input.list("tags")),
        created_ms: world.now_ms,
        visible_ms: world.visible_ms(),
        look_ms: None,
        steady: false,
        stuck: None,
        registered: BTreeMap::new(),
        deregistered: BTreeMap::new(),
    };
    world.ecs.services.insert(arn.clone(), service);
    if let Some(cluster) = world.ecs.clusters.get_mut(&cluster_name) {
        cluster.services.insert(name.to_owned(), arn.clone());
    }
    rollout::begin(world, &arn, definition, settings);
    keep_token(world, "CreateService", &cluster_name, input, vec![arn.clone()]);
    scheduler::poke(world, &arn);
    Ok(json!({"service": describe_service(world, &world.ecs.services[&arn], true)}))
}

/// The desired count of a request.
fn desired_count(input: &Value) -> Result<Option<u64>, AwsError> {
    match input.number("desiredCount") {
        None => Ok(None),
        Some(count) if (0..=5000).contains(&count) => Ok(u64::try_from(count).ok()),
        Some(count) => Err(AwsError::invalid_parameter(format!("desiredCount must be between 0 and 5000: {count}"))),
    }
}

/// What ECS adds to a new service's settings.
fn complete(settings: &mut Value, default_strategy: &Value) {
    let Some(settings) = settings.as_object_mut() else { return };
    let strategy =
        settings.get("capacityProviderStrategy").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if !strategy && !settings.contains_key("launchType") {
        if default_strategy.as_array().is_some_and(|list| !list.is_empty()) {
            settings.insert("capacityProviderStrategy".to_owned(), default_strategy.clone());
        } else {
            settings.insert("launchType".to_owned(), json!("EC2"));
        }
    }
    for (key, default) in [
        ("loadBalancers", json!([])),
        ("serviceRegistries", json!([])),
        ("placementConstraints", json!([])),
        ("placementStrategy", json!([])),
        ("schedulingStrategy", json!("REPLICA")),
        ("propagateTags", json!("NONE")),
        ("enableECSManagedTags", json!(false)),
        ("enableExecuteCommand", json!(false)),
        ("deploymentConfiguration", json!({})),
    ] {
        settings.entry(key).or_insert(default);
    }
    if let Some(deployment) = settings.get_mut("deploymentConfiguration").and_then(Value::as_object_mut) {
        deployment.entry("maximumPercent").or_insert(json!(200));
        deployment.entry("minimumHealthyPercent").or_insert(json!(100));
        deployment.entry("strategy").or_insert(json!("ROLLING"));
        deployment.entry("deploymentCircuitBreaker").or_insert(json!({"enable": false, "rollback": false}));
    }
}

/// Checks that a definition can run with a service's settings.
fn check(world: &World, cluster: &str, definition: &Definition, settings: &Value) -> Result<(), AwsError> {
    let choice = Choice::of(&world.ecs.clusters[cluster], settings)?;
    place::check(world, definition, &choice, settings)?;
    let balancers = settings.list("loadBalancers");
    if balancers.len() > 5 {
        return Err(AwsError::invalid_parameter("load balancers can have at most 5 items."));
    }
    if settings.member("healthCheckGracePeriodSeconds").is_some() && balancers.is_empty() {
        return Err(AwsError::invalid_parameter(
            "Health check grace period is only valid for services configured to use load balancers",
        ));
    }
    for balancer in balancers {
        check_balancer(world, definition, balancer)?;
    }
    let configuration = settings.member("deploymentConfiguration").unwrap_or(&Value::Null);
    let (least, most) = (configuration.number("minimumHealthyPercent"), configuration.number("maximumPercent"));
    if least.unwrap_or(100) >= most.unwrap_or(200) {
        return Err(AwsError::invalid_parameter("maximumPercent must be greater than minimumHealthyPercent."));
    }
    Ok(())
}

/// Checks that a load balancer can have a container of a definition behind it.
fn check_balancer(world: &World, definition: &Definition, balancer: &Value) -> Result<(), AwsError> {
    let name = balancer.text("containerName").unwrap_or_default();
    let container = definition.containers().iter().find(|container| container.text("name") == Some(name));
    let container = container.ok_or_else(|| {
        AwsError::invalid_parameter(format!("The container {name} does not exist in the task definition."))
    })?;
    let port = balancer.number("containerPort");
    if !container.list("portMappings").iter().any(|mapping| mapping.number("containerPort") == port) {
        let port = port.map_or_else(String::new, |port| port.to_string());
        return Err(AwsError::invalid_parameter(format!(
            "The container {name} did not have a container port {port} defined."
        )));
    }
    let Some(arn) = balancer.text("targetGroupArn") else {
        if balancer.text("loadBalancerName").is_none() {
            return Err(AwsError::invalid_parameter("Missing target group or load balancer name."));
        }
        if definition.is_awsvpc() {
            return Err(AwsError::invalid_parameter(
                "Classic Load Balancers are not supported for tasks with the networkMode awsvpc.",
            ));
        }
        return Ok(());
    };
    let group = elbv2::visible_group(world, arn)
        .ok_or_else(|| AwsError::invalid_parameter(format!("The specified target group does not exist: {arn}")))?;
    if definition.is_awsvpc() && group.target_type != "ip" {
        return Err(AwsError::invalid_parameter(format!(
            "The provided target group {arn} has target type {}, which is incompatible with the awsvpc network mode specified \
             in the task definition.",
            group.target_type
        )));
    }
    if !definition.is_awsvpc() && group.target_type == "ip" {
        let mode = definition.document.text("networkMode").unwrap_or("bridge");
        return Err(AwsError::invalid_parameter(format!(
            "The provided target group {arn} has target type ip, which is incompatible with the {mode} network mode specified in \
             the task definition."
        )));
    }
    if !elbv2::has_balancer(world, arn) {
        return Err(AwsError::invalid_parameter(format!(
            "The target group with targetGroupArn {arn} does not have an associated load balancer."
        )));
    }
    Ok(())
}

/// The ARN of a service by name or ARN, which can be seen.
pub(super) fn named(world: &World, cluster: &str, name: &str) -> Option<Id> {
    let arn = world.ecs.clusters.get(cluster)?.services.get(last_part(name))?;
    world.ecs.services.get(arn).filter(|service| service.visible_ms <= world.now_ms).map(|service| service.arn.clone())
}

/// The service that a request names, not INACTIVE.
fn existing(world: &World, input: &Value) -> Result<Id, AwsError> {
    let cluster = cluster::named(world, input)?;
    let name = input.required("service", "InvalidParameterException")?;
    let not_found = || AwsError::new("ServiceNotFoundException", "Service not found.");
    named(world, &cluster, name).ok_or_else(not_found)
}

pub(super) fn update(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let arn = existing(world, input)?;
    let service = &world.ecs.services[&arn];
    if service.status != ServiceStatus::Active {
        return Err(AwsError::new("ServiceNotActiveException", "Service was not ACTIVE."));
    }
    let primary = service.deployments.first().ok_or_else(|| AwsError::client("the service has no deployment"))?;
    let definition = match input.text("taskDefinition") {
        Some(_) => definition::usable(world, input)?,
        None => primary.definition.clone(),
    };
    let desired = desired_count(input)?;
    let before = service.settings.clone();
    let mut settings = before.clone();
    let given: Map<String, Value> = members(input, &SETTINGS);
    if let Some(settings) = settings.as_object_mut() {
        if given.contains_key("capacityProviderStrategy") {
            settings.remove("launchType");
        }
        for (key, value) in given {
            match (settings.get_mut(&key), value) {
                // What an update leaves out of the configuration stays as it is.
                (Some(Value::Object(old)), Value::Object(new)) if key == "deploymentConfiguration" => old.extend(new),
                (_, value) => {
                    settings.insert(key, value);
                }
            }
        }
    }
    check(world, &service.cluster, &definition, &settings)?;
    let changed =
        definition.arn != primary.definition.arn || DEPLOYED.iter().any(|key| before.get(key) != settings.get(key));
    if let Some(service) = world.ecs.services.get_mut(&arn) {
        service.settings = settings.clone();
        service.steady = false;
        if let Some(desired) = desired {
            service.desired = desired;
        }
    }
    if input.flag("forceNewDeployment") {
        rollout::begin(world, &arn, definition, settings);
    } else if changed {
        rollout::begin_or_return(world, &arn, definition, settings);
    }
    scheduler::poke(world, &arn);
    Ok(json!({"service": describe_service(world, &world.ecs.services[&arn], true)}))
}

pub(super) fn delete(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let arn = existing(world, input)?;
    let now_ms = world.now_ms;
    let service = world.ecs.services.get_mut(&arn).ok_or_else(|| AwsError::client("the service is gone"))?;
    if service.is_inactive() {
        return Err(AwsError::new("ServiceNotFoundException", "Service not found."));
    }
    if service.desired > 0 && !input.flag("force") {
        return Err(AwsError::invalid_parameter("The service cannot be stopped while it is scaled above 0."));
    }
    service.status = ServiceStatus::Draining;
    service.desired = 0;
    for rollout in &mut service.rollouts {
        rollout.end_if_open("STOPPED", "The service was deleted.", now_ms);
    }
    scheduler::poke(world, &arn);
    Ok(json!({"service": describe_service(world, &world.ecs.services[&arn], false)}))
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, AwsError> {
    let cluster = cluster::named(world, input)?;
    let names = input.texts("services");
    if names.is_empty() {
        return Err(AwsError::invalid_parameter("Services cannot be empty."));
    }
    if names.len() > 10 {
        return Err(AwsError::invalid_parameter("services cannot have more than 10 elements"));
    }
    let with_tags = input.texts("include").contains(&"TAGS");
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match named(world, &cluster, name) {
            Some(arn) => services.push(describe_service(world, &world.ecs.services[&arn], with_tags)),
            None => failures.push(missing(world.arn("ecs", &format!("service/{cluster}/{}", last_part(name))))),
        }
    }
    Ok(json!({"services": services, "failures": failures}))
}

/// Of services that were deleted it tells nothing, not while they are DRAINING either (API reference, DeleteService).
pub(super) fn list(world: &World, input: &Value) -> Result<Value, AwsError> {
    let cluster = cluster::named(world, input)?;
    let strategy = input.text("schedulingStrategy").unwrap_or("REPLICA");
    let launch_type = input.text("launchType");
    let shown = world.ecs.clusters[&cluster].services.iter().filter(|(_, arn)| {
        world.ecs.services.get(*arn).is_some_and(|service| {
            service.visible_ms <= world.now_ms
                && service.status == ServiceStatus::Active
                && strategy == "REPLICA"
                && launch_type.is_none_or(|wanted| service.settings.text("launchType") == Some(wanted))
        })
    });
    // ListServices gives 10 a page unless it is told otherwise.
    let mut input = input.clone();
    if input.number("maxResults").is_none() {
        input["maxResults"] = json!(10);
    }
    let arn = |name: &str| json!(world.arn("ecs", &format!("service/{cluster}/{name}")));
    page(shown.map(|(name, _)| name.as_str()), &input, "serviceArns", arn)
}

/// The tags of a new task of a service: its own, or those of its task definition.
pub(super) fn propagated(world: &World, service: &Service, definition: &Definition) -> Tags {
    let mut tags = match service.settings.text("propagateTags") {
        Some("SERVICE") => service.tags.clone(),
        Some("TASK_DEFINITION") => {
            definition::registered(world, &definition.arn).map(|found| found.tags.clone()).unwrap_or_default()
        }
        _ => Tags::new(),
    };
    if service.settings.flag("enableECSManagedTags") {
        tags.insert("aws:ecs:clusterName".to_owned(), service.cluster.clone());
        tags.insert("aws:ecs:serviceName".to_owned(), service.name.clone());
    }
    tags
}

/// A service's tags in ECS's form.
pub(super) fn tags(service: &Service) -> Value {
    tags_value(&service.tags)
}
