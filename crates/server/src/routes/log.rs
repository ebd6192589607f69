//! What the log routes share, and a look at the engine that never keeps a client waiting.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Json;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::LogLine;
use layer0_domain::port::engine::{EngineError, LogQuery, LogStream, Observed, Scope};

use crate::app::App;
use crate::auth::SignedIn;
use crate::error::ApiError;
use crate::text_time::minute;

/// How long a `get` waits for the engine. An engine that takes longer is answered for from the store alone.
const LOOK_MAX: Duration = Duration::from_secs(2);

/// The most memory for the lines of an answer that is not followed. A log can have gigabytes.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a line costs beside its text.
const LINE_COST: usize = 32;

/// How long a log that is not followed may take to be read.
const READ_MAX: Duration = Duration::from_secs(60);

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
pub(super) async fn answer(
    app: &App,
    who: &SignedIn,
    of: &EntityRef,
    it: &wire::LogQuery,
) -> Result<Response, ApiError> {
    let place = who.on_entity(app, of, Action::Pull).await?;
    let query = query(it)?;
    let follow = query.follow;
    let lines: LogStream = match app.engine.logs(of, query).await {
        Ok(lines) => lines,
        // Nothing has run yet: there is nothing to read, which is no error.
        Err(EngineError::Missing { .. }) => futures_util::stream::empty().boxed(),
        Err(why) => return Err(why.into()),
    };
    if follow {
        return Ok(followed(app, lines, who.ended(app, Action::Pull, place)));
    }
    match tokio::time::timeout(READ_MAX, files(lines, BYTES_MAX)).await {
        Ok(files) => Ok(Json(files?).into_response()),
        Err(_) => {
            let message = format!("the log could not be read in {} seconds", READ_MAX.as_secs());
            Err(ApiError::new(ErrorCode::EngineUnavailable, message)
                .hint("ask for less of it (`--tail N`, `--start`, `--end`), or follow it (`--follow`)"))
        }
    }
}

fn followed(app: &App, lines: LogStream, ended: impl Future<Output = ()> + Send + 'static) -> Response {
    let stop = app.stop.clone();
    let until = async move {
        tokio::select! {
            () = stop.wait() => {}
            () = ended => {}
        }
    };
    let events = lines.take_until(Box::pin(until)).map(|line| match line {
        Ok(line) => {
            Event::default().event("line").json_data(wire::LogLine { container_name: line.container, line: line.line })
        }
        Err(why) => Event::default().event("error").json_data(ApiError::from(why).into_body()),
    });
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

/// The newest lines of one container.
struct Kept {
    container: String,
    lines: VecDeque<String>,
    bytes: usize,
    left_out: u64,
}

/// The newest lines of each container that fit into `bytes_max` together. The container that has most gives way, so that a
/// chatty one does not push a quiet one out. What was left out is said in a container's first line.
async fn files(mut lines: LogStream, bytes_max: usize) -> Result<Vec<wire::LogFile>, ApiError> {
    let mut files: Vec<Kept> = Vec::new();
    let mut bytes = 0;
    while let Some(line) = lines.next().await {
        let LogLine { container, line } = line?;
        let cost = line.len() + LINE_COST;
        bytes += cost;
        match files.iter_mut().find(|file| file.container == container) {
            Some(file) => {
                file.lines.push_back(line);
                file.bytes += cost;
            }
            None => files.push(Kept { container, lines: VecDeque::from([line]), bytes: cost, left_out: 0 }),
        }
        while bytes > bytes_max {
            let Some(most) = files.iter_mut().max_by_key(|file| file.bytes) else { break };
            let Some(oldest) = most.lines.pop_front() else { break };
            let freed = oldest.len() + LINE_COST;
            most.bytes -= freed;
            most.left_out += 1;
            bytes -= freed;
        }
    }
    let told = |mut file: Kept| {
        if file.left_out > 0 {
            file.lines.push_front(left_out(&format!("{} older lines are", file.left_out)));
        }
        wire::LogFile { container_name: file.container, lines: file.lines.into() }
    };
    Ok(files.into_iter().map(told).collect())
}

/// The first line of a log that is not whole.
fn left_out(what: &str) -> String {
    format!("[layer0: {what} left out; `--tail`, `--start` and `--end` choose, `--follow` shows all]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(lines: Vec<(&str, String)>) -> LogStream {
        let line = |(container, line): (&str, String)| Ok(LogLine { container: container.to_owned(), line });
        futures_util::stream::iter(lines.into_iter().map(line).collect::<Vec<_>>()).boxed()
    }

    #[tokio::test]
    async fn a_log_that_is_too_long_keeps_its_newest_lines_and_says_so() {
        let mut all = vec![("quiet", "one word".to_owned())];
        all.extend((0..1000).map(|number| ("chatty", format!("{number:068}"))));
        let whole = files(stream(all.clone()), 1 << 20).await.expect("read");
        assert_eq!(whole.iter().map(|file| file.lines.len()).collect::<Vec<_>>(), [1, 1000]);

        let cut = files(stream(all), 40 + 50 * 100).await.expect("read");
        assert_eq!(cut[0].lines, ["one word"]);
        assert_eq!(cut[1].lines.len(), 51);
        assert!(cut[1].lines[0].contains("950 older lines are left out"), "{}", cut[1].lines[0]);
        assert_eq!(cut[1].lines[1], format!("{:068}", 950));
        assert_eq!(cut[1].lines[50], format!("{:068}", 999));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_by_itself_is_left_out() {
        let cut = files(stream(vec![("app", "x".repeat(1000)), ("app", "short".to_owned())]), 100).await.expect("read");
        assert_eq!(cut[0].lines.len(), 2);
        assert_eq!(cut[0].lines[1], "short");
    }
}
