//! What the unfinished uploads of an owner hold.
//!
//! A quota bounds what an owner's repositories hold, by the write that links a blob. What comes before that write lies there too, for
//! as long as nobody finishes it: so it is bounded by the same number, or by what the owner holds, where that is more: blobs of
//! which it holds each already cost it nothing, and can be pushed again. What does not fit ends the upload, so that an owner
//! does not stand in its own way until what it was refused expires.
//!
//! It is counted in memory, in each process for itself. What an earlier process has left counts as soon as somebody goes on with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::port::registry_store::{RegistryStore, Room};

use super::Uploads;
use crate::error::RegistryError;

/// What bounds nobody.
const UNBOUNDED: u64 = u64::MAX;

/// Of one owner.
pub(crate) struct Staged {
    owner: OwnerName,
    bytes: AtomicU64,
    /// The most that it may be.
    most: AtomicU64,
    /// Whoever looks whether what is counted is still there.
    turn: tokio::sync::Mutex<()>,
}

impl Staged {
    /// Of an owner whose room is not known yet.
    pub(super) fn new(owner: OwnerName) -> Self {
        Self { owner, bytes: AtomicU64::new(0), most: AtomicU64::new(UNBOUNDED), turn: tokio::sync::Mutex::default() }
    }

    /// Notes how much the owner may hold.
    pub(super) fn bound(&self, room: Option<Room>) {
        self.most.store(room.map_or(UNBOUNDED, Room::blob_max), Ordering::Release);
    }
}

/// What one upload has of it; given back when dropped.
pub(crate) struct Share {
    /// `None` for what a client does not decide about.
    of: Option<Arc<Staged>>,
    bytes: u64,
}

impl Share {
    /// Of nobody's, which is not counted.
    pub(crate) fn nobodys() -> Self {
        Self { of: None, bytes: 0 }
    }

    /// Of an owner's, with nothing yet.
    pub(super) fn new(of: Arc<Staged>) -> Self {
        Self { of: Some(of), bytes: 0 }
    }

    /// What it is a share of.
    pub(super) fn of(&self) -> Option<&Arc<Staged>> {
        self.of.as_ref()
    }

    /// Takes so much more, if it fits.
    pub(super) fn claim(&mut self, more: u64) -> Result<(), RegistryError> {
        // An upload that is only ended needs nothing.
        let (Some(of), true) = (&self.of, more > 0) else { return Ok(()) };
        let most = of.most.load(Ordering::Acquire);
        let added = |bytes: u64| bytes.checked_add(more).filter(|sum| *sum <= most);
        match of.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, added) {
            Ok(_) => {
                self.bytes += more;
                Ok(())
            }
            Err(_) if self.bytes.saturating_add(more) > most => Err(RegistryError::Denied(format!(
                "owner {} may hold {most} bytes, and this upload has more; have the quota raised (`l0 owner update`)",
                of.owner
            ))),
            Err(held) => Err(RegistryError::Denied(format!(
                "owner {} may hold {most} bytes, and its unfinished uploads have {held} already: {more} more do not fit; \
                 finish or cancel them, or have the quota raised (`l0 owner update`)",
                of.owner
            ))),
        }
    }

    /// Notes how much it is, whether that fits or not.
    pub(super) fn set(&mut self, bytes: u64) {
        let Some(of) = &self.of else { return };
        if bytes > self.bytes {
            of.bytes.fetch_add(bytes - self.bytes, Ordering::AcqRel);
        } else if bytes < self.bytes {
            of.bytes.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
        }
        self.bytes = bytes;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What may make room after all: the quota was raised, or what is counted has gone.
#[derive(Clone, Copy)]
pub(crate) struct Relief<'a> {
    /// Where it is counted.
    pub(crate) uploads: &'a Uploads,
    /// Who knows the quota.
    pub(crate) store: &'a dyn RegistryStore,
    /// The repository that is pushed to.
    pub(crate) repository: &'a RepositoryName,
}

impl Relief<'_> {
    /// Looks again what an owner may hold, and what its uploads do.
    pub(super) async fn come(self, of: &Staged) -> Result<(), RegistryError> {
        of.bound(self.store.room(self.repository).await?);
        // One at a time: whoever waited finds what the one before has found.
        let _turn = of.turn.lock().await;
        self.uploads.recount(of).await
    }
}
