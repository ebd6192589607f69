//! Dividing the work between servers that share a store.
//!
//! A server does a piece of work only while it holds the piece's lease. The lease is renewed while the work goes on and
//! given back at its end. When it can't be renewed, the work is dropped where it stands *before* the lease runs out, so the
//! server that takes it over then does not meet this one. What was under way may still reach the engine: every verb may
//! be repeated, and carries a generation.
//!
//! A store that this process has for itself ([`Store::version`]) knows of nobody to divide with: then there is no lease, no
//! write and no wait.
//!
//! Two servers are kept apart as far as their clocks agree: they may differ by a fifth of a lease. A lease whose end lies further ahead than
//! any may was taken by a clock that is ahead. Its holder still has it for as long as it renews it, which changes its end; once it has
//! stayed as it is for longer than a lease lasts, by this server's own watch, nobody has it.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::store::{Lease, LeaseAnswer, Store, StoreError};
use tokio::time::Instant;
use tracing::warn;

use crate::app::App;

/// For how long leases are taken, and how often they are renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseTimes {
    /// From the taking, or the last renewal, to the end. So long nobody goes on with what a dead server left.
    pub(crate) length: Duration,
    /// From one renewal to the next, and from one look for work that another server was asked for to the next.
    pub(crate) renewal: Duration,
}

impl Default for LeaseTimes {
    /// Three renewals in a lease: two may fail.
    fn default() -> Self {
        Self { length: Duration::from_secs(15), renewal: Duration::from_secs(5) }
    }
}

impl LeaseTimes {
    /// How long before its end a lease counts as lost.
    fn margin(self) -> Duration {
        self.length / 5
    }

