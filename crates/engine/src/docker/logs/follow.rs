//! Following the log of an entity: all copies, those that come later too, across a loss of Docker.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use layer0_domain::model::failure::LogLine;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{EngineError, LogQuery, LogStream};
use tokio::sync::mpsc;

use super::{StampedStream, open, shown_name};
use crate::docker::Shared;
use crate::docker::client::Link;
use crate::docker::containers::copy::{Stage, stage};
use crate::docker::labels::OwnerKind;
use crate::docker::stamp;
use crate::docker::world::{Container, Run};

/// Lines that wait for a reader who is slow; then the containers' logs are read no faster than he reads.
const WAITING_LINES: usize = 256;

type Sender = mpsc::Sender<Result<LogLine, EngineError>>;

/// Lines as they come. A task's ends when all its copies have; a service's when the caller drops it, or the service is
/// removed.
pub(in crate::docker) fn follow(shared: &Arc<Shared>, kind: OwnerKind, entity: &str, query: &LogQuery) -> LogStream {
    let (sender, receiver) = mpsc::channel(WAITING_LINES);
    shared.spawn(watch_copies(Arc::clone(shared), kind, entity.to_owned(), query.clone(), sender));
    stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|line| (line, receiver)) }).boxed()
}

async fn watch_copies(shared: Arc<Shared>, kind: OwnerKind, entity: String, query: LogQuery, sender: Sender) {
    let mut news = shared.world.news();
    let mut followed: HashSet<String> = HashSet::new();
    let mut readers = tokio::task::JoinSet::new();
    let mut first = true;
    // Another copy of a service may always come.
    let several = kind == OwnerKind::Service || shared.task_copies(&entity).is_none_or(|copies| copies > 1);
    loop {
        let copies = shared.world.copies(kind, &entity);
        for container in copies.values().flatten() {
            if container.is_pause || container.run == Run::Created || !followed.insert(container.id.clone()) {
                continue;
            }
            // The tail is for what was there at the beginning; a copy that comes later is read from its first line.
            let query = LogQuery { tail: query.tail.filter(|_| first), ..query.clone() };
            let name = shown_name(container, several);
            readers.spawn(read_on(Arc::clone(&shared), Arc::clone(container), name, query, sender.clone()));
        }
        first = false;
        if is_over(&shared, kind, &entity) {
            break;
        }
        tokio::select! {
            () = shared.world.changed_since(&mut news) => {}
            () = sender.closed() => return,
        }
    }
    // What was written last is still on its way.
    while readers.join_next().await.is_some() {}
}

fn is_over(shared: &Shared, kind: OwnerKind, entity: &str) -> bool {
    let copies = shared.world.copies(kind, entity);
    match kind {
        OwnerKind::Service => copies.is_empty() && !shared.is_told(kind, entity),
        OwnerKind::Task => {
            let wanted = shared.task_copies(entity).unwrap_or(copies.len());
            let ended = copies.values().filter(|containers| matches!(stage(containers), Stage::Ended { .. })).count();
            ended >= wanted || (copies.is_empty() && !shared.is_told(kind, entity)) || shared.task_failed(entity)
        }
    }
}

