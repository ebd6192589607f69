//! Which of an instance's registries a repository belongs to: the embedded one, or one of ECR's.
//!
//! The rules say where a repository goes that is made. Where one lies that was there before, or was moved, is the business of
//! whoever holds them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::image::RepositoryName;
use super::name::{Name, NameError};

/// What the embedded registry is called, in the data directory of the server.
const LOCAL: &str = "local";

/// The name of a backing: `local`, or what the configuration calls a registry in ECR.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BackingName(Name);

impl BackingName {
    /// Reads a name.
    ///
    /// # Errors
    /// As for every name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Name::parse(text).map(Self)
    }

    /// The embedded registry.
    #[must_use]
    pub fn local() -> Self {
        Self(Name::parse(LOCAL).expect("a legal name"))
    }

    /// Whether this is the embedded registry.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.0.as_str() == LOCAL
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for BackingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The first parts of repositories' names: an owner (`team`), or an owner and more (`team/base`). Whole parts only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryPrefix(String);

/// Why a text is no prefix. The text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no beginning of repositories' names, such as `team` or `team/base`")]
pub struct RepositoryPrefixError(String);

impl RepositoryPrefix {
    /// Reads a prefix.
    ///
    /// # Errors
    /// [`RepositoryPrefixError`] for what no repository's name begins with.
    pub fn parse(text: &str) -> Result<Self, RepositoryPrefixError> {
        match RepositoryName::parse(&format!("{text}/name")) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(RepositoryPrefixError(text.to_owned())),
        }
    }

    /// Whether a repository's name begins with it, or is it.
    #[must_use]
    pub fn covers(&self, repository: &RepositoryName) -> bool {
        let rest = repository.as_str().strip_prefix(&self.0);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Repositories whose names begin so go to this backing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacementRule {
    /// How they begin.
    pub prefix: RepositoryPrefix,
    /// Where they go.
    pub backing: BackingName,
}

/// Where the repositories go that are made: the rule with the longest prefix decides, else the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    rules: Vec<PlacementRule>,
    default: BackingName,
}

/// Why rules contradict. The text is for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("repositories of `{prefix}` can't go to both `{first}` and `{second}`")]
pub struct PlacementError {
    /// How they begin.
    pub prefix: RepositoryPrefix,
    /// Where one rule sends them.
    pub first: BackingName,
    /// Where another does.
    pub second: BackingName,
}

impl Placement {
    /// These rules. One that is given twice counts once.
    ///
    /// # Errors
    /// [`PlacementError`] when two rules have the same prefix and different backings.
    pub fn new(rules: Vec<PlacementRule>, default: BackingName) -> Result<Self, PlacementError> {
        let mut kept: Vec<PlacementRule> = Vec::with_capacity(rules.len());
        for rule in rules {
            match kept.iter().find(|known| known.prefix == rule.prefix) {
                None => kept.push(rule),
                Some(known) if known.backing == rule.backing => {}
                Some(known) => {
                    let first = known.backing.clone();
                    return Err(PlacementError { prefix: rule.prefix, first, second: rule.backing });
                }
            }
        }
        // The most specific first.
        kept.sort_by(|one, other| {
            let depth = |rule: &PlacementRule| rule.prefix.as_str().split('/').count();
            depth(other).cmp(&depth(one)).then_with(|| one.prefix.cmp(&other.prefix))
        });
        Ok(Self { rules: kept, default })
    }

    /// Everything to one backing.
    #[must_use]
    pub fn all_to(default: BackingName) -> Self {
        Self { rules: Vec::new(), default }
    }

    /// The rules, the most specific first.
    #[must_use]
    pub fn rules(&self) -> &[PlacementRule] {
        &self.rules
    }

    /// Where repositories go that no rule covers.
    #[must_use]
    pub fn default_backing(&self) -> &BackingName {
        &self.default
    }

    /// Where a repository goes.
    #[must_use]
    pub fn of(&self, repository: &RepositoryName) -> &BackingName {
        let rule = self.rules.iter().find(|rule| rule.prefix.covers(repository));
        rule.map_or(&self.default, |rule| &rule.backing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backing(text: &str) -> BackingName {
        BackingName::parse(text).expect("a legal name")
    }

    fn rule(prefix: &str, to: &str) -> PlacementRule {
        PlacementRule { prefix: RepositoryPrefix::parse(prefix).expect("a prefix"), backing: backing(to) }
    }

    #[test]
    fn the_longest_prefix_of_whole_parts_decides() {
        let rules = vec![rule("team", "eu"), rule("team/base", "us"), rule("team/base/x", "local"), rule("data", "us")];
        let placement = Placement::new(rules, backing("main")).expect("they go together");
        for (name, to) in [
            ("team/app", "eu"),
            ("team/base", "us"),
            ("team/base/app", "us"),
            ("team/base/x", "local"),
            ("team/base/x/y", "local"),
            ("team/basement", "eu"),
            ("teams/app", "main"),
            ("data/x", "us"),
            ("other/team", "main"),
        ] {
            let name = RepositoryName::parse(name).expect("a legal name");
            assert_eq!(placement.of(&name).as_str(), to, "{name}");
        }
    }

    #[test]
    fn rules_that_contradict_are_refused_and_the_same_rule_twice_counts_once() {
        let twice = Placement::new(vec![rule("team", "eu"), rule("team", "eu")], BackingName::local());
        assert_eq!(twice.expect("they agree").rules().len(), 1);
        let why = Placement::new(vec![rule("team", "eu"), rule("team", "us")], BackingName::local())
            .expect_err("both are called by one name");
        assert_eq!(why.to_string(), "repositories of `team` can't go to both `eu` and `us`");
    }

    #[test]
    fn what_no_name_begins_with_is_no_prefix() {
        for text in ["", "/", "team/", "/team", "Team", "a//b", "a b", "registry.example.com:5000/team"] {
            assert!(RepositoryPrefix::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_embedded_registry_has_a_name_of_its_own() {
        assert!(BackingName::local().is_local() && backing("local").is_local());
        assert!(!backing("ecr").is_local());
        assert!(BackingName::parse("a b").is_err());
    }
}
