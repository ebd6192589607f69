//! The port `BlobBytes`: where the bytes of blobs lie, and those of uploads that are not finished. Which repository holds
//! which blob, and whether its content is right, is not its business.
//!
//! ```text
//!            upload_begin          append, settle            complete, keep
//!   (none) ───────────────▶ open ──────────────────▶ open ──────────────────▶ at a place
//!                            └────────── discard ─────────▶ gone ◀── remove ──────┘
//! ```
//! Calls may block for as long as a disk or a network takes: callers are on threads for that. The trait is not asynchronous,
//! because on a disk every call would be a hop to such a thread, of which the registry makes one for a whole batch of bytes.
//!
//! Errors are those of `std::io`, by what a caller can do: `StorageFull` and `QuotaExceeded`, nothing more can be kept;
//! `TimedOut`, `WouldBlock`, `ConnectionReset` and what else says that it could not be reached now, try again; all others,
//! somebody has to look.

use std::io;
use std::time::Duration;

use crate::model::digest::Digest;
use crate::model::registry::BlobPlace;
use crate::model::time::Timestamp;

/// Who knows the place of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Its digest says it, where the store notes no other (`RegistryStore::blob_place`). At the place of its digest a blob has
    /// new bytes when it is pushed again; any other is one upload's, used once and never again. One process at a time uses it.
    Digest,
    /// The store does (`RegistryStore::blob_place`): every upload has a place of its own, which is used once and never again.
    /// So several processes may use it at once.
    Store,
}

/// Who can go on with an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Whoever knows its name: it must be found from its begin on.
    Named,
    /// Its beginner alone, who tells its name to nobody.
    Private,
}

/// What comes after bytes that are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settling {
    /// More of them, most likely: they came as a chunk of something.
    Chunk,
    /// The end, most likely: they came as a whole.
    Whole,
}

/// How closely is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// So that it costs next to nothing, or not at all.
    Glance,
    /// So that the answer is true now.
    Closely,
}

/// What is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing.
    Gone,
    /// Bytes, as far as a glance tells.
    There {
        /// How many; `None` when only a close look tells.
        length: Option<u64>,
        /// When they were written, or begun to be; later where they share a file with others, and a glance does not tell them
        /// apart; `None` when only a close look tells.
        written: Option<Timestamp>,
    },
}

/// Where bytes are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From wherever is quickest.
    Any,
    /// From where they would be after a restart, as far as that can be had.
    Medium,
}

/// An upload that was begun and is not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadSeen {
    /// Its name.
    pub upload: String,
    /// When it was last written to; `None` when it went meanwhile.
    pub written: Option<Timestamp>,
    /// How many bytes it has; `None` where a list does not say it.
    pub bytes: Option<u64>,
}

/// The uploads that were begun and are not finished.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UploadList {
    /// The uploads.
    pub uploads: Vec<UploadSeen>,
    /// The time when they were listed, by the clock that dates them; `None` where that is this machine's. Ages are reckoned by the
    /// earlier one of both: a clock that is wrong makes nothing old that is young.
    pub now: Option<Timestamp>,
}

/// Some of the places that have bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlacePage {
    /// The places; may be none, though there are more.
    pub places: Vec<BlobPlace>,
    /// What to ask for the next ones with; `None` when these are the last.
    pub next: Option<String>,
    /// As [`UploadList::now`].
    pub now: Option<Timestamp>,
}

/// Where bytes lie.
pub trait BlobBytes: Send + Sync {
    /// Who knows the place of a blob.
    fn naming(&self) -> Naming;

    /// The place of a blob of which none was noted, when its digest says it ([`Naming::Digest`]).
    fn place_of(&self, digest: &Digest) -> Option<BlobPlace>;

    /// Whether these are the words of a place here. A state that was copied out of one kind of place and is used with another may
    /// name some that are not.
    fn is_place(&self, place: &BlobPlace) -> bool;

    /// Begins an upload of this name (letters, digits and hyphens), of which there is none.
    ///
    /// # Errors
    /// As all of them.
    fn upload_begin(&self, upload: &str, reach: Reach) -> io::Result<Box<dyn UploadBytes>>;

    /// As [`BlobBytes::upload_begin`], when nothing has to be waited for; `None` says nothing, and nothing was begun.
    fn upload_begin_ready(&self, _upload: &str) -> Option<Box<dyn UploadBytes>> {
        None
    }

    /// Finds an upload that was begun, here or in a process that is gone, or, with [`Naming::Store`], in another one; `None` when
    /// there is none, or one with nothing in it of a process that is gone. All that was settled as a chunk is there. Of what was
    /// settled as a whole, the end may not be there to be gone
    /// on with: then it is not counted, but belongs to what is completed when nothing is appended.
    ///
    /// # Errors
    /// As all of them.
    fn upload_find(&self, upload: &str) -> io::Result<Option<Box<dyn UploadBytes>>>;

    /// The uploads that are there.
    ///
    /// # Errors
    /// As all of them.
    fn upload_list(&self) -> io::Result<UploadList>;

