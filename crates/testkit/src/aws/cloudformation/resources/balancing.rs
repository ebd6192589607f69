//! Load balancers, target groups, listeners, rules.

use serde_json::{Value, json};

use super::super::super::elbv2::{Balancer, Listener, Rule, TargetGroup};
use super::super::super::wire::Input;
use super::super::super::world::{Id, World};
use super::conditions;
use super::{Change, Made, Place, required};

/// The longest name of a load balancer or target group.
const NAME_LIMIT: usize = 32;

/// The most rules of a load balancer ("Quotas for your Application Load Balancers").
const RULES_LIMIT: usize = 100;

fn check_name(name: &str) -> Result<(), String> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if name.len() > NAME_LIMIT || !name.chars().all(legal) || name.starts_with('-') || name.ends_with('-') {
        return Err(format!(
            "The name '{name}' must have at most 32 letters, digits and hyphens, and none at its ends"
        ));
    }
    Ok(())
}

pub(super) fn balancer_create(world: &mut World, place: &Place, properties: &Value) -> Made {
    let name = place.named(world, properties, "Name", NAME_LIMIT);
    check_name(&name)?;
    if world.elb.balancers.values().any(|known| known.name == name) {
        return Err(format!("A load balancer with the same name '{name}' exists, but with different settings"));
    }
    check_subnets(world, properties)?;
    let kind = match properties.text("Type").unwrap_or("application") {
        "application" => "app",
        "network" => "net",
        "gateway" => "gwy",
        other => return Err(format!("'{other}' is not a valid load balancer type")),
    };
    let full_name = format!("{kind}/{name}/{}", world.hex(16));
    let arn: Id = world.arn("elasticloadbalancing", &format!("loadbalancer/{full_name}")).into();
    let internal = if properties.text("Scheme") == Some("internal") { "internal-" } else { "" };
    let dns = format!("{internal}{name}-{}.{}.elb.amazonaws.com", world.digits(9), world.config.region);
    let attributes = json!({
        "LoadBalancerArn": *arn,
        "LoadBalancerName": name,
        "LoadBalancerFullName": full_name,
        "DNSName": dns,
        "CanonicalHostedZoneID": "Z35SXDOTRQ7X7K",
        "SecurityGroups": properties.list("SecurityGroups"),
    });
    let balancer = Balancer {
        arn: arn.clone(),
        name,
        dns,
        settings: properties.clone(),
        tags: place.tags(properties),
        created_ms: world.now_ms,
        visible_ms: world.visible_ms(),
    };
    world.elb.balancers.insert(arn.clone(), balancer);
    Ok((arn.to_string(), attributes))
}

fn check_subnets(world: &World, properties: &Value) -> Result<(), String> {
    let mappings = properties.list("SubnetMappings").iter().filter_map(|mapping| mapping.text("SubnetId"));
    let subnets: Vec<&str> = properties.texts("Subnets").into_iter().chain(mappings).collect();
    let mut zones = std::collections::BTreeSet::new();
    for id in &subnets {
        let subnet = world.ec2.subnet(id).ok_or_else(|| format!("The subnet ID '{id}' does not exist"))?;
        zones.insert(subnet.zone.clone());
    }
    if properties.text("Type").unwrap_or("application") == "application" && zones.len() < 2 {
        return Err("At least two subnets in two different Availability Zones must be specified".to_owned());
    }
    if subnets.is_empty() {
        return Err("At least one subnet must be specified".to_owned());
    }
    match properties.texts("SecurityGroups").into_iter().find(|group| !world.ec2.has_group(group)) {
        Some(group) => Err(format!("Security group '{group}' does not exist")),
        None => Ok(()),
    }
}

pub(super) fn balancer_update(
    world: &mut World,
    place: &Place,
    arn: &str,
    properties: &Value,
) -> Result<Change, String> {
    check_subnets(world, properties)?;
    let tags = place.tags(properties);
    let balancer = world.elb.balancers.get_mut(arn).ok_or("One or more load balancers not found")?;
    balancer.settings = properties.clone();
    balancer.tags = tags;
    Ok(Change::InPlace(None))
}

