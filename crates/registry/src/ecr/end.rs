//! The port `ImageEnd` on a repository in ECR: its registry for content, its API for what the registry does not list.

use std::collections::BTreeMap;

use async_trait::async_trait;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{ManifestRef, Visibility};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::image_end::{BlobStream, EndError, EndManifest, Entry, EntryPage, ImageEnd};
use layer0_domain::port::registry_store::RegistryStoreError;
use serde::Deserialize;

use super::images::{Found, LIST_MAX, read, refusal, streamed};
use super::replay::Replay;
use super::repositories::{Rules, failed};
use super::translate::next_query;
use super::upstream::Question;
use super::{Ecr, Taking};
use crate::ends::{Ended, Sized, end_error, end_manifest, pieces, store_error};
use crate::error::RegistryError;

/// How long the other end may bring nothing of a blob.
const IDLE: std::time::Duration = std::time::Duration::from_secs(60);
/// Pages of referrers of one manifest that are read.
const PAGES_MAX: usize = 100;

/// A repository in ECR.
pub(crate) struct EcrEnd {
    ecr: Ecr,
    name: RepositoryName,
}

impl Ecr {
    /// A repository of this registry, whether it is there or not.
    pub(crate) fn end(&self, name: &RepositoryName) -> EcrEnd {
        EcrEnd { ecr: self.clone(), name: name.clone() }
    }
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    digest: String,
}

impl EcrEnd {
    fn theirs(&self) -> String {
        self.ecr.place().path_of(&self.name)
    }

    async fn ask(&self, question: Question) -> Result<http::Response<hyper::body::Incoming>, EndError> {
        self.ecr.upstream().ask(question).await.map_err(|error| end_error(error.into()))
    }

    /// What ECR did not do, by what can be done about it.
    async fn refused(&self, answer: http::Response<hyper::body::Incoming>) -> EndError {
        match refusal(answer).await {
            Ok(refusal) if refusal.code == "NAME_UNKNOWN" => EndError::NoRepository,
            Ok(refusal) => end_error(refusal.into_error()),
            Err(error) => end_error(error),
        }
    }

    /// Whether a tag points to a manifest.
    async fn points(&self, tag: &str, to: &Digest) -> Result<bool, EndError> {
        let found = self.ecr.manifest_get(&self.name, &ManifestRef::Tag(tag.to_owned())).await.map_err(end_error)?;
        Ok(matches!(found, Found::Manifest(manifest) if manifest.digest == *to))
    }

    async fn take(&self, reference: &ManifestRef) -> Result<(), EndError> {
        let taken = self.ecr.parts.api.image_delete(&self.theirs(), reference).await;
        taken.map(drop).map_err(|error| store_error(failed(error)))
    }

    fn blob_question(&self, method: Method, digest: &Digest) -> Question {
        Question::new(method, self.ecr.path(&self.name, &format!("blobs/{digest}")))
    }
}

#[async_trait]
impl ImageEnd for EcrEnd {
    fn takes(&self, algorithm: Algorithm) -> bool {
        algorithm == Algorithm::Sha256
    }

    async fn prepare(&self, visibility: Visibility) -> Result<bool, EndError> {
        let found = self.ecr.repository_get(&self.name).await.map_err(store_error)?;
        // Nobody asks it before the repository lies here.
        self.ecr.show(&self.name, visibility).await.map_err(store_error)?;
        if found.is_some() {
            return Ok(false);
        }
        self.ecr.repository_make(self.name.clone()).await.map_err(store_error)?;
        match self.ecr.repository_await(&self.name).await {
            Ok(()) => Ok(true),
            Err(error) => Err(EndError::Unavailable { source: error.into() }),
        }
    }

    async fn remove(&self) -> Result<(), EndError> {
        match self.ecr.repository_delete(&self.name, false, Rules::GoOnElsewhere).await {
            Ok(()) | Err(RegistryStoreError::RepositoryMissing(_)) => Ok(()),
            Err(error) => Err(store_error(error)),
        }
    }

