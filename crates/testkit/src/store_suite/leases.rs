//! Leases: held by one at a time, taken over when they have run out.

use futures_util::future::join_all;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::store::{Lease, LeaseAnswer, Store};

/// A moment at which nothing has run out yet: the year 2100. Not one that is past, for a store that removes what expired days
/// ago, as DynamoDB does by a clock of its own, would then rightly remove a lease in the middle of a test.
const START: i64 = 4_102_444_800_000;

async fn ask(store: &dyn Store, name: &str, holder: &str, now: i64) -> LeaseAnswer {
    let (now, until) = (Timestamp(START + now), Timestamp(START + now + 15));
    store.lease_take(name, holder, now, until).await.expect("a write succeeds")
}

async fn take(store: &dyn Store, name: &str, holder: &str, now: i64) -> Lease {
    match ask(store, name, holder, now).await {
        LeaseAnswer::Taken(lease) => {
            assert_eq!((lease.name.as_str(), lease.holder.as_str()), (name, holder));
            assert_eq!(lease.until, Timestamp(START + now + 15));
            lease
        }
        LeaseAnswer::Held(by) => panic!("{holder} was to get {name}, but it is held: {by:?}"),
    }
}

async fn assert_held(store: &dyn Store, holder: &str, now: i64, by: &Lease) {
    assert_eq!(ask(store, &by.name, holder, now).await, LeaseAnswer::Held(by.clone()));
}

async fn renew(store: &dyn Store, lease: &Lease, now: i64) -> Option<Lease> {
    let (now, until) = (Timestamp(START + now), Timestamp(START + now + 15));
    store.lease_renew(lease, now, until).await.expect("a write succeeds")
}

async fn release(store: &dyn Store, lease: &Lease, now: i64) -> bool {
    store.lease_release(lease, Timestamp(START + now)).await.expect("a write succeeds")
}

/// `lease_take`: one holder at a time; another one gets it when it has run out, not a moment before, and with a greater
/// fence. Names have nothing to do with each other.
pub async fn a_lease_is_taken_over_only_when_it_has_run_out(store: &dyn Store) {
    let first = take(store, "operation/o#1", "a", 0).await;
    take(store, "operation/o", "b", 0).await;
    assert_held(store, "b", 0, &first).await;
    assert_held(store, "b", 14, &first).await;
    let second = take(store, "operation/o#1", "b", 15).await;
    assert!(second.fence > first.fence, "{first:?} {second:?}");
    assert_held(store, "a", 16, &second).await;
    // The same holder, whose answer may have been lost, gets it anew; what it had is void.
    let third = take(store, "operation/o#1", "b", 17).await;
    assert!(third.fence > second.fence, "{second:?} {third:?}");
    assert_eq!(renew(store, &second, 18).await, None);
    assert!(!release(store, &second, 18).await);
    assert_held(store, "a", 18, &third).await;
}

/// `lease_renew`: its holder keeps it; whoever lost it hears of that and takes it from nobody.
pub async fn a_lease_is_renewed_only_by_its_holder(store: &dyn Store) {
    let first = take(store, "resync", "a", 0).await;
    let renewed = renew(store, &first, 10).await.expect("it is held");
    assert_eq!(renewed, Lease { until: Timestamp(START + 25), ..first.clone() });
    assert_held(store, "b", 24, &renewed).await;
    // A renewal that its holder did not hear of is no obstacle to the next.
    let renewed = renew(store, &first, 20).await.expect("it is held");
    assert_eq!(renewed.until, Timestamp(START + 35));
    assert_eq!(renew(store, &renewed, 35).await, None, "it has run out");
    let second = take(store, "resync", "b", 35).await;
    assert_eq!(renew(store, &renewed, 36).await, None, "another one has it");
    let forged = Lease { holder: "a".to_owned(), ..second.clone() };
    assert_eq!(renew(store, &forged, 36).await, None);
    let never = Lease { name: "never taken".to_owned(), ..second.clone() };
    assert_eq!(renew(store, &never, 36).await, None);
    assert_held(store, "a", 49, &second).await;
}

