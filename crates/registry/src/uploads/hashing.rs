//! The hash of what comes, taken beside the writes.
//!
//! A core hashes about as fast as another one receives and writes, so large batches are hashed on a thread of their own once they are
//! written. A request that does not end its upload is answered meanwhile: what is written is there, and the hash is asked for by
//! whoever ends the upload.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use layer0_domain::model::digest::Algorithm;
use tokio::runtime::Handle;

use super::batch::{self, Batch};
use crate::content::ContentHash;

/// So many batches of an upload are written and not hashed yet, beside the one that is being hashed.
const WAITING_MAX: usize = 4;

/// A running hash.
pub(super) struct Hashing {
    shared: Arc<Shared>,
    algorithm: Algorithm,
    /// How many bytes were added, hashed or not.
    length: u64,
}

struct Shared {
    state: Mutex<State>,
    /// Something was hashed.
    moved: Condvar,
}

struct State {
    /// Away while somebody hashes.
    hash: Option<ContentHash>,
    waiting: VecDeque<Batch>,
    /// A thread was asked for, and has not ended.
    is_called: bool,
}

impl Hashing {
    pub(super) fn new(algorithm: Algorithm) -> Self {
        let hash = Some(ContentHash::new(algorithm));
        let state = Mutex::new(State { hash, waiting: VecDeque::new(), is_called: false });
        Self { shared: Arc::new(Shared { state, moved: Condvar::new() }), algorithm, length: 0 }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// How many bytes were added.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes, and returns when all are hashed.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.added(bytes);
        self.shared.all().hash.as_mut().expect("all is hashed").update(bytes);
    }

    /// Adds a batch, and returns before it is hashed, unless too many wait already. Answers one that is empty.
    pub(super) fn add(&mut self, mut batch: Batch) -> Batch {
        // In a crowd others use the time, and the memory.
        let runtime = Handle::try_current().ok().filter(|_| batch.is_much() && !batch::is_crowd());
        let Some(runtime) = runtime else {
            self.update(&batch);
            batch.clear();
            return batch;
        };
        self.added(&batch);
        let mut state = self.shared.until(WAITING_MAX - 1);
        state.waiting.push_back(batch);
        if !std::mem::replace(&mut state.is_called, true) {
            let shared = Arc::clone(&self.shared);
            runtime.spawn_blocking(move || shared.until(0).is_called = false);
        }
        Batch::default()
    }

    fn added(&mut self, bytes: &[u8]) {
        self.length += u64::try_from(bytes.len()).expect("a length fits in 64 bits");
    }

    /// The hash of all that was added, once it is taken.
    pub(super) fn finish(self) -> ContentHash {
        self.shared.all().hash.take().expect("all is hashed")
    }
}

impl Drop for Hashing {
    fn drop(&mut self) {
        // Nobody will ask for it.
        let waiting = std::mem::take(&mut self.shared.state().waiting);
        drop(waiting);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nobody panics who has it locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when so many wait at most. Whoever finds nobody at it hashes himself: a thread that was asked for may come late, and never
    /// in a runtime that is being torn down.
    fn until(&self, most: usize) -> MutexGuard<'_, State> {
        let mut state = self.state();
        while state.waiting.len() > most {
            let Some(mut hash) = state.hash.take() else {
                state = self.moved(state);
                continue;
            };
            let batch = state.waiting.pop_front().expect("something waits");
            drop(state);
            hash.update(&batch);
            drop(batch);
            state = self.state();
            state.hash = Some(hash);
            self.moved.notify_all();
        }
        state
    }

    /// Returns with the hash of all that was added. Only who adds may ask for that.
    fn all(&self) -> MutexGuard<'_, State> {
        let mut state = self.until(0);
        while state.hash.is_none() {
            state = self.moved(state);
        }
        state
    }

    fn moved<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.moved.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failing call fails the test")]
    use axum::body::Bytes;
    use layer0_domain::model::digest::Digest;

    use super::*;

    fn large(byte: u8, length: usize) -> Batch {
        let mut batch = Batch::default();
        batch.fill(&mut Bytes::from(vec![byte; length]), Some(length), length);
        batch
    }

    /// Nobody else has large ones meanwhile: with many of them all would be hashed where it is added.
    fn alone() -> impl Drop {
        batch::ALONE.blocking_lock()
    }

    /// Once with threads for whoever wants one, and once where no other thread comes: there is one, and it adds.
    #[test]
    fn what_is_added_is_hashed_in_its_order_whoever_does_it() {
        let _alone = alone();
        for threads in [1, 8] {
            let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(threads).build().unwrap();
            let adding = runtime.spawn_blocking(|| {
                let (mut hashing, mut all) = (Hashing::new(Algorithm::Sha256), Vec::new());
                for round in 0..40_u8 {
                    let batch = large(round, (1 << 20) - usize::from(round));
                    all.extend_from_slice(&batch);
                    assert!(hashing.add(batch).is_empty());
                    if round % 7 == 3 {
                        all.extend_from_slice(b"a few bytes");
                        hashing.update(b"a few bytes");
                    }
                }
                assert_eq!(hashing.length(), all.len() as u64);
                (hashing.finish().finish().0, Digest::sha256_of(&all))
            });
            let (found, wanted) = runtime.block_on(adding).unwrap();
            assert_eq!(found, wanted, "{threads} threads");
        }
    }

    #[test]
    fn in_a_crowd_nobody_has_batches_that_wait() {
        let _alone = alone();
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let adding = runtime.spawn_blocking(|| {
            let mut hashing = Hashing::new(Algorithm::Sha256);
            let mut waiting = |crowd: &[Batch]| {
                hashing.add(large(1, 1 << 20));
                (crowd.len(), hashing.shared.state().waiting.len())
            };
            let alone = waiting(&[]);
            let crowd: Vec<Batch> = (0..16).map(|_| large(0, 1 << 20)).collect();
            (alone, waiting(&crowd))
        });
        assert_eq!(runtime.block_on(adding).unwrap(), ((0, 1), (16, 0)));
    }

    #[test]
    fn nobody_waits_for_a_thread_where_there_is_no_runtime() {
        let _alone = alone();
        let mut hashing = Hashing::new(Algorithm::Sha512);
        assert!(hashing.add(large(7, 1 << 20)).is_empty());
        hashing.update(b"");
        assert_eq!(hashing.finish().finish().0, Algorithm::Sha512.digest_of(&vec![7; 1 << 20]));
        assert_eq!(Hashing::new(Algorithm::Sha256).finish().finish().0, Digest::sha256_of(b""));
    }
}
