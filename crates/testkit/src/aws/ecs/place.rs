//! Where tasks run: launch types, capacity providers, networks.

use serde_json::{Value, json};

use super::super::wire::{AwsError, Input};
use super::super::world::World;
use super::{Cluster, Definition};

/// What one task runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Launch {
    /// `FARGATE` or `EC2`.
    pub(crate) launch_type: &'static str,
    /// The capacity provider, when it was chosen by a strategy.
    pub(crate) provider: Option<String>,
}

/// What a service or a run asks for: a launch type or a strategy. Read from `launchType` and `capacityProviderStrategy`, or
/// the cluster's default.
#[derive(Debug, Clone)]
pub(crate) enum Choice {
    Type(&'static str),
    Strategy(Vec<Share>),
}

/// An entry of a strategy.
#[derive(Debug, Clone)]
pub(crate) struct Share {
    provider: String,
    base: u64,
    weight: u64,
}

impl Choice {
    /// Reads it out of a request.
    pub(crate) fn of(cluster: &Cluster, input: &Value) -> Result<Self, AwsError> {
        let strategy = input.list("capacityProviderStrategy");
        let launch_type = input.text("launchType");
        if !strategy.is_empty() && launch_type.is_some() {
            return Err(AwsError::invalid_parameter(
                "Specify either a launch type or a capacity provider strategy, not both.",
            ));
        }
        match launch_type {
            Some("FARGATE") => return Ok(Self::Type("FARGATE")),
            Some("EC2") => return Ok(Self::Type("EC2")),
            Some(other) => return Err(AwsError::invalid_parameter(format!("Invalid launch type: {other}"))),
            None => {}
        }
        let default = cluster.default_strategy.as_array().map_or(&[][..], Vec::as_slice);
        let strategy = if strategy.is_empty() { default } else { strategy };
        if strategy.is_empty() {
            return Ok(Self::Type("EC2"));
        }
        let mut shares = Vec::new();
        for entry in strategy {
            let provider = entry.required("capacityProvider", "InvalidParameterException")?;
            if !cluster.providers.iter().any(|known| known == provider) {
                return Err(AwsError::invalid_parameter(format!(
                    "The specified capacity provider '{provider}' was not found. Specify a valid name or ARN and try again."
                )));
            }
            let number = |key| entry.number(key).and_then(|number| u64::try_from(number).ok());
            let weight = number("weight").unwrap_or(u64::from(strategy.len() == 1));
            shares.push(Share { provider: provider.to_owned(), base: number("base").unwrap_or(0), weight });
        }
        let kinds: Vec<bool> = shares.iter().map(|share| share.provider.starts_with("FARGATE")).collect();
        if kinds.iter().any(|kind| *kind != kinds[0]) {
            return Err(AwsError::invalid_parameter(
                "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and \
                 Fargate providers. Specify one or the other and try again.",
            ));
        }
        Ok(Self::Strategy(shares))
    }

    /// What the `number`th task (from 0) runs on: bases are filled first, then by weight in turn.
    pub(crate) fn launch(&self, number: u64) -> Launch {
        let shares = match self {
            Self::Type(launch_type) => return Launch { launch_type, provider: None },
            Self::Strategy(shares) => shares,
        };
        let launch = |share: &Share| Launch {
            launch_type: if share.provider.starts_with("FARGATE") { "FARGATE" } else { "EC2" },
            provider: Some(share.provider.clone()),
        };
        let mut left = number;
        for share in shares {
            if left < share.base {
                return launch(share);
            }
            left -= share.base;
        }
        let weights: u64 = shares.iter().map(|share| share.weight).sum();
        let mut place = left % weights.max(1);
        for share in shares {
            if place < share.weight {
                return launch(share);
            }
            place -= share.weight;
        }
        launch(&shares[0])
    }

    /// The launch type of all its tasks.
    pub(crate) fn launch_type(&self) -> &'static str {
        self.launch(0).launch_type
    }
}

