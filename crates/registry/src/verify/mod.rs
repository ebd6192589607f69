//! Reading everything again: whether all that clients were told is stored can still be pulled.
//!
//! Every blob that a repository holds is read from the disk and hashed, every manifest is hashed, at a bounded rate. What
//! is damaged is marked (`blobs/judge.rs`) and told, with the repositories, manifests and tags that need it. Nothing is
//! repaired or removed: only a push has the right bytes.
//!
//! It may run beside everything else. What is pushed or deleted meanwhile is seen or not; a blob that is deleted between
//! the list and the look is no finding. It keeps no place: the next run begins at the start.

mod pace;

use std::time::Duration;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::ManifestRef;
use layer0_domain::port::registry_store::{ContentUser, HeldBlob, Page, RegistryStoreError};
use tokio::time::Instant;

use self::pace::Pace;
pub use self::pace::Rate;
use crate::blobs::{Lying, Removal, Verdict, lost};
use crate::blocking::blocking;
use crate::error::RegistryError;
use crate::manifest::checked::{self, Stored};
use crate::registry::{Parts, Registry};

/// How many blobs, repositories or manifests are listed at once.
const PAGE: u32 = 500;
/// A pause shorter than this is not worth a timer; it is made up for by the next one.
const PAUSE_LEAST: Duration = Duration::from_millis(5);

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifyTally {
    /// Blobs that were held when the run began, and their bytes.
    pub blobs_total: u64,
    /// See `blobs_total`.
    pub bytes_total: u64,
    /// Blobs that were read.
    pub blobs: u64,
    /// Bytes of blobs that were read.
    pub bytes: u64,
    /// Manifests that were read.
    pub manifests: u64,
    /// Findings.
    pub findings: u64,
    /// Files or objects that no repository holds, counted at the end, and their bytes. They take space and do no harm.
    pub strays: u64,
    /// See `strays`.
    pub stray_bytes: u64,
}

/// What is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyFinding {
    /// What it is.
    pub content: Content,
    /// Which.
    pub digest: Digest,
    /// What is wrong with it.
    pub fault: Fault,
    /// Where it is needed.
    pub users: Vec<ContentUser>,
}

/// What can be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A layer or a config.
    Blob,
    /// A manifest or an index.
    Manifest,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not what its digest says, or the disk has lost some of it. It counts as missing until it is pushed again.
    Damaged,
    /// It has no bytes.
    Missing,
    /// Its bytes can't be read, for a reason that says nothing about its content. The log says which.
    Unreadable,
}

/// What a run tells while it goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyEvent {
    /// It has come so far.
    Progress(VerifyTally),
    /// It has found something.
    Finding(VerifyFinding),
}

impl Registry {
    /// Reads everything again, no faster than `rate`, and answers what it has read when it is done. `tell` hears of every
    /// step (about one for each MiB or blob, whichever is less) and of every finding.
    ///
    /// # Errors
    /// `Failed`, when the store or the directory of blobs can't be read. What was found until then was told.
    pub async fn verify(
        &self,
        rate: Rate,
        tell: impl FnMut(VerifyEvent) + Send,
    ) -> Result<VerifyTally, RegistryStoreError> {
        let (pace, began) = (Pace::new(rate), Instant::now());
        let run = Run { parts: self.parts(), pace, began, tally: VerifyTally::default(), tell };
        run.finish().await.map_err(RegistryError::outside)
    }
}

/// One run.
struct Run<'a, F> {
    parts: &'a Parts,
    pace: Pace,
    began: Instant,
    tally: VerifyTally,
    tell: F,
}

