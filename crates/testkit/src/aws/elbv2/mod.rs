//! Elastic Load Balancing v2: load balancers, listeners, rules, target groups and the health of targets.
//!
//! Stacks make them; the ECS scheduler registers targets. A target is `initial` for one health check interval and then
//! `healthy`, or `unhealthy` after as many intervals as the threshold says; deregistered it is `draining` for the group's
//! deregistration delay. In a group without a load balancer it is `unused`. No bytes flow.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use super::ecs::{self, Tags};
use super::wire::{AwsError, Input, Service};
use super::world::{Due, Id, World, unknown_operation};

mod describe;

/// What Elastic Load Balancing holds, each kind by ARN.
#[derive(Debug, Default)]
pub(crate) struct Elb {
    pub(crate) balancers: BTreeMap<Id, Balancer>,
    pub(crate) listeners: BTreeMap<Id, Listener>,
    pub(crate) rules: BTreeMap<Id, Rule>,
    pub(crate) groups: HashMap<Id, TargetGroup>,
    /// By target group, the listeners and rules that forward to it.
    forwards: HashMap<Id, BTreeSet<Id>>,
}

/// A load balancer. `settings` are the members of its stack resource.
#[derive(Debug)]
pub(crate) struct Balancer {
    pub(crate) arn: Id,
    pub(crate) name: String,
    pub(crate) dns: String,
    pub(crate) settings: Value,
    pub(crate) tags: Tags,
    pub(crate) created_ms: i64,
    pub(crate) visible_ms: i64,
}

/// A listener.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) arn: Id,
    pub(crate) balancer: Id,
    pub(crate) settings: Value,
    pub(crate) visible_ms: i64,
}

/// A rule of a listener.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) arn: Id,
    pub(crate) listener: Id,
    pub(crate) settings: Value,
    pub(crate) visible_ms: i64,
}

/// A target group.
#[derive(Debug)]
pub(crate) struct TargetGroup {
    pub(crate) arn: Id,
    pub(crate) name: String,
    pub(crate) target_type: String,
    pub(crate) settings: Value,
    pub(crate) tags: Tags,
    pub(crate) visible_ms: i64,
    pub(crate) targets: BTreeMap<Target, TargetSeen>,
}

impl TargetGroup {
    fn number(&self, key: &str, default: u64) -> u64 {
        self.settings.number(key).and_then(|number| u64::try_from(number).ok()).unwrap_or(default)
    }

    /// The deregistration delay, 300 s unless it is set.
    fn delay_s(&self) -> u64 {
        let attributes = self.settings.list("TargetGroupAttributes");
        let found = attributes.iter().find(|entry| entry.text("Key") == Some("deregistration_delay.timeout_seconds"));
        found.and_then(|entry| entry.number("Value")).and_then(|s| u64::try_from(s).ok()).unwrap_or(300)
    }
}

/// An address (or instance id) and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    pub(crate) id: String,
    pub(crate) port: i64,
}

/// A target's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetState {
    Initial,
    Healthy,
    Unhealthy,
    Draining,
    Unused,
}

/// A registered target.
#[derive(Debug)]
pub(crate) struct TargetSeen {
    pub(crate) state: TargetState,
    /// The task behind it.
    task: Id,
    /// Whether its health checks pass.
    passes: bool,
}

/// What happens to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TargetStep {
    /// Its health is known.
    Checked,
    /// Its connections are drained.
    Drained,
}

/// Answers an operation.
pub(crate) fn answer(world: &mut World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    match operation {
        "DescribeTargetHealth" => describe::target_health(world, input),
        "DescribeTargetGroups" => describe::target_groups(world, input),
        "DescribeTargetGroupAttributes" => describe::target_group_attributes(world, input),
        "DescribeLoadBalancers" => describe::load_balancers(world, input),
        "DescribeLoadBalancerAttributes" => describe::load_balancer_attributes(world, input),
        "DescribeListeners" => describe::listeners(world, input),
        "DescribeRules" => describe::rules(world, input),
        "DescribeTags" => describe::tags(world, input),
        _ => Err(unknown_operation(Service::Elbv2, operation)),
    }
}

impl Elb {
    /// Notes to which target groups a listener or rule forwards now; none takes it away.
    pub(crate) fn link(&mut self, from: &Id, actions: &[Value]) {
        self.forwards.retain(|_, sources| {
            sources.remove(from);
            !sources.is_empty()
        });
        for group in forwarded(actions) {
            self.forwards.entry(group.into()).or_default().insert(from.clone());
        }
    }

    /// The load balancers that forward to a group.
    pub(crate) fn balancers_of(&self, group: &str) -> BTreeSet<Id> {
        let sources = self.forwards.get(group).into_iter().flatten();
        let listener = |source: &Id| match self.rules.get(source) {
            Some(rule) => self.listeners.get(&rule.listener),
            None => self.listeners.get(source),
        };
        sources.filter_map(listener).map(|listener| listener.balancer.clone()).collect()
    }
}

