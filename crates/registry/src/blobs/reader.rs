//! Reading blobs: nothing is handed out that was not compared with its checksums.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::BlobSums;
use layer0_domain::port::blob_bytes::BlobContent;

use super::buffer::Buffer;
use crate::content;

/// About how much is read at once.
pub(super) const BATCH: u64 = 256 << 10;

/// Why bytes can't be handed out.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// This piece is not what it was when it was taken in.
    Damaged { piece: usize },
    /// It can't be read.
    Io(io::Error),
}

/// A blob that is open for reading, with as many bytes as the store says.
pub(crate) struct BlobReader {
    pub(super) repository: RepositoryName,
    pub(super) digest: Digest,
    content: Box<dyn BlobContent>,
    size: u64,
    /// As many as `size` has pieces.
    sums: BlobSums,
}

impl BlobReader {
    /// A reader of `content`; `None` when the sums are none of a blob of this size.
    pub(super) fn new(
        repository: RepositoryName,
        digest: Digest,
        content: Box<dyn BlobContent>,
        size: u64,
        sums: BlobSums,
    ) -> Option<Self> {
        sums.fit(size).then_some(Self { repository, digest, content, size, sums })
    }

    /// Which blob it is.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The blob's length.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Reads from `first` on, up to `end` (not included, and at most the blob's length) or less: a handy number of whole
    /// pieces is read and checked, of which the wanted bytes are answered; at least one, when any is wanted.
    pub(crate) fn read(&self, first: u64, end: u64) -> Result<Bytes, ReadError> {
        let Some(Span { start, stop, wanted }) = self.span(first, end) else { return Ok(Bytes::new()) };
        let piece = u64::from(self.sums.piece);
        let until = end.min(self.size).div_ceil(piece).saturating_mul(piece).min(self.size);
        Ok(self.pieces(start, stop, until)?.slice(wanted))
    }

    /// What is read for the bytes from `first` to `end`, or for the first of them; `None` when there are none.
    fn span(&self, first: u64, end: u64) -> Option<Span> {
        let end = end.min(self.size);
        if first >= end {
            return None;
        }
        let piece = u64::from(self.sums.piece);
        let start = first / piece * piece;
        let stop = (start + piece.max(BATCH / piece * piece)).min(end.div_ceil(piece) * piece).min(self.size);
        let index = |offset: u64| usize::try_from(offset - start).expect("a batch is small");
        Some(Span { start, stop, wanted: index(first)..index(end.min(stop)) })
    }

    /// As [`BlobReader::read`], when nothing has to be waited for; `None` says nothing.
    pub(crate) fn read_ready(&self, first: u64, end: u64) -> Option<Bytes> {
        let Span { start, stop, wanted } = self.span(first, end)?;
        let mut buffer = Buffer::new(usize::try_from(stop - start).expect("a batch is small"));
        if !self.content.read_ready(buffer.bytes(), start) {
            return None;
        }
        // What is damaged is said by the read that waits.
        self.sound(start, buffer.bytes()).ok()?;
        Some(Bytes::from_owner(buffer).slice(wanted))
    }

    /// Reads all of it.
    pub(crate) fn read_all(&self) -> Result<Vec<u8>, ReadError> {
        let mut all = Vec::new();
        loop {
            let offset = u64::try_from(all.len()).expect("a length fits in 64 bits");
            let batch = self.read(offset, self.size)?;
            if batch.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&batch);
        }
    }

    /// Reads one piece; an error says that it is damaged or can't be read.
    pub(crate) fn check(&self, index: usize) -> Result<(), ReadError> {
        let piece = u64::from(self.sums.piece);
        let start = u64::try_from(index).expect("an index fits in 64 bits").saturating_mul(piece);
        if start < self.size {
            let stop = (start + piece).min(self.size);
            self.pieces(start, stop, stop)?;
        }
        Ok(())
    }

    /// Reads the pieces between two offsets where pieces begin, or the blob ends; `until` is how far will be read on from there.
    fn pieces(&self, start: u64, stop: u64, until: u64) -> Result<Bytes, ReadError> {
        let length = usize::try_from(stop - start).expect("a batch is small");
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let offset = start + u64::try_from(bytes.len()).expect("a length fits in 64 bits");
            let most = length - bytes.len();
            match self.content.read(&mut bytes, most, offset, until) {
                // Cut off since it was opened.
                Ok(0) => return Err(ReadError::Damaged { piece: self.piece_at(start) }),
                Ok(_) => {}
                Err(error) => return Err(ReadError::Io(error)),
            }
        }
        self.sound(start, &bytes)?;
        Ok(bytes.into())
    }

    /// Compares pieces from an offset on with their sums.
    fn sound(&self, start: u64, bytes: &[u8]) -> Result<(), ReadError> {
        let piece = usize::try_from(self.sums.piece).expect("a piece fits into memory");
        let sums = self.sums.sums.iter().enumerate().skip(self.piece_at(start));
        for ((index, sum), piece) in sums.zip(bytes.chunks(piece)) {
            if content::sum(piece) != *sum {
                return Err(ReadError::Damaged { piece: index });
            }
        }
        Ok(())
    }

    /// Which piece begins at an offset.
    fn piece_at(&self, start: u64) -> usize {
        usize::try_from(start / u64::from(self.sums.piece)).expect("there is a sum for it")
    }
}

