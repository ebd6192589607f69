//! Who gets a lease. The rules of [`Store::lease_take`](crate::port::store::Store::lease_take) and its companions, as
//! pure functions, so that every store keeps the same ones.

use crate::model::time::Timestamp;
use crate::port::store::{Lease, LeaseAnswer};

/// How long a store remembers a lease after it ran out.
pub const REMEMBERED_MS: i64 = 24 * 60 * 60 * 1000;

/// What somebody gets who asks for a lease, given the one that is stored.
///
/// The fence is the time of the taking, or one more than the last one where that is not enough: so it grows also over a
/// lease that was forgotten.
#[must_use]
pub fn take(stored: Option<Lease>, name: &str, holder: &str, now: Timestamp, until: Timestamp) -> LeaseAnswer {
    let last = match stored {
        Some(lease) if lease.holder != holder && held(&lease, now) => return LeaseAnswer::Held(lease),
        Some(lease) => lease.fence,
        None => 0,
    };
    let fence = u64::try_from(now.0).unwrap_or(0).max(last.saturating_add(1));
    LeaseAnswer::Taken(Lease { name: name.to_owned(), holder: holder.to_owned(), fence, until })
}

/// The lease with its new end; `None` when it is not held any more.
#[must_use]
pub fn renew(stored: Option<&Lease>, lease: &Lease, now: Timestamp, until: Timestamp) -> Option<Lease> {
    is_this(stored, lease, now).then(|| Lease { until, ..lease.clone() })
}

/// The lease as it is given back; `None` when it is not held any more.
#[must_use]
pub fn release(stored: Option<&Lease>, lease: &Lease, now: Timestamp) -> Option<Lease> {
    is_this(stored, lease, now).then(|| Lease { until: now, ..lease.clone() })
}

fn held(lease: &Lease, now: Timestamp) -> bool {
    now < lease.until
}

fn is_this(stored: Option<&Lease>, lease: &Lease, now: Timestamp) -> bool {
    stored.is_some_and(|stored| stored.fence == lease.fence && stored.holder == lease.holder && held(stored, now))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One step of one of three holders, at a time that jumps as clocks of different machines do.
    fn steps() -> impl Strategy<Value = Vec<(usize, usize, i64)>> {
        prop::collection::vec((0..3_usize, 0..3_usize, -5..20_i64), 1..80)
    }

    proptest! {
        #[test]
        fn fences_grow_and_no_two_hold_at_once(steps in steps()) {
            let mut stored: Option<Lease> = None;
            let mut kept: [Option<Lease>; 3] = [None, None, None];
            let (mut now, mut last) = (Timestamp(1_000), 0);
            for (holder, step, passed) in steps {
                now = now.plus_ms(passed);
                let name = format!("h{holder}");
                match step {
                    0 => {
                        let free = stored.as_ref().is_none_or(|it| it.holder == name || it.until <= now);
                        match take(stored.clone(), "n", &name, now, now.plus_ms(10)) {
                            LeaseAnswer::Taken(lease) => {
                                prop_assert!(free && lease.fence > last);
                                last = lease.fence;
                                stored = Some(lease.clone());
                                kept[holder] = Some(lease);
                            }
                            LeaseAnswer::Held(other) => prop_assert!(!free && other.until > now),
                        }
                    }
                    1 => if let Some(lease) = kept[holder].clone() {
                        let renewed = renew(stored.as_ref(), &lease, now, now.plus_ms(10));
                        if let Some(renewed) = renewed {
                            prop_assert_eq!(renewed.fence, last, "only the last one taken is renewed");
                            stored = Some(renewed.clone());
                            kept[holder] = Some(renewed);
                        }
                    },
                    _ => if let Some(lease) = kept[holder].take()
                        && let Some(freed) = release(stored.as_ref(), &lease, now)
                    {
                        prop_assert_eq!(freed.fence, last, "only the last one taken is released");
                        stored = Some(freed);
                    },
                }
            }
        }
    }
}
