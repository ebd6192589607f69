//! How a fake AWS is set up.

use super::latency::Latency;
use super::network::Network;
use super::throttle::Throttle;

/// How a fake AWS is set up. All durations are milliseconds of real time, and so short that a suite does not notice them;
/// a simulation sets its own.
#[derive(Debug, Clone)]
pub struct FakeAwsConfig {
    /// The account, 12 digits.
    pub account: String,
    /// The region.
    pub region: String,
    /// How long a created thing stays invisible to every read and to every call that names it: eventual consistency.
    /// Names and client tokens are known at once. [`Effect::NotVisibleFor`](super::Effect) does it for one call.
    pub visible_after_ms: u64,
    /// From the creation of a task to RUNNING.
    pub task_start_ms: u64,
    /// From the wish to stop a task to STOPPED, without what the load balancer's deregistration delay adds.
    pub task_stop_ms: u64,
    /// How long the scheduler waits after a change before it looks at a service again.
    pub scheduler_ms: u64,
    /// How much longer the scheduler waits after each failed task in a row, up to ten times this.
    pub restart_backoff_ms: u64,
    /// How long a stopped task can still be described. AWS keeps it for at least one hour.
    pub stopped_task_kept_ms: u64,
    /// How long a stack needs for one resource.
    pub stack_resource_ms: u64,
    /// What one second in a document lasts: health check intervals, grace periods, deregistration delays.
    pub second_ms: u64,
    /// How long a session of a role lasts that was assumed.
    pub role_session_ms: u64,
    /// How late answers are.
    pub latency: Latency,
    /// How long [`Effect::Timeout`](super::Effect) holds a connection before it closes it.
    pub timeout_ms: u64,
    /// The account's token buckets; empty: nothing is throttled. [`throttle::documented`](super::throttle::documented) has
    /// those of the API reference.
    pub throttles: Vec<Throttle>,
    /// How many things a page of EC2 has. AWS may end a page wherever it likes.
    pub ec2_page: usize,
    /// Where ids and latencies come from: the same seed and the same calls give the same ids.
    pub seed: u64,
    /// Whether images have to be there to be pulled.
    pub pulls: Pulls,
    /// VPCs, subnets, routes, endpoints.
    pub network: Network,
}

/// Whether images have to be there to be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulls {
    /// Every pull succeeds, unless the image's [`Behaviour`](super::Behaviour) says otherwise.
    Succeed,
    /// A pull from a private ECR registry succeeds when all that it needs is so in the fake: the execution role exists and
    /// is allowed to, the subnet has a way to ECR, the other account's registry is open, the image is there, whole, and for
    /// the task's platform. Images from elsewhere are pulled as before.
    Checked,
}

impl Default for FakeAwsConfig {
    fn default() -> Self {
        Self {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            visible_after_ms: 0,
            task_start_ms: 6,
            task_stop_ms: 4,
            scheduler_ms: 1,
            restart_backoff_ms: 5,
            stopped_task_kept_ms: 3_600_000,
            stack_resource_ms: 2,
            second_ms: 1,
            role_session_ms: 3_600_000,
            latency: Latency::default(),
            timeout_ms: 60_000,
            throttles: Vec::new(),
            ec2_page: 1000,
            seed: 1,
            pulls: Pulls::Succeed,
            network: Network::default(),
        }
    }
}
