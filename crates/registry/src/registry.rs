//! The registry itself: its parts and how it is built.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::{BackingName, RepositoryPrefix};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::{BlobBytes, Naming};
use layer0_domain::port::clock::Clock;
use layer0_domain::port::registry_store::{RegistryStore, RegistryStoreError};

use crate::answers::Answers;
use crate::blobs::{Blobs, Removal};
use crate::collection::Collection;
use crate::config::RegistryConfig;
use crate::disk::{Disk, OsDisk};
#[cfg(feature = "ecr")]
use crate::ecr::{Backings, Ecr};
use crate::error::RegistryError;
use crate::fs::FileBytes;
use crate::gate::{Gate, PullCredentialMinter};
use crate::homes::Homes;
use crate::mirror::{MirrorError, MirrorSettings, Mirrors, UpstreamUrl};
use crate::routes;
use crate::uploads::{Unfinished, Uploads};

/// The registry of an instance. Clones are the same registry. One process at a time may have one open on a data
/// directory.
#[derive(Clone)]
pub struct Registry {
    parts: Arc<Parts>,
}

/// What the registry is made of.
pub(crate) struct Parts {
    pub(crate) config: RegistryConfig,
    pub(crate) store: Arc<dyn RegistryStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) minter: Arc<dyn PullCredentialMinter>,
    /// Where bytes lie.
    pub(crate) bytes: Arc<dyn BlobBytes>,
    pub(crate) blobs: Blobs,
    pub(crate) uploads: Uploads,
    /// What was answered to requests of which there are many.
    pub(crate) answers: Answers,
    /// Where repositories may lie but here.
    #[cfg(feature = "ecr")]
    backings: Option<Backings>,
    /// Which repositories were moved between those.
    homes: Option<Arc<Homes>>,
    /// Which repositories mirror other registries.
    mirrors: Option<Mirrors>,
    /// When files without a link were last looked for.
    strays_swept: tokio::sync::Mutex<Option<Timestamp>>,
}

/// How long after one search for files without a link the next begins: a day.
const STRAYS_EVERY_MS: u64 = 24 * 60 * 60 * 1000;

/// How old a stray must be where only that tells it from an upload on its way in, which has to be done in six days
/// (`s3::UPLOAD_LIFE`): a week.
const STRAY_AGE_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// What a sweep has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Uploads that nobody finished.
    pub uploads: usize,
    /// Bytes of blobs that no repository holds: how many files or objects.
    pub strays: u64,
}

/// What the registry needs from outside.
#[derive(Clone)]
pub struct RegistryPorts {
    /// Where repositories, manifests, tags and links are kept.
    pub store: Arc<dyn RegistryStore>,
    /// Time and the chance in upload names.
    pub clock: Arc<dyn Clock>,
    /// Who is let in.
    pub gate: Arc<dyn Gate>,
    /// Makes the credentials that `ImageSource::credential` hands out.
    pub minter: Arc<dyn PullCredentialMinter>,
}

impl Registry {
    /// Opens the registry's directory, making what is missing. Blocks for some file operations; meant for the start of
    /// the server.
    ///
    /// # Errors
    /// The directory can't be made or written to.
    pub fn open(config: RegistryConfig, ports: RegistryPorts) -> io::Result<Self> {
        Self::open_on(config, ports, Arc::new(OsDisk))
    }

    /// Opens the registry whose repositories lie here or in registries of ECR.
    ///
    /// # Errors
    /// The directory can't be made or written to.
    #[cfg(feature = "ecr")]
    pub fn open_over(config: RegistryConfig, ports: RegistryPorts, backings: Backings) -> io::Result<Self> {
        Ok(Self::open(config, ports)?.with_backings(backings))
    }

    /// The same, whose repositories may lie in registries of ECR too. Before anybody else has it.
    ///
    /// # Panics
    /// When somebody has it already.
    #[cfg(feature = "ecr")]
    #[must_use]
    pub fn with_backings(mut self, backings: Backings) -> Self {
        let parts = Arc::get_mut(&mut self.parts).expect("nobody else has it yet");
        parts.backings = Some(backings);
        self
    }

    /// Opens the registry whose repositories go to one registry of ECR. The directory is made all the same.
    ///
    /// # Errors
    /// The directory can't be made or written to.
    #[cfg(feature = "ecr")]
    pub fn open_in(config: RegistryConfig, ports: RegistryPorts, ecr: Ecr) -> io::Result<Self> {
        let backings = Backings::only(ecr, Arc::clone(&ports.store));
        Self::open_over(config, ports, backings)
    }

