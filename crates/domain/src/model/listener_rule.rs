//! Rules of a listener: which container port answers a request, by its path and its host.
//!
//! The bounds are those of an application load balancer on AWS, wherever the load balancer runs: what is written for one
//! instance works on the other.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest pattern ("Condition types for listener rules": "up to 128 characters").
pub const PATTERN_MAX: usize = 128;

/// The most patterns of one rule, paths and hosts together ("Quotas for your Application Load Balancers": condition values
/// per rule, not adjustable).
pub const PATTERNS_MAX: usize = 5;

/// The most wildcards of one rule (the same page: condition wildcards per rule, not adjustable).
pub const WILDCARDS_MAX: usize = 5;

/// What a path pattern may have besides letters, digits and wildcards (ELB API, `RuleCondition`).
const PATH_SIGNS: &str = "_-.$/~\"'@:+&";

/// A pattern for the path of a request, without its query: `*` stands for any characters, none included, `?` for exactly
/// one. Compared with regard to case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern(String);

/// A pattern for the host of a request, without its port; wildcards as in a path. Kept in lower case, compared without
/// regard to case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(String);

/// Why some text is no pattern of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Nothing was given.
    #[error("a pattern can't be empty")]
    Empty,
    /// More than [`PATTERN_MAX`] characters.
    #[error("the pattern has {length} characters, the most is {PATTERN_MAX}")]
    TooLong {
        /// Characters given.
        length: usize,
    },
    /// A character that can't be in it.
    #[error("`{text}`: `{found}` can't be in a {what} (letters, digits, `*`, `?` and {signs})")]
    Character {
        /// What was given.
        text: String,
        /// The first offending character.
        found: char,
        /// `path` or `host`.
        what: &'static str,
        /// What is allowed besides letters, digits and wildcards.
        signs: &'static str,
    },
    /// Every path begins with `/`.
    #[error("`{0}` matches no path: begin with `/` or `*`")]
    NoPath(String),
    /// Hosts have a dot, and after the last one letters only.
    #[error("`{0}` matches no host: it needs a `.`, with letters only after the last one")]
    NoHost(String),
}

/// Reads what path and host patterns have in common.
fn pattern(text: &str, what: &'static str, signs: &'static str) -> Result<(), PatternError> {
    let length = text.chars().count();
    if length == 0 {
        return Err(PatternError::Empty);
    }
    if length > PATTERN_MAX {
        return Err(PatternError::TooLong { length });
    }
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '*' | '?') || signs.contains(c);
    match text.chars().find(|c| !legal(*c)) {
        Some(found) => Err(PatternError::Character { text: text.to_owned(), found, what, signs }),
        None => Ok(()),
    }
}

fn wildcards(text: &str) -> usize {
    text.chars().filter(|c| matches!(c, '*' | '?')).count()
}

impl PathPattern {
    /// Reads a path pattern.
    ///
    /// # Errors
    /// [`PatternError`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        pattern(text, "path", PATH_SIGNS)?;
        if text.starts_with(['/', '*', '?']) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PatternError::NoPath(text.into()))
        }
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl HostPattern {
    /// Reads a host pattern.
    ///
    /// # Errors
    /// [`PatternError`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        pattern(text, "host", "-.")?;
        let ends = text.rsplit_once('.').map(|(_, end)| end);
        if ends.is_some_and(|end| !end.is_empty() && end.chars().all(|c| c.is_ascii_alphabetic())) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(PatternError::NoHost(text.to_owned()))
        }
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PathPattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> String {
        pattern.0
    }
}

impl TryFrom<String> for HostPattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> String {
        pattern.0
    }
}

/// Sends the requests that match it to a container port of its own. A request matches when one of the paths fits, where
/// there are any, and one of the hosts, where there are any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Rule {
    paths: Vec<PathPattern>,
    hosts: Vec<HostPattern>,
    container_port: u16,
}

/// A rule as it is kept.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paths: Vec<PathPattern>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<HostPattern>,
    container_port: u16,
}

/// Why patterns make no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It would match everything, which is what the listener's own container port is for.
    #[error("a rule needs a path or a host")]
    MatchesAll,
    /// More than [`PATTERNS_MAX`].
    #[error("the rule has {0} paths and hosts, the most is {PATTERNS_MAX}")]
    Patterns(usize),
    /// More than [`WILDCARDS_MAX`].
    #[error("the rule has {0} wildcards, the most is {WILDCARDS_MAX}")]
    Wildcards(usize),
    /// A pattern that is given twice.
    #[error("`{0}` is in the rule twice")]
    Twice(String),
}

impl Rule {
    /// A rule.
    ///
    /// # Errors
    /// [`RuleError`] says what is against the rules.
    pub fn new(paths: Vec<PathPattern>, hosts: Vec<HostPattern>, container_port: u16) -> Result<Self, RuleError> {
        let texts: Vec<&str> =
            paths.iter().map(PathPattern::as_str).chain(hosts.iter().map(HostPattern::as_str)).collect();
        if texts.is_empty() {
            return Err(RuleError::MatchesAll);
        }
        if texts.len() > PATTERNS_MAX {
            return Err(RuleError::Patterns(texts.len()));
        }
        let wild = texts.iter().map(|text| wildcards(text)).sum();
        if wild > WILDCARDS_MAX {
            return Err(RuleError::Wildcards(wild));
        }
        let twice = |text: &&str| texts.iter().filter(|other| *other == text).count() > 1;
        if let Some(text) = texts.iter().copied().find(twice) {
            return Err(RuleError::Twice(text.to_owned()));
        }
        Ok(Self { paths, hosts, container_port })
    }

