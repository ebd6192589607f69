//! What a copy of a repository takes, in which order, and what is different between two ends. Pure.
//!
//! A registry takes a manifest when all that it needs is there. So the order is: blobs, manifests without children, the indexes
//! over them, and what says something about another manifest (`subject`) after that one.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::digest::{Algorithm, Digest};
use crate::model::home::{PROBLEMS_MAX, Problem};

/// The most tags that a problem names.
const TAGS_NAMED: usize = 5;

/// What one end holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// All manifests.
    pub manifests: BTreeSet<Digest>,
    /// All tags, with what they point to.
    pub tags: BTreeMap<String, Digest>,
}

/// What a manifest hangs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// An index's entries.
    pub children: Vec<Digest>,
    /// The manifest that it says something about.
    pub subject: Option<Digest>,
    /// Digests of blobs, and of itself, by an algorithm that not every registry takes: one of each that was met.
    pub odd: Option<Algorithm>,
}

impl Links {
    fn needs(&self) -> impl Iterator<Item = &Digest> {
        self.children.iter().chain(&self.subject)
    }
}

/// The manifests of a repository, with what each hangs on.
pub type Graph = BTreeMap<Digest, Links>;

/// The manifests in ranks: all that one needs, as far as it is in the graph, is in a rank before its own. In a rank the order is
/// that of the digests.
///
/// What hangs on itself comes last, all in one rank: digests make that impossible, but for a graph that somebody made up.
#[must_use]
pub fn ranks(graph: &Graph) -> Vec<Vec<Digest>> {
    let mut waits: BTreeMap<&Digest, usize> = BTreeMap::new();
    let mut needed_by: BTreeMap<&Digest, Vec<&Digest>> = BTreeMap::new();
    for (digest, links) in graph {
        let needs: BTreeSet<&Digest> = links.needs().filter(|it| graph.contains_key(*it)).collect();
        waits.insert(digest, needs.len());
        for one in needs {
            needed_by.entry(one).or_default().push(digest);
        }
    }
    let mut ranks = Vec::new();
    let mut ready: Vec<&Digest> = waits.iter().filter(|(_, count)| **count == 0).map(|(digest, _)| *digest).collect();
    while !ready.is_empty() {
        let mut next = Vec::new();
        for digest in &ready {
            waits.remove(digest);
            for one in needed_by.remove(digest).unwrap_or_default() {
                if let Some(count) = waits.get_mut(one) {
                    *count -= 1;
                    if *count == 0 {
                        next.push(one);
                    }
                }
            }
        }
        ranks.push(ready.into_iter().cloned().collect());
        next.sort_unstable();
        ready = next;
    }
    if !waits.is_empty() {
        ranks.push(waits.into_keys().cloned().collect());
    }
    ranks
}

/// What makes one end like the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Manifests that are to come.
    pub manifests: BTreeSet<Digest>,
    /// Tags that are to be set, or moved.
    pub tags: BTreeMap<String, Digest>,
    /// Manifests that are to go.
    pub manifests_gone: BTreeSet<Digest>,
    /// Tags that are to go.
    pub tags_gone: BTreeSet<String>,
}

impl Differences {
    /// What of `to` differs from `from`.
    #[must_use]
    pub fn between(from: &Inventory, to: &Inventory) -> Self {
        Self {
            manifests: from.manifests.difference(&to.manifests).cloned().collect(),
            tags: from
                .tags
                .iter()
                .filter(|(tag, digest)| to.tags.get(*tag) != Some(*digest))
                .map(|(tag, digest)| (tag.clone(), digest.clone()))
                .collect(),
            manifests_gone: to.manifests.difference(&from.manifests).cloned().collect(),
            tags_gone: to.tags.keys().filter(|tag| !from.tags.contains_key(*tag)).cloned().collect(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.tags.is_empty() && self.manifests_gone.is_empty() && self.tags_gone.is_empty()
    }
}

/// The tags that lead to a manifest, directly or through what needs it: the first few.
#[must_use]
pub fn tags_of(digest: &Digest, graph: &Graph, inventory: &Inventory) -> Vec<String> {
    let (mut reached, mut todo) = (BTreeSet::from([digest]), vec![digest]);
    while let Some(one) = todo.pop() {
        for (parent, links) in graph {
            if links.children.contains(one) && reached.insert(parent) {
                todo.push(parent);
            }
        }
    }
    let leading = inventory.tags.iter().filter(|(_, to)| reached.contains(to)).map(|(tag, _)| tag.clone());
    leading.take(TAGS_NAMED).collect()
}

/// What can't lie in an end that does not take all algorithms, known before anything is copied.
#[must_use]
pub fn refused(graph: &Graph, inventory: &Inventory, takes: impl Fn(Algorithm) -> bool) -> Vec<Problem> {
    let odd = graph.iter().filter_map(|(digest, links)| {
        let algorithm = links.odd.filter(|algorithm| !takes(*algorithm))?;
        Some((digest, format!("it is named by {algorithm}, which is not known there")))
    });
    odd.enumerate()
        .map(|(at, (digest, why))| {
            // Those that are only counted need no tags.
            let tags = if at < PROBLEMS_MAX { tags_of(digest, graph, inventory) } else { Vec::new() };
            Problem { digest: digest.clone(), tags, why }
        })
        .collect()
}

#[cfg(test)]
mod tests;
