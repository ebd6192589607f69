//! How one copy of a service is: its containers and the load balancer's verdict together. Pure.

use std::net::Ipv4Addr;
use std::sync::Arc;

use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::CopyState;

use crate::docker::containers::copy::{Stage, stage};
use crate::docker::schedule::State;
use crate::docker::world::{Container, Health};

/// How long a container without any health check must have run to count as healthy: one that ends right after its start
/// must not. Copies with a health check need no such time; their first passed check counts.
pub(in crate::docker) const SETTLED_MS: i64 = 1_000;

/// Least patience with a new copy's health checks, whatever the load balancer's intervals are.
pub(in crate::docker) const PATIENCE_MS: i64 = 10_000;

/// What is remembered of a copy from one look to the next.
#[derive(Debug, Default)]
pub(in crate::docker) struct Memory {
    /// How many copies ended before it in its place.
    pub(in crate::docker) crashes: u32,
    /// Whether it ran already when this process first saw it.
    pub(in crate::docker) adopted: bool,
    /// Since when it runs, by our clock.
    pub(in crate::docker) running_since: Option<Timestamp>,
    /// Since when it is healthy.
    pub(in crate::docker) healthy_since: Option<Timestamp>,
    /// Whether it ever was.
    pub(in crate::docker) ever_healthy: bool,
    /// Since when it is not, after it was.
    pub(in crate::docker) sick_since: Option<Timestamp>,
}

/// What a load balancer says of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::docker) enum Traffic {
    /// The service stands behind none.
    NoBalancer,
    /// Nothing yet, or the newest probe failed but it may be too early: why.
    Unknown(Option<String>),
    Healthy,
    /// Why not.
    Unhealthy(String),
}

/// Everything that a verdict rests on.
#[derive(Debug)]
pub(in crate::docker) struct Evidence<'a> {
    pub(in crate::docker) containers: &'a [Arc<Container>],
    /// Whether somebody is making and starting it.
    pub(in crate::docker) being_started: bool,
    pub(in crate::docker) traffic: Traffic,
    /// How long its health checks may fail: the load balancer's, with a container's own start period.
    pub(in crate::docker) patience_ms: i64,
    pub(in crate::docker) now: Timestamp,
}

/// The verdict on a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::docker) struct Verdict {
    pub(in crate::docker) state: State,
    pub(in crate::docker) shown: CopyState,
    /// When to give it up.
    pub(in crate::docker) give_up_at: Option<Timestamp>,
    /// When to look again though nothing happens before.
    pub(in crate::docker) look_at: Option<Timestamp>,
    /// Why it is not healthy, where that is known.
    pub(in crate::docker) reason: Option<String>,
}

impl Verdict {
    fn of(state: State, shown: CopyState) -> Self {
        Self { state, shown, give_up_at: None, look_at: None, reason: None }
    }
}

/// Judges a copy, and remembers what must be remembered.
pub(in crate::docker) fn judge(memory: &mut Memory, evidence: &Evidence<'_>) -> Verdict {
    match stage(evidence.containers) {
        Stage::Ended { .. } if !evidence.being_started => Verdict::of(State::Ended, CopyState::Stopped),
        Stage::Making if !evidence.being_started => Verdict::of(State::HalfMade, CopyState::Pending),
        Stage::Making => Verdict::of(State::Starting, CopyState::Pending),
        Stage::Ended { .. } => Verdict::of(State::Starting, CopyState::Starting),
        Stage::Running { since, health } => running(memory, evidence, since, health),
    }
}

enum Checks {
    Pass,
    Pending {
        until: Option<Timestamp>,
        reason: Option<String>,
    },
    /// The container's own check has given its final no; the load balancer may still change its mind.
    Fail {
        at_once: bool,
        reason: String,
    },
}

