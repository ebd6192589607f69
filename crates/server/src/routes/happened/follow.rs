//! Somebody who reads on: what comes after the log that was found.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use axum::response::sse::Event;
use layer0_api::types as wire;
use layer0_domain::model::audit::AuditFilter;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::LogQuery;
use layer0_domain::port::store::{OperationLog, StoreExt};
use layer0_domain::port::trail::{Trail, TrailGap};
use tokio::sync::mpsc::Sender;

use super::lines::{Line, audit_line, gap_line, operation_line, shown, text, trail_line};
use super::{About, FILE, Found, LINES_MAX, trail};
use crate::app::App;
use crate::error::ApiError;

/// How often a follower looks for what is new.
const LOOK: Duration = Duration::from_millis(500);

/// How long an event of an operation may be on its way into the store: a follower looks back as far.
const LATE_MS: i64 = 10_000;

/// How often a follower asks a platform far away, which shows nothing sooner than after some minutes, and bears few questions.
const TRAIL_LOOK: Duration = Duration::from_secs(30);

/// How long the platform's records may be on their way: CloudTrail shows most calls within five minutes, and promises nothing
/// ("How CloudTrail works").
const TRAIL_LATE_MS: i64 = 20 * 60 * 1000;

/// The reader is gone.
pub(super) struct Gone;

/// Somebody who reads on.
pub(super) struct Follower {
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
    pub(super) fn new(app: App, about: About, query: LogQuery, sender: Sender<Event>) -> Self {
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
    pub(super) async fn run(mut self, found: Found) -> Result<(), Gone> {
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
    pub(super) fn gap_news(&mut self, gap: Option<TrailGap>) -> Option<String> {
        let is_older = |gap: &Option<TrailGap>| matches!(gap, Some(TrailGap::Older { .. }));
        let is_known = gap == self.gap || is_older(&gap) && is_older(&self.gap);
        self.gap = gap;
        self.gap.as_ref().filter(|_| !is_known).map(gap_line)
    }

    /// The lines that were not seen before; notes them as seen.
    pub(super) fn new_of(&mut self, found: &Found) -> Vec<Line> {
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
