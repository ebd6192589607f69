//! What is known here of uploads into ECR: how far each is, and what is too little to be sent on yet.
//!
//! ECR wants parts of 5 MiB but for the last, and looks at that when the upload ends. Clients may send smaller chunks (distribution
//! specification, "Pushing a blob in chunks"), so those are gathered here until they make a part, and go along with what comes
//! next. The offset that a client is told counts them. What has no range is no chunk but all there is, and is not kept here.
//!
//! ```text
//!          in ECR                    here                 not come yet
//!   ├───────────────────────┼───────────────────────┼─ ─ ─ ─ ─ ─ ─
//!   0                      has                has + tail
//! ```
//! - What a request has sent is kept until ECR has it for certain. When that can't be known (a connection broke), ECR is asked where
//!   the upload goes on before anything else is done with it, and what it lacks of what is kept here is counted again.
//! - All of it is in memory and of this server. Where it is lost, or another server is asked, the offset is what ECR says: it went
//!   back, and a client is told so by 416 or by the status.
//! - Memory is bounded: so many uploads at a time may have something here ([`SLOTS`]). Chunks of others go on as they come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use layer0_domain::model::image::RepositoryName;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::error::RegistryError;

/// The least size of a part but the last (ECR API reference, `UploadLayerPart`).
pub(crate) const PART_LEAST: usize = 5 << 20;
/// How many uploads may have something here at a time: 160 MiB of them.
const SLOTS: usize = 32;
/// What nobody asked about for so long gives its slot to who needs one.
const IDLE_MAX: Duration = Duration::from_secs(600);

/// By repository and ECR's name of the upload.
type Key = (RepositoryName, String);

/// Uploads that somebody asked about.
pub(crate) struct Uploads {
    known: Mutex<HashMap<Key, Arc<tokio::sync::Mutex<Upload>>>>,
    slots: Arc<Semaphore>,
}

/// An upload, for one request at a time.
pub(crate) struct Upload {
    /// How many bytes ECR has; `None` when that must be asked.
    has: Option<u64>,
    /// What was sent on and may not have arrived, and where it begins.
    sent: Bytes,
    sent_at: u64,
    /// What comes behind that.
    tail: BytesMut,
    slot: Option<OwnedSemaphorePermit>,
    touched: Instant,
    is_over: bool,
}

/// The right to an upload.
pub(crate) type Held = OwnedMutexGuard<Upload>;

/// How a body was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gathered {
    /// All of it is here, and too little to be sent on.
    All,
    /// It makes a part with what is here already; there may be more of it.
    Part,
}

