//! Repositories that mirror another registry, and what an upstream can do to them.

mod blobs;
mod faults;
mod kept;
mod rules;
mod sign_in;
mod tags;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use layer0_domain::port::clock::Clock as _;
use layer0_registry::{MirrorSettings, Patience};
use layer0_testkit::clock::{FixedClock, RunningClock};

use self::upstream::FakeUpstream;
use crate::client::Client;
use crate::common::{Doors, Ground, TestRegistry};

/// How long a test's upstream may be silent.
const SOON: Duration = Duration::from_millis(300);

/// A registry with `team/app`, and with mirrors.
struct Stage {
    registry: TestRegistry,
    client: Client,
    clock: Arc<FixedClock>,
}

impl Stage {
    async fn with(mirrors: Vec<MirrorSettings>) -> Self {
        let clock = Arc::new(FixedClock::at(RunningClock::default().now()));
        let mut ground = Ground::new(clock.clone()).with_repositories(&["team/app"]).await;
        ground.mirrors = mirrors;
        let registry = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
        let client = Client::of(&registry);
        Self { registry, client, clock }
    }

    /// One that mirrors this upstream as `hub`.
    async fn of(upstream: &FakeUpstream) -> Self {
        Self::with(vec![upstream.mirror("hub")]).await
    }

    /// The same, with little patience.
    async fn hasty(upstream: &FakeUpstream) -> Self {
        let mirror = upstream.mirror("hub");
        Self::with(vec![MirrorSettings { patience: Patience { answer: SOON, idle: SOON }, ..mirror }]).await
    }
}
