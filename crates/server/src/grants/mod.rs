//! Account grants made true: the loop that carries out what was asked for, and mends what came undone.
//!
//! ```text
//! asked for: a row in the store, `spreading` ──nudge──> a look at the repositories that it is about
//!                                                        each: read, compute, write where it differs
//!                                                        the row: `settled`, `incomplete`, `refused`, or gone
//! every so often ─────────────────────────────────────> a look at all repositories
//! ```
//!
//! The rows are all that is remembered: a server that is killed in the middle leaves them `spreading`, and whoever comes next
//! begins the look anew, which writes only what is not right yet. Many rows share one look. Where several servers share a
//! store, the one that holds the lease does it.

mod keeper;
mod paced;
mod pass;
mod preview;
#[cfg(test)]
mod tests;
mod unknown;

use std::sync::Arc;
use std::time::Duration;

use layer0_domain::port::repository_policies::RepositoryPolicies;
use tokio::time::Instant;
use tracing::warn;

use crate::app::App;
use crate::reconcile::{Nudge, Outcome, with_lease};

pub(crate) use keeper::{Keeper, Look, LookError, Looked, Mending};
pub(crate) use paced::PolicyRates;
pub(crate) use preview::{Preview, PreviewChange};

/// The lease of whoever writes policies.
const LEASE: &str = "account-grants";

/// How long to wait after a look that came to nothing: the list could not be read, or the store not be written.
const RETRY: Duration = Duration::from_secs(15);

/// Where the policies are that grants are written into.
#[derive(Clone)]
pub(crate) struct PolicyPlace {
    /// The policies.
    pub(crate) policies: Arc<dyn RepositoryPolicies>,
    /// The region of the registry.
    pub(crate) region: String,
    /// How fast they are read and written.
    pub(crate) rates: PolicyRates,
}

/// Account grants in a server.
pub(crate) struct Grants {
    /// What writes them down in ECR; `None` on an instance that has none.
    pub(crate) keeper: Option<Arc<Keeper>>,
    /// From the end of one look at everything to the next.
    pub(crate) every: Duration,
    /// What is done about what such a look finds.
    pub(crate) mending: Mending,
    /// Wakes the loop.
    pub(crate) asked: Nudge,
}

/// The policy of what is made in ECR, as part of its making.
#[cfg(feature = "aws")]
pub(crate) struct MadeWithPolicy(pub(crate) Arc<Keeper>);

#[cfg(feature = "aws")]
#[async_trait::async_trait]
impl layer0_registry::ecr::Furnish for MadeWithPolicy {
    async fn furnish(
        &self,
        repository: &layer0_domain::model::image::RepositoryName,
        _ecr_name: &str,
    ) -> Result<(), layer0_domain::port::BoxError> {
        let made = self.0.repository_made(repository).await;
        made.map_err(|why| {
            format!("the repository is there, and its policy is not what the account grants say: {why}").into()
        })
    }
}

/// Runs until the app stops.
pub(crate) async fn run(app: App) {
    let Some(keeper) = &app.grants.keeper else { return };
    while !app.stop.asked() {
        let pause = tokio::select! {
            outcome = with_lease(&app, LEASE, rounds(&app, keeper)) => match outcome {
                Outcome::Done(()) => return,
                Outcome::Elsewhere(again) => again,
                Outcome::Lost => Duration::ZERO,
            },
            // Where it stands: each step may be repeated, and the rows say what is left.
            () = app.stop.wait() => return,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = app.stop.wait() => {}
        }
    }
}

/// Looks at what was asked for as it comes, and at everything from time to time.
async fn rounds(app: &App, keeper: &Keeper) {
    let mut asked = app.grants.asked.listen();
    let mut next_all = Instant::now();
    let alone = app.store.version().is_some();
    loop {
        asked.mark_unchanged();
        let outcome = match keeper.look(Look::Asked).await {
            Ok(Looked::Nothing) if Instant::now() >= next_all => {
                let outcome = keeper.look(Look::All(app.grants.mending)).await;
                next_all = Instant::now() + app.grants.every;
                outcome
            }
            outcome => outcome,
        };
        let pause = match outcome {
            // What was asked for meanwhile.
            Ok(Looked::Through) => continue,
            // What another server was asked for wakes nobody here.
            Ok(Looked::Nothing) if !alone => app.leases.times.renewal,
            Ok(Looked::Nothing) => next_all.saturating_duration_since(Instant::now()),
            Err(why) => {
                warn!(error = crate::error::chain(&why), "account grants could not be carried out; trying on");
                RETRY
            }
        };
        tokio::select! {
            _ = asked.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
