//! A request's body on its way into an upload.
//!
//! The body is gathered in batches; a batch is written on a blocking thread while the next one is gathered, and hashed there or, when it
//! is large, on another one (`hashing.rs`). So one upload holds seven batches in memory at most, whatever its size (`batch.rs`), and no
//! async thread ever hashes or waits for the disk.

use std::io;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use layer0_domain::port::blob_bytes::Settling;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::batch::{self, Batch};
use super::held::Held;
use super::lost;
use super::staged::Relief;
use crate::blocking::blocking;
use crate::error::RegistryError;

/// What a client must bring in the time that it may be silent for, unless it ends first. Without that, a byte now and then
/// would hold a connection for ever; 4 KiB a minute are slower than any line that a push could end on.
const LEAST: usize = 4 << 10;

/// The wait for a client's bytes.
pub(crate) struct Patience {
    idle: Duration,
    /// When it ends.
    until: Instant,
    /// What came since it began.
    came: usize,
}

impl Patience {
    pub(crate) fn new(idle: Duration) -> Self {
        Self { idle, until: Instant::now() + idle, came: 0 }
    }

    /// When it ends.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Notes that bytes came; enough of them begin it anew.
    pub(crate) fn came(&mut self, bytes: usize) {
        self.came += bytes;
        if self.came >= LEAST {
            *self = Self::new(self.idle);
        }
    }
}

/// What comes after a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing, for now.
    Rest,
    /// Other servers find what has come, when all of it has.
    Settle(Settling),
    /// The caller finishes the upload: what comes last need not be written before that.
    Finish,
}

/// Why gathering stopped.
enum End {
    /// The batch is full, there is more.
    Full,
    /// The body is complete.
    Done,
    /// The client went silent or away.
    Lost(RegistryError),
}

type Writing = JoinHandle<(Held, Batch, io::Result<()>)>;

/// Appends a body to an upload and answers how many bytes it brought. With `announced` the body must have exactly so
/// many.
///
/// What happens to the upload when it goes wrong:
/// - the client goes away, or brings next to nothing for `idle`: what has come is kept, so that it can go on from there;
/// - the body is longer or shorter than announced: everything of this request is taken back;
/// - the disk is full or fails: the upload is discarded, since a full disk must not fill up with halves that nobody
///   will finish. So it is when the owner may not have so much. What could not be reached for the moment leaves it as it is.
pub(crate) async fn receive(
    mut held: Held,
    mut body: Body,
    announced: Option<u64>,
    expected: Option<u64>,
    then: Then,
    idle: Duration,
    relief: Option<Relief<'_>>,
) -> (Held, Result<u64, RegistryError>) {
    if let Some(expected) = expected {
        // Nobody need send what will be refused.
        if let Err(error) = claim(&mut held, expected, relief).await {
            return lose(held, error).await;
        }
        held.unclaim();
    }
    let begun = held.offset();
    let mut spare = Some(Batch::default());
    let mut held = Some(held);
    let mut writing: Option<Writing> = None;
    let mut rest = Bytes::new();
    let mut came: u64 = 0;

    let end = loop {
        let expected = expected.map(|expected| usize::try_from(expected.saturating_sub(came)).unwrap_or(usize::MAX));
        let room = batch::most(came, expected);
        let (batch, end) = gather(&mut body, &mut rest, spare.take().unwrap_or_default(), (expected, room), idle).await;
        came += u64::try_from(batch.len()).expect("a length fits in 64 bits");
        if let Some(task) = writing.take() {
            let (back, buffer, result) = join(task).await;
            held = Some(back);
            spare = Some(buffer);
            if let Err(error) = result {
                break End::Lost(lost(error));
            }
        }
        if announced.is_some_and(|announced| came > announced) {
            break End::Done;
        }
        if !batch.is_empty() {
            let mut writer = held.take().expect("the writer came back before the next batch");
            let length = u64::try_from(batch.len()).expect("a length fits in 64 bits");
            if let Err(error) = claim(&mut writer, length, relief).await {
                held = Some(writer);
                break End::Lost(error);
            }
            if matches!((&end, then), (End::Done, Then::Finish)) {
                writer.put_off(batch);
                held = Some(writer);
                break end;
            }
            let is_borrowed = batch.is_borrowed();
            let task = tokio::task::spawn_blocking(move || {
                let (spare, result) = writer.append_batch(batch);
                (writer, spare, result)
            });
            if is_borrowed {
                // There is a crowd: nobody reads ahead, and the disk has enough to do.
                let (back, buffer, result) = join(task).await;
                held = Some(back);
                spare = Some(buffer);
                if let Err(error) = result {
                    break End::Lost(lost(error));
                }
            } else {
                writing = Some(task);
            }
        }
        match end {
            End::Full => {}
            end => break end,
        }
    };
    let mut failed = None;
    if let Some(task) = writing.take() {
        let (back, _, result) = join(task).await;
        held = Some(back);
        failed = result.err().map(lost);
    }
    let mut held = held.expect("the writer is back when nothing is being written");
    // What is taken back below is never settled: others would find it.
    let is_taken_back = !matches!(end, End::Lost(_)) && announced.is_some_and(|announced| announced != came);
    if let (None, Then::Settle(settling), false) = (&failed, then, is_taken_back) {
        let (back, settled) = settle(held, settling).await;
        (held, failed) = (back, settled.err());
    }
    // Whoever ends the upload goes on with what is in memory.
    if then != Then::Finish {
        held.rest();
    }

    if let Some(error) = failed {
        return lose(held, error).await;
    }
    match end {
        End::Lost(error) => lose(held, error).await,
        End::Full | End::Done => match announced {
            Some(announced) if announced != came => {
                let error = RegistryError::SizeInvalid(format!(
                    "the chunk was announced with {announced} bytes and has {}{came}",
                    if came > announced { "at least " } else { "" }
                ));
                rewind(held, begun, error).await
            }
            _ => (held, Ok(came)),
        },
    }
}

