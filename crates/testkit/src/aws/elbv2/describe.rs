//! The describe operations.

use serde_json::{Map, Value, json};

use super::super::wire::time::iso;
use super::super::wire::{AwsError, Input};
use super::super::world::World;
use super::{Balancer, Listener, Rule, Target, TargetGroup, TargetState, tags_value};

/// A page of things that are in their order already: after the marker, `PageSize` (400 unless it is given) of them.
fn paged(all: Vec<Value>, input: &Value, key: &str) -> Result<Value, AwsError> {
    let bad = || AwsError::validation("The marker is not valid");
    let start = match input.text("Marker") {
        None => 0,
        Some(marker) => marker.parse::<usize>().map_err(|_| bad())?,
    };
    let most = input.number("PageSize").and_then(|most| usize::try_from(most).ok()).unwrap_or(400).clamp(1, 400);
    let mut answer = Map::new();
    if all.len() > start + most {
        answer.insert("NextMarker".to_owned(), json!((start + most).to_string()));
    }
    answer.insert(key.to_owned(), all.into_iter().skip(start).take(most).collect());
    Ok(Value::Object(answer))
}

fn no_group() -> AwsError {
    AwsError::new("TargetGroupNotFound", "One or more target groups not found")
}

fn no_balancer() -> AwsError {
    AwsError::new("LoadBalancerNotFound", "One or more load balancers not found")
}

pub(super) fn target_health(world: &World, input: &Value) -> Result<Value, AwsError> {
    let arn = input.required("TargetGroupArn", "ValidationError")?;
    let group = super::visible_group(world, arn).ok_or_else(no_group)?;
    let asked: Vec<(&str, Option<i64>)> =
        input.list("Targets").iter().filter_map(|target| Some((target.text("Id")?, target.number("Port")))).collect();
    let is_asked = |target: &Target| {
        asked.is_empty()
            || asked.iter().any(|(id, port)| *id == target.id && port.is_none_or(|port| port == target.port))
    };
    let healths: Vec<Value> = group
        .targets
        .iter()
        .filter(|(target, _)| is_asked(target))
        .map(|(target, seen)| {
            json!({
                "Target": {"Id": target.id, "Port": target.port},
                "HealthCheckPort": target.port.to_string(),
                "TargetHealth": health(seen.state),
            })
        })
        .collect();
    Ok(json!({"TargetHealthDescriptions": healths}))
}