    /// The same on another disk than the machine's; the data directory must be there. For tests.
    ///
    /// # Errors
    /// The directory can't be made or written to.
    pub fn open_on(config: RegistryConfig, ports: RegistryPorts, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let bytes = FileBytes::open(&config.data_dir, disk)?;
        Ok(Self::open_with(config, ports, Arc::new(bytes)))
    }

    /// The registry whose bytes lie there.
    #[must_use]
    pub fn open_with(config: RegistryConfig, ports: RegistryPorts, bytes: Arc<dyn BlobBytes>) -> Self {
        let RegistryPorts { store, clock, gate, minter } = ports;
        let blobs = Blobs::new(Arc::clone(&bytes), Arc::clone(&store), Arc::clone(&clock));
        let uploads = Uploads::new(Arc::clone(&bytes));
        let strays_swept = tokio::sync::Mutex::default();
        let parts = Parts {
            config,
            store,
            clock,
            gate,
            minter,
            bytes,
            blobs,
            uploads,
            answers: Answers::default(),
            #[cfg(feature = "ecr")]
            backings: None,
            homes: None,
            mirrors: None,
            strays_swept,
        };
        Self { parts: Arc::new(parts) }
    }

    /// The same, whose repositories may be moved from one backing to another. Before anybody else has it.
    ///
    /// # Panics
    /// When somebody has it already.
    #[must_use]
    pub fn with_homes(mut self, homes: Arc<Homes>) -> Self {
        let parts = Arc::get_mut(&mut self.parts).expect("nobody else has it yet");
        parts.homes = Some(homes);
        self
    }

    /// Which repositories were moved; `None` where none can be.
    pub fn homes(&self) -> Option<&Arc<Homes>> {
        self.parts.homes.as_ref()
    }