/// The target groups that actions forward to.
fn forwarded(actions: &[Value]) -> Vec<&str> {
    let mut groups = Vec::new();
    for action in actions {
        groups.extend(action.text("TargetGroupArn"));
        if let Some(forward) = action.member("ForwardConfig") {
            groups.extend(forward.list("TargetGroups").iter().filter_map(|group| group.text("TargetGroupArn")));
        }
    }
    groups
}

/// A target group that can be seen.
pub(crate) fn visible_group<'a>(world: &'a World, arn: &str) -> Option<&'a TargetGroup> {
    world.elb.groups.get(arn).filter(|group| group.visible_ms <= world.now_ms)
}

/// Whether a load balancer forwards to a group.
pub(crate) fn has_balancer(world: &World, arn: &str) -> bool {
    world.elb.forwards.contains_key(arn)
}

/// Registers a target. What is registered already stays as it is; a group that is gone takes nothing.
pub(crate) fn register(world: &mut World, arn: &Id, target: &Target, task: &Id, passes: bool) {
    let in_use = has_balancer(world, arn);
    let second_ms = world.config.second_ms;
    let Some(group) = world.elb.groups.get_mut(arn) else { return };
    let interval_s = group.number("HealthCheckIntervalSeconds", 30);
    let times = if passes { 1 } else { group.number("UnhealthyThresholdCount", 2) };
    let state = if in_use { TargetState::Initial } else { TargetState::Unused };
    group.targets.insert(target.clone(), TargetSeen { state, task: task.clone(), passes });
    if in_use {
        let after_ms = interval_s * times * second_ms;
        world.later(after_ms, Due::Target(arn.clone(), target.clone(), TargetStep::Checked));
    }
}

/// Deregisters a target; the milliseconds that it drains for.
pub(crate) fn deregister(world: &mut World, arn: &Id, target: &Target) -> u64 {
    let second_ms = world.config.second_ms;
    let Some(group) = world.elb.groups.get_mut(arn) else { return 0 };
    let delay_ms = group.delay_s() * second_ms;
    let Some(seen) = group.targets.get_mut(target) else { return 0 };
    if seen.state == TargetState::Unused {
        group.targets.remove(target);
        return 0;
    }
    seen.state = TargetState::Draining;
    world.later(delay_ms, Due::Target(arn.clone(), target.clone(), TargetStep::Drained));
    delay_ms
}

/// A step of a target is due.
pub(crate) fn target_step(world: &mut World, arn: &Id, target: &Target, step: TargetStep) {
    let Some(group) = world.elb.groups.get_mut(arn) else { return };
    let Some(seen) = group.targets.get_mut(target) else { return };
    match (step, seen.state) {
        (TargetStep::Checked, TargetState::Initial) => {
            seen.state = if seen.passes { TargetState::Healthy } else { TargetState::Unhealthy };
            let task = seen.task.clone();
            ecs::life::target_changed(world, &task);
        }
        (TargetStep::Drained, TargetState::Draining) => {
            group.targets.remove(target);
        }
        _ => {}
    }
}

/// Changes what a target's health checks say, as when the application behind it breaks.
pub(crate) fn set_health(world: &mut World, task: &str, passes: bool) {
    let Some(targets) = world.ecs.tasks.get(task).map(|task| task.targets.clone()) else { return };
    for (group, target) in targets {
        let seen = world.elb.groups.get_mut(&group).and_then(|group| group.targets.get_mut(&target));
        let Some(seen) = seen else { continue };
        seen.passes = passes;
        if matches!(seen.state, TargetState::Healthy | TargetState::Unhealthy) {
            seen.state = if passes { TargetState::Healthy } else { TargetState::Unhealthy };
            let task = seen.task.clone();
            ecs::life::target_changed(world, &task);
        }
    }
}

fn state(world: &World, arn: &Id, target: &Target) -> Option<TargetState> {
    world.elb.groups.get(arn)?.targets.get(target).map(|seen| seen.state)
}

/// Whether a target takes traffic, or would if anything sent it. One whose group is gone holds nothing up.
pub(crate) fn is_in_service(world: &World, arn: &Id, target: &Target) -> bool {
    matches!(state(world, arn, target), None | Some(TargetState::Healthy | TargetState::Unused))
}

/// Whether a target's health checks failed.
pub(crate) fn is_unhealthy(world: &World, arn: &Id, target: &Target) -> bool {
    state(world, arn, target) == Some(TargetState::Unhealthy)
}

/// Tags in the form of this service.
fn tags_value(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({"Key": key, "Value": value})).collect()
}
