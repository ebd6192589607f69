//! One rule of the image map.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::digest::shorten;
use crate::model::image::{
    DEFAULT_HOST, ImageRef, ImageRefError, NAME_MAX, canonical_host, check_host, check_path, has_host_form,
};

/// Docker Hub's owner of images whose name has one component.
const OFFICIAL_OWNER: &str = "library";

/// The longest rule: two sides of the longest name, what separates them, and some white space.
const RULE_MAX: usize = 2 * NAME_MAX + 32;

/// A rule `prefix|target`: images under `prefix` are pulled from under `target`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MapRule {
    prefix: String,
    target: String,
    source: Place,
    destination: Place,
}

impl MapRule {
    /// Reads `prefix|target`, or `prefix:target` where only one reading is possible. White space around either side is ignored.
    ///
    /// # Errors
    /// [`MapRuleError`] says what is wrong and how to write it.
    pub fn parse(text: &str) -> Result<Self, MapRuleError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(MapRuleError::Empty);
        }
        // Before every colon is tried: of a megabyte of them, each would be.
        if text.len() > RULE_MAX {
            return Err(MapRuleError::TooLong { found: text.chars().count() });
        }
        let mut sides = text.split('|');
        match (sides.next(), sides.next(), sides.next()) {
            (Some(prefix), Some(target), None) => Self::from_sides(prefix, target),
            (_, None, _) => Self::from_colon_form(text),
            _ => Err(MapRuleError::ManyBars(shorten(text))),
        }
    }

    fn from_sides(prefix: &str, target: &str) -> Result<Self, MapRuleError> {
        let source = read_side(Side::Prefix, prefix)?;
        let destination = read_side(Side::Target, target)?;
        Ok(Self { prefix: prefix.trim().to_owned(), target: target.trim().to_owned(), source, destination })
    }

    /// The predecessors' `prefix:target`. Ports hold colons too, so every colon is tried as the separator, and the rule is taken
    /// only when exactly one reading makes sense.
    fn from_colon_form(text: &str) -> Result<Self, MapRuleError> {
        let mut readings = text
            .match_indices(':')
            .map(|(colon, _)| Self::from_sides(&text[..colon], &text[colon + 1..]))
            .collect::<Vec<_>>();
        let legal = readings.iter().filter(|reading| reading.is_ok()).count();
        match legal {
            0 if readings.len() == 1 => readings.remove(0),
            0 => Err(MapRuleError::NoSeparator(shorten(text))),
            1 => {
                let rule = readings
                    .into_iter()
                    .find_map(Result::ok)
                    .ok_or_else(|| MapRuleError::NoSeparator(shorten(text)))?;
                let first = rule.target.split('/').next().unwrap_or_default();
                if first.bytes().all(|b| b.is_ascii_digit()) {
                    // `registry.example.com:5000` is a host with its port, not a rule.
                    return Err(MapRuleError::LooksLikePort(shorten(text)));
                }
                Ok(rule)
            }
            _ => Err(MapRuleError::Ambiguous(shorten(text))),
        }
    }

    /// What it matches, as written.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What the prefix becomes, as written.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether it leaves what it matches as it is.
    #[must_use]
    pub fn is_exemption(&self) -> bool {
        self.source == self.destination
    }

    /// Whether both match the same images, however they are spelled.
    #[must_use]
    pub fn has_same_prefix(&self, other: &Self) -> bool {
        self.source == other.source
    }

    pub(super) fn source(&self) -> &Place {
        &self.source
    }

    pub(super) fn destination(&self) -> &Place {
        &self.destination
    }

    /// The path of the prefix as written, without its host; empty for none.
    pub(super) fn prefix_path(&self) -> String {
        split_side(&self.prefix).1.join("/")
    }

    /// Host and path components of the target as written.
    pub(super) fn target_parts(&self) -> (Option<&str>, Vec<&str>) {
        split_side(&self.target)
    }
}

impl fmt::Display for MapRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.prefix, self.target)
    }
}

impl FromStr for MapRule {
    type Err = MapRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for MapRule {
    type Error = MapRuleError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<MapRule> for String {
    fn from(rule: MapRule) -> Self {
        rule.to_string()
    }
}

/// A host and path components in their one spelling: what a rule's side means, or where an image lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    host: String,
    components: Vec<String>,
}

impl Place {
    pub(super) fn of_image(image: &ImageRef) -> Self {
        Self { host: image.canonical_host(), components: components(&image.canonical_path()) }
    }

    pub(super) fn components(&self) -> &[String] {
        &self.components
    }

