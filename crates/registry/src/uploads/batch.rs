//! Memory for what has come of a body and is not written yet, or not hashed.
//!
//! A large batch is written with one hop to a thread, but a thousand clients that push at once would fill the memory with them. So
//! there are only so many. Whoever comes while all are in use has what came written as it lies in the connection's own memory.
//!
//! The system gives memory page by page, and zeroes each of them, which takes longer than to write what comes into it. So the memory
//! of some batches stays for the next ones, until no upload is left.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;

use crate::aligned::Aligned;
use crate::blocking::drop_elsewhere;

/// How much a large one holds: enough that the hop to the thread does not count.
pub(super) const LARGE: usize = 1 << 20;
/// How much the first and the last one of a long body hold: nothing is written before the first is full, and nothing comes while the
/// last is written.
const EDGE: usize = 256 << 10;
/// A body of so much is long.
const LONG: u64 = 4 << 20;
/// How much a small one gathers, so that nobody makes a hop for every few bytes.
const SMALL: usize = 16 << 10;
/// So many large ones are there at most, in the whole process. An upload has seven at a time when it is alone (one is gathered, one
/// written, one hashed, and four wait for that), and two in a crowd.
const LARGE_MAX: usize = 32;
/// With so many in use there is a crowd.
const CROWD: usize = LARGE_MAX / 2;
/// The memory of so many stays for others: more than one upload has.
const KEPT_MAX: usize = 8;

static ROOM: Mutex<Room> = Mutex::new(Room { in_use: 0, kept: Vec::new(), is_expected: false });

/// The large ones of this process: never more than [`LARGE_MAX`], with those of which only the memory is there.
struct Room {
    in_use: usize,
    /// Memory for those to come.
    kept: Vec<Aligned>,
    /// Somebody may want it.
    is_expected: bool,
}

impl Room {
    fn lock() -> MutexGuard<'static, Self> {
        // Nobody panics who has it locked.
        ROOM.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for one more, if there may be one; new memory has no room yet.
    fn take(&mut self) -> Option<Aligned> {
        if self.in_use == LARGE_MAX {
            return None;
        }
        self.in_use += 1;
        self.is_expected = true;
        Some(self.kept.pop().unwrap_or_default())
    }

    /// Takes the memory of one back, and answers it when it is not kept.
    fn give(&mut self, mut memory: Aligned) -> Option<Aligned> {
        self.in_use -= 1;
        memory.clear();
        let is_room = self.kept.len() < KEPT_MAX && self.in_use + self.kept.len() < LARGE_MAX;
        if !self.is_expected || !is_room || memory.room() < LARGE {
            return Some(memory);
        }
        self.kept.push(memory);
        None
    }

    /// Notes that nobody wants any until the next one is taken, and answers what was kept.
    fn release(&mut self) -> Vec<Aligned> {
        self.is_expected = false;
        std::mem::take(&mut self.kept)
    }
}

/// Whether so many come that none should have more large ones than it needs.
pub(super) fn is_crowd() -> bool {
    Room::lock().in_use >= CROWD
}

/// Gives the memory back that was kept for batches to come: no upload is left.
pub(super) fn release() {
    let kept = Room::lock().release();
    if kept.is_empty() {
        return;
    }
    // The system takes some hundred microseconds for it, which an event loop does not have.
    drop_elsewhere(kept);
}

/// For tests that want to know who has large ones.
#[cfg(test)]
pub(super) static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How much the next batch may hold, of a body of which so many bytes have come and so many, as far as is known, will.
pub(super) fn most(came: u64, expected: Option<usize>) -> usize {
    match expected {
        Some(expected) if came.saturating_add(expected as u64) >= LONG => match came {
            0 => EDGE,
            _ if expected >= 2 * EDGE => (expected - EDGE).min(LARGE),
            _ => LARGE,
        },
        // Of a stream nobody knows how long it will be: it begins as a long body does, which costs a shorter one a hop.
        None if came == 0 => EDGE,
        _ => LARGE,
    }
}

/// Bytes that have come.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Aligned,
    /// In their place: what came, as it came.
    whole: Bytes,
    /// It is one of the large ones, for as long as it has their memory.
    is_large: bool,
}

impl Batch {
    /// Takes what it has room for of what came, and no more than `most` in all; answers whether it is full. `expected` is how many
    /// bytes will come with these and after them, as far as is known.
    pub(super) fn fill(&mut self, came: &mut Bytes, expected: Option<usize>, most: usize) -> bool {
        let coming = expected.unwrap_or(0).max(came.len());
        if !self.is_large && self.bytes.len() + coming > SMALL {
            self.enlarge();
        }
        if !self.is_large && self.bytes.is_empty() && came.len() >= SMALL {
            self.whole = std::mem::take(came);
            return true;
        }
        let most = most.min(if self.is_large { LARGE } else { SMALL });
        let room = most.saturating_sub(self.bytes.len());
        // What is known to come needs no room that grows and is copied on the way.
        self.bytes.reserve(expected.unwrap_or(0).min(room));
        self.bytes.extend_from_slice(&came.split_to(came.len().min(room)));
        self.bytes.len() >= most
    }

