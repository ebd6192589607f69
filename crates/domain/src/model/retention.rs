//! Rules for which images of an owner are kept, and what of a repository they decide about.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::glob::Glob;
use super::owner::OwnerRule;
use super::time::Timestamp;

/// The most hours of a rule: ten years. What is to be kept for longer needs no rule.
pub const HOURS_MAX: u32 = 87_600;

/// The most tags that a rule may count.
pub const LAST_MAX: u32 = 10_000;

const HOUR_MS: u64 = 60 * 60 * 1000;

/// Which tags of an owner are kept, and for how long manifests without a tag are.
///
/// A tag that it judges is kept when it is among the last, or young enough. It judges none when it has neither bound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionRule {
    /// In which repositories of the owner: the name behind the owner.
    pub repositories: Glob,
    /// Which tags.
    pub tags: Glob,
    /// So many of them are kept, those that were pushed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_last: Option<u32>,
    /// Those are kept that were pushed less than so many hours ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_hours: Option<u32>,
    /// Manifests without a tag go that were pushed so many hours ago or earlier; `None` keeps them all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untagged_hours: Option<u32>,
}

/// Why a rule can't be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetentionRuleError {
    /// It would do nothing.
    #[error("a retention rule needs at least one of keep_last, keep_hours and untagged_hours")]
    Empty,
    /// A bound is out of its range.
    #[error("{bound} must be from 1 to {most}, not {given}")]
    Range {
        /// Which.
        bound: &'static str,
        /// Its greatest value.
        most: u32,
        /// What was given.
        given: u32,
    },
}

impl OwnerRule for RetentionRule {
    const WHAT: &'static str = "retention rule";

    fn about(&self) -> (&Glob, &Glob) {
        (&self.repositories, &self.tags)
    }
}

impl RetentionRule {
    /// Demands that the rule has a bound, and that each is within its range. 0 is none: it would mean all or nothing, and is more
    /// often a mistake.
    ///
    /// # Errors
    /// [`RetentionRuleError`] says what is wrong.
    pub fn check(&self) -> Result<(), RetentionRuleError> {
        let bounds = [
            ("keep_last", self.keep_last, LAST_MAX),
            ("keep_hours", self.keep_hours, HOURS_MAX),
            ("untagged_hours", self.untagged_hours, HOURS_MAX),
        ];
        if bounds.iter().all(|(_, given, _)| given.is_none()) {
            return Err(RetentionRuleError::Empty);
        }
        for (bound, given, most) in bounds {
            if let Some(given) = given.filter(|given| !(1..=most).contains(given)) {
                return Err(RetentionRuleError::Range { bound, most, given });
            }
        }
        Ok(())
    }

    /// Whether it has anything to say about a tag of a repository (the name behind the owner).
    #[must_use]
    pub fn judges(&self, repository: &str, tag: &str) -> bool {
        (self.keep_last.is_some() || self.keep_hours.is_some())
            && self.repositories.matches(repository)
            && self.tags.matches(tag)
    }

    /// Below which age in milliseconds it keeps a tag.
    #[must_use]
    pub fn keep_ms(&self) -> u64 {
        self.keep_hours.map_or(0, |hours| u64::from(hours) * HOUR_MS)
    }

    /// Below which age in milliseconds it keeps manifests of a repository that have no tag; `None` when it leaves them alone.
    #[must_use]
    pub fn untagged_ms(&self, repository: &str) -> Option<u64> {
        self.untagged_hours.filter(|_| self.repositories.matches(repository)).map(|hours| u64::from(hours) * HOUR_MS)
    }
}

impl fmt::Display for RetentionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repositories, self.tags)?;
        if let Some(last) = self.keep_last {
            write!(f, " last {last}")?;
        }
        if let Some(hours) = self.keep_hours {
            write!(f, " younger {}", Hours(hours))?;
        }
        if let Some(hours) = self.untagged_hours {
            write!(f, " untagged {}", Hours(hours))?;
        }
        Ok(())
    }
}

/// Hours as people say them: whole days as such.
struct Hours(u32);

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            hours if hours.is_multiple_of(24) => write!(f, "{}d", hours / 24),
            hours => write!(f, "{hours}h"),
        }
    }
}

/// What retention looks at in one repository, seen at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// Its tags, in byte order.
    pub tags: Vec<ImageTag>,
    /// Its manifests, in byte order of their digests.
    pub manifests: Vec<ImageManifest>,
}

