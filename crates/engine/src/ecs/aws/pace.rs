//! How fast AWS is called: a token bucket for each family of calls, so that many entities at once wait here instead of
//! running into the account's throttles, which everybody in the account shares. Above it the SDK's adaptive retry does the
//! rest.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Calls that share a limit at AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ecs) enum Family {
    /// ECS calls that only read.
    EcsRead,
    /// ECS calls that change something.
    EcsWrite,
    /// CloudFormation.
    Stacks,
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
/// ECS documents a bucket for each kind of resource and account ("Request throttling for the Amazon ECS API"): reads 50 to 100
/// at once and 20 a second, changes of services 50 and 5, of task definitions 20 and 1, tasks started or stopped 100 and 40.
/// About half is left to others in the account; where a bucket is smaller (task definitions), the SDK's retries wait.
/// CloudFormation, ELB, EC2 and IAM publish no numbers; there the values are careful guesses. EC2 documents 100 at once and
/// 20 a second for calls that only read ("Request throttling for the Amazon EC2 API"); of that too half is taken. ECR's quotas
/// for what a pull needs are in the hundreds a second; those for policies, and those of IAM and Organizations, are not
/// published. CloudTrail's lookups are two a second for the whole account ("LookupEvents"); half is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// ECS calls that only read.
    pub ecs_read: Rate,
    /// ECS calls that change something.
    pub ecs_write: Rate,
    /// CloudFormation.
    pub stacks: Rate,
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
        Self {
            ecs_read: Rate { burst: 25.0, per_second: 10.0 },
            ecs_write: Rate { burst: 20.0, per_second: 5.0 },
            stacks: Rate { burst: 10.0, per_second: 2.0 },
            logs: Rate { burst: 10.0, per_second: 5.0 },
            balancers: Rate { burst: 20.0, per_second: 5.0 },
            registry: Rate { burst: 20.0, per_second: 10.0 },
            identity: Rate { burst: 15.0, per_second: 5.0 },
            network: Rate { burst: 50.0, per_second: 10.0 },
            trail: Rate { burst: 2.0, per_second: 1.0 },
        }
    }
}

/// The buckets.
#[derive(Debug)]
pub(in crate::ecs) struct Pace {
    ecs_read: Bucket,
    ecs_write: Bucket,
    stacks: Bucket,
    logs: Bucket,
    balancers: Bucket,
    registry: Bucket,
    identity: Bucket,
    network: Bucket,
    trail: Bucket,
}

impl Pace {
    pub(in crate::ecs) fn new(rates: Rates) -> Self {
        Self {
            ecs_read: Bucket::new(rates.ecs_read),
            ecs_write: Bucket::new(rates.ecs_write),
            stacks: Bucket::new(rates.stacks),
            logs: Bucket::new(rates.logs),
            balancers: Bucket::new(rates.balancers),
            registry: Bucket::new(rates.registry),
            identity: Bucket::new(rates.identity),
            network: Bucket::new(rates.network),
            trail: Bucket::new(rates.trail),
        }
    }

    /// Waits until a call of the family may be made.
    pub(in crate::ecs) async fn turn(&self, family: Family) {
        let bucket = match family {
            Family::EcsRead => &self.ecs_read,
            Family::EcsWrite => &self.ecs_write,
            Family::Stacks => &self.stacks,
            Family::Logs => &self.logs,
            Family::Balancers => &self.balancers,
            Family::Registry => &self.registry,
            Family::Identity => &self.identity,
            Family::Network => &self.network,
            Family::Trail => &self.trail,
        };
        let wait = bucket.take(Instant::now());
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
    fn a_burst_goes_at_once_and_the_rest_in_order() {
        let bucket = Bucket::new(Rate { burst: 2.0, per_second: 10.0 });
        let start = Instant::now();
        let waits: Vec<u128> = (0..4).map(|_| bucket.take(start).as_millis()).collect();
        assert_eq!(waits, [0, 0, 100, 200]);
        assert_eq!(bucket.take(start + Duration::from_secs(10)), Duration::ZERO, "it fills again");
    }
}
