//! Bounds on guessing: wrong credentials are counted for each address and for each name, and forgotten with time.
//!
//! Only what can be guessed is held up: passwords. A token has 256 random bits and is looked up first, so whoever has a good
//! one is never shut out by somebody else's guesses; neither is a password that was right a moment ago.
//!
//! Each count is a bucket that fills by one with a wrong credential and drains at a steady rate (a leaky bucket). At its
//! brim, no further password is looked at until it has drained by one.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use layer0_domain::model::time::Timestamp;

/// So many wrong credentials under one name, then one every half minute.
const NAME: Bucket = Bucket { brim: 10, drain_ms: 30_000 };

/// So many wrong credentials from one address, then one every six seconds. Many people may sit behind one address.
const ADDRESS: Bucket = Bucket { brim: 50, drain_ms: 6_000 };

/// So many exchanges of what somebody from elsewhere shows from one address, then two a second. A farm of build machines may sit
/// behind one address.
const EXCHANGE: Bucket = Bucket { brim: 120, drain_ms: 500 };

/// So many addresses and so many names are counted. Whoever has more addresses than this has a network of machines.
const COUNTED_MAX: usize = 20_000;

#[derive(Clone, Copy)]
struct Bucket {
    brim: u32,
    drain_ms: u64,
}

/// How full a bucket was, and when.
#[derive(Clone, Copy)]
struct Level {
    /// In units of `drain_ms`, so that nothing is lost to rounding.
    full_ms: u64,
    at: Timestamp,
}

/// The counts.
#[derive(Default)]
pub(crate) struct Throttle {
    names: Mutex<HashMap<String, Level>>,
    addresses: Mutex<HashMap<IpAddr, Level>>,
    exchanges: Mutex<HashMap<IpAddr, Level>>,
}

impl Throttle {
    /// How many seconds to wait before another password of this name from this address is looked at; `None` for not at
    /// all.
    pub(crate) fn wait_s(&self, name: &str, from: Option<IpAddr>, now: Timestamp) -> Option<u64> {
        let by_name = wait(&self.names, NAME, &short(name), now);
        from.map(network).and_then(|from| wait(&self.addresses, ADDRESS, &from, now)).max(by_name)
    }

    /// Counts a wrong credential; answers whether the address was below its brim, so that a flood is not written down
    /// line by line.
    pub(crate) fn wrong(&self, name: &str, from: Option<IpAddr>, now: Timestamp) -> bool {
        count(&self.names, NAME, short(name), now);
        self.wrong_from(from, now)
    }

    /// As [`wrong`](Self::wrong), for what was shown under no name.
    pub(crate) fn wrong_from(&self, from: Option<IpAddr>, now: Timestamp) -> bool {
        from.is_none_or(|from| count(&self.addresses, ADDRESS, network(from), now))
    }

    /// Counts an exchange; answers how many seconds to wait before it when there were too many, or too many wrong ones.
    pub(crate) fn exchange(&self, from: Option<IpAddr>, now: Timestamp) -> Option<u64> {
        let from = network(from?);
        if let Some(after_s) = wait(&self.addresses, ADDRESS, &from, now) {
            return Some(after_s);
        }
        if count(&self.exchanges, EXCHANGE, from, now) { None } else { wait(&self.exchanges, EXCHANGE, &from, now) }
    }
}

/// A name as it is counted: no longer than any name of ours.
fn short(name: &str) -> String {
    name.chars().take(200).collect()
}

/// Who has one IPv6 address has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(long) => match long.to_ipv4_mapped() {
            Some(short) => IpAddr::V4(short),
            None => {
                let [a, b, c, d, ..] = long.segments();
                IpAddr::V6(std::net::Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        },
    }
}

impl Level {
    /// How full it is now. When the clock was set back, it drains from the new time on: nobody waits for the old one to come again.
    fn drain(&mut self, now: Timestamp) -> u64 {
        *self = Self { full_ms: self.full_ms.saturating_sub(now.ms_since(self.at)), at: now };
        self.full_ms
    }
}

fn wait<K: Hash + Eq>(counts: &Mutex<HashMap<K, Level>>, bucket: Bucket, key: &K, now: Timestamp) -> Option<u64> {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let full = counts.get_mut(key)?.drain(now);
    let brim = u64::from(bucket.brim) * bucket.drain_ms;
    let over = (full + bucket.drain_ms).saturating_sub(brim);
    (over > 0).then(|| over.div_ceil(1000))
}

