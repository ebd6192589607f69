//! Moving repositories from one backing to another: the loop that does what was asked for.
//!
//! ```text
//! asked for: a row in the store ──nudge──> a mover copies, pass after pass, until nothing is left to do
//!                                          the repository is closed for writes, one more pass, and the row says where it lies
//! ```
//!
//! The row is all that is remembered: a server that is killed in the middle leaves it as it is, and whoever comes next looks at
//! both ends and goes on. Where several servers share a store, the one that holds the lease does it.

mod mover;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use layer0_domain::model::home::Home;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::home_store::HomeStore as _;
use layer0_registry::{BEHIND_MAX, Homes, Writers};
use tokio::time::Instant;
use tracing::warn;

pub(crate) use mover::{Mover, Went};

use crate::app::App;
use crate::reconcile::{Nudge, in_turns, unless_stopped, with_lease};

/// The lease of whoever moves repositories.
const LEASE: &str = "repository-migrations";

/// How many are moved side by side.
const AT_ONCE: usize = 3;

/// How long to wait before a move is tried again that could not go on.
const RETRY: Duration = Duration::from_secs(15);

/// How often is looked for what was asked for, though nobody nudged.
const LOOK: Duration = Duration::from_secs(300);

/// How long the parts of a move take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MigrationTimes {
    /// From the moment that a row says that a repository is on the move until all servers know: then it may be closed.
    pub(crate) known: Duration,
    /// For how long a repository is closed for writes at most.
    pub(crate) closed: Duration,
    /// From the moment that the new backing answers until the old images go: pulls that have begun come to their end.
    pub(crate) ending: Duration,
    /// How often whoever watches is told how far it is.
    pub(crate) tell: Duration,
}

impl Default for MigrationTimes {
    fn default() -> Self {
        Self {
            known: BEHIND_MAX + Duration::from_secs(1),
            closed: Duration::from_secs(25),
            ending: Duration::from_secs(60),
            tell: Duration::from_secs(2),
        }
    }
}

/// Moves of repositories in a server.
pub(crate) struct Migrations {
    /// Where repositories lie that were moved.
    pub(crate) homes: Arc<Homes>,
    /// How long things take.
    pub(crate) times: MigrationTimes,
    /// Wakes the loop.
    pub(crate) asked: Nudge,
}

/// Runs until the app stops.
pub(crate) async fn run(app: App) {
    // Where it stands: each step may be repeated, and the rows say what is left.
    in_turns(&app, || with_lease(&app, LEASE, unless_stopped(&app, rounds(&app)))).await;
}

type Going<'a> = FuturesUnordered<BoxFuture<'a, (RepositoryName, Went)>>;

/// Takes up what was asked for, some at once, for ever.
async fn rounds(app: &App) {
    let homes = app.migrations.homes.as_ref();
    let mut asked = app.migrations.asked.listen();
    let mut going: Going<'_> = FuturesUnordered::new();
    let mut busy: BTreeSet<RepositoryName> = BTreeSet::new();
    let mut resting: BTreeMap<RepositoryName, Instant> = BTreeMap::new();
    loop {
        asked.mark_unchanged();
        let rows = homes.home_list().await.unwrap_or_else(|why| {
            warn!(error = crate::error::chain(&why), "it can't be read which repositories are to be moved; trying on");
            Vec::new()
        });
        resting.retain(|_, until| *until > Instant::now());
        for row in rows.into_iter().filter(|row| row.migration.stage.is_running()) {
            let name = row.repository.clone();
            if going.len() < AT_ONCE && !resting.contains_key(&name) && busy.insert(name) {
                going.push(one(app, row).boxed());
            }
        }
        // What another server was asked for wakes nobody here.
        let alone = homes.writers() == Writers::Alone;
        let pause = match resting.values().min() {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None if alone => LOOK,
            None => app.leases.times.renewal,
        };
        tokio::select! {
            Some((name, went)) = going.next() => {
                busy.remove(&name);
                if went == Went::Later {
                    resting.insert(name, Instant::now() + RETRY);
                }
            }
            _ = asked.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn one(app: &App, row: Home) -> (RepositoryName, Went) {
    let name = row.repository.clone();
    let mover = Mover {
        places: app,
        homes: app.migrations.homes.as_ref(),
        clock: app.clock.as_ref(),
        nudge: &app.nudge,
        times: app.migrations.times,
        home: row,
    };
    (name, mover.go_on().await)
}
