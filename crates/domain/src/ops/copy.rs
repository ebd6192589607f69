//! Copying a repository from one end to the other: again and again, until a pass finds nothing to do.
//!
//! A pass compares both ends and does what is left, so it may stop anywhere and be begun anew: what is there is not copied
//! again. Nothing is believed: each blob is hashed on its way, each manifest is read back from the new end and compared byte
//! for byte, and a pass that found nothing to do has seen the same manifests and tags at both ends.
//!
//! Memory: the digests of all manifests with what they hang on, eight manifests, and four blobs under way, of which the ends hold
//! a few pieces each.

mod check;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};

use self::steps::{Blob, blob_copy, inventory, links, manifest_copy};
use crate::model::digest::Digest;
use crate::model::home::{Problem, Tally};
use crate::model::time::Timestamp;
use crate::plan::copying::{Differences, Graph, Inventory, ranks, refused, tags_of};
use crate::port::image_end::{EndBlob, EndError, ImageEnd};

/// Manifests that are read or written side by side.
const MANIFESTS_AT_ONCE: usize = 8;

/// Blobs that are copied side by side.
const BLOBS_AT_ONCE: usize = 4;

/// Why a pass came to no end. It can be begun anew.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The repository isn't where it was.
    #[error("the repository is gone from where it lay")]
    SourceGone,
    /// One of the ends failed.
    #[error("{0}")]
    End(Side, #[source] EndError),
}

/// An end of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// From where.
    From,
    /// To where.
    To,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::From => "the old backing can't be read",
            Side::To => "the new backing can't be written",
        })
    }
}

/// What a pass came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pass {
    /// Whether both ends were the same before it, and all of it compared.
    pub found_nothing: bool,
    /// What can't be copied.
    pub problems: Vec<Problem>,
}

/// What was done so far. Counts on while a pass goes on.
#[derive(Debug, Default)]
pub struct Counters {
    manifests: AtomicU64,
    verified: AtomicU64,
    manifests_copied: AtomicU64,
    blobs_copied: AtomicU64,
    bytes_copied: AtomicU64,
    tags_set: AtomicU64,
}

impl Counters {
    /// How far it is now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let read = |it: &AtomicU64| it.load(Ordering::Relaxed);
        Tally {
            manifests: read(&self.manifests),
            verified: read(&self.verified),
            manifests_copied: read(&self.manifests_copied),
            blobs_copied: read(&self.blobs_copied),
            bytes_copied: read(&self.bytes_copied),
            tags_set: read(&self.tags_set),
        }
    }
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn of_from(error: EndError) -> CopyError {
    match error {
        EndError::NoRepository => CopyError::SourceGone,
        error => CopyError::End(Side::From, error),
    }
}

fn of_to(error: EndError) -> CopyError {
    CopyError::End(Side::To, error)
}

/// What of an error is the content's, in words; the error itself when it is the end's.
fn why(error: EndError, of: impl FnOnce(EndError) -> CopyError) -> Result<String, CopyError> {
    match error {
        EndError::Damaged { what } => Ok(what),
        EndError::Refused { why } => Ok(why),
        error @ (EndError::NoRepository | EndError::Unavailable { .. }) => Err(of(error)),
    }
}

/// Copies one repository. Remembers what it has compared.
pub struct Copier<'a> {
    from: &'a dyn ImageEnd,
    to: &'a dyn ImageEnd,
    counters: &'a Counters,
    graph: Graph,
    /// When manifests were pushed at the old end.
    pushed: BTreeMap<Digest, Timestamp>,
    verified: BTreeSet<Digest>,
    /// Blobs that are at the new end, with the length that they should have.
    blobs: BTreeSet<Digest>,
}

impl<'a> Copier<'a> {
    /// From one end to the other.
    #[must_use]
    pub fn new(from: &'a dyn ImageEnd, to: &'a dyn ImageEnd, counters: &'a Counters) -> Self {
        let (graph, verified, blobs) = (Graph::new(), BTreeSet::new(), BTreeSet::new());
        Self { from, to, counters, graph, pushed: BTreeMap::new(), verified, blobs }
    }

    /// What can't be copied, as far as it can be known before. Copies nothing.
    ///
    /// # Errors
    /// `SourceGone`, `End`.
    pub async fn survey(&mut self) -> Result<Vec<Problem>, CopyError> {
        let mut from = inventory(self.from).await.map_err(of_from)?;
        let mut problems = self.look(&mut from).await?;
        problems.extend(refused(&self.graph, &from, |algorithm| self.to.takes(algorithm)));
        Ok(problems)
    }

    /// What the new end has that the old one has not: manifests, and tags that lead elsewhere or nowhere there.
    ///
    /// # Errors
    /// `SourceGone`, `End`.
    pub async fn strange(&self) -> Result<Vec<String>, CopyError> {
        let from = inventory(self.from).await.map_err(of_from)?;
        let to = inventory(self.to).await.map_err(of_to)?;
        let tags = to.tags.iter().filter(|(tag, digest)| from.tags.get(*tag) != Some(*digest));
        let manifests = to.manifests.difference(&from.manifests).map(ToString::to_string);
        Ok(tags.map(|(tag, _)| tag.clone()).chain(manifests).collect())
    }

