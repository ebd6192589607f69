//! The port `ImageEnd` in memory, with faults: the fake of the port.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::registry::Visibility;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::image_end::{BlobStream, EndError, EndManifest, Entry, EntryPage, ImageEnd};

/// Entries of one page: few, so that there are pages.
const PAGE: usize = 3;

/// What lies in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Manifests.
    pub manifests: BTreeMap<Digest, EndManifest>,
    /// When manifests were pushed, of those that came with a time.
    pub pushed: BTreeMap<Digest, Timestamp>,
    /// Tags.
    pub tags: BTreeMap<String, Digest>,
    /// Blobs.
    pub blobs: BTreeMap<Digest, Vec<u8>>,
}

#[derive(Default)]
struct Inside {
    /// `None` before the repository is made.
    held: Option<Held>,
    /// Calls so far, by what they do.
    calls: Vec<&'static str>,
    /// The call that fails, counted from now; whether it does its work all the same.
    fails: Option<(usize, Fails)>,
    /// Manifests that are never taken.
    refuses: Vec<Digest>,
    sha256_only: bool,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fails {
    /// Before it has done anything.
    Before,
    /// After it has done all.
    After,
}

/// One repository. Clones are the same.
#[derive(Clone, Default)]
pub struct MemoryEnd(Arc<Mutex<Inside>>);

impl MemoryEnd {
    /// One without a repository.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It takes what is named by sha256 only.
    #[must_use]
    pub fn sha256_only(self) -> Self {
        self.inside().sha256_only = true;
        self
    }

    /// What lies in it now; `None` without a repository.
    #[must_use]
    pub fn held(&self) -> Option<Held> {
        self.inside().held.clone()
    }

    /// Changes what lies in it, behind the port's back.
    pub fn change(&self, change: impl FnOnce(&mut Held)) {
        change(self.inside().held.as_mut().expect("the repository is there"));
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        self.inside().calls.clone()
    }

    /// The call after so many more fails.
    pub fn fail_after(&self, calls: usize, how: Fails) {
        self.inside().fails = Some((calls, how));
    }

    /// Whether the failure is still to come.
    #[must_use]
    pub fn is_to_fail(&self) -> bool {
        self.inside().fails.is_some()
    }

    /// Fails no more.
    pub fn heal(&self) {
        self.inside().fails = None;
    }

    /// This manifest is never taken.
    pub fn refuse(&self, digest: Digest) {
        self.inside().refuses.push(digest);
    }

    fn call<T>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut Inside) -> Result<T, EndError>,
    ) -> Result<T, EndError> {
        let away = || EndError::Unavailable { source: "it was told to fail".into() };
        let mut inside = self.inside();
        inside.calls.push(name);
        let fails = match &mut inside.fails {
            Some((0, how)) => Some(*how),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        if fails.is_some() {
            inside.fails = None;
        }
        match fails {
            Some(Fails::Before) => Err(away()),
            Some(Fails::After) => work(&mut inside).and_then(|_| Err(away())),
            None => work(&mut inside),
        }
    }
}

impl Inside {
    fn held(&mut self) -> Result<&mut Held, EndError> {
        self.held.as_mut().ok_or(EndError::NoRepository)
    }
}

fn refused<T>(why: &str) -> Result<T, EndError> {
    Err(EndError::Refused { why: why.to_owned() })
}

#[async_trait]
impl ImageEnd for MemoryEnd {
    fn takes(&self, algorithm: Algorithm) -> bool {
        algorithm == Algorithm::Sha256 || !self.inside().sha256_only
    }

    async fn prepare(&self, _visibility: Visibility) -> Result<bool, EndError> {
        self.call("prepare", |inside| {
            let is_new = inside.held.is_none();
            inside.held.get_or_insert_default();
            Ok(is_new)
        })
    }

    async fn remove(&self) -> Result<(), EndError> {
        self.call("remove", |inside| {
            inside.held = None;
            Ok(())
        })
    }

    async fn entries(&self, next: Option<&str>) -> Result<EntryPage, EndError> {
        self.call("entries", |inside| {
            let held = inside.held()?;
            let tags = held.tags.iter().map(|(tag, digest)| Entry { digest: digest.clone(), tag: Some(tag.clone()) });
            let all = held.manifests.keys().map(|digest| Entry { digest: digest.clone(), tag: None }).chain(tags);
            let from = next.map_or(0, |next| next.parse().expect("a mark of a page"));
            let mut rest = all.skip(from);
            let entries: Vec<Entry> = rest.by_ref().take(PAGE).collect();
            let next = rest.next().map(|_| (from + PAGE).to_string());
            Ok(EntryPage { entries, next })
        })
    }