impl<F: FnMut(VerifyEvent) + Send> Run<'_, F> {
    async fn finish(mut self) -> Result<VerifyTally, RegistryError> {
        self.count().await?;
        self.progress();
        let mut after = None;
        loop {
            let page = self.parts.store.blob_list(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.digest.clone());
            for held in page {
                self.blob(&held).await?;
                self.tally.blobs += 1;
                self.progress();
            }
        }
        self.manifests().await?;
        let strays = self.parts.blobs.strays(Removal::None).await?;
        (self.tally.strays, self.tally.stray_bytes) = (strays.files, strays.bytes);
        self.progress();
        Ok(self.tally)
    }

    /// Adds up what there is to read.
    async fn count(&mut self) -> Result<(), RegistryError> {
        let mut after = None;
        loop {
            let page = self.parts.store.blob_list(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.digest.clone());
            self.tally.blobs_total += u64::try_from(page.len()).expect("a page is small");
            self.tally.bytes_total =
                page.iter().fold(self.tally.bytes_total, |sum, held| sum.saturating_add(held.size));
        }
    }

    fn progress(&mut self) {
        (self.tell)(VerifyEvent::Progress(self.tally));
    }

    fn found(&mut self, content: Content, digest: &Digest, fault: Fault, users: Vec<ContentUser>) {
        // Deleted meanwhile: nobody needs it, and its file is on its way out.
        if users.is_empty() {
            return;
        }
        self.tally.findings += 1;
        (self.tell)(VerifyEvent::Finding(VerifyFinding { content, digest: digest.clone(), fault, users }));
    }

    /// Waits after so many bytes were read, until the next may be.
    async fn pause(&mut self, bytes: usize) {
        let pause = self.pace.after(bytes, self.began.elapsed());
        if pause >= PAUSE_LEAST {
            tokio::time::sleep(pause).await;
        }
    }

    async fn blob(&mut self, held: &HeldBlob) -> Result<(), RegistryError> {
        let Some(fault) = self.fault_of(held).await? else { return Ok(()) };
        let users = self.parts.store.blob_users(&held.digest).await?;
        self.found(Content::Blob, &held.digest, fault, users);
        Ok(())
    }

    /// Reads a blob to its end.
    async fn fault_of(&mut self, held: &HeldBlob) -> Result<Option<Fault>, RegistryError> {
        let (blobs, digest) = (&self.parts.blobs, &held.digest);
        let gone = async || Ok(blobs.is_gone(digest).await?.then_some(Fault::Missing));
        let Some(place) = blobs.place(digest).await? else { return gone().await };
        let mut survey = match blobs.survey(digest, &place).await {
            Ok(Some(survey)) => survey,
            Ok(None) => return gone().await,
            Err(error) => return Ok(Some(unreadable(digest, &error))),
        };
        let mut length = 0;
        let read = loop {
            let (back, step) = blocking(move || {
                let step = survey.step();
                Ok((survey, step))
            })
            .await
            .map_err(RegistryError::from_io)?;
            survey = back;
            match step {
                Ok(0) => break Ok(()),
                Ok(count) => {
                    let bytes = u64::try_from(count).expect("a length fits in 64 bits");
                    length += bytes;
                    self.tally.bytes += bytes;
                    self.progress();
                    self.pause(count).await;
                }
                Err(error) => break Err(error),
            }
        };
        if read.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return gone().await;
        }
        let (found, content) = survey.finish();
        let read = match lost(read.map(|()| found)) {
            Ok(read) => read,
            Err(error) => return Ok(Some(unreadable(digest, &error))),
        };
        match self.parts.blobs.settle(digest, Lying { content, place }, read).await? {
            // Its content is right, and the length that the store has is not: requests take it for cut off.
            Verdict::Whole(_) => Ok((length != held.size).then_some(Fault::Damaged)),
            Verdict::Damaged => Ok(Some(Fault::Damaged)),
            // Deleted, or pushed again and verified by that.
            Verdict::Gone => Ok(None),
        }
    }

    async fn manifests(&mut self) -> Result<(), RegistryError> {
        let mut page = Page { after: None, most: Some(PAGE) };
        loop {
            let repositories = self.parts.store.repository_list(None, page.clone()).await?;
            let Some(last) = repositories.last() else { return Ok(()) };
            page.after = Some(last.name.to_string());
            for repository in repositories {
                self.manifests_of(&repository.name).await?;
            }
        }
    }

    async fn manifests_of(&mut self, repository: &RepositoryName) -> Result<(), RegistryError> {
        let mut after = None;
        loop {
            let page = self.parts.store.manifest_list(repository, after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for digest in page {
                let reference = ManifestRef::Digest(digest.clone());
                match checked::read(self.parts.store.as_ref(), repository, &reference).await {
                    Ok(Stored::Whole(manifest)) => self.pause(manifest.bytes.len()).await,
                    Ok(Stored::Damaged(_)) => {
                        let user = self.parts.store.manifest_users(repository, &digest).await?;
                        self.found(Content::Manifest, &digest, Fault::Damaged, user.into_iter().collect());
                    }
                    Ok(Stored::Missing) => continue,
                    Err(error) => self.unreadable_manifest(repository, &digest, &error).await,
                }
                self.tally.manifests += 1;
            }
            self.progress();
        }
    }

    /// The store can't read one manifest: that is told, and the others are read. When it can't read any more at all, the
    /// next list says so.
    async fn unreadable_manifest(&mut self, repository: &RepositoryName, digest: &Digest, error: &RegistryStoreError) {
        tracing::error!(
            repository.name = %repository, manifest.digest = %digest, error = error as &dyn std::error::Error,
            "manifest {digest} of repository {repository} can't be read"
        );
        let users = match self.parts.store.manifest_users(repository, digest).await {
            Ok(user) => user.into_iter().collect(),
            // Who needs it can't be read either, but where it is is known.
            Err(_) => {
                vec![ContentUser { repository: repository.clone(), manifests: vec![digest.clone()], tags: Vec::new() }]
            }
        };
        self.found(Content::Manifest, digest, Fault::Unreadable, users);
    }
}

/// Bytes that can't be read, though no data is known to be lost.
fn unreadable(digest: &Digest, error: &std::io::Error) -> Fault {
    tracing::error!(blob.digest = %digest, error = %error, "blob {digest} can't be read: {error}");
    Fault::Unreadable
}
