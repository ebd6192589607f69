//! What happened in an environment or in the instance: the events of operations, the audit log, and what the platform under
//! the engine wrote down by itself, as one log in the order of time.
//!
//! Whoever may see an environment may read its log; so addresses and tokens of callers are in the instance's log alone, which is
//! for admins. Parameters of calls are in neither.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use axum::Json;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use layer0_api::types as wire;
use layer0_domain::model::audit::{AuditEntry, AuditFilter};
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::LogQuery;
use layer0_domain::port::store::{OperationLog, OperationLogLine, StoreExt};
use layer0_domain::port::trail::{Trail, TrailAbout, TrailGap, TrailQuery, TrailRecord};
use tokio::sync::mpsc::Sender;

use crate::app::App;
use crate::error::ApiError;
use crate::text_time::rfc3339;

/// The name of the one file.
const FILE: &str = "events";

/// The most lines of an answer.
const LINES_MAX: u32 = 5_000;

/// How often a follower looks for what is new.
const LOOK: Duration = Duration::from_millis(500);

/// How long an event of an operation may be on its way into the store: a follower looks back as far.
const LATE_MS: i64 = 10_000;

/// How often a follower asks a platform far away, which shows nothing sooner than after some minutes, and bears few questions.
const TRAIL_LOOK: Duration = Duration::from_secs(30);

/// How long the platform's records may be on their way: CloudTrail shows most calls within five minutes, and promises nothing
/// ("How CloudTrail works").
const TRAIL_LATE_MS: i64 = 20 * 60 * 1000;

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

/// One line, and when that happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Line {
    at: Timestamp,
    text: String,
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
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    let follower = Follower::new(app.clone(), about, query, sender);
    let stop = app.stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = follower.run(found) => {}
            () = ended => {}
            () = stop.wait() => {}
        }
    });
    let events = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|event| (Ok::<_, axum::Error>(event), receiver))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
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

/// The newest lines of all that was found, the oldest first, below what is to be said about the log itself.
fn shown(about: &About, found: &Found, query: &LogQuery) -> Vec<String> {
    let most = most(query) as usize;
    let mut lines: Vec<Line> = found.operations.iter().map(operation_line).collect();
    lines.extend(found.audit.iter().map(|entry| audit_line(about, entry)));
    lines.extend(found.trail.records.iter().map(trail_line));
    // Stable: what came of a request stands behind it within a millisecond.
    lines.sort_by_key(|line| line.at);
    let too_many = lines.len().saturating_sub(most);
    lines.drain(..too_many);

    let mut all = Vec::with_capacity(lines.len() + 2);
    let oldest = lines.first().map(|line| line.at);
    // What is older than all that is shown is not missed by whoever asked for the newest lines.
    let is_missed = |than: Timestamp| lines.len() < most || oldest.is_none_or(|oldest| oldest < than);
    all.extend(match &found.trail.gap {
        Some(TrailGap::Older { than }) if !is_missed(*than) => None,
        gap => gap.as_ref().map(gap_line),
    });
    if too_many > 0 && query.tail.is_none_or(|tail| tail > LINES_MAX) {
        all.push("[layer0: older events are left out; `--start` and `--end` choose]".to_owned());
    }
    all.extend(lines.into_iter().map(text));
    all
}

/// A line as it is printed: one line, whatever is in it.
fn text(line: Line) -> String {
    let text: String = line.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{} {text}", rfc3339(line.at))
}

fn gap_line(gap: &TrailGap) -> String {
    match gap {
        TrailGap::Unreadable { why } => format!("[layer0: {why}]"),
        TrailGap::Older { than } => {
            format!(
                "[layer0: records of the platform are read back to {} only; `--start` and `--end` choose]",
                rfc3339(*than)
            )
        }
    }
}

fn operation_line(it: &OperationLogLine) -> Line {
    let (kind, name) = (it.entity.kind(), &it.entity_name);
    Line { at: it.at, text: format!("{} {kind} `{name}`: {}", it.verb, it.message) }
}

fn audit_line(about: &About, AuditEntry { record, .. }: &AuditEntry) -> Line {
    let from = match about {
        About::Instance if !record.from.is_empty() => format!(" from {}", record.from),
        _ => String::new(),
    };
    let (who, action, target) = (&record.who, &record.action, &record.target);
    let space = if target.is_empty() { "" } else { " " };
    Line { at: record.at, text: format!("audit: {who}{from}: {action}{space}{target} ({})", record.status) }
}

fn trail_line(it: &TrailRecord) -> Line {
    let TrailRecord { at, source, who, action, target, refused, .. } = it;
    let space = if target.is_empty() { "" } else { " " };
    let refused = refused.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    Line { at: *at, text: format!("{source}: {who}: {action}{space}{target}{refused}") }
}

/// The reader is gone.
struct Gone;

