//! Bytes that stay although nothing names them any more, for as long as somebody copies what was named before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::{BlobContent, Source};

use super::{Blobs, Inner, Removal};
use crate::blocking::{blocking, to_the_end};
use crate::error::RegistryError;

/// Places that are remembered; those of more removals are found by the search for strays, like after a crash.
const REMEMBERED: usize = 100_000;

/// Who holds the bytes, and what was to be removed since.
#[derive(Default)]
pub(super) struct Holds {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    holders: usize,
    removed: Vec<BlobPlace>,
}

impl Holds {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics in the middle of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the bytes at this place have to stay for now; then they go when the last hold ends.
    ///
    /// A removal that was let through just before a hold began is no danger: the link that it follows was gone before, so a state that
    /// is copied after the hold began does not name those bytes, or was told of new ones.
    pub(super) fn keeps(&self, place: &BlobPlace) -> bool {
        let mut state = self.state();
        if state.holders > 0 && state.removed.len() < REMEMBERED {
            state.removed.push(place.clone());
        }
        state.holders > 0
    }
}

/// While it lives no bytes of blobs are removed: links go as ever, and the bytes follow when the last hold is dropped, or, if this process
/// ends before, with the search for strays.
pub struct BytesHold {
    inner: Arc<Inner>,
}

impl Drop for BytesHold {
    fn drop(&mut self) {
        let removed = {
            let mut state = self.inner.holds.state();
            state.holders -= 1;
            if state.holders > 0 { Vec::new() } else { std::mem::take(&mut state.removed) }
        };
        // Without a runtime the process is ending.
        if let (false, Ok(runtime)) = (removed.is_empty(), tokio::runtime::Handle::try_current()) {
            let inner = Arc::clone(&self.inner);
            runtime.spawn(async move { inner.remove_late(removed).await });
        }
    }
}

impl Inner {
    /// Removes what could not be removed before, if it is still in no repository.
    async fn remove_late(self: Arc<Self>, places: Vec<BlobPlace>) {
        for place in places {
            let inner = Arc::clone(&self);
            let name = place.clone();
            let removal = Removal::Aged { age_ms: 0, now: Timestamp(i64::MAX) };
            let removed = to_the_end(async move { inner.stray(&name, removal).await });
            if let Err(error) = removed.await.map_err(RegistryError::from_io).and_then(|it| it) {
                tracing::warn!(error = %error, "the bytes at {place} could not be removed; the sweep tries again");
            }
        }
    }
}

impl Blobs {
    /// Begins to hold all bytes that are there.
    pub(crate) fn hold(&self) -> BytesHold {
        self.inner.holds.state().holders += 1;
        BytesHold { inner: Arc::clone(&self.inner) }
    }

    /// Opens a blob's bytes as they lie there, compared with nothing; `None` when there are none. `place` is what the store
    /// notes.
    pub(crate) async fn open_raw(
        &self,
        digest: &Digest,
        place: Option<BlobPlace>,
    ) -> std::io::Result<Option<Box<dyn BlobContent>>> {
        let inner = &self.inner;
        let Some(place) = inner.noted(place).or_else(|| inner.bytes.place_of(digest)) else { return Ok(None) };
        let bytes = Arc::clone(&self.inner.bytes);
        blocking(move || bytes.open(&place, Source::Medium)).await
    }
}
