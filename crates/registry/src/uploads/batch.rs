//! Memory for what has come of a body and is not written yet.
//!
//! A large batch is written with one hop to a thread, but a thousand clients that push at once would fill the memory with them. So
//! there are only so many; whoever comes while all are in use goes on in small ones.

use tokio::sync::{Semaphore, SemaphorePermit};

/// How much a large one holds: enough that the hop to the thread does not count.
pub(super) const LARGE: usize = 1 << 20;
/// How much a small one holds.
const SMALL: usize = 16 << 10;
/// So many large ones are there at most, in the whole process: an upload has two at a time.
const LARGE_MAX: usize = 32;

static ROOM: Semaphore = Semaphore::const_new(LARGE_MAX);

/// Bytes that have come.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// The right to be large; kept as long as the memory is.
    large: Option<SemaphorePermit<'static>>,
}

impl Batch {
    /// How many bytes it takes before it is full. `expected` is how many will come, as far as is known.
    pub(super) fn room(&mut self, expected: Option<usize>) -> usize {
        if self.bytes.len() < SMALL && expected.is_none_or(|expected| self.bytes.len() + expected <= SMALL) {
            return SMALL - self.bytes.len();
        }
        if self.large.is_none() {
            self.large = ROOM.try_acquire().ok();
        }
        let most = if self.large.is_some() { LARGE } else { SMALL };
        let room = most.saturating_sub(self.bytes.len());
        // What is known to come needs no room that grows and is copied on the way.
        self.bytes.reserve_exact(expected.unwrap_or(0).min(room));
        room
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Empties it, to be filled again.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }
}

impl std::ops::Deref for Batch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody else in this test process has large ones for long: the loop ends when all are taken.
    #[test]
    fn there_are_only_so_many_large_batches() {
        let filled = || {
            let mut batch = Batch::default();
            loop {
                match batch.room(None) {
                    0 => return batch,
                    room => batch.extend(&vec![7; room]),
                }
            }
        };
        let batches: Vec<Batch> = (0..=LARGE_MAX).map(|_| filled()).collect();
        assert!(batches.iter().any(|batch| batch.len() == LARGE));
        assert_eq!(batches.last().map(|batch| batch.len()), Some(SMALL), "all large ones are in use");
        drop(batches);
        let mut batch = Batch::default();
        assert_eq!(batch.room(Some(100 << 10)), LARGE, "what is known to be large begins as such");
        assert!(batch.bytes.capacity() >= 100 << 10);
    }
}