    /// Whether a request with this path is the registry's.
    #[must_use]
    pub fn serves(path: &str) -> bool {
        path.strip_prefix("/v2").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Answers a request that [`Registry::serves`] is for. The peer's address is taken from `ConnectInfo<SocketAddr>` when the
    /// server provides it. `/auth/token`, which the Bearer challenge points to, is the server's.
    pub async fn answer(&self, request: Request) -> Response {
        routes::serve(self, request).await
    }

    /// The same, with prefixes that mirror other registries. Before anybody else has it. Blocks for some file operations.
    ///
    /// # Errors
    /// [`MirrorError`]: they contradict, or can't be had on this machine.
    ///
    /// # Panics
    /// When somebody has it already.
    pub fn with_mirrors(mut self, settings: Vec<MirrorSettings>) -> Result<Self, MirrorError> {
        if settings.is_empty() {
            return Ok(self);
        }
        let mirrors = Mirrors::open(&self, settings)?;
        let parts = Arc::get_mut(&mut self.parts).expect("nobody else has it yet");
        parts.mirrors = Some(mirrors);
        Ok(self)
    }

    /// Which repositories mirror other registries; `None` where none do.
    pub(crate) fn mirrors(&self) -> Option<&Mirrors> {
        self.parts.mirrors.as_ref()
    }

    /// The prefixes that mirror other registries, each with its upstream.
    pub fn upstreams(&self) -> impl Iterator<Item = (&RepositoryPrefix, &UpstreamUrl)> {
        self.mirrors().into_iter().flat_map(Mirrors::upstreams)
    }

    /// The upstream that a repository mirrors; `None` for one that is pushed to.
    #[must_use]
    pub fn upstream_of(&self, name: &RepositoryName) -> Option<&UpstreamUrl> {
        Some(&self.mirrors()?.of(name)?.settings.upstream)
    }

    /// The registry alone, as a router.
    pub fn router(&self) -> Router {
        let registry = self.clone();
        let answer = move |request: Request| {
            let registry = registry.clone();
            async move { registry.answer(request).await }
        };
        Router::new()
            .route("/v2", any(answer.clone()))
            .route("/v2/", any(answer.clone()))
            .route("/v2/{*path}", any(answer))
    }

    /// Removes uploads that nobody touched for the configured time, and files of blobs that no repository holds and that
    /// are as old. To be called at the start and now and then (once in ten minutes is plenty): uploads are looked at every
    /// time, all files of blobs at the first and then once a day, since it takes a crash to make such a file.
    ///
    /// # Errors
    /// The uploads could not be looked at, and strays have been looked for all the same; or not all places could be listed. The next
    /// call tries again. One upload or one stray that fails is passed over, with a line in the log.
    pub async fn sweep(&self) -> Result<Swept, RegistryStoreError> {
        let parts = self.parts();
        let (now, age) = (parts.clock.now(), parts.config.upload_expiry);
        #[cfg(feature = "ecr")]
        for (_, ecr) in self.backings().into_iter().flat_map(Backings::iter) {
            ecr.uploads().sweep(age);
        }
        let uploads = parts.uploads.sweep(age, now).await.map_err(RegistryError::from_io);
        if let Ok(uploads @ 1..) = uploads {
            tracing::info!(upload.count = uploads, "removed {uploads} uploads that nobody finished");
        }
        let strays = self.strays_sweep(now, age).await?;
        Ok(Swept { uploads: uploads.map_err(RegistryError::outside)?, strays })
    }

    /// What was begun to be pushed and is not finished. In a run that takes, what nobody goes on with is counted, and ended.
    /// Uploads to ECR are ECR's.
    ///
    /// # Errors
    /// They could not be looked at.
    pub async fn unfinished(&self, collection: Collection) -> Result<Unfinished, RegistryStoreError> {
        let parts = self.parts();
        let (now, age) = (parts.clock.now(), parts.config.upload_expiry);
        let outside = |error| RegistryError::outside(RegistryError::from_io(error));
        let seen = parts.uploads.unfinished(age, now).await.map_err(outside)?;
        if collection == Collection::Take {
            parts.uploads.sweep(age, now).await.map_err(outside)?;
        }
        Ok(seen)
    }

    /// For how long an upload is kept that nobody goes on with.
    #[must_use]
    pub fn upload_expiry(&self) -> std::time::Duration {
        self.parts.config.upload_expiry
    }

    /// Looks for bytes that no repository holds, if that was not done for a day, and answers how many went.
    async fn strays_sweep(&self, now: Timestamp, age: std::time::Duration) -> Result<u64, RegistryStoreError> {
        let parts = self.parts();
        // Two sweeps at once would do nothing wrong, only everything twice.
        let mut last = parts.strays_swept.lock().await;
        if last.is_some_and(|last| now.is_within(STRAYS_EVERY_MS, last)) {
            return Ok(0);
        }
        let age_ms = match parts.bytes.naming() {
            Naming::Digest => i64::try_from(age.as_millis()).unwrap_or(i64::MAX),
            Naming::Store => STRAY_AGE_MS,
        };
        let strays = parts.blobs.strays(Removal::Aged { age_ms, now }).await.map_err(RegistryError::outside)?;
        if strays.files > 0 {
            tracing::info!(
                blob.count = strays.files,
                blob.bytes = strays.bytes,
                "removed the bytes of {} blobs that no repository holds",
                strays.files
            );
        }
        if strays.failed > 0 {
            // What can't be removed now may be for ever so: all places are gone through once a day all the same.
            tracing::warn!(
                blob.count = strays.failed,
                "{} places that no repository holds could not be dealt with; they are tried again in a day",
                strays.failed
            );
        }
        *last = Some(now);
        Ok(strays.files)
    }

    /// How long a blob is kept that no manifest names.
    #[must_use]
    pub fn blob_grace(&self) -> std::time::Duration {
        self.parts.config.blob_grace
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Where repositories may lie but here; `None` when nowhere.
    #[cfg(feature = "ecr")]
    pub fn backings(&self) -> Option<&Backings> {
        self.parts.backings.as_ref()
    }

    /// Whether repositories may lie elsewhere, where only all of them can be listed.
    pub(crate) fn lists_elsewhere(&self) -> bool {
        #[cfg(feature = "ecr")]
        return self.backings().is_some();
        #[cfg(not(feature = "ecr"))]
        false
    }

    /// All backings, the embedded registry first.
    #[must_use]
    pub fn backing_names(&self) -> Vec<BackingName> {
        #[cfg_attr(not(feature = "ecr"), expect(unused_mut, reason = "there is only one"))]
        let mut all = vec![BackingName::local()];
        #[cfg(feature = "ecr")]
        if let Some(backings) = &self.parts.backings {
            all.extend(backings.iter().map(|(name, _)| name.clone()));
        }
        all
    }

    /// The backing that a repository lies in, or would be made in.
    ///
    /// # Errors
    /// `Failed`.
    pub async fn backing_of(&self, repository: &RepositoryName) -> Result<BackingName, RegistryStoreError> {
        #[cfg(feature = "ecr")]
        if let Some(backings) = &self.parts.backings {
            return backings.backing_of(repository).await;
        }
        let _ = repository;
        Ok(BackingName::local())
    }

    /// The registry in ECR that a repository lies in, or would be made in; `None` for here.
    #[cfg(feature = "ecr")]
    pub(crate) async fn ecr_of(&self, repository: &RepositoryName) -> Result<Option<&Ecr>, RegistryStoreError> {
        match &self.parts.backings {
            Some(backings) => backings.of(repository).await,
            None => Ok(None),
        }
    }
}
