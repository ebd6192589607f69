//! How fast AWS is called: a token bucket for each family of calls, so that many entities at once wait here instead of
//! running into the account's throttles, which everybody in the account shares. Above it the SDK's adaptive retry does the
//! rest.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Calls that share a limit at AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecs) enum Family {
    /// ECS calls that read services and their deployments.
    EcsRead,
    /// ECS calls that change services.
    EcsWrite,
    /// ECS calls that read tasks.
    TasksRead,
    /// ECS calls that start or stop tasks.
    TasksWrite,
    /// ECS calls that read task definitions.
    DefinitionsRead,
    /// ECS calls that register or deregister task definitions.
    DefinitionsWrite,
    /// ECS calls that delete task definitions.
    DefinitionsDelete,
    /// ECS calls that write tags.
    Tags,
    /// CloudFormation calls that change stacks.
    Stacks,
    /// CloudFormation calls that only read.
    StacksRead,
    /// CloudWatch Logs.
    Logs,
    /// Elastic Load Balancing.
    Balancers,
    /// ECR.
    Registry,
    /// IAM, STS and Organizations.
    Identity,
    /// EC2, of which only reads are made.
    Network,
    /// CloudTrail.
    Trail,
}

/// How many calls of a family may be made at once, and how many a second go on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Calls at once after a quiet time.
    pub burst: f64,
    /// Calls a second in the long run.
    pub per_second: f64,
}

/// The rates of all families.
///
/// ECS documents a bucket for each kind of resource and account ("Request throttling for the Amazon ECS API"): reads of
/// services and tasks 100 at once and 20 a second each, of task definitions 50 and 20; changes of services 50 and 5, of task
/// definitions 20 and 1, their deletion 5 and 1; tasks started or stopped 100 and 40; tags 20 and 10. Half of each is left to
/// others in the account, but for the registration of task definitions, which every roll-out has to pass: of that three
/// quarters are taken. A bucket that is shared with others would let the SDK's adaptive retry slow all calls down for the sake
/// of one.
///
/// CloudFormation, ELB, EC2 and IAM publish no numbers; there the values are careful guesses. EC2 documents 100 at once and
/// 20 a second for calls that only read ("Request throttling for the Amazon EC2 API"); of that too half is taken. ECR's quotas
/// for what a pull needs are in the hundreds a second; those for policies, and those of IAM and Organizations, are not
/// published. CloudTrail's lookups are two a second for the whole account ("LookupEvents"); half is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// ECS calls that read services and their deployments.
    pub ecs_read: Rate,
    /// ECS calls that change services.
    pub ecs_write: Rate,
    /// ECS calls that read tasks.
    pub tasks_read: Rate,
    /// ECS calls that start or stop tasks.
    pub tasks_write: Rate,
    /// ECS calls that read task definitions.
    pub definitions_read: Rate,
    /// ECS calls that register or deregister task definitions.
    pub definitions_write: Rate,
    /// ECS calls that delete task definitions.
    pub definitions_delete: Rate,
    /// ECS calls that write tags.
    pub tags: Rate,
    /// CloudFormation calls that change stacks.
    pub stacks: Rate,
    /// CloudFormation calls that only read.
    pub stacks_read: Rate,
    /// CloudWatch Logs.
    pub logs: Rate,
    /// Elastic Load Balancing.
    pub balancers: Rate,
    /// ECR.
    pub registry: Rate,
    /// IAM, STS and Organizations.
    pub identity: Rate,
    /// EC2.
    pub network: Rate,
    /// CloudTrail.
    pub trail: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |burst, per_second| Rate { burst, per_second };
        Self {
            ecs_read: rate(50.0, 10.0),
            ecs_write: rate(25.0, 2.5),
            tasks_read: rate(50.0, 10.0),
            tasks_write: rate(50.0, 20.0),
            definitions_read: rate(25.0, 10.0),
            definitions_write: rate(15.0, 0.75),
            definitions_delete: rate(2.0, 0.5),
            tags: rate(10.0, 5.0),
            stacks: rate(10.0, 2.0),
            stacks_read: rate(5.0, 5.0),
            logs: rate(10.0, 5.0),
            balancers: rate(20.0, 5.0),
            registry: rate(20.0, 10.0),
            identity: rate(15.0, 5.0),
            network: rate(50.0, 10.0),
            trail: rate(2.0, 1.0),
        }
    }
}

