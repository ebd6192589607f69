//! Memory for much at once, which begins where a page of the system does.
//!
//! The kernel copies between the pages of a file and a program's memory with one instruction, `rep movsb`. Where the target lies up to some
//! tens of bytes behind the source, counted within a page, some processors (AMD's since Zen 3) take four to six times as long.
//! What an allocator gets from the system for itself begins 16 bytes into a page, so that every large read from a file into new memory is of that kind.
//! Measured in `docs/decisions/0028-aligned-memory.md`.

use std::ops::{Deref, DerefMut};

/// The smallest page that a system has, and what the processors compare.
const PAGE: usize = 4096;
/// Less than this comes from the allocator's own store, and begins anywhere.
const LARGE: usize = 64 << 10;

/// Bytes.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    memory: Vec<u8>,
    /// So many bytes at its begin lie before the page, and are nobody's.
    skip: usize,
}

impl Aligned {
    /// None, with room for so many.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let mut memory = Vec::with_capacity(capacity + if capacity < LARGE { 0 } else { PAGE });
        let skip = skip(&memory, capacity);
        memory.resize(skip, 0);
        Self { memory, skip }
    }

    /// So many zeros.
    pub(crate) fn zeroed(length: usize) -> Self {
        // The system's memory is zeros: none are written for these.
        let mut memory = vec![0; length + if length < LARGE { 0 } else { PAGE }];
        let skip = skip(&memory, length);
        memory.truncate(skip + length);
        Self { memory, skip }
    }

    /// How many more there is room for.
    pub(crate) fn room(&self) -> usize {
        self.memory.capacity() - self.memory.len()
    }

    /// Sees to it that there is room for so many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        if self.room() < more {
            let mut larger = Self::with_capacity(self.len() + more);
            larger.memory.extend_from_slice(self);
            *self = larger;
        }
    }

    /// Adds bytes at the end.
    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        if self.room() < bytes.len() {
            self.reserve(bytes.len().max(self.len()));
        }
        self.memory.extend_from_slice(bytes);
    }

    /// Takes all bytes away; the room stays.
    pub(crate) fn clear(&mut self) {
        self.memory.truncate(self.skip);
    }
}

/// How far it is from the begin of this memory to the next page, when that counts.
fn skip(memory: &[u8], length: usize) -> usize {
    let far = memory.as_ptr().align_offset(PAGE);
    // An interpreter may not want to tell.
    if length < LARGE || far > PAGE { 0 } else { far }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.skip..]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.skip..]
    }
}

impl AsRef<[u8]> for Aligned {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins_a_page(bytes: &Aligned) -> bool {
        bytes.as_ptr().align_offset(PAGE) == 0
    }

    #[test]
    fn what_is_large_begins_a_page_and_stays_so_while_it_grows() {
        for length in [LARGE, LARGE + 1, 256 << 10, 1 << 20, (1 << 20) + 17] {
            assert!(begins_a_page(&Aligned::zeroed(length)) && begins_a_page(&Aligned::with_capacity(length)));
            assert_eq!(*Aligned::zeroed(length), vec![0; length]);
        }
        let (mut bytes, mut want) = (Aligned::default(), Vec::new());
        for part in 0..200_u8 {
            bytes.extend_from_slice(&[part; 3000]);
            want.extend_from_slice(&[part; 3000]);
            assert!(bytes.len() < 2 * LARGE || begins_a_page(&bytes), "{} bytes", bytes.len());
        }
        assert_eq!(*bytes, want);
    }

    #[test]
    fn what_was_reserved_is_not_moved() {
        let mut bytes = Aligned::with_capacity(LARGE);
        let begin = bytes.as_ptr();
        bytes.extend_from_slice(&[1; LARGE - 1]);
        bytes.extend_from_slice(&[2]);
        assert_eq!((bytes.as_ptr(), bytes.len(), bytes[LARGE - 1]), (begin, LARGE, 2));
        bytes.clear();
        bytes.reserve(LARGE);
        bytes.extend_from_slice(&[3; LARGE]);
        assert_eq!((bytes.as_ptr(), bytes.len(), bytes[0]), (begin, LARGE, 3));
        bytes[0] = 4;
        assert_eq!(bytes.as_ref()[..2], [4, 3]);
    }

    #[test]
    fn a_little_costs_a_little() {
        let bytes = Aligned::with_capacity(100);
        assert!(bytes.is_empty() && bytes.memory.capacity() < PAGE);
        assert_eq!(*Aligned::zeroed(3), [0; 3]);
    }
}
