//! What happened in an environment or in the instance: the events of operations, the audit log, and what the platform under
//! the engine wrote down by itself, as one log in the order of time.
//!
//! Whoever may see an environment may read its log; so addresses and tokens of callers are in the instance's log alone, which is
//! for admins. Parameters of calls are in neither.

use std::collections::BTreeSet;

use axum::Json;
use axum::response::{IntoResponse, Response};
use layer0_api::types as wire;
use layer0_domain::model::audit::{AuditEntry, AuditFilter};
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::LogQuery;
use layer0_domain::port::store::{OperationLog, OperationLogLine, StoreExt};
use layer0_domain::port::trail::{Trail, TrailAbout, TrailGap, TrailQuery};

use super::events;
use crate::app::App;
use crate::error::ApiError;

mod follow;
mod lines;
#[cfg(test)]
mod tests;

use follow::Follower;
use lines::shown;

/// The name of the one file.
const FILE: &str = "events";

/// The most lines of an answer.
const LINES_MAX: u32 = 5_000;

/// What a log is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// The instance.
    Instance,
    /// An environment, and what stands in it.
    Environment(EnvironmentId),
}

impl About {
    fn environment(&self) -> Option<EnvironmentId> {
        match self {
            About::Instance => None,
            About::Environment(id) => Some(id.clone()),
        }
    }
}

/// What was found, each kind the oldest first.
#[derive(Debug, Default)]
struct Found {
    operations: Vec<OperationLogLine>,
    audit: Vec<AuditEntry>,
    trail: Trail,
}

/// The log as it is now.
pub(super) async fn answer(app: &App, about: About, query: &LogQuery) -> Result<Response, ApiError> {
    let found = find(app, &about, query).await?;
    Ok(Json(vec![wire::LogFile { container_name: FILE.to_owned(), lines: shown(&about, &found, query) }])
        .into_response())
}

/// The log, and then what comes, until `ended`.
pub(super) async fn followed(
    app: &App,
    about: About,
    query: LogQuery,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Result<Response, ApiError> {
    let found = find(app, &about, &query).await?;
    let (app, stop) = (app.clone(), app.stop.clone());
    Ok(events::answer(ended, |sender| async move {
        tokio::select! {
            _ = Follower::new(app, about, query, sender).run(found) => {}
            () = stop.wait() => {}
        }
    }))
}

/// How many lines are shown of a log.
fn most(query: &LogQuery) -> u32 {
    query.tail.map_or(LINES_MAX, |tail| tail.min(LINES_MAX))
}

async fn find(app: &App, about: &About, query: &LogQuery) -> Result<Found, ApiError> {
    let (start, end, environment) = (query.start, query.end, about.environment());
    // One more than is shown, to know whether there are more.
    let most = most(query) + 1;
    let log = OperationLog { environment: environment.clone(), start, end, most };
    let operations = app.store.operation_log(&log).await?;
    let filter = AuditFilter { environment, start, end, most, ..AuditFilter::default() };
    let audit = app.access.audit_list(&filter).await?;
    let members = operations.iter().map(|line| line.entity.clone()).collect();
    let trail = trail(app, about, members, (start, end), most).await?;
    Ok(Found { operations, audit, trail })
}

/// What the platform wrote down. That it can't be asked takes nothing from the rest of the log.
async fn trail(
    app: &App,
    about: &About,
    mut members: BTreeSet<EntityRef>,
    (start, end): (Option<Timestamp>, Option<Timestamp>),
    most: u32,
) -> Result<Trail, ApiError> {
    let (about, start) = match about {
        About::Instance => (TrailAbout::Instance, start),
        About::Environment(id) => {
            let environment = EntityRef::Environment(id.clone());
            members.extend(app.store.entity_holders(&environment).await?.into_iter().map(|holder| holder.entity));
            // Nothing was done to it before it was made: the platform need not look further back.
            let made = app.store.environment_get(id).await?.map(|environment| environment.created);
            let members = members.into_iter().collect();
            (TrailAbout::Environment { id: id.clone(), members }, start.max(made))
        }
    };
    let answer = app.engine.trail(&TrailQuery { about, start, end, most }).await;
    Ok(answer.unwrap_or_else(|why| {
        let why = format!("what the platform wrote down could not be read: {why}");
        Trail { records: Vec::new(), gap: Some(TrailGap::Unreadable { why }) }
    }))
}