/// A load balancer takes its listeners with it.
pub(super) fn balancer_delete(world: &mut World, arn: &str) {
    world.elb.balancers.remove(arn);
    let listeners: Vec<Id> =
        world.elb.listeners.values().filter(|l| *l.balancer == *arn).map(|listener| listener.arn.clone()).collect();
    for listener in listeners {
        listener_delete(world, &listener);
    }
}

pub(super) fn group_create(world: &mut World, place: &Place, properties: &Value) -> Made {
    let name = place.named(world, properties, "Name", NAME_LIMIT);
    check_name(&name)?;
    if world.elb.groups.values().any(|known| known.name == name) {
        return Err(format!("A target group with the same name '{name}' exists, but with different settings"));
    }
    let target_type = properties.text("TargetType").unwrap_or("instance").to_owned();
    if let Some(vpc) = properties.text("VpcId")
        && !world.ec2.network.vpcs.iter().any(|(id, _)| id == vpc)
    {
        return Err(format!("The vpc ID '{vpc}' does not exist"));
    }
    let number = |key: &str, default| properties.number(key).unwrap_or(default);
    if number("HealthCheckTimeoutSeconds", 5) >= number("HealthCheckIntervalSeconds", 30) {
        return Err("Health check interval must be greater than the timeout.".to_owned());
    }
    let full_name = format!("targetgroup/{name}/{}", world.hex(16));
    let arn: Id = world.arn("elasticloadbalancing", &full_name).into();
    let attributes = json!({
        "TargetGroupArn": *arn, "TargetGroupName": name, "TargetGroupFullName": full_name, "LoadBalancerArns": [],
    });
    let group = TargetGroup {
        arn: arn.clone(),
        name,
        target_type,
        settings: properties.clone(),
        tags: place.tags(properties),
        visible_ms: world.visible_ms(),
        targets: std::collections::BTreeMap::new(),
    };
    world.elb.groups.insert(arn.clone(), group);
    Ok((arn.to_string(), attributes))
}

pub(super) fn group_update(world: &mut World, place: &Place, arn: &str, properties: &Value) -> Result<Change, String> {
    let tags = place.tags(properties);
    let group = world.elb.groups.get_mut(arn).ok_or("One or more target groups not found")?;
    group.settings = properties.clone();
    group.tags = tags;
    Ok(Change::InPlace(None))
}

pub(super) fn group_delete(world: &mut World, arn: &str) -> Result<(), String> {
    if !world.elb.balancers_of(arn).is_empty() {
        return Err(format!(
            "Target group '{arn}' is currently in use by a listener or a rule (Service: ElasticLoadBalancingV2, Status Code: \
             400, Error Code: ResourceInUse)"
        ));
    }
    world.elb.groups.remove(arn);
    Ok(())
}

/// Actions are of a kind that the load balancer knows; their target groups exist, speak what it speaks, and belong to no
/// other load balancer.
fn check_actions(world: &World, actions: &[Value], balancer: &str, listener: &Value) -> Result<(), String> {
    let is_network = kind_of(world, balancer) == "network";
    for action in actions {
        match action.text("Type").unwrap_or_default() {
            "forward" => {}
            _ if is_network => return Err("Actions of network load balancers can only forward".to_owned()),
            "redirect" => check_redirect(action.member("RedirectConfig").unwrap_or(&Value::Null), listener)?,
            "fixed-response" | "authenticate-oidc" | "authenticate-cognito" => {}
            other => return Err(format!("'{other}' is not a valid action type")),
        }
        let forward = action.member("ForwardConfig").map(|forward| forward.list("TargetGroups")).unwrap_or_default();
        let groups =
            forward.iter().filter_map(|group| group.text("TargetGroupArn")).chain(action.text("TargetGroupArn"));
        for group in groups {
            if !world.elb.groups.contains_key(group) {
                return Err(format!("One or more target groups not found: {group}"));
            }
            let speaks = world.elb.groups[group].settings.text("Protocol").unwrap_or("HTTP");
            if is_network != matches!(speaks, "TCP" | "TLS" | "UDP" | "TCP_UDP") {
                let protocol = listener.text("Protocol").unwrap_or_default();
                return Err(format!(
                    "Listener protocol '{protocol}' is not supported with a target group with the protocol '{speaks}'"
                ));
            }
            if world.elb.balancers_of(group).iter().any(|other| **other != *balancer) {
                return Err(format!(
                    "The following target groups cannot be associated with more than one load balancer: {group}"
                ));
            }
        }
    }
    Ok(())
}