    /// What follows this prefix in `image`, when it is one.
    pub(super) fn rest_of<'a>(&self, image: &'a Self) -> Option<&'a [String]> {
        if self.host != image.host {
            return None;
        }
        if let Some(rest) = image.components.strip_prefix(self.components.as_slice()) {
            return Some(rest);
        }
        // `nginx` is the image `library/nginx`.
        let official = self.host == DEFAULT_HOST
            && self.components.len() == 1
            && image.components.len() == 2
            && image.components[0] == OFFICIAL_OWNER
            && image.components[1] == self.components[0];
        official.then(|| &image.components[2..])
    }

    /// Whether this prefix could match something that lies under `target`. Errs on the side of yes.
    pub(super) fn meets_results_of(&self, target: &Self) -> bool {
        if self.host != target.host {
            return false;
        }
        let mine = self.components.as_slice();
        let theirs = target.components.as_slice();
        if mine.starts_with(theirs) || theirs.starts_with(mine) {
            return true;
        }
        if self.host != DEFAULT_HOST {
            return false;
        }
        // Docker Hub's short names: `x` is also `library/x`.
        match (mine, theirs) {
            ([short], [owner]) if owner == OFFICIAL_OWNER => short != OFFICIAL_OWNER,
            ([short], [owner, name]) if owner == OFFICIAL_OWNER => short == name,
            ([owner], [_]) => owner == OFFICIAL_OWNER,
            ([owner, name], [short]) => owner == OFFICIAL_OWNER && name == short,
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Prefix,
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "prefix",
            Self::Target => "target",
        })
    }
}

fn components(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

/// Splits a trimmed, legal side into host and path components.
fn split_side(side: &str) -> (Option<&str>, Vec<&str>) {
    let (first, rest) = match side.split_once('/') {
        Some((first, rest)) => (first, Some(rest)),
        None => (side, None),
    };
    if has_host_form(first) {
        let path = rest.map(|rest| rest.split('/').collect());
        (Some(first), path.unwrap_or_default())
    } else {
        (None, side.split('/').collect())
    }
}

fn read_side(side: Side, text: &str) -> Result<Place, MapRuleError> {
    let text = text.trim();
    let refuse = |reason: String| MapRuleError::Side { side: side.to_string(), text: shorten(text), reason };
    if text.is_empty() {
        return Err(refuse("it is empty".to_owned()));
    }
    if text.contains("://") {
        return Err(refuse("leave the part up to \"://\" out".to_owned()));
    }
    if text.contains('@') {
        return Err(refuse("a rule names no digest; tag and digest of the image survive".to_owned()));
    }
    if text.ends_with('/') {
        return Err(refuse("leave the slash at the end out".to_owned()));
    }
    if text.len() > NAME_MAX {
        return Err(refuse(format!("it has {} characters; at most {NAME_MAX} are legal", text.chars().count())));
    }
    let (host, path) = split_side(text);
    if let Some(host) = host {
        check_host(host).map_err(|error| refuse(reason_of(error)))?;
    }
    if path.iter().any(|component| component.contains(':')) {
        return Err(refuse("a rule names no tag; tag and digest of the image survive".to_owned()));
    }
    if !path.is_empty() {
        check_path(&path.join("/")).map_err(|error| refuse(reason_of(error)))?;
    }
    Ok(Place { host: canonical_host(host), components: path.into_iter().map(str::to_owned).collect() })
}

/// The reason alone: the side of the rule is named by the caller.
fn reason_of(error: ImageRefError) -> String {
    match error {
        ImageRefError::Host { reason, .. } => reason.to_owned(),
        ImageRefError::UpperCase { suggestion, .. } => {
            format!("the path must be lower case; write {suggestion:?}")
        }
        ImageRefError::Path { reason, .. } => reason,
        other => other.to_string(),
    }
}

/// Why a text is not a [`MapRule`]. The texts are for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapRuleError {
    /// Nothing was written.
    #[error("the rule is empty; write prefix|target")]
    Empty,
    /// Longer than two names can be.
    #[error("the rule has {found} characters; each of its sides may have {NAME_MAX}")]
    TooLong {
        /// Characters found.
        found: usize,
    },
    /// There is more than one bar.
    #[error("rule {0:?} has more than one \"|\"; write prefix|target, and separate rules by commas")]
    ManyBars(String),
    /// There is neither a bar nor a colon that could separate the sides.
    #[error("rule {0:?} has no target; write prefix|target")]
    NoSeparator(String),
    /// A host and port, not a rule.
    #[error("rule {0:?} reads like a host with its port; write prefix|target")]
    LooksLikePort(String),
    /// Several colons could be the separator.
    #[error("rule {0:?} can be read in more than one way; write prefix|target with \"|\"")]
    Ambiguous(String),
    /// The target is `ecr`, and there is none.
    #[error(
        "rule {0}: `ecr` is the registry in ECR that the instance keeps its images in (`--registry-backing ecr`), and this one keeps them on its own disk; name a registry"
    )]
    NoBacking(String),
    /// The target is `ecr`, and there are several.
    #[error("rule {0}: the instance keeps its images in several registries; name the address of the one that is meant")]
    SeveralBackings(String),
    /// One side is malformed.
    #[error("{side} {text:?}: {reason}")]
    Side {
        /// `prefix` or `target`.
        side: String,
        /// The side as written, shortened.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}