    /// Opens a blob's bytes; `None` when there are none. Where asking costs a call, the first read tells instead (`NotFound`).
    /// They stay readable when the blob is removed, as far as they can.
    ///
    /// # Errors
    /// As all of them.
    fn open(&self, place: &BlobPlace, source: Source) -> io::Result<Option<Box<dyn BlobContent>>>;

    /// As [`BlobBytes::open`], when it is certain that nothing has to be waited for, be it a disk or a network; `None` says nothing.
    /// Of what is asked for all the time most is in memory, and then it takes less time than handing it to a thread.
    fn open_ready(&self, _place: &BlobPlace) -> Option<Box<dyn BlobContent>> {
        None
    }

    /// What is at a place.
    ///
    /// # Errors
    /// As all of them.
    fn look(&self, place: &BlobPlace, look: Look) -> io::Result<Seen>;

    /// As a glance by [`BlobBytes::look`], when it is certain that nothing has to be waited for; `None` says nothing.
    fn look_ready(&self, _place: &BlobPlace) -> Option<Seen> {
        None
    }

    /// Takes the bytes away. None there is no error.
    ///
    /// # Errors
    /// As all of them.
    fn remove(&self, place: &BlobPlace) -> io::Result<()>;

    /// The places that have bytes, those of uploads included where they lie there already.
    ///
    /// # Errors
    /// As all of them.
    fn list(&self, next: Option<&str>) -> io::Result<PlacePage>;

    /// An address that anybody can fetch the bytes from for so long; `None` when there is no such thing.
    ///
    /// # Errors
    /// As all of them.
    fn address(&self, place: &BlobPlace, valid: Duration) -> io::Result<Option<String>>;
}

/// The one who may write to an upload. Dropping it loses nothing that was settled.
pub trait UploadBytes: Send {
    /// How many bytes it has.
    fn length(&self) -> u64;

    /// Adds bytes at the end. After an error it is as long as before, as far as that can be.
    ///
    /// # Errors
    /// As all of them.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Adds the last bytes: nothing comes after them but the end, in this process. So they need not be found by anybody before.
    ///
    /// # Errors
    /// As [`UploadBytes::append`].
    fn append_last(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Takes all bytes from here on back.
    ///
    /// # Errors
    /// As all of them, and when they can't be taken back any more.
    fn truncate(&mut self, length: u64) -> io::Result<()>;

    /// Returns when what was appended is found by whoever finds the upload, in this process or any other after it.
    ///
    /// # Errors
    /// As all of them.
    fn settle(&mut self, settling: Settling) -> io::Result<()>;

    /// Lets go of what costs something while nobody writes; of bytes that were not settled, perhaps. What was kept can be removed from
    /// then on, and not before. Does not block.
    fn rest(&mut self);

    /// Looks whether another process has written to it; answers whether there is anything else than before.
    ///
    /// # Errors
    /// As all of them.
    fn refresh(&mut self) -> io::Result<bool>;

    /// All bytes, to be read again. Nothing can be appended afterwards.
    ///
    /// # Errors
    /// As all of them.
    fn reread(&mut self) -> io::Result<Box<dyn BlobContent>>;

    /// Returns when all bytes are kept for good, under no blob's name yet.
    ///
    /// # Errors
    /// As all of them. It is not known then what is kept.
    fn complete(&mut self) -> io::Result<()>;

    /// Whether what was completed may be what another process has appended: then it is read before it is taken for what was appended
    /// here.
    fn is_inferred(&self) -> bool {
        false
    }

    /// Whether another process may have completed the same, and have made a blob of it: then nobody takes it away but who knows that no
    /// blob lies there. What is inferred is shared.
    fn is_shared(&self) -> bool {
        false
    }

    /// Makes what was completed the bytes of a blob, and answers their place. At the place that the digest says they take that of what
    /// is there. The upload is over.
    ///
    /// # Errors
    /// As all of them.
    fn keep(&mut self, digest: &Digest) -> io::Result<BlobPlace>;

    /// Ends the upload and takes its bytes away, but for those that were kept or are [shared](UploadBytes::is_shared). One that is gone is
    /// no error.
    ///
    /// # Errors
    /// As all of them.
    fn discard(&mut self) -> io::Result<()>;
}

/// Bytes that are open for reading.
pub trait BlobContent: Send + Sync {
    /// How many there are; `None` when only reading tells.
    fn length(&self) -> Option<u64>;

    /// Appends up to `most` bytes from `offset` on to `into`, and answers how many; none at the end only. `until` says how far
    /// will be read on from here, as far as that is known; `u64::MAX` for the end.
    ///
    /// # Errors
    /// As all of them; `NotFound` when there is nothing at the place.
    fn read(&self, into: &mut Vec<u8>, most: usize, offset: u64, until: u64) -> io::Result<usize>;

    /// Fills `into` from `offset` on, when it is certain that nothing has to be waited for; else answers `false`, with anything in it.
    fn read_ready(&self, _into: &mut [u8], _offset: u64) -> bool {
        false
    }

    /// Whether the place still has these bytes, and no others in their place.
    ///
    /// # Errors
    /// As all of them.
    fn is_current(&self) -> io::Result<bool>;
}
