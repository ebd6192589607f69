//! Logs.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::LogLine;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{EngineError, LogQuery, LogStream};

use super::{CONTAINER, Role, Subject, TALK, live, wish_service, wish_task};
use crate::until::{ends, until};

/// A moment that no clock of a test shows: the year 2286.
const LATER: Timestamp = Timestamp(9_999_999_999_000);

impl Subject {
    /// The log of an entity that has one, now or soon.
    async fn log(&self, of: &EntityRef, query: LogQuery) -> LogStream {
        until(format!("{of} to have a log"), || async {
            match self.engine().logs(of, query.clone()).await {
                Ok(stream) => Ok(stream),
                Err(error @ EngineError::Missing { .. }) => Err(error.to_string()),
                Err(error) => panic!("logs of {of}: {error}"),
            }
        })
        .await
    }

    /// All lines of a log that ends.
    async fn lines(&self, of: &EntityRef, query: LogQuery) -> Vec<LogLine> {
        let stream = self.log(of, query).await;
        let lines: Vec<_> = ends(format!("the log of {of} to end"), stream.collect::<Vec<_>>()).await;
        lines.into_iter().map(|line| line.unwrap_or_else(|error| panic!("the log of {of}: {error}"))).collect()
    }
}

fn texts(lines: &[LogLine]) -> Vec<&str> {
    lines.iter().map(|line| line.line.as_str()).collect()
}

/// Whether a line's label names the suite's container, alone or with its copy.
fn is_ours(line: &LogLine) -> bool {
    line.container.split('/').next() == Some(CONTAINER)
}

/// What a task wrote can be read after its end, in order, until the task is removed.
pub async fn lines_of_a_task_stay_until_it_is_removed(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.task_wanted(&environment, Role::Talks, 1);
    subject.ensure(wish_task(&spec)).await;
    subject.task_ended(&spec.id, 1).await;
    let entity = EntityRef::Task(spec.id.clone());
    let lines = subject.lines(&entity, LogQuery::default()).await;
    assert_eq!(texts(&lines), TALK);
    assert!(lines.iter().all(is_ours), "{lines:?}");
    subject.remove(&entity).await;
    let gone = subject.engine().logs(&entity, LogQuery::default()).await;
    assert!(matches!(gone, Err(EngineError::Missing { .. })), "logs go with the task");
    subject.leave().await;
}

/// The newest lines of each container, and lines of a span of time.
pub async fn tail_and_time_limit_the_lines(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.task_wanted(&environment, Role::Talks, 2);
    subject.ensure(wish_task(&spec)).await;
    subject.task_ended(&spec.id, 2).await;
    let entity = EntityRef::Task(spec.id.clone());
    let lines = subject.lines(&entity, LogQuery { tail: Some(2), ..LogQuery::default() }).await;
    assert_eq!(lines.len(), 4, "two of each copy: {lines:?}");
    let containers: BTreeSet<_> = lines.iter().map(|line| line.container.as_str()).collect();
    assert_eq!(containers.len(), 2, "copies are told apart: {lines:?}");
    for container in containers {
        let of_one: Vec<_> = lines.iter().filter(|line| line.container == container).cloned().collect();
        assert_eq!(texts(&of_one), TALK[1..]);
    }
    for none in [
        LogQuery { tail: Some(0), ..LogQuery::default() },
        LogQuery { start: Some(LATER), ..LogQuery::default() },
        LogQuery { end: Some(Timestamp(1_000)), ..LogQuery::default() },
    ] {
        let lines = subject.lines(&entity, none.clone()).await;
        assert!(lines.is_empty(), "{none:?}: {lines:?}");
    }
    let all = LogQuery { start: Some(Timestamp(1_000)), end: Some(LATER), ..LogQuery::default() };
    assert_eq!(subject.lines(&entity, all).await.len(), 2 * TALK.len());
    subject.leave().await;
}

/// A follow of a task has all its lines, and ends when its copies have ended.
pub async fn follow_of_a_task_ends_with_it(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.task_wanted(&environment, Role::Talks, 1);
    subject.ensure(wish_task(&spec)).await;
    let entity = EntityRef::Task(spec.id.clone());
    let lines = subject.lines(&entity, LogQuery { follow: true, ..LogQuery::default() }).await;
    assert_eq!(texts(&lines), TALK);
    subject.task_ended(&spec.id, 1).await;
    subject.leave().await;
}

/// A follow of a service goes on, and has the lines of copies that come later.
pub async fn follow_of_a_service_has_new_copies_too(mut subject: Subject) {
    let environment = subject.environment().await;
    let mut spec = subject.service_wanted(&environment, Role::Serves, 1);
    subject.ensure(wish_service(&spec)).await;
    subject.service_steady(&spec).await;
    let entity = EntityRef::Service(spec.id.clone());
    let mut stream = subject.log(&entity, LogQuery { follow: true, ..LogQuery::default() }).await;
    let mut labels = BTreeSet::new();
    for copies in [1, 2] {
        spec.desired_count = copies;
        spec.generation = spec.generation.next();
        subject.ensure(wish_service(&spec)).await;
        ends(format!("lines of {copies} copies"), async {
            while labels.len() < copies as usize {
                let line = stream.next().await.expect("the follow of a service does not end by itself");
                let line = line.unwrap_or_else(|error| panic!("the log of {entity}: {error}"));
                assert!(is_ours(&line), "{line:?}");
                labels.insert(line.container);
            }
        })
        .await;
    }
    let seen = subject.service_steady(&spec).await;
    for copy in live(&seen) {
        assert!(labels.contains(&format!("{CONTAINER}/{}", copy.id)), "no line of {}: {labels:?}", copy.id);
    }
    drop(stream);
    subject.leave().await;
}
