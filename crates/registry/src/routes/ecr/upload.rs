//! `/v2/<name>/blobs/uploads/` of a repository in ECR. An upload lives in ECR alone: its address has ECR's own name for it.

use axum::body::{Body, HttpBody};
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE};
use http::{HeaderName, Method, StatusCode};
use hyper::body::Incoming;
use layer0_domain::model::access::{Action, Caller};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;

use super::{ask_for_push, chosen};
use crate::ecr::images::refusal;
use crate::ecr::replay::Replay;
use crate::ecr::translate::{Refusal, behind, last_byte, upload_location};
use crate::ecr::upstream::Question;
use crate::ecr::{Ecr, Taking};
use crate::error::RegistryError;
use crate::gate::Admission;
use crate::path::percent;
use crate::range;
use crate::registry::Registry;
use crate::routes::{Ask, created, digest, empty, scope};

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const PUSH: [Action; 2] = [Action::Pull, Action::Push];
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// `POST`: begins an upload, takes a whole blob (`?digest=`), or mounts one (`?mount=`).
pub(super) async fn begin(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    body: Body,
    name: &str,
) -> Result<Response, RegistryError> {
    let from = ask.param("from").and_then(|from| RepositoryName::parse(from).ok());
    let (name, caller) = registry.admit(ask, name, &PUSH, from.as_ref()).await?;
    if ask.method != Method::POST {
        return Err(RegistryError::Method { allow: "POST" });
    }
    if let (Some(mount), None) = (ask.param("mount"), ask.param("digest")) {
        let mount = Digest::parse(mount).ok();
        let source = match may_mount(registry, ask, &caller, &name, from).await? {
            // Of what lies elsewhere nothing can be mounted.
            Some(from) if !registry.ecr_of(&from).await?.is_some_and(|theirs| theirs.is(ecr)) => None,
            source => source,
        };
        return match (mount, source) {
            (Some(digest), Some(from)) => mounted(registry, ecr, &name, &digest, &from).await,
            // What can't be mounted is uploaded.
            _ => Ok(status(StatusCode::ACCEPTED, &open(registry, ecr, &name).await?, &name, 0)),
        };
    }
    if let Some(algorithm) = ask.param("digest-algorithm").filter(|algorithm| *algorithm != "sha256") {
        return Err(RegistryError::DigestInvalid(format!("ECR knows digests by sha256 only, not by {algorithm:?}")));
    }
    match ask.param("digest") {
        None => Ok(status(StatusCode::ACCEPTED, &open(registry, ecr, &name).await?, &name, 0)),
        Some(wanted) => {
            let wanted = digest(wanted)?;
            // ECR takes no blob in one request, so it is two.
            let location = open(registry, ecr, &name).await?;
            finish(registry, ecr, ask, body, &name, &location, wanted).await
        }
    }
}

/// An upload of ours: what stands behind `/v2/NAME/blobs/uploads/`.
struct Location(String);

impl Location {
    /// The path in ECR, with `more` in its query.
    fn path(&self, ecr: &Ecr, name: &RepositoryName, more: Option<&str>) -> String {
        let path = ecr.path(name, &format!("blobs/uploads/{}", self.0));
        match more {
            None => path,
            Some(more) if self.0.contains('?') => format!("{path}&{more}"),
            Some(more) => format!("{path}?{more}"),
        }
    }

    /// Its name, without a query.
    fn id(&self) -> &str {
        self.0.split_once('?').map_or(self.0.as_str(), |(id, _)| id)
    }

    /// The upload that an answer of ECR's names.
    fn of(answer: &http::Response<Incoming>, ecr: &Ecr, name: &RepositoryName) -> Option<Self> {
        let address = answer.headers().get(LOCATION)?.to_str().ok()?;
        let ours = upload_location(address, &ecr.place().path_of(name), name.as_str())?;
        behind(&ours, &format!("/v2/{name}/blobs/uploads/")).map(|rest| Self(rest.to_owned()))
    }
}