    async fn referrers(&self, _subject: &Digest) -> Result<Vec<Digest>, EndError> {
        self.call("referrers", |_| Ok(Vec::new()))
    }

    async fn manifest_read(&self, digest: &Digest) -> Result<Option<EndManifest>, EndError> {
        self.call("manifest_read", |inside| {
            let found = inside.held.as_ref().and_then(|held| held.manifests.get(digest).cloned());
            match found {
                Some(found) if digest.algorithm().digest_of(&found.bytes) != *digest => {
                    Err(EndError::Damaged { what: format!("manifest {digest} is damaged") })
                }
                found => Ok(found),
            }
        })
    }

    async fn pushed(&self) -> Result<BTreeMap<Digest, Timestamp>, EndError> {
        self.call("pushed", |inside| Ok(inside.held.as_ref().map(|held| held.pushed.clone()).unwrap_or_default()))
    }

    async fn manifest_write(
        &self,
        manifest: &EndManifest,
        tag: Option<&str>,
        pushed: Option<Timestamp>,
    ) -> Result<(), EndError> {
        self.call("manifest_write", |inside| {
            if inside.refuses.contains(&manifest.digest) {
                return refused("it is not liked here");
            }
            let held = inside.held()?;
            let has_blob = |digest: &Digest| held.blobs.contains_key(digest);
            if !manifest.blobs.iter().all(|blob| blob.is_foreign || has_blob(&blob.digest)) {
                return refused("a blob is missing");
            }
            if !manifest.children.iter().all(|child| held.manifests.contains_key(child)) {
                return refused("a manifest is missing");
            }
            held.manifests.insert(manifest.digest.clone(), manifest.clone());
            held.pushed.extend(pushed.map(|pushed| (manifest.digest.clone(), pushed)));
            if let Some(tag) = tag {
                held.tags.insert(tag.to_owned(), manifest.digest.clone());
            }
            Ok(())
        })
    }

    async fn manifest_delete(&self, digest: &Digest) -> Result<(), EndError> {
        self.call("manifest_delete", |inside| {
            let held = inside.held()?;
            if held.manifests.values().any(|it| it.children.contains(digest)) && held.manifests.contains_key(digest) {
                return refused("an index names it");
            }
            held.manifests.remove(digest);
            held.pushed.remove(digest);
            held.tags.retain(|_, to| to != digest);
            Ok(())
        })
    }

    async fn tag_delete(&self, tag: &str) -> Result<(), EndError> {
        self.call("tag_delete", |inside| {
            inside.held()?.tags.remove(tag);
            Ok(())
        })
    }

    async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, EndError> {
        self.call("blob_size", |inside| {
            let held = inside.held.as_ref();
            Ok(held.and_then(|held| held.blobs.get(digest)).map(|bytes| bytes.len() as u64))
        })
    }

    async fn blob_read(&self, digest: &Digest) -> Result<Option<BlobStream>, EndError> {
        self.call("blob_read", |inside| {
            let found = inside.held.as_ref().and_then(|held| held.blobs.get(digest)).cloned();
            let pieces = |bytes: Vec<u8>| bytes.chunks(5).map(|piece| Ok(piece.to_vec())).collect::<Vec<_>>();
            Ok(found.map(|bytes| stream::iter(pieces(bytes)).boxed()))
        })
    }

    async fn blob_write(&self, digest: &Digest, size: u64, mut content: BlobStream) -> Result<(), EndError> {
        let mut bytes = Vec::new();
        while let Some(piece) = content.next().await {
            bytes.extend(piece.map_err(|source| EndError::Unavailable { source })?);
        }
        self.call("blob_write", |inside| {
            let held = inside.held()?;
            if digest.algorithm().digest_of(&bytes) != *digest || bytes.len() as u64 != size {
                return Err(EndError::Damaged { what: format!("blob {digest} is not what it should be") });
            }
            held.blobs.insert(digest.clone(), bytes);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image_end_suite::{self, Stage};

    struct OnMemory(MemoryEnd);

    #[async_trait]
    impl Stage for OnMemory {
        fn end(&self) -> &dyn ImageEnd {
            &self.0
        }
    }

    #[tokio::test]
    async fn the_suite_holds() {
        image_end_suite::run_all(async || Box::new(OnMemory(MemoryEnd::new())) as Box<dyn Stage>).await;
    }
}
