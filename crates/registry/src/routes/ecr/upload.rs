//! `/v2/<name>/blobs/uploads/` of a repository in ECR: uploads are begun, and blobs mounted. An upload has ECR's own name; what
//! comes into it is [`chunk`](super::chunk)'s.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, HeaderValue, LOCATION, RANGE};
use http::{HeaderName, Method, StatusCode};
use hyper::body::Incoming;
use layer0_domain::model::access::{Action, Caller};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;

use super::ask_for_push;
use super::chunk::{BUSY_WAIT, Upload};
use crate::ecr::translate::{behind, upload_location};
use crate::ecr::upstream::Question;
use crate::ecr::{Ecr, Taking};
use crate::error::RegistryError;
use crate::gate::Admission;
use crate::path::percent;
use crate::registry::Registry;
use crate::routes::upload::has_room;
use crate::routes::{Ask, created, digest, empty, scope};

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// What a push needs: clients look at what is there before they push.
pub(super) const PUSH: [Action; 2] = [Action::Pull, Action::Push];

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
    has_room(ask, &name, ecr.room(&name).await?)?;
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
            let on = Upload { registry, ecr, ask, name: &name, location: &location };
            let held = ecr.uploads().hold(&name, location.id(), BUSY_WAIT).await?;
            on.finish(held, body, wanted).await
        }
    }
}

/// An upload of ours: what stands behind `/v2/NAME/blobs/uploads/`.
pub(super) struct Location(String);

impl Location {
    /// The upload that a request's path and query name.
    pub(super) fn asked(id: &str, query: Option<&str>) -> Self {
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Self(format!("{}{query}", percent::encode(id)))
    }

    /// Whether it names the digest that its content must have.
    pub(super) fn has_digest(&self) -> bool {
        self.0.contains("digest=")
    }

    /// The path in ECR, with `more` in its query.
    pub(super) fn path(&self, ecr: &Ecr, name: &RepositoryName, more: Option<&str>) -> String {
        let path = ecr.path(name, &format!("blobs/uploads/{}", self.0));
        match more {
            None => path,
            Some(more) if self.0.contains('?') => format!("{path}&{more}"),
            Some(more) => format!("{path}?{more}"),
        }
    }

    /// Its name, without a query.
    pub(super) fn id(&self) -> &str {
        self.0.split_once('?').map_or(self.0.as_str(), |(id, _)| id)
    }

    /// The upload that an answer of ECR's names.
    pub(super) fn of(answer: &http::Response<Incoming>, ecr: &Ecr, name: &RepositoryName) -> Option<Self> {
        let address = answer.headers().get(LOCATION)?.to_str().ok()?;
        let ours = upload_location(address, &ecr.place().path_of(name), name.as_str())?;
        behind(&ours, &format!("/v2/{name}/blobs/uploads/")).map(|rest| Self(rest.to_owned()))
    }
}

/// Asks ECR for a new upload.
async fn open(registry: &Registry, ecr: &Ecr, name: &RepositoryName) -> Result<Location, RegistryError> {
    let answer = start(registry, ecr, name, "").await?;
    begun(&answer, ecr, name)
}

/// The upload that an answer has begun.
fn begun(answer: &http::Response<Incoming>, ecr: &Ecr, name: &RepositoryName) -> Result<Location, RegistryError> {
    let location = Location::of(answer, ecr, name).ok_or_else(no_upload)?;
    ecr.uploads().begin(name, location.id());
    Ok(location)
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
    let question =
        || Question::new(Method::POST, path.as_str()).with(CONTENT_LENGTH, Some(&HeaderValue::from(0))).repeatable();
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
        // Public.
        Admission::Allowed(_) => Ok(Some(from)),
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
    Ok(status(StatusCode::ACCEPTED, &begun(&answer, ecr, name)?, name, 0))
}

pub(super) fn address(location: &Location, name: &RepositoryName) -> String {
    format!("/v2/{name}/blobs/uploads/{}", location.0)
}

/// First and last byte; an empty upload is written `0-0` too, as the distribution project does.
pub(super) fn shown(end: u64) -> String {
    format!("0-{}", end.saturating_sub(1))
}

pub(super) fn status(code: StatusCode, location: &Location, name: &RepositoryName, end: u64) -> Response {
    let headers = [(LOCATION, address(location, name)), (RANGE, shown(end)), (UPLOAD_UUID, location.id().to_owned())];
    empty(code, headers)
}