    /// Does what is left.
    ///
    /// # Errors
    /// `SourceGone`, `End`: it is to be begun anew.
    pub async fn pass(&mut self) -> Result<Pass, CopyError> {
        let mut from = inventory(self.from).await.map_err(of_from)?;
        let to = inventory(self.to).await.map_err(of_to)?;
        let mut problems = self.look(&mut from).await?;
        let differences = Differences::between(&from, &to);
        // What is gone from the new end again may have taken its blobs along.
        if !self.verified.is_disjoint(&differences.manifests) {
            self.verified.retain(|digest| !differences.manifests.contains(digest));
            self.blobs.clear();
        }
        let left = self.left(&problems);
        let found_nothing = left.is_empty() && differences.is_empty() && problems.is_empty();
        if found_nothing {
            return Ok(Pass { found_nothing, problems });
        }
        self.pushed = self.from.pushed().await.map_err(of_from)?;
        let mut tags_set = BTreeSet::new();
        for some in left.iter().flat_map(|rank| rank.chunks(MANIFESTS_AT_ONCE)) {
            for (digest, why) in self.some(some, &to, &differences, &mut tags_set).await? {
                problems.push(Problem { tags: tags_of(&digest, &self.graph, &from), digest, why });
            }
        }
        self.tags(&differences, &tags_set, &from, &mut problems).await?;
        self.take_away(&differences, &mut problems).await?;
        Ok(Pass { found_nothing, problems })
    }