    /// Paths, one of which has to fit; none: any path.
    #[must_use]
    pub fn paths(&self) -> &[PathPattern] {
        &self.paths
    }

    /// Hosts, one of which has to fit; none: any host.
    #[must_use]
    pub fn hosts(&self) -> &[HostPattern] {
        &self.hosts
    }

    /// Where the container listens.
    #[must_use]
    pub fn container_port(&self) -> u16 {
        self.container_port
    }

    /// Whether it matches the very same requests because it says the same, in whatever order.
    #[must_use]
    pub fn same_conditions(&self, other: &Rule) -> bool {
        let has_all = |one: &Rule, all: &Rule| {
            one.paths.iter().all(|path| all.paths.contains(path))
                && one.hosts.iter().all(|host| all.hosts.contains(host))
        };
        has_all(self, other) && has_all(other, self)
    }
}

impl TryFrom<Stored> for Rule {
    type Error = RuleError;
    fn try_from(it: Stored) -> Result<Self, RuleError> {
        Self::new(it.paths, it.hosts, it.container_port)
    }
}

impl From<Rule> for Stored {
    fn from(it: Rule) -> Stored {
        Stored { paths: it.paths, hosts: it.hosts, container_port: it.container_port }
    }
}

impl fmt::Display for Rule {
    /// `path=/api/*,/v1/*,host=api.example.com:8081`: as users write it, after the listener's port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut divider = "";
        let paths = self.paths.iter().map(PathPattern::as_str);
        let hosts = self.hosts.iter().map(HostPattern::as_str);
        for (key, texts) in [("path=", paths.collect::<Vec<_>>()), ("host=", hosts.collect())] {
            if !texts.is_empty() {
                write!(f, "{divider}{key}{}", texts.join(","))?;
                divider = ",";
            }
        }
        write!(f, ":{}", self.container_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> PathPattern {
        PathPattern::parse(text).expect("a path pattern")
    }

    fn host(text: &str) -> HostPattern {
        HostPattern::parse(text).expect("a host pattern")
    }

    #[test]
    fn patterns_are_those_that_an_application_load_balancer_takes() {
        for text in ["/api/*", "*.php", "/", "/a?c/~u/$x.y\"'@:+&-_", "?x"] {
            assert_eq!(path(text).as_str(), text);
        }
        assert_eq!(host("*.Example.com").as_str(), "*.example.com");
        assert_eq!(PathPattern::parse(""), Err(PatternError::Empty));
        assert_eq!(PathPattern::parse("api/*"), Err(PatternError::NoPath("api/*".into())));
        assert_eq!(PathPattern::parse(&format!("/{}", "x".repeat(128))), Err(PatternError::TooLong { length: 129 }));
        for text in ["/a b", "/a,b", "/a=b", "/ä", "/a%20", "/a#b", "/a\nb"] {
            assert!(matches!(PathPattern::parse(text), Err(PatternError::Character { .. })), "{text}");
        }
        for text in ["localhost", "example.", "example.c*", "10.0.0.1", "example.com2"] {
            assert_eq!(HostPattern::parse(text), Err(PatternError::NoHost(text.into())));
        }
        for text in ["a_b.com", "a.com:80", "a.com/x"] {
            assert!(matches!(HostPattern::parse(text), Err(PatternError::Character { .. })), "{text}");
        }
    }

    #[test]
    fn a_rule_has_conditions_and_not_too_many() {
        let many: Vec<PathPattern> = (0..6).map(|n| path(&format!("/{n}"))).collect();
        assert_eq!(Rule::new(vec![], vec![], 80), Err(RuleError::MatchesAll));
        assert_eq!(Rule::new(many.clone(), vec![], 80), Err(RuleError::Patterns(6)));
        assert!(Rule::new(many[..3].to_vec(), vec![host("a.b"), host("c.d")], 80).is_ok());
        assert_eq!(Rule::new(many[..4].to_vec(), vec![host("a.b"), host("c.d")], 80), Err(RuleError::Patterns(6)));
        assert_eq!(Rule::new(vec![path("/?*?*?*")], vec![], 80), Err(RuleError::Wildcards(6)));
        assert_eq!(Rule::new(vec![path("/a"), path("/a")], vec![], 80), Err(RuleError::Twice("/a".into())));
    }

    #[test]
    fn a_rule_reads_as_it_is_written_and_is_kept_without_what_it_lacks() {
        let rule = Rule::new(vec![path("/api/*"), path("/v1/*")], vec![host("api.example.com")], 8081).expect("a rule");
        assert_eq!(rule.to_string(), "path=/api/*,/v1/*,host=api.example.com:8081");
        let other = Rule::new(vec![path("/v1/*"), path("/api/*")], vec![host("API.example.com")], 9).expect("a rule");
        assert!(rule.same_conditions(&other) && rule != other);
        let rule = Rule::new(vec![path("/x")], vec![], 81).expect("a rule");
        assert_eq!(rule.to_string(), "path=/x:81");
        let kept = serde_json::to_string(&rule).expect("JSON");
        assert_eq!(kept, r#"{"paths":["/x"],"container_port":81}"#);
        assert_eq!(serde_json::from_str::<Rule>(&kept).expect("a rule"), rule);
        assert!(serde_json::from_str::<Rule>(r#"{"container_port":81}"#).is_err());
    }
}