/// A tag as it stood.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageTag {
    /// Its name.
    pub name: String,
    /// What it points to.
    pub digest: Digest,
    /// When it was pushed last, by the server's clock.
    pub pushed: Timestamp,
}

/// A manifest as far as retention is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageManifest {
    /// Which.
    pub digest: Digest,
    /// When it was pushed last.
    pub pushed: Timestamp,
    /// The manifests that it is made of.
    pub children: Vec<Digest>,
    /// The manifest that it is about.
    pub subject: Option<Digest>,
}

/// What is to go out of a repository, as it was seen; or what went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retiring {
    /// Tags.
    pub tags: Vec<ImageTag>,
    /// Manifests, with when they were pushed.
    pub manifests: Vec<(Digest, Timestamp)>,
}

impl Retiring {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.manifests.is_empty()
    }

    /// Of a list that has an entry for each of these tags, and then for each of these manifests, the entries of what `went`.
    #[must_use]
    pub fn of_what_went<'a, T>(&self, went: &Self, each: &'a [T]) -> Vec<&'a T> {
        let (tags, manifests): (BTreeSet<_>, BTreeSet<_>) =
            (went.tags.iter().collect(), went.manifests.iter().collect());
        let of_tags = self.tags.iter().map(|tag| tags.contains(tag));
        let gone = of_tags.chain(self.manifests.iter().map(|manifest| manifests.contains(manifest)));
        gone.zip(each).filter_map(|(gone, entry)| gone.then_some(entry)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(keep_last: Option<u32>, keep_hours: Option<u32>, untagged_hours: Option<u32>) -> RetentionRule {
        let glob = |text| Glob::parse(text).expect("a pattern");
        RetentionRule { repositories: glob("app"), tags: glob("dev-*"), keep_last, keep_hours, untagged_hours }
    }

    #[test]
    fn a_rule_needs_a_bound_within_its_range() {
        for good in [rule(Some(1), None, None), rule(None, Some(HOURS_MAX), None), rule(Some(LAST_MAX), None, Some(1))]
        {
            assert_eq!(good.check(), Ok(()), "{good}");
        }
        assert_eq!(rule(None, None, None).check(), Err(RetentionRuleError::Empty));
        for bad in [
            rule(Some(0), None, None),
            rule(Some(LAST_MAX + 1), None, None),
            rule(Some(1), Some(0), None),
            rule(None, Some(HOURS_MAX + 1), None),
            rule(Some(1), None, Some(0)),
            rule(Some(1), None, Some(u32::MAX)),
        ] {
            assert!(matches!(bad.check(), Err(RetentionRuleError::Range { .. })), "{bad}");
        }
    }

    #[test]
    fn entries_are_those_of_what_went_in_order() {
        let at = Timestamp(1);
        let tag = |name: &str| ImageTag { name: name.to_owned(), digest: Digest::sha256_of(b"x"), pushed: at };
        let [one, two] = ["one", "two"].map(|word| (Digest::sha256_of(word.as_bytes()), at));
        let asked = Retiring { tags: vec![tag("a"), tag("b")], manifests: vec![one.clone(), two.clone()] };
        let each = ["a", "b", "one", "two"];
        assert_eq!(asked.of_what_went(&asked, &each), [&"a", &"b", &"one", &"two"]);
        let went = Retiring { tags: vec![tag("b")], manifests: vec![two] };
        assert_eq!(asked.of_what_went(&went, &each), [&"b", &"two"]);
        let moved = Retiring { tags: vec![ImageTag { pushed: Timestamp(2), ..tag("a") }], manifests: vec![] };
        assert!(asked.of_what_went(&moved, &each).is_empty());
        assert!(asked.of_what_went(&asked, &[""; 0]).is_empty(), "no list, no entries");
    }

    #[test]
    fn it_reads_alone_and_judges_what_it_names() {
        assert_eq!(rule(Some(5), Some(48), Some(7)).to_string(), "app:dev-* last 5 younger 2d untagged 7h");
        assert!(rule(Some(5), None, None).judges("app", "dev-1"));
        assert!(!rule(Some(5), None, None).judges("app", "v1"));
        assert!(!rule(Some(5), None, None).judges("other", "dev-1"));
        assert!(!rule(None, None, Some(5)).judges("app", "dev-1"), "it is about what has no tag");
        assert_eq!(rule(None, None, Some(2)).untagged_ms("app"), Some(2 * HOUR_MS));
        assert_eq!(rule(None, None, Some(2)).untagged_ms("other"), None);
    }
}