    fn end(self, now: Timestamp) -> Timestamp {
        now.plus_ms(i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Who this server is among others.
pub(crate) struct Leases {
    /// One life of one server.
    pub(crate) holder: String,
    /// For how long it takes leases.
    pub(crate) times: LeaseTimes,
    /// Leases that end further ahead than any may, and since when they were seen so.
    strange: Mutex<HashMap<String, (Lease, Instant)>>,
}

impl Leases {
    pub(crate) fn of(holder: String, times: LeaseTimes) -> Self {
        Self { holder, times, strange: Mutex::default() }
    }

    /// Whether nobody has this lease any more, though it has not run out by this server's clock.
    fn is_left(&self, lease: &Lease, now: Timestamp) -> bool {
        // A map is whole after each of its calls.
        let mut strange = self.strange.lock().unwrap_or_else(PoisonError::into_inner);
        let most = self.times.length + self.times.margin();
        if Duration::from_millis(lease.until.ms_since(now)) <= most {
            strange.remove(&lease.name);
            return false;
        }
        match strange.get(&lease.name) {
            Some((seen, since)) if seen == lease => since.elapsed() > most,
            _ => {
                strange.insert(lease.name.clone(), (lease.clone(), Instant::now()));
                false
            }
        }
    }

    /// Takes a lease, also one that is left, as if its end had come.
    async fn take(&self, store: &dyn Store, name: &str, now: Timestamp) -> Result<LeaseAnswer, StoreError> {
        let Self { holder, times, strange } = self;
        let answer = match store.lease_take(name, holder, now, times.end(now)).await? {
            LeaseAnswer::Held(by) if self.is_left(&by, now) => {
                warn!(
                    lease.name = name,
                    "{} has left a lease that ends {} s from now: the clock of that server, or of this one, is wrong",
                    by.holder,
                    by.until.ms_since(now) / 1000
                );
                store.lease_take(name, holder, by.until, times.end(now)).await?
            }
            answer => answer,
        };
        if let LeaseAnswer::Taken(_) = answer {
            strange.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        }
        Ok(answer)
    }
}

/// What came of a piece of work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome<T> {
    /// It was done, by this server.
    Done(T),
    /// Another server does it; ask again after this time.
    Elsewhere(Duration),
    /// It was dropped in the middle: the lease could not be renewed.
    Lost,
}

/// Does `work` while holding the lease `name`; does nothing of it without.
pub(crate) async fn with_lease<T>(app: &App, name: &str, work: impl Future<Output = T>) -> Outcome<T> {
    held(app.store.as_ref(), app.clock.as_ref(), &app.leases, name, work).await
}

/// Does what may be dropped in the middle; `None` when the app stops before it is done.
pub(crate) async fn unless_stopped<T>(app: &App, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = app.stop.wait() => None,
    }
}

/// Lets this server do what one server at a time does without end: takes turns until one is done, or the app stops. A turn that another
/// server has is asked for again. A turn is never dropped, so that what it holds is given back: when the app stops it ends by itself,
/// as [`unless_stopped`] does.
pub(crate) async fn in_turns<T, F: Future<Output = Outcome<T>>>(app: &App, mut turn: impl FnMut() -> F) {
    while !app.stop.asked() {
        let pause = match turn().await {
            Outcome::Done(_) => return,
            Outcome::Elsewhere(again) => again,
            Outcome::Lost => Duration::ZERO,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = app.stop.wait() => {}
        }
    }
}

async fn held<T>(
    store: &dyn Store,
    clock: &dyn Clock,
    leases: &Leases,
    name: &str,
    work: impl Future<Output = T>,
) -> Outcome<T> {
    if store.version().is_some() {
        return Outcome::Done(work.await);
    }
    let times = leases.times;
    let (asked, now) = (Instant::now(), clock.now());
    let lease = match leases.take(store, name, now).await {
        Ok(LeaseAnswer::Taken(lease)) => lease,
        Ok(LeaseAnswer::Held(by)) => {
            // At its very end it is free. Never at once again, whatever the clocks say.
            let left = Duration::from_millis(by.until.ms_since(now));
            return Outcome::Elsewhere(left.clamp(times.renewal / 5, times.length));
        }
        Err(why) => {
            warn!(lease.name = name, error = %why, "a lease could not be taken");
            return Outcome::Elsewhere(times.renewal);
        }
    };
    let mut work = pin!(work);
    tokio::select! {
        answer = &mut work => {
            // Whoever waits for it need not wait for its end. When this fails, it does.
            if let Err(why) = store.lease_release(&lease, clock.now()).await {
                warn!(lease.name = name, error = %why, "a lease could not be given back; it runs out by itself");
            }
            Outcome::Done(answer)
        }
        () = keep(store, clock, times, &lease, asked) => {
            warn!(lease.name = name, "a lease could not be renewed: what it was for is left to whoever takes it next");
            Outcome::Lost
        }
    }
}

/// Renews a lease that was asked for at `asked`; returns when it is lost, or as good as.
async fn keep(store: &dyn Store, clock: &dyn Clock, times: LeaseTimes, lease: &Lease, asked: Instant) {
    let mut good_until = asked + times.length - times.margin();
    let mut pause = times.renewal;
    loop {
        tokio::time::sleep_until((Instant::now() + pause).min(good_until)).await;
        let (asked, now) = (Instant::now(), clock.now());
        if asked >= good_until {
            return;
        }
        match tokio::time::timeout_at(good_until, store.lease_renew(lease, now, times.end(now))).await {
            Ok(Ok(Some(_))) => {
                good_until = asked + times.length - times.margin();
                pause = times.renewal;
            }
            Ok(Err(why)) => {
                warn!(lease.name = lease.name, error = %why, "a lease could not be renewed yet");
                pause = times.renewal / 5;
            }
            Ok(Ok(None)) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use layer0_store::SqliteStore;
    use layer0_testkit::clock::FixedClock;
    use layer0_testkit::until::until_true;

    use super::*;

    fn leases(holder: &str, length: Duration) -> Leases {
        Leases::of(holder.to_owned(), LeaseTimes { length, renewal: length / 10 })
    }

    /// Work that never ends by itself, and says whether it goes on.
    struct Work<'a>(&'a AtomicBool);

    impl<'a> Work<'a> {
        fn begin(goes_on: &'a AtomicBool) -> Self {
            goes_on.store(true, Ordering::SeqCst);
            Self(goes_on)
        }

        async fn go_on(self) {
            std::future::pending().await
        }
    }

    impl Drop for Work<'_> {
        fn drop(&mut self) {
            self.0.store(false, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn work_is_done_by_the_one_who_holds_the_lease() {
        let store = SqliteStore::in_memory().with_others();
        let clock = FixedClock::default();
        let (a, b) = (leases("a", Duration::from_secs(60)), leases("b", Duration::from_secs(60)));
        let inner = Mutex::new(None);
        let outcome = held(&store, &clock, &a, "n", async {
            let outcome = held(&store, &clock, &b, "n", async {}).await;
            *inner.lock().expect("nobody panics") = Some(outcome);
            7
        });
        assert_eq!(outcome.await, Outcome::Done(7));
        assert_eq!(inner.into_inner().expect("nobody panics"), Some(Outcome::Elsewhere(Duration::from_secs(60))));
        // Given back: the other one gets it at once.
        assert_eq!(held(&store, &clock, &b, "n", async { 8 }).await, Outcome::Done(8));
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_of_a_clock_that_is_ahead_is_no_ones_when_nobody_renews_it() {
        const YEAR_MS: i64 = 365 * 24 * 60 * 60 * 1000;
        let store = SqliteStore::in_memory().with_others();
        let (right, ahead) = (FixedClock::default(), FixedClock::default());
        ahead.advance_ms(YEAR_MS);
        let (a, b) = (leases("a", Duration::from_secs(15)), leases("b", Duration::from_secs(15)));
        let ask = || held(&store, &right, &a, "n", async { 1 });
        // While its holder renews it, it is his.
        let now = ahead.now();
        let taken = store.lease_take("n", "b", now, b.times.end(now)).await.expect("the store answers");
        let LeaseAnswer::Taken(mut lease) = taken else { panic!("nobody else has it") };
        for _ in 0..10 {
            assert_eq!(ask().await, Outcome::Elsewhere(a.times.length));
            tokio::time::advance(b.times.renewal * 5).await;
            ahead.advance_ms(7_500);
            let now = ahead.now();
            let renewed = store.lease_renew(&lease, now, b.times.end(now)).await.expect("the store answers");
            lease = renewed.expect("it is b's");
        }
        // Given back, by the clock that is ahead: for a's it ends in a year.
        assert!(store.lease_release(&lease, ahead.now()).await.expect("the store answers"));
        let mut asked = 0;
        while ask().await != Outcome::Done(1) {
            asked += 1;
            assert!(asked < 5, "it is never taken");
            tokio::time::advance(a.times.length).await;
        }
        assert!(asked >= 2, "it is watched for longer than a lease lasts");
        // From then on it is one like others.
        assert_eq!(ask().await, Outcome::Done(1));
    }

    #[tokio::test]
    async fn work_is_dropped_when_another_one_has_the_lease() {
        let store = SqliteStore::in_memory().with_others();
        let clock = FixedClock::default();
        let leases = leases("a", Duration::from_secs(10));
        let goes_on = AtomicBool::new(false);
        let taken = async {
            until_true("the work to begin", || async { goes_on.load(Ordering::SeqCst) }).await;
            // For everybody else the lease has run out, as for one who slept through its end.
            clock.advance_ms(10_000);
            let now = clock.now();
            store.lease_take("n", "b", now, now.plus_ms(10_000)).await.expect("the store answers")
        };
        let work = held(&store, &clock, &leases, "n", async { Work::begin(&goes_on).go_on().await });
        let (outcome, taken) = tokio::join!(work, taken);
        assert!(matches!(taken, LeaseAnswer::Taken(_)), "{taken:?}");
        assert_eq!(outcome, Outcome::Lost);
        assert!(!goes_on.load(Ordering::SeqCst), "nothing of it goes on");
    }

    /// A store that does not answer any more: the work goes on as long as the lease is good, and ends before it runs out.
    #[tokio::test]
    async fn work_is_dropped_before_a_lease_runs_out_that_cant_be_renewed() {
        let store = SqliteStore::in_memory().with_others();
        let clock = layer0_testkit::clock::RunningClock::default();
        let leases = leases("a", Duration::from_secs(4));
        let goes_on = AtomicBool::new(false);
        let began = Instant::now();
        let closed = async {
            until_true("the work to begin", || async { goes_on.load(Ordering::SeqCst) }).await;
            store.close().await;
        };
        let work = held(&store, &clock, &leases, "n", async { Work::begin(&goes_on).go_on().await });
        let (outcome, ()) = tokio::join!(work, closed);
        let took = began.elapsed();
        assert_eq!(outcome, Outcome::Lost);
        assert!(!goes_on.load(Ordering::SeqCst), "nothing of it goes on");
        let length = leases.times.length;
        assert!(took >= length - leases.times.margin() - leases.times.renewal && took < length, "{took:?}");
    }
}
