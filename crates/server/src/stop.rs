//! The wish to stop, told to everyone who waits for something.
//!
//! ```text
//! running ── leave() ──> leaving ── ask() ──> stopping
//!                        /health says 503,     no new connection, streams end, operations are
//!                        all else goes on      parked, requests may end within the grace, which hurry() ends
//! ```

use std::time::Duration;

use tokio::sync::watch;

/// How a stop goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StopTimes {
    /// How long everything goes on after the stop was asked for, so that a load balancer sees `/health` and sends others here
    /// no more.
    pub(crate) delay: Duration,
    /// How long requests that run may take to end after that.
    pub(crate) grace: Duration,
}

impl Default for StopTimes {
    /// As on one machine: nobody has to notice anything.
    fn default() -> Self {
        Self { delay: Duration::ZERO, grace: Duration::from_secs(10) }
    }
}

/// How far a stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Leaving,
    Stopping,
    Hurrying,
}

/// Told once, heard by all clones, also by those who ask later.
#[derive(Clone)]
pub(crate) struct Stop {
    sender: std::sync::Arc<watch::Sender<Phase>>,
    /// How it goes.
    pub(crate) times: StopTimes,
}

impl Stop {
    /// Nobody has asked to stop.
    pub(crate) fn new(times: StopTimes) -> Self {
        Self { sender: std::sync::Arc::new(watch::Sender::new(Phase::Running)), times }
    }

    /// Says that a stop is to come.
    pub(crate) fn leave(&self) {
        self.reach(Phase::Leaving);
    }

    /// Asks everyone to stop.
    pub(crate) fn ask(&self) {
        self.reach(Phase::Stopping);
    }

    /// Lets nobody wait any longer for what runs.
    pub(crate) fn hurry(&self) {
        self.reach(Phase::Hurrying);
    }

    /// No phase comes back.
    fn reach(&self, phase: Phase) {
        self.sender.send_modify(|now| *now = phase.max(*now));
    }

    /// Whether a stop is to come, or was asked for.
    pub(crate) fn is_leaving(&self) -> bool {
        *self.sender.borrow() >= Phase::Leaving
    }

    /// Whether someone has asked.
    pub(crate) fn asked(&self) -> bool {
        *self.sender.borrow() >= Phase::Stopping
    }

    /// Returns when someone asks.
    pub(crate) async fn wait(&self) {
        self.reached(Phase::Stopping).await;
    }

    /// Returns when the grace is over: so long after someone asks, or when someone is in a hurry.
    pub(crate) async fn grace_over(&self) {
        self.wait().await;
        tokio::select! {
            () = tokio::time::sleep(self.times.grace) => {}
            () = self.hurried() => {}
        }
    }

    /// Returns when someone is in a hurry.
    pub(crate) async fn hurried(&self) {
        self.reached(Phase::Hurrying).await;
    }

    async fn reached(&self, wanted: Phase) {
        let mut receiver = self.sender.subscribe();
        // The sender lives as long as `self`, so this ends only by the value.
        let _ = receiver.wait_for(|phase| *phase >= wanted).await;
    }
}
