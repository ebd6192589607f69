//! Manifests of a mirror: when the upstream is asked, and how what it says is kept.
//!
//! ```text
//!            asked for, the upstream has it            the upstream says it is the same, or another one
//!   (none) ────────────────────────────────▶ believed ◀──────────────────────────────────────┐
//!                                               │ its time is over                           │
//!                                               ▼                                            │
//!                                             due ───────── asked for ───────────────────────┤
//!                                                            the upstream fails: stale, believed for half a minute
//! ```
//! A manifest by its digest never changes, and is asked for once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{Manifest, ManifestRef};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Along, RegistryStoreError};

use super::flights::Flights;
use super::refusal::Refusal;
use super::{Mirror, Mirrors};
use crate::error::RegistryError;
use crate::manifest::checked::{self, Stored};
use crate::manifest::document::{ACCEPTED, Document, MANIFEST_MAX};
use crate::manifest::{Sighted, look};
use crate::registry::Registry;
use crate::routes::CONTENT_DIGEST;

/// How long an upstream that has failed is left alone about a tag.
const STALE_MS: u64 = 30_000;
/// So long what a manifest lacks is not looked at anew when it is pulled.
const LOOK_AGAIN_MS: u64 = 10 * 60_000;
/// Among so many manifests of a repository is looked for what names content that another server's manifest may lack.
const NAMING_MAX: u32 = 200;
/// At most so many tags, and so many incomplete manifests, are remembered.
const KNOWN_MAX: usize = 10_000;

/// What is known of a tag.
#[derive(Clone)]
struct Belief {
    from: Timestamp,
    for_ms: u64,
    /// Why it may be out of date.
    stale: Option<Arc<str>>,
}

impl Belief {
    fn holds(&self, now: Timestamp) -> bool {
        now.is_within(self.for_ms, self.from)
    }
}

type Tag = (RepositoryName, String);

/// What a manifest lacks, as it was seen then.
struct Lack {
    content: BTreeSet<Digest>,
    seen: Timestamp,
}

/// What all mirrors remember of manifests.
#[derive(Default)]
pub(crate) struct Manifests {
    tags: Mutex<HashMap<Tag, Belief>>,
    /// Of manifests that are kept without all that they name: what they lack.
    lacking: Mutex<HashMap<(RepositoryName, Digest), Lack>>,
    asked: Arc<Flights<Tag, Arc<Manifest>>>,
    /// One manifest is put at a time: of two that see different blobs the later one must have seen more.
    turn: tokio::sync::Mutex<()>,
}

/// A manifest for a client.
pub(crate) struct Served {
    pub(crate) manifest: Arc<Manifest>,
    /// Why it may be out of date.
    pub(crate) stale: Option<Arc<str>>,
}

impl Manifests {
    fn tags(&self) -> MutexGuard<'_, HashMap<Tag, Belief>> {
        // Whole at every moment, as the other one.
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lacking(&self) -> MutexGuard<'_, HashMap<(RepositoryName, Digest), Lack>> {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn belief(&self, name: &RepositoryName, tag: &str, now: Timestamp) -> Option<Belief> {
        self.tags().get(&(name.clone(), tag.to_owned())).filter(|it| it.holds(now)).cloned()
    }

    fn believe(&self, name: &RepositoryName, tag: &str, belief: Belief) {
        let mut tags = self.tags();
        if tags.len() >= KNOWN_MAX {
            let now = belief.from;
            tags.retain(|_, it| it.holds(now));
        }
        if tags.len() >= KNOWN_MAX {
            tags.clear();
        }
        tags.insert((name.clone(), tag.to_owned()), belief);
    }

    /// Notes what a manifest is kept without.
    fn note(&self, name: &RepositoryName, digest: &Digest, lacks: Vec<Digest>, seen: Timestamp) {
        let key = (name.clone(), digest.clone());
        let mut lacking = self.lacking();
        if lacks.is_empty() {
            lacking.remove(&key);
            return;
        }
        if lacking.len() >= KNOWN_MAX {
            // They are noted again when they are asked for.
            lacking.clear();
        }
        lacking.insert(key, Lack { content: lacks.into_iter().collect(), seen });
    }
}