/// Somebody who reads on.
struct Follower {
    app: App,
    about: About,
    query: LogQuery,
    sender: Sender<Event>,
    /// The sequence of the last audit record seen.
    audited: u64,
    /// Lines of operations from `operations_from` on that were seen, and how often.
    operations: HashMap<Line, usize>,
    operations_from: Option<Timestamp>,
    /// What stands or stood in the environment, as far as this follower saw it.
    members: BTreeSet<EntityRef>,
    /// Records of the platform that were seen.
    trail: HashSet<String>,
    gap: Option<TrailGap>,
}

impl Follower {
    fn new(app: App, about: About, query: LogQuery, sender: Sender<Event>) -> Self {
        Self {
            app,
            about,
            query,
            sender,
            audited: 0,
            operations: HashMap::new(),
            operations_from: None,
            members: BTreeSet::new(),
            trail: HashSet::new(),
            gap: None,
        }
    }

    /// Sends what was found and then what comes, until nothing can come any more.
    async fn run(mut self, found: Found) -> Result<(), Gone> {
        for line in shown(&self.about, &found, &self.query) {
            self.send(line).await?;
        }
        if self.query.end.is_some() {
            return Ok(());
        }
        // All of it was seen, what the tail left out included.
        self.new_of(&found);
        self.gap = found.trail.gap;
        let every = if self.app.engine.capabilities().is_remote { TRAIL_LOOK } else { LOOK };
        let mut trail_due = tokio::time::Instant::now() + every;
        let mut is_last = false;
        while !is_last {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = self.sender.closed() => return Err(Gone),
            }
            // Looked at before the last look, so that the end of an environment is still told.
            is_last = self.is_over().await;
            let asks_trail = tokio::time::Instant::now() >= trail_due;
            // A store that is away for a moment ends nothing: the next look finds what this one would have.
            let Ok(found) = self.look(asks_trail).await else { continue };
            if asks_trail {
                trail_due = tokio::time::Instant::now() + every;
            }
            let gap = found.trail.gap.clone();
            let mut lines = self.new_of(&found);
            lines.sort_by_key(|line| line.at);
            if asks_trail && let Some(news) = self.gap_news(gap) {
                self.send(news).await?;
            }
            for line in lines {
                self.send(text(line)).await?;
            }
        }
        Ok(())
    }

    /// Whether nothing can come any more: the environment is gone.
    async fn is_over(&self) -> bool {
        match &self.about {
            About::Instance => false,
            About::Environment(id) => matches!(self.app.store.environment_get(id).await, Ok(None)),
        }
    }

    async fn look(&self, asks_trail: bool) -> Result<Found, ApiError> {
        let (app, environment, most) = (&self.app, self.about.environment(), LINES_MAX);
        let log = OperationLog { environment: environment.clone(), start: self.operations_from, end: None, most };
        let operations = app.store.operation_log(&log).await?;
        let filter = AuditFilter { environment, after: Some(self.audited), most, ..AuditFilter::default() };
        let audit = app.access.audit_list(&filter).await?;
        let trail = if asks_trail {
            let from = app.clock.now().plus_ms(-TRAIL_LATE_MS);
            let from = self.query.start.map_or(from, |start| from.max(start));
            trail(app, &self.about, self.members.clone(), (Some(from), None), most).await?
        } else {
            Trail::default()
        };
        Ok(Found { operations, audit, trail })
    }

    /// What is to be said about what may be missing: once, not with every look.
    fn gap_news(&mut self, gap: Option<TrailGap>) -> Option<String> {
        let is_older = |gap: &Option<TrailGap>| matches!(gap, Some(TrailGap::Older { .. }));
        let is_known = gap == self.gap || is_older(&gap) && is_older(&self.gap);
        self.gap = gap;
        self.gap.as_ref().filter(|_| !is_known).map(gap_line)
    }

    /// The lines that were not seen before; notes them as seen.
    fn new_of(&mut self, found: &Found) -> Vec<Line> {
        let mut new = Vec::new();
        self.members.extend(found.operations.iter().map(|line| line.entity.clone()));
        let mut seen: HashMap<Line, usize> = HashMap::new();
        for line in found.operations.iter().map(operation_line) {
            let count = seen.entry(line.clone()).or_default();
            *count += 1;
            if *count > self.operations.get(&line).copied().unwrap_or(0) {
                new.push(line);
            }
        }
        if let Some(newest) = found.operations.iter().map(|line| line.at).max() {
            let from = newest.plus_ms(-LATE_MS);
            self.operations_from = Some(self.operations_from.map_or(from, |before| before.max(from)));
            seen.retain(|line, _| Some(line.at) >= self.operations_from);
            self.operations = seen;
        }
        for entry in &found.audit {
            self.audited = self.audited.max(entry.sequence);
            new.push(audit_line(&self.about, entry));
        }
        for record in &found.trail.records {
            if self.trail.insert(record.id.clone()) {
                new.push(trail_line(record));
            }
        }
        new
    }

    async fn send(&self, line: String) -> Result<(), Gone> {
        let line = wire::LogLine { container_name: FILE.to_owned(), line };
        let event = Event::default().event("line").json_data(line).map_err(|_| Gone)?;
        self.sender.send(event).await.map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests;
