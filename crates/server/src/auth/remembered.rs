//! Who showed which credential, remembered for as long as nothing that decides about it can have changed: until the store's next
//! commit that is about more than the content of repositories, and for some seconds at most.
//!
//! So what is remembered is what a fresh look would find. It is there for pulls and pushes, which come in crowds with one
//! credential and change nothing about anybody. A credential is kept as its HMAC under a key of this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use layer0_domain::model::time::Timestamp;
use sha2::Sha256;

use super::sign_in::Known;

/// So many credentials are remembered.
const MOST: usize = 1_000;

/// For so long: uses of tokens are noted, and ends by time are looked at, at a fresh look.
const LONGEST_MS: i64 = 10_000;

/// What was found out about credentials.
pub(crate) struct Remembered {
    key: Hmac<Sha256>,
    found: Mutex<Found>,
}

#[derive(Default)]
struct Found {
    /// The state of [the store](layer0_domain::port::access_store::AccessStore::version) that it was found in.
    version: u64,
    known: HashMap<[u8; 32], Entry>,
    /// How many entries there have been.
    count: u64,
}

struct Entry {
    known: Arc<Known>,
    /// No other entry has it, or had.
    number: u64,
    from: Timestamp,
    until: Timestamp,
}

/// A credential's place in the memory.
#[derive(Clone, Copy)]
pub(crate) struct Mark([u8; 32]);

impl Found {
    fn entry(&self, version: u64, mark: &Mark, now: Timestamp) -> Option<&Entry> {
        let entry = self.known.get(&mark.0).filter(|_| self.version == version)?;
        (entry.from <= now && now < entry.until).then_some(entry)
    }
}

impl Remembered {
    /// Nothing yet; with a random key of this process.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let key = Hmac::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104)");
        Self { key, found: Mutex::default() }
    }

    /// The place of what was shown.
    pub(crate) fn mark(&self, shown: &[u8]) -> Mark {
        let mut mac = self.key.clone();
        mac.update(shown);
        Mark(mac.finalize().into_bytes().into())
    }

    /// Who showed it, if that was found out in this state of the store and no time has run out since.
    pub(crate) fn get(&self, version: u64, mark: &Mark, now: Timestamp) -> Option<Arc<Known>> {
        self.lock().entry(version, mark, now).map(|entry| Arc::clone(&entry.known))
    }

    /// The number of that: the same until something is found out anew.
    pub(crate) fn number(&self, version: u64, mark: &Mark, now: Timestamp) -> Option<u64> {
        self.lock().entry(version, mark, now).map(|entry| entry.number)
    }

    /// Remembers who showed it: what was found out in a state of the store no older than this.
    pub(crate) fn put(&self, version: u64, mark: Mark, known: &Arc<Known>, now: Timestamp) {
        let ends = [known.expires, known.ends];
        let until = ends.into_iter().flatten().fold(now.plus_ms(LONGEST_MS), std::cmp::min);
        let mut found = self.lock();
        if found.version != version {
            // An older look must not push out what is newer.
            if found.version > version {
                return;
            }
            found.known.clear();
            found.version = version;
        }
        if found.known.len() >= MOST {
            found.known.clear();
        }
        found.count += 1;
        let entry = Entry { known: Arc::clone(known), number: found.count, from: now, until };
        found.known.insert(mark.0, entry);
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        // A map is whole after each of its calls.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use layer0_domain::model::access::Caller;

    use super::*;

    fn known(expires: Option<Timestamp>) -> Arc<Known> {
        let caller = Caller::anonymous();
        Arc::new(Known { at_most: caller.rights.clone(), caller, session: None, expires, ends: None })
    }

    #[test]
    fn what_was_found_is_true_until_the_next_commit_and_for_ten_seconds() {
        let remembered = Remembered::new(&[7; 32]);
        let (one, other) = (remembered.mark(b"one"), remembered.mark(b"other"));
        remembered.put(1, one, &known(None), Timestamp(5_000));
        let there = |version, mark, at| remembered.get(version, &mark, Timestamp(at)).is_some();
        assert!(there(1, one, 5_000) && there(1, one, 14_999));
        assert!(!there(1, other, 5_000), "another credential");
        assert!(!there(2, one, 5_000), "something was written since");
        assert!(!there(1, one, 15_000) && !there(1, one, 4_999), "the clock is beyond it");
    }

    #[test]
    fn nothing_is_remembered_beyond_its_own_end_nor_from_an_older_look() {
        let remembered = Remembered::new(&[7; 32]);
        let mark = remembered.mark(b"one");
        remembered.put(2, mark, &known(Some(Timestamp(6_000))), Timestamp(5_000));
        assert!(remembered.get(2, &mark, Timestamp(5_999)).is_some());
        assert!(remembered.get(2, &mark, Timestamp(6_000)).is_none());
        let late = remembered.mark(b"late");
        remembered.put(1, late, &known(None), Timestamp(5_000));
        assert!(remembered.get(1, &late, Timestamp(5_000)).is_none());
        assert!(remembered.get(2, &mark, Timestamp(5_999)).is_some());
    }
}
