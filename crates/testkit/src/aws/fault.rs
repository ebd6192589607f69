//! Faults as data: which calls go wrong, and how.

use super::wire::{AwsError, Protocol, Service};

/// Calls that go wrong. The newest fault that fits a call takes it.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Calls to this service; `None`: to any.
    pub service: Option<Service>,
    /// Calls of this operation; `None`: of any.
    pub operation: Option<String>,
    /// The first of the fitting calls that it hits, counted from when the fault was set: 1 is the next.
    pub nth: u64,
    /// How many calls it hits from there; `u64::MAX`: all.
    pub times: u64,
    /// What happens to them.
    pub effect: Effect,
}

impl Fault {
    /// Hits the next call of an operation, once.
    #[must_use]
    pub fn on(service: Service, operation: &str, effect: Effect) -> Self {
        Self { service: Some(service), operation: Some(operation.to_owned()), nth: 1, times: 1, effect }
    }

    /// Hits the next call of a service, once.
    #[must_use]
    pub fn on_service(service: Service, effect: Effect) -> Self {
        Self { service: Some(service), operation: None, nth: 1, times: 1, effect }
    }

    /// Hits the next call, whatever it is, once.
    #[must_use]
    pub fn on_any(effect: Effect) -> Self {
        Self { service: None, operation: None, nth: 1, times: 1, effect }
    }

    /// The same, but it begins with the nth fitting call.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = nth;
        self
    }

    /// The same, for so many calls.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }
}

/// What happens to a call.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Refused as throttled, not executed.
    Throttle,
    /// The same, with a `Retry-After` of so many seconds.
    ThrottleFor(u64),
    /// Refused with a 5xx, not executed.
    ServerError,
    /// Refused, not executed.
    AccessDenied {
        /// The text; `None`: AWS's wording for a missing allow.
        message: Option<String>,
    },
    /// Refused with this, not executed.
    Error(AwsError),
    /// Not executed, and no answer: the connection is closed after `timeout_ms` of the configuration.
    Timeout,
    /// Executed, but the connection is closed instead of an answer.
    LostAnswer,
    /// Executed, and answered so many milliseconds later.
    Delay(u64),
    /// Executed and answered; what the call created stays invisible for so many milliseconds.
    NotVisibleFor(u64),
}

/// A resource of a stack that goes wrong.
#[derive(Debug, Clone)]
pub struct ResourceFault {
    /// The type, `AWS::ECS::Cluster`.
    pub resource_type: String,
    /// When.
    pub verb: ResourceVerb,
    /// The status reason.
    pub reason: String,
    /// How often; `u64::MAX`: always.
    pub times: u64,
}

/// What is done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceVerb {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// It is taken away.
    Delete,
}

/// All faults that are set.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    calls: Vec<(Fault, u64)>,
    resources: Vec<ResourceFault>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.calls.push((fault, 0));
    }

    pub(crate) fn add_resource(&mut self, fault: ResourceFault) {
        self.resources.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.calls.clear();
        self.resources.clear();
    }

    /// What happens to this call. Counts it for every fault that it fits.
    pub(crate) fn hit(&mut self, service: Service, operation: &str) -> Option<Effect> {
        let mut effect = None;
        for (fault, seen) in self.calls.iter_mut().rev() {
            let fits = fault.service.is_none_or(|of| of == service)
                && fault.operation.as_deref().is_none_or(|of| of == operation);
            if !fits {
                continue;
            }
            *seen += 1;
            let last = fault.nth.saturating_add(fault.times).saturating_sub(1);
            if effect.is_none() && *seen >= fault.nth && *seen <= last {
                effect = Some(fault.effect.clone());
            }
        }
        self.calls.retain(|(fault, seen)| *seen < fault.nth.saturating_add(fault.times).saturating_sub(1));
        effect
    }

    /// The reason for which this step of a stack fails.
    pub(crate) fn hit_resource(&mut self, resource_type: &str, verb: ResourceVerb) -> Option<String> {
        let fits = |fault: &ResourceFault| fault.resource_type == resource_type && fault.verb == verb;
        let at = self.resources.iter().rposition(fits)?;
        let fault = &mut self.resources[at];
        let reason = fault.reason.clone();
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            self.resources.remove(at);
        }
        Some(reason)
    }
}

/// What a throttled call is told: each protocol has its own code, and EC2 its own status.
pub(crate) fn throttled(service: Service) -> AwsError {
    match service.protocol() {
        Protocol::Json => AwsError::new("ThrottlingException", "Rate exceeded"),
        Protocol::Query => AwsError::new("Throttling", "Rate exceeded"),
        Protocol::Ec2 => AwsError::new("RequestLimitExceeded", "Request limit exceeded.").with_status(503),
    }
}

/// What a call is told when AWS is at fault.
pub(crate) fn server_error(service: Service) -> AwsError {
    let (code, message) = match service {
        Service::Logs => ("ServiceUnavailableException", "The service cannot complete the request."),
        Service::Ecs | Service::Ecr => ("ServerException", "Service Unavailable. Please try again later."),
        Service::Ec2 => ("InternalError", "An internal error has occurred"),
        Service::CloudTrail => ("InternalFailure", "We encountered an internal error. Please try again."),
        Service::Organizations => ("ServiceException", "AWS Organizations can't complete your request."),
        Service::CloudFormation | Service::Elbv2 | Service::Elb | Service::Iam | Service::Sts => {
            ("InternalFailure", "We encountered an internal error. Please try again.")
        }
    };
    AwsError::new(code, message).with_status(500)
}

/// What a call is told that the caller has no right to.
pub(crate) fn denied(service: Service, operation: &str, account: &str, message: Option<String>) -> AwsError {
    let action = format!("{}:{operation}", service.name());
    let message = message.unwrap_or_else(|| {
        format!(
            "User: arn:aws:sts::{account}:assumed-role/layer0/fake is not authorized to perform: {action} because no \
             identity-based policy allows the {action} action"
        )
    });
    match service.protocol() {
        Protocol::Json => AwsError::new("AccessDeniedException", message),
        Protocol::Query => AwsError::new("AccessDenied", message).with_status(403),
        Protocol::Ec2 => AwsError::new("UnauthorizedOperation", message).with_status(403),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_the_calls_it_names() {
        let mut faults = Faults::default();
        faults.add(Fault::on(Service::Ecs, "RunTask", Effect::Throttle).nth(2).times(2));
        let mut hits = |operation| faults.hit(Service::Ecs, operation).is_some();
        assert!(!hits("RunTask"), "the first is spared");
        assert!(!hits("StopTask"), "another operation does not count");
        assert!(hits("RunTask") && hits("RunTask"));
        assert!(!hits("RunTask"), "it is used up");
        assert!(faults.calls.is_empty());
    }

    #[test]
    fn the_newest_wins_and_all_count() {
        let mut faults = Faults::default();
        faults.add(Fault::on_any(Effect::ServerError).times(2));
        faults.add(Fault::on_service(Service::Logs, Effect::LostAnswer));
        assert!(matches!(faults.hit(Service::Logs, "X"), Some(Effect::LostAnswer)));
        assert!(matches!(faults.hit(Service::Logs, "X"), Some(Effect::ServerError)));
        assert!(faults.hit(Service::Logs, "X").is_none());
    }
}