/// A run of whole pieces, and where in it the wanted bytes are.
struct Span {
    start: u64,
    stop: u64,
    wanted: Range<usize>,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing call fails the test")]
    use layer0_domain::model::registry::BlobPlace;
    use layer0_domain::port::blob_bytes::{BlobBytes as _, Reach, Source};
    use layer0_testkit::memory_bytes::MemoryBytes;

    use super::*;

    /// A blob of these bytes with pieces of this size, and what it lies in.
    fn blob(content: &[u8], piece: u32) -> (BlobReader, (MemoryBytes, BlobPlace)) {
        let bytes = MemoryBytes::default();
        let mut upload = bytes.upload_begin("u", Reach::Private).unwrap();
        upload.append(content).unwrap();
        upload.complete().unwrap();
        let place = upload.keep(&Digest::sha256_of(content)).unwrap();
        let open = bytes.open(&place, Source::Any).unwrap().unwrap();
        let sums = BlobSums { piece, sums: content.chunks(piece as usize).map(content::sum).collect() };
        let name = RepositoryName::parse("team/app").unwrap();
        let reader = BlobReader::new(name, Digest::sha256_of(content), open, content.len() as u64, sums);
        (reader.unwrap(), (bytes, place))
    }

    /// Reads all of a range, batch by batch.
    fn all(reader: &BlobReader, first: u64, end: u64) -> Result<Vec<u8>, ReadError> {
        let mut found = Vec::new();
        loop {
            let batch = reader.read(first + found.len() as u64, end)?;
            if batch.is_empty() {
                return Ok(found);
            }
            found.extend_from_slice(&batch);
        }
    }

    #[test]
    fn every_range_is_read_as_it_was_written() {
        let content: Vec<u8> = (0..23).collect();
        for piece in [1, 4, 7, 23, 64] {
            let (reader, _) = blob(&content, piece);
            for first in 0..=23 {
                for end in first..=24 {
                    let got = all(&reader, first as u64, end as u64).unwrap();
                    assert_eq!(got, content[first..end.min(23)], "{first}..{end} in pieces of {piece}");
                }
            }
        }
    }

    #[test]
    fn large_blobs_come_in_batches_of_whole_pieces() {
        let content: Vec<u8> = (0..700_001_u32).map(|at| (at % 253) as u8).collect();
        let (reader, _) = blob(&content, 65_536);
        assert_eq!(reader.read(0, u64::MAX).unwrap().len(), 262_144);
        assert_eq!(reader.read(70_000, u64::MAX).unwrap().len(), 65_536 + 262_144 - 70_000);
        assert_eq!(reader.read(699_000, 699_001).unwrap().len(), 1);
        assert!(all(&reader, 0, u64::MAX).unwrap() == content, "the bytes differ");
    }

    #[test]
    fn a_damaged_piece_is_never_handed_out_and_the_others_are() {
        let content: Vec<u8> = (0..20).collect();
        let (reader, (bytes, place)) = blob(&content, 4);
        bytes.change(&place, |content| content[9] = 99);
        assert_eq!(all(&reader, 0, 8).unwrap(), content[..8]);
        assert_eq!(all(&reader, 12, 20).unwrap(), content[12..]);
        for (first, end) in [(0, 20), (8, 9), (11, 12), (10, 11), (0, 9)] {
            let got = all(&reader, first, end);
            assert!(matches!(got, Err(ReadError::Damaged { piece: 2 })), "{first}..{end}: {got:?}");
        }
        assert!(reader.check(1).is_ok() && reader.check(2).is_err() && reader.check(99).is_ok());
    }

    #[test]
    fn what_is_cut_off_is_damaged() {
        let (reader, (bytes, place)) = blob(&[7; 20], 4);
        bytes.change(&place, |content| content.truncate(18));
        assert!(matches!(all(&reader, 17, 18), Err(ReadError::Damaged { piece: 4 })));
        assert_eq!(all(&reader, 0, 16).unwrap(), [7; 16]);
    }
}
