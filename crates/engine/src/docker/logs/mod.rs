//! The log of an entity's containers, out of Docker's own.

mod follow;
mod line;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use layer0_domain::model::failure::LogLine;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::{EngineError, LogQuery, LogStream};

use self::line::{Lines, Output, Stamped};
use super::Shared;
use super::client::{CALL_LIMIT, Client, DockerError};
use super::labels::OwnerKind;
use super::world::{Container, Run};

pub(super) use follow::follow;

/// How long Docker may take for the next line of a log that is not followed. It reads a file; one that takes longer hangs, and
/// whoever asked wants to know. The first line of a part by time may lie behind gigabytes of others; that one takes as long as
/// the caller waits.
const LINE_LIMIT: Duration = Duration::from_millis(2500);

type StampedStream = BoxStream<'static, Result<Stamped, DockerError>>;

/// The last lines of one container; none when they can't be had.
pub(super) async fn tail(shared: &Shared, container: &Container, count: u32) -> Vec<LogLine> {
    let query = LogQuery { tail: Some(count), ..LogQuery::default() };
    let Ok(docker) = shared.client.docker() else { return Vec::new() };
    let lines = open(&docker, &container.id, &query, false);
    let name = container.container.clone();
    let all = lines.filter_map(|line| std::future::ready(line.ok())).collect::<Vec<Stamped>>();
    let all = tokio::time::timeout(CALL_LIMIT, all).await.unwrap_or_default();
    all.into_iter().map(|line| LogLine { container: name.clone(), line: line.text }).collect()
}

/// What has been written so far, merged by time.
pub(super) fn read(
    shared: &Arc<Shared>,
    kind: OwnerKind,
    entity: &str,
    query: &LogQuery,
) -> Result<LogStream, DockerError> {
    let docker = shared.client.docker()?;
    let copies = shared.world.copies(kind, entity);
    let several = copies.len() > 1;
    let containers = copies.values().flatten().filter(|container| !container.is_pause && container.run != Run::Created);
    let sources = containers.map(|container| Source {
        name: shown_name(container, several),
        lines: open(&docker, &container.id, query, false),
        head: None,
        limit: first_limit(query),
        later_limit: LINE_LIMIT,
    });
    let sources: Vec<Source> = sources.collect();
    Ok(stream::unfold(Some(sources), next_line).boxed())
}

/// A container's name as lines show it: `web`, or `web/<copy>` where copies must be told apart.
fn shown_name(container: &Container, several: bool) -> String {
    let (name, entity, number) = (&container.container, &container.entity, container.number);
    if several { format!("{name}/{entity}-{number}") } else { name.clone() }
}

struct Source {
    name: String,
    lines: StampedStream,
    head: Option<Stamped>,
    /// How long its next line may take; `None` leaves that to the caller.
    limit: Option<Duration>,
    /// How long those after it may.
    later_limit: Duration,
}

/// How long the first line may take.
fn first_limit(query: &LogQuery) -> Option<Duration> {
    (query.start.is_none() && query.end.is_none()).then_some(LINE_LIMIT)
}

impl Source {
    /// `Err` when it is too slow.
    async fn next(&mut self) -> Result<Option<Result<Stamped, DockerError>>, EngineError> {
        let Some(limit) = self.limit.replace(self.later_limit) else { return Ok(self.lines.next().await) };
        tokio::time::timeout(limit, self.lines.next()).await.map_err(|_| EngineError::Unavailable {
            engine: format!("the log of container `{}`", self.name),
            source: format!("it is slow: no line came within {limit:?}").into(),
        })
    }
}

/// The earliest of the next lines of all sources. Ends after the first error.
async fn next_line(sources: Option<Vec<Source>>) -> Option<(Result<LogLine, EngineError>, Option<Vec<Source>>)> {
    let mut sources = sources?;
    let mut at = 0;
    while at < sources.len() {
        if sources[at].head.is_none() {
            match sources[at].next().await {
                Ok(Some(Ok(line))) => sources[at].head = Some(line),
                // A copy of before that was taken away since it was listed: its log went with it.
                // While it is being removed Docker refuses (409).
                Ok(None | Some(Err(DockerError::NotFound(_) | DockerError::Conflict(_)))) => {
                    sources.swap_remove(at);
                    continue;
                }
                Ok(Some(Err(error))) => return Some((Err(failed(error)), None)),
                Err(slow) => return Some((Err(slow), None)),
            }
        }
        at += 1;
    }
    let earliest = sources.iter_mut().min_by(|a, b| stamp_of(a).cmp(stamp_of(b)))?;
    let line = earliest.head.take()?;
    Some((Ok(LogLine { container: earliest.name.clone(), line: line.text }), Some(sources)))
}

fn stamp_of(source: &Source) -> &str {
    source.head.as_ref().map_or("", |line| line.stamp.as_str())
}