/// Counts one; answers whether there was room for it.
fn count<K: Hash + Eq + Clone>(counts: &Mutex<HashMap<K, Level>>, bucket: Bucket, key: K, now: Timestamp) -> bool {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    if counts.len() >= COUNTED_MAX && !counts.contains_key(&key) {
        counts.retain(|_, level| level.drain(now) > 0);
        if counts.len() >= COUNTED_MAX {
            // All are still guessing. The emptiest has the least to lose.
            let emptiest = counts.iter().min_by_key(|(_, level)| level.full_ms).map(|(key, _)| key.clone());
            if let Some(emptiest) = emptiest {
                counts.remove(&emptiest);
            }
        }
    }
    let brim = u64::from(bucket.brim) * bucket.drain_ms;
    let level = counts.entry(key).or_insert(Level { full_ms: 0, at: now });
    let full = level.drain(now) + bucket.drain_ms;
    level.full_ms = full.min(brim);
    full <= brim
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn ten_wrong_ones_under_a_name_hold_it_up_for_half_a_minute_each() {
        let throttle = Throttle::default();
        let now = Timestamp(1_000_000);
        for number in 0..10 {
            assert_eq!(throttle.wait_s("alice", from("10.0.0.1"), now), None, "{number}");
            throttle.wrong("alice", from("10.0.0.1"), now);
        }
        assert_eq!(throttle.wait_s("alice", from("10.0.0.2"), now), Some(30), "from anywhere");
        assert_eq!(throttle.wait_s("bob", from("10.0.0.1"), now), None, "another name");
        assert_eq!(throttle.wait_s("alice", None, now.plus_ms(29_500)), Some(1));
        assert_eq!(throttle.wait_s("alice", None, now.plus_ms(30_000)), None);
        throttle.wrong("alice", None, now.plus_ms(30_000));
        assert!(throttle.wait_s("alice", None, now.plus_ms(30_000)).is_some(), "one was drained, one came");
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nobody_up_for_longer() {
        let throttle = Throttle::default();
        let (ahead, now) = (Timestamp(1_000_000_000_000), Timestamp(1_000_000));
        for _ in 0..10 {
            throttle.wrong("alice", None, ahead);
        }
        assert_eq!(throttle.wait_s("alice", None, now), Some(30));
        assert_eq!(throttle.wait_s("alice", None, now.plus_ms(30_000)), None);
    }

    #[test]
    fn fifty_wrong_ones_from_an_address_hold_it_up_for_every_name() {
        let throttle = Throttle::default();
        let now = Timestamp(0);
        for number in 0..50 {
            assert!(throttle.wrong(&format!("user{number}"), from("2001:db8::1"), now), "{number}");
        }
        assert!(!throttle.wrong("more", from("2001:db8::1"), now), "a flood is not written down");
        assert_eq!(throttle.wait_s("new", from("2001:db8::ffff"), now), Some(6), "the same network");
        assert_eq!(throttle.wait_s("new", from("2001:db8:0:1::1"), now), None, "another one");
        assert_eq!(throttle.wait_s("new", None, now), None);
    }

    #[test]
    fn exchanges_of_an_address_are_bounded_and_wrong_ones_more_so() {
        let throttle = Throttle::default();
        let now = Timestamp(0);
        for number in 0..120 {
            assert_eq!(throttle.exchange(from("10.0.0.1"), now), None, "{number}");
        }
        assert_eq!(throttle.exchange(from("10.0.0.1"), now), Some(1));
        assert_eq!(throttle.exchange(from("10.0.0.2"), now), None, "another one");
        assert_eq!(throttle.exchange(from("10.0.0.1"), now.plus_ms(500)), None);
        for _ in 0..50 {
            assert!(throttle.wrong_from(from("10.0.0.3"), now));
        }
        assert_eq!(throttle.exchange(from("10.0.0.3"), now), Some(6));
        assert_eq!(throttle.exchange(None, now), None);
    }

    #[test]
    fn a_flood_of_names_takes_no_more_than_its_share_of_memory() {
        let throttle = Throttle::default();
        for number in 0..COUNTED_MAX + 100 {
            throttle.wrong(&number.to_string(), None, Timestamp(0));
        }
        assert_eq!(throttle.names.lock().expect("nobody panics").len(), COUNTED_MAX);
    }
}