impl Uploads {
    pub(crate) fn new() -> Self {
        Self { known: Mutex::default(), slots: Arc::new(Semaphore::new(SLOTS)) }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, Arc<tokio::sync::Mutex<Upload>>>> {
        // The map is whole at every moment that somebody could panic.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one that was just begun.
    pub(crate) fn begin(&self, name: &RepositoryName, id: &str) {
        let upload = Arc::new(tokio::sync::Mutex::new(Upload::new(Some(0))));
        self.known().insert((name.clone(), id.to_owned()), upload);
    }

    /// One upload, known here or not. Waits for a request that has it, which may be one whose client has just gone away.
    ///
    /// # Errors
    /// `UploadBusy` when another request has it for all of `wait`, `UploadUnknown` when it is over.
    pub(crate) async fn hold(&self, name: &RepositoryName, id: &str, wait: Duration) -> Result<Held, RegistryError> {
        let key = (name.clone(), id.to_owned());
        let new = || Arc::new(tokio::sync::Mutex::new(Upload::new(None)));
        let upload = Arc::clone(self.known().entry(key).or_insert_with(new));
        let held = tokio::time::timeout(wait, upload.lock_owned()).await;
        let mut held = held.map_err(|_| RegistryError::UploadBusy)?;
        held.touched = Instant::now();
        if held.is_over { Err(RegistryError::UploadUnknown) } else { Ok(held) }
    }

    /// Forgets one that is not there any more, or never was.
    pub(crate) fn forget(&self, name: &RepositoryName, id: &str) {
        self.known().remove(&(name.clone(), id.to_owned()));
    }

    /// Forgets those that nobody asked about for `age`.
    pub(crate) fn sweep(&self, age: Duration) {
        // Whoever is held is in use.
        self.known().retain(|_, upload| upload.try_lock().map_or(true, |it| it.touched.elapsed() < age));
    }

    /// Lets an upload have something here; answers whether it may.
    fn slot(&self, upload: &mut Upload, now: Instant) -> bool {
        if upload.slot.is_some() {
            return true;
        }
        let take = || Arc::clone(&self.slots).try_acquire_owned().ok();
        upload.slot = take().or_else(|| {
            for other in self.known().values() {
                if let Ok(mut other) = other.try_lock()
                    && now.saturating_duration_since(other.touched) >= IDLE_MAX
                {
                    other.drop_content();
                }
            }
            take()
        });
        upload.slot.is_some()
    }

    /// Takes a body in until it makes a part with what is here. What came of one that breaks stays.
    ///
    /// # Errors
    /// `TooSlow`, `BodyBroken`.
    pub(crate) async fn gather(
        &self,
        upload: &mut Upload,
        body: &mut Body,
        length: Option<u64>,
        idle: Duration,
    ) -> Result<Gathered, RegistryError> {
        // What is large enough by its own word needs no look, and what finds no room here goes on as it is.
        let is_part = length.is_some_and(|length| length.saturating_add(upload.tail.len() as u64) >= PART_LEAST as u64);
        if is_part || !self.slot(upload, Instant::now()) {
            return Ok(Gathered::Part);
        }
        let end = loop {
            if upload.tail.len() >= PART_LEAST {
                break Ok(Gathered::Part);
            }
            match tokio::time::timeout(idle, body.frame()).await {
                Err(_) => break Err(RegistryError::TooSlow),
                Ok(Some(Err(_))) => break Err(RegistryError::BodyBroken),
                Ok(Some(Ok(frame))) => upload.tail.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data)),
                Ok(None) => break Ok(Gathered::All),
            }
        };
        upload.settle();
        end
    }
}

impl Upload {
    fn new(has: Option<u64>) -> Self {
        Self {
            has,
            sent: Bytes::new(),
            sent_at: 0,
            tail: BytesMut::new(),
            slot: None,
            touched: Instant::now(),
            is_over: false,
        }
    }

    /// How many bytes ECR has; `None` when that must be asked.
    pub(crate) fn has(&self) -> Option<u64> {
        self.has
    }

    /// How far the upload is; `None` when ECR must be asked.
    pub(crate) fn offset(&self) -> Option<u64> {
        self.has.map(|has| has + self.tail.len() as u64)
    }

    /// Whether something is here that ECR has not.
    pub(crate) fn has_more(&self) -> bool {
        !self.tail.is_empty()
    }

