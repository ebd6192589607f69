//! Account grants made true: the loop that carries out what was asked for, and mends what came undone.
//!
//! ```text
//! asked for: a row in the store, `spreading` ──nudge──> a look at the repositories that it is about
//!                                                        each: read, compute, write where it differs
//!                                                        the row: `settled`, `incomplete`, `refused`, or gone
//! every so often ─────────────────────────────────────> a look at all documents
//! another strategy ───────────────────────────────────> rounds over the new documents, then over the old ones ([`strategy`])
//! ```
//!
//! The rows are all that is remembered: a server that is killed in the middle leaves them `spreading`, and whoever comes next
//! begins the look anew, which writes only what is not right yet. Many rows share one look. Where several servers share a
//! store, the one that holds the lease does it.

mod arrival;
mod configured;
mod document;
mod keeper;
mod paced;
mod pass;
mod preview;
#[cfg(any(feature = "aws", test))]
mod registries;
mod report;
mod strategy;
#[cfg(test)]
mod tests;
mod unknown;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use layer0_domain::model::grant::{GrantStrategy, Grantee};
use layer0_domain::plan::grants::RegistryNames;
use layer0_domain::port::registry_policy::RegistryPolicy;
use layer0_domain::port::repository_policies::RepositoryPolicies;
use tokio::time::Instant;
use tracing::warn;

use crate::app::App;
use crate::reconcile::{Nudge, Outcome, in_turns, unless_stopped, with_lease};

pub(crate) use keeper::{Keeper, Look, LookError, Looked, Mending};
pub(crate) use paced::PolicyRates;
pub(crate) use preview::{Preview, PreviewChange};
#[cfg(feature = "aws")]
pub(crate) use registries::with_registry_policy;
pub(crate) use strategy::Changed;

/// The lease of whoever writes policies.
const LEASE: &str = "account-grants";

/// How long to wait after a look that came to nothing: the list could not be read, or the store not be written.
const RETRY: Duration = Duration::from_secs(15);

/// How long to wait before a change of strategy is gone on with that something keeps from it.
const CHANGE_RETRY: Duration = Duration::from_secs(60);

/// Where the policies are that grants are written into.
#[derive(Clone)]
pub(crate) struct PolicyPlace {
    /// The policies of its repositories.
    pub(crate) policies: Arc<dyn RepositoryPolicies>,
    /// That of the registry itself; where there are several, of the one that `names` describes.
    pub(crate) registry_policy: Arc<dyn RegistryPolicy>,
    /// Whose it is, where, and what repositories are called in its policy.
    pub(crate) names: RegistryNames,
    /// How fast they are read and written.
    pub(crate) rates: PolicyRates,
    /// The only strategy that there can be; `None` for any.
    pub(crate) only: Option<GrantStrategy>,
}

impl PolicyPlace {
    /// Of one that has both.
    pub(crate) fn new<P: RepositoryPolicies + RegistryPolicy + 'static>(
        policies: Arc<P>,
        names: RegistryNames,
        rates: PolicyRates,
    ) -> Self {
        Self { policies: policies.clone(), registry_policy: policies, names, rates, only: None }
    }
}

/// Account grants in a server.
pub(crate) struct Grants {
    /// What writes them down in ECR; `None` on an instance that has none.
    pub(crate) keeper: Option<Arc<Keeper>>,
    /// The strategy that this server was started with, or the only one that there can be; `None` for whichever holds.
    pub(crate) strategy: Option<GrantStrategy>,
    /// Whom the configuration lets in; `None` where it says nothing of that.
    pub(crate) to: Option<BTreeSet<Grantee>>,
    /// From the end of one look at everything to the next.
    pub(crate) every: Duration,
    /// What is done about what such a look finds.
    pub(crate) mending: Mending,
    /// Wakes the loop.
    pub(crate) asked: Nudge,
}

/// The policy of what is made in ECR, or comes to lie there, as part of that.
#[cfg(feature = "aws")]
pub(crate) struct MadeWithPolicy(pub(crate) Arc<Keeper>);

