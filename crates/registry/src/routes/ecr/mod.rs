//! The routes of repositories in ECR: who may what is decided as everywhere, then the request goes on to ECR, and its answer
//! comes back in the specification's form, with our names.

mod blob;
mod chunk;
pub(super) mod manifest;
mod referrers;
mod upload;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName};
use hyper::body::Incoming;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::Visibility;

use super::{Ask, tags};
use crate::ecr::images::refusal;
use crate::ecr::translate::Refusal;
use crate::ecr::upstream::Question;
use crate::ecr::{Ecr, Taking};
use crate::error::RegistryError;
use crate::path::Target;
use crate::registry::Registry;

/// Serves what is meant by the path of a request; all but the base and the catalogue, which are the same everywhere.
pub(super) async fn serve(
    registry: &Registry,
    ecr: &Ecr,
    ask: &Ask,
    body: Body,
    target: Target,
) -> Result<Response, RegistryError> {
    match target {
        Target::Uploads { name } => upload::begin(registry, ecr, ask, body, &name).await,
        Target::Upload { name, id } => chunk::serve(registry, ecr, ask, body, &name, &id).await,
        Target::Blob { name, digest } => blob::serve(registry, ecr, ask, &name, &digest).await,
        Target::Manifest { name, reference } => manifest::serve(registry, ecr, ask, body, &name, &reference).await,
        Target::Tags { name } => tags::list(registry, ask, &name).await,
        Target::Referrers { name, digest } => referrers::list(registry, ecr, ask, &name, &digest).await,
        Target::Base | Target::Catalog => Err(RegistryError::PathUnknown),
    }
}

/// Puts those of ECR's headers into an answer that are named here. No other comes back to a client.
fn copy(response: &mut Response, from: &http::Response<Incoming>, names: &[HeaderName]) {
    for name in names {
        if let Some(value) = from.headers().get(name) {
            response.headers_mut().insert(name.clone(), value.clone());
        }
    }
}

/// Those of the client's headers that are named here.
fn chosen(ask: &Ask, names: &[HeaderName]) -> HeaderMap {
    let named = |name: &HeaderName| Some((name.clone(), ask.headers.get(name)?.clone()));
    names.iter().filter_map(named).collect()
}

/// A refusal when something was looked for: that it isn't there, or that the repository isn't.
fn not_here(refusal: Refusal, name: &RepositoryName, missing: RegistryError) -> RegistryError {
    match (refusal.code, refusal.status.as_u16()) {
        ("NAME_UNKNOWN", _) => RegistryError::NameUnknown(name.clone()),
        ("BLOB_UNKNOWN" | "MANIFEST_UNKNOWN", _) | ("UNKNOWN", 404) => missing,
        _ => refusal.into_error(),
    }
}

/// Asks ECR for what a push needs, in its turn. A repository that ECR does not know is made when pushes make them, and ECR asked
/// once more.
async fn ask_for_push(
    registry: &Registry,
    ecr: &Ecr,
    name: &RepositoryName,
    what: Taking,
    question: impl Fn() -> Question,
) -> Result<http::Response<Incoming>, RegistryError> {
    let mut was_made = false;
    loop {
        ecr.turn(what).await;
        let answer = ecr.upstream().ask(question()).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        let refusal = refusal(answer).await?;
        if refusal.code != "NAME_UNKNOWN" {
            return Err(refusal.into_error());
        }
        if was_made {
            return Err(RegistryError::NameUnknown(name.clone()));
        }
        make_for_push(registry, ecr, name).await?;
        was_made = true;
    }
}

/// Makes a repository that is pushed to, when the configuration says so.
async fn make_for_push(registry: &Registry, ecr: &Ecr, name: &RepositoryName) -> Result<(), RegistryError> {
    if !registry.parts().config.create_on_push {
        return Err(RegistryError::NotCreated(name.clone()));
    }
    ecr.repository_create(name.clone(), Visibility::Private).await?;
    ecr.repository_await(name).await?;
    tracing::info!(repository.name = %name, "made repository {name} for a push");
    Ok(())
}