    /// Makes it a large one, if there may be one more.
    fn enlarge(&mut self) {
        let Some(mut memory) = Room::lock().take() else { return };
        self.is_large = true;
        if memory.room() > 0 {
            memory.extend_from_slice(&self.bytes);
            self.bytes = memory;
        }
    }

    /// Whether there is so much in it that a hop to a thread is worth it.
    pub(super) fn is_much(&self) -> bool {
        self.is_large && self.bytes.len() >= EDGE
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

impl Drop for Batch {
    fn drop(&mut self) {
        if self.is_large {
            let left = Room::lock().give(std::mem::take(&mut self.bytes));
            drop(left);
        }
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

    #[test]
    fn there_are_only_so_many_large_batches() {
        let _alone = ALONE.blocking_lock();
        let filled = || {
            let mut batch = Batch::default();
            while !batch.fill(&mut bytes(64 << 10), None, LARGE) {}
            batch
        };
        let batches: Vec<Batch> = (0..=LARGE_MAX).map(|_| filled()).collect();
        assert!(batches.iter().any(|batch| batch.len() == LARGE && !batch.is_borrowed()));
        let last = batches.last().expect("some");
        assert!(last.is_borrowed() && last.len() == 64 << 10, "all large ones are in use: what came is the batch");

        // A few bytes at a time are gathered then, too.
        let mut batch = Batch::default();
        let mut fills = 1;
        while !batch.fill(&mut bytes(1000), None, LARGE) {
            fills += 1;
        }
        assert_eq!((batch.len(), fills, batch.is_borrowed()), (SMALL, 17, false));
        batch.clear();
        assert!(batch.is_empty() && batch.fill(&mut bytes(SMALL), None, LARGE) && batch.is_borrowed());
        batch.clear();
        assert!(batch.is_empty());

        drop(batches);
        let mut batch = Batch::default();
        assert!(!batch.fill(&mut Bytes::new(), Some(100 << 10), LARGE), "what is known to be large begins as such");
        assert!(batch.bytes.room() >= 100 << 10);
        let mut more = bytes(LARGE + 5);
        assert!(batch.fill(&mut more, None, LARGE));
        assert_eq!((batch.len(), more.len()), (LARGE, 5), "what there is no room for stays");
    }

    #[test]
    fn memory_stays_for_those_to_come() {
        let mut room = Room { in_use: 0, kept: Vec::new(), is_expected: false };
        let taken: Vec<Aligned> = std::iter::from_fn(|| room.take()).collect();
        assert_eq!((taken.len(), room.in_use), (LARGE_MAX, LARGE_MAX));
        for mut memory in taken {
            memory.reserve(LARGE);
            memory.extend_from_slice(b"some");
            room.give(memory);
        }
        assert_eq!((room.in_use, room.kept.len()), (0, KEPT_MAX));
        let again = room.take().expect("there is room");
        assert!(again.is_empty() && again.room() >= LARGE, "what was in it is gone");
        assert!(room.give(Aligned::with_capacity(LARGE / 2)).is_some(), "what is smaller is not kept");
        assert_eq!((room.in_use, room.kept.len()), (0, KEPT_MAX - 1));

        let late = room.take().expect("there is room");
        assert_eq!(room.release().len(), KEPT_MAX - 2);
        assert!(room.give(late).is_some(), "nobody wants it any more");
        let taken: Vec<Aligned> = std::iter::from_fn(|| room.take()).collect();
        assert_eq!((taken.len(), room.in_use + room.kept.len()), (LARGE_MAX, LARGE_MAX));
    }

    /// How a body is cut up.
    fn cut(length: usize) -> Vec<usize> {
        let (mut cut, mut came) = (Vec::new(), 0);
        while came < length {
            let now = most(came as u64, Some(length - came)).min(length - came);
            cut.push(now);
            came += now;
        }
        cut
    }

    #[test]
    fn a_long_body_begins_and_ends_with_little() {
        assert_eq!(cut(64 << 10), [64 << 10]);
        let long = usize::try_from(LONG).expect("a small constant");
        assert_eq!(cut(long - 1), [LARGE, LARGE, LARGE, LARGE - 1], "what is short is in few batches");
        assert_eq!(cut(long), [EDGE, LARGE, LARGE, LARGE, LARGE - 2 * EDGE, EDGE]);
        assert_eq!(cut(long + 2 * EDGE), [EDGE, LARGE, LARGE, LARGE, LARGE, EDGE]);
        assert_eq!(cut(long + 2 * EDGE + 5), [EDGE, LARGE, LARGE, LARGE, LARGE, EDGE + 5]);
        assert_eq!((most(0, None), most(EDGE as u64, None)), (EDGE, LARGE), "nobody knows how long it will be");
    }
}
