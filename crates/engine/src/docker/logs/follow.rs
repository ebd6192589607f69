//! Following the log of an entity: all copies, those that come later too, across a loss of Docker.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use layer0_domain::model::failure::LogLine;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{EngineError, LogQuery, LogStream};
use tokio::sync::mpsc;

use super::{open, shown_name};
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
    let mut last = String::new();
    loop {
        let mut link = shared.client.link();
        if link.wait_for(|link| *link == Link::Up).await.is_err() {
            return;
        }
        let Ok(docker) = shared.client.docker() else { continue };
        let mut lines = open(&docker, &container.id, &query, true);
        let whole = loop {
            let line = tokio::select! {
                line = lines.next() => line,
                () = sender.closed() => return,
            };
            match line {
                Some(Ok(line)) => {
                    if !last.is_empty() && line.stamp <= last {
                        continue;
                    }
                    last.clone_from(&line.stamp);
                    let line = LogLine { container: name.clone(), line: line.text };
                    if sender.send(Ok(line)).await.is_err() {
                        return;
                    }
                }
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        let still_runs = shared.world.container(&container.id).is_some_and(|now| now.run == Run::Running);
        if whole && !still_runs && shared.client.is_up() {
            return;
        }
        if shared.world.container(&container.id).is_none() && shared.client.is_up() {
            return;
        }
        query.start = stamp::parse(&last).map(|at| Timestamp(at.0)).or(query.start);
        query.tail = query.tail.filter(|_| last.is_empty());
        // Not in a hurry: Docker has just closed the stream, by restarting or by an error of its own.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}