#[cfg(feature = "aws")]
#[async_trait::async_trait]
impl layer0_registry::ecr::Furnish for MadeWithPolicy {
    async fn furnish(
        &self,
        repository: &layer0_domain::model::image::RepositoryName,
        _ecr_name: &str,
        origin: layer0_registry::Origin,
    ) -> Result<(), layer0_domain::port::BoxError> {
        let came = self.0.repository_came(repository, origin).await;
        came.map_err(|why| {
            format!("the repository is there, and its policy is not what the account grants say: {why}").into()
        })
    }
}

/// Runs until the app stops.
pub(crate) async fn run(app: App) {
    let Some(keeper) = &app.grants.keeper else { return };
    // Whoever holds the lease carries out what all ask for.
    in_turns(&app, || wished(&app, keeper)).await;
    in_turns(&app, || asked(&app)).await;
    // Where it stands when it stops: each step may be repeated, and the rows say what is left.
    in_turns(&app, || with_lease(&app, LEASE, unless_stopped(&app, rounds(&app, keeper)))).await;
}

/// Notes the strategy that this server was started with.
async fn wished(app: &App, keeper: &Keeper) -> Outcome<()> {
    let Some(strategy) = app.grants.strategy else { return Outcome::Done(()) };
    match unless_stopped(app, keeper.wish(strategy)).await {
        Some(Ok(())) | None => Outcome::Done(()),
        Some(Err(why)) => {
            warn!(error = crate::error::chain(&why), "the strategy of account grants can't be kept; trying on");
            Outcome::Elsewhere(RETRY)
        }
    }
}

/// Asks for the grants of the configuration.
async fn asked(app: &App) -> Outcome<()> {
    let Some(to) = &app.grants.to else { return Outcome::Done(()) };
    match unless_stopped(app, configured::ask(app, to)).await {
        Some(Ok(())) | None => Outcome::Done(()),
        Some(Err(why)) => {
            warn!(
                error = crate::error::chain(&*why),
                "the configuration's account grants can't be asked for; trying on"
            );
            Outcome::Elsewhere(RETRY)
        }
    }
}

/// When what is looked at from time to time is due.
struct Due {
    all: Instant,
    change: Instant,
}

/// Looks at what was asked for as it comes, goes on with a change of strategy, and looks at everything from time to time.
async fn rounds(app: &App, keeper: &Keeper) {
    let mut asked = app.grants.asked.listen();
    let mut due = Due { all: Instant::now(), change: Instant::now() };
    loop {
        asked.mark_unchanged();
        let pause = match round(app, keeper, &mut due).await {
            Ok(None) => continue,
            Ok(Some(pause)) => pause,
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

/// One thing after the other; `None` when there may be more at once, else how long there is nothing.
async fn round(app: &App, keeper: &Keeper, due: &mut Due) -> Result<Option<Duration>, LookError> {
    if keeper.look(Look::Asked).await? == Looked::Through {
        return Ok(None);
    }
    let now = Instant::now();
    let mut next = due.all;
    if now < due.change {
        next = next.min(due.change);
    } else {
        match keeper.change().await? {
            Changed::Nothing => {}
            Changed::On => return Ok(None),
            Changed::Waits => {
                due.change = Instant::now() + CHANGE_RETRY;
                next = next.min(due.change);
            }
        }
    }
    if now >= due.all {
        // Where the rest is only reported, what was asked for is carried out all the same.
        let mut looked = match app.grants.mending {
            Mending::Mend => Ok(Looked::Nothing),
            Mending::ReportOnly => keeper.look(Look::Left).await,
        };
        if looked.is_ok() {
            looked = keeper.look(Look::All(app.grants.mending)).await;
        }
        due.all = Instant::now() + app.grants.every;
        return looked.map(|_| None);
    }
    // What another server was asked for wakes nobody here.
    let alone = app.store.version().is_some();
    let pause = next.saturating_duration_since(Instant::now());
    Ok(Some(if alone { pause } else { pause.min(app.leases.times.renewal) }))
}
