//! One upload on its way into the bucket.
//!
//! In memory is the beginning of the next part and nothing else. It becomes a part when it is full and more comes, when the upload
//! is completed, or when it was settled as a whole. Parts before the last one must have [`PART`] bytes, so what was settled as a
//! chunk lies as an object of its own meanwhile, where every server can take it up. A rest that was settled as a part can't be
//! read by another server before the end: there it is not counted, and a client that goes on there sends it again.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::{BlobContent, Reach, Seen, Settling, UploadBytes};

use super::UPLOAD_LIFE;
use super::bucket::{Bucket, Multipart, Part, found, now};
use super::content::S3Content;

/// Bytes of a part. S3 takes 10,000 of them, the last one of any size, all others of 5 MiB at least: 78 GiB in all.
pub(super) const PART: usize = 8 << 20;
/// Tries of what decides about all of an upload, beside those of the SDK.
const TRIES: u32 = 4;
/// How much may wait in memory for the next request, of all uploads. What does not fit is read again, or sent again.
const WAITING_MAX: usize = 128 << 20;

/// How much of uploads that nobody writes to is in memory.
#[derive(Default)]
pub(super) struct Waiting(AtomicUsize);

/// How far an upload is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Open,
    /// It is an object, at this place and of this length.
    Completed {
        place: String,
        length: u64,
        by: Completion,
    },
    /// That belongs to a blob now.
    Kept,
    Gone,
}

/// What made an object of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Completion {
    /// This server wrote it, at a place that nobody else knows.
    Written,
    /// Parts were put together. Another server may have done so before, and have made a blob of it: S3 says yes to a completion that
    /// repeats another one.
    Answered,
    /// The same, but the answer was lost, and the object may be of another server's parts.
    Inferred,
}

/// Where the bytes after the last whole part are, as S3 has them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rest {
    /// Nowhere, or not as they are now.
    None,
    /// In an object.
    Object,
    /// In a part, which can't be read.
    Part(Part),
}

/// The one who may write to an upload in this process.
pub(super) struct S3Upload {
    bucket: Bucket,
    waiting: Arc<Waiting>,
    upload: String,
    /// None while nobody else has to find it, and it has no part.
    multipart: Option<Multipart>,
    /// Parts of [`PART`] bytes.
    parts: Vec<Part>,
    /// What comes after them.
    buffer: Vec<u8>,
    rest: Rest,
    /// How long the object with the rest is, when it is not in memory.
    away: usize,
    /// What was counted of the buffer while nobody writes.
    counted: usize,
    /// The objects with a rest that were made.
    tails: Vec<String>,
    begun: Timestamp,
    stage: Stage,
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the upload is over")
}

fn length_of(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length fits in 64 bits")
}

impl S3Upload {
    fn new(bucket: Bucket, waiting: Arc<Waiting>, upload: &str, multipart: Option<Multipart>) -> Self {
        let begun = multipart.as_ref().map_or_else(now, |it| it.begun);
        Self {
            bucket,
            waiting,
            upload: upload.to_owned(),
            multipart,
            parts: Vec::new(),
            buffer: Vec::new(),
            rest: Rest::None,
            away: 0,
            counted: 0,
            tails: Vec::new(),
            begun,
            stage: Stage::Open,
        }
    }

    pub(super) fn begin(bucket: Bucket, waiting: Arc<Waiting>, upload: &str, reach: Reach) -> io::Result<Self> {
        let mut this = Self::new(bucket, waiting, upload, None);
        if reach == Reach::Named {
            this.multipart()?;
        }
        Ok(this)
    }

    pub(super) fn find(bucket: Bucket, waiting: Arc<Waiting>, upload: &str) -> io::Result<Option<Self>> {
        // Of several, all but the last are such whose begin was answered to nobody.
        let (all, _) = bucket.uploads(&format!("{upload}/"))?;
        let Some(multipart) = all.into_iter().max_by_key(|multipart| multipart.begun.0) else { return Ok(None) };
        let mut this = Self::new(bucket, waiting, upload, Some(multipart));
        match found(this.load())? {
            None => Ok(None),
            Some(()) => Ok(Some(this)),
        }
    }

