//! In which documents grants stand, and how an instance goes from one way to another.
//!
//! ```text
//!              wished             the wished ones are             the others are
//!              anew               true everywhere, read back      clear everywhere, read back
//! settled ──────────> spreading ─────────────────────> clearing ─────────────────────> settled
//!   both are kept true while it spreads, and only the wished ones are from then on
//! ```
//!
//! Invariant, shown by property tests over every order of writes: whoever was let in before a change and after it is let in at
//! each of its moments, and nobody is let in at any moment whom no grant names. So a change may be left off, killed, begun
//! anew, or wished otherwise anywhere.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{NAMED_MAX, WrongRepository};
use crate::model::image::RepositoryName;
use crate::model::time::Timestamp;

/// In which documents grants stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantStrategy {
    /// In the policy of each repository.
    #[default]
    Repositories,
    /// In the registry's policy, for all repositories at once.
    Registry,
    /// There too, by conditions on whose account and which organization it is, in place of lists of accounts.
    Organization,
}

/// One of the kinds of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GrantPlace {
    /// The policies of the repositories.
    Repositories,
    /// The policy of the registry.
    Registry,
}

/// How the registry's policy says whom it lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wording {
    /// Accounts are principals, each looked up by AWS; organizations and units have a condition each.
    Lists,
    /// Accounts are a condition too, and organizations and units share one. Nobody is looked up.
    Conditions,
}

/// What is to be done about documents of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// They say what was granted.
    Hold,
    /// They say nothing of ours.
    Clear,
    /// They say nothing of ours since a change was through, and are not looked at.
    Leave,
}

impl GrantStrategy {
    /// All of them.
    pub const ALL: [Self; 3] = [GrantStrategy::Repositories, GrantStrategy::Registry, GrantStrategy::Organization];

    /// As it is written in settings and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            GrantStrategy::Repositories => "repositories",
            GrantStrategy::Registry => "registry",
            GrantStrategy::Organization => "organization",
        }
    }

    /// Reads one; `None` for a text that is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == text)
    }

    /// Where its documents are.
    #[must_use]
    pub fn place(self) -> GrantPlace {
        match self {
            GrantStrategy::Repositories => GrantPlace::Repositories,
            GrantStrategy::Registry | GrantStrategy::Organization => GrantPlace::Registry,
        }
    }
}

impl fmt::Display for GrantStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyPhase {
    /// There is none: only the wished documents have anything of ours.
    #[default]
    Settled,
    /// The wished documents are being written, beside what stands.
    Spreading,
    /// The wished documents are true everywhere; what stood before is being taken away.
    Clearing,
}

impl StrategyPhase {
    /// The wire's spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            StrategyPhase::Settled => "settled",
            StrategyPhase::Spreading => "spreading",
            StrategyPhase::Clearing => "clearing",
        }
    }
}

/// The strategy of an instance's grants in one registry, and what a change of it came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptStrategy {
    /// The one that holds, or is to.
    pub wish: GrantStrategy,
    /// Those whose documents may still be there besides; empty when it is settled.
    pub standing: BTreeSet<GrantStrategy>,
    /// How far it is.
    pub phase: StrategyPhase,
    /// When it was wished; `None` for what an instance begins with.
    pub since: Option<Timestamp>,
    /// What the present round has found.
    #[serde(default)]
    pub report: StrategyReport,
}

/// What a round of a change has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyReport {
    /// Documents that were looked at.
    pub seen: u64,
    /// How many of them were written or deleted.
    pub changed: u64,
    /// How many are not as they should be.
    pub wrong_count: u64,
    /// The first of those, when they are repositories'.
    pub wrong: Vec<WrongRepository>,
    /// What keeps the change from going on, in words.
    pub trouble: Option<String>,
}

impl StrategyReport {
    /// Takes down that a document is not as it should be, and why: by its repository, or the registry's own.
    pub fn note_wrong(&mut self, repository: Option<&RepositoryName>, why: &str) {
        self.wrong_count += 1;
        match repository {
            Some(repository) if self.wrong.len() < NAMED_MAX => {
                self.wrong.push(WrongRepository { repository: repository.clone(), why: why.to_owned() });
            }
            Some(_) => {}
            None => self.trouble = Some(why.to_owned()),
        }
    }
}

