//! Bytes in memory: the port `BlobBytes`, for tests and for whoever wants a registry without a disk. Every upload has a place of
//! its own, which the store has to know, as in a bucket. Clones are the same bytes: they are to each other as two processes are
//! that use one bucket.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::{
    BlobBytes, BlobContent, Look, Naming, PlacePage, Reach, Seen, Settling, Source, UploadBytes, UploadList, UploadSeen,
};

/// Places in one page of a list.
const PAGE: usize = 100;

#[derive(Clone)]
struct Piece {
    bytes: Arc<Vec<u8>>,
    written: Timestamp,
}

#[derive(Default)]
struct Kept {
    places: BTreeMap<String, Piece>,
    uploads: BTreeMap<String, Piece>,
}

/// Bytes in memory.
#[derive(Clone, Default)]
pub struct MemoryBytes {
    kept: Arc<Mutex<Kept>>,
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "there is no such upload")
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length fits in 64 bits")
}

impl MemoryBytes {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whole at every moment that somebody could panic.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what lies at a place, as rot would.
    ///
    /// # Panics
    /// Nothing lies there.
    pub fn change(&self, place: &BlobPlace, change: impl FnOnce(&mut Vec<u8>)) {
        let mut kept = self.kept();
        let piece = kept.places.get_mut(place.as_str()).expect("something lies there");
        change(Arc::make_mut(&mut piece.bytes));
    }
}

impl BlobBytes for MemoryBytes {
    fn naming(&self) -> Naming {
        Naming::Store
    }

    fn place_of(&self, _digest: &Digest) -> Option<BlobPlace> {
        None
    }

    fn is_place(&self, _place: &BlobPlace) -> bool {
        true
    }

    fn upload_begin(&self, upload: &str, _reach: Reach) -> io::Result<Box<dyn UploadBytes>> {
        let begun = Piece { bytes: Arc::default(), written: now() };
        self.kept().uploads.insert(upload.to_owned(), begun);
        Ok(Box::new(MemoryUpload {
            all: self.clone(),
            upload: upload.to_owned(),
            bytes: Vec::new(),
            state: State::Open,
        }))
    }

    fn upload_find(&self, upload: &str) -> io::Result<Option<Box<dyn UploadBytes>>> {
        let Some(piece) = self.kept().uploads.get(upload).cloned() else { return Ok(None) };
        let (all, bytes) = (self.clone(), piece.bytes.to_vec());
        Ok(Some(Box::new(MemoryUpload { all, upload: upload.to_owned(), bytes, state: State::Open })))
    }

    fn upload_list(&self) -> io::Result<UploadList> {
        let kept = self.kept();
        let seen = kept.uploads.iter();
        let seen = seen.map(|(upload, piece)| UploadSeen {
            upload: upload.clone(),
            written: Some(piece.written),
            bytes: Some(piece.bytes.len() as u64),
        });
        Ok(UploadList { uploads: seen.collect(), now: None })
    }

    fn open(&self, place: &BlobPlace, _source: Source) -> io::Result<Option<Box<dyn BlobContent>>> {
        if !self.kept().places.contains_key(place.as_str()) {
            return Ok(None);
        }
        Ok(Some(Box::new(MemoryContent { all: self.clone(), at: place.as_str().to_owned() })))
    }

    fn look(&self, place: &BlobPlace, _look: Look) -> io::Result<Seen> {
        Ok(match self.kept().places.get(place.as_str()) {
            None => Seen::Gone,
            Some(piece) => Seen::There { length: Some(length(&piece.bytes)), written: Some(piece.written) },
        })
    }

    fn remove(&self, place: &BlobPlace) -> io::Result<()> {
        self.kept().places.remove(place.as_str());
        Ok(())
    }

    fn list(&self, next: Option<&str>) -> io::Result<PlacePage> {
        let kept = self.kept();
        let from = next.unwrap_or_default().to_owned();
        let mut places: Vec<BlobPlace> =
            kept.places.range(from..).take(PAGE + 1).map(|(at, _)| BlobPlace::new(at)).collect();
        let next = (places.len() > PAGE).then(|| places.pop()).flatten();
        Ok(PlacePage { places, next: next.map(|place| place.as_str().to_owned()), now: None })
    }

    fn address(&self, _place: &BlobPlace, _valid: Duration) -> io::Result<Option<String>> {
        Ok(None)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Completed,
    Kept,
}

struct MemoryUpload {
    all: MemoryBytes,
    upload: String,
    bytes: Vec<u8>,
    state: State,
}

impl MemoryUpload {
    fn piece(&self) -> Piece {
        Piece { bytes: Arc::new(self.bytes.clone()), written: now() }
    }
}

impl UploadBytes for MemoryUpload {
    fn length(&self) -> u64 {
        length(&self.bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn append_last(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.append(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.bytes.truncate(usize::try_from(length).map_err(io::Error::other)?);
        Ok(())
    }

    fn settle(&mut self, _settling: Settling) -> io::Result<()> {
        let piece = self.piece();
        let mut kept = self.all.kept();
        *kept.uploads.get_mut(&self.upload).ok_or_else(gone)? = piece;
        Ok(())
    }

    fn rest(&mut self) {}

    fn refresh(&mut self) -> io::Result<bool> {
        if self.state != State::Open {
            return Ok(false);
        }
        let bytes = self.all.kept().uploads.get(&self.upload).map(|piece| piece.bytes.to_vec()).ok_or_else(gone)?;
        // What was appended here since stays.
        let is_other = !self.bytes.starts_with(&bytes);
        if is_other {
            self.bytes = bytes;
        }
        Ok(is_other)
    }

    fn reread(&mut self) -> io::Result<Box<dyn BlobContent>> {
        self.complete()?;
        Ok(Box::new(MemoryContent { all: self.all.clone(), at: self.upload.clone() }))
    }

    fn complete(&mut self) -> io::Result<()> {
        if self.state == State::Open {
            let piece = self.piece();
            let mut kept = self.all.kept();
            kept.uploads.remove(&self.upload).ok_or_else(gone)?;
            kept.places.insert(self.upload.clone(), piece);
            self.state = State::Completed;
        }
        Ok(())
    }

    fn keep(&mut self, _digest: &Digest) -> io::Result<BlobPlace> {
        self.complete()?;
        self.state = State::Kept;
        Ok(BlobPlace::new(self.upload.clone()))
    }

    fn discard(&mut self) -> io::Result<()> {
        let mut kept = self.all.kept();
        match self.state {
            State::Open => drop(kept.uploads.remove(&self.upload)),
            State::Completed => drop(kept.places.remove(&self.upload)),
            State::Kept => {}
        }
        Ok(())
    }
}

struct MemoryContent {
    all: MemoryBytes,
    at: String,
}

impl BlobContent for MemoryContent {
    fn length(&self) -> Option<u64> {
        self.all.kept().places.get(&self.at).map(|piece| length(&piece.bytes))
    }

    fn read(&self, into: &mut Vec<u8>, most: usize, offset: u64, _until: u64) -> io::Result<usize> {
        let kept = self.all.kept();
        let piece = kept.places.get(&self.at).ok_or(io::ErrorKind::NotFound)?;
        let left = usize::try_from(offset).ok().and_then(|offset| piece.bytes.get(offset..)).unwrap_or_default();
        let wanted = &left[..most.min(left.len())];
        into.extend_from_slice(wanted);
        Ok(wanted.len())
    }

    fn is_current(&self) -> io::Result<bool> {
        Ok(self.all.kept().places.contains_key(&self.at))
    }
}