    /// Reads what S3 has of the upload.
    fn load(&mut self) -> io::Result<()> {
        let multipart = self.multipart.as_ref().ok_or_else(over)?;
        let mut parts = self.bucket.parts(&multipart.place, &multipart.id)?;
        let is_whole = |(at, part): (usize, &Part)| part.size == length_of(PART) && part.number == number(at);
        let whole = parts.iter().enumerate().take_while(|it| is_whole(*it)).count();
        let rest = parts.drain(whole..).find(|part| part.number == number(whole));
        self.parts = parts;
        self.rest = rest.map_or(Rest::None, Rest::Part);
        self.buffer.clear();
        let tail = self.tail();
        if self.rest == Rest::None
            && let Some(bytes) = found(self.read_tail(&tail))?
        {
            (self.buffer, self.rest) = (bytes, Rest::Object);
            self.tails.push(tail);
        }
        Ok(())
    }

    /// The place of the object with what comes after the parts.
    fn tail(&self) -> String {
        format!("{}/tail-{}", self.upload, self.parts.len())
    }

    fn read_tail(&self, tail: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        S3Content::new(self.bucket.clone(), tail).read(&mut bytes, PART, 0, u64::MAX)?;
        Ok(bytes)
    }

    /// A place that nobody ever had.
    fn place(&self) -> String {
        // Its keys come from the system's randomness.
        format!("{}/{:016x}", self.upload, RandomState::new().build_hasher().finish())
    }

