//! Whether what is judged by its age may be judged by this clock.
//!
//! Nobody can tell a clock that was set a year ahead from one that was off for a year. Waiting a day tells most of them apart: a wrong
//! clock is put right meanwhile, and the time of a right one goes on. So a time that lies far beyond the last one is not believed before
//! a day has gone by on the clock that says it.

use serde::{Deserialize, Serialize};

use crate::model::time::Timestamp;

#[cfg(test)]
mod tests;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How far a time may lie beyond the last one that was seen: a weekend is longer, and costs a day.
pub const LEAP_MS: u64 = 2 * DAY_MS;

/// How long a time that lies further is waited with.
pub const WAIT_MS: u64 = DAY_MS;

/// How far two right clocks may differ: several servers look at theirs, one after the other.
const APART_MS: i64 = 60 * 1000;

/// What was seen of a clock. It is looked at more often than [`LEAP_MS`] for as long as something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The last time that was believed.
    pub believed: Timestamp,
    /// What is not believed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted: Option<Doubted>,
}

/// A time that lay too far beyond the last one, and those seen since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubted {
    /// The first.
    pub since: Timestamp,
    /// The last.
    pub latest: Timestamp,
}

impl Doubted {
    /// From when on it is believed, if nothing leaps again.
    #[must_use]
    pub fn until(self) -> Timestamp {
        self.since.plus_ms(i64::try_from(WAIT_MS).unwrap_or(i64::MAX))
    }
}

/// What is known after a look at the clock. The first time of all is believed: there is nothing to compare it with. So is one that was
/// set back, by which nothing is older than before.
#[must_use]
pub fn look(seen: Option<Seen>, now: Timestamp) -> Seen {
    let believed = Seen { believed: now, doubted: None };
    let Some(seen) = seen else { return believed };
    if now.ms_since(seen.believed) <= LEAP_MS {
        return believed;
    }
    let goes_on = |it: &Doubted| now.plus_ms(APART_MS) >= it.latest && now.ms_since(it.latest) <= LEAP_MS;
    match seen.doubted.filter(goes_on) {
        Some(doubted) if now >= doubted.until() => believed,
        Some(Doubted { since, latest }) => Seen { doubted: Some(Doubted { since, latest: latest.max(now) }), ..seen },
        None => Seen { doubted: Some(Doubted { since: now, latest: now }), ..seen },
    }
}