fn running(memory: &mut Memory, evidence: &Evidence<'_>, since: Timestamp, health: Health) -> Verdict {
    let now = evidence.now;
    let running_since = *memory.running_since.get_or_insert(now);
    // A container that was adopted has run longer than we know. Docker's clock may be ahead of ours, by hours when it was
    // set back in between; then only what we have seen counts.
    let settled_at = if memory.adopted { since.min(running_since) } else { running_since }.plus_ms(SETTLED_MS);
    match checks(evidence, health, settled_at) {
        Checks::Pass => {
            memory.ever_healthy = true;
            memory.sick_since = None;
            memory.healthy_since.get_or_insert(now);
            Verdict::of(State::Healthy, CopyState::Healthy)
        }
        Checks::Pending { until, reason } if !memory.ever_healthy => {
            let state = if memory.adopted { State::Adopted } else { State::Starting };
            // Without a check there is nothing to lose patience with.
            let give_up_at = until.is_none().then(|| running_since.plus_ms(evidence.patience_ms));
            Verdict { give_up_at, look_at: until, reason, ..Verdict::of(state, CopyState::Starting) }
        }
        Checks::Fail { at_once, reason } if !memory.ever_healthy => {
            let state = if memory.adopted { State::Adopted } else { State::Starting };
            let give_up_at = if at_once { now } else { running_since.plus_ms(evidence.patience_ms) };
            let shown = CopyState::Unhealthy;
            Verdict { give_up_at: Some(give_up_at), reason: Some(reason), ..Verdict::of(state, shown) }
        }
        Checks::Pending { reason, .. } => sick(memory, evidence, false, reason),
        Checks::Fail { at_once, reason } => sick(memory, evidence, at_once, Some(reason)),
    }
}

fn sick(memory: &mut Memory, evidence: &Evidence<'_>, at_once: bool, reason: Option<String>) -> Verdict {
    let since = *memory.sick_since.get_or_insert(evidence.now);
    memory.healthy_since = None;
    let give_up_at = if at_once { since } else { since.plus_ms(evidence.patience_ms) };
    Verdict { give_up_at: Some(give_up_at), reason, ..Verdict::of(State::Unhealthy, CopyState::Unhealthy) }
}

fn checks(evidence: &Evidence<'_>, health: Health, settled_at: Timestamp) -> Checks {
    match (health, &evidence.traffic) {
        (Health::Unhealthy, _) => {
            Checks::Fail { at_once: true, reason: "the container's own health check fails".to_owned() }
        }
        (_, Traffic::Unhealthy(reason)) => Checks::Fail { at_once: false, reason: reason.clone() },
        (Health::Starting, _) => Checks::Pending {
            until: None,
            reason: Some("the container's own health check has not passed yet".to_owned()),
        },
        (Health::None | Health::Healthy, Traffic::Unknown(reason)) => {
            Checks::Pending { until: None, reason: reason.clone() }
        }
        (Health::None | Health::Healthy, Traffic::Healthy) | (Health::Healthy, Traffic::NoBalancer) => Checks::Pass,
        (Health::None, Traffic::NoBalancer) if settled_at <= evidence.now => Checks::Pass,
        (Health::None, Traffic::NoBalancer) => Checks::Pending { until: Some(settled_at), reason: None },
    }
}

