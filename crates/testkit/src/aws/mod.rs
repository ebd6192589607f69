//! A fake AWS on a loopback port: what Layer0 needs of ECS, CloudFormation, CloudWatch Logs, both ELBs, EC2's networks, ECR,
//! IAM, STS, Organizations and CloudTrail, with the rules that no emulator checks: Fargate sizes, client tokens, eventual consistency,
//! target health that gates a deployment, rollout states, throttles, the circuit breaker, stop reasons.
//!
//! ```no_run
//! # async fn example() {
//! use layer0_testkit::aws::{Behaviour, Effect, FakeAws, FakeAwsConfig, Fault, Service};
//!
//! let aws = FakeAws::start(FakeAwsConfig::default()).await;
//! aws.behave("team/broken", Behaviour::Exits { code: 3, after_ms: 0 });
//! aws.fault(Fault::on(Service::Ecs, "RunTask", Effect::LostAnswer));
//! let endpoint = aws.endpoint(); // for AWS_ENDPOINT_URL
//! assert_eq!(aws.calls().len(), 0);
//! # }
//! ```
//!
//! It is scripted from the API reference, not from what Layer0 sends, and is data all the way:
//! - [`FakeAwsConfig`] says how long things take, what the network looks like and which rates hold;
//! - [`Fault`] and [`ResourceFault`] say which calls and which resources of stacks go wrong, and how;
//! - [`Behaviour`] says what the containers of an image do.
//!
//! All services are on one endpoint; a request is told by its `X-Amz-Target`, or by the `Version` of its form. A request has
//! to be signed in form (a credential scope), but signatures are not verified. What the fake does not know it refuses with
//! an error that names the operation. Time is the machine's; nothing polls, and everything that takes time is a timer, so
//! that thousands of services cost what their changes cost: in a debug build 1,000 services bring up 10,000 tasks in a second,
//! and the fake holds them in 120 MB.
//!
//! Not there: placement strategies and constraints, blue/green and other strategies than ROLLING, alarms, daemon services,
//! service discovery, `dependsOn` between containers, exec, filter patterns of logs, conditions in IAM's policies. Container
//! instances have neither sizes nor ports: as many tasks as one likes run on each.

use std::sync::Arc;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

mod behaviour;
mod cloudformation;
mod cloudtrail;
mod config;
mod ec2;
mod ecr;
mod ecs;
mod elb;
mod elbv2;
mod fault;
mod iam;
mod inflate;
mod inspect;
mod latency;
mod logs;
pub mod network;
mod organizations;
mod server;
pub mod throttle;
mod wildcard;
mod wire;
mod world;

pub use behaviour::Behaviour;
pub use cloudtrail::TrailEvent;
pub use config::{FakeAwsConfig, Pulls};
pub use ecr::{FakeImage, RegistryCall, Uploads};
pub use fault::{Effect, Fault, ResourceFault, ResourceVerb};
pub use iam::{EXECUTION, Role};
pub use inspect::Inspection;
pub use latency::{Delay, Latency};
pub use organizations::Organization;
pub use wire::{AwsError, Protocol, Service};
pub use world::Call;

use server::Shared;

/// A fake AWS. Stops when it is dropped, with all connections.
pub struct FakeAws {
    shared: Arc<Shared>,
    endpoint: String,
    tasks: [JoinHandle<()>; 2],
}

impl FakeAws {
    /// Starts one on a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When the machine has no free port.
    pub async fn start(config: FakeAwsConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a machine has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let endpoint = format!("http://{address}");
        let shared = Arc::new(Shared::new(config));
        shared.with(|world| world.ecr.endpoint.clone_from(&endpoint));
        let driver = shared.clone();
        let tasks =
            [tokio::spawn(async move { driver.drive().await }), tokio::spawn(server::serve(shared.clone(), listener))];
        Self { shared, endpoint, tasks }
    }

