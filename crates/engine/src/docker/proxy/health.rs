//! Probing one target, for as long as it is a target.
//!
//! ```text
//! Initial --one success--> Healthy <--healthy_threshold successes in a row-- Unhealthy
//!    \                        \--unhealthy_threshold failures in a row--------^
//!     \--no success for interval * unhealthy_threshold-----------------------/
//! ```
//! A new target needs one success only, as AWS has it ("after your target is registered, it must pass one health check to be
//! considered healthy": Elastic Load Balancing user guide, "Health checks for Application Load Balancer target groups"). One that
//! was never healthy keeps that right after it counted as unhealthy. Other than there, nothing is sent to unhealthy targets when
//! all are unhealthy: an answer that names the trouble helps more here.
//!
//! Where nothing is known, probes come quickly: at once, then after 50 ms, growing to the interval or a second. That is so for a new
//! target, and from the moment a request could not connect until it is healthy again, so that a copy that died is out in about 50 ms
//! and a blip does not cost a whole interval. A target with a verdict is probed at the interval.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::header;
use http::uri::{PathAndQuery, Uri};
use http_body_util::{Either, Empty};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::info;

use super::balancer::{Balancer, Settings, TargetState};
use super::config::{HealthCheckKind, TargetHealth};
use super::upstream::{self, RequestBody, Upstream};

/// Between the first two quick probes, and the least between any two.
const QUICK_FIRST: Duration = Duration::from_millis(50);

/// The most between two quick probes.
const QUICK_LAST: Duration = Duration::from_secs(1);

/// Probes until aborted. Runs on the control thread.
pub(super) async fn watch(balancer: Arc<Balancer>, target: Arc<TargetState>) {
    let mut record = Record::new();
    loop {
        if target.is_draining() {
            target.probe_now.notified().await;
            continue;
        }
        let begun = Instant::now();
        let settings = balancer.settings.load_full();
        let outcome = probe(&settings, &target).await;
        let (was, failure) = (record.health.clone(), outcome.as_ref().err().cloned());
        let pause = record.note(outcome, &settings);
        if was != record.health {
            info!(load_balancer.id = %balancer.id, target.id = %target.id, "target {} is {}", target.id, in_words(&record.health));
        }
        balancer.verdict(&target, record.health.clone(), failure);
        tokio::select! {
            () = sleep_until(begun + pause) => {}
            () = target.probe_now.notified() => {
                record.quick = true;
                sleep_until(begun + QUICK_FIRST).await;
            }
        }
    }
}

fn in_words(health: &TargetHealth) -> String {
    match health {
        TargetHealth::Initial => "starting".to_owned(),
        TargetHealth::Healthy => "healthy".to_owned(),
        TargetHealth::Unhealthy { reason } => format!("unhealthy: {reason}"),
    }
}

/// What past probes add up to.
struct Record {
    health: TargetHealth,
    since: Instant,
    ever_healthy: bool,
    in_a_row: u32,
    last_passed: bool,
    quick: bool,
    quick_pause: Duration,
}

impl Record {
    fn new() -> Self {
        Self {
            health: TargetHealth::Initial,
            since: Instant::now(),
            ever_healthy: false,
            in_a_row: 0,
            last_passed: false,
            quick: true,
            quick_pause: QUICK_FIRST,
        }
    }

    /// Counts an outcome and says how long after the begin of this probe the next one comes.
    fn note(&mut self, outcome: Result<(), String>, settings: &Settings) -> Duration {
        let check = &settings.health_check;
        let passed = outcome.is_ok();
        self.in_a_row = if passed == self.last_passed { self.in_a_row.saturating_add(1) } else { 1 };
        self.last_passed = passed;
        match (&self.health, outcome) {
            (TargetHealth::Healthy, Ok(())) => self.quick = false,
            (_, Ok(())) => {
                if !self.ever_healthy || self.in_a_row >= check.healthy_threshold {
                    self.health = TargetHealth::Healthy;
                    self.ever_healthy = true;
                    self.quick = false;
                }
            }
            (TargetHealth::Healthy, Err(reason)) => {
                if self.in_a_row >= check.unhealthy_threshold {
                    self.health = TargetHealth::Unhealthy { reason };
                }
            }
            (TargetHealth::Initial, Err(reason)) => {
                if self.since.elapsed() >= check.interval.saturating_mul(check.unhealthy_threshold) {
                    self.health = TargetHealth::Unhealthy { reason };
                }
            }
            (TargetHealth::Unhealthy { .. }, Err(reason)) => self.health = TargetHealth::Unhealthy { reason },
        }
        if !self.quick {
            self.quick_pause = QUICK_FIRST;
            return check.interval.max(QUICK_FIRST);
        }
        let pause = self.quick_pause;
        let most = check.interval.clamp(QUICK_FIRST, QUICK_LAST);
        self.quick_pause = if passed { QUICK_FIRST } else { (pause * 2).min(most) };
        pause.min(most)
    }
}

/// One probe; the error is for people.
async fn probe(settings: &Settings, target: &TargetState) -> Result<(), String> {
    let limit = settings.health_check.timeout;
    let outcome = timeout(limit, ask(settings, target)).await;
    outcome.unwrap_or_else(|_| Err(format!("no answer from {} within {limit:?}", target.address(settings.health_port))))
}

async fn ask(settings: &Settings, target: &TargetState) -> Result<(), String> {
    let address = target.address(settings.health_port);
    let unreachable = |error: io::Error| match error.kind() {
        ErrorKind::ConnectionRefused => format!("{address} refuses connections"),
        _ => format!("cannot connect to {address}: {error}"),
    };
    let HealthCheckKind::Http { path } = &settings.health_check.kind else {
        return upstream::connect(address).await.map(drop).map_err(unreachable);
    };
    let request = request(path, address).map_err(|error| format!("cannot ask for {path}: {error}"))?;
    let mut upstream = Upstream::connect(address).await.map_err(unreachable)?;
    match upstream.send(request, settings.health_check.timeout, Instant::now()).await {
        Ok(answer) if (200..400).contains(&answer.status().as_u16()) => Ok(()),
        Ok(answer) => Err(format!("GET {path} on {address} answers {}, not 200 to 399", answer.status().as_u16())),
        Err(failure) => Err(format!("GET {path} on {address}: {}", failure.error)),
    }
}

fn request(path: &str, address: SocketAddr) -> http::Result<Request<RequestBody>> {
    Request::get(Uri::from(PathAndQuery::try_from(path)?))
        .header(header::HOST, address.to_string())
        .header(header::USER_AGENT, "layer0-health-check")
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Either::Right(Empty::new()))
}
