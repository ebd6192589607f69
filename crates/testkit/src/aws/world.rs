//! All that a fake AWS holds, and its time.
//!
//! One lock guards the world. Every call first lets happen what became due ([`World::settle`]), then acts, and whatever
//! has to happen later is put into [`Timers`]; a task of its own wakes up for the earliest of them. So nothing polls, and
//! a world without work costs nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::behaviour::Rules;
use super::cloudformation::Stacks;
use super::cloudtrail::TrailEvent;
use super::config::FakeAwsConfig;
use super::ec2::Ec2;
use super::ecr::Ecr;
use super::ecs::{self, Ecs};
use super::elb::{self, Classic};
use super::elbv2::{self, Elb};
use super::fault::Faults;
use super::iam::Iam;
use super::logs::Logs;
use super::organizations::{self, Organization};
use super::throttle::Buckets;
use super::wire::{AwsError, Service};
use super::{cloudformation, cloudtrail, ec2, ecr, iam, logs};

/// An id that many things hold.
pub(crate) type Id = Arc<str>;

/// What happens later.
#[derive(Debug, Clone)]
pub(crate) enum Due {
    /// The scheduler looks at a service.
    Service(Id),
    /// A task takes a step.
    Task(Id, ecs::Step),
    /// A target of a target group (its ARN) changes.
    Target(Id, elbv2::Target, elbv2::TargetStep),
    /// A machine (its EC2 id) behind a classic load balancer changes; which change of its it is.
    Machine(Id, Id, u64),
    /// A stack looks what it can do next.
    Stack(Id),
    /// A stack's step for one resource is over.
    Resource(Id, String),
}

/// What happens when. Things due at the same time happen in the order in which they were put in.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<Entry>>,
    count: u64,
}

#[derive(Debug)]
struct Entry {
    due_ms: i64,
    number: u64,
    what: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due_ms, self.number).cmp(&(other.due_ms, other.number))
    }
}

impl Timers {
    fn put(&mut self, due_ms: i64, what: Due) {
        self.count += 1;
        self.heap.push(Reverse(Entry { due_ms, number: self.count, what }));
    }

    fn next_ms(&self) -> Option<i64> {
        self.heap.peek().map(|entry| entry.0.due_ms)
    }

    fn pop(&mut self, until_ms: i64) -> Option<(i64, Due)> {
        if self.next_ms()? > until_ms {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.due_ms, entry.what))
    }
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
#[derive(Debug)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

/// A call that came in over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The service; `None` when the request could not be told apart.
    pub service: Option<Service>,
    /// The operation, as it was named.
    pub operation: String,
    /// When it came, in milliseconds since 1970.
    pub at_ms: i64,
    /// The HTTP status of the answer; 0 when there was none.
    pub status: u16,
    /// The code of the error it was refused with; empty when it was not.
    pub code: String,
}

/// All that a fake AWS holds.
pub(crate) struct World {
    pub(crate) config: FakeAwsConfig,
    /// The time of what happens right now, in milliseconds since 1970.
    pub(crate) now_ms: i64,
    pub(crate) random: Random,
    pub(crate) timers: Timers,
    pub(crate) faults: Faults,
    pub(crate) buckets: Buckets,
    pub(crate) calls: Vec<Call>,
    pub(crate) rules: Rules,
    /// How long what this call creates stays invisible, when a fault says so.
    pub(crate) hidden_ms: Option<u64>,
    /// The account of whoever makes the call.
    pub(crate) caller: String,
    pub(crate) ecs: Ecs,
    pub(crate) logs: Logs,
    pub(crate) stacks: Stacks,
    pub(crate) elb: Elb,
    /// Classic load balancers by name.
    pub(crate) classic: BTreeMap<String, Classic>,
    pub(crate) ec2: Ec2,
    pub(crate) ecr: Ecr,
    pub(crate) iam: Iam,
    pub(crate) organization: Option<Organization>,
    /// What CloudTrail wrote down, by id, the oldest first.
    pub(crate) trail: VecDeque<(String, TrailEvent)>,
}