/// Where a copy answers: the container whose network it is, and its address in the environment's network.
pub(in crate::docker) fn answers_at(containers: &[Arc<Container>], network: &str) -> Option<(String, Ipv4Addr)> {
    let Stage::Running { .. } = stage(containers) else { return None };
    let owner = crate::docker::containers::copy::network_owner(containers)?;
    let address = crate::docker::containers::copy::address(containers, network)?;
    Some((owner.id.clone(), address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::world::{Run, sample};

    const NOW: Timestamp = Timestamp(100_000);

    fn verdict(memory: &mut Memory, run: Run, health: Health, traffic: Traffic, now: Timestamp) -> Verdict {
        let container = Container { run, health, started: Some(NOW), finished: Some(now), ..sample() };
        let containers = [Arc::new(container)];
        let evidence = Evidence { containers: &containers, being_started: false, traffic, patience_ms: 10_000, now };
        judge(memory, &evidence)
    }

    #[test]
    fn without_a_check_a_copy_is_healthy_after_a_second() {
        let mut memory = Memory::default();
        let first = verdict(&mut memory, Run::Running, Health::None, Traffic::NoBalancer, NOW);
        assert_eq!((first.state, first.look_at, first.give_up_at), (State::Starting, Some(NOW.plus_ms(1_000)), None));
        let then = verdict(&mut memory, Run::Running, Health::None, Traffic::NoBalancer, NOW.plus_ms(1_000));
        assert_eq!(then.state, State::Healthy);
    }

    #[test]
    fn what_was_adopted_is_healthy_after_a_second_though_it_was_started_in_the_future() {
        let mut memory = Memory { adopted: true, ..Memory::default() };
        let mut at = |now: Timestamp| {
            let container = Container { started: Some(NOW.plus_ms(3_600_000)), ..sample() };
            let containers = [Arc::new(container)];
            let traffic = Traffic::NoBalancer;
            let evidence =
                Evidence { containers: &containers, being_started: false, traffic, patience_ms: 10_000, now };
            judge(&mut memory, &evidence)
        };
        let first = at(NOW);
        assert_eq!((first.state, first.look_at), (State::Adopted, Some(NOW.plus_ms(1_000))));
        assert_eq!(at(NOW.plus_ms(1_000)).state, State::Healthy);
    }

    #[test]
    fn behind_a_load_balancer_the_first_passed_probe_counts_at_once() {
        let mut memory = Memory::default();
        let waiting = verdict(&mut memory, Run::Running, Health::None, Traffic::Unknown(None), NOW);
        assert_eq!((waiting.state, waiting.give_up_at), (State::Starting, Some(NOW.plus_ms(10_000))));
        assert_eq!(verdict(&mut memory, Run::Running, Health::None, Traffic::Healthy, NOW).state, State::Healthy);
    }

    #[test]
    fn both_checks_must_pass() {
        let mut memory = Memory::default();
        let half = verdict(&mut memory, Run::Running, Health::Starting, Traffic::Healthy, NOW);
        assert_eq!(half.state, State::Starting);
        let other_half = verdict(&mut memory, Run::Running, Health::Healthy, Traffic::Unknown(None), NOW);
        assert_eq!(other_half.state, State::Starting);
        assert_eq!(verdict(&mut memory, Run::Running, Health::Healthy, Traffic::Healthy, NOW).state, State::Healthy);
    }

    #[test]
    fn a_container_s_own_final_no_ends_the_patience_at_once() {
        let mut memory = Memory::default();
        let failed = verdict(&mut memory, Run::Running, Health::Unhealthy, Traffic::NoBalancer, NOW);
        assert_eq!((failed.state, failed.give_up_at, failed.shown), (State::Starting, Some(NOW), CopyState::Unhealthy));
    }

    #[test]
    fn one_that_was_healthy_gets_new_patience_each_time_it_falls_ill() {
        let mut memory = Memory::default();
        verdict(&mut memory, Run::Running, Health::None, Traffic::Healthy, NOW);
        let ill = |at: Timestamp, memory: &mut Memory| {
            verdict(memory, Run::Running, Health::None, Traffic::Unhealthy("no answer".into()), at)
        };
        let first = ill(NOW.plus_ms(5), &mut memory);
        assert_eq!((first.state, first.give_up_at), (State::Unhealthy, Some(NOW.plus_ms(10_005))));
        verdict(&mut memory, Run::Running, Health::None, Traffic::Healthy, NOW.plus_ms(50));
        assert_eq!(ill(NOW.plus_ms(70), &mut memory).give_up_at, Some(NOW.plus_ms(10_070)));
    }

    #[test]
    fn what_was_found_running_is_adopted_until_its_health_is_known() {
        let mut memory = Memory { adopted: true, ..Memory::default() };
        let found = verdict(&mut memory, Run::Running, Health::None, Traffic::Unknown(None), NOW);
        assert_eq!(found.state, State::Adopted);
        assert_eq!(verdict(&mut memory, Run::Ended, Health::None, Traffic::NoBalancer, NOW).state, State::Ended);
        assert_eq!(verdict(&mut memory, Run::Created, Health::None, Traffic::NoBalancer, NOW).state, State::HalfMade);
    }
}