impl KeptStrategy {
    /// The same, with another wish from now on. What stands already stays until the new one is true everywhere.
    #[must_use]
    pub fn wished(&self, wish: GrantStrategy, now: Timestamp) -> Self {
        if wish == self.wish {
            return self.clone();
        }
        let mut standing = self.standing.clone();
        standing.insert(self.wish);
        standing.remove(&wish);
        Self { wish, standing, phase: StrategyPhase::Spreading, since: Some(now), report: StrategyReport::default() }
    }

    /// After a round that found every wished document as it should be, and wrote none.
    #[must_use]
    pub fn is_true_everywhere(&self) -> Self {
        if self.other_stands() {
            Self { phase: StrategyPhase::Clearing, report: StrategyReport::default(), ..self.clone() }
        } else {
            self.is_clear_everywhere()
        }
    }

    /// After a round that found nothing of ours in any other document, and wrote none.
    #[must_use]
    pub fn is_clear_everywhere(&self) -> Self {
        Self {
            standing: BTreeSet::new(),
            phase: StrategyPhase::Settled,
            report: StrategyReport::default(),
            ..self.clone()
        }
    }

    /// As a change to it is when all that is left is to take away what stood; as it is, when nothing is to change.
    #[must_use]
    pub fn about_to_settle(&self) -> Self {
        match self.phase {
            StrategyPhase::Settled => self.clone(),
            StrategyPhase::Spreading | StrategyPhase::Clearing => {
                Self { phase: StrategyPhase::Clearing, ..self.clone() }
            }
        }
    }

    /// As if a change had come so far that whatever is not the wished one's is taken away.
    #[must_use]
    pub fn clearing_others(&self) -> Self {
        let standing = GrantStrategy::ALL.into_iter().filter(|one| *one != self.wish).collect();
        Self { standing, phase: StrategyPhase::Clearing, ..self.clone() }
    }

    /// Whether documents of the other kind may have something of ours.
    #[must_use]
    pub fn other_stands(&self) -> bool {
        self.standing.iter().any(|one| one.place() != self.wish.place())
    }

    /// Whether the registry's policy may have something of ours.
    #[must_use]
    pub fn stands_in_registry(&self) -> bool {
        std::iter::once(&self.wish).chain(&self.standing).any(|one| one.place() == GrantPlace::Registry)
    }

    /// What is to be done about the documents of a kind.
    #[must_use]
    pub fn duty(&self, place: GrantPlace) -> Duty {
        match self.phase {
            _ if place == self.wish.place() => Duty::Hold,
            StrategyPhase::Spreading if self.other_stands() => Duty::Hold,
            StrategyPhase::Clearing if self.other_stands() => Duty::Clear,
            StrategyPhase::Settled | StrategyPhase::Spreading | StrategyPhase::Clearing => Duty::Leave,
        }
    }

    /// How the registry's policy is worded, and how it is as long as that is not to be written: a list that is too long must
    /// not keep anybody from being taken out of what stands.
    #[must_use]
    pub fn wordings(&self) -> (Wording, Option<Wording>) {
        let stands_by_conditions = self.standing.contains(&GrantStrategy::Organization);
        match self.wish {
            GrantStrategy::Organization => (Wording::Conditions, None),
            GrantStrategy::Registry if stands_by_conditions => (Wording::Lists, Some(Wording::Conditions)),
            GrantStrategy::Registry => (Wording::Lists, None),
            GrantStrategy::Repositories if stands_by_conditions => (Wording::Conditions, None),
            GrantStrategy::Repositories => (Wording::Lists, None),
        }
    }

    /// How far it is, in a sentence.
    #[must_use]
    pub fn progress(&self) -> String {
        let StrategyReport { seen, changed, wrong_count, trouble, .. } = &self.report;
        let what = match self.phase {
            StrategyPhase::Settled => return format!("grants stand in {}", self.wish.documents()),
            StrategyPhase::Spreading => format!("writing {}; what stood before stays so long", self.wish.documents()),
            StrategyPhase::Clearing => format!("taking away what stood before {}", self.wish.documents()),
        };
        let found = format!("{seen} looked at, {changed} changed");
        match trouble {
            Some(trouble) => format!("{what}: waiting: {trouble}"),
            None if *wrong_count > 0 => format!("{what}: {found}, {wrong_count} not as they should be; trying on"),
            None => format!("{what}: {found}"),
        }
    }
}