    /// The upload in S3, begun if need be.
    fn multipart(&mut self) -> io::Result<Multipart> {
        if let Some(multipart) = &self.multipart {
            return Ok(multipart.clone());
        }
        let mut tries = 1;
        loop {
            let place = self.place();
            match self.bucket.begin(&place) {
                Ok(id) => {
                    let multipart = Multipart { place, id, begun: now() };
                    self.multipart = Some(multipart.clone());
                    return Ok(multipart);
                }
                Err(error) if error.kind() == io::ErrorKind::TimedOut && tries < TRIES => {
                    self.bucket.pause(tries);
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a rest back into memory that lies in an object.
    fn recall(&mut self) -> io::Result<()> {
        if self.away > 0 {
            self.buffer = self.read_tail(&self.tail())?;
            if self.buffer.len() != self.away {
                self.buffer.clear();
                return Err(over());
            }
            self.away = 0;
        }
        Ok(())
    }

    /// Lends what is in memory to a call. A copy would be a second part of memory for the upload.
    fn lend<T>(&mut self, call: impl FnOnce(&Self, Bytes) -> T) -> T {
        let bytes = Bytes::from(std::mem::take(&mut self.buffer));
        let answer = call(self, bytes.clone());
        // The call has let go of them, so these are the same bytes and no copy.
        self.buffer = bytes.into();
        answer
    }

    /// Makes what is in memory a part.
    fn send(&mut self) -> io::Result<Part> {
        let multipart = self.multipart()?;
        let number = number(self.parts.len());
        self.lend(|this, bytes| this.bucket.part(&multipart.place, &multipart.id, number, bytes))
    }

    /// Makes what is in memory, which is a part's size, one of the whole parts.
    fn send_whole(&mut self) -> io::Result<()> {
        let part = self.send()?;
        self.parts.push(part);
        self.buffer.clear();
        self.rest = Rest::None;
        Ok(())
    }

    /// What is in memory is not what S3 has.
    fn changed(&mut self) {
        self.rest = Rest::None;
    }

    fn whole(&self) -> u64 {
        length_of(self.parts.len()) * length_of(PART)
    }

    fn open(&self) -> io::Result<()> {
        let age = now().0.saturating_sub(self.begun.0);
        let too_old = u128::try_from(age).is_ok_and(|age| age > UPLOAD_LIFE.as_millis());
        if self.stage == Stage::Open && !too_old { Ok(()) } else { Err(over()) }
    }

    /// Makes an object of it.
    fn finish(&mut self) -> io::Result<Stage> {
        self.recall()?;
        if self.multipart.is_none() || (self.parts.is_empty() && self.buffer.is_empty() && self.rest == Rest::None) {
            let (place, length) = (self.place(), length_of(self.buffer.len()));
            self.bucket.put(&place, std::mem::take(&mut self.buffer).into())?;
            if let Some(multipart) = self.multipart.take() {
                // What is left of it goes by itself.
                self.bucket.abort(&multipart.place, &multipart.id).ok();
            }
            return Ok(Stage::Completed { place, length, by: Completion::Written });
        }
        if !self.buffer.is_empty() && !matches!(self.rest, Rest::Part(_)) {
            self.rest = Rest::Part(self.send()?);
        }
        let multipart = self.multipart()?;
        let mut parts: Vec<&Part> = self.parts.iter().collect();
        if let Rest::Part(part) = &self.rest {
            parts.push(part);
        }
        let length = parts.iter().map(|part| part.size).sum();
        let mut tries = 1;
        let mut by = Completion::Answered;
        while let Err(error) = self.bucket.complete(&multipart.place, &multipart.id, &parts) {
            // Without an answer it may have been done, and the repetition finds nothing to complete. Where there was none to lose, somebody
            // else has ended the upload.
            let is_lost = error.kind() == io::ErrorKind::TimedOut;
            if is_lost || tries > 1 {
                match self.bucket.head(&multipart.place) {
                    Ok(Seen::There { length: Some(there), .. }) if there == length => {
                        by = Completion::Inferred;
                        break;
                    }
                    _ => {}
                }
            }
            if !is_lost || tries == TRIES {
                return Err(error);
            }
            self.bucket.pause(tries);
            tries += 1;
        }
        Ok(Stage::Completed { place: multipart.place, length, by })
    }

    /// Counts what is in memory as waiting, and no more than that; answers whether there is room for it. It stays counted until something
    /// else is in memory.
    fn count(&mut self) -> bool {
        self.uncount();
        self.buffer.shrink_to_fit();
        let needed = self.buffer.capacity();
        let before = self.waiting.0.fetch_add(needed, Ordering::AcqRel);
        self.counted = needed;
        let has_room = before + needed <= WAITING_MAX;
        if !has_room && !matches!(self.rest, Rest::Part(_)) {
            self.uncount();
        }
        has_room
    }

    fn uncount(&mut self) {
        self.waiting.0.fetch_sub(std::mem::take(&mut self.counted), Ordering::AcqRel);
    }

    /// Takes the objects with a rest away. Those that stay are strays.
    fn sweep(&mut self) {
        for tail in std::mem::take(&mut self.tails) {
            if let Err(error) = self.bucket.delete(&tail) {
                tracing::debug!(error = %error, "the rest of an upload stays until it is swept");
            }
        }
    }
}

/// The number of the part at an index.
fn number(at: usize) -> i32 {
    i32::try_from(at + 1).unwrap_or(i32::MAX)
}

impl UploadBytes for S3Upload {
    fn length(&self) -> u64 {
        match &self.stage {
            Stage::Completed { length, .. } => *length,
            _ => self.whole() + length_of(self.buffer.len().max(self.away)),
        }
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.open()?;
        self.recall()?;
        let before = self.buffer.len();
        let mut left = bytes;
        while !left.is_empty() {
            if self.buffer.len() == PART
                && let Err(error) = self.send_whole()
            {
                self.buffer.truncate(before);
                return Err(error);
            }
            let (now, later) = left.split_at((PART - self.buffer.len()).min(left.len()));
            self.buffer.extend_from_slice(now);
            self.changed();
            left = later;
        }
        Ok(())
    }

    fn append_last(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.append(bytes)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.open()?;
        self.recall()?;
        let whole = self.whole();
        let keep = length.checked_sub(whole).and_then(|keep| usize::try_from(keep).ok());
        let keep = keep.ok_or_else(|| io::Error::other("a part that was sent can't be taken back"))?;
        if keep < self.buffer.len() {
            self.buffer.truncate(keep);
            self.changed();
        }
        Ok(())
    }

    fn settle(&mut self, settling: Settling) -> io::Result<()> {
        self.open()?;
        if self.buffer.is_empty() || self.rest != Rest::None {
            return Ok(());
        }
        if self.buffer.len() == PART {
            return self.send_whole();
        }
        match settling {
            Settling::Whole if self.count() => self.rest = Rest::Part(self.send()?),
            // Where much waits already it must be possible to let go of it, and to read it again.
            Settling::Whole | Settling::Chunk => {
                let tail = self.tail();
                self.lend(|this, bytes| this.bucket.put(&tail, bytes))?;
                if !self.tails.contains(&tail) {
                    self.tails.push(tail);
                }
                self.rest = Rest::Object;
            }
        }
        Ok(())
    }

    fn rest(&mut self) {
        // What memory has let go of already stays as it is.
        if self.buffer.is_empty() {
            self.uncount();
            return;
        }
        // One that lies in a part has its place since it was settled: it could not be read again.
        if !self.count() && !matches!(self.rest, Rest::Part(_)) {
            let buffer = std::mem::take(&mut self.buffer);
            if self.rest == Rest::Object {
                self.away = buffer.len();
            }
        }
    }

    fn refresh(&mut self) -> io::Result<bool> {
        let (Stage::Open, Some(multipart)) = (&self.stage, &self.multipart) else { return Ok(false) };
        let mut there =
            Self::new(self.bucket.clone(), Arc::clone(&self.waiting), &self.upload, Some(multipart.clone()));
        there.load()?;
        self.recall()?;
        let is_ours = there.parts.iter().map(|part| &part.tag).eq(self.parts.iter().map(|part| &part.tag))
            && self.buffer.starts_with(&there.buffer)
            && match (&there.rest, &self.rest) {
                (Rest::Part(there), Rest::Part(ours)) => there.tag == ours.tag,
                (Rest::Part(there), _) => there.size <= length_of(self.buffer.len()),
                _ => true,
            };
        if is_ours {
            return Ok(false);
        }
        self.parts = std::mem::take(&mut there.parts);
        self.buffer = std::mem::take(&mut there.buffer);
        self.rest = std::mem::replace(&mut there.rest, Rest::None);
        self.tails.append(&mut there.tails);
        Ok(true)
    }

    fn reread(&mut self) -> io::Result<Box<dyn BlobContent>> {
        self.complete()?;
        match &self.stage {
            Stage::Completed { place, .. } => Ok(Box::new(S3Content::new(self.bucket.clone(), place))),
            _ => Err(over()),
        }
    }

    fn complete(&mut self) -> io::Result<()> {
        if matches!(self.stage, Stage::Completed { .. }) {
            return Ok(());
        }
        self.open()?;
        self.stage = self.finish()?;
        self.buffer = Vec::new();
        self.uncount();
        self.sweep();
        Ok(())
    }

    fn is_inferred(&self) -> bool {
        matches!(self.stage, Stage::Completed { by: Completion::Inferred, .. })
    }

    fn is_shared(&self) -> bool {
        match &self.stage {
            Stage::Completed { by: Completion::Answered, .. } => !self.bucket.is_alone,
            Stage::Completed { by: Completion::Inferred, .. } => true,
            _ => false,
        }
    }

    fn keep(&mut self, _digest: &Digest) -> io::Result<BlobPlace> {
        self.complete()?;
        match std::mem::replace(&mut self.stage, Stage::Kept) {
            Stage::Completed { place, .. } => Ok(BlobPlace::new(place)),
            _ => Err(over()),
        }
    }

    fn discard(&mut self) -> io::Result<()> {
        let is_shared = self.is_shared();
        let stage = std::mem::replace(&mut self.stage, Stage::Gone);
        if stage == Stage::Kept {
            return Ok(());
        }
        self.buffer = Vec::new();
        self.uncount();
        self.sweep();
        match (stage, self.multipart.take()) {
            // It may be a blob's already, of whoever has completed it. If it is not, it is a stray.
            (Stage::Completed { .. }, _) if is_shared => Ok(()),
            (Stage::Completed { place, .. }, _) => self.bucket.delete(&place),
            (Stage::Open, Some(multipart)) => self.bucket.abort(&multipart.place, &multipart.id),
            _ => Ok(()),
        }
    }
}

impl Drop for S3Upload {
    fn drop(&mut self) {
        self.uncount();
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::{BehaviorVersion, Config};
    use layer0_testkit::s3::FakeS3;
    use tokio::runtime::Handle;

    use super::super::{S3Bytes, S3Client};
    use super::*;

    /// A client that looks at its upload again and again is told each time what has come.
    #[tokio::test]
    async fn what_memory_has_let_go_of_stays_known_while_much_waits() {
        let client = S3Client::from_conf(Config::builder().behavior_version(BehaviorVersion::v2026_01_12()).build());
        let bucket = S3Bytes::new(client, FakeS3::BUCKET, "l0", Handle::current()).bucket;
        let waiting = Arc::new(Waiting(AtomicUsize::new(WAITING_MAX + 1)));
        let mut upload = S3Upload::new(bucket, Arc::clone(&waiting), "upload", None);
        (upload.buffer, upload.rest) = (vec![0; 5], Rest::Object);
        for _ in 0..3 {
            upload.rest();
            assert_eq!((upload.length(), upload.buffer.len()), (5, 0));
        }
        assert_eq!(waiting.0.load(Ordering::Acquire), WAITING_MAX + 1);
    }
}
