//! How tasks live: each step is a timer, and a step that comes too late (the task went another way) does nothing.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::behaviour::Behaviour;
use super::super::elb;
use super::super::elbv2::{self, Target};
use super::super::wire::Input;
use super::super::world::{Due, Id, World};
use super::place::{Interface, Launch};
use super::task::{self, Container, ContainerStatus, Health, Status, Task, Times};
use super::{Definition, Tags, logging, machines, pull, scheduler};

/// A step of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Pending,
    Activating,
    Running,
    /// The container at this place ends by itself.
    Ends(usize),
    /// The health check of the container at this place comes to its verdict.
    Checked(usize),
    Stopping,
    Deprovisioning,
    Stopped,
    /// Nobody can describe it any more.
    Forgotten,
}

/// What a task is made of.
pub(super) struct Spec {
    pub(super) cluster: String,
    pub(super) definition: Arc<Definition>,
    pub(super) service: Option<(Id, Id)>,
    pub(super) group: String,
    pub(super) started_by: Option<String>,
    pub(super) launch: Launch,
    pub(super) platform_version: Option<String>,
    pub(super) network: Value,
    pub(super) overrides: Value,
    pub(super) tags: Tags,
    pub(super) execute_command: bool,
}

/// Makes a task and sets it on its way.
pub(super) fn start(world: &mut World, spec: Spec) -> Id {
    let id: Id = world.hex(32).into();
    let interface = if spec.definition.is_awsvpc() { Interface::new(world, &spec.network) } else { None };
    let mut containers = Vec::new();
    for definition in spec.definition.containers() {
        let definition = task::overridden(definition, &spec.overrides);
        containers.push(Container {
            id: world.uuid(),
            behaviour: world.rules.of(&definition),
            status: ContainerStatus::Pending,
            exit_code: None,
            reason: None,
            health: Health::Unknown,
            runtime: None,
            definition,
        });
    }
    let service = spec.service.as_ref().map(|(service, _)| service);
    let machine = match spec.launch.launch_type {
        "EC2" => machines::choose(world, &spec.cluster, service),
        _ => None,
    };
    let platform_version = match spec.platform_version.as_deref() {
        None | Some("LATEST") => "1.4.0".to_owned(),
        Some(version) => version.to_owned(),
    };
    let task = Task {
        arn: world.arn("ecs", &format!("task/{}/{id}", spec.cluster)),
        cluster_arn: world.arn("ecs", &format!("cluster/{}", spec.cluster)),
        id: id.clone(),
        definition: spec.definition,
        group: spec.group,
        started_by: spec.started_by,
        launch: spec.launch,
        platform_version,
        overrides: spec.overrides,
        tags: spec.tags,
        execute_command: spec.execute_command,
        status: Status::Provisioning,
        wanted: true,
        times: Times { created: world.now_ms, ..Times::default() },
        containers,
        interface,
        stop_code: None,
        stopped_reason: None,
        targets: Vec::new(),
        machine,
        classic: Vec::new(),
        was_healthy: false,
        failing: false,
        version: 1,
        visible_ms: world.visible_ms(),
        service: spec.service,
        cluster: spec.cluster,
    };
    if let Some(cluster) = world.ecs.clusters.get_mut(&task.cluster) {
        cluster.running.insert(id.clone());
    }
    if let Some((service, _)) = &task.service
        && let Some(service) = world.ecs.services.get_mut(service)
    {
        service.live.insert(id.clone());
    }
    world.ecs.tasks.insert(id.clone(), task);
    world.later(world.config.task_start_ms / 3, Due::Task(id.clone(), Step::Pending));
    id
}

/// A step is due.
pub(crate) fn step(world: &mut World, id: &Id, step: Step) {
    // Taken out, so that the world can be changed with it; nothing that is called here looks for this task by its id.
    let Some(mut task) = world.ecs.tasks.remove(id) else { return };
    let before = task.status;
    let keep = take(world, &mut task, step);
    if task.status != before {
        task.version += 1;
    }
    let service = task.service.clone();
    if keep {
        world.ecs.tasks.insert(id.clone(), task);
        refresh(world, id);
    }
    if let Some((service, _)) = service {
        scheduler::poke(world, &service);
    }
}

