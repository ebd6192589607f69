//! The image map: rules `friendly prefix -> backing prefix` that are applied to the images of a deploy when it is made.
//!
//! Invariants, all proven when the map is written and shown by property tests:
//! - a rule matches whole path components, never a part of one, and the longest match wins;
//! - applying the map to its own result changes nothing: rules whose results another rule (or they themselves) would rewrite are
//!   refused by [`ImageMap::new`];
//! - tag and digest survive, and images that no rule matches stay exactly as written.
//!
//! A prefix without a host means Docker Hub, however that is spelled: `team`, `docker.io/team` and `index.docker.io/team` are one
//! prefix, and `nginx`, `library/nginx` and `docker.io/library/nginx` one image. A rule whose target is its own prefix changes
//! nothing; it exempts what it matches from a shorter rule.

use std::fmt;

use super::image::{ImageRef, ImageRefError, NAME_MAX};

mod ecr;
mod rule;
#[cfg(test)]
mod tests;

pub use ecr::{EcrHost, EcrHostForm, partition_of};
pub use rule::{MapRule, MapRuleError};

use rule::Place;

/// A set of rules that cannot get into each other's way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageMap {
    rules: Vec<MapRule>,
}

impl ImageMap {
    /// Takes rules that do not contradict, chain or loop. A rule given twice counts once.
    ///
    /// # Errors
    /// [`ImageMapError`] names the two rules and why they cannot stand together.
    pub fn new(rules: Vec<MapRule>) -> Result<Self, ImageMapError> {
        let mut kept: Vec<MapRule> = Vec::with_capacity(rules.len());
        for rule in rules {
            match kept.iter().find(|other| other.source() == rule.source()) {
                None => kept.push(rule),
                Some(other) if other.destination() == rule.destination() => {}
                Some(other) => {
                    return Err(ImageMapError::Duplicate { first: Box::new(other.clone()), second: Box::new(rule) });
                }
            }
        }
        for rule in &kept {
            if rule.is_exemption() {
                continue;
            }
            let next =
                kept.iter().find(|next| !next.is_exemption() && next.source().meets_results_of(rule.destination()));
            match next {
                None => {}
                Some(next) if next == rule => return Err(ImageMapError::Loop(Box::new(rule.clone()))),
                Some(next) => {
                    return Err(ImageMapError::Chain { first: Box::new(rule.clone()), second: Box::new(next.clone()) });
                }
            }
        }
        Ok(Self { rules: kept })
    }

    /// Reads a comma-separated list of rules, as `LAYER0_IMAGE_MAP` holds it. An empty text is an empty map; an empty entry
    /// between commas is refused.
    ///
    /// # Errors
    /// [`ImageMapError::Entry`] names the entry that is malformed; the rest is as in [`ImageMap::new`].
    pub fn parse_list(text: &str) -> Result<Self, ImageMapError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let rules = text
            .split(',')
            .enumerate()
            .map(|(index, entry)| {
                MapRule::parse(entry).map_err(|source| ImageMapError::Entry { position: index + 1, source })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Self::new(rules)
    }

    /// The rules in the order given.
    #[must_use]
    pub fn rules(&self) -> &[MapRule] {
        &self.rules
    }

    /// Rewrites `image` by the rule with the longest matching prefix, once.
    ///
    /// # Errors
    /// [`MapApplyError`] when the result is not a reference that the target could hold.
    pub fn apply(&self, image: &ImageRef) -> Result<Mapped, MapApplyError> {
        let place = Place::of_image(image);
        let best = self
            .rules
            .iter()
            .filter_map(|rule| rule.source().rest_of(&place).map(|rest| (rule, rest)))
            .min_by_key(|(rule, rest)| (rest.len(), std::cmp::Reverse(rule.source().components().len())));
        let Some((rule, rest)) = best else {
            return Ok(Mapped { written: image.clone(), rule: None, backing: image.clone() });
        };
        let backing = if rule.is_exemption() { image.clone() } else { rewrite(image, rule, rest)? };
        Ok(Mapped { written: image.clone(), rule: Some(rule.clone()), backing })
    }
}

impl fmt::Display for ImageMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, rule) in self.rules.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{rule}")?;
        }
        Ok(())
    }
}

