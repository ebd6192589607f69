//! The operations on service deployments.

use serde_json::{Map, Value, json};

use super::super::wire::time::{seconds, seconds_of};
use super::super::wire::{AwsError, Input};
use super::super::world::World;
use super::rollout::{self, Rollout};
use super::service::{RolloutState, Service};
use super::services;
use super::{cluster, missing, scheduler};

pub(super) fn list(world: &World, input: &Value) -> Result<Value, AwsError> {
    let cluster_name = cluster::named(world, input)?;
    let name = input.required("service", "InvalidParameterException")?;
    let arn = services::named(world, &cluster_name, name)
        .ok_or_else(|| AwsError::new("ServiceNotFoundException", "Service not found."))?;
    let service = &world.ecs.services[&arn];
    let statuses = input.texts("status");
    let created = input.member("createdAt").unwrap_or(&Value::Null);
    let bound = |key: &str| created.get(key).and_then(Value::as_f64);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this era are far below 2^53")]
    let fits = |rollout: &&Rollout| {
        let at_s = rollout.created_ms as f64 / 1000.0;
        (statuses.is_empty() || statuses.contains(&rollout.status))
            && bound("after").is_none_or(|after| at_s >= after)
            && bound("before").is_none_or(|before| at_s <= before)
    };
    let start: usize = super::super::world::page_start(input, "nextToken")?.and_then(|at| at.parse().ok()).unwrap_or(0);
    let most = input.number("maxResults").and_then(|most| usize::try_from(most).ok()).unwrap_or(20);
    let shown: Vec<&Rollout> = service.rollouts.iter().rev().filter(fits).collect();
    let page: Vec<Value> = shown.iter().skip(start).take(most).map(|rollout| brief(world, service, rollout)).collect();
    let mut answer = json!({"serviceDeployments": page});
    if start + most < shown.len() {
        answer["nextToken"] = super::super::world::page_token(&(start + most).to_string());
    }
    Ok(answer)
}

fn brief(world: &World, service: &Service, rollout: &Rollout) -> Value {
    let mut members = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            members.insert(key.to_owned(), value);
        }
    };
    put("serviceDeploymentArn", json!(rollout.arn));
    put("serviceArn", json!(*service.arn));
    put("clusterArn", json!(world.arn("ecs", &format!("cluster/{}", service.cluster))));
    put("createdAt", seconds(rollout.created_ms));
    put("startedAt", seconds(rollout.created_ms));
    put("finishedAt", seconds_of(rollout.finished_ms));
    put("targetServiceRevisionArn", json!(rollout.target_revision));
    put("status", json!(rollout.status));
    put("statusReason", json!(rollout.reason));
    Value::Object(members)
}

pub(super) fn describe(world: &World, input: &Value) -> Result<Value, AwsError> {
    let arns = input.texts("serviceDeploymentArns");
    if arns.is_empty() || arns.len() > 20 {
        return Err(AwsError::invalid_parameter("serviceDeploymentArns must have between 1 and 20 elements"));
    }
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        match rollout_of(world, arn) {
            Some((service, rollout)) => found.push(whole(world, service, rollout)),
            None => failures.push(missing(arn.to_owned())),
        }
    }
    Ok(json!({"serviceDeployments": found, "failures": failures}))
}

fn rollout_of<'a>(world: &'a World, arn: &str) -> Option<(&'a Service, &'a Rollout)> {
    let service = world.ecs.services.get(world.ecs.rollouts.get(arn)?)?;
    if service.visible_ms > world.now_ms {
        return None;
    }
    service.rollouts.iter().find(|rollout| rollout.arn == arn).map(|rollout| (service, rollout))
}