    async fn entries(&self, next: Option<&str>) -> Result<EntryPage, EndError> {
        let page = self.ecr.parts.api.image_page(&self.theirs(), next).await;
        let page = page.map_err(|error| store_error(failed(error)))?;
        let (ids, next) = page.ok_or(EndError::NoRepository)?;
        // What is named otherwise than by a digest is no image.
        let entry = |id: aws_sdk_ecr::types::ImageIdentifier| {
            Some(Entry { digest: Digest::parse(&id.image_digest?).ok()?, tag: id.image_tag })
        };
        Ok(EntryPage { entries: ids.into_iter().filter_map(entry).collect(), next })
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>, EndError> {
        let own = format!("referrers/{subject}");
        let (mut all, mut path) = (Vec::new(), self.ecr.path(&self.name, &own));
        for _ in 0..PAGES_MAX {
            let answer = self.ask(Question::new(Method::GET, path)).await?;
            // One that does not know of such lists answers in its own way (ministack: 400); the list of images has all.
            let unknown = [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST, StatusCode::METHOD_NOT_ALLOWED];
            if unknown.contains(&answer.status()) {
                break;
            }
            if answer.status() != StatusCode::OK {
                return Err(self.refused(answer).await);
            }
            let next = next_query(answer.headers());
            let body = read(answer, LIST_MAX).await.map_err(end_error)?;
            let index: Index =
                serde_json::from_slice(&body).map_err(|source| EndError::Unavailable { source: source.into() })?;
            all.extend(index.manifests.iter().filter_map(|named| Digest::parse(&named.digest).ok()));
            match next {
                Some(query) => path = self.ecr.path(&self.name, &format!("{own}?{query}")),
                None => break,
            }
        }
        Ok(all)
    }

    async fn manifest_read(&self, digest: &Digest) -> Result<Option<EndManifest>, EndError> {
        let reference = ManifestRef::Digest(digest.clone());
        match self.ecr.manifest_get(&self.name, &reference).await.map_err(end_error)? {
            Found::Manifest(found) => end_manifest(found.digest, found.media_type, found.bytes.into()).map(Some),
            Found::NoImage | Found::NoRepository => Ok(None),
        }
    }

    async fn pushed(&self) -> Result<BTreeMap<Digest, Timestamp>, EndError> {
        let pushed = self.ecr.parts.api.images_pushed(&self.theirs()).await;
        let pushed = pushed.map_err(|error| store_error(failed(error)))?.into_iter();
        Ok(pushed.filter_map(|(digest, at)| Some((Digest::parse(&digest).ok()?, at))).collect())
    }

    async fn manifest_write(
        &self,
        manifest: &EndManifest,
        tag: Option<&str>,
        _pushed: Option<Timestamp>,
    ) -> Result<(), EndError> {
        let media_type = HeaderValue::from_str(&manifest.media_type);
        let media_type = media_type.map_err(|error| EndError::Refused { why: error.to_string() })?;
        let place = tag.map_or_else(|| manifest.digest.to_string(), str::to_owned);
        let bytes = bytes::Bytes::from(manifest.bytes.clone());
        let question = Question::new(Method::PUT, self.ecr.path(&self.name, &format!("manifests/{place}")))
            .with(CONTENT_TYPE, Some(&media_type))
            .with(CONTENT_LENGTH, Some(&HeaderValue::from(bytes.len())))
            .body(Replay::of(bytes));
        self.ecr.turn(Taking::Manifest).await;
        let answer = self.ask(question).await?;
        if answer.status().is_success() {
            return Ok(());
        }
        let error = self.refused(answer).await;
        match (&error, tag) {
            // Where tags are immutable, one that points there already is no error.
            (EndError::Refused { .. }, Some(tag)) if self.points(tag, &manifest.digest).await? => Ok(()),
            _ => Err(error),
        }
    }

    async fn manifest_delete(&self, digest: &Digest) -> Result<(), EndError> {
        self.take(&ManifestRef::Digest(digest.clone())).await
    }

    async fn tag_delete(&self, tag: &str) -> Result<(), EndError> {
        self.take(&ManifestRef::Tag(tag.to_owned())).await
    }

    async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, EndError> {
        let mut answer = self.ask(self.blob_question(Method::HEAD, digest)).await?;
        if answer.status().is_redirection() {
            // Asked for itself: where it leads to is signed for one method.
            let asked = self.ask(self.blob_question(Method::GET, digest)).await?;
            answer = self.ecr.followed(asked, &HeaderMap::new()).await.map_err(|error| end_error(error.into()))?;
        }
        match answer.status() {
            StatusCode::OK => {
                let length = answer.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
                match length {
                    Some(length) => Ok(Some(length)),
                    None => Err(EndError::Unavailable { source: "ECR did not say how long a blob is".into() }),
                }
            }
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refused(answer).await),
        }
    }

    async fn blob_read(&self, digest: &Digest) -> Result<Option<BlobStream>, EndError> {
        let asked = self.ask(self.blob_question(Method::GET, digest)).await?;
        let answer = self.ecr.followed(asked, &HeaderMap::new()).await.map_err(|error| end_error(error.into()))?;
        match answer.status() {
            StatusCode::OK => Ok(Some(pieces(streamed(answer)))),
            StatusCode::NOT_FOUND => Ok(None),
            _ => Err(self.refused(answer).await),
        }
    }

    async fn blob_write(&self, digest: &Digest, size: u64, content: BlobStream) -> Result<(), EndError> {
        self.ecr.turn(Taking::Begin).await;
        let path = self.ecr.path(&self.name, "blobs/uploads/");
        let begin = Question::new(Method::POST, path).with(CONTENT_LENGTH, Some(&HeaderValue::from(0)));
        let answer = self.ask(begin).await?;
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        let path = upload_path(answer.headers(), digest).ok_or_else(|| {
            let error = RegistryError::Away { source: "ECR named no upload".into() };
            end_error(error)
        })?;
        let (sized, body) = Sized::body(content, size);
        let replay = Replay::new(body, IDLE);
        let put = Question::new(Method::PUT, path)
            .with(CONTENT_TYPE, Some(&HeaderValue::from_static("application/octet-stream")))
            .with(CONTENT_LENGTH, Some(&HeaderValue::from(size)))
            .body(replay.clone());
        self.ecr.turn(Taking::Complete).await;
        let ended = || if replay.broken().is_none() { Ended::Whole } else { Ended::Broken };
        match self.ask(put).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(sized.judge(ended(), self.refused(answer).await)),
            Err(error) => Err(sized.judge(ended(), error)),
        }
    }
}

/// Path and query of an upload that was begun, at which it ends with this digest.
fn upload_path(headers: &HeaderMap, digest: &Digest) -> Option<String> {
    let location: Uri = headers.get(LOCATION)?.to_str().ok()?.parse().ok()?;
    let path = location.path_and_query()?.as_str();
    let joined = if path.contains('?') { '&' } else { '?' };
    Some(format!("{path}{joined}digest={digest}"))
}
