//! The queue between async callers and the threads that own connections.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// First in, first out; many push, any number of threads take. Unbounded: its length is bounded by the callers, each of
/// which waits for its answer.
pub(super) struct Queue<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

struct State<J> {
    jobs: VecDeque<J>,
    closed: bool,
    /// How many threads wait: to wake nobody is a call to the system too.
    waiting: usize,
}

impl<J> Queue<J> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State { jobs: VecDeque::new(), closed: false, waiting: 0 }), changed: Condvar::new() }
    }

    /// Adds a job; answers `false`, and drops the job, when the queue is closed.
    pub(super) fn push(&self, job: J) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        state.jobs.push_back(job);
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.changed.notify_one();
        }
        true
    }

    /// Waits for a job and takes all that are there, at most `most`. Empty means: closed, and nothing will come.
    pub(super) fn take(&self, most: usize) -> Vec<J> {
        let mut state = self.lock();
        while state.jobs.is_empty() && !state.closed {
            state.waiting += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        let count = state.jobs.len().min(most);
        state.jobs.drain(..count).collect()
    }

    /// Takes no more jobs; those inside are still done.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// No code runs under the lock that could leave the state half changed, so a poisoned lock is as good as another.
    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn jobs_come_in_order_and_together() {
        let queue = Queue::new();
        for job in 1..=5 {
            assert!(queue.push(job));
        }
        assert_eq!(queue.take(3), [1, 2, 3]);
        assert_eq!(queue.take(3), [4, 5]);
    }

    #[test]
    fn whoever_waits_is_woken_by_each_push_and_by_the_end() {
        let queue = Queue::new();
        thread::scope(|scope| {
            let takers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| std::iter::repeat_with(|| queue.take(1)).take_while(|jobs| !jobs.is_empty()).count())
                })
                .collect();
            for job in 0..300 {
                assert!(queue.push(job));
            }
            queue.close();
            assert_eq!(takers.into_iter().map(|taker| taker.join().expect("no panic")).sum::<usize>(), 300);
        });
    }

    #[test]
    fn a_closed_queue_is_emptied_but_takes_nothing_new() {
        let queue = Queue::new();
        assert!(queue.push(1));
        queue.close();
        assert!(!queue.push(2));
        assert_eq!(queue.take(9), [1]);
        assert_eq!(queue.take(9), [0; 0]);
    }
}
