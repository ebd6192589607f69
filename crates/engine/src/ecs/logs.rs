//! Logs: the streams of one service or task, told apart by what their names begin with.
//!
//! A stream is called `l0/<entity>/<container>/<ecs task>`, so that one prefix finds all streams of an entity, those of past
//! deployments and stopped copies included, and none of anybody else.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::LogLine;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{EngineError, LogQuery, LogStream};

use super::aws::{AwsError, LogEvent, Span};
use super::names::Names;
use super::state::Shared;

/// How often a follower asks for more.
const POLL: Duration = Duration::from_secs(2);

/// CloudWatch shows events up to some seconds after they were written; a follower looks back this far, and leaves out what
/// it had already.
const LATE_MS: i64 = 10_000;

/// How often a follower of a task looks once more after its end.
const LAST_LOOKS: u32 = 2;

/// Where the log of an entity is.
#[derive(Debug, Clone)]
struct Place {
    group: String,
    prefix: String,
}

/// Reads a log.
pub(super) async fn read(shared: &Arc<Shared>, of: &EntityRef, query: LogQuery) -> Result<LogStream, EngineError> {
    let missing = || EngineError::Missing { entity: of.clone() };
    let Some(place) = shared.log_place(of).await? else { return Err(missing()) };
    let span = Span { start: query.start, end: query.end };
    if query.follow && query.end.is_none() {
        let follower = Follower::new(shared.clone(), of.clone(), place, query);
        return Ok(stream::unfold(Some(follower), |follower| async move { follower?.next().await })
            .flat_map(stream::iter)
            .boxed());
    }
    let events = match query.tail {
        Some(most) => newest(shared, &place, span, most).await?,
        None => all(shared, &place, span).await?,
    };
    let lines: Vec<_> = events.into_iter().map(|event| Ok(line(&place, event))).collect();
    Ok(stream::iter(lines).boxed())
}

impl Shared {
    /// Where the log of an entity is; `None` for one that the engine has nothing of.
    async fn log_place(&self, of: &EntityRef) -> Result<Option<Place>, AwsError> {
        let told = {
            let state = self.state();
            match of {
                EntityRef::Service(id) => {
                    state.services.get(id).and_then(|it| it.spec.as_ref()).map(|spec| spec.environment.clone())
                }
                EntityRef::Task(id) => {
                    state.tasks.get(id).and_then(|it| it.spec.as_ref()).map(|spec| spec.environment.clone())
                }
                EntityRef::Deploy(_) | EntityRef::Environment(_) | EntityRef::LoadBalancer(_) => return Ok(None),
            }
        };
        let prefix = Names::streams(of.id());
        if let Some(environment) = told {
            return Ok(Some(Place { group: self.names.environment(&environment), prefix }));
        }
        for group in self.clusters().await? {
            if self.aws.log_streams(&group, &prefix).await?.is_some_and(|streams| !streams.is_empty()) {
                return Ok(Some(Place { group, prefix }));
            }
        }
        Ok(None)
    }
}

/// `l0/<entity>/<container>/<ecs task>` as `<container>/<ecs task>`.
fn line(place: &Place, event: LogEvent) -> LogLine {
    let container = event.stream.strip_prefix(&place.prefix).unwrap_or(&event.stream).to_owned();
    LogLine { container, line: event.line }
}

/// The newest lines of each container, in order of time.
async fn newest(shared: &Shared, place: &Place, span: Span, most: u32) -> Result<Vec<LogEvent>, AwsError> {
    if most == 0 {
        return Ok(vec![]);
    }
    let streams = shared.aws.log_streams(&place.group, &place.prefix).await?.unwrap_or_default();
    let mut events = Vec::new();
    for stream in streams {
        events.extend(shared.aws.log_newest(&place.group, &stream.name, span, most).await?);
    }
    // Stable: events of one stream keep their order within a millisecond.
    events.sort_by_key(|event| event.at);
    Ok(events)
}

async fn all(shared: &Shared, place: &Place, span: Span) -> Result<Vec<LogEvent>, AwsError> {
    let mut events = Vec::new();
    let mut token = None;
    loop {
        let (page, next) = shared.aws.log_page(&place.group, &place.prefix, span, token).await?;
        events.extend(page);
        token = next;
        if token.is_none() {
            return Ok(events);
        }
    }
}