    /// Whether something is here that ECR may have or not.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.has.is_none() && !self.sent.is_empty()
    }

    /// ECR has so much.
    pub(crate) fn found(&mut self, has: u64) {
        let end = self.sent_at + self.sent.len() as u64;
        let rest = if (self.sent_at..=end).contains(&has) {
            // Both ends lie within what is kept, whose length is one of memory.
            let from = usize::try_from(has - self.sent_at).expect("less than what is kept");
            self.sent.slice(from..)
        } else {
            // Then it does not follow on what ECR has.
            self.tail.clear();
            Bytes::new()
        };
        if !rest.is_empty() {
            let later = std::mem::take(&mut self.tail);
            self.tail = BytesMut::from(&rest[..]);
            self.tail.extend_from_slice(&later);
        }
        self.sent = Bytes::new();
        self.has = Some(has);
        self.settle();
    }

    /// What is to be sent on first, from now on under way.
    pub(crate) fn take(&mut self) -> Bytes {
        let tail = self.tail.split().freeze();
        if let Some(has) = self.has.take() {
            self.sent_at = has;
            self.sent = tail.clone();
        }
        tail
    }

    /// What was under way has arrived, and there ECR is now.
    pub(crate) fn arrived(&mut self, has: Option<u64>) {
        self.sent = Bytes::new();
        self.has = has;
        self.settle();
    }

    /// Nothing more may come of it.
    pub(crate) fn end(&mut self) {
        self.drop_content();
        self.is_over = true;
    }

    fn drop_content(&mut self) {
        self.sent = Bytes::new();
        self.tail = BytesMut::new();
        self.slot = None;
    }

    /// Gives back what nothing lies in.
    fn settle(&mut self) {
        if self.tail.is_empty() && self.sent.is_empty() {
            self.drop_content();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    fn name() -> RepositoryName {
        RepositoryName::parse("team/app").expect("a name")
    }

    async fn hold(uploads: &Uploads, id: &str) -> Result<Held, RegistryError> {
        uploads.hold(&name(), id, Duration::ZERO).await
    }

    async fn gathered(uploads: &Uploads, upload: &mut Upload, bytes: usize) -> Gathered {
        let mut body = Body::from(vec![7_u8; bytes]);
        uploads.gather(upload, &mut body, None, IDLE).await.expect("it is whole")
    }

    #[tokio::test]
    async fn small_chunks_wait_until_they_make_a_part() {
        let uploads = Uploads::new();
        uploads.begin(&name(), "1");
        let mut held = hold(&uploads, "1").await.expect("nobody else has it");
        for count in 1..=4 {
            assert_eq!(gathered(&uploads, &mut held, 1 << 20).await, Gathered::All);
            assert_eq!(held.offset(), Some(count << 20));
        }
        assert_eq!(gathered(&uploads, &mut held, 1 << 20).await, Gathered::Part);
        assert_eq!(held.take().len(), PART_LEAST);
        held.arrived(Some(PART_LEAST as u64));
        assert_eq!((held.offset(), held.slot.is_none()), (Some(PART_LEAST as u64), true));
    }

    #[tokio::test]
    async fn what_may_not_have_arrived_is_counted_again_as_far_as_ecr_lacks_it() {
        let uploads = Uploads::new();
        for (has, offset) in [(0, 1000), (400, 1000), (1000, 1000), (1001, 1001), (5000, 5000)] {
            let mut upload = Upload::new(Some(0));
            gathered(&uploads, &mut upload, 1000).await;
            assert_eq!(upload.take().len(), 1000);
            assert_eq!(upload.offset(), None, "it is not known");
            upload.found(has);
            assert_eq!(upload.offset(), Some(offset), "{has}");
        }
    }

    #[tokio::test]
    async fn who_finds_no_room_sends_on_what_comes() {
        let uploads = Uploads::new();
        let mut full = Vec::new();
        for number in 0..SLOTS {
            uploads.begin(&name(), &number.to_string());
            let mut held = hold(&uploads, &number.to_string()).await.expect("nobody else has it");
            assert_eq!(gathered(&uploads, &mut held, 10).await, Gathered::All);
            full.push(held);
        }
        let mut one_more = Upload::new(Some(0));
        assert_eq!(gathered(&uploads, &mut one_more, 10).await, Gathered::Part);
        assert_eq!(one_more.offset(), Some(0), "nothing of it was taken in");
        full.pop().expect("there are some").end();
        assert_eq!(gathered(&uploads, &mut one_more, 10).await, Gathered::All);
    }

    #[tokio::test]
    async fn an_idle_one_gives_its_room_away_and_says_so() {
        let uploads = Uploads::new();
        for number in 0..SLOTS {
            uploads.begin(&name(), &number.to_string());
            let mut held = hold(&uploads, &number.to_string()).await.expect("nobody else has it");
            gathered(&uploads, &mut held, 10).await;
        }
        let mut one_more = Upload::new(Some(0));
        assert!(!uploads.slot(&mut one_more, Instant::now()));
        assert!(uploads.slot(&mut one_more, Instant::now() + IDLE_MAX));
        let held = hold(&uploads, "0").await.expect("nobody else has it");
        assert_eq!(held.offset(), Some(0), "what was gathered is gone, and not counted");
        uploads.sweep(Duration::ZERO);
        assert_eq!(uploads.known().len(), 1, "who is held is in use");
        drop(held);
        uploads.sweep(Duration::ZERO);
        assert!(uploads.known().is_empty());
    }

    #[tokio::test]
    async fn one_request_at_a_time_has_it_and_none_when_it_is_over() {
        let uploads = Uploads::new();
        let mut held = hold(&uploads, "1").await.expect("nobody else has it");
        assert_eq!(held.has(), None, "it was begun elsewhere");
        assert!(matches!(hold(&uploads, "1").await, Err(RegistryError::UploadBusy)));
        held.end();
        drop(held);
        assert!(matches!(hold(&uploads, "1").await, Err(RegistryError::UploadUnknown)));
        uploads.forget(&name(), "1");
        assert!(hold(&uploads, "1").await.is_ok());
    }
}