/// Checks that a definition can run on what is asked for, in the network that is asked for.
pub(super) fn check(world: &World, definition: &Definition, choice: &Choice, input: &Value) -> Result<(), AwsError> {
    let launch_type = choice.launch_type();
    if !definition.compatibilities.contains(&launch_type) {
        return Err(AwsError::invalid_parameter(format!(
            "Task definition does not support launch_type {launch_type}."
        )));
    }
    let network = input.member("networkConfiguration").and_then(|network| network.member("awsvpcConfiguration"));
    let Some(network) = network else {
        if definition.is_awsvpc() {
            return Err(AwsError::invalid_parameter(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            ));
        }
        return Ok(());
    };
    if !definition.is_awsvpc() {
        return Err(AwsError::invalid_parameter(
            "Network Configuration is not valid for the given networkMode of this task definition.",
        ));
    }
    let (subnets, groups) = (network.texts("subnets"), network.texts("securityGroups"));
    if subnets.is_empty() || subnets.len() > 16 {
        return Err(AwsError::invalid_parameter("subnets must have between 1 and 16 elements."));
    }
    if groups.len() > 5 {
        return Err(AwsError::invalid_parameter("securityGroups cannot have more than 5 elements."));
    }
    for subnet in subnets {
        if !world.ec2.has_subnet(subnet) {
            return Err(AwsError::invalid_parameter(format!(
                "Error retrieving subnet information for [{subnet}]: The subnet ID '{subnet}' does not exist (ErrorCode: \
                 InvalidSubnetID.NotFound)"
            )));
        }
    }
    for group in groups {
        if !world.ec2.has_group(group) {
            return Err(AwsError::invalid_parameter(format!(
                "Error retrieving security group information for [{group}]: The security group '{group}' does not exist \
                 (ErrorCode: InvalidGroup.NotFound)"
            )));
        }
    }
    if launch_type == "EC2" && network.text("assignPublicIp") == Some("ENABLED") {
        return Err(AwsError::invalid_parameter("Assign public IP is not supported for this launch type."));
    }
    Ok(())
}

/// A task's network interface.
#[derive(Debug, Clone)]
pub(crate) struct Interface {
    pub(crate) attachment: String,
    pub(crate) interface: String,
    pub(crate) subnet: String,
    pub(crate) zone: String,
    pub(crate) address: String,
    pub(crate) mac: String,
    pub(crate) groups: Vec<String>,
    /// Whether it has a public address too.
    pub(crate) public: bool,
}

impl Interface {
    /// The interface of a new task of a service or run with this `networkConfiguration`: subnets are used in turn.
    pub(crate) fn new(world: &mut World, network: &Value) -> Option<Self> {
        let network = network.member("awsvpcConfiguration")?;
        let subnets = network.texts("subnets");
        let number = world.ecs.addresses;
        world.ecs.addresses += 1;
        let turn = usize::try_from(number).unwrap_or(0) % subnets.len().max(1);
        let subnet = (*subnets.get(turn)?).to_owned();
        let (zone, address) = world.ec2.address(&subnet, number)?;
        let hex = world.hex(10);
        let mac: Vec<&str> = (0..5).map(|at| &hex[at * 2..at * 2 + 2]).collect();
        Some(Self {
            mac: format!("0a:{}", mac.join(":")),
            attachment: world.uuid(),
            interface: format!("eni-{}", world.hex(17)),
            groups: network.texts("securityGroups").into_iter().map(str::to_owned).collect(),
            public: network.text("assignPublicIp") == Some("ENABLED"),
            subnet,
            zone,
            address,
        })
    }

    /// As DescribeTasks gives it.
    pub(crate) fn value(&self, status: &str) -> Value {
        let detail = |name: &str, value: &str| json!({"name": name, "value": value});
        json!({
            "id": self.attachment,
            "type": "ElasticNetworkInterface",
            "status": status,
            "details": [
                detail("subnetId", &self.subnet),
                detail("networkInterfaceId", &self.interface),
                detail("macAddress", &self.mac),
                detail("privateDnsName", &format!("ip-{}.ec2.internal", self.address.replace('.', "-"))),
                detail("privateIPv4Address", &self.address),
            ],
        })
    }
}

/// Why a task can't be placed on a cluster, in the words of a service's event; `None` when it can.
pub(super) fn no_room(world: &World, cluster: &Cluster, launch: &Launch) -> Option<String> {
    if launch.launch_type == "EC2" && cluster.machines.is_empty() {
        return Some(format!("because no container instance met all of its requirements. Reason: {NO_INSTANCES}"));
    }
    let of = launch.provider.as_deref().unwrap_or(launch.launch_type);
    world.ecs.without_capacity.contains(of).then(|| format!("Reason: {NO_CAPACITY}"))
}

/// What is told when a cluster has no container instance.
pub(super) const NO_INSTANCES: &str = "No Container Instances were found in your cluster.";

/// What is told when a launch type or capacity provider has no capacity (developer guide, "API failure reasons").
pub(super) const NO_CAPACITY: &str =
    "Capacity is unavailable at this time. Please try again later or in a different availability zone.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_come_first_then_weights() {
        let share = |provider: &str, base, weight| Share { provider: provider.to_owned(), base, weight };
        let choice = Choice::Strategy(vec![share("FARGATE", 2, 1), share("FARGATE_SPOT", 0, 3)]);
        let chosen: Vec<bool> =
            (0..10).map(|number| choice.launch(number).provider.as_deref() == Some("FARGATE")).collect();
        assert_eq!(chosen, [true, true, true, false, false, false, true, false, false, false]);
        assert_eq!(choice.launch_type(), "FARGATE");
        assert_eq!(Choice::Type("EC2").launch(5), Launch { launch_type: "EC2", provider: None });
    }
}