/// Does a step; `false` when the task is to be forgotten.
fn take(world: &mut World, task: &mut Task, step: Step) -> bool {
    let third = world.config.task_start_ms / 3;
    match step {
        Step::Pending if task.status == Status::Provisioning => {
            task.status = Status::Pending;
            task.times.pull_started = Some(world.now_ms);
            world.later(third, Due::Task(task.id.clone(), Step::Activating));
        }
        Step::Activating if task.status == Status::Pending => activate(world, task),
        Step::Running if task.status == Status::Activating => run(world, task),
        Step::Ends(at) => container_ends(world, task, at),
        Step::Checked(at) => {
            let container = &mut task.containers[at];
            if container.status == ContainerStatus::Running && task.wanted {
                let fails = container.behaviour == Behaviour::NeverHealthy;
                container.health = if fails { Health::Unhealthy } else { Health::Healthy };
            }
        }
        Step::Stopping if task.status == Status::Deactivating => {
            task.status = Status::Stopping;
            world.later(world.config.task_stop_ms / 4, Due::Task(task.id.clone(), Step::Deprovisioning));
        }
        Step::Deprovisioning if matches!(task.status, Status::Stopping | Status::Deactivating) => {
            task.status = Status::Deprovisioning;
            task.times.execution_stopped = Some(world.now_ms);
            for container in &mut task.containers {
                if container.status == ContainerStatus::Running {
                    // SIGTERM was not caught.
                    container.exit_code = Some(143);
                }
                container.status = ContainerStatus::Stopped;
            }
            world.later(world.config.task_stop_ms / 4, Due::Task(task.id.clone(), Step::Stopped));
        }
        Step::Stopped if task.status == Status::Deprovisioning => stopped(world, task),
        Step::Forgotten => {
            if let Some(cluster) = world.ecs.clusters.get_mut(&task.cluster) {
                cluster.stopped.remove(&task.id);
            }
            if let Some((service, _)) = &task.service
                && let Some(service) = world.ecs.services.get_mut(service)
            {
                service.stopped.remove(&task.id);
            }
            return false;
        }
        Step::Pending | Step::Activating | Step::Running | Step::Stopping | Step::Deprovisioning | Step::Stopped => {}
    }
    true
}

/// Images are pulled and containers are started, or not.
fn activate(world: &mut World, task: &mut Task) {
    task.times.pull_stopped = Some(world.now_ms);
    let refused = |container: &Container| match &container.behaviour {
        Behaviour::CannotPull { reason } => Some(format!("CannotPullContainerError: {reason}")),
        Behaviour::CannotStart { reason } => Some(format!("CannotStartContainerError: {reason}")),
        _ => None,
    };
    let pull = task.containers.iter().position(|container| matches!(container.behaviour, Behaviour::CannotPull { .. }));
    let failing = pull.or_else(|| task.containers.iter().position(|container| refused(container).is_some()));
    let failed = match failing {
        Some(at) => refused(&task.containers[at]).map(|text| (at, text)),
        None => pull::problem(world, task).or_else(|| logging::prepare(world, task).err()),
    };
    if let Some((at, text)) = failed {
        fail_start(world, task, at, &text);
        return;
    }
    task.status = Status::Activating;
    for at in 0..task.containers.len() {
        let runtime = match task.launch.launch_type {
            "FARGATE" => format!("{}-{}", task.id, world.digits(10)),
            _ => world.hex(64),
        };
        let container = &mut task.containers[at];
        container.status = ContainerStatus::Running;
        container.runtime = Some(runtime);
        let ends_ms = match container.behaviour {
            Behaviour::Exits { after_ms, .. } | Behaviour::OutOfMemory { after_ms } => Some(after_ms),
            Behaviour::Talks { then_code: Some(_), .. } => Some(0),
            _ => None,
        };
        let container = &task.containers[at];
        match &container.behaviour {
            Behaviour::Serves | Behaviour::NeverHealthy | Behaviour::UnhealthyTarget => {
                let line = format!("{} started", container.name());
                logging::write(world, task, container, &[line]);
            }
            Behaviour::Talks { lines, .. } => logging::write(world, task, container, lines),
            Behaviour::Exits { .. }
            | Behaviour::OutOfMemory { .. }
            | Behaviour::CannotStart { .. }
            | Behaviour::CannotPull { .. } => {}
        }
        if let Some(after_ms) = ends_ms {
            world.later(after_ms, Due::Task(task.id.clone(), Step::Ends(at)));
        }
    }
    world.later(world.config.task_start_ms / 3, Due::Task(task.id.clone(), Step::Running));
}

/// The task never gets to run.
fn fail_start(world: &mut World, task: &mut Task, at: usize, text: &str) {
    for container in &mut task.containers {
        container.status = ContainerStatus::Stopped;
    }
    task.containers[at].reason = Some(text.to_owned());
    // On EC2 only the container tells the cause.
    let reason = if task.launch.launch_type == "FARGATE" { text } else { "Task failed to start" };
    task.failing = true;
    begin_stop(world, task, "TaskFailedToStart", reason);
}

