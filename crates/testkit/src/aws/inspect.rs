//! A look into a fake AWS, past eventual consistency, throttles and faults.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::server::Shared;
use super::{cloudformation, ecs, logs};

/// What there is, in the shapes of the describe operations (with tags).
pub struct Inspection<'a> {
    pub(super) shared: &'a Shared,
}

impl Inspection<'_> {
    /// All clusters.
    #[must_use]
    pub fn clusters(&self) -> Vec<Value> {
        self.shared.with(|world| {
            let include = ["TAGS", "SETTINGS", "CONFIGURATIONS"];
            world.ecs.clusters.values().map(|cluster| ecs::cluster::value(world, cluster, &include)).collect()
        })
    }

    /// All services of all clusters, INACTIVE ones too.
    #[must_use]
    pub fn services(&self) -> Vec<Value> {
        self.shared.with(|world| {
            let arns = world.ecs.clusters.values().flat_map(|cluster| cluster.services.values());
            let services = arns.filter_map(|arn| world.ecs.services.get(arn));
            services.map(|service| ecs::describe_service(world, service, true)).collect()
        })
    }

    /// All tasks of all clusters that are not forgotten yet.
    #[must_use]
    pub fn tasks(&self) -> Vec<Value> {
        self.shared.with(|world| {
            let ids = world.ecs.clusters.values().flat_map(|cluster| cluster.running.union(&cluster.stopped));
            let tasks = ids.filter_map(|id| world.ecs.tasks.get(id));
            tasks.map(|task| ecs::describe_task(world, task, true)).collect()
        })
    }

    /// The tasks that run and are wanted to, by the name of their service: without the rest of what is known of them, for
    /// worlds of many thousands.
    #[must_use]
    pub fn running(&self) -> BTreeMap<String, Vec<String>> {
        self.shared.with(|world| {
            let mut running: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for service in world.ecs.services.values() {
                let tasks = service.live.iter().filter_map(|id| world.ecs.tasks.get(id));
                let tasks = tasks.filter(|task| task.is_running() && task.wanted).map(|task| task.id.to_string());
                running.entry(service.name.clone()).or_default().extend(tasks);
            }
            running
        })
    }

    /// All task definitions that were not deleted.
    #[must_use]
    pub fn task_definitions(&self) -> Vec<Value> {
        self.shared.with(|world| {
            let revisions = world.ecs.families.values().flat_map(|family| family.revisions.values());
            revisions.map(|registered| ecs::definition_value(world, registered)).collect()
        })
    }

    /// All stacks, also those that are deleted.
    #[must_use]
    pub fn stacks(&self) -> Vec<Value> {
        self.shared.with(|world| cloudformation::all(world))
    }

    /// All log groups; the names of their streams under `streams`.
    #[must_use]
    pub fn log_groups(&self) -> Vec<Value> {
        self.shared.with(|world| {
            let value = |(name, group): (&String, &logs::Group)| {
                let mut value = logs::group_value(name, group);
                value["streams"] = json!(group.streams.keys().collect::<Vec<_>>());
                value
            };
            world.logs.groups.iter().map(value).collect()
        })
    }

    /// The lines of a log stream; none when there is no such stream.
    #[must_use]
    pub fn log_lines(&self, group: &str, stream: &str) -> Vec<String> {
        self.shared.with(|world| {
            let stream = world.logs.groups.get(group).and_then(|group| group.streams.get(stream));
            stream.map(|stream| stream.events.values().map(|event| event.message.clone()).collect()).unwrap_or_default()
        })
    }

    /// The ids of all security groups, those of the network's data too.
    #[must_use]
    pub fn security_groups(&self) -> Vec<String> {
        self.shared.with(|world| world.ec2.groups.keys().cloned().collect())
    }

    /// All listeners, by port, each with its `ListenerArn`, its settings and its `Rules` by priority.
    #[must_use]
    pub fn listeners(&self) -> Vec<Value> {
        self.shared.with(|world| {
            let mut listeners: Vec<Value> = world
                .elb
                .listeners
                .values()
                .map(|it| {
                    let of_it = world.elb.rules.values().filter(|rule| rule.listener == it.arn);
                    let mut rules: Vec<Value> = of_it
                        .map(|rule| {
                            let mut settings = rule.settings.clone();
                            settings["RuleArn"] = json!(*rule.arn);
                            settings
                        })
                        .collect();
                    rules.sort_by_key(|rule| rule["Priority"].as_i64());
                    let mut listener = it.settings.clone();
                    listener["ListenerArn"] = json!(*it.arn);
                    listener["Rules"] = json!(rules);
                    listener
                })
                .collect();
            listeners.sort_by_key(|listener| listener["Port"].as_i64());
            listeners
        })
    }

    /// The names of all load balancers and target groups.
    #[must_use]
    pub fn load_balancing(&self) -> Vec<String> {
        self.shared.with(|world| {
            let balancers = world.elb.balancers.values().map(|balancer| balancer.name.clone());
            let groups = world.elb.groups.values().map(|group| group.name.clone());
            balancers.chain(groups).chain(world.classic.keys().cloned()).collect()
        })
    }
}