impl World {
    pub(crate) fn new(config: FakeAwsConfig, now_ms: i64) -> Self {
        Self {
            now_ms,
            random: Random::new(config.seed),
            timers: Timers::default(),
            faults: Faults::default(),
            buckets: Buckets::new(config.throttles.clone(), now_ms),
            calls: Vec::new(),
            rules: Rules::default(),
            hidden_ms: None,
            caller: config.account.clone(),
            ecs: Ecs::default(),
            logs: Logs::default(),
            stacks: Stacks::default(),
            elb: Elb::default(),
            classic: BTreeMap::new(),
            ec2: Ec2::new(&config.network),
            ecr: Ecr::default(),
            iam: Iam::default(),
            organization: None,
            trail: VecDeque::new(),
            config,
        }
    }

    /// Lets happen all that is due by now, each at its time.
    pub(crate) fn settle(&mut self, now_ms: i64) {
        while let Some((due_ms, what)) = self.timers.pop(now_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            match what {
                Due::Service(service) => ecs::scheduler::look(self, &service),
                Due::Task(task, step) => ecs::life::step(self, &task, step),
                Due::Target(group, target, step) => elbv2::target_step(self, &group, &target, step),
                Due::Machine(classic, machine, round) => elb::step(self, &classic, &machine, round),
                Due::Stack(stack) => cloudformation::engine::look(self, &stack),
                Due::Resource(stack, resource) => cloudformation::engine::resource_done(self, &stack, &resource),
            }
        }
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// When the next thing is due.
    pub(crate) fn next_ms(&self) -> Option<i64> {
        self.timers.next_ms()
    }

    /// Puts off something.
    pub(crate) fn later(&mut self, after_ms: u64, what: Due) {
        let due_ms = self.now_ms.saturating_add_unsigned(after_ms);
        self.timers.put(due_ms, what);
    }

    /// Does what an operation says.
    pub(crate) fn execute(&mut self, service: Service, operation: &str, input: &Value) -> Result<Value, AwsError> {
        match service {
            Service::Ecs => ecs::answer(self, operation, input),
            Service::Logs => logs::answer(self, operation, input),
            Service::Ecr => ecr::answer(self, operation, input),
            Service::CloudFormation => cloudformation::answer(self, operation, input),
            Service::Elbv2 => elbv2::answer(self, operation, input),
            Service::Elb => elb::answer(self, operation, input),
            Service::Iam => iam::answer(self, operation, input),
            Service::Sts => iam::answer_sts(self, operation, input),
            Service::Ec2 => ec2::answer(self, operation, input),
            Service::Organizations => organizations::answer(self, operation, input),
            Service::CloudTrail => cloudtrail::answer(self, operation, input),
        }
    }

    /// From when on reads show what is created now.
    pub(crate) fn visible_ms(&self) -> i64 {
        self.now_ms.saturating_add_unsigned(self.hidden_ms.unwrap_or(self.config.visible_after_ms))
    }

    /// So many random hexadecimal digits.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.random.next()));
        }
        text.truncate(digits);
        text
    }

    /// So many random decimal digits, the first not 0.
    pub(crate) fn digits(&mut self, digits: u32) -> String {
        let least = 10_u64.pow(digits - 1);
        (least + self.random.next() % (least * 9)).to_string()
    }

    /// A random UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// An ARN in the account and region.
    pub(crate) fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.config.region, self.config.account)
    }
}

/// The refusal of an operation that the fake does not know.
pub(crate) fn unknown_operation(service: Service, operation: &str) -> AwsError {
    let code = match service.protocol() {
        super::wire::Protocol::Json => "UnknownOperationException",
        super::wire::Protocol::Query | super::wire::Protocol::Ec2 => "InvalidAction",
    };
    AwsError::new(code, format!("the fake does not know the operation {}:{operation}", service.name()))
}

/// A refusal of a `nextToken` that the fake did not give out.
pub(crate) fn page_start(input: &Value, key: &str) -> Result<Option<String>, AwsError> {
    use super::wire::Input;
    match input.text(key) {
        None => Ok(None),
        Some(token) => match token.strip_prefix("page:") {
            Some(after) => Ok(Some(after.to_owned())),
            None => Err(AwsError::invalid_parameter("Invalid token.")),
        },
    }
}

/// The token for what comes after an entry.
pub(crate) fn page_token(after: &str) -> Value {
    Value::String(format!("page:{after}"))
}
