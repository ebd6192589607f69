//! Work that is done once for all who ask for it while it is under way.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use super::refusal::Refusal;

type Answer<T> = Result<T, Refusal>;
type UnderWay<T> = Shared<BoxFuture<'static, Answer<T>>>;

/// What is under way, by what it is about.
pub(super) struct Flights<K, T> {
    under_way: Mutex<HashMap<K, UnderWay<T>>>,
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self { under_way: Mutex::default() }
    }
}

/// Forgets one when it is over, whatever became of it.
struct Landing<K: Eq + Hash, T> {
    flights: Arc<Flights<K, T>>,
    key: K,
}

impl<K: Eq + Hash, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        self.flights.under_way().remove(&self.key);
    }
}

impl<K, T> Flights<K, T> {
    fn under_way(&self) -> MutexGuard<'_, HashMap<K, UnderWay<T>>> {
        // Whole at every moment.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, T> Flights<K, T>
where
    K: Clone + Eq + Hash + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// Waits for what is under way for `key`, or begins `work`, which goes on to its end when those who wait go away.
    pub(super) fn join<F>(self: &Arc<Self>, key: K, work: impl FnOnce() -> F) -> UnderWay<T>
    where
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        let mut all = self.under_way();
        if let Some(one) = all.get(&key) {
            return one.clone();
        }
        let (work, landing) = (work(), Landing { flights: Arc::clone(self), key: key.clone() });
        let (tell, told) = oneshot::channel();
        let one = told.map(|told| told.unwrap_or_else(|_| Err(Refusal::stopping()))).boxed().shared();
        all.insert(key, one.clone());
        // A runtime that ends drops the work at once, and the landing asks for the lock.
        drop(all);
        tokio::spawn(async move {
            let answer = work.await;
            // Who was told and asks again begins anew.
            drop(landing);
            // Those who waited may have gone.
            let _ = tell.send(answer);
        });
        one
    }
}
