//! Which images of a repository go by the rules of its owner.
//!
//! A tag goes when a rule judges it and none that does keeps it. A manifest goes when a rule lets those without a tag go that are as
//! old, and nothing that stays leads to it: a tag, something that runs, an index, or what it is about. What can't be known stays.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::digest::Digest;
use crate::model::owner::TagRule;
use crate::model::retention::{ImageManifest, ImageTag, Images, RetentionRule, Retiring};
use crate::model::time::Timestamp;

#[cfg(test)]
mod tests;

/// What rules there are for a repository, and what runs of it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The repository's name behind the owner.
    pub repository: &'a str,
    /// What is to be kept.
    pub rules: &'a [RetentionRule],
    /// Which tags may not be deleted. No retention rule stands above these.
    pub immutable: &'a [TagRule],
    /// The manifests that something runs or is about to, and what.
    pub pinned: &'a BTreeMap<Digest, Vec<String>>,
}

/// What goes of a repository, and what would but for something that needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Tags that go, and by which rule.
    pub tags: Vec<(ImageTag, RetentionRule)>,
    /// Manifests that go, what leads to others before those, and by which rule.
    pub manifests: Vec<(Digest, Timestamp, RetentionRule)>,
    /// What is about those manifests by its tags, and goes with them: each after what it is about.
    pub about: Vec<About>,
    /// Tags that no rule keeps, and that stay all the same.
    pub held: Vec<(ImageTag, Held)>,
}

/// Tags that are about manifests which go (signatures, say), and the manifests that nothing leads to without these tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The tags, and by which rule what they are about goes.
    pub tags: Vec<(ImageTag, RetentionRule)>,
    /// The manifests, what leads to others before those, and by which rule.
    pub manifests: Vec<(Digest, Timestamp, RetentionRule)>,
}

/// What goes at once: tags, and the manifests that may go then.
pub type Round<'a> = (&'a [(ImageTag, RetentionRule)], &'a [(Digest, Timestamp, RetentionRule)]);

impl Plan {
    /// All that goes, in the order in which it has to: a tag that is about a manifest stays as long as that.
    pub fn rounds(&self) -> impl Iterator<Item = Round<'_>> {
        let first: Round<'_> = (&self.tags, &self.manifests);
        std::iter::once(first).chain(self.about.iter().map(|it| -> Round<'_> { (&it.tags, &it.manifests) }))
    }
}

/// Why a tag stays that no rule keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// These run it: services and tasks.
    RunBy(Vec<String>),
    /// It is immutable.
    Immutable(TagRule),
}