impl Mirrors {
    /// A manifest of a mirrored repository: from here, or from the upstream.
    pub(crate) async fn manifest(
        &self,
        registry: &Registry,
        mirror: &Arc<Mirror>,
        name: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Served, RegistryError> {
        let parts = registry.parts();
        let stored = match checked::read(parts.store.as_ref(), name, reference).await? {
            Stored::Whole(manifest) => Some(Arc::new(manifest)),
            Stored::Damaged(_) | Stored::Missing => None,
        };
        if let Some(manifest) = &stored {
            let stale = match reference {
                ManifestRef::Digest(_) => Some(None),
                ManifestRef::Tag(tag) => self.manifests.belief(name, tag, parts.clock.now()).map(|it| it.stale),
            };
            if let Some(stale) = stale {
                self.complete(registry, name, manifest).await;
                return Ok(Served { manifest: Arc::clone(manifest), stale });
            }
        }
        let key = match reference {
            ManifestRef::Tag(tag) => tag.clone(),
            ManifestRef::Digest(digest) => digest.to_string(),
        };
        let work = || {
            let (registry, mirror, name) = (registry.clone(), Arc::clone(mirror), name.clone());
            let (reference, stored) = (reference.clone(), stored.clone());
            async move { asked(&registry, &mirror, &name, &reference, stored).await }
        };
        match (self.manifests.asked.join((name.clone(), key), work).await, stored, reference) {
            (Ok(manifest), ..) => Ok(Served { manifest, stale: None }),
            (Err(refusal), Some(manifest), ManifestRef::Tag(tag)) if refusal.is_passing() => {
                tracing::warn!(
                    repository.name = %name, manifest.tag = tag, error = %refusal,
                    "{name}:{tag} is served as it was: {refusal}"
                );
                let stale: Arc<str> = refusal.to_string().into();
                let belief = Belief { from: parts.clock.now(), for_ms: STALE_MS, stale: Some(Arc::clone(&stale)) };
                self.manifests.believe(name, tag, belief);
                Ok(Served { manifest, stale: Some(stale) })
            }
            (Err(refusal), ..) => {
                tracing::info!(repository.name = %name, error = %refusal, "{name} was not got: {refusal}");
                Err(refusal.into_error("MANIFEST_UNKNOWN"))
            }
        }
    }

    /// Notes what a manifest that is here was kept without, when nobody in this process knows it yet.
    async fn complete(&self, registry: &Registry, name: &RepositoryName, manifest: &Manifest) {
        let (now, key) = (registry.parts().clock.now(), (name.clone(), manifest.digest.clone()));
        // Another server may have got something of it since.
        if self.manifests.lacking().get(&key).is_some_and(|lack| now.is_within(LOOK_AGAIN_MS, lack.seen)) {
            return;
        }
        let Ok(document) = Document::parse(&manifest.bytes, Some(&manifest.media_type)) else { return };
        let needed = document.blobs.iter().filter(|it| !it.is_foreign()).count() + document.children.len();
        if manifest.blobs.len() + manifest.children.len() < needed {
            let _turn = self.manifests.turn.lock().await;
            self.mend(registry, name, &manifest.digest).await;
        }
    }

    /// Puts those manifests again that were kept without this content, which is here now. Those that another server may have kept are
    /// looked for by themselves: that takes hundreds of reads, and nobody's pull waits for it.
    pub(crate) async fn arrived(&self, registry: &Registry, name: &RepositoryName, content: &Digest) {
        if self.mend_naming(registry, name, content).await || !registry.parts().uploads.are_shared() {
            return;
        }
        let (registry, name, content) = (registry.clone(), name.clone(), content.clone());
        tokio::spawn(async move {
            let Some(mirrors) = registry.mirrors() else { return };
            let found = match naming(&registry, &name, &content).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(
                        repository.name = %name, error = %error,
                        "what names {content} in {name} could not be looked for: {error}"
                    );
                    return;
                }
            };
            for digest in found {
                let _turn = mirrors.manifests.turn.lock().await;
                mirrors.mend(&registry, &name, &digest).await;
            }
        });
    }

    /// Puts again what this process knows to lack this content; says whether there was any.
    async fn mend_naming(&self, registry: &Registry, name: &RepositoryName, content: &Digest) -> bool {
        // Whoever looks what is here, and notes what is not, has it from the one to the other.
        let _turn = self.manifests.turn.lock().await;
        let waiting: Vec<Digest> = {
            let lacking = self.manifests.lacking();
            let of_it = lacking.iter().filter(|((of, _), lack)| of == name && lack.content.contains(content));
            of_it.map(|((_, digest), _)| digest.clone()).collect()
        };
        for digest in &waiting {
            self.mend(registry, name, digest).await;
        }
        !waiting.is_empty()
    }

    /// Puts a manifest that is here again, with all that is here of what it names. The caller has the turn. A failure costs no more
    /// than that what it names may be collected, and fetched again.
    async fn mend(&self, registry: &Registry, name: &RepositoryName, digest: &Digest) {
        let parts = registry.parts();
        let mended = async {
            let reference = ManifestRef::Digest(digest.clone());
            let Stored::Whole(kept) = checked::read(parts.store.as_ref(), name, &reference).await? else {
                self.manifests.note(name, digest, Vec::new(), parts.clock.now());
                return Ok(());
            };
            let document = Document::parse(&kept.bytes, Some(&kept.media_type))?;
            let seen = look(parts.store.as_ref(), &parts.blobs, name, document, usize::MAX).await?;
            let Sighted { found, missing } = seen;
            let Manifest { bytes, digest: whose, pushed, blobs, children, .. } = kept;
            let manifest = found.record(bytes, whose, pushed);
            // As many are not the same ones: what was named may have gone meanwhile.
            if (&manifest.blobs, &manifest.children) != (&blobs, &children) {
                parts.store.manifest_put(name, &manifest, &[], &Along::NOTHING).await?;
            }
            self.manifests.note(name, digest, missing, parts.clock.now());
            Ok::<_, RegistryError>(())
        };
        if let Err(error) = mended.await {
            tracing::warn!(
                repository.name = %name, manifest.digest = %digest, error = %error,
                "what {digest} names in {name} could not be noted: {error}"
            );
        }
    }
}