/// All containers run: targets are registered and health checks begin.
fn run(world: &mut World, task: &mut Task) {
    task.status = Status::Running;
    task.times.started = Some(world.now_ms);
    for (at, container) in task.containers.iter().enumerate().filter(|(_, container)| container.has_check()) {
        let Some(check) = container.definition.member("healthCheck") else { continue };
        let seconds = |key, default| check.number(key).and_then(|n| u64::try_from(n).ok()).unwrap_or(default);
        // The first check is one interval after the start. It takes all retries to call a container unhealthy, and those in
        // the start period do not count.
        let after_s = match container.behaviour {
            Behaviour::NeverHealthy => seconds("startPeriod", 0) + seconds("interval", 30) * seconds("retries", 3),
            _ => seconds("interval", 30),
        };
        world.later(after_s * world.config.second_ms, Due::Task(task.id.clone(), Step::Checked(at)));
    }
    let Some((service, _)) = &task.service else { return };
    let balancers =
        world.ecs.services.get(service).map(|s| s.settings.list("loadBalancers").to_vec()).unwrap_or_default();
    for balancer in balancers {
        let Some(name) = balancer.text("containerName") else { continue };
        let fails = task.container(name).is_some_and(|c| c.behaviour == Behaviour::UnhealthyTarget);
        if let (Some(classic), Some(machine)) = (balancer.text("loadBalancerName"), &task.machine) {
            elb::register(world, classic, &machine.ec2, &task.id, !fails);
            task.classic.push(classic.into());
        }
        let Some(group) = balancer.text("targetGroupArn") else { continue };
        let address = match &task.interface {
            Some(interface) => interface.address.clone(),
            None => format!("i-{}", &task.id[..17]),
        };
        let target = Target { id: address, port: balancer.number("containerPort").unwrap_or(80) };
        let group: Id = group.into();
        elbv2::register(world, &group, &target, &task.id, !fails);
        task.targets.push((group, target));
    }
    if let Some(service) = world.ecs.services.get_mut(service) {
        for (group, _) in &task.targets {
            *service.registered.entry(group.clone()).or_insert(0) += 1;
        }
    }
}

/// What the health checks of a running task's containers say from now on.
pub(crate) fn set_health(world: &mut World, id: &str, passes: bool) {
    let Some(task) = world.ecs.tasks.get_mut(id) else { return };
    for container in task.containers.iter_mut().filter(|container| container.has_check()) {
        container.health = if passes { Health::Healthy } else { Health::Unhealthy };
    }
    let id = task.id.clone();
    target_changed(world, &id);
}

/// AWS takes a Fargate Spot task's capacity back.
pub(crate) fn interrupt(world: &mut World, id: &str) {
    let Some(id) = world.ecs.tasks.get(id).map(|task| task.id.clone()) else { return };
    stop(world, &id, "SpotInterruption", "Your Spot Task was interrupted.", false);
}

/// The first essential container that runs ends now, with this code.
pub(crate) fn crash(world: &mut World, id: &str, code: i64) {
    let Some(task) = world.ecs.tasks.get_mut(id) else { return };
    let runs = |container: &Container| container.is_essential() && container.status == ContainerStatus::Running;
    let Some(at) = task.containers.iter().position(runs) else { return };
    task.containers[at].behaviour = Behaviour::Exits { code, after_ms: 0 };
    let id = task.id.clone();
    step(world, &id, Step::Ends(at));
}

/// A container ends by itself.
fn container_ends(world: &mut World, task: &mut Task, at: usize) {
    let container = &mut task.containers[at];
    if container.status != ContainerStatus::Running {
        return;
    }
    container.status = ContainerStatus::Stopped;
    // It ran, if only for a moment; the task may never have been seen RUNNING.
    task.times.started.get_or_insert(world.now_ms);
    match container.behaviour {
        Behaviour::Exits { code, .. } | Behaviour::Talks { then_code: Some(code), .. } => {
            container.exit_code = Some(code);
        }
        Behaviour::OutOfMemory { .. } => {
            container.exit_code = Some(137);
            container.reason = Some("OutOfMemoryError: Container killed due to memory usage".to_owned());
        }
        _ => {}
    }
    let essential = container.is_essential();
    let all = task.containers.iter().all(|container| container.status == ContainerStatus::Stopped);
    if (essential || all) && task.wanted {
        task.failing = true;
        begin_stop(world, task, "EssentialContainerExited", "Essential container in task exited");
    }
}