/// Asks ECR for a new upload.
async fn open(registry: &Registry, ecr: &Ecr, name: &RepositoryName) -> Result<Location, RegistryError> {
    let answer = start(registry, ecr, name, "").await?;
    Location::of(&answer, ecr, name).ok_or_else(no_upload)
}

fn no_upload() -> RegistryError {
    RegistryError::Away { source: "ECR named no upload".into() }
}

/// `POST` with this query.
async fn start(
    registry: &Registry,
    ecr: &Ecr,
    name: &RepositoryName,
    query: &str,
) -> Result<http::Response<Incoming>, RegistryError> {
    let path = ecr.path(name, &format!("blobs/uploads/{query}"));
    let question = || Question::new(Method::POST, path.as_str()).with(CONTENT_LENGTH, Some(&HeaderValue::from(0)));
    ask_for_push(registry, ecr, name, Taking::Begin, question).await
}

/// From where a blob may be mounted: the repository that was named, when the caller may read there.
async fn may_mount(
    registry: &Registry,
    ask: &Ask,
    caller: &Caller,
    to: &RepositoryName,
    from: Option<RepositoryName>,
) -> Result<Option<RepositoryName>, RegistryError> {
    let Some(from) = from else { return Ok(None) };
    if from == *to || caller.rights.may(Action::Pull, (&from).into()) {
        return Ok(Some(from));
    }
    // Somebody whose token was made for another scope may get one for this.
    let admission = registry.parts().gate.admit(&ask.headers, ask.peer, Some((&from, &[Action::Pull]))).await;
    match admission {
        Admission::Challenge => Err(registry.challenge(ask, Some(&scope(to, &PUSH, Some(&from))))),
        _ => Ok(None),
    }
}

/// ECR mounts what it can, and opens an upload for what it can't.
async fn mounted(
    registry: &Registry,
    ecr: &Ecr,
    name: &RepositoryName,
    digest: &Digest,
    from: &RepositoryName,
) -> Result<Response, RegistryError> {
    let query = format!("?mount={digest}&from={}", percent::encode(&ecr.place().path_of(from)));
    let answer = start(registry, ecr, name, &query).await?;
    if answer.status() == StatusCode::CREATED {
        tracing::info!(repository.name = %name, blob.digest = %digest, "mounted blob {digest} from {from} into {name}, in ECR");
        return Ok(created(format!("/v2/{name}/blobs/{digest}"), digest));
    }
    let location = Location::of(&answer, ecr, name).ok_or_else(no_upload)?;
    Ok(status(StatusCode::ACCEPTED, &location, name, 0))
}

/// Everything on an upload that was begun.
pub(super) async fn serve(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    body: Body,
    name: &str,
    id: &str,
) -> Result<Response, RegistryError> {
    let (name, _) = registry.admit(ask, name, &PUSH, None).await?;
    let query = ask.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = Location(format!("{}{query}", percent::encode(id)));
    match ask.method {
        Method::PATCH => append(registry, ecr, ask, body, &name, &location).await,
        Method::PUT => {
            let wanted = ask
                .param("digest")
                .ok_or_else(|| RegistryError::DigestInvalid("the parameter digest is missing".to_owned()))?;
            finish(registry, ecr, ask, body, &name, &location, digest(wanted)?).await
        }
        Method::DELETE => {
            let answer = ecr.upstream().ask(Question::new(Method::DELETE, location.path(ecr, &name, None))).await?;
            match refused(answer).await? {
                None => Ok(empty(StatusCode::NO_CONTENT, [])),
                Some(refusal) => Err(on_upload(refusal, &name, &location)),
            }
        }
        Method::GET | Method::HEAD => {
            let answer = ecr.upstream().ask(Question::new(Method::GET, location.path(ecr, &name, None))).await?;
            let next = Location::of(&answer, ecr, &name).unwrap_or(location);
            let last = last_byte(answer.headers());
            match refused(answer).await? {
                None => Ok(status(StatusCode::NO_CONTENT, &next, &name, last.map_or(0, |last| last + 1))),
                Some(refusal) => Err(on_upload(refusal, &name, &next)),
            }
        }
        _ => Err(RegistryError::Method { allow: "GET, HEAD, PATCH, PUT, DELETE" }),
    }
}