/// Counts bytes that are about to be added, if their owner may have them, by what is known now or when it is looked at again.
async fn claim(held: &mut Held, bytes: u64, relief: Option<Relief<'_>>) -> Result<(), RegistryError> {
    let Err(refused) = held.claim(bytes) else { return Ok(()) };
    let (Some(staged), Some(relief)) = (held.staged(), relief) else { return Err(refused) };
    relief.come(&staged).await?;
    held.claim(bytes)
}

/// Waits for a batch. A panic in the writer goes on here.
async fn join(task: Writing) -> (Held, Batch, io::Result<()>) {
    match task.await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a runtime that is being torn down cancels blocking tasks, and it drops this future with them.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Fills a batch from the body: `expected` bytes will come, as far as is known, and there is room for so many.
async fn gather(
    body: &mut Body,
    rest: &mut Bytes,
    mut batch: Batch,
    (expected, room): (Option<usize>, usize),
    idle: Duration,
) -> (Batch, End) {
    // New for every batch: the time that the disk took is not the client's.
    let mut patience = Patience::new(idle);
    loop {
        if batch.fill(rest, expected.map(|expected| expected.saturating_sub(batch.len())), room) {
            return (batch, End::Full);
        }
        match tokio::time::timeout_at(patience.until, body.frame()).await {
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    patience.came(data.len());
                    *rest = data;
                }
            }
            Ok(Some(Err(_))) => return (batch, End::Lost(RegistryError::BodyBroken)),
            Ok(None) => return (batch, End::Done),
            Err(_) => return (batch, End::Lost(RegistryError::TooSlow)),
        }
    }
}

async fn settle(mut held: Held, settling: Settling) -> (Held, Result<(), RegistryError>) {
    let settled = blocking(move || {
        let settled = held.settle(settling);
        Ok((held, settled))
    });
    match settled.await {
        Ok((held, settled)) => (held, settled.map_err(lost)),
        // As for a batch.
        Err(_) => std::future::pending().await,
    }
}

/// Ends a request that went wrong, and the upload with it when nobody could go on.
async fn lose(held: Held, error: RegistryError) -> (Held, Result<u64, RegistryError>) {
    match error {
        RegistryError::Full
        | RegistryError::Denied(_)
        | RegistryError::UploadUnknown
        | RegistryError::Failed { .. } => give_up(held, error).await,
        error => (held, Err(error)),
    }
}

async fn give_up(mut held: Held, error: RegistryError) -> (Held, Result<u64, RegistryError>) {
    let held = blocking(move || {
        held.discard();
        Ok(held)
    })
    .await;
    match held {
        Ok(held) => (held, Err(error)),
        Err(_) => std::future::pending().await,
    }
}

async fn rewind(mut held: Held, offset: u64, error: RegistryError) -> (Held, Result<u64, RegistryError>) {
    let done = blocking(move || {
        if held.rewind(offset).is_err() {
            held.discard();
        }
        Ok(held)
    })
    .await;
    match done {
        Ok(held) => (held, Err(error)),
        Err(_) => std::future::pending().await,
    }
}
