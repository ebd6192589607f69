//! What the log routes share, and a look at the engine that never keeps a client waiting.

use std::time::Duration;

use axum::Json;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use layer0_api::types as wire;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::operation::Operation;
use layer0_domain::port::engine::{EngineError, LogQuery, LogStream, Observed, Scope};

use crate::app::App;
use crate::error::ApiError;
use crate::text_time::{minute, rfc3339};

/// How long a `get` waits for the engine. An engine that takes longer is answered for from the store alone.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// How many operations the log of an environment or of the instance goes back.
const OPERATIONS_MAX: u32 = 500;

/// What the engine sees; nothing when it does not answer in time.
pub(super) async fn seen(app: &App, scope: Scope) -> Observed {
    seen_or_away(app, scope).await.0
}

/// What the engine sees, once it sees what is asked for: right after a start it has not been told of everything yet. Waits
/// no longer than any look.
pub(super) async fn seen_once(app: &App, scope: Scope, there: impl Fn(&Observed) -> bool) -> Observed {
    let mut nudges = app.nudge.listen();
    let deadline = tokio::time::Instant::now() + LOOK_MAX;
    loop {
        nudges.mark_unchanged();
        let seen = seen(app, scope.clone()).await;
        if there(&seen) {
            return seen;
        }
        tokio::select! {
            _ = nudges.changed() => {}
            () = tokio::time::sleep_until(deadline) => return seen,
        }
    }
}

/// What the engine sees, or what to say when it does not answer in time.
pub(super) async fn seen_or_away(app: &App, scope: Scope) -> (Observed, Option<String>) {
    match tokio::time::timeout(LOOK_MAX, app.engine.observe(scope)).await {
        Ok(Ok(seen)) => (seen, None),
        Ok(Err(why)) => (Observed::default(), Some(format!("{why}"))),
        Err(_) => (Observed::default(), Some("the engine does not answer".to_owned())),
    }
}

/// Reads a log query.
pub(super) fn query(it: &wire::LogQuery) -> Result<LogQuery, ApiError> {
    let tail = match it.tail.as_deref() {
        None | Some("") => None,
        Some(text) => Some(text.parse::<u32>().map_err(|_| ApiError::request("Tail must be an integer"))?),
    };
    let time = |text: &Option<String>, which: &str| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => match minute(text) {
            Some(at) => Ok(Some(at)),
            None => Err(ApiError::request(format!("Invalid time: {which} must be in format YYYY-MM-DD HH:MM"))),
        },
    };
    Ok(LogQuery {
        // A tail of 0 is what a client sends that means no tail.
        tail: tail.filter(|lines| *lines > 0),
        start: time(&it.start, "start")?,
        end: time(&it.end, "end")?,
        follow: matches!(it.follow.as_deref(), Some("true" | "1")),
    })
}

/// The log of a service or task, whole or followed.
pub(super) async fn answer(app: &App, of: &EntityRef, it: &wire::LogQuery) -> Result<Response, ApiError> {
    let query = query(it)?;
    let follow = query.follow;
    let lines: LogStream = match app.engine.logs(of, query).await {
        Ok(lines) => lines,
        // Nothing has run yet: there is nothing to read, which is no error.
        Err(EngineError::Missing { .. }) => futures_util::stream::empty().boxed(),
        Err(why) => return Err(why.into()),
    };
    if follow { Ok(followed(app, lines)) } else { Ok(Json(files(lines).await?).into_response()) }
}

fn followed(app: &App, lines: LogStream) -> Response {
    let stop = app.stop.clone();
    let events = lines.take_until(async move { stop.wait().await }).map(|line| match line {
        Ok(line) => {
            Event::default().event("line").json_data(wire::LogLine { container_name: line.container, line: line.line })
        }
        Err(why) => Event::default().event("error").json_data(why.to_string()),
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

async fn files(mut lines: LogStream) -> Result<Vec<wire::LogFile>, ApiError> {
    let mut files: Vec<wire::LogFile> = Vec::new();
    while let Some(line) = lines.next().await {
        let line = line?;
        match files.iter_mut().find(|file| file.container_name == line.container) {
            Some(file) => file.lines.push(line.line),
            None => files.push(wire::LogFile { container_name: line.container, lines: vec![line.line] }),
        }
    }
    Ok(files)
}

/// The events of operations as one log file, the oldest first.
pub(super) async fn operations(
    app: &App,
    query: &LogQuery,
    wanted: impl Fn(&Operation) -> bool,
) -> Result<Vec<wire::LogFile>, ApiError> {
    let mut lines = Vec::new();
    for operation in app.store.operation_list(OPERATIONS_MAX).await?.into_iter().filter(|it| wanted(it)) {
        let (verb, kind, name) = (operation.verb, operation.entity.kind(), &operation.entity_name);
        for event in app.store.operation_events(&operation.id, 0).await? {
            let after = query.start.is_none_or(|start| event.at >= start);
            let before = query.end.is_none_or(|end| event.at <= end);
            if after && before {
                lines.push((event.at, format!("{} {verb} {kind} `{name}`: {}", rfc3339(event.at), event.message)));
            }
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    let skip = query.tail.map_or(0, |tail| lines.len().saturating_sub(tail as usize));
    let lines: Vec<String> = lines.into_iter().skip(skip).map(|(_, line)| line).collect();
    Ok(vec![wire::LogFile { container_name: "operations".to_owned(), lines }])
}