fn whole(world: &World, service: &Service, rollout: &Rollout) -> Value {
    let mut value = brief(world, service, rollout);
    let revision = |arn: &str| {
        let deployment = service.deployments.iter().find(|deployment| deployment.revision == arn);
        let (mut running, mut pending) = (0, 0);
        if let Some(deployment) = deployment {
            (running, pending) = super::describe::counts(world, service, Some(&deployment.id));
        }
        let requested = if rollout.target_revision == arn { service.desired } else { running + pending };
        json!({"arn": arn, "requestedTaskCount": requested, "runningTaskCount": running, "pendingTaskCount": pending})
    };
    if let Some(members) = value.as_object_mut() {
        members.remove("targetServiceRevisionArn");
        members.insert("updatedAt".to_owned(), seconds(rollout.updated_ms));
        if let Some(stopped_ms) = rollout.stopped_ms {
            members.insert("stoppedAt".to_owned(), seconds(stopped_ms));
        }
        members.insert("targetServiceRevision".to_owned(), revision(&rollout.target_revision));
        let source = rollout.source_revision.iter().map(|arn| revision(arn)).collect();
        members.insert("sourceServiceRevisions".to_owned(), source);
        let circuit =
            json!({"status": rollout.circuit, "failureCount": rollout.failures, "threshold": rollout.threshold});
        members.insert("deploymentCircuitBreaker".to_owned(), circuit);
        let watch = match rollout.alarms.as_slice() {
            [] => json!({"status": "DISABLED"}),
            names => {
                let status = match (rollout.alarms_triggered.is_empty(), rollout.is_open()) {
                    (false, _) => "TRIGGERED",
                    (true, true) => "MONITORING",
                    (true, false) => "MONITORING_COMPLETE",
                };
                json!({"status": status, "alarmNames": names, "triggeredAlarmNames": rollout.alarms_triggered})
            }
        };
        members.insert("alarms".to_owned(), watch);
        let configuration = service.settings.member("deploymentConfiguration").cloned().unwrap_or(json!({}));
        members.insert("deploymentConfiguration".to_owned(), configuration);
        if let Some((reason, at_ms, _, revision)) = &rollout.rollback {
            let rollback = json!({"reason": reason, "startedAt": seconds(*at_ms), "serviceRevisionArn": revision});
            members.insert("rollback".to_owned(), rollback);
        }
    }
    value
}

pub(super) fn revisions(world: &World, input: &Value) -> Result<Value, AwsError> {
    let arns = input.texts("serviceRevisionArns");
    if arns.is_empty() || arns.len() > 20 {
        return Err(AwsError::invalid_parameter("serviceRevisionArns must have between 1 and 20 elements"));
    }
    let rollouts = || world.ecs.services.values().flat_map(|it| it.rollouts.iter().map(move |rollout| (it, rollout)));
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for arn in arns {
        match rollouts().find(|(_, rollout)| rollout.target_revision == arn) {
            Some((service, rollout)) => found.push(json!({
                "serviceRevisionArn": arn, "serviceArn": *service.arn, "taskDefinition": rollout.definition,
                "clusterArn": world.arn("ecs", &format!("cluster/{}", service.cluster)),
                "createdAt": seconds(rollout.created_ms),
            })),
            None => failures.push(missing(arn.to_owned())),
        }
    }
    Ok(json!({"serviceRevisions": found, "failures": failures}))
}

pub(super) fn stop(world: &mut World, input: &Value) -> Result<Value, AwsError> {
    let arn = input.required("serviceDeploymentArn", "InvalidParameterException")?.to_owned();
    let not_found = || AwsError::new("ServiceDeploymentNotFoundException", "Service deployment not found.");
    let (service, rollout) = rollout_of(world, &arn).ok_or_else(not_found)?;
    if !matches!(rollout.status, "PENDING" | "IN_PROGRESS") {
        let text = format!("The service deployment is {} and cannot be stopped.", rollout.status);
        return Err(AwsError::new("ConflictException", text));
    }
    let (service_arn, now_ms) = (service.arn.clone(), world.now_ms);
    match input.text("stopType").unwrap_or("ROLLBACK") {
        "ROLLBACK" => {
            rollout::back(
                world,
                &service_arn,
                "stopped by the user",
                "The service deployment was stopped by the user.",
            );
        }
        "ABORT" => {
            if let Some(service) = world.ecs.services.get_mut(&service_arn) {
                if let Some(primary) = service.deployments.first_mut() {
                    primary.state = RolloutState::Failed;
                    primary.reason = "ECS deployment was stopped by the user.".to_owned();
                }
                for rollout in &mut service.rollouts {
                    rollout.end_if_open("STOPPED", "The service deployment was stopped by the user.", now_ms);
                }
            }
        }
        other => return Err(AwsError::invalid_parameter(format!("Invalid stopType: {other}"))),
    }
    scheduler::poke(world, &service_arn);
    Ok(json!({"serviceDeploymentArn": arn}))
}
