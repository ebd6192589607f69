//! Classic load balancers: what they find of the machines behind them.
//!
//! Stacks make them; the ECS scheduler registers the machine of a task with the container's port, and takes it away with the last
//! task on it. A machine is out of service while it is being registered, for as many health check intervals as the threshold
//! says, and then in service or failing, by what its tasks do. Deregistered it is in service, and leaves, for as long as
//! connections may drain. No bytes flow.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ecs;
use super::wire::{AwsError, Input, Service};
use super::world::{Due, Id, World, unknown_operation};

/// What is said of a machine that fails its checks (API reference, `InstanceState`).
pub(crate) const FAILED: &str =
    "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.";

/// A classic load balancer. `settings` are the members of its stack resource.
#[derive(Debug)]
pub(crate) struct Classic {
    pub(crate) settings: Value,
    pub(crate) visible_ms: i64,
    /// By EC2 id.
    machines: BTreeMap<String, Machine>,
}

impl Classic {
    pub(crate) fn new(settings: Value, visible_ms: i64) -> Self {
        Self { settings, visible_ms, machines: BTreeMap::new() }
    }

    /// A number of its health check, or ELB's default.
    fn check(&self, key: &str, default: u64) -> u64 {
        let number = self.settings.member("HealthCheck").and_then(|check| check.number(key));
        number.and_then(|number| u64::try_from(number).ok()).unwrap_or(default)
    }

    /// How long connections may drain.
    fn drain_s(&self) -> u64 {
        let policy = self.settings.member("ConnectionDrainingPolicy").filter(|policy| policy.flag("Enabled"));
        policy.map_or(0, |policy| policy.number("Timeout").and_then(|s| u64::try_from(s).ok()).unwrap_or(300))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Registering,
    InService,
    Failing,
    Leaving,
}

/// A machine that is registered.
#[derive(Debug)]
struct Machine {
    state: State,
    /// Its tasks behind the load balancer, and whether the checks of each pass.
    tasks: BTreeMap<Id, bool>,
    /// Counts what began: what an earlier timer was set for is over.
    round: u64,
}

impl Machine {
    fn passes(&self) -> bool {
        self.tasks.values().all(|passes| *passes)
    }