impl GrantStrategy {
    /// Its documents, for people.
    fn documents(self) -> &'static str {
        match self {
            GrantStrategy::Repositories => "the policies of the repositories",
            GrantStrategy::Registry => "the registry's policy",
            GrantStrategy::Organization => "the registry's policy, as conditions",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::GrantStrategy::{Organization, Registry, Repositories};
    use super::*;

    fn wished(first: GrantStrategy, more: &[GrantStrategy]) -> KeptStrategy {
        let start = KeptStrategy { wish: first, ..KeptStrategy::default() };
        more.iter().fold(start, |kept, wish| kept.wished(*wish, Timestamp(1)))
    }

    #[test]
    fn each_is_read_back_by_its_name() {
        for one in GrantStrategy::ALL {
            assert_eq!(GrantStrategy::parse(one.as_str()), Some(one));
        }
        assert_eq!(GrantStrategy::parse("Registry"), None);
    }

    #[test]
    fn what_is_wished_stands_beside_what_stood_until_it_is_true() {
        let settled = wished(Repositories, &[]);
        let duties = |kept: &KeptStrategy| [kept.duty(GrantPlace::Repositories), kept.duty(GrantPlace::Registry)];
        assert_eq!(duties(&settled), [Duty::Hold, Duty::Leave]);
        assert_eq!(settled.wished(Repositories, Timestamp(9)), settled, "it is so already");
        let spreading = settled.wished(Registry, Timestamp(9));
        assert_eq!(duties(&spreading), [Duty::Hold, Duty::Hold]);
        let clearing = spreading.is_true_everywhere();
        assert_eq!((clearing.phase, duties(&clearing)), (StrategyPhase::Clearing, [Duty::Clear, Duty::Hold]));
        let settled = clearing.is_clear_everywhere();
        assert_eq!((settled.phase, duties(&settled)), (StrategyPhase::Settled, [Duty::Leave, Duty::Hold]));
        let back = settled.wished(Repositories, Timestamp(11));
        assert!(spreading.stands_in_registry() && settled.stands_in_registry() && back.stands_in_registry());
        assert!(!back.is_true_everywhere().is_clear_everywhere().stands_in_registry());
        // Within one document there is nothing to take away.
        let spreading = settled.wished(Organization, Timestamp(10));
        assert_eq!(duties(&spreading), [Duty::Leave, Duty::Hold]);
        assert_eq!(spreading.is_true_everywhere().phase, StrategyPhase::Settled);
    }

    #[test]
    fn a_wish_in_the_middle_forgets_nothing_that_may_stand() {
        let back = wished(Repositories, &[Registry, Repositories]);
        assert_eq!(back.standing, BTreeSet::from([Registry]));
        assert_eq!(back.duty(GrantPlace::Registry), Duty::Hold);
        let on = wished(Repositories, &[Registry, Organization]);
        assert_eq!(on.standing, BTreeSet::from([Repositories, Registry]));
        assert_eq!(on.is_true_everywhere().phase, StrategyPhase::Clearing);
        let clearing = wished(Repositories, &[Registry]).is_true_everywhere().wished(Repositories, Timestamp(2));
        assert_eq!((clearing.phase, clearing.duty(GrantPlace::Registry)), (StrategyPhase::Spreading, Duty::Hold));
    }

    #[test]
    fn lists_give_way_to_conditions_only_where_these_stand() {
        assert_eq!(wished(Repositories, &[Registry]).wordings(), (Wording::Lists, None));
        assert_eq!(wished(Organization, &[Registry]).wordings(), (Wording::Lists, Some(Wording::Conditions)));
        assert_eq!(wished(Organization, &[Repositories]).wordings(), (Wording::Conditions, None));
    }

    #[test]
    fn it_is_kept_as_it_reads_back_and_says_how_far_it_is() {
        let mut kept = wished(Repositories, &[Registry]);
        kept.report = StrategyReport { seen: 3, changed: 1, ..StrategyReport::default() };
        let text = serde_json::to_string(&kept).expect("plain data");
        assert_eq!(serde_json::from_str::<KeptStrategy>(&text).expect(&text), kept);
        assert_eq!(
            kept.progress(),
            "writing the registry's policy; what stood before stays so long: 3 looked at, 1 changed"
        );
        kept.report.trouble = Some("the registry asks to slow down".to_owned());
        assert!(kept.progress().ends_with(": waiting: the registry asks to slow down"), "{}", kept.progress());
    }
}