/// `lease_release`: the next one need not wait, and gets a greater fence all the same; only the holder may.
pub async fn a_released_lease_is_free(store: &dyn Store) {
    let first = take(store, "resync", "a", 0).await;
    assert!(release(store, &first, 5).await);
    assert!(!release(store, &first, 5).await, "it is not held any more");
    assert_eq!(renew(store, &first, 5).await, None);
    // Also for one whose clock is behind.
    let early = take(store, "resync", "b", 5).await;
    assert!(early.fence > first.fence, "{first:?} {early:?}");
    assert!(!release(store, &first, 6).await, "another one has it");
    assert!(release(store, &early, 6).await);
    let again = take(store, "resync", "a", 7).await;
    assert!(again.fence > early.fence, "{early:?} {again:?}");
    assert!(release(store, &again, 8).await);
    let behind = ask(store, "resync", "b", -100).await;
    match behind {
        LeaseAnswer::Taken(lease) => assert!(lease.fence > again.fence, "{again:?} {lease:?}"),
        // Free from `now` on: at an earlier moment it was held.
        LeaseAnswer::Held(lease) => assert_eq!(lease.fence, again.fence),
    }
}

/// A lease that ran out more than a day ago may be forgotten; the next one's fence is greater all the same.
pub async fn fences_grow_over_days(store: &dyn Store) {
    let first = take(store, "resync", "a", 0).await;
    let days = 3 * 24 * 60 * 60 * 1000;
    take(store, "another", "a", days).await;
    let second = take(store, "resync", "b", days).await;
    assert!(second.fence > first.fence, "{first:?} {second:?}");
}

/// `lease_take`: of many who ask at once, one gets it; of many who take it over at once too.
pub async fn of_many_who_ask_for_a_lease_one_gets_it(store: &dyn Store) {
    let mut fence = 0;
    for round in 0..4 {
        let holders: Vec<String> = (0..20).map(|number| format!("h{number}-{round}")).collect();
        let answers = join_all(holders.iter().map(|holder| ask(store, "resync", holder, 20 * round))).await;
        let taken: Vec<&Lease> = answers
            .iter()
            .filter_map(|answer| match answer {
                LeaseAnswer::Taken(lease) => Some(lease),
                LeaseAnswer::Held(_) => None,
            })
            .collect();
        assert_eq!(taken.len(), 1, "{answers:?}");
        assert!(taken[0].fence > fence);
        fence = taken[0].fence;
        let told = answers.iter().all(|answer| match answer {
            LeaseAnswer::Taken(lease) | LeaseAnswer::Held(lease) => lease == taken[0],
        });
        assert!(told, "the others hear who has it: {answers:?}");
    }
}

/// `lease_renew` against `lease_take` of others at the moment of its end: it stays, or goes to one; nobody has it twice.
pub async fn a_renewal_and_a_takeover_exclude_each_other(store: &dyn Store) {
    let mut holder = take(store, "resync", "h", 0).await;
    for round in 1..8 {
        // The holder's clock is behind: for it the lease still runs, for the other one it has run out.
        let (end, other) = (20 * round, format!("o{round}"));
        let (renewed, answer) = futures_util::join!(
            store.lease_renew(&holder, Timestamp(holder.until.0 - 1), Timestamp(START + end + 15)),
            ask(store, "resync", &other, end)
        );
        let renewed = renewed.expect("a write succeeds");
        match (&renewed, answer) {
            (None, LeaseAnswer::Taken(lease)) => holder = lease,
            (Some(renewed), LeaseAnswer::Held(lease)) => {
                assert_eq!(*renewed, lease);
                holder = lease;
            }
            // First renewed, to the end that the caller asked for; then that one had run out for the other, or not yet.
            (renewed, answer) => panic!("both or neither: {renewed:?} {answer:?}"),
        }
    }
}