/// Asks the upstream about a reference, and keeps what it says.
async fn asked(
    registry: &Registry,
    mirror: &Mirror,
    name: &RepositoryName,
    reference: &ManifestRef,
    stored: Option<Arc<Manifest>>,
) -> Result<Arc<Manifest>, Refusal> {
    let (parts, upstream) = (registry.parts(), &mirror.upstream);
    let (theirs, host) = (mirror.theirs(name)?, upstream.host());
    let now = parts.clock.now();
    let for_ms = u64::try_from(mirror.settings.tag_ttl.as_millis()).unwrap_or(u64::MAX);
    let belief = || Belief { from: now, for_ms, stale: None };
    let Some(mirrors) = registry.mirrors() else { return Err(Refusal::stopping()) };
    let (path, tags) = match reference {
        ManifestRef::Tag(tag) => (format!("manifests/{tag}"), vec![tag.clone()]),
        ManifestRef::Digest(digest) => (format!("manifests/{digest}"), vec![]),
    };
    let turn = mirror.look().await?;
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
    if let (Some(stored), ManifestRef::Tag(tag)) = (&stored, reference) {
        // A look costs nothing where pulls are counted.
        let seen = match upstream.ask(Method::HEAD, &theirs, &path, headers.clone()).await {
            Ok(answer) => said_digest(answer.headers()),
            Err(refusal) if refusal.is_of_head() => None,
            Err(refusal) => return Err(refusal),
        };
        if seen.as_ref() == Some(&stored.digest) {
            mirrors.manifests.believe(name, tag, belief());
            // A process that has just begun knows nothing of what it lacks.
            mirrors.complete(registry, name, stored).await;
            return Ok(Arc::clone(stored));
        }
    }
    let answer = upstream.ask(Method::GET, &theirs, &path, headers).await?;
    let (head, body) = answer.into_parts();
    let bytes = upstream.collect(body, MANIFEST_MAX).await?;
    drop(turn);
    let wanted = match reference {
        ManifestRef::Digest(digest) => Some(digest.clone()),
        ManifestRef::Tag(_) => said_digest(&head.headers),
    };
    let found = wanted.as_ref().map_or(Algorithm::Sha256, Digest::algorithm).digest_of(&bytes);
    if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
        return Err(Refusal::lies(host, &wanted, &found));
    }
    let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let document = Document::parse(&bytes, media_type.as_deref());
    let document = document.map_err(|why| Refusal::nonsense(host, format!("sent what is no manifest here: {why}")))?;
    let (manifest, kept) = keep(registry, mirrors, name, document, bytes, found, &tags, stored).await?;
    // What is here under the tag otherwise is another manifest: nobody believes that it is the upstream's.
    if let (ManifestRef::Tag(tag), true) = (reference, kept) {
        mirrors.manifests.believe(name, tag, belief());
    }
    mirrors.arrived(registry, name, &manifest.digest).await;
    Ok(manifest)
}