/// What ECR refused; `None` when it did what it was asked.
async fn refused(answer: http::Response<Incoming>) -> Result<Option<Refusal>, RegistryError> {
    if answer.status().is_success() { Ok(None) } else { refusal(answer).await.map(Some) }
}

/// A refusal of something on an upload.
fn on_upload(refusal: Refusal, name: &RepositoryName, location: &Location) -> RegistryError {
    match (refusal.code, refusal.status) {
        ("NAME_UNKNOWN", _) => RegistryError::NameUnknown(name.clone()),
        (_, StatusCode::NOT_FOUND) => RegistryError::UploadUnknown,
        // ECR does not say where the upload ends but in words: `First byte of the layer part is 0 instead of 11304960`.
        (_, StatusCode::RANGE_NOT_SATISFIABLE) => {
            let end = refusal.message.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
            RegistryError::OutOfOrder { location: address(location, name), range: shown(end) }
        }
        _ => refusal.into_error(),
    }
}

/// Sends a request's body on, for as long as the caller may push.
async fn send(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    body: Body,
    name: &RepositoryName,
    to: (Method, String),
) -> Result<(http::Response<Incoming>, Replay), RegistryError> {
    let mut headers = chosen(ask, &[CONTENT_LENGTH, CONTENT_RANGE]);
    headers.insert(CONTENT_TYPE, OCTETS);
    if body.is_end_stream() {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    }
    let replay = Replay::new(body, registry.parts().config.body_idle);
    let question = Question { headers, ..Question::new(to.0, to.1) }.body(replay.clone());
    let answer = registry.while_allowed(ask, name, Action::Push, ecr.upstream().ask(question)).await??;
    Ok((answer, replay))
}

/// A chunk. How far the upload is then is told by what was sent: ECR's own `Range` stays behind after the first chunk
/// (containers-roadmap #2831).
async fn append(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    body: Body,
    name: &RepositoryName,
    location: &Location,
) -> Result<Response, RegistryError> {
    let to = (Method::PATCH, location.path(ecr, name, None));
    let (answer, sent) = send(registry, ecr, ask, body, name, to).await?;
    let announced = ask.header(&CONTENT_RANGE).and_then(range::chunk).map(|(_, last)| last.saturating_add(1));
    let told = last_byte(answer.headers()).map(|last| last.saturating_add(1));
    let next = Location::of(&answer, ecr, name);
    if let Some(refusal) = refused(answer).await? {
        return Err(on_upload(refusal, name, location));
    }
    let end = announced.unwrap_or_else(|| sent.came().max(told.unwrap_or(0)));
    Ok(status(StatusCode::ACCEPTED, next.as_ref().unwrap_or(location), name, end))
}

/// Closes an upload, with what the request still brings.
async fn finish(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    body: Body,
    name: &RepositoryName,
    location: &Location,
    wanted: Digest,
) -> Result<Response, RegistryError> {
    ecr.turn(Taking::Complete).await;
    let named = location.0.contains("digest=");
    let path = location.path(ecr, name, (!named).then(|| format!("digest={wanted}")).as_deref());
    let (answer, _) = send(registry, ecr, ask, body, name, (Method::PUT, path)).await?;
    if let Some(refusal) = refused(answer).await? {
        return Err(on_upload(refusal, name, location));
    }
    tracing::info!(repository.name = %name, blob.digest = %wanted, "stored blob {wanted} in {name}, in ECR");
    Ok(created(format!("/v2/{name}/blobs/{wanted}"), &wanted))
}

fn address(location: &Location, name: &RepositoryName) -> String {
    format!("/v2/{name}/blobs/uploads/{}", location.0)
}

/// First and last byte; an empty upload is written `0-0` too, as the distribution project does.
fn shown(end: u64) -> String {
    format!("0-{}", end.saturating_sub(1))
}

fn status(code: StatusCode, location: &Location, name: &RepositoryName, end: u64) -> Response {
    let headers = [(LOCATION, address(location, name)), (RANGE, shown(end)), (UPLOAD_UUID, location.id().to_owned())];
    empty(code, headers)
}