fn health(state: TargetState) -> Value {
    let (state, reason, description) = match state {
        TargetState::Healthy => return json!({"State": "healthy"}),
        TargetState::Initial => ("initial", "Elb.RegistrationInProgress", "Target registration is in progress"),
        TargetState::Unhealthy => ("unhealthy", "Target.FailedHealthChecks", "Health checks failed"),
        TargetState::Draining => {
            ("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
        }
        TargetState::Unused => {
            ("unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer")
        }
    };
    json!({"State": state, "Reason": reason, "Description": description})
}

pub(super) fn target_groups(world: &World, input: &Value) -> Result<Value, AwsError> {
    let (arns, names) = (input.texts("TargetGroupArns"), input.texts("Names"));
    let balancer = input.text("LoadBalancerArn");
    let visible = world.elb.groups.values().filter(|group| group.visible_ms <= world.now_ms);
    let mut found: Vec<&TargetGroup> = visible
        .filter(|group| arns.is_empty() || arns.contains(&&*group.arn))
        .filter(|group| names.is_empty() || names.contains(&group.name.as_str()))
        .filter(|group| balancer.is_none_or(|arn| world.elb.balancers_of(&group.arn).contains(arn)))
        .collect();
    if found.len() < arns.len() || found.len() < names.len() {
        return Err(no_group());
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    paged(found.into_iter().map(|group| target_group(world, group)).collect(), input, "TargetGroups")
}

fn target_group(world: &World, group: &TargetGroup) -> Value {
    let settings = &group.settings;
    let with_default = |key: &str, default: Value| settings.member(key).cloned().unwrap_or(default);
    let protocol = with_default("Protocol", json!("HTTP"));
    json!({
        "TargetGroupArn": *group.arn,
        "TargetGroupName": group.name,
        "TargetType": group.target_type,
        "Protocol": protocol,
        "Port": with_default("Port", json!(80)),
        "VpcId": with_default("VpcId", Value::Null),
        "IpAddressType": "ipv4",
        "HealthCheckEnabled": true,
        "HealthCheckProtocol": with_default("HealthCheckProtocol", protocol.clone()),
        "HealthCheckPort": with_default("HealthCheckPort", json!("traffic-port")),
        "HealthCheckPath": with_default("HealthCheckPath", json!("/")),
        "HealthCheckIntervalSeconds": with_default("HealthCheckIntervalSeconds", json!(30)),
        "HealthCheckTimeoutSeconds": with_default("HealthCheckTimeoutSeconds", json!(5)),
        "HealthyThresholdCount": with_default("HealthyThresholdCount", json!(5)),
        "UnhealthyThresholdCount": with_default("UnhealthyThresholdCount", json!(2)),
        "Matcher": with_default("Matcher", json!({"HttpCode": "200"})),
        "LoadBalancerArns": world.elb.balancers_of(&group.arn).iter().map(|arn| json!(**arn)).collect::<Vec<_>>(),
    })
}

pub(super) fn target_group_attributes(world: &World, input: &Value) -> Result<Value, AwsError> {
    let arn = input.required("TargetGroupArn", "ValidationError")?;
    let group = super::visible_group(world, arn).ok_or_else(no_group)?;
    let mut attributes = group.settings.list("TargetGroupAttributes").to_vec();
    let delay = "deregistration_delay.timeout_seconds";
    if !attributes.iter().any(|entry| entry.text("Key") == Some(delay)) {
        attributes.push(json!({"Key": delay, "Value": "300"}));
    }
    Ok(json!({"Attributes": attributes}))
}

pub(super) fn load_balancers(world: &World, input: &Value) -> Result<Value, AwsError> {
    let (arns, names) = (input.texts("LoadBalancerArns"), input.texts("Names"));
    let visible = world.elb.balancers.values().filter(|balancer| balancer.visible_ms <= world.now_ms);
    let found: Vec<&Balancer> = visible
        .filter(|balancer| arns.is_empty() || arns.contains(&&*balancer.arn))
        .filter(|balancer| names.is_empty() || names.contains(&balancer.name.as_str()))
        .collect();
    if found.len() < arns.len() || found.len() < names.len() {
        return Err(no_balancer());
    }
    paged(found.into_iter().map(|balancer| load_balancer(world, balancer)).collect(), input, "LoadBalancers")
}

fn load_balancer(world: &World, balancer: &Balancer) -> Value {
    let settings = &balancer.settings;
    let subnets: Vec<String> = match settings.list("Subnets") {
        [] => settings.list("SubnetMappings").iter().filter_map(|m| m.text("SubnetId")).map(str::to_owned).collect(),
        subnets => subnets.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
    };
    let zones: Vec<Value> = subnets
        .iter()
        .map(|subnet| json!({"SubnetId": subnet, "ZoneName": world.ec2.subnet(subnet).map(|subnet| subnet.zone.clone())}))
        .collect();
    let vpc = subnets.first().and_then(|subnet| world.ec2.subnet(subnet)).map(|subnet| subnet.vpc.clone());
    json!({
        "LoadBalancerArn": *balancer.arn,
        "LoadBalancerName": balancer.name,
        "DNSName": balancer.dns,
        "CanonicalHostedZoneId": "Z35SXDOTRQ7X7K",
        "CreatedTime": iso(balancer.created_ms),
        "Scheme": settings.text("Scheme").unwrap_or("internet-facing"),
        "Type": settings.text("Type").unwrap_or("application"),
        "IpAddressType": "ipv4",
        "State": {"Code": "active"},
        "VpcId": vpc,
        "AvailabilityZones": zones,
        "SecurityGroups": settings.list("SecurityGroups"),
    })
}

pub(super) fn load_balancer_attributes(world: &World, input: &Value) -> Result<Value, AwsError> {
    let arn = input.required("LoadBalancerArn", "ValidationError")?;
    let balancer =
        world.elb.balancers.get(arn).filter(|balancer| balancer.visible_ms <= world.now_ms).ok_or_else(no_balancer)?;
    let mut attributes = balancer.settings.list("LoadBalancerAttributes").to_vec();
    let application = balancer.settings.text("Type").unwrap_or("application") == "application";
    let mut defaults = vec![("deletion_protection.enabled", "false")];
    if application {
        defaults.push(("idle_timeout.timeout_seconds", "60"));
    }
    defaults.push(("load_balancing.cross_zone.enabled", if application { "true" } else { "false" }));
    for (key, value) in defaults {
        if !attributes.iter().any(|entry| entry.text("Key") == Some(key)) {
            attributes.push(json!({"Key": key, "Value": value}));
        }
    }
    Ok(json!({"Attributes": attributes}))
}

pub(super) fn listeners(world: &World, input: &Value) -> Result<Value, AwsError> {
    let (arns, balancer) = (input.texts("ListenerArns"), input.text("LoadBalancerArn"));
    if let Some(arn) = balancer
        && !world.elb.balancers.contains_key(arn)
    {
        return Err(no_balancer());
    }
    let visible = world.elb.listeners.values().filter(|listener| listener.visible_ms <= world.now_ms);
    let found: Vec<&Listener> = visible
        .filter(|listener| arns.is_empty() || arns.contains(&&*listener.arn))
        .filter(|listener| balancer.is_none_or(|arn| *listener.balancer == *arn))
        .collect();
    if found.len() < arns.len() {
        return Err(AwsError::new("ListenerNotFound", "One or more listeners not found"));
    }
    paged(found.into_iter().map(listener).collect(), input, "Listeners")
}

fn listener(listener: &Listener) -> Value {
    let settings = &listener.settings;
    json!({
        "ListenerArn": *listener.arn,
        "LoadBalancerArn": *listener.balancer,
        "Port": settings.member("Port"),
        "Protocol": settings.member("Protocol"),
        "Certificates": settings.list("Certificates"),
        "SslPolicy": settings.member("SslPolicy"),
        "DefaultActions": settings.list("DefaultActions"),
    })
}

pub(super) fn rules(world: &World, input: &Value) -> Result<Value, AwsError> {
    let (arns, of) = (input.texts("RuleArns"), input.text("ListenerArn"));
    let visible = world.elb.rules.values().filter(|rule| rule.visible_ms <= world.now_ms);
    let mut found: Vec<&Rule> = visible
        .filter(|rule| arns.is_empty() || arns.contains(&&*rule.arn))
        .filter(|rule| of.is_none_or(|arn| *rule.listener == *arn))
        .collect();
    found.sort_by_key(|rule| rule.settings.number("Priority"));
    let mut values: Vec<Value> = found
        .into_iter()
        .map(|rule| {
            json!({
                "RuleArn": *rule.arn,
                "Priority": rule.settings.number("Priority").map(|priority| priority.to_string()),
                "Conditions": rule.settings.list("Conditions"),
                "Actions": rule.settings.list("Actions"),
                "IsDefault": false,
            })
        })
        .collect();
    if let Some(arn) = of {
        let listener = world.elb.listeners.get(arn);
        let listener = listener.ok_or_else(|| AwsError::new("ListenerNotFound", "One or more listeners not found"))?;
        values.push(json!({
            "RuleArn": format!("{}/default", listener.arn.replace(":listener/", ":listener-rule/")),
            "Priority": "default",
            "Conditions": [],
            "Actions": listener.settings.list("DefaultActions"),
            "IsDefault": true,
        }));
    }
    paged(values, input, "Rules")
}

pub(super) fn tags(world: &World, input: &Value) -> Result<Value, AwsError> {
    let arns = input.texts("ResourceArns");
    if arns.is_empty() || arns.len() > 20 {
        return Err(AwsError::validation("ResourceArns must have between 1 and 20 elements"));
    }
    let mut found = Vec::new();
    for arn in arns {
        let tags = match (world.elb.balancers.get(arn), world.elb.groups.get(arn)) {
            (Some(balancer), _) => &balancer.tags,
            (None, Some(group)) => &group.tags,
            (None, None) if arn.contains(":targetgroup/") => return Err(no_group()),
            (None, None) => return Err(no_balancer()),
        };
        found.push(json!({"ResourceArn": arn, "Tags": tags_value(tags)}));
    }
    Ok(json!({"TagDescriptions": found}))
}
