//! What a service is, and its deployments.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use super::super::wire::Input;
use super::super::world::Id;
use super::rollout::Rollout;
use super::{Definition, Ids, Tags};

/// How many events are kept (API reference, Service).
const EVENTS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceStatus {
    Active,
    Draining,
    Inactive,
}

impl ServiceStatus {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

/// How far a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RolloutState {
    InProgress,
    Completed,
    Failed,
}

impl RolloutState {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
        }
    }
}

/// One version of a service: a task definition and how it is run. The first in the list is PRIMARY, the others ACTIVE.
#[derive(Debug, Clone)]
pub(crate) struct Deployment {
    /// `ecs-svc/..`
    pub(crate) id: Id,
    pub(crate) definition: Arc<Definition>,
    /// The service's settings of then.
    pub(crate) settings: Value,
    pub(crate) revision: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) state: RolloutState,
    pub(crate) reason: String,
    pub(crate) failed_tasks: u64,
    pub(crate) last_failure_ms: i64,
    /// Whether a task of it was ever healthy: failures are not counted any more then.
    pub(crate) was_healthy: bool,
    /// How many tasks it started, for the capacity provider strategy.
    pub(crate) started: u64,
}

/// A service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) arn: Id,
    pub(crate) name: String,
    pub(crate) cluster: String,
    pub(crate) status: ServiceStatus,
    pub(crate) desired: u64,
    pub(crate) settings: Value,
    pub(crate) deployments: Vec<Deployment>,
    /// The deployment that completed last.
    pub(crate) completed: Option<Deployment>,
    /// Its service deployments, the newest last.
    pub(crate) rollouts: Vec<Rollout>,
    /// Time, id and text, the newest first.
    pub(crate) events: VecDeque<(i64, String, String)>,
    /// Its tasks that are not STOPPED, and those that are but can still be described.
    pub(crate) live: Ids,
    pub(crate) stopped: Ids,
    pub(crate) tags: Tags,
    pub(crate) created_ms: i64,
    pub(crate) visible_ms: i64,
    /// When the scheduler is going to look at it.
    pub(crate) look_ms: Option<i64>,
    pub(crate) steady: bool,
    /// The text of the last event about why nothing can be started.
    pub(crate) stuck: Option<String>,
    /// Targets registered and deregistered since the scheduler last looked, by target group.
    pub(crate) registered: BTreeMap<Id, u64>,
    pub(crate) deregistered: BTreeMap<Id, u64>,
}

impl Service {
    pub(crate) fn is_inactive(&self) -> bool {
        self.status == ServiceStatus::Inactive
    }

    pub(crate) fn event(&mut self, world_ms: i64, id: String, text: &str) {
        self.events.push_front((world_ms, id, format!("(service {}) {text}", self.name)));
        self.events.truncate(EVENTS);
    }

    /// A number of its deployment configuration.
    fn percent(&self, key: &str, default: u64) -> u64 {
        let configuration = self.settings.member("deploymentConfiguration");
        let number = configuration.and_then(|configuration| configuration.number(key));
        number.and_then(|number| u64::try_from(number).ok()).unwrap_or(default)
    }

    /// How many tasks must stay healthy during a deployment: rounded up.
    pub(crate) fn least(&self) -> u64 {
        (self.desired * self.percent("minimumHealthyPercent", 100)).div_ceil(100)
    }

    /// How many tasks may be PENDING or RUNNING during a deployment: rounded down.
    pub(crate) fn most(&self) -> u64 {
        self.desired * self.percent("maximumPercent", 200) / 100
    }

    /// Whether the circuit breaker is on, and whether it rolls back.
    pub(crate) fn breaker(&self) -> (bool, bool) {
        let configuration = self.settings.member("deploymentConfiguration");
        let breaker = configuration.and_then(|configuration| configuration.member("deploymentCircuitBreaker"));
        breaker.map_or((false, false), |breaker| (breaker.flag("enable"), breaker.flag("rollback")))
    }

    /// The CloudWatch alarms that watch its roll-outs.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let configuration = self.settings.member("deploymentConfiguration");
        let alarms = configuration.and_then(|configuration| configuration.member("alarms"));
        let alarms = alarms.filter(|alarms| alarms.flag("enable") && alarms.flag("rollback"));
        alarms.map(|it| it.texts("alarmNames").into_iter().map(str::to_owned).collect()).unwrap_or_default()
    }

    /// How many failed tasks in a row open the circuit: half of the desired count, at least 3, at most 200.
    pub(crate) fn threshold(&self) -> u64 {
        self.desired.div_ceil(2).clamp(3, 200)
    }
}