/// What the map made of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// What the user wrote.
    pub written: ImageRef,
    /// The rule that matched, if any.
    pub rule: Option<MapRule>,
    /// What the engine is to pull; the same as `written` when no rule matched.
    pub backing: ImageRef,
}

fn rewrite(image: &ImageRef, rule: &MapRule, rest: &[String]) -> Result<ImageRef, MapApplyError> {
    let refuse = |result: String, reason: Refusal| MapApplyError {
        image: image.to_string(),
        rule: Box::new(rule.clone()),
        result,
        reason,
    };
    let (host, target_path) = rule.target_parts();
    let path = target_path.into_iter().chain(rest.iter().map(String::as_str)).collect::<Vec<_>>().join("/");
    if path.is_empty() {
        return Err(refuse(rule.target().to_owned(), Refusal::NoPath));
    }
    let mut text = match host {
        Some(host) => format!("{host}/{path}"),
        None => path,
    };
    if let Some(tag) = image.tag() {
        text.push(':');
        text.push_str(tag);
    }
    // ECS counts the tag but not the digest.
    let found = text.len();
    if let Some(digest) = image.digest() {
        text.push('@');
        text.push_str(&digest.to_string());
    }
    if found > NAME_MAX {
        return Err(refuse(text, Refusal::TooLong { found }));
    }
    let backing = match ImageRef::parse(&text) {
        Ok(backing) => backing,
        Err(error) => return Err(refuse(text, Refusal::Illegal(error))),
    };
    if let Some(host) = backing.host()
        && EcrHost::parse(host).is_some()
        && let Err(reason) = ecr::check_repository(backing.path())
    {
        return Err(refuse(text, Refusal::NotEcr(reason)));
    }
    Ok(backing)
}

/// Why rules cannot stand in one map. The texts are for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageMapError {
    /// An entry of a list is malformed.
    #[error("entry {position} of the image map is malformed")]
    Entry {
        /// Counted from 1.
        position: usize,
        /// What is wrong with it.
        #[source]
        source: MapRuleError,
    },
    /// Two rules have the same prefix and different targets.
    #[error("rules {first} and {second} have the same prefix; remove one of them")]
    Duplicate {
        /// The earlier rule.
        first: Box<MapRule>,
        /// The later rule.
        second: Box<MapRule>,
    },
    /// What one rule writes, another would rewrite again.
    #[error("what rule {first} writes, rule {second} would rewrite again; let {first} name the final address")]
    Chain {
        /// The rule that is applied first.
        first: Box<MapRule>,
        /// The rule that would be applied to its result.
        second: Box<MapRule>,
    },
    /// What a rule writes, it would rewrite again itself.
    #[error("rule {0} would rewrite its own result again; its target must not start with its prefix")]
    Loop(Box<MapRule>),
}

/// An image that a rule matches but cannot rewrite. The text is for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("image {image} cannot become {result} by rule {rule}")]
pub struct MapApplyError {
    /// What was written.
    pub image: String,
    /// The rule that matched.
    pub rule: Box<MapRule>,
    /// What it would have become.
    pub result: String,
    /// What is wrong with the result.
    #[source]
    pub reason: Refusal,
}

/// What is wrong with the result of a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is left to follow the host.
    #[error("the target is a host only and the rule matches the whole image; add a path to the target")]
    NoPath,
    /// Too long.
    #[error("the result has {found} characters without its digest; at most 255 are legal")]
    TooLong {
        /// Characters found.
        found: usize,
    },
    /// Not a legal ECR repository name.
    #[error("not a legal ECR repository name: {0}")]
    NotEcr(String),
    /// Not a legal reference.
    #[error(transparent)]
    Illegal(ImageRefError),
}