/// Decides what goes. Nothing more goes when the clock stands earlier, and nothing goes of what a plan has left at the same moment.
#[must_use]
pub fn plan(wanted: Wanted<'_>, images: &Images, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let here: BTreeSet<&Digest> = images.manifests.iter().map(|it| &it.digest).collect();
    let mut kept: BTreeSet<&str> = BTreeSet::new();
    let mut judged: BTreeMap<&str, &RetentionRule> = BTreeMap::new();
    for rule in wanted.rules {
        let mut tags: Vec<&ImageTag> = images
            .tags
            .iter()
            .filter(|tag| rule.judges(wanted.repository, &tag.name) && !is_attached(&tag.name, &here))
            .collect();
        tags.sort_by(|a, b| (b.pushed, &b.name).cmp(&(a.pushed, &a.name)));
        let mut place = 0;
        for tag in tags {
            judged.entry(&tag.name).or_insert(rule);
            let among_last = rule.keep_last.is_some_and(|last| place < last as usize);
            if among_last || now.ms_since(tag.pushed) < rule.keep_ms() {
                kept.insert(&tag.name);
            }
            // What was about another one takes no place of an image.
            place += usize::from(subject_of(&tag.name).is_none());
        }
    }
    let mut staying: Vec<&ImageTag> = Vec::new();
    for tag in &images.tags {
        let rule = judged.get(tag.name.as_str()).filter(|_| !kept.contains(tag.name.as_str()));
        let Some(rule) = rule else {
            staying.push(tag);
            continue;
        };
        let immutable = wanted.immutable.iter().find(|rule| rule.holds(wanted.repository, &tag.name));
        let held = match (wanted.pinned.get(&tag.digest), immutable) {
            (Some(by), _) => Held::RunBy(by.clone()),
            (None, Some(rule)) => Held::Immutable(rule.clone()),
            (None, None) => {
                plan.tags.push((tag.clone(), RetentionRule::clone(rule)));
                continue;
            }
        };
        staying.push(tag);
        plan.held.push((tag.clone(), held));
    }
    // Of several rules the one that keeps for longest.
    let untagged = wanted.rules.iter().filter_map(|rule| Some((rule.untagged_ms(wanted.repository)?, rule)));
    let Some((ms, rule)) = untagged.max_by_key(|(ms, _)| *ms) else { return plan };
    let young = images.manifests.iter().filter(|it| now.ms_since(it.pushed) < ms).map(|it| &it.digest);
    let base: BTreeSet<&Digest> = wanted.pinned.keys().chain(young).collect();
    let mut gone: BTreeSet<&Digest> = BTreeSet::new();
    let mut tags = Vec::new();
    loop {
        let stays = reached(images, base.iter().copied().chain(staying.iter().map(|tag| &tag.digest)).collect());
        let is_going = |it: &&ImageManifest| !stays.contains(&it.digest) && !gone.contains(&it.digest);
        let going = leading_first(images.manifests.iter().filter(is_going).collect());
        gone.extend(going.iter().map(|it| &it.digest));
        let manifests = going.into_iter().map(|it| (it.digest.clone(), it.pushed, rule.clone())).collect();
        if tags.is_empty() {
            plan.manifests = manifests;
        } else {
            plan.about.push(About { tags: std::mem::take(&mut tags), manifests });
        }
        staying.retain(|tag| {
            let is_about_gone = subject_of(&tag.name).is_some_and(|subject| gone.contains(&subject));
            let is_needed = wanted.pinned.contains_key(&tag.digest)
                || wanted.immutable.iter().any(|rule| rule.holds(wanted.repository, &tag.name));
            let goes = is_about_gone && !is_needed;
            if goes {
                tags.push(((*tag).clone(), rule.clone()));
            }
            !goes
        });
        if tags.is_empty() {
            return plan;
        }
    }
}

/// What of `asked` may still go, when the repository is seen as `images` in the unit of work that lets it go: tags that point where they
/// did and were not pushed again, manifests that were not pushed again and that nothing which stays leads to.
#[must_use]
pub fn confirm(repository: &str, immutable: &[TagRule], images: &Images, asked: &Retiring) -> Retiring {
    let seen: BTreeSet<&ImageTag> = images.tags.iter().collect();
    let may_go =
        |tag: &&ImageTag| seen.contains(*tag) && !immutable.iter().any(|rule| rule.holds(repository, &tag.name));
    let here: BTreeSet<&Digest> = images.manifests.iter().map(|it| &it.digest).collect();
    let (mut about, tags): (Vec<&ImageTag>, Vec<&ImageTag>) =
        asked.tags.iter().filter(may_go).partition(|tag| is_attached(&tag.name, &here));
    let mut tags: BTreeSet<&ImageTag> = tags.into_iter().collect();
    let asked_for: BTreeSet<(&Digest, Timestamp)> = asked.manifests.iter().map(|(digest, at)| (digest, *at)).collect();
    let not_asked = images.manifests.iter().filter(|it| !asked_for.contains(&(&it.digest, it.pushed)));
    let not_asked: BTreeSet<&Digest> = not_asked.map(|it| &it.digest).collect();
    let stays = loop {
        let staying_tags = images.tags.iter().filter(|tag| !tags.contains(tag)).map(|tag| &tag.digest);
        let stays = reached(images, staying_tags.chain(not_asked.iter().copied()).collect());
        let before = about.len();
        about.retain(|tag| {
            let goes = subject_of(&tag.name).is_none_or(|subject| !stays.contains(&subject));
            if goes {
                tags.insert(tag);
            }
            !goes
        });
        if about.len() == before {
            break stays;
        }
    };
    let here: BTreeSet<(&Digest, Timestamp)> = images.manifests.iter().map(|it| (&it.digest, it.pushed)).collect();
    let manifests = asked.manifests.iter();
    let manifests = manifests.filter(|(digest, at)| here.contains(&(digest, *at)) && !stays.contains(digest));
    let tags = asked.tags.iter().filter(|tag| tags.contains(tag));
    Retiring { tags: tags.cloned().collect(), manifests: manifests.cloned().collect() }
}

