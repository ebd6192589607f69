//! Memory for what has come of a body and is not written yet.
//!
//! A large batch is written with one hop to a thread, but a thousand clients that push at once would fill the memory with them. So
//! there are only so many. Whoever comes while all are in use has what came written as it lies in the connection's own memory.

use axum::body::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How much a large one holds: enough that the hop to the thread does not count.
pub(super) const LARGE: usize = 1 << 20;
/// How much a small one gathers, so that nobody makes a hop for every few bytes.
const SMALL: usize = 16 << 10;
/// So many large ones are there at most, in the whole process: an upload has two at a time.
const LARGE_MAX: usize = 32;

static ROOM: Semaphore = Semaphore::const_new(LARGE_MAX);

/// Bytes that have come.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// In their place: what came, as it came.
    whole: Bytes,
    /// The right to be large; kept as long as the memory is.
    large: Option<SemaphorePermit<'static>>,
}

impl Batch {
    /// Takes what it has room for of what came; answers whether it is full. `expected` is how many bytes will come with these and
    /// after them, as far as is known.
    pub(super) fn fill(&mut self, came: &mut Bytes, expected: Option<usize>) -> bool {
        let coming = expected.unwrap_or(0).max(came.len());
        if self.large.is_none() && self.bytes.len() + coming > SMALL {
            self.large = ROOM.try_acquire().ok();
        }
        if self.large.is_none() && self.bytes.is_empty() && came.len() >= SMALL {
            self.whole = std::mem::take(came);
            return true;
        }
        let most = if self.large.is_some() { LARGE } else { SMALL };
        let room = most.saturating_sub(self.bytes.len());
        // What is known to come needs no room that grows and is copied on the way.
        self.bytes.reserve_exact(expected.unwrap_or(0).min(room));
        self.bytes.extend_from_slice(&came.split_to(came.len().min(room)));
        self.bytes.len() >= most
    }

    /// Whether it is the connection's memory: nothing more comes into that while this is there.
    pub(super) fn is_borrowed(&self) -> bool {
        !self.whole.is_empty()
    }

    /// Empties it, to be filled again.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.whole = Bytes::new();
    }
}

impl std::ops::Deref for Batch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.is_borrowed() { &self.whole } else { &self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(length: usize) -> Bytes {
        vec![7; length].into()
    }

    /// Nobody else in this test process has large ones for long: the loop ends when all are taken.
    #[test]
    fn there_are_only_so_many_large_batches() {
        let filled = || {
            let mut batch = Batch::default();
            while !batch.fill(&mut bytes(64 << 10), None) {}
            batch
        };
        let batches: Vec<Batch> = (0..=LARGE_MAX).map(|_| filled()).collect();
        assert!(batches.iter().any(|batch| batch.len() == LARGE && !batch.is_borrowed()));
        let last = batches.last().expect("some");
        assert!(last.is_borrowed() && last.len() == 64 << 10, "all large ones are in use: what came is the batch");

        // A few bytes at a time are gathered then, too.
        let mut batch = Batch::default();
        let mut fills = 1;
        while !batch.fill(&mut bytes(1000), None) {
            fills += 1;
        }
        assert_eq!((batch.len(), fills, batch.is_borrowed()), (SMALL, 17, false));
        batch.clear();
        assert!(batch.is_empty() && batch.fill(&mut bytes(SMALL), None) && batch.is_borrowed());
        batch.clear();
        assert!(batch.is_empty());

        drop(batches);
        let mut batch = Batch::default();
        assert!(!batch.fill(&mut Bytes::new(), Some(100 << 10)), "what is known to be large begins as such");
        assert!(batch.bytes.capacity() >= 100 << 10);
        let mut more = bytes(LARGE + 5);
        assert!(batch.fill(&mut more, None));
        assert_eq!((batch.len(), more.len()), (LARGE, 5), "what there is no room for stays");
    }
}