fn kind_of<'a>(world: &'a World, balancer: &str) -> &'a str {
    world.elb.balancers.get(balancer).and_then(|it| it.settings.text("Type")).unwrap_or("application")
}

/// ELB API, `RedirectActionConfig`: another protocol, host, port or path, and never from HTTPS to HTTP.
fn check_redirect(redirect: &Value, listener: &Value) -> Result<(), String> {
    let from = listener.text("Protocol").unwrap_or_default();
    let (to, port) = (redirect.text("Protocol").unwrap_or("#{protocol}"), redirect.text("Port").unwrap_or("#{port}"));
    if !matches!(redirect.text("StatusCode"), Some("HTTP_301" | "HTTP_302")) {
        return Err("A redirect needs a StatusCode, HTTP_301 or HTTP_302".to_owned());
    }
    if !matches!(to, "HTTP" | "HTTPS" | "#{protocol}") || (from == "HTTPS" && to == "HTTP") {
        return Err(format!("A listener of {from} can't redirect to '{to}'"));
    }
    if port != "#{port}" && !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(format!("'{port}' is not a valid port of a redirect"));
    }
    let same_port = port == "#{port}" || listener.number("Port").is_some_and(|own| own.to_string() == port);
    let same_place = ["Host", "Path"].iter().all(|key| redirect.text(key).is_none());
    if same_place && same_port && (to == from || to == "#{protocol}") {
        return Err(
            "You must modify at least one of protocol, hostname, port, or path to avoid a redirect loop".to_owned()
        );
    }
    Ok(())
}

fn check_listener(world: &World, properties: &Value, balancer: &str, own: Option<&str>) -> Result<(), String> {
    if !world.elb.balancers.contains_key(balancer) {
        return Err("One or more load balancers not found".to_owned());
    }
    let port =
        properties.number("Port").filter(|port| (1..=65_535).contains(port)).ok_or("a listener needs a valid Port")?;
    let taken = world.elb.listeners.values().any(|listener| {
        *listener.balancer == *balancer
            && listener.settings.number("Port") == Some(port)
            && own.is_none_or(|own| *listener.arn != *own)
    });
    if taken {
        return Err(format!("A listener already exists on this port for this load balancer: {port}"));
    }
    let protocol = required(properties, "Protocol")?;
    let kind = kind_of(world, balancer);
    let known: &[&str] = if kind == "network" { &["TCP", "TLS", "UDP", "TCP_UDP"] } else { &["HTTP", "HTTPS"] };
    if !known.contains(&protocol) {
        return Err(format!("Protocol '{protocol}' is not supported by load balancers of type {kind}"));
    }
    if matches!(protocol, "HTTPS" | "TLS") && properties.list("Certificates").is_empty() {
        return Err(format!("A certificate must be specified for {protocol} listeners"));
    }
    if properties.list("DefaultActions").is_empty() {
        return Err("A listener needs a default action".to_owned());
    }
    check_actions(world, properties.list("DefaultActions"), balancer, properties)
}

pub(super) fn listener_create(world: &mut World, properties: &Value) -> Made {
    let balancer: Id = required(properties, "LoadBalancerArn")?.into();
    check_listener(world, properties, &balancer, None)?;
    let arn: Id = format!("{}/{}", balancer.replace(":loadbalancer/", ":listener/"), world.hex(16)).into();
    let visible_ms = world.visible_ms();
    let listener = Listener { arn: arn.clone(), balancer, settings: properties.clone(), visible_ms };
    world.elb.listeners.insert(arn.clone(), listener);
    world.elb.link(&arn, properties.list("DefaultActions"));
    Ok((arn.to_string(), json!({"ListenerArn": *arn})))
}

