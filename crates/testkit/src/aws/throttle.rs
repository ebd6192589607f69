//! The account's token buckets.

use super::wire::Service;

/// A bucket that a family of operations shares. A call takes one token; without one it is refused.
#[derive(Debug, Clone)]
pub struct Throttle {
    /// The service.
    pub service: Service,
    /// The operations; empty: all of the service that no other bucket names.
    pub operations: Vec<String>,
    /// How many tokens it holds, and begins with.
    pub bucket: f64,
    /// How many come back in a second.
    pub per_second: f64,
}

impl Throttle {
    /// A bucket.
    #[must_use]
    pub fn new(service: Service, operations: &[&str], bucket: f64, per_second: f64) -> Self {
        let operations = operations.iter().map(|&operation| operation.to_owned()).collect();
        Self { service, operations, bucket, per_second }
    }
}

/// The rates of an account that asked for no higher ones. ECS: the table of "Request throttling for the Amazon ECS API";
/// CloudWatch Logs and ECR: their quota pages, the lower figure where pages differ. CloudFormation, Elastic Load Balancing,
/// IAM and EC2 publish none for these calls: theirs are guesses on the safe side.
#[must_use]
pub fn documented() -> Vec<Throttle> {
    let new = Throttle::new;
    vec![
        new(Service::Ecs, &["DescribeClusters", "ListClusters"], 50.0, 20.0),
        new(Service::Ecs, &["RegisterTaskDefinition", "DeregisterTaskDefinition"], 20.0, 1.0),
        new(Service::Ecs, &["DescribeTaskDefinition", "ListTaskDefinitions", "ListTaskDefinitionFamilies"], 50.0, 20.0),
        new(Service::Ecs, &["DeleteTaskDefinitions"], 5.0, 1.0),
        new(Service::Ecs, &["TagResource", "UntagResource"], 20.0, 10.0),
        new(Service::Ecs, &["ListTagsForResource"], 50.0, 20.0),
        new(Service::Ecs, &["RunTask", "StopTask"], 100.0, 40.0),
        new(Service::Ecs, &["DescribeTasks", "ListTasks", "DescribeContainerInstances"], 100.0, 20.0),
        new(Service::Ecs, &["CreateService", "UpdateService", "DeleteService"], 50.0, 5.0),
        new(Service::Ecs, &["DescribeServices", "ListServices"], 100.0, 20.0),
        new(
            Service::Ecs,
            &["DescribeServiceDeployments", "ListServiceDeployments", "DescribeServiceRevisions"],
            50.0,
            20.0,
        ),
        // StopServiceDeployment, which the table leaves out.
        new(Service::Ecs, &[], 10.0, 1.0),
        new(Service::Logs, &["DescribeLogStreams"], 5.0, 5.0),
        new(Service::Logs, &["FilterLogEvents"], 5.0, 5.0),
        new(Service::Logs, &["GetLogEvents"], 10.0, 10.0),
        new(Service::Logs, &["DescribeLogGroups"], 10.0, 10.0),
        new(Service::Logs, &["CreateLogGroup", "DeleteLogGroup"], 10.0, 10.0),
        new(Service::Ecr, &["GetAuthorizationToken"], 200.0, 20.0),
        new(Service::Ecr, &["BatchGetImage"], 2000.0, 2000.0),
        new(Service::Ecr, &["BatchCheckLayerAvailability"], 1000.0, 1000.0),
        new(Service::Ecr, &[], 20.0, 10.0),
        new(Service::CloudFormation, &["DescribeStacks"], 10.0, 10.0),
        new(Service::CloudFormation, &[], 10.0, 5.0),
        new(Service::Elbv2, &[], 40.0, 10.0),
        new(Service::Elb, &[], 40.0, 10.0),
        new(Service::Iam, &[], 20.0, 10.0),
        new(Service::Ec2, &[], 100.0, 20.0),
    ]
}

/// The buckets as they are now.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    buckets: Vec<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    throttle: Throttle,
    tokens: f64,
    at_ms: i64,
}

impl Buckets {
    pub(crate) fn new(throttles: Vec<Throttle>, now_ms: i64) -> Self {
        let full = |throttle: Throttle| Bucket { tokens: throttle.bucket, throttle, at_ms: now_ms };
        Self { buckets: throttles.into_iter().map(full).collect() }
    }

    /// Takes a token for a call; `false` when there is none. What no bucket names is never throttled.
    pub(crate) fn take(&mut self, service: Service, operation: &str, now_ms: i64) -> bool {
        let of_service = |bucket: &Bucket| bucket.throttle.service == service;
        let names = |bucket: &Bucket| bucket.throttle.operations.iter().any(|named| named == operation);
        let at = self
            .buckets
            .iter()
            .position(|bucket| of_service(bucket) && names(bucket))
            .or_else(|| self.buckets.iter().position(|b| of_service(b) && b.throttle.operations.is_empty()));
        let Some(at) = at else { return true };
        let bucket = &mut self.buckets[at];
        #[expect(clippy::cast_precision_loss, reason = "a test does not last 2^53 ms")]
        let passed_s = (now_ms - bucket.at_ms).max(0) as f64 / 1000.0;
        bucket.tokens = (bucket.tokens + passed_s * bucket.throttle.per_second).min(bucket.throttle.bucket);
        bucket.at_ms = now_ms;
        let there = bucket.tokens >= 1.0;
        if there {
            bucket.tokens -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_taken_and_come_back() {
        let logs = Throttle::new(Service::Logs, &["DescribeLogStreams"], 2.0, 5.0);
        let mut buckets = Buckets::new(vec![logs], 0);
        let mut take = |now_ms| buckets.take(Service::Logs, "DescribeLogStreams", now_ms);
        assert!(take(0) && take(0));
        assert!(!take(100), "half a token is none");
        assert!(take(200));
        assert!(!take(200));
        assert!(take(10_000) && take(10_000) && !take(10_000), "it never holds more than its size");
        assert!(buckets.take(Service::Logs, "GetLogEvents", 0), "without a bucket there is no limit");
    }
}
