//! Content on its way by: its digest and its checksums, gathered together.
//!
//! The digest says what the content is, and takes half a second of a core for each GiB; the checksums say whether a piece
//! read back later is still as it was, for a twelfth of that. Why these ones: `docs/decisions/0006-damage.md`.

use std::io;

use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::registry::BlobSums;
use layer0_domain::port::blob_bytes::BlobContent;
use sha2::{Digest as _, Sha256, Sha512};

/// Bytes that have a checksum of their own: a range request reads at most one of them too many at each end, and a GiB has
/// 64 KiB of checksums.
const PIECE: usize = 64 << 10;
/// How much is read at once.
const STEP: usize = 1 << 20;

/// The checksum of one piece.
pub(crate) fn sum(piece: &[u8]) -> u32 {
    crc32c::crc32c(piece)
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

/// The digest and the checksums of content that comes by in parts.
pub(crate) struct ContentHash {
    hasher: Hasher,
    /// Of the pieces that are complete.
    sums: Vec<u32>,
    /// Of the piece that is not, and how many bytes it has.
    current: u32,
    filled: usize,
}

impl ContentHash {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        let hasher = match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        };
        Self { hasher, sums: Vec::new(), current: 0, filled: 0 }
    }

    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::Sha512(hash) => hash.update(bytes),
        }
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at((PIECE - self.filled).min(bytes.len()));
            self.current = crc32c::crc32c_append(self.current, now);
            self.filled += now.len();
            if self.filled == PIECE {
                self.sums.push(std::mem::take(&mut self.current));
                self.filled = 0;
            }
            bytes = later;
        }
    }

    pub(crate) fn finish(mut self) -> (Digest, BlobSums) {
        if self.filled > 0 {
            self.sums.push(self.current);
        }
        let digest = match self.hasher {
            Hasher::Sha256(hash) => Digest::from_hash(Algorithm::Sha256, &hash.finalize()),
            Hasher::Sha512(hash) => Digest::from_hash(Algorithm::Sha512, &hash.finalize()),
        };
        let piece = u32::try_from(PIECE).expect("a small constant");
        (digest.expect("a hash has the length of its algorithm"), BlobSums { piece, sums: self.sums })
    }
}

/// Whether this is an error by which a disk says that it has lost data: the read failed, or the file system's own checksum
/// does not fit. All others say nothing about the data.
pub(crate) fn is_loss(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    const EBADMSG: i32 = 74;
    const EUCLEAN: i32 = 117;
    matches!(error.raw_os_error(), Some(EIO | EBADMSG | EUCLEAN))
}

/// Content that is read from its start to its end, a step at a time, so that whoever reads it can pause.
pub(crate) struct Survey {
    content: Box<dyn BlobContent>,
    buffer: Vec<u8>,
    offset: u64,
    hash: ContentHash,
}

impl Survey {
    pub(crate) fn new(content: Box<dyn BlobContent>, algorithm: Algorithm) -> Self {
        Self { content, buffer: Vec::with_capacity(STEP), offset: 0, hash: ContentHash::new(algorithm) }
    }

    /// Reads on, and answers how much; 0 at the end. Data is lost only when the disk says so twice: once may have been the
    /// way to the disk, and content is condemned for it.
    pub(crate) fn step(&mut self) -> io::Result<usize> {
        self.buffer.clear();
        let count = match self.read() {
            Err(error) if is_loss(&error) => self.read()?,
            read => read?,
        };
        self.hash.update(&self.buffer);
        self.offset += u64::try_from(count).expect("a length fits in 64 bits");
        Ok(count)
    }

    fn read(&mut self) -> io::Result<usize> {
        loop {
            match self.content.read(&mut self.buffer, STEP, self.offset, u64::MAX) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Reads to the end without a pause.
    pub(crate) fn read_all(&mut self) -> io::Result<()> {
        while self.step()? > 0 {}
        Ok(())
    }

    /// What is found by reading to the end.
    pub(crate) fn run(mut self) -> io::Result<(Digest, BlobSums)> {
        self.read_all()?;
        Ok(self.finish().0)
    }

    /// What was found, and the content.
    pub(crate) fn finish(self) -> ((Digest, BlobSums), Box<dyn BlobContent>) {
        (self.hash.finish(), self.content)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing call fails the test")]
    use layer0_domain::port::blob_bytes::{BlobBytes as _, Reach};
    use layer0_testkit::memory_bytes::MemoryBytes;

    use super::*;

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at % 251) as u8).collect()
    }

    #[test]
    fn sums_are_those_of_the_pieces_however_the_content_comes() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 17] {
            let content = content(length);
            let want: Vec<u32> = content.chunks(PIECE).map(sum).collect();
            for part in [1 + length / 3, PIECE, PIECE + 1, 2 * PIECE] {
                let mut hash = ContentHash::new(Algorithm::Sha256);
                content.chunks(part).for_each(|part| hash.update(part));
                let (digest, sums) = hash.finish();
                assert_eq!(digest, Digest::sha256_of(&content));
                assert_eq!(sums, BlobSums { piece: 65_536, sums: want.clone() }, "{length} in parts of {part}");
                assert!(sums.fit(length as u64));
            }
        }
    }

    /// RFC 3720, appendix B.4.
    #[test]
    fn a_sum_is_what_the_standard_says() {
        assert_eq!(sum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(sum(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(sum(b""), 0);
    }

    #[test]
    fn what_is_surveyed_has_the_digest_and_the_sums_of_its_content() {
        let content = content(2 * STEP + 5);
        let bytes = MemoryBytes::default();
        let mut upload = bytes.upload_begin("u", Reach::Private).unwrap();
        upload.append(&content).unwrap();
        let (digest, sums) = Survey::new(upload.reread().unwrap(), Algorithm::Sha512).run().unwrap();
        assert_eq!(digest, Algorithm::Sha512.digest_of(&content));
        assert!(sums.fit(content.len() as u64));
    }
}
