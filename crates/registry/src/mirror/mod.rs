//! Prefixes of repositories that mirror other registries: what is pulled there is fetched from the upstream, once, and kept.
//!
//! | what | where |
//! |---|---|
//! | what came | where pushed content lies: manifests and tags in the store, blobs in `BlobBytes` |
//! | until when a tag is believed | in memory ([`manifests`]): after a restart each tag is asked for once more |
//! | a blob on its way in | an upload, and a spool file without a name that clients read ([`fill`]) |
//!
//! So all that is said of content here (checksums, damage, collection, quotas, rights) is true of mirrored content. What an
//! upstream sends is compared with its digest before anybody has all of it. A manifest is kept with those blobs and
//! children of it that are here, and put again when another one arrives: what a kept manifest names is not collected.
//!
//! Nothing that is here goes because of what an upstream says. What fails for a while (no connection, 5xx, 429, silence, lies) is
//! answered from what is here, if it is here, with a `Warning`.
//!
//! Several servers each fill for themselves; what they keep is the same.

mod auth;
pub(crate) mod fill;
mod flights;
mod listing;
pub(crate) mod manifests;
pub(crate) mod refusal;
mod settings;
mod source;
pub(crate) mod stream;
mod upstream;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::RepositoryPrefix;
use layer0_domain::model::registry::{Repository, Visibility};
use layer0_domain::port::BoxError;
use layer0_domain::port::registry_store::RegistryStoreError;
use tokio::sync::{Semaphore, SemaphorePermit};

use self::fill::{Fills, TURN_WAITS};
use self::flights::Flights;
use self::manifests::Manifests;
use self::refusal::Refusal;
pub use self::settings::{MirrorLogin, MirrorSettings, Patience, UpstreamUrl, UpstreamUrlError};
use self::upstream::Upstream;
use crate::outgoing::Outgoing;
use crate::registry::Registry;

