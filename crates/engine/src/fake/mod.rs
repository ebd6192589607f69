//! An engine that lives in memory: a product, not a mock. `l0 server --engine fake` runs the whole of Layer0 on it without
//! a container in sight, and tests of everything above the port run on it unmodified.
//!
//! - [`FakeEngine`] is a handle; clones are the same handle. The containers live in a world behind it, which a restart of
//!   the server does not touch: [`FakeEngine::restart_view`] is what the next server gets.
//! - Time comes from the [`Clock`] that it is made with. Nothing runs in the background; what is due happens when somebody
//!   looks. At a clock that stands still, [`FakeEngine::advance`] lets time pass.
//! - Behaviour is data: [`Behaviour`] by image, environment variables in the task definition (see [`behaviour`]), [`Pace`]
//!   for how long things take, [`Fault`] for calls that fail. What the pull check meets on AWS can be tried by the names of
//!   images of ECR (see `aws.rs`), or set whole with [`FakeEngine::set_pull_evidence`].
//! - [`FakePolicies`] stands in for the policies of ECR, for account grants.
//! - No bytes flow: the listeners of load balancers hold their ports against each other, but nobody can connect to them,
//!   and `dependsOn`, mounts and limits mean nothing.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::CopyId;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::engine::CopyState;
use layer0_domain::port::pull::PullEvidence;
use layer0_domain::port::trail::{TrailGap, TrailRecord};
use tokio::sync::watch;

mod aws;
pub mod behaviour;
mod copy;
mod engine;
mod fault;
mod hold;
mod load_balancer;
mod logs;
mod policies;
mod service;
mod task;
mod world;

pub use behaviour::{Behaviour, Ends, Pace, StartFault};
pub use fault::{Fault, Op};
pub use hold::Hold;
pub use policies::{FakePolicies, PolicyFault, PolicyOp, PolicyPace, PolicyWrite};

use hold::Holds;
use world::State;

/// A handle to a fake engine. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct FakeEngine {
    world: Arc<World>,
    view: u64,
    /// The version of the world that `changed` told of last.
    told: Arc<AtomicU64>,
    /// Calls of this handle that wait for a test.
    holds: Holds,
}

/// What outlives the handles.
struct World {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    /// The version of the state, for those who wait for a change.
    version: watch::Sender<u64>,
    frozen: watch::Sender<bool>,
    /// How often a server told it to stop.
    stops: AtomicU64,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the world as it is now, or changes it; wakes those who wait for a change when there was one.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let clock: Timestamp = self.clock.now();
        let (answer, version) = {
            let mut state = self.lock();
            state.settle(clock);
            let answer = act(&mut state);
            state.settle(clock);
            (answer, state.version)
        };
        self.version.send_if_modified(|known| {
            let newer = version > *known;
            *known = version.max(*known);
            newer
        });
        answer
    }
}

