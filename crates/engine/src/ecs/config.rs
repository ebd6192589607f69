//! What the engine must know of the account that it works in.

use std::time::Duration;

use super::aws::Rates;

/// What the engine must know of the account that it works in.
#[derive(Debug, Clone)]
pub struct EcsConfig {
    /// The instance's name: part of all names.
    pub instance: String,
    /// The instance's id: on all labels.
    pub instance_id: String,
    /// The region, for the log configuration of containers.
    pub region: String,
    /// The VPC.
    pub vpc: String,
    /// Subnets for tasks, machines and private load balancers. At least one.
    pub private_subnets: Vec<String>,
    /// Subnets for public load balancers, in at least two zones for an ALB.
    pub public_subnets: Vec<String>,
    /// The role that pulls images and writes logs, for definitions that name none.
    pub execution_role: Option<String>,
    /// The instance profile of machines, whose role has the same name; `None`: each environment with machines gets its own, for
    /// which the server must be allowed to make roles.
    pub machine_profile: Option<String>,
    /// Whether tasks get a public address: without NAT and endpoints it is their only way to ECR.
    pub public_ip: bool,
    /// Days for which logs are kept.
    pub log_days: u16,
    /// How fast AWS is called.
    pub rates: Rates,
    /// How long a copy that nobody checks must have run to count as healthy.
    pub settle: Duration,
    /// How often what is under way is looked at.
    pub look_busy: Duration,
    /// How often it is looked for tasks that ended.
    pub look_stops: Duration,
    /// How often the rest is looked at, at least; with very many services so much more seldom that half of the calls that may
    /// be made are left.
    pub look_quiet: Duration,
    /// Whether what is the instance's own is looked at beforehand, for the pull check of starts (`evidence::set_up`).
    pub look_set_up: bool,
}

impl EcsConfig {
    /// A configuration with the values that need no thought.
    #[must_use]
    pub fn new(instance: String, instance_id: String, region: String) -> Self {
        Self {
            instance,
            instance_id,
            region,
            vpc: String::new(),
            private_subnets: Vec::new(),
            public_subnets: Vec::new(),
            execution_role: None,
            machine_profile: None,
            public_ip: false,
            log_days: 30,
            rates: Rates::default(),
            settle: Duration::from_secs(10),
            look_busy: Duration::from_secs(2),
            look_stops: Duration::from_secs(5),
            look_quiet: Duration::from_secs(20),
            look_set_up: false,
        }
    }
}