/// Reads one container's log to its end; goes on where it stopped when Docker was lost in between.
async fn read_on(shared: Arc<Shared>, container: Arc<Container>, name: String, mut query: LogQuery, sender: Sender) {
    let mut place = Place::default();
    loop {
        let mut link = shared.client.link();
        if link.wait_for(|link| *link == Link::Up).await.is_err() {
            return;
        }
        let Ok(docker) = shared.client.docker() else { continue };
        let mut lines = open(&docker, &container.id, &query, true);
        let whole = match pass_on(&mut lines, &mut place, &name, &sender).await {
            End::Unwanted => return,
            End::Broken => false,
            End::Whole => true,
        };
        let still_runs = shared.world.container(&container.id).is_some_and(|now| now.run == Run::Running);
        if whole && !still_runs && shared.client.is_up() {
            return;
        }
        if shared.world.container(&container.id).is_none() && shared.client.is_up() {
            return;
        }
        query.start = stamp::parse(&place.last).map(|at| Timestamp(at.0)).or(query.start);
        query.tail = query.tail.filter(|_| place.last.is_empty());
        place.read_again();
        // Not in a hurry: Docker has just closed the stream, by restarting or by an error of its own.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}

/// How the reading of a log came to its end.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Docker closed it.
    Whole,
    /// By an error.
    Broken,
    /// Nobody wants it any more.
    Unwanted,
}

/// Passes lines on until there are no more.
async fn pass_on(lines: &mut StampedStream, place: &mut Place, name: &str, sender: &Sender) -> End {
    loop {
        let line = tokio::select! {
            line = lines.next() => line,
            () = sender.closed() => return End::Unwanted,
        };
        match line {
            Some(Ok(line)) => {
                if !place.is_new(&line.stamp) {
                    continue;
                }
                let line = LogLine { container: name.to_owned(), line: line.text };
                if sender.send(Ok(line)).await.is_err() {
                    return End::Unwanted;
                }
            }
            Some(Err(_)) => return End::Broken,
            None => return End::Whole,
        }
    }
}

/// How far a log was passed on. Lines are skipped only while it is read again, up to the first new one: a clock that was
/// set back makes new lines look old, and a line may have no time at all.
#[derive(Default)]
struct Place {
    /// The time of the last line that had one.
    last: String,
    again: bool,
}

impl Place {
    fn read_again(&mut self) {
        self.again = !self.last.is_empty();
    }

    /// Whether the next line, of this time, was not passed on before; it counts as passed on then.
    fn is_new(&mut self, stamp: &str) -> bool {
        if self.again && stamp <= self.last.as_str() {
            return false;
        }
        self.again = false;
        if !stamp.is_empty() {
            stamp.clone_into(&mut self.last);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::Stamped;
    use super::*;
    use crate::docker::client::DockerError;

    /// What is passed on of these lines, each a time and a text; then the log ends as `last` says.
    async fn passed_on(lines: &[(&str, &str)], last: Option<DockerError>, place: &mut Place) -> (End, Vec<String>) {
        let lines = lines.iter().map(|(stamp, text)| Stamped { stamp: (*stamp).into(), text: (*text).into() });
        let all: Vec<Result<Stamped, DockerError>> = lines.map(Ok).chain(last.map(Err)).collect();
        let (sender, mut receiver) = mpsc::channel(WAITING_LINES);
        let end = pass_on(&mut stream::iter(all).boxed(), place, "web", &sender).await;
        drop(sender);
        let mut passed = Vec::new();
        while let Some(line) = receiver.recv().await {
            passed.push(line.expect("no failure").line);
        }
        (end, passed)
    }

    #[tokio::test]
    async fn no_line_is_lost_when_the_clock_is_set_back_or_a_line_has_no_time() {
        let (nine, ten) = ("2026-01-01T09:00:00.000000000Z", "2026-01-01T10:00:00.000000000Z");
        let mut place = Place::default();
        let lines = [(ten, "a"), (ten, "b"), ("", "c"), (nine, "d"), ("", "e")];
        let (end, passed) = passed_on(&lines, None, &mut place).await;
        assert_eq!((end, passed.join("")), (End::Whole, "abcde".to_owned()));
    }

    #[tokio::test]
    async fn what_is_read_again_is_passed_on_once() {
        let (one, two, three) =
            ("2026-01-01T00:00:01.000000000Z", "2026-01-01T00:00:02.000000000Z", "2026-01-01T00:00:03.000000000Z");
        let mut place = Place::default();
        let lost = Some(DockerError::Down("it is away".to_owned()));
        let (end, passed) = passed_on(&[(one, "a"), (two, "b"), ("", "c")], lost, &mut place).await;
        assert_eq!((end, passed.join("")), (End::Broken, "abc".to_owned()));
        place.read_again();
        let again = [(one, "a"), (two, "b"), ("", "c"), (three, "d"), (one, "e"), ("", "f")];
        let (end, passed) = passed_on(&again, None, &mut place).await;
        assert_eq!((end, passed.join("")), (End::Whole, "def".to_owned()));
    }
}
