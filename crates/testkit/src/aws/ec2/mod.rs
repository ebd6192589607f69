//! EC2, as far as networks go: the data of [`Network`], and the security groups that stacks make.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ecs::Tags;
use super::network::{Network, RouteTable, SecurityGroup, Subnet};
use super::wire::{AwsError, Service};
use super::world::{World, unknown_operation};

mod describe;
mod filters;

/// What EC2 holds.
#[derive(Debug)]
pub(crate) struct Ec2 {
    pub(crate) network: Network,
    /// By id.
    subnets: BTreeMap<String, Subnet>,
    /// By id.
    pub(crate) groups: BTreeMap<String, Group>,
    /// Launch templates by id: the name.
    pub(crate) launch_templates: BTreeMap<String, String>,
    /// Auto scaling groups by name: how many instances are desired.
    pub(crate) scaling_groups: BTreeMap<String, u64>,
    /// Capacity providers by name: the auto scaling group, and whether ECS scales it.
    pub(crate) providers: BTreeMap<String, (String, bool)>,
}

/// A security group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) group: SecurityGroup,
    pub(crate) description: String,
    pub(crate) tags: Tags,
    pub(crate) visible_ms: i64,
}

impl Ec2 {
    pub(crate) fn new(network: &Network) -> Self {
        let group = |group: &SecurityGroup| {
            let new = Group { group: group.clone(), description: group.name.clone(), tags: Tags::new(), visible_ms: 0 };
            (group.id.clone(), new)
        };
        Self {
            subnets: network.subnets.iter().map(|subnet| (subnet.id.clone(), subnet.clone())).collect(),
            groups: network.security_groups.iter().map(group).collect(),
            network: network.clone(),
            launch_templates: BTreeMap::new(),
            scaling_groups: BTreeMap::new(),
            providers: BTreeMap::new(),
        }
    }

    pub(crate) fn subnet(&self, id: &str) -> Option<&Subnet> {
        self.subnets.get(id)
    }

    /// The route table that holds for a subnet: its own, or the main one of its VPC.
    pub(crate) fn route_table(&self, subnet: &Subnet) -> Option<&RouteTable> {
        let tables = &self.network.route_tables;
        let own = tables.iter().find(|table| table.subnets.contains(&subnet.id));
        own.or_else(|| tables.iter().find(|table| table.main && table.vpc == subnet.vpc))
    }

    pub(crate) fn has_subnet(&self, id: &str) -> bool {
        self.subnets.contains_key(id)
    }

    pub(crate) fn has_group(&self, id: &str) -> bool {
        self.groups.contains_key(id)
    }

    /// The zone and an address of a subnet, different for each number below 60,000: when the last part of a /24 is used up,
    /// the second part goes on, out of the subnet's range but still unique.
    pub(crate) fn address(&self, subnet: &str, number: u64) -> Option<(String, String)> {
        let subnet = self.subnets.get(subnet)?;
        let parts: Vec<u64> = subnet.cidr.split(['.', '/']).filter_map(|part| part.parse().ok()).collect();
        let [first, second, third, ..] = parts.as_slice() else { return None };
        let second = (second + number / 250) % 256;
        Some((subnet.zone.clone(), format!("{first}.{second}.{third}.{}", 4 + number % 250)))
    }
}

/// What keeps a security group from being deleted.
pub(crate) fn group_user(world: &World, id: &str) -> Option<String> {
    let uses = |groups: &[String]| groups.iter().any(|group| group == id);
    let task = world.ecs.tasks.values().find(|task| {
        let interface = task.interface.as_ref().filter(|interface| uses(&interface.groups));
        interface.is_some() && task.times.stopped.is_none()
    });
    if let Some(task) = task {
        return Some(format!("the network interface of task {}", task.id));
    }
    let balancer = world.elb.balancers.values().find(|balancer| {
        use super::wire::Input;
        balancer.settings.texts("SecurityGroups").contains(&id)
    });
    if let Some(balancer) = balancer {
        return Some(format!("load balancer {}", balancer.name));
    }
    let peer = super::network::Peer::Group(id.to_owned());
    let other = world
        .ec2
        .groups
        .iter()
        .find(|(other, group)| other.as_str() != id && group.group.rules.iter().any(|rule| rule.peer == peer));
    other.map(|(other, _)| format!("security group {other}"))
}

/// Answers an operation.
pub(crate) fn answer(world: &mut World, operation: &str, input: &Value) -> Result<Value, AwsError> {
    match operation {
        "DescribeVpcs" => describe::vpcs(world, input),
        "DescribeSubnets" => describe::subnets(world, input),
        "DescribeRouteTables" => describe::route_tables(world, input),
        "DescribeVpcEndpoints" => describe::endpoints(world, input),
        "DescribeSecurityGroups" => describe::security_groups(world, input),
        _ => Err(unknown_operation(Service::Ec2, operation)),
    }
}

/// Tags in the form of this service.
fn tags_value(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({"key": key, "value": value})).collect()
}