/// Somebody who reads a log as it is written.
struct Follower {
    shared: Arc<Shared>,
    of: EntityRef,
    place: Place,
    tail: Option<u32>,
    from: Option<Timestamp>,
    /// Events that were handed out, in the order of their time; those that may come again.
    had: VecDeque<(Timestamp, String)>,
    is_first: bool,
    looks_after_end: u32,
}

impl Follower {
    fn new(shared: Arc<Shared>, of: EntityRef, place: Place, query: LogQuery) -> Self {
        let (tail, from) = (query.tail, query.start);
        Self { shared, of, place, tail, from, had: VecDeque::new(), is_first: true, looks_after_end: 0 }
    }

    /// Waits for the next lines; `None` when there will be none. The follower comes back while there may be more.
    async fn next(mut self) -> Option<(Vec<Result<LogLine, EngineError>>, Option<Self>)> {
        loop {
            if !self.is_first {
                tokio::time::sleep(self.shared.config.look_busy.min(POLL)).await;
            }
            let ended = self.has_ended();
            let lines = match self.look().await {
                Ok(lines) => lines,
                Err(error) if error.retryable() => continue,
                Err(error) => return Some((vec![Err(error.into())], None)),
            };
            self.looks_after_end = if ended { self.looks_after_end + 1 } else { 0 };
            let is_last = self.looks_after_end > LAST_LOOKS;
            if is_last || !lines.is_empty() {
                let lines = lines.into_iter().map(Ok).collect();
                return Some((lines, (!is_last).then_some(self)));
            }
        }
    }

    /// Whether what is followed writes nothing more: a task whose copies have ended, or what was taken away.
    fn has_ended(&self) -> bool {
        let state = self.shared.state();
        match &self.of {
            EntityRef::Task(id) => state.tasks.get(id).is_none_or(|task| !task.is_busy()),
            EntityRef::Service(id) => state.services.get(id).is_none_or(|service| service.spec.is_none()),
            EntityRef::Deploy(_) | EntityRef::Environment(_) | EntityRef::LoadBalancer(_) => true,
        }
    }

    async fn look(&mut self) -> Result<Vec<LogLine>, AwsError> {
        let span = Span { start: self.from, end: None };
        let first = std::mem::take(&mut self.is_first);
        let events = match self.tail.filter(|_| first) {
            Some(most) => {
                let events = all(&self.shared, &self.place, span).await?;
                let kept = last_of_each(&events, most);
                self.remember(&events);
                return Ok(kept.into_iter().map(|event| line(&self.place, event)).collect());
            }
            None => all(&self.shared, &self.place, span).await?,
        };
        let had: HashSet<&str> = self.had.iter().map(|(_, id)| id.as_str()).collect();
        let new: Vec<LogEvent> = events.into_iter().filter(|event| !had.contains(event.id.as_str())).collect();
        self.remember(&new);
        Ok(new.into_iter().map(|event| line(&self.place, event)).collect())
    }

    /// Notes what was handed out, forgets what can't come again, and moves on in time.
    fn remember(&mut self, events: &[LogEvent]) {
        self.had.extend(events.iter().map(|event| (event.at, event.id.clone())));
        if let Some(newest) = self.had.iter().map(|(at, _)| *at).max() {
            let back = newest.plus_ms(-LATE_MS);
            self.from = Some(self.from.map_or(back, |from| from.max(back)));
            self.had.retain(|(at, _)| *at >= back);
        }
    }
}

fn last_of_each(events: &[LogEvent], most: u32) -> Vec<LogEvent> {
    let mut left: BTreeMap<&str, u32> = BTreeMap::new();
    for event in events {
        *left.entry(event.stream.as_str()).or_default() += 1;
    }
    let mut kept = Vec::new();
    for event in events {
        let count = left.get_mut(event.stream.as_str()).expect("each stream was counted");
        if *count <= most {
            kept.push(event.clone());
        }
        *count -= 1;
    }
    kept
}