    /// As it is found now.
    fn judge(&mut self) {
        self.state = if self.passes() { State::InService } else { State::Failing };
    }
}

/// Answers an operation.
pub(crate) fn answer(world: &World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    match operation {
        "DescribeInstanceHealth" => instance_health(world, input),
        _ => Err(unknown_operation(Service::Elb, operation)),
    }
}

fn instance_health(world: &World, input: &Value) -> Result<Value, AwsError> {
    let name = input.required("LoadBalancerName", "ValidationError")?;
    let balancer = world.classic.get(name).filter(|balancer| balancer.visible_ms <= world.now_ms).ok_or_else(|| {
        AwsError::new("LoadBalancerNotFound", format!("There is no ACTIVE Load Balancer named '{name}'"))
    })?;
    let asked: Vec<&str> = input.list("Instances").iter().filter_map(|instance| instance.text("InstanceId")).collect();
    if let Some(unknown) =
        asked.iter().find(|id| !balancer.machines.contains_key(**id) && !ecs::machines::exists(world, id))
    {
        return Err(AwsError::new("InvalidInstance", format!("Could not find EC2 instance {unknown}.")));
    }
    let states: Vec<Value> = match asked.is_empty() {
        true => balancer.machines.iter().map(|(id, machine)| state(id, Some(machine.state))).collect(),
        false => asked.iter().map(|id| state(id, balancer.machines.get(*id).map(|machine| machine.state))).collect(),
    };
    Ok(json!({"InstanceStates": states}))
}

fn state(id: &str, state: Option<State>) -> Value {
    let (state, reason, description) = match state {
        Some(State::Registering) => ("OutOfService", "ELB", "Instance registration is still in progress."),
        Some(State::InService) => ("InService", "N/A", "N/A"),
        Some(State::Failing) => ("OutOfService", "Instance", FAILED),
        Some(State::Leaving) => ("InService", "N/A", "Instance deregistration currently in progress."),
        None => ("OutOfService", "Instance", "Instance is not currently registered with the LoadBalancer."),
    };
    json!({"InstanceId": id, "State": state, "ReasonCode": reason, "Description": description})
}

/// Registers the machine of a task; a load balancer that is gone takes nothing.
pub(crate) fn register(world: &mut World, name: &str, machine: &str, task: &Id, passes: bool) {
    let Some(balancer) = world.classic.get_mut(name) else { return };
    let gone = || Machine { state: State::Leaving, tasks: BTreeMap::new(), round: 0 };
    let seen = balancer.machines.entry(machine.to_owned()).or_insert_with(gone);
    if seen.state == State::Leaving {
        seen.state = State::Registering;
    }
    seen.tasks.insert(task.clone(), passes);
    seen.round += 1;
    let (round, passes) = (seen.round, seen.passes());
    let times = if passes { balancer.check("HealthyThreshold", 10) } else { balancer.check("UnhealthyThreshold", 2) };
    let after_ms = balancer.check("Interval", 30) * times * world.config.second_ms;
    world.later(after_ms, Due::Machine(name.into(), machine.into(), round));
}

/// Takes a task away, and its machine when it was the last there; the milliseconds that connections drain for.
pub(crate) fn deregister(world: &mut World, name: &str, machine: &str, task: &Id) -> u64 {
    let Some(balancer) = world.classic.get_mut(name) else { return 0 };
    let drain_ms = balancer.drain_s() * world.config.second_ms;
    let Some(seen) = balancer.machines.get_mut(machine) else { return 0 };
    seen.tasks.remove(task);
    if !seen.tasks.is_empty() {
        return 0;
    }
    // Where no request was sent to, none is waited for.
    if seen.state != State::InService || drain_ms == 0 {
        balancer.machines.remove(machine);
        return 0;
    }
    seen.state = State::Leaving;
    seen.round += 1;
    let round = seen.round;
    world.later(drain_ms, Due::Machine(name.into(), machine.into(), round));
    drain_ms
}

/// A step of a machine is due: its health is known, or its connections are drained.
pub(crate) fn step(world: &mut World, name: &str, machine: &str, round: u64) {
    let Some(balancer) = world.classic.get_mut(name) else { return };
    let Some(seen) = balancer.machines.get_mut(machine).filter(|seen| seen.round == round) else { return };
    if seen.state == State::Leaving {
        balancer.machines.remove(machine);
        return;
    }
    seen.judge();
    let tasks: Vec<Id> = seen.tasks.keys().cloned().collect();
    changed(world, &tasks);
}

/// Changes what the checks of a task's machine say, as when the application behind it breaks. It is found so at once, also while
/// it is being registered.
pub(crate) fn set_health(world: &mut World, task: &str, passes: bool) {
    let mut tasks: Vec<Id> = Vec::new();
    let machines = world.classic.values_mut().flat_map(|balancer| balancer.machines.values_mut());
    for seen in machines {
        let Some(of_task) = seen.tasks.get_mut(task) else { continue };
        *of_task = passes;
        if seen.state != State::Leaving {
            seen.judge();
            seen.round += 1;
            tasks.extend(seen.tasks.keys().cloned());
        }
    }
    changed(world, &tasks);
}

fn changed(world: &mut World, tasks: &[Id]) {
    for task in tasks {
        ecs::life::target_changed(world, task);
    }
}

/// Whether a machine gets requests. A load balancer that is gone holds nothing up.
pub(crate) fn is_in_service(world: &World, name: &str, machine: &str) -> bool {
    let Some(balancer) = world.classic.get(name) else { return true };
    balancer.machines.get(machine).is_some_and(|seen| seen.state == State::InService)
}

/// Whether a machine failed its checks.
pub(crate) fn is_failing(world: &World, name: &str, machine: &str) -> bool {
    let seen = world.classic.get(name).and_then(|balancer| balancer.machines.get(machine));
    seen.is_some_and(|seen| seen.state == State::Failing)
}
