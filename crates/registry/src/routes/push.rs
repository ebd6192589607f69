//! What is written along with a push: the repository that it makes, and the record in the audit log.

use std::sync::atomic::Ordering;

use http::{Method, StatusCode};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{Repository, Visibility};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Along, RegistryStoreError};

use super::Ask;
use crate::error::RegistryError;
use crate::gate::Audited;
use crate::path::Target;
use crate::registry::Registry;

impl Registry {
    /// The moment at which a repository that is pushed to is made; `None` when it is there. Refuses when it isn't and the
    /// configuration does not say that a push makes it.
    pub(super) async fn to_make(&self, name: &RepositoryName) -> Result<Option<Timestamp>, RegistryError> {
        let parts = self.parts();
        if parts.store.repository_get(name).await?.is_some() {
            return Ok(None);
        }
        if !parts.config.create_on_push {
            return Err(RegistryError::NotCreated(name.clone()));
        }
        Ok(Some(parts.clock.now()))
    }

    /// Makes a repository for a push that writes nothing else yet, when it [is to be made](Registry::to_make).
    pub(super) async fn make(
        &self,
        ask: &Ask,
        name: &RepositoryName,
        create: Option<Timestamp>,
    ) -> Result<(), RegistryError> {
        let Some(created) = create else { return Ok(()) };
        let made = Repository { name: name.clone(), created, visibility: Visibility::Private };
        match self.parts().store.repository_create(&made).await {
            Ok(()) => {
                note_made(name);
                ask.made.store(true, Ordering::Relaxed);
            }
            Err(RegistryStoreError::RepositoryExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// What is written with a push that is about to be answered with 201, in the same unit of work where the store can.
    pub(super) fn along(&self, ask: &Ask, create: Option<Timestamp>) -> Along {
        let parts = self.parts();
        let done = if parts.store.records() { audited(ask, StatusCode::CREATED) } else { None };
        let record = done.and_then(|done| parts.gate.record(&ask.headers, ask.peer, done, StatusCode::CREATED));
        Along { create, record }
    }
}

impl Ask {
    /// Notes that this was written, and that the answer tells of it.
    pub(super) fn wrote(&self, name: &RepositoryName, along: &Along) {
        if along.create.is_some() {
            note_made(name);
        }
        self.recorded.store(along.record.is_some(), Ordering::Relaxed);
    }

    /// What goes into the audit log of it beside the answer, when it is answered so.
    pub(super) fn unrecorded(&self, status: StatusCode) -> Option<Audited> {
        if self.recorded.load(Ordering::Relaxed) { None } else { audited(self, status) }
    }
}

fn note_made(name: &RepositoryName) {
    tracing::info!(repository.name = %name, "made repository {name} for a push");
}

/// Notes that somebody who has signed in was refused a change, and why: the request's own line names its route alone.
pub(super) fn note_refusal(ask: &Ask, error: &RegistryError) {
    let name = Target::parse(ask.uri.path()).and_then(|target| target.name().map(str::to_owned));
    let (Some(caller), Some(name), Some(why)) = (ask.caller.get(), name, error.refusal()) else { return };
    if !ask.method.is_safe() {
        let (who, method) = (&caller.who, &ask.method);
        tracing::info!(audit.who = %who, repository.name = %name, "{who} was refused a {method} to {name}: {why}");
    }
}

/// What of a request goes into the audit log: what changed something, and what was refused to somebody who had signed in.
/// A step on the way (an upload begun, a chunk) changes nothing that anybody sees, but for the repository that it makes.
fn audited(ask: &Ask, status: StatusCode) -> Option<Audited> {
    let caller = ask.caller.get()?.clone();
    let refused = status == StatusCode::FORBIDDEN;
    let (action, target) = match (Target::parse(ask.uri.path())?, ask.method.clone()) {
        (Target::Manifest { name, reference }, Method::PUT) => ("manifest_push", named(&name, &reference)),
        (Target::Manifest { name, reference }, Method::DELETE) => ("manifest_delete", named(&name, &reference)),
        (Target::Blob { name, digest }, Method::DELETE) => ("blob_delete", named(&name, &digest)),
        (Target::Upload { name, .. }, Method::PUT) => {
            ("blob_push", named(&name, ask.param("digest").unwrap_or_default()))
        }
        (Target::Upload { name, .. }, Method::PATCH) if refused => ("blob_push", named(&name, "")),
        (Target::Uploads { name }, Method::POST) if status == StatusCode::CREATED || refused => {
            match ask.param("mount") {
                Some(digest) => ("blob_mount", named(&name, digest)),
                None => ("blob_push", named(&name, ask.param("digest").unwrap_or_default())),
            }
        }
        (Target::Uploads { name }, Method::POST) if ask.made.load(Ordering::Relaxed) => ("repository_create", name),
        _ => return None,
    };
    Some(Audited { caller, action, target })
}

/// A manifest or blob as users write it: `team/app:v1`, `team/app@sha256:…`; a repository alone where nothing else is known.
fn named(name: &str, reference: &str) -> String {
    match reference {
        "" => name.to_owned(),
        digest if digest.contains(':') => format!("{name}@{digest}"),
        tag => format!("{name}:{tag}"),
    }
}