/// Why mirrors can't be had as they are configured.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// Two mirrors would answer for the same names.
    #[error("the prefixes `{0}` and `{1}` of two mirrors overlap")]
    Overlap(String, String),
    /// It would ask itself.
    #[error("the mirror `{prefix}` has this very server as its upstream ({upstream})")]
    Ourselves {
        /// Of the mirror.
        prefix: String,
        /// Its upstream.
        upstream: UpstreamUrl,
    },
    /// The directory for what is on its way can't be made, or be emptied.
    #[error("the directory for what is on its way from upstreams can't be used")]
    Spool(#[source] io::Error),
    /// No TLS.
    #[error("no connection to an upstream can be made")]
    Wire(#[source] BoxError),
}

/// So many manifests and sizes may be asked of one upstream at once.
const LOOKS_MAX: usize = 64;

/// One mirror.
pub(crate) struct Mirror {
    pub(crate) settings: MirrorSettings,
    pub(crate) upstream: Upstream,
    /// Whose blobs come.
    turns: Semaphore,
    /// Who asks for anything else.
    looks: Semaphore,
}

impl Mirror {
    /// A turn to ask for a manifest or a size. Such questions go on when their client has gone, and each has a connection.
    async fn look(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        let waits = self.upstream.patience().answer * TURN_WAITS;
        let turn = tokio::time::timeout(waits, self.looks.acquire()).await;
        turn.map_err(|_| Refusal::crowded(self.upstream.host(), waits))?.map_err(|_| Refusal::stopping())
    }

    /// What the upstream calls a repository.
    fn theirs(&self, name: &RepositoryName) -> Result<String, Refusal> {
        let none = || Refusal::nonsense(self.upstream.host(), format!("has no name for {name}"));
        self.settings.theirs(name).ok_or_else(none)
    }
}

/// All mirrors of an instance.
pub(crate) struct Mirrors {
    all: Vec<Arc<Mirror>>,
    /// What this server calls itself to upstreams.
    via: HeaderValue,
    /// Where spool files are made.
    spool: PathBuf,
    pub(crate) manifests: Manifests,
    pub(crate) fills: Fills,
    /// Sizes of blobs that are being asked for.
    sizes: Arc<Flights<(RepositoryName, Digest), u64>>,
}

impl Mirrors {
    /// # Errors
    /// [`MirrorError`]
    pub(crate) fn open(registry: &Registry, settings: Vec<MirrorSettings>) -> Result<Self, MirrorError> {
        let parts = registry.parts();
        let mut all: Vec<Arc<Mirror>> = Vec::with_capacity(settings.len());
        let needs_tls = settings.iter().any(|one| one.upstream.scheme == Scheme::HTTPS);
        let http = Outgoing::new(needs_tls).map_err(MirrorError::Wire)?;
        let id: String = parts.clock.random().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let via = HeaderValue::from_str(&format!("1.1 layer0-{id}")).expect("hex digits are legal in a header");
        let upstreams = settings.len();
        for one in settings {
            let prefix = one.prefix.to_string();
            let overlap = |other: &str| {
                let below = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
                below(other, &prefix) || below(&prefix, other)
            };
            if let Some(other) = all.iter().map(|it| it.settings.prefix.as_str()).find(|other| overlap(other)) {
                return Err(MirrorError::Overlap(other.to_owned(), prefix));
            }
            if parts.config.registry_hosts.iter().any(|host| one.upstream.is_at(host)) {
                return Err(MirrorError::Ourselves { prefix, upstream: one.upstream });
            }
            let (url, login) = (one.upstream.clone(), one.login.clone());
            let clock = Arc::clone(&parts.clock);
            let upstream = Upstream::new(http.clone(), url, login, one.patience, via.clone(), clock);
            all.push(Arc::new(Mirror {
                settings: one,
                upstream,
                turns: fill::turns(upstreams),
                looks: Semaphore::new(LOOKS_MAX),
            }));
        }
        let spool = parts.config.data_dir.join("registry").join("spool");
        empty_directory(&spool).map_err(MirrorError::Spool)?;
        let (manifests, fills, sizes) = (Manifests::default(), Fills::default(), Arc::default());
        Ok(Self { all, via, spool, manifests, fills, sizes })
    }

    /// All of them, as they are written down.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = (&RepositoryPrefix, &UpstreamUrl)> {
        self.all.iter().map(|mirror| (&mirror.settings.prefix, &mirror.settings.upstream))
    }

    /// The mirror that a repository belongs to.
    pub(crate) fn of(&self, name: &RepositoryName) -> Option<&Arc<Mirror>> {
        self.all.iter().find(|mirror| mirror.settings.prefix.covers(name))
    }

    /// Whether a request with these headers came from this server itself, over whatever detours.
    pub(crate) fn is_own(&self, headers: &HeaderMap) -> bool {
        // A proxy on the way may write its own into the same line (RFC 9110, section 7.6.3).
        let parts = |line: &HeaderValue| {
            line.as_bytes().split(|byte| *byte == b',').any(|via| self.via.as_bytes() == via.trim_ascii())
        };
        headers.get_all(http::header::VIA).iter().any(parts)
    }

    /// How large the upstream says that a blob is.
    pub(crate) async fn size(
        &self,
        mirror: &Arc<Mirror>,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<u64, Refusal> {
        if let Some(size) = self.fills.size(name, digest) {
            return Ok(size);
        }
        let (mirror, name, digest) = (Arc::clone(mirror), name.clone(), digest.clone());
        let key = (name.clone(), digest.clone());
        self.sizes.join(key, || async move { upstream_size(&mirror, &name, &digest).await }).await
    }
}

/// Asks an upstream how large a blob is.
async fn upstream_size(mirror: &Mirror, name: &RepositoryName, digest: &Digest) -> Result<u64, Refusal> {
    let (theirs, path, _turn) = (mirror.theirs(name)?, format!("blobs/{digest}"), mirror.look().await?);
    let said = match mirror.upstream.ask(Method::HEAD, &theirs, &path, HeaderMap::new()).await {
        Ok(answer) => length(&answer),
        Err(refusal) if refusal.is_of_head() => None,
        Err(refusal) => return Err(refusal),
    };
    match said {
        Some(size) => Ok(size),
        None => size_of_part(mirror, &theirs, &path).await,
    }
}

/// How large a blob is, as the answer to a question for its first byte says it.
async fn size_of_part(mirror: &Mirror, theirs: &str, path: &str) -> Result<u64, Refusal> {
    let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-0"))]);
    let answer = mirror.upstream.ask(Method::GET, theirs, path, headers).await?;
    let size = if answer.status() == StatusCode::PARTIAL_CONTENT { whole(&answer) } else { length(&answer) };
    size.ok_or_else(|| Refusal::nonsense(mirror.upstream.host(), "does not say how large a blob is"))
}

/// The length of what a part of was answered (RFC 9110, section 14.4).
fn whole<B>(answer: &http::Response<B>) -> Option<u64> {
    answer.headers().get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}

/// The length that an answer announces.
fn length<B>(answer: &http::Response<B>) -> Option<u64> {
    answer.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Registry {
    /// Makes the repository that something of an upstream is to be kept in, and its owner. Nobody's but the owner's, as all others.
    async fn mirrored(&self, name: &RepositoryName) -> Result<(), RegistryStoreError> {
        let parts = self.parts();
        if parts.store.repository_get(name).await?.is_some() {
            return Ok(());
        }
        let made = Repository { name: name.clone(), created: parts.clock.now(), visibility: Visibility::Private };
        match parts.store.repository_create(&made).await {
            Ok(()) => tracing::info!(repository.name = %name, "made repository {name} for what its upstream has"),
            Err(RegistryStoreError::RepositoryExists(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Makes a directory, and takes away what a server left in it that was killed.
fn empty_directory(path: &std::path::Path) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    for entry in std::fs::read_dir(path)? {
        std::fs::remove_file(entry?.path())?;
    }
    Ok(())
}