/// Keeps a manifest with what is here of what it names. One that can't be kept (the owner's quota, a full disk) is served all the
/// same. When the owner's rules say that the tag does not move, it does not: what it points to is answered. Says with it whether it is
/// what the tags point to now.
#[expect(clippy::too_many_arguments, reason = "each is one thing that the manifest is made of")]
async fn keep(
    registry: &Registry,
    mirrors: &Mirrors,
    name: &RepositoryName,
    document: Document,
    bytes: Bytes,
    digest: Digest,
    tags: &[String],
    stored: Option<Arc<Manifest>>,
) -> Result<(Arc<Manifest>, bool), Refusal> {
    let parts = registry.parts();
    let _turn = mirrors.manifests.turn.lock().await;
    match registry.mirrored(name).await {
        // What follows meets the same.
        Ok(()) | Err(RegistryStoreError::Full) => {}
        Err(error) => return Err(RegistryError::from(error).into()),
    }
    let seen = look(parts.store.as_ref(), &parts.blobs, name, document, usize::MAX).await?;
    let Sighted { found, missing } = seen;
    let manifest = Arc::new(found.record(bytes.into(), digest, parts.clock.now()));
    match parts.store.manifest_put(name, &manifest, tags, &Along::NOTHING).await {
        Ok(()) => mirrors.manifests.note(name, &manifest.digest, missing, parts.clock.now()),
        Err(error @ RegistryStoreError::TagImmutable { .. }) if stored.is_some() => {
            tracing::warn!(
                repository.name = %name, error = %error,
                "the upstream has moved a tag of {name}, which stays: {error}"
            );
            return Ok((stored.expect("there is one"), true));
        }
        Err(error) => {
            tracing::warn!(
                repository.name = %name, manifest.digest = %manifest.digest, error = %error,
                "manifest {} of {name} is served and not kept: {error}", manifest.digest
            );
            return Ok((manifest, false));
        }
    }
    Ok((manifest, true))
}

/// The manifests of a repository, among the first ones, that name this content and were kept without it.
async fn naming(registry: &Registry, name: &RepositoryName, content: &Digest) -> Result<Vec<Digest>, RegistryError> {
    let store = &registry.parts().store;
    let mut naming = Vec::new();
    for digest in store.manifest_list(name, None, NAMING_MAX).await? {
        let Some(manifest) = store.manifest_get(name, &ManifestRef::Digest(digest.clone())).await? else { continue };
        let has = manifest.blobs.iter().any(|(blob, _)| blob == content)
            || manifest.children.iter().any(|child| child.digest == *content);
        let Ok(document) = Document::parse(&manifest.bytes, Some(&manifest.media_type)) else { continue };
        let names = document.blobs.iter().any(|blob| blob.digest == *content)
            || document.children.iter().any(|child| child.digest == *content);
        if names && !has {
            naming.push(digest);
        }
    }
    Ok(naming)
}

fn said_digest(headers: &HeaderMap) -> Option<Digest> {
    Digest::parse(headers.get(CONTENT_DIGEST)?.to_str().ok()?).ok()
}