fn failed(error: DockerError) -> EngineError {
    match error {
        DockerError::Down(_) => {
            EngineError::Unavailable { engine: "the Docker engine".to_owned(), source: Box::new(error) }
        }
        _ => EngineError::Failed { op: "reading a log", source: Box::new(error) },
    }
}

/// One container's lines, cut to what the query asks for.
///
/// Docker counts its tail before it looks at the end, so for the newest lines up to a moment all must be read. Its
/// `since` and `until` are whole seconds here; the exact cut is made on each line's own time.
fn open(docker: &bollard::Docker, id: &str, query: &LogQuery, follow: bool) -> StampedStream {
    let tail = query.tail.filter(|_| query.end.is_none());
    let seconds = |at: Timestamp| i32::try_from(at.0.div_euclid(1_000)).unwrap_or(i32::MAX);
    let mut options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true).follow(follow);
    options = options.tail(&tail.map_or_else(|| "all".to_owned(), |count| count.to_string()));
    if let Some(start) = query.start {
        options = options.since(seconds(start).max(0));
    }
    if let Some(end) = query.end {
        options = options.until(seconds(end).saturating_add(1));
    }
    let chunks = docker.logs(id, Some(options.build()));
    let framed = |chunk| match chunk {
        error @ LogOutput::StdErr { .. } => (Output::Error, error.into_bytes()),
        other => (Output::Standard, LogOutput::into_bytes(other)),
    };
    let chunks = chunks.map(move |chunk| chunk.map(framed).map_err(Client::stream_error));
    let lines = Lines::new(chunks.boxed());
    let (start, end) = (query.start, query.end);
    let within = lines.filter(move |line| {
        let keep = match line {
            Ok(line) => {
                let at = line.at();
                at.is_none_or(|at| start.is_none_or(|start| at >= start) && end.is_none_or(|end| at <= end))
            }
            Err(_) => true,
        };
        std::future::ready(keep)
    });
    match (query.tail, query.end) {
        (Some(count), Some(_)) => newest(within.boxed(), count).boxed(),
        _ => within.boxed(),
    }
}

/// Only the newest so many lines of a stream that ends.
fn newest(
    lines: Pin<Box<dyn Stream<Item = Result<Stamped, DockerError>> + Send>>,
    count: u32,
) -> impl Stream<Item = Result<Stamped, DockerError>> {
    let keep = usize::try_from(count).unwrap_or(usize::MAX);
    stream::once(async move {
        let mut kept: VecDeque<Result<Stamped, DockerError>> = VecDeque::new();
        let mut lines = lines;
        while let Some(line) = lines.next().await {
            kept.push_back(line);
            if kept.len() > keep {
                kept.pop_front();
            }
        }
        stream::iter(kept)
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_copy_that_is_gone_meanwhile_has_no_log_and_the_others_have_theirs() {
        let source = |lines: Vec<Result<Stamped, DockerError>>| Source {
            name: "web".to_owned(),
            lines: stream::iter(lines).boxed(),
            head: None,
            limit: Some(LINE_LIMIT),
            later_limit: LINE_LIMIT,
        };
        let gone = source(vec![Err(DockerError::NotFound("No such container: 1".to_owned()))]);
        let going = "can not get logs from container which is dead or marked for removal";
        let going = source(vec![Err(DockerError::Conflict(going.to_owned()))]);
        let line = Stamped { stamp: "2026-01-01T00:00:00Z".to_owned(), text: "up".to_owned() };
        let (first, rest) = next_line(Some(vec![gone, going, source(vec![Ok(line)])])).await.expect("a line");
        assert_eq!(first.expect("no failure").line, "up");
        assert!(next_line(rest).await.is_none(), "and no more");
    }

    #[tokio::test]
    async fn only_the_first_line_of_a_part_by_time_may_take_long() {
        let later_limit = Duration::from_millis(20);
        let line = || Ok(Stamped { stamp: "2026-01-01T00:00:00Z".to_owned(), text: "up".to_owned() });
        let slow = |query: &LogQuery| {
            let limit = first_limit(query).map(|_| later_limit);
            let lines = stream::repeat_with(line).then(move |line| async move {
                tokio::time::sleep(later_limit * 10).await;
                line
            });
            Source { name: "web".to_owned(), lines: lines.boxed(), head: None, limit, later_limit }
        };
        let told = |read: Option<(Result<LogLine, EngineError>, _)>| read.expect("a line, or why there is none");
        let part = LogQuery { start: Some(Timestamp(1)), ..LogQuery::default() };
        let (first, rest) = told(next_line(Some(vec![slow(&part)])).await);
        assert_eq!(first.expect("it is waited for").line, "up");
        let (second, _) = told(next_line(rest).await);
        assert_eq!(second.expect_err("too slow").to_string(), "the log of container `web` does not answer");
        let tail = LogQuery { tail: Some(5), ..LogQuery::default() };
        assert!(told(next_line(Some(vec![slow(&tail)])).await).0.is_err());
    }
}
