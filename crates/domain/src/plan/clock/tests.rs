use proptest::prelude::*;

use super::*;

const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// Looks at each of these times, and says which were believed.
fn believed(times: &[i64]) -> Vec<bool> {
    let looked = times.iter().scan(None, |seen, &now| {
        *seen = Some(look(*seen, Timestamp(now)));
        *seen
    });
    looked.map(|seen| seen.doubted.is_none()).collect()
}

#[test]
fn time_that_goes_by_is_believed() {
    assert_eq!(believed(&[YEAR, YEAR, YEAR + HOUR, YEAR + HOUR + 2 * DAY]), [true; 4]);
    assert_eq!(believed(&[YEAR, YEAR + 2 * DAY + 1]), [true, false]);
}

#[test]
fn a_clock_that_was_put_right_within_a_day_was_never_believed() {
    let times = [0, HOUR, YEAR, YEAR + HOUR, YEAR + DAY - 1, DAY, 2 * DAY];
    assert_eq!(believed(&times), [true, true, false, false, false, true, true]);
}

#[test]
fn one_that_was_off_for_long_is_believed_after_a_day() {
    assert_eq!(believed(&[0, YEAR, YEAR + DAY - 1, YEAR + DAY, YEAR + DAY]), [true, false, false, true, true]);
    assert_eq!(believed(&[0, YEAR, YEAR + 2 * DAY, YEAR + 2 * DAY]), [true, false, true, true]);
}

#[test]
fn each_further_leap_begins_the_day_anew() {
    let times = [0, YEAR, YEAR + 2 * DAY + 1, 2 * YEAR, 2 * YEAR - HOUR, 2 * YEAR + DAY - HOUR];
    assert_eq!(believed(&times), [true, false, false, false, false, true]);
}

#[test]
fn one_that_was_set_back_is_believed_and_its_return_is_a_leap() {
    assert_eq!(believed(&[YEAR, 0, YEAR, YEAR + DAY]), [true, true, false, true]);
    assert_eq!(believed(&[i64::MAX, i64::MIN, i64::MAX, i64::MIN]), [true, true, false, true]);
}

/// Two servers look one after the other, and the second one's clock is half a second behind.
#[test]
fn two_right_clocks_need_not_agree_to_the_second() {
    let hours = (0..24).flat_map(|hour| [YEAR + hour * HOUR, YEAR + hour * HOUR - 500]);
    let mut times = vec![0];
    times.extend(hours);
    assert!(believed(&times)[1..].iter().all(|it| !it));
    times.push(YEAR + DAY);
    assert_eq!(believed(&times).last(), Some(&true));
}

proptest! {
    /// However a clock jumps: what is believed lies at most two days beyond the last that was, or a day has gone by in steps of which
    /// none was longer than two.
    #[test]
    fn nothing_far_ahead_is_believed_at_once(times in prop::collection::vec(
        prop_oneof![0..20 * DAY, 10 * DAY..10 * DAY + 3 * APART_MS], 1..60,
    )) {
        let mut seen: Option<Seen> = None;
        let mut run = vec![];
        for now in times.into_iter().map(Timestamp) {
            let next = look(seen, now);
            let is_leap = seen.is_some_and(|seen| now.ms_since(seen.believed) > LEAP_MS);
            let latest = run.iter().copied().max();
            let goes_on =
                latest.is_some_and(|last| now.plus_ms(APART_MS) >= last && now.ms_since(last) <= LEAP_MS);
            if !is_leap {
                run.clear();
            } else if goes_on {
                run.push(now);
            } else {
                run = vec![now];
            }
            let is_believed = run.first().is_none_or(|first| now.ms_since(*first) >= WAIT_MS);
            prop_assert_eq!(next.doubted.is_none(), is_believed);
            if is_believed {
                prop_assert_eq!(next.believed, now);
                run.clear();
            } else {
                prop_assert_eq!(seen.map(|it| it.believed), Some(next.believed));
            }
            seen = Some(next);
        }
    }
}