    /// Reads the manifests that were not met before, and those that they lead to. Answers those that can't be read.
    async fn look(&mut self, from: &mut Inventory) -> Result<Vec<Problem>, CopyError> {
        let (end, mut problems) = (self.from, Vec::new());
        self.graph.retain(|digest, _| from.manifests.contains(digest));
        let mut todo: BTreeSet<Digest> =
            from.manifests.iter().filter(|digest| !self.graph.contains_key(*digest)).cloned().collect();
        let mut met = todo.clone();
        while !todo.is_empty() {
            let reading = std::mem::take(&mut todo).into_iter().map(|digest| async move {
                let manifest = end.manifest_read(&digest).await;
                let referrers = end.referrers(&digest).await.map_err(of_from)?;
                Ok::<_, CopyError>((digest, manifest, referrers))
            });
            let mut reading = stream::iter(reading).buffer_unordered(MANIFESTS_AT_ONCE);
            while let Some((digest, manifest, referrers)) = reading.try_next().await? {
                let manifest = match manifest {
                    Ok(Some(manifest)) => manifest,
                    // It went meanwhile, or an index names what was never there; the new end says what it makes of that.
                    Ok(None) => {
                        from.manifests.remove(&digest);
                        continue;
                    }
                    Err(error) => {
                        let why = why(error, of_from)?;
                        problems.push(Problem { tags: tags_of(&digest, &self.graph, from), digest, why });
                        continue;
                    }
                };
                let links = links(&manifest);
                let near = links.children.iter().chain(&links.subject).chain(&referrers);
                todo.extend(near.filter(|it| !self.graph.contains_key(*it) && met.insert((*it).clone())).cloned());
                from.manifests.insert(digest.clone());
                self.graph.insert(digest, links);
            }
        }
        self.verified.retain(|digest| self.graph.contains_key(digest));
        self.counters.manifests.store(u64::try_from(self.graph.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.counters.verified.store(u64::try_from(self.verified.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(problems)
    }

    /// What is not compared yet, in the order in which it can be written.
    fn left(&self, problems: &[Problem]) -> Vec<Vec<Digest>> {
        let is_left =
            |digest: &Digest| !self.verified.contains(digest) && problems.iter().all(|it| it.digest != *digest);
        let ranks = ranks(&self.graph).into_iter();
        let left = ranks.map(|rank| rank.into_iter().filter(|digest| is_left(digest)).collect());
        left.filter(|rank: &Vec<Digest>| !rank.is_empty()).collect()
    }

    /// Copies and compares a few manifests, with all blobs that they need. Answers what can't be copied, and why.
    async fn some(
        &mut self,
        some: &[Digest],
        to: &Inventory,
        differences: &Differences,
        tags_set: &mut BTreeSet<String>,
    ) -> Result<Vec<(Digest, String)>, CopyError> {
        let (old, new, counters) = (self.from, self.to, self.counters);
        let reading = some.iter().cloned().map(|digest| async move { (old.manifest_read(&digest).await, digest) });
        let mut read = stream::iter(reading).buffered(MANIFESTS_AT_ONCE);
        let (mut manifests, mut failed) = (Vec::new(), Vec::new());
        while let Some((manifest, digest)) = read.next().await {
            match manifest {
                Ok(manifest) => manifests.extend(manifest),
                Err(error) => failed.push((digest, why(error, of_from)?)),
            }
        }
        drop(read);
        let wanted: BTreeMap<Digest, EndBlob> = manifests
            .iter()
            .flat_map(|manifest| &manifest.blobs)
            .filter(|blob| !self.blobs.contains(&blob.digest))
            .map(|blob| (blob.digest.clone(), blob.clone()))
            .collect();
        let copying =
            wanted.into_values().map(|blob| async move { Ok((blob_copy(old, new, &blob, counters).await?, blob)) });
        let copied: Vec<(Blob, EndBlob)> = stream::iter(copying).buffer_unordered(BLOBS_AT_ONCE).try_collect().await?;
        let mut lacking = BTreeMap::new();
        for (outcome, blob) in copied {
            match outcome {
                Blob::There => drop(self.blobs.insert(blob.digest)),
                Blob::Needless => {}
                Blob::Cant(why) => drop(lacking.insert(blob.digest, why)),
            }
        }
        let mut writing = Vec::new();
        for manifest in &manifests {
            if let Some(why) = manifest.blobs.iter().find_map(|blob| lacking.get(&blob.digest)) {
                failed.push((manifest.digest.clone(), why.clone()));
                continue;
            }
            let is_there = to.manifests.contains(&manifest.digest);
            // What is new gets its first tag along.
            let points_here = |(_, digest): &(&String, &Digest)| **digest == manifest.digest;
            let tag =
                if is_there { None } else { differences.tags.iter().find(points_here).map(|(tag, _)| tag.as_str()) };
            tags_set.extend(tag.map(str::to_owned));
            let pushed = self.pushed.get(&manifest.digest).copied();
            writing.push(async move {
                Ok((&manifest.digest, manifest_copy(new, manifest, tag, pushed, is_there, counters).await?))
            });
        }
        let written: Vec<(&Digest, Option<String>)> =
            stream::iter(writing).buffer_unordered(MANIFESTS_AT_ONCE).try_collect().await?;
        for (digest, cant) in written {
            match cant {
                Some(why) => failed.push((digest.clone(), why)),
                None => {
                    self.verified.insert(digest.clone());
                    count(&counters.verified, 1);
                }
            }
        }
        Ok(failed)
    }

    /// Sets the tags that are left.
    async fn tags(
        &self,
        differences: &Differences,
        set: &BTreeSet<String>,
        from: &Inventory,
        problems: &mut Vec<Problem>,
    ) -> Result<(), CopyError> {
        let left =
            differences.tags.iter().filter(|(tag, digest)| !set.contains(*tag) && self.verified.contains(*digest));
        for (tag, digest) in left {
            let Some(manifest) = self.from.manifest_read(digest).await.map_err(of_from)? else { continue };
            match self.to.manifest_write(&manifest, Some(tag), self.pushed.get(digest).copied()).await {
                Ok(()) => count(&self.counters.tags_set, 1),
                Err(error) => {
                    let why = format!("tag {tag} can't be set: {}", why(error, of_to)?);
                    problems.push(Problem { tags: tags_of(digest, &self.graph, from), digest: digest.clone(), why });
                }
            }
        }
        Ok(())
    }

    /// Takes away what went at the old end while it was copied. What an index names goes after the index.
    async fn take_away(&self, differences: &Differences, problems: &mut Vec<Problem>) -> Result<(), CopyError> {
        for tag in &differences.tags_gone {
            self.to.tag_delete(tag).await.map_err(of_to)?;
        }
        let mut left: Vec<&Digest> = differences.manifests_gone.iter().collect();
        loop {
            let (before, mut stay) = (left.len(), Vec::new());
            for digest in left {
                match self.to.manifest_delete(digest).await {
                    Ok(()) => {}
                    Err(error) => stay.push((digest, why(error, of_to)?)),
                }
            }
            if stay.len() == before || stay.is_empty() {
                let stays = |(digest, why): (&Digest, String)| {
                    let why = format!("it is gone, and can't be deleted in the new backing: {why}");
                    Problem { digest: digest.clone(), tags: Vec::new(), why }
                };
                problems.extend(stay.into_iter().map(stays));
                return Ok(());
            }
            left = stay.into_iter().map(|(digest, _)| digest).collect();
        }
    }
}

/// Copies the blobs of one manifest that the new end does not have: of a push that began before the new end answered. Answers
/// whether all of them are there then.
///
/// # Errors
/// `End`.
pub async fn blobs_follow(
    from: &dyn ImageEnd,
    to: &dyn ImageEnd,
    blobs: &[EndBlob],
    counters: &Counters,
) -> Result<bool, CopyError> {
    let mut all = true;
    for blob in blobs {
        all &= !matches!(blob_copy(from, to, blob, counters).await?, Blob::Cant(_));
    }
    Ok(all)
}