/// The images that no tag leads to, in byte order of their digests: without their parts, and without what is about them.
#[must_use]
pub fn untagged(images: &Images) -> Vec<&Digest> {
    let tagged = reached(images, images.tags.iter().map(|tag| &tag.digest).collect());
    let rest: Vec<&ImageManifest> = images.manifests.iter().filter(|it| !tagged.contains(&it.digest)).collect();
    let here: BTreeSet<&Digest> = rest.iter().map(|it| &it.digest).collect();
    let parts: BTreeSet<&Digest> = rest.iter().flat_map(|it| &it.children).collect();
    let is_about = |it: &ImageManifest| it.subject.as_ref().is_some_and(|subject| here.contains(subject));
    rest.into_iter().filter(|it| !parts.contains(&it.digest) && !is_about(it)).map(|it| &it.digest).collect()
}

/// The manifest that a tag says something about, whether that is there or not, as signatures do where a registry had no referrers:
/// `sha256-HEX`, with something behind it or not (distribution specification, "Referrers Tag Schema").
#[must_use]
pub fn subject_of(tag: &str) -> Option<Digest> {
    let (algorithm, rest) = tag.split_once('-')?;
    let hex = rest.split_once('.').map_or(rest, |(hex, _)| hex);
    Digest::parse(&format!("{algorithm}:{hex}")).ok()
}

/// Whether a tag says something about a manifest that is there. It stays as long as that.
fn is_attached(tag: &str, here: &BTreeSet<&Digest>) -> bool {
    subject_of(tag).is_some_and(|subject| here.contains(&subject))
}

/// All that these lead to: an index to its parts, a manifest to those that are about it.
fn reached<'a>(images: &'a Images, roots: BTreeSet<&'a Digest>) -> BTreeSet<&'a Digest> {
    let (by_digest, about) = links(images.manifests.iter());
    let mut reached = roots;
    let mut todo: Vec<&Digest> = reached.iter().copied().collect();
    while let Some(digest) = todo.pop() {
        let parts = by_digest.get(digest).into_iter().flat_map(|it| &it.children);
        let referrers = about.get(digest).into_iter().flatten().map(|it| &it.digest);
        todo.extend(parts.chain(referrers).filter(|next| reached.insert(next)));
    }
    reached
}

/// Each manifest before those that it leads to.
fn leading_first(going: Vec<&ImageManifest>) -> Vec<&ImageManifest> {
    let (by_digest, about) = links(going.iter().copied());
    let (mut met, mut ordered) = (BTreeSet::new(), Vec::with_capacity(going.len()));
    for first in going {
        let mut todo = vec![(first, false)];
        while let Some((manifest, done)) = todo.pop() {
            if done {
                ordered.push(manifest);
            } else if met.insert(&manifest.digest) {
                todo.push((manifest, true));
                let parts = manifest.children.iter().filter_map(|child| by_digest.get(child).copied());
                let referrers = about.get(&manifest.digest).into_iter().flatten().copied();
                todo.extend(parts.chain(referrers).map(|next| (next, false)));
            }
        }
    }
    ordered.reverse();
    ordered
}

type ByDigest<'a> = BTreeMap<&'a Digest, &'a ImageManifest>;
type ByAbout<'a> = BTreeMap<&'a Digest, Vec<&'a ImageManifest>>;

/// Manifests by digest, and by what they are about.
fn links<'a>(manifests: impl Iterator<Item = &'a ImageManifest>) -> (ByDigest<'a>, ByAbout<'a>) {
    let (mut by_digest, mut about) = (ByDigest::new(), ByAbout::new());
    for manifest in manifests {
        by_digest.insert(&manifest.digest, manifest);
        if let Some(subject) = &manifest.subject {
            about.entry(subject).or_default().push(manifest);
        }
    }
    (by_digest, about)
}
