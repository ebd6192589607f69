//! What containers write. Lines are worked out when somebody reads them, out of when the container was started and how it
//! ended: nothing is stored, and a million quiet containers cost nothing.

use std::collections::HashMap;

use layer0_domain::model::failure::LogLine;
use layer0_domain::model::id::CopyId;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::LogQuery;

use super::behaviour::{Ends, Script};
use super::copy::{Copy, End};
use super::world::{Owner, State};

/// How often a container that serves writes a line.
pub(super) const BEAT_MS: u64 = 10_000;

/// The lines of one container, by number.
struct Lines<'a> {
    script: &'a Script,
    started: Timestamp,
    end: Option<&'a End>,
    now: Timestamp,
}

impl Lines<'_> {
    fn opening(&self) -> u64 {
        if self.script.behaviour.log.is_empty() { 2 } else { self.script.behaviour.log.len() as u64 }
    }

    /// Lines that come with time; a container whose lines are scripted writes nothing else.
    fn beats(&self) -> u64 {
        if !self.script.behaviour.log.is_empty() {
            return 0;
        }
        self.end.map_or(self.now, |end| end.at).ms_since(self.started) / BEAT_MS
    }

    fn count(&self) -> u64 {
        let says_farewell = self.end.is_some() && self.script.behaviour.log.is_empty();
        self.opening() + self.beats() + u64::from(says_farewell)
    }

    fn line(&self, number: u64) -> (Timestamp, String) {
        if let Some(line) = usize::try_from(number).ok().and_then(|at| self.script.behaviour.log.get(at)) {
            return (self.started, line.clone());
        }
        let beat = (number + 1).saturating_sub(self.opening());
        match (number, self.end) {
            (0, _) => (self.started, format!("starting {}", self.script.image)),
            (1, _) if matches!(self.script.behaviour.ends, Ends::With { .. }) => (self.started, "working".to_owned()),
            (1, _) => (self.started, "ready, waiting for requests".to_owned()),
            (_, Some(end)) if beat > self.beats() => {
                let code = end.exit_code.map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
                (end.at, format!("ended with {code}"))
            }
            _ => {
                let at = self.started.plus_ms(i64::try_from(beat * BEAT_MS).unwrap_or(i64::MAX));
                (at, format!("{} requests answered, 0 failed", beat * 7))
            }
        }
    }
}

/// How the lines of a container are labelled.
fn label(copy: &Copy, script: &Script) -> String {
    if copy.named_in_logs { format!("{}/{}", script.name, copy.id) } else { script.name.clone() }
}

/// How far a reader has come: lines read, by copy and number of the container.
pub(super) type Cursor = HashMap<(CopyId, usize), u64>;

/// The lines of a copy that `cursor` has not seen, with when they were written.
fn read(copy: &Copy, query: &LogQuery, now: Timestamp, cursor: &mut Cursor, into: &mut Vec<(Timestamp, LogLine)>) {
    let Some(started) = copy.started else { return };
    for (at, (script, end)) in copy.program.containers.iter().zip(&copy.ends).enumerate() {
        let lines = Lines { script, started, end: end.as_ref(), now };
        let count = lines.count();
        let in_time = |(at, _): &(Timestamp, String)| {
            query.start.is_none_or(|start| *at >= start) && query.end.is_none_or(|end| *at <= end)
        };
        let place = (copy.id.clone(), at);
        let container = label(copy, script);
        let first_read = !cursor.contains_key(&place);
        let from = cursor.insert(place, count).unwrap_or(0);
        let mut fresh: Vec<_> = match query.tail.filter(|_| first_read) {
            Some(tail) => {
                let mut newest: Vec<_> =
                    (from..count).rev().map(|n| lines.line(n)).filter(in_time).take(tail as usize).collect();
                newest.reverse();
                newest
            }
            None => (from..count).map(|n| lines.line(n)).filter(in_time).collect(),
        };
        into.extend(fresh.drain(..).map(|(at, line)| (at, LogLine { container: container.clone(), line })));
    }
}

/// The newest lines of a copy.
pub(super) fn tail_of(copy: &Copy, now: Timestamp, tail: u32) -> Vec<LogLine> {
    let query = LogQuery { tail: Some(tail), ..LogQuery::default() };
    let mut lines = Vec::new();
    read(copy, &query, now, &mut Cursor::new(), &mut lines);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// What a reader finds.
pub(super) struct Batch {
    pub(super) lines: Vec<LogLine>,
    /// Whether nothing will ever come after these.
    pub(super) is_last: bool,
}

impl State {
    /// The lines that `cursor` has not seen, in the order in which they were written. `None` when there is nothing that
    /// could have a log.
    pub(super) fn log_read(&self, of: &Owner, query: &LogQuery, cursor: &mut Cursor) -> Option<Batch> {
        let mut lines = Vec::new();
        let is_last = match of {
            Owner::Service(id) => {
                let service = self.services.get(id)?;
                for copy in service.ended.iter().chain(service.copies.values()) {
                    read(copy, query, self.now, cursor, &mut lines);
                }
                false
            }
            Owner::Task(id) => {
                let task = self.tasks.get(id)?;
                for copy in task.copies.values() {
                    read(copy, query, self.now, cursor, &mut lines);
                }
                task.has_ended()
            }
        };
        lines.sort_by_key(|(at, _)| *at);
        Some(Batch { lines: lines.into_iter().map(|(_, line)| line).collect(), is_last: is_last || !query.follow })
    }
}