impl FakeEngine {
    /// A new world with nothing in it, in which all is done at once.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_pace(clock, Pace::at_once())
    }

    /// A new world with nothing in it.
    #[must_use]
    pub fn with_pace(clock: Arc<dyn Clock>, pace: Pace) -> Self {
        let state = Mutex::new(State::new(clock.now(), pace));
        let world = World {
            state,
            clock,
            version: watch::Sender::new(0),
            frozen: watch::Sender::new(false),
            stops: AtomicU64::new(0),
        };
        Self { world: Arc::new(world), view: 0, told: Arc::default(), holds: Holds::default() }
    }

    /// The handle that the next server gets: it was told of nothing, the containers run on. The verbs of older handles
    /// fail as unavailable from now on, as their server is gone; their scripting methods still work.
    #[must_use]
    pub fn restart_view(&self) -> Self {
        let view = self.world.with(|state| {
            state.forget();
            state.view
        });
        Self { world: Arc::clone(&self.world), view, told: Arc::default(), holds: Holds::default() }
    }

    /// The handle of another server that lives at the same time and works on the same containers.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self { world: Arc::clone(&self.world), view: self.view, told: Arc::default(), holds: Holds::default() }
    }

    /// Sets how long things take from now on.
    pub fn set_pace(&self, pace: Pace) {
        self.world.with(|state| state.pace = pace);
    }

    /// Lets time pass that the clock does not know of.
    pub fn advance(&self, by: Duration) {
        self.world.with(|state| {
            let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            state.ahead_ms = state.ahead_ms.saturating_add(ms);
        });
        self.world.with(|_| ());
    }

    /// How containers behave that are started from now on with an image whose `host/path` is `prefix` or begins with its
    /// path components. `host/path:tag` is a prefix of that tag alone. The longest prefix wins.
    pub fn set_image_behaviour(&self, prefix: &str, behaviour: Behaviour) {
        self.world.with(|state| state.behaviours.set(prefix, behaviour));
    }

    /// What is found out from now on about images whose `host/path`, or `host/path:tag`, is `prefix`, whatever is asked.
    pub fn set_pull_evidence(&self, prefix: &str, evidence: PullEvidence) {
        self.world.with(|state| state.evidence.insert(prefix.to_owned(), evidence));
    }

    /// Lets the platform have written down something, about something of ours or about nothing in particular.
    pub fn trail_write(&self, about: Option<EntityRef>, record: TrailRecord) {
        self.world.with(|state| state.trail.push((about, record)));
    }

    /// What the platform's records are said to lack from now on.
    pub fn set_trail_gap(&self, gap: Option<TrailGap>) {
        self.world.with(|state| state.trail_gap = gap);
    }

    /// Lets the next call of `op` for which nothing else was scripted go wrong.
    pub fn fail_next(&self, op: Op, fault: Fault) {
        self.world.lock().faults.fail_next(op, fault);
    }

    /// Lets the call after `n` others, whichever verbs they are, go wrong. For trying each step of a workflow in turn.
    pub fn fail_nth(&self, n: u64, fault: Fault) {
        self.world.lock().faults.fail_nth(n, fault);
    }

    /// Takes back the faults that have not come yet.
    pub fn clear_faults(&self) {
        self.world.lock().faults.clear();
    }

    /// Lets every removal of an entity end in vain for this reason; `None` takes that back.
    pub fn hinder(&self, entity: &EntityRef, why: Option<&str>) {
        self.world.with(|state| match why {
            Some(why) => drop(state.hindered.insert(entity.clone(), why.to_owned())),
            None => drop(state.hindered.remove(entity)),
        });
    }

    /// From now on all calls hang, until [`unfreeze`](Self::unfreeze).
    pub fn freeze(&self) {
        self.world.frozen.send_replace(true);
    }

    /// How often a server that was about to end told it to stop.
    #[must_use]
    pub fn stops(&self) -> u64 {
        self.world.stops.load(Ordering::Relaxed)
    }

    /// Lets the calls that hang since [`freeze`](Self::freeze) go on.
    pub fn unfreeze(&self) {
        self.world.frozen.send_replace(false);
    }

    /// Whether the engine answers. Containers run on when it does not.
    pub fn set_available(&self, available: bool) {
        self.world.with(|state| {
            state.available = available;
            state.version += 1;
        });
    }

    /// Lets a service's copy end by itself with an exit code. Whether there was such a copy, running.
    #[must_use]
    pub fn crash_copy(&self, copy: &CopyId, exit_code: i64) -> bool {
        self.world.with(|state| state.service_copy_crash(copy, exit_code))
    }

    /// Lets the health check of a service's running copy fail from now on; it is replaced when that lasts. Whether there
    /// was such a copy.
    #[must_use]
    pub fn sicken_copy(&self, copy: &CopyId) -> bool {
        self.world.with(|state| state.service_copy_health(copy, CopyState::Unhealthy))
    }

    /// Lets the health check of a service's running copy pass from now on. Whether there was such a copy.
    #[must_use]
    pub fn heal_copy(&self, copy: &CopyId) -> bool {
        self.world.with(|state| state.service_copy_health(copy, CopyState::Healthy))
    }

    /// How often a verb was called in this world, through whichever handle, calls that failed included.
    #[must_use]
    pub fn calls(&self, op: Op) -> u64 {
        self.world.lock().faults.calls(op)
    }

    /// How often a call of a verb has come to its end in this world, with an answer or an error.
    #[must_use]
    pub fn answers(&self, op: Op) -> u64 {
        self.world.lock().faults.answers(op)
    }

    /// Holds back the next call of `op` that comes through this handle, before it does anything, until it is let go.
    #[must_use]
    pub fn hold_next(&self, op: Op) -> Hold {
        self.holds.next(op)
    }

    /// How often any verb was called in this world.
    #[must_use]
    pub fn calls_total(&self) -> u64 {
        self.world.lock().faults.total()
    }

    fn last_told(&self) -> u64 {
        self.told.load(Ordering::Acquire)
    }
}