/// A task that was taken out of the world begins to stop.
fn begin_stop(world: &mut World, task: &mut Task, code: &'static str, reason: &str) {
    if !task.wanted {
        return;
    }
    task.wanted = false;
    task.version += 1;
    task.stop_code = Some(code);
    task.stopped_reason = Some(reason.to_owned());
    task.times.stopping = Some(world.now_ms);
    if let Some(cluster) = world.ecs.clusters.get_mut(&task.cluster) {
        cluster.running.remove(&task.id);
        cluster.stopped.insert(task.id.clone());
    }
    let quarter = world.config.task_stop_ms / 4;
    if matches!(task.status, Status::Running | Status::Activating) {
        task.status = Status::Deactivating;
        let mut drains_ms = 0;
        for (group, target) in &task.targets {
            drains_ms = drains_ms.max(elbv2::deregister(world, group, target));
        }
        for (classic, machine) in task.behind() {
            drains_ms = drains_ms.max(elb::deregister(world, classic, machine, &task.id));
        }
        if let Some((service, _)) = &task.service
            && let Some(service) = world.ecs.services.get_mut(service)
        {
            for (group, _) in &task.targets {
                *service.deregistered.entry(group.clone()).or_insert(0) += 1;
            }
        }
        world.later(quarter + drains_ms, Due::Task(task.id.clone(), Step::Stopping));
    } else {
        task.status = Status::Deprovisioning;
        for container in &mut task.containers {
            container.status = ContainerStatus::Stopped;
        }
        world.later(quarter, Due::Task(task.id.clone(), Step::Stopped));
    }
}

/// Stops a task, whatever it is doing.
pub(super) fn stop(world: &mut World, id: &Id, code: &'static str, reason: &str, failing: bool) {
    let Some(mut task) = world.ecs.tasks.remove(id) else { return };
    task.failing |= failing && task.wanted;
    begin_stop(world, &mut task, code, reason);
    let service = task.service.clone();
    world.ecs.tasks.insert(id.clone(), task);
    if let Some((service, _)) = service {
        scheduler::poke(world, &service);
    }
}

/// The task is over.
fn stopped(world: &mut World, task: &mut Task) {
    task.status = Status::Stopped;
    task.times.stopped = Some(world.now_ms);
    task.times.execution_stopped.get_or_insert(world.now_ms);
    world.later(world.config.stopped_task_kept_ms, Due::Task(task.id.clone(), Step::Forgotten));
    if let Some((service, deployment)) = task.service.clone() {
        scheduler::task_over(world, &service, &deployment, task);
    }
}

/// Something that tells of a task's health changed: notes whether it was ever healthy.
fn refresh(world: &mut World, id: &Id) {
    let Some(task) = world.ecs.tasks.get(id) else { return };
    if task.was_healthy || !is_healthy(world, task) {
        return;
    }
    let service = task.service.clone();
    if let Some(task) = world.ecs.tasks.get_mut(id) {
        task.was_healthy = true;
    }
    if let Some((service, deployment)) = service {
        scheduler::task_healthy(world, &service, &deployment);
    }
}

/// A target of a task, or a container's health, changed.
pub(crate) fn target_changed(world: &mut World, id: &Id) {
    refresh(world, id);
    if let Some((service, _)) = world.ecs.tasks.get(id).and_then(|task| task.service.clone()) {
        scheduler::poke(world, &service);
    }
}

/// Whether a task runs and all its checks pass: those of its containers and those of its targets.
pub(super) fn is_healthy(world: &World, task: &Task) -> bool {
    task.wanted
        && task.is_running()
        && task.checks_passed()
        && task.targets.iter().all(|(group, target)| elbv2::is_in_service(world, group, target))
        && task.behind().all(|(classic, machine)| elb::is_in_service(world, classic, machine))
}

/// Overrides as ECS gives them back.
pub(super) fn overrides_value(definition: &Definition, overrides: &Value) -> Value {
    let mut value = if overrides.is_object() { overrides.clone() } else { json!({}) };
    let containers: Vec<Value> = definition
        .containers()
        .iter()
        .map(|container| {
            let name = container.text("name");
            let given = overrides.list("containerOverrides").iter().find(|entry| entry.text("name") == name);
            given.cloned().unwrap_or_else(|| json!({"name": name}))
        })
        .collect();
    value["containerOverrides"] = json!(containers);
    value.as_object_mut().map(|members| members.entry("inferenceAcceleratorOverrides").or_insert_with(|| json!([])));
    value
}