    /// Where it is reached, `http://127.0.0.1:PORT`: for all services.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// All calls since the start or since they were cleared, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.with(|world| world.calls.clone())
    }

    /// All calls since then, which are forgotten: none falls between two looks.
    #[must_use]
    pub fn calls_take(&self) -> Vec<Call> {
        self.shared.with(|world| std::mem::take(&mut world.calls))
    }

    /// Forgets the calls.
    pub fn calls_clear(&self) {
        self.shared.with(|world| world.calls.clear());
    }

    /// Sets a fault, for calls from now on.
    pub fn fault(&self, fault: Fault) {
        self.shared.with(|world| world.faults.add(fault));
    }

    /// Sets a fault for a resource of a stack.
    pub fn fault_resource(&self, fault: ResourceFault) {
        self.shared.with(|world| world.faults.add_resource(fault));
    }

    /// Takes back all faults that are set.
    pub fn faults_clear(&self) {
        self.shared.with(|world| world.faults.clear());
    }

    /// Changes durations, latency and visibility from now on; [`throttles`](Self::throttles) changes the buckets.
    pub fn configure(&self, change: impl FnOnce(&mut FakeAwsConfig)) {
        self.shared.with(|world| change(&mut world.config));
    }

    /// Puts other token buckets in the place of those there are; all begin full.
    pub fn throttles(&self, throttles: Vec<throttle::Throttle>) {
        self.shared.with(|world| {
            let now_ms = world.now_ms;
            world.buckets = throttle::Buckets::new(throttles.clone(), now_ms);
            world.config.throttles = throttles;
        });
    }

    /// Says what the containers do whose image contains a text. The newest rule that fits decides; tasks that were started
    /// already keep what they do.
    pub fn behave(&self, image_part: &str, behaviour: Behaviour) {
        self.shared.with(|world| world.rules.add_image(image_part.to_owned(), behaviour));
    }

    /// Says what containers do by their definition, with the overrides of the task. The rule must not call the fake.
    pub fn behave_by(&self, rule: impl Fn(&Value) -> Option<Behaviour> + Send + 'static) {
        self.shared.with(|world| world.rules.add(Box::new(rule)));
    }

    /// Makes a cluster that no stack made, with both Fargate capacity providers.
    pub fn cluster(&self, name: &str) {
        self.shared.with(|world| {
            let mut cluster = ecs::Cluster::new(world, name);
            cluster.providers = vec!["FARGATE".to_owned(), "FARGATE_SPOT".to_owned()];
            world.ecs.clusters.insert(name.to_owned(), cluster);
        });
    }

    /// Says how many container instances a cluster has, for the launch type EC2.
    pub fn container_instances(&self, cluster: &str, count: u64) {
        self.shared.with(|world| cloudformation::instances_set(world, cluster, count));
    }

    /// Says whether a launch type (`FARGATE`, `EC2`) or a capacity provider (`FARGATE_SPOT`) has capacity for new tasks.
    pub fn capacity(&self, of: &str, available: bool) {
        self.shared.with(|world| ecs::scheduler::capacity_set(world, of, available));
    }

    /// Says for how many more tasks `RunTask` finds room on a launch type or capacity provider, until
    /// [`capacity`](Self::capacity) says otherwise.
    pub fn capacity_for(&self, of: &str, tasks: u64) {
        self.shared.with(|world| world.ecs.room.insert(of.to_owned(), tasks));
    }

    /// Interrupts a task, as happens to those on Fargate Spot.
    pub fn interrupt(&self, task_id: &str) {
        self.shared.with(|world| ecs::life::interrupt(world, task_id));
    }

    /// Lets a CloudWatch alarm go off that watches the roll-out of a service (by ARN) which is under way.
    pub fn alarm(&self, service_arn: &str, name: &str) {
        self.shared.with(|world| ecs::alarm(world, service_arn, name));
    }

    /// Makes the one essential container of a running task end, as a crash does: with this code.
    pub fn crash(&self, task_id: &str, code: i64) {
        self.shared.with(|world| ecs::life::crash(world, task_id, code));
    }

    /// Changes what the container health checks of a running task say.
    pub fn container_health(&self, task_id: &str, passes: bool) {
        self.shared.with(|world| ecs::life::set_health(world, task_id, passes));
    }

    /// Changes what the load balancers' health checks of a running task say. Those of a classic one are about its machine, and
    /// are over at once when they were not yet.
    pub fn target_health(&self, task_id: &str, passes: bool) {
        self.shared.with(|world| {
            elbv2::set_health(world, task_id, passes);
            elb::set_health(world, task_id, passes);
        });
    }

    /// Puts an image into the registry, in place of one with the same tag; makes the repository. Gives its digest.
    pub fn image(&self, repository: &str, tag: &str, image: FakeImage) -> String {
        self.shared.with(|world| ecr::put_image(world, repository, tag, &image))
    }

    /// Sets the policy of a repository, also of one in another account's registry.
    pub fn repository_policy(&self, registry: &str, repository: &str, policy: Option<&str>) {
        self.shared.with(|world| {
            let key = (registry.to_owned(), repository.to_owned());
            world.ecr.repositories.entry(key).or_default().policy = policy.map(str::to_owned);
        });
    }

    /// All tokens of ECR's registry that were given are good no more.
    pub fn registry_tokens_expire(&self) {
        self.shared.with(|world| world.ecr.registry.good_from = world.ecr.registry.given);
    }

    /// Whether from now on a request of ECR's registry that is let in ends all tokens that were given.
    pub fn registry_tokens_once(&self, are_single: bool) {
        self.shared.with(|world| world.ecr.registry.are_single = are_single);
    }

    /// The next requests of ECR's registry are too many.
    pub fn registry_busy(&self, requests: usize) {
        self.shared.with(|world| world.ecr.registry.busy = requests);
    }

    /// Says what ECR's registry tells of uploads that are not finished.
    pub fn registry_uploads(&self, tell: Uploads) {
        self.shared.with(|world| world.ecr.registry.uploads_tell = tell);
    }

    /// From now on requests of ECR's registry that have a good token are answered by the registry at this address, `HOST:PORT`,
    /// which sees no token; those without one are refused as before.
    ///
    /// # Panics
    /// When it is no address.
    pub fn registry_behind(&self, address: &str) {
        let to = address.parse().expect("HOST:PORT");
        self.shared.with(|world| world.ecr.registry.passed_to = Some(to));
    }

    /// The requests that came to ECR's registry, in their order.
    #[must_use]
    pub fn registry_calls(&self) -> Vec<RegistryCall> {
        self.shared.with(|world| world.ecr.registry.calls.clone())
    }

    /// The same since then, which are forgotten.
    #[must_use]
    pub fn registry_calls_take(&self) -> Vec<RegistryCall> {
        self.shared.with(|world| std::mem::take(&mut world.ecr.registry.calls))
    }

    /// From now on AWS knows no such account: a policy that names it is refused.
    pub fn account_forget(&self, account: &str) {
        self.shared.with(|world| world.ecr.unknown_accounts.insert(account.to_owned()));
    }

    /// Sets the policy of a registry.
    pub fn registry_policy(&self, registry: &str, policy: &str) {
        self.shared.with(|world| world.ecr.registry_policies.insert(registry.to_owned(), policy.to_owned()));
    }

    /// Adds a pull-through cache rule to the account's registry. Nothing is fetched by it.
    pub fn cache_rule(&self, prefix: &str, upstream: &str) {
        self.shared.with(|world| world.ecr.cache_rules.insert(prefix.to_owned(), upstream.to_owned()));
    }

    /// Sets an account setting of the registry, such as `REGISTRY_POLICY_SCOPE`.
    pub fn registry_setting(&self, name: &str, value: &str) {
        self.shared.with(|world| world.ecr.settings.insert(name.to_owned(), value.to_owned()));
    }

    /// Says what organization the account is in; without that it is in none.
    pub fn organization(&self, organization: Organization) {
        self.shared.with(|world| world.organization = Some(organization));
    }

    /// Says who may read the registries of other accounts: by the registry's account, the repository and the action.
    /// The hook must not call the fake.
    pub fn ecr_access(&self, access: impl Fn(&str, &str, &str) -> bool + Send + 'static) {
        self.shared.with(|world| world.ecr.access = Some(Box::new(access)));
    }

    /// Lets CloudTrail have written down a call of somebody else.
    pub fn trail(&self, event: TrailEvent) {
        self.shared.with(|world| cloudtrail::write(world, event));
    }

    /// Makes a role, or changes it.
    pub fn role(&self, name: &str, role: Role) {
        self.shared.with(|world| world.iam.roles.insert(name.to_owned(), role));
    }

    /// Lets a role of another account be assumed, by whoever says the external id where one is wanted.
    pub fn role_elsewhere(&self, arn: &str, external_id: Option<&str>) {
        let wanted = external_id.map(str::to_owned);
        self.shared.with(|world| world.iam.elsewhere.insert(arn.to_owned(), wanted));
    }

    /// The policy of a repository.
    #[must_use]
    pub fn repository_policy_text(&self, registry: &str, repository: &str) -> Option<String> {
        let key = (registry.to_owned(), repository.to_owned());
        self.shared.with(|world| world.ecr.repositories.get(&key).and_then(|it| it.policy.clone()))
    }

    /// The lifecycle policy of a repository.
    #[must_use]
    pub fn lifecycle_policy(&self, registry: &str, repository: &str) -> Option<String> {
        let key = (registry.to_owned(), repository.to_owned());
        self.shared.with(|world| world.ecr.repositories.get(&key).and_then(|it| it.lifecycle.clone()))
    }

    /// The tags of a repository, each with its value; `None` when it isn't there.
    #[must_use]
    pub fn repository_tags(&self, registry: &str, repository: &str) -> Option<Vec<(String, String)>> {
        let key = (registry.to_owned(), repository.to_owned());
        let text = |tag: &Value, key: &str| tag[key].as_str().unwrap_or_default().to_owned();
        self.shared.with(|world| {
            let found = world.ecr.repositories.get(&key)?;
            Some(found.marks.iter().map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect())
        })
    }

    /// Makes a managed policy.
    pub fn managed_policy(&self, arn: &str, document: Value) {
        self.shared.with(|world| world.iam.policies.insert(arn.to_owned(), document));
    }

    /// Writes a line into a log stream, both made if they are not there.
    pub fn log(&self, group: &str, stream: &str, at_ms: i64, message: &str) {
        self.shared.with(|world| {
            logs::group_ensure(world, group);
            logs::stream_ensure(world, group, stream);
            logs::put(world, group, stream, at_ms, message);
        });
    }

    /// A look at what there is, for asserts: whole, whatever can be seen from outside.
    #[must_use]
    pub fn world(&self) -> Inspection<'_> {
        Inspection { shared: &self.shared }
    }
}

impl Drop for FakeAws {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
