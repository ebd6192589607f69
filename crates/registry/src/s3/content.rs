//! An object that is open for reading: one request for all that is read in a row, gone on with where it breaks.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use layer0_domain::port::blob_bytes::BlobContent;

use super::bucket::Bucket;

/// How long S3 may be silent in the middle of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// How often what breaks inside of an answer is asked for. What S3 does not answer at all is repeated by the client alone.
const TRIES: u32 = 4;
/// The pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(50);

/// An object.
pub(super) struct S3Content {
    bucket: Bucket,
    place: String,
    open: Mutex<Option<Open>>,
}

/// An answer that is being read.
struct Open {
    stream: ByteStream,
    /// What has come and was not read yet.
    rest: Bytes,
    /// Where `rest` begins, and where the answer ends.
    offset: u64,
    end: u64,
    /// How long the object is.
    length: u64,
}

/// The length of the whole, out of `bytes 0-9/100`.
fn whole(range: &str) -> Option<u64> {
    range.rsplit_once('/')?.1.parse().ok()
}

fn broken(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("GetObject of S3 broke off: {why}"))
}

impl S3Content {
    pub(super) fn new(bucket: Bucket, place: &str) -> Self {
        Self { bucket, place: place.to_owned(), open: Mutex::default() }
    }

    /// Asks for the bytes from an offset on. What S3 did not answer, the client has asked for as often as is worth it.
    async fn opened(&self, offset: u64, until: u64) -> io::Result<Option<Open>> {
        let Some(answer) = self.bucket.get(&self.place, offset, until).await? else { return Ok(None) };
        let came = answer.content_length.and_then(|length| u64::try_from(length).ok()).unwrap_or_default();
        let (begin, length) = match answer.content_range.as_deref() {
            Some(range) => (offset, whole(range).ok_or_else(|| broken("its range can't be read"))?),
            // All of it, though a part was asked for.
            None => (0, came),
        };
        Ok(Some(Open { stream: answer.body, rest: Bytes::new(), offset: begin, end: begin + came, length }))
    }

    async fn read_on(&self, into: &mut Vec<u8>, most: usize, offset: u64, until: u64) -> io::Result<usize> {
        let before = into.len();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut tries = 0;
        while into.len() - before < most {
            let at = offset + (into.len() - before) as u64;
            let mut now = match open.take().filter(|open| open.offset == at) {
                Some(now) if at < now.end => now,
                Some(now) if at >= now.length => {
                    open = Some(now);
                    break;
                }
                _ => match self.opened(at, until.max(at + 1)).await? {
                    Some(now) => now,
                    None => break,
                },
            };
            // Only what breaks inside of an answer is repeated here: all before it the client has repeated already.
            match now.take_from(at, into, most - (into.len() - before)).await {
                Ok(0) => {
                    open = Some(now);
                    break;
                }
                Ok(_) => (open, tries) = (Some(now), 0),
                Err(_) if tries + 1 < TRIES => {
                    tries += 1;
                    tokio::time::sleep(PAUSE * 2_u32.pow(tries)).await;
                }
                Err(error) => return Err(error),
            }
        }
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = open;
        Ok(into.len() - before)
    }
}

impl Open {
    /// As [`Open::take`], from an offset on that is here or later; none when the object ends before it, too.
    async fn take_from(&mut self, offset: u64, into: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        while self.offset < offset {
            let skipped = usize::try_from(offset - self.offset).unwrap_or(usize::MAX);
            if self.take(&mut Vec::new(), skipped).await? == 0 {
                return Ok(0);
            }
        }
        self.take(into, most).await
    }

    /// Takes up to `most` bytes of what has come, or comes next; none at the object's end only.
    async fn take(&mut self, into: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        while self.rest.is_empty() && self.offset < self.end {
            match tokio::time::timeout(SILENCE_MAX, self.stream.next()).await {
                Ok(Some(Ok(bytes))) => self.rest = bytes,
                Ok(Some(Err(error))) => return Err(broken(error)),
                Ok(None) => return Err(broken("it ended before its time")),
                Err(_) => return Err(broken("nothing came for too long")),
            }
        }
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let taken = self.rest.split_to(most.min(self.rest.len()).min(left));
        into.extend_from_slice(&taken);
        self.offset += taken.len() as u64;
        Ok(taken.len())
    }
}

impl BlobContent for S3Content {
    fn length(&self) -> Option<u64> {
        None
    }

    fn read(&self, into: &mut Vec<u8>, most: usize, offset: u64, until: u64) -> io::Result<usize> {
        self.bucket.wait(self.read_on(into, most, offset, until))
    }

    /// What a key holds never changes.
    fn is_current(&self) -> io::Result<bool> {
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::whole;

    #[test]
    fn the_length_of_the_whole_stands_in_the_range() {
        assert_eq!(whole("bytes 0-9/100"), Some(100));
        assert_eq!((whole("bytes 0-9/*"), whole("bytes")), (None, None));
    }
}
