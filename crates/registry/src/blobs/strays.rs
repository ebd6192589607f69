//! Bytes that no repository holds: what a crash between them and their link has left, what was pushed again to another place,
//! or what could not be removed. They cost space and nothing else.

use std::sync::Arc;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::{Look, Seen};

use super::{Blobs, Inner};
use crate::blocking::{blocking, to_the_end};
use crate::error::{RegistryError, chain};

/// How many places, and how many bytes they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Strays {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Places that could not be looked at or removed.
    pub(crate) failed: u64,
}

/// What becomes of a stray.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It stays.
    None,
    /// It goes, if it was last written to `age_ms` before `now` or earlier.
    Aged { age_ms: i64, now: Timestamp },
}

impl Removal {
    /// With the time by the clock that dates what is there, where that is another one and earlier: else a machine whose clock is ahead
    /// would take what is being pushed at this moment for old.
    fn not_after(self, dated: Option<Timestamp>) -> Self {
        match (self, dated) {
            (Self::Aged { age_ms, now }, Some(dated)) => Self::Aged { age_ms, now: now.min(dated) },
            (removal, _) => removal,
        }
    }
}

impl Inner {
    /// Looks at a place that no repository holds a blob at, as it seems; answers its length when it is a stray and was dealt with.
    ///
    /// Where the digest says the place, nobody is between bytes and their link under the digest's lock: bytes without a link are a
    /// stray, not a push on its way. Whoever pushes afterwards brings bytes of his own. Where the store
    /// does, it is their age that says so: no upload goes on for as long.
    pub(super) async fn stray(&self, place: &BlobPlace, removal: Removal) -> Result<Option<u64>, RegistryError> {
        let digest = self.digest_at(place);
        let _lock = match &digest {
            Some(digest) => Some(self.locks.lock(digest).await),
            None => None,
        };
        let is_held = match &digest {
            Some(digest) => {
                !self.store.blob_holders(digest).await?.is_empty()
                    && self.noted(self.store.blob_place(digest).await?).is_none()
            }
            None => self.unheld(std::slice::from_ref(place)).await?.is_empty(),
        };
        if is_held {
            return Ok(None);
        }
        let Seen::There { length, written } = self.look(place, Look::Closely).await? else { return Ok(None) };
        if let Removal::Aged { age_ms, now } = removal {
            if written.is_none_or(|written| written.0 > now.0.saturating_sub(age_ms)) {
                return Ok(None);
            }
            self.remove(place.clone()).await?;
        }
        Ok(Some(length.unwrap_or_default()))
    }

    /// Those of these places that no repository holds a blob at.
    async fn unheld(&self, places: &[BlobPlace]) -> Result<Vec<BlobPlace>, RegistryError> {
        let (mut digests, mut noted) = (Vec::new(), Vec::new());
        for place in places {
            match self.digest_at(place) {
                Some(digest) => digests.push(digest),
                None => noted.push(place.clone()),
            }
        }
        let mut unheld = match noted.as_slice() {
            [] => Vec::new(),
            noted => self.store.place_unheld(noted).await?,
        };
        if !digests.is_empty() {
            let free = self.store.blob_unheld(&digests).await?;
            unheld.extend(free.iter().filter_map(|digest| self.bytes.place_of(digest)));
        }
        Ok(unheld)
    }

    /// The digest that says this place.
    fn digest_at(&self, place: &BlobPlace) -> Option<Digest> {
        Digest::parse(place.as_str()).ok().filter(|digest| self.bytes.place_of(digest).as_ref() == Some(place))
    }
}

impl Blobs {
    /// Goes through all places and counts the strays that it deals with. One that fails holds up no other.
    pub(crate) async fn strays(&self, removal: Removal) -> Result<Strays, RegistryError> {
        let mut strays = Strays::default();
        let mut next: Option<String> = None;
        loop {
            let bytes = Arc::clone(&self.inner.bytes);
            let page = blocking(move || bytes.list(next.as_deref())).await.map_err(RegistryError::from_io)?;
            let removal = removal.not_after(page.now);
            if !page.places.is_empty() {
                for place in self.inner.unheld(&page.places).await? {
                    let inner = Arc::clone(&self.inner);
                    let at = place.clone();
                    let dealt = to_the_end(async move { inner.stray(&at, removal).await });
                    match dealt.await.map_err(RegistryError::from_io).and_then(|dealt| dealt) {
                        Ok(Some(bytes)) => {
                            strays.files += 1;
                            strays.bytes += bytes;
                        }
                        Ok(None) => {}
                        Err(error) => {
                            strays.failed += 1;
                            tracing::warn!(
                                error = chain(&error),
                                "bytes that no repository holds could not be removed: {}",
                                place.as_str()
                            );
                        }
                    }
                }
            }
            next = page.next;
            if next.is_none() {
                return Ok(strays);
            }
        }
    }
}
