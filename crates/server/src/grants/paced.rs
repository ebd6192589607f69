//! Policies at a pace: so many calls a second, and what failed for a moment is tried again.
//!
//! ECR publishes no quota for calls about policies ("Amazon ECR service quotas"), so how fast they go is a careful guess that
//! a setting multiplies. Reads and writes have a pace each. When ECR asks to slow down all the same, everybody waits, not only
//! whoever was told.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::registry_policy::{PolicyScope, RegistryPolicy};
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPage, RepositoryPolicies};
use tokio::time::Instant;

/// How often a call is tried that is asked to slow down.
const THROTTLED_TRIES: u32 = 20;

/// How often a call is tried that is not answered. The SDK's own tries come before.
const UNANSWERED_TRIES: u32 = 3;

/// How long to wait after a call that was not answered; twice as long after the next.
const UNANSWERED_PAUSE: Duration = Duration::from_millis(500);

/// Calls a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct PolicyRates {
    /// That read: pages of repositories, and policies.
    pub(crate) reads: f64,
    /// That write or delete policies.
    pub(crate) writes: f64,
}

impl Default for PolicyRates {
    fn default() -> Self {
        Self { reads: 20.0, writes: 10.0 }
    }
}

impl PolicyRates {
    /// So many times as fast.
    pub(crate) fn times(self, times: f64) -> Self {
        Self { reads: self.reads * times, writes: self.writes * times }
    }
}

/// Passes calls on, each in its turn.
pub(crate) struct Paced {
    inner: Arc<dyn RepositoryPolicies>,
    registry: Arc<dyn RegistryPolicy>,
    reads: Turns,
    writes: Turns,
}

impl Paced {
    pub(crate) fn new(
        inner: Arc<dyn RepositoryPolicies>,
        registry: Arc<dyn RegistryPolicy>,
        rates: PolicyRates,
    ) -> Self {
        Self { inner, registry, reads: Turns::new(rates.reads), writes: Turns::new(rates.writes) }
    }
}

/// One turn after another, evenly spaced: a burst after a quiet time would run into whatever limit there is.
struct Turns {
    apart: Duration,
    next: Mutex<Instant>,
}

impl Turns {
    fn new(per_second: f64) -> Self {
        Self { apart: Duration::from_secs_f64(per_second.recip()), next: Mutex::new(Instant::now()) }
    }

    /// Waits for a turn. Served in the order in which they asked.
    async fn turn(&self) {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*next).max(Instant::now());
            *next = at + self.apart;
            at
        };
        tokio::time::sleep_until(at).await;
    }

    /// Nobody has a turn for so long.
    fn hold(&self, pause: Duration) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = (*next).max(Instant::now() + pause);
    }

    /// Makes a call in its turn, and again where that may help.
    async fn call<T, F: Future<Output = Result<T, PolicyError>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<T, PolicyError> {
        let (mut throttled, mut unanswered) = (0, 0);
        loop {
            self.turn().await;
            match call().await {
                Err(PolicyError::Throttled { after }) if throttled + 1 < THROTTLED_TRIES => {
                    throttled += 1;
                    self.hold(after);
                }
                Err(PolicyError::Unavailable { .. }) if unanswered + 1 < UNANSWERED_TRIES => {
                    unanswered += 1;
                    tokio::time::sleep(UNANSWERED_PAUSE * unanswered).await;
                }
                answer => return answer,
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RepositoryPolicies for Paced {
    async fn repository_page(&self, next: Option<&str>) -> Result<RepositoryPage, PolicyError> {
        self.reads.call(|| self.inner.repository_page(next)).await
    }

    async fn policy_read(&self, repository: &RepositoryName) -> Result<Option<String>, PolicyError> {
        self.reads.call(|| self.inner.policy_read(repository)).await
    }

    async fn policy_write(&self, repository: &RepositoryName, text: &str) -> Result<(), PolicyError> {
        self.writes.call(|| self.inner.policy_write(repository, text)).await
    }

    async fn policy_delete(&self, repository: &RepositoryName) -> Result<(), PolicyError> {
        self.writes.call(|| self.inner.policy_delete(repository)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl RegistryPolicy for Paced {
    async fn registry_policy_scope(&self) -> Result<PolicyScope, PolicyError> {
        self.reads.call(|| self.registry.registry_policy_scope()).await
    }

    async fn registry_policy_read(&self) -> Result<Option<String>, PolicyError> {
        self.reads.call(|| self.registry.registry_policy_read()).await
    }

    async fn registry_policy_write(&self, text: &str) -> Result<(), PolicyError> {
        self.writes.call(|| self.registry.registry_policy_write(text)).await
    }

    async fn registry_policy_delete(&self) -> Result<(), PolicyError> {
        self.writes.call(|| self.registry.registry_policy_delete()).await
    }
}
