//! Logs: the streams of one service or task, told apart by what their names begin with.
//!
//! A stream is called `l0/<entity>/<container>/<ecs task>`, so that one prefix finds all streams of an entity, those of past
//! deployments and stopped copies included, and none of anybody else.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::LogLine;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{EngineError, LogQuery, LogStream};

use super::aws::{AwsError, LogEvent, Span, Stream};
use super::names::Names;
use super::state::Shared;

/// How often a follower asks for more.
const POLL: Duration = Duration::from_secs(2);

/// CloudWatch shows events up to some seconds after they were written; a follower looks back this far, and leaves out what
/// it had already.
const LATE_MS: i64 = 10_000;

/// How often a follower of a task looks once more after its end.
const LAST_LOOKS: u32 = 2;

/// Streams whose newest lines are looked for: each takes a call of its own. A service that was rolled out for years has had
/// thousands of copies.
const STREAMS_MAX: usize = 40;

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
    let Some(most) = query.tail else { return whole(shared, place, span).await };
    let (events, left_out) = newest(shared, &place, span, most).await?;
    let lines: Vec<_> = events.into_iter().map(|event| line(&place, event)).collect();
    Ok(stream::iter(left_out_line(left_out).into_iter().chain(lines).map(Ok).collect::<Vec<_>>()).boxed())
}

/// A whole log, page by page as it is read: it may be longer than anybody wants to hold.
async fn whole(shared: &Arc<Shared>, place: Place, span: Span) -> Result<LogStream, EngineError> {
    let (first, next) = shared.aws.log_page(&place.group, &place.prefix, span, None).await?;
    let lines = |place: &Place, events: Vec<LogEvent>| -> Vec<Result<LogLine, EngineError>> {
        events.into_iter().map(|event| Ok(line(place, event))).collect()
    };
    let first = lines(&place, first);
    let shared = shared.clone();
    let rest = stream::unfold((next, place), move |(token, place)| {
        let shared = shared.clone();
        async move {
            match shared.aws.log_page(&place.group, &place.prefix, span, Some(token?)).await {
                Ok((events, next)) => Some((lines(&place, events), (next, place))),
                Err(error) => Some((vec![Err(error.into())], (None, place))),
            }
        }
    });
    Ok(stream::iter(first).chain(rest.flat_map(stream::iter)).boxed())
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

/// The newest lines of each container, in order of time, and how many older streams were not looked at.
async fn newest(shared: &Shared, place: &Place, span: Span, most: u32) -> Result<(Vec<LogEvent>, usize), AwsError> {
    if most == 0 {
        return Ok((vec![], 0));
    }
    let streams = shared.aws.log_streams(&place.group, &place.prefix).await?.unwrap_or_default();
    let (streams, left_out) = latest(streams, span);
    let mut events = Vec::new();
    for stream in streams {
        events.extend(shared.aws.log_newest(&place.group, &stream.name, span, most).await?);
    }
    // Stable: events of one stream keep their order within a millisecond.
    events.sort_by_key(|event| event.at);
    Ok((events, left_out))
}

/// The streams that were written to last, and how many others there are. One that was made after the span has nothing in it.
fn latest(mut streams: Vec<Stream>, span: Span) -> (Vec<Stream>, usize) {
    streams.retain(|stream| span.end.is_none_or(|end| stream.made.is_none_or(|made| made <= end)));
    streams.sort_by_key(|stream| std::cmp::Reverse(stream.last.max(stream.made)));
    let left_out = streams.len().saturating_sub(STREAMS_MAX);
    streams.truncate(STREAMS_MAX);
    (streams, left_out)
}

/// What says that there is more.
fn left_out_line(streams: usize) -> Option<LogLine> {
    let line = format!("[layer0: {streams} older streams are left out; without `--tail` all are read]");
    (streams > 0).then(|| LogLine { container: "layer0".to_owned(), line })
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
            Some(most) if most > 0 => return self.first_look(most).await,
            // Nothing of what there is, but all that comes.
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

    /// The newest lines of each container, and what was written while they were looked for. The rest of the log, which may be
    /// long, is not read.
    async fn first_look(&mut self, most: u32) -> Result<Vec<LogLine>, AwsError> {
        let span = Span { start: self.from, end: None };
        let (mut shown, left_out) = newest(&self.shared, &self.place, span, most).await?;
        let back = shown.last().map(|event| event.at.plus_ms(-LATE_MS));
        let recent = all(&self.shared, &self.place, Span { start: self.from.max(back), end: None }).await?;
        self.remember(&recent);
        shown.extend(since(&shown, recent));
        shown.sort_by_key(|event| event.at);
        let lines = shown.into_iter().map(|event| line(&self.place, event));
        Ok(left_out_line(left_out).into_iter().chain(lines).collect())
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

/// Those of the recent events that came after what was shown, by stream. `GetLogEvents` gives no ids, so equal lines of the same
/// moment are counted.
fn since(shown: &[LogEvent], mut recent: Vec<LogEvent>) -> Vec<LogEvent> {
    let key = |event: &LogEvent| (event.stream.clone(), event.at, event.line.clone());
    let mut had: HashMap<(String, Timestamp, String), usize> = HashMap::new();
    let mut newest: HashMap<&str, Timestamp> = HashMap::new();
    for event in shown {
        *had.entry(key(event)).or_default() += 1;
        let at = newest.entry(&event.stream).or_insert(event.at);
        *at = event.at.max(*at);
    }
    recent.retain(|event| match had.get_mut(&key(event)).filter(|left| **left > 0) {
        Some(left) => {
            *left -= 1;
            false
        }
        None => newest.get(event.stream.as_str()).is_none_or(|at| event.at >= *at),
    });
    recent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(stream: &str, at: i64, line: &str) -> LogEvent {
        LogEvent { id: String::new(), stream: stream.to_owned(), at: Timestamp(at), line: line.to_owned() }
    }

    #[test]
    fn what_came_meanwhile_is_shown_once() {
        let shown = [event("a", 10, "x"), event("a", 12, "y"), event("a", 12, "y")];
        let recent = vec![
            event("a", 9, "older, beyond the tail"),
            event("a", 10, "x"),
            event("a", 12, "y"),
            event("a", 12, "y"),
            event("a", 12, "y"),
            event("a", 13, "z"),
            event("b", 9, "another stream"),
        ];
        let found = since(&shown, recent);
        let lines: Vec<&str> = found.iter().map(|event| event.line.as_str()).collect();
        assert_eq!(lines, ["y", "z", "another stream"]);
    }

    #[test]
    fn the_latest_streams_are_those_that_were_made_or_written_to_last() {
        let stream = |name: &str, made: i64, last: Option<i64>| Stream {
            name: name.to_owned(),
            made: Some(Timestamp(made)),
            last: last.map(Timestamp),
        };
        let mut streams: Vec<_> = (0..50).map(|at| stream("old", at, Some(at + 1))).collect();
        streams.insert(7, stream("new", 1_000, None));
        streams.insert(3, stream("long lived", 1, Some(900)));
        let (kept, left_out) = latest(streams.clone(), Span::default());
        assert_eq!((kept.len(), left_out), (STREAMS_MAX, 12));
        assert_eq!([kept[0].name.as_str(), kept[1].name.as_str()], ["new", "long lived"]);
        let (kept, _) = latest(streams, Span { start: None, end: Some(Timestamp(20)) });
        assert!(kept.iter().all(|stream| stream.name != "new"), "it was made later");
    }
}