impl Rates {
    /// The same rate for each family.
    #[must_use]
    pub const fn all(rate: Rate) -> Self {
        Self {
            ecs_read: rate,
            ecs_write: rate,
            tasks_read: rate,
            tasks_write: rate,
            definitions_read: rate,
            definitions_write: rate,
            definitions_delete: rate,
            tags: rate,
            stacks: rate,
            stacks_read: rate,
            logs: rate,
            balancers: rate,
            registry: rate,
            identity: rate,
            network: rate,
            trail: rate,
        }
    }

    /// So many times as fast: for an account whose limits were raised, or that is not this instance's alone.
    #[must_use]
    pub fn times(self, times: f64) -> Self {
        // A bucket that holds less than one call would let none through at once, which is no harm: it may be overdrawn.
        let rate = |it: Rate| Rate { burst: it.burst * times, per_second: it.per_second * times };
        Self {
            ecs_read: rate(self.ecs_read),
            ecs_write: rate(self.ecs_write),
            tasks_read: rate(self.tasks_read),
            tasks_write: rate(self.tasks_write),
            definitions_read: rate(self.definitions_read),
            definitions_write: rate(self.definitions_write),
            definitions_delete: rate(self.definitions_delete),
            tags: rate(self.tags),
            stacks: rate(self.stacks),
            stacks_read: rate(self.stacks_read),
            logs: rate(self.logs),
            balancers: rate(self.balancers),
            registry: rate(self.registry),
            identity: rate(self.identity),
            network: rate(self.network),
            trail: rate(self.trail),
        }
    }

    fn of(&self, family: Family) -> Rate {
        match family {
            Family::EcsRead => self.ecs_read,
            Family::EcsWrite => self.ecs_write,
            Family::TasksRead => self.tasks_read,
            Family::TasksWrite => self.tasks_write,
            Family::DefinitionsRead => self.definitions_read,
            Family::DefinitionsWrite => self.definitions_write,
            Family::DefinitionsDelete => self.definitions_delete,
            Family::Tags => self.tags,
            Family::Stacks => self.stacks,
            Family::StacksRead => self.stacks_read,
            Family::Logs => self.logs,
            Family::Balancers => self.balancers,
            Family::Registry => self.registry,
            Family::Identity => self.identity,
            Family::Network => self.network,
            Family::Trail => self.trail,
        }
    }
}

/// The buckets, in the order of [`Family`].
#[derive(Debug)]
pub(in crate::ecs) struct Pace {
    buckets: [Bucket; FAMILIES.len()],
}

/// All of them, each at the place that its number says.
const FAMILIES: [Family; 16] = [
    Family::EcsRead,
    Family::EcsWrite,
    Family::TasksRead,
    Family::TasksWrite,
    Family::DefinitionsRead,
    Family::DefinitionsWrite,
    Family::DefinitionsDelete,
    Family::Tags,
    Family::Stacks,
    Family::StacksRead,
    Family::Logs,
    Family::Balancers,
    Family::Registry,
    Family::Identity,
    Family::Network,
    Family::Trail,
];

impl Pace {
    pub(in crate::ecs) fn new(rates: Rates) -> Self {
        Self { buckets: FAMILIES.map(|family| Bucket::new(rates.of(family))) }
    }

    /// Waits until a call of the family may be made.
    pub(in crate::ecs) async fn turn(&self, family: Family) {
        let wait = self.buckets[family as usize].take(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }
}

/// A bucket that may be overdrawn: whoever takes what isn't there yet is told how long to wait for it, so that callers are
/// served in the order in which they came.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    fn new(rate: Rate) -> Self {
        Self { rate, state: Mutex::new((rate.burst, Instant::now())) }
    }

    fn take(&self, now: Instant) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(state.1).as_secs_f64();
        let tokens = (state.0 + passed * self.rate.per_second).min(self.rate.burst) - 1.0;
        *state = (tokens, now.max(state.1));
        if tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-tokens / self.rate.per_second) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_the_bucket_of_its_own_place() {
        assert!(FAMILIES.iter().enumerate().all(|(at, family)| *family as usize == at));
        let twice = Rates::default().times(2.0);
        assert_eq!(twice.ecs_read, Rate { burst: 100.0, per_second: 20.0 });
        let all = Rates::all(Rate { burst: 3.0, per_second: 1.0 });
        assert!(FAMILIES.iter().all(|family| all.of(*family).burst.to_bits() == 3.0_f64.to_bits()));
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_in_order() {
        let bucket = Bucket::new(Rate { burst: 2.0, per_second: 10.0 });
        let start = Instant::now();
        let waits: Vec<u128> = (0..4).map(|_| bucket.take(start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 100, 200]);
        assert_eq!(bucket.take(start + Duration::from_secs(10)), Duration::ZERO, "it fills again");
    }
}