pub(super) fn listener_update(world: &mut World, arn: &str, properties: &Value) -> Result<Change, String> {
    let balancer = required(properties, "LoadBalancerArn")?;
    check_listener(world, properties, balancer, Some(arn))?;
    let listener = world.elb.listeners.get_mut(arn).ok_or("One or more listeners not found")?;
    listener.settings = properties.clone();
    let arn = listener.arn.clone();
    world.elb.link(&arn, properties.list("DefaultActions"));
    Ok(Change::InPlace(None))
}

/// A listener takes its rules with it.
pub(super) fn listener_delete(world: &mut World, arn: &str) {
    if let Some(listener) = world.elb.listeners.remove(arn) {
        world.elb.link(&listener.arn, &[]);
    }
    let rules: Vec<Id> =
        world.elb.rules.values().filter(|r| *r.listener == *arn).map(|rule| rule.arn.clone()).collect();
    for rule in rules {
        rule_delete(world, &rule);
    }
}

fn check_rule(world: &World, properties: &Value, own: Option<&str>) -> Result<Id, String> {
    let listener: Id = required(properties, "ListenerArn")?.into();
    let of = world.elb.listeners.get(&listener).ok_or("One or more listeners not found")?;
    if kind_of(world, &of.balancer) != "application" {
        return Err("Rules by path and host are supported by application load balancers only".to_owned());
    }
    let priority = properties.number("Priority").filter(|priority| (1..=50_000).contains(priority));
    let priority = priority.ok_or("a rule needs a Priority between 1 and 50000")?;
    let others = world.elb.rules.values().filter(|rule| own.is_none_or(|own| *rule.arn != *own));
    let of_balancer =
        |rule: &&Rule| world.elb.listeners.get(&rule.listener).is_some_and(|it| it.balancer == of.balancer);
    if others.filter(of_balancer).count() >= RULES_LIMIT {
        return Err(format!("The maximum number of rules has been reached: {RULES_LIMIT}"));
    }
    conditions::check(properties.list("Conditions"))?;
    let taken = world.elb.rules.values().any(|rule| {
        rule.listener == listener
            && rule.settings.number("Priority") == Some(priority)
            && own.is_none_or(|own| *rule.arn != *own)
    });
    if taken {
        return Err(format!("Priority '{priority}' is currently in use"));
    }
    check_actions(world, properties.list("Actions"), &of.balancer, &of.settings)?;
    Ok(listener)
}

pub(super) fn rule_create(world: &mut World, properties: &Value) -> Made {
    let listener = check_rule(world, properties, None)?;
    let arn: Id = format!("{}/{}", listener.replace(":listener/", ":listener-rule/"), world.hex(16)).into();
    let visible_ms = world.visible_ms();
    let rule = Rule { arn: arn.clone(), listener, settings: properties.clone(), visible_ms };
    world.elb.rules.insert(arn.clone(), rule);
    world.elb.link(&arn, properties.list("Actions"));
    Ok((arn.to_string(), json!({"RuleArn": *arn, "IsDefault": false})))
}

pub(super) fn rule_update(world: &mut World, arn: &str, properties: &Value) -> Result<Change, String> {
    check_rule(world, properties, Some(arn))?;
    let rule = world.elb.rules.get_mut(arn).ok_or("One or more rules not found")?;
    rule.settings = properties.clone();
    let arn = rule.arn.clone();
    world.elb.link(&arn, properties.list("Actions"));
    Ok(Change::InPlace(None))
}

pub(super) fn rule_delete(world: &mut World, arn: &str) {
    if let Some(rule) = world.elb.rules.remove(arn) {
        world.elb.link(&rule.arn, &[]);
    }
}
