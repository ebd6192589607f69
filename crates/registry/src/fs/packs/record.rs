//! One record of a pack: where it lies, and the header before its bytes.

use std::io;

use layer0_domain::model::registry::BlobPlace;
use layer0_domain::model::time::Timestamp;

use crate::aligned::Aligned;
use crate::content::sum;
use crate::disk::DiskRead;

/// What a disk gives and takes back at once, on every file system that is met.
pub(super) const BLOCK: u64 = 4096;
/// Bytes before those of a blob: mark, offset, length, time, and their sum.
pub(super) const HEADER: usize = 64;
pub(super) const MARK: usize = 16;
const SUMMED: usize = MARK + 24;
/// No record is as long: a number that says so is none.
const TOO_LONG: u64 = 1 << 40;

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::fs) struct PackPlace {
    pub(super) pack: u32,
    pub(super) offset: u64,
    /// Of the blob, without the header.
    pub(super) length: u64,
}

impl PackPlace {
    /// Reads what [`PackPlace::words`] has written.
    pub(in crate::fs) fn of(place: &BlobPlace) -> Option<Self> {
        let mut parts = place.as_str().strip_prefix("pack:")?.split(':');
        let mut part = || parts.next().and_then(|part| u64::from_str_radix(part, 16).ok());
        let (pack, offset, length) = (u32::try_from(part()?).ok()?, part()?, part()?);
        let is_one = parts.next().is_none() && offset % BLOCK == 0 && offset < TOO_LONG && length < TOO_LONG;
        is_one.then_some(Self { pack, offset, length })
    }

    /// The place in the words of the port. In the order of time, so that an index of them grows at its end.
    pub(in crate::fs) fn words(self) -> BlobPlace {
        BlobPlace::new(format!("pack:{:08x}:{:08x}:{:x}", self.pack, self.offset, self.length))
    }

    /// Whether this header is the record's.
    pub(super) fn is_said(self, said: &[u8]) -> bool {
        header(said, self.offset).is_some_and(|(length, _)| length == self.length)
    }

    /// When the record was written; `None` when it isn't there.
    pub(super) fn written(self, file: &dyn DiskRead) -> io::Result<Option<Timestamp>> {
        let said = read(file, self.offset, HEADER)?;
        Ok(self.is_said(&said).then(|| header(&said, self.offset)).flatten().map(|(_, written)| written))
    }

    /// Where the blob's bytes begin.
    pub(super) fn begin(self) -> u64 {
        self.offset + HEADER as u64
    }

    /// How much of the pack is the record's.
    pub(super) fn taken(self) -> u64 {
        (HEADER as u64 + self.length).next_multiple_of(BLOCK)
    }
}

/// A blob's bytes with room for its header.
pub(in crate::fs) struct Record(pub(super) Aligned);

impl Record {
    /// With room for so many bytes.
    pub(in crate::fs) fn with_capacity(bytes: usize) -> Self {
        let mut record = Aligned::with_capacity(HEADER + bytes);
        record.extend_from_slice(&[0; HEADER]);
        Self(record)
    }

    pub(in crate::fs) fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(in crate::fs) fn bytes(&self) -> &[u8] {
        &self.0[HEADER..]
    }

    /// Writes the header.
    pub(super) fn head(&mut self, mark: [u8; MARK], place: PackPlace, at: Timestamp) {
        self.0[..MARK].copy_from_slice(&mark);
        for (number, value) in [place.offset, place.length, at.0.cast_unsigned()].into_iter().enumerate() {
            let from = MARK + number * 8;
            self.0[from..from + 8].copy_from_slice(&value.to_le_bytes());
        }
        let sum = sum(&self.0[..SUMMED]);
        self.0[SUMMED..SUMMED + 4].copy_from_slice(&sum.to_le_bytes());
    }
}

/// What a header says of the record that begins at `offset`, if it is one: how long it is, and when it was written.
pub(super) fn header(bytes: &[u8], offset: u64) -> Option<(u64, Timestamp)> {
    let said = bytes.get(..SUMMED)?;
    let kept = u32::from_le_bytes(bytes.get(SUMMED..SUMMED + 4)?.try_into().ok()?);
    let value = |number: usize| {
        let from = MARK + number * 8;
        said[from..from + 8].try_into().map(u64::from_le_bytes).ok()
    };
    let is_one = value(0)? == offset && sum(said) == kept;
    let (length, written) = (value(1)?, value(2)?);
    (is_one && length < TOO_LONG).then_some((length, Timestamp(written.cast_signed())))
}

/// Reads up to so many bytes; fewer at the end only.
pub(super) fn read(file: &dyn DiskRead, from: u64, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(most);
    while bytes.len() < most {
        let behind = u64::try_from(bytes.len()).expect("a length fits in 64 bits");
        if file.read_at(&mut bytes, from + behind)? == 0 {
            break;
        }
    }
    bytes.truncate(most);
    Ok(bytes)
}
