//! Following an operation to its end, over broken connections and restarts of the server.

use std::time::Duration;

use futures_util::StreamExt as _;
use layer0_api::client::{ClientError, Followed};
use layer0_api::types::Operation;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::app::App;
use crate::error::CliError;
use crate::progress::Progress;

/// How often a live line's clock moves.
const TICK: Duration = Duration::from_millis(100);
/// The pause before the first new try; doubled up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(200);
/// The longest pause between two tries.
const RETRY_MAX: Duration = Duration::from_secs(3);

/// Whether a new try may succeed where this one failed: the server is away, or on its way out or in.
pub(crate) fn passing(error: &ClientError) -> bool {
    match error {
        ClientError::Connection { .. } | ClientError::Timeout { .. } => true,
        ClientError::Refused { status, .. } | ClientError::Foreign { status, .. } => {
            matches!(status, 429 | 502 | 503 | 504)
        }
        ClientError::Endpoint { .. } => false,
    }
}

/// Waits longer from try to try.
pub(crate) struct Pause(Duration);

impl Pause {
    pub(crate) fn new() -> Self {
        Self(RETRY_MIN)
    }

    /// What worked ends the growth.
    pub(crate) fn reset(&mut self) {
        self.0 = RETRY_MIN;
    }

    pub(crate) async fn wait(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 2).min(RETRY_MAX);
    }
}

/// Follows an operation and shows its steps. Never gives up on a connection by itself: `--timeout` bounds the command.
///
/// # Errors
/// When the operation does not exist or the server refuses. How the operation ended is not an error here.
pub(crate) async fn follow(app: &App, id: &str) -> Result<Operation, CliError> {
    *app.watching.borrow_mut() = Some(id.to_owned());
    let mut progress = Progress::new(app);
    let end = follow_on(app, id, &mut progress).await;
    progress.close();
    *app.watching.borrow_mut() = None;
    end
}

async fn follow_on(app: &App, id: &str, progress: &mut Progress<'_>) -> Result<Operation, CliError> {
    let mut after = 0;
    let mut pause = Pause::new();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        let opening = app.client.operation_follow(id, after);
        tokio::pin!(opening);
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened,
                _ = tick.tick() => progress.tick(),
            }
        };
        match opened {
            Ok(mut events) => loop {
                let next = tokio::select! {
                    next = events.next() => next,
                    _ = tick.tick() => {
                        progress.tick();
                        continue;
                    }
                };
                match next {
                    // A server that lost its place may send an event twice.
                    Some(Ok(Followed::Event(event))) if event.sequence <= after => {}
                    Some(Ok(Followed::Event(event))) => {
                        after = event.sequence;
                        pause.reset();
                        progress.step(&event);
                    }
                    Some(Ok(Followed::End(operation))) => return Ok(operation),
                    Some(Err(why)) if !passing(&why) => return Err(app.error(why)),
                    Some(Err(_)) | None => break,
                }
            },
            Err(why) if !passing(&why) => return Err(app.error(why)),
            Err(why) => app.printer.debug(|| why.to_string()),
        }
        progress.lost();
        pause.wait().await;
    }
}
