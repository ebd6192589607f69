//! Images: what a name becomes, and what a service or task is pinned to.

use futures_util::future::join_all;

use super::{Ctx, OpsError};
use crate::model::deploy::Deploy;
use crate::model::digest::Digest;
use crate::model::entity::EntityKind;
use crate::model::failure::Failure;
use crate::model::image::{ImageRef, RepositoryName};
use crate::model::image_map::Mapped;
use crate::model::registry::Visibility;
use crate::model::service::PinnedImage;
use crate::model::task_definition::TaskDefinition;
use crate::plan::pull_check::{self, Passed};
use crate::port::engine::{EngineError, PullEvidence};
use crate::port::image_source::SourceAnswer;
use crate::port::store::{Entity, Holder};

/// The steps from a friendly name to what the engine pulls.
#[derive(Debug, Clone)]
pub struct Resolution {
    /// The name, the rule and the result.
    pub mapped: Mapped,
    /// What the registry of ours says.
    pub source: SourceAnswer,
    /// What the engine says; `None` when it does not answer.
    pub evidence: Option<PullEvidence>,
    /// What the pull check comes to.
    pub check: Result<Passed, Failure>,
}

/// Resolves one image by the map in force.
///
/// # Errors
/// `Mapping` when the result is no legal image; `Store`, `ImageSource`, `Engine` when they can't be asked.
pub async fn image_resolve(ctx: &Ctx<'_>, image: &ImageRef) -> Result<Resolution, OpsError> {
    let mapped = ctx.image_map().await?.apply(image).map_err(OpsError::Mapping)?;
    check(ctx, mapped).await
}

async fn check(ctx: &Ctx<'_>, mapped: Mapped) -> Result<Resolution, OpsError> {
    let source = ctx.images.describe(&mapped.backing).await?;
    // Whoever may not pull an image may not run it either, and learns nothing about it.
    let source = if may_see(ctx, &mapped.backing, &source) { source } else { SourceAnswer::Denied };
    let ours = source != SourceAnswer::NotOurs;
    let evidence = match ctx.engine.pull_evidence(&mapped.backing, ours).await {
        Ok(evidence) => Some(evidence),
        Err(EngineError::Unavailable { .. } | EngineError::Throttled { .. }) => None,
        Err(why) => return Err(why.into()),
    };
    let check = pull_check::judge(&mapped, &source, evidence.as_ref());
    Ok(Resolution { mapped, source, evidence, check })
}

fn may_see(ctx: &Ctx<'_>, image: &ImageRef, source: &SourceAnswer) -> bool {
    let visibility = match source {
        SourceAnswer::NotOurs => return true,
        SourceAnswer::Found(found) => found.visibility,
        SourceAnswer::NoImage { visibility, .. } => *visibility,
        SourceAnswer::NoRepository | SourceAnswer::Denied => Visibility::Private,
    };
    match RepositoryName::parse(image.path()) {
        Ok(repository) => ctx.caller.rights.may_pull(&repository, visibility),
        // No repository can have this name, which is no secret.
        Err(_) => true,
    }
}

/// Checks every image of a deploy and puts what passed into its definition.
///
/// # Errors
/// `PullCheck` with every image that did not pass.
pub async fn deploy_pin(ctx: &Ctx<'_>, deploy: &Deploy) -> Result<(Vec<PinnedImage>, TaskDefinition), OpsError> {
    let checks = deploy.images.iter().map(|image| {
        let backing = ctx.registry.present(&image.backing);
        check(ctx, Mapped { written: image.written.clone(), rule: image.rule.clone(), backing })
    });
    let mut pinned = Vec::new();
    let mut failures: Vec<(ImageRef, Failure)> = Vec::new();
    for (image, resolution) in deploy.images.iter().zip(join_all(checks).await) {
        match resolution?.check {
            Ok(passed) => pinned.push(PinnedImage {
                container: image.container.clone(),
                written: image.written.clone(),
                pinned: passed.pinned,
                warning: passed.warning,
            }),
            Err(failure) if failures.iter().any(|(known, _)| *known == image.written) => drop(failure),
            Err(failure) => failures.push((image.written.clone(), failure)),
        }
    }
    if !failures.is_empty() {
        return Err(OpsError::PullCheck { failures });
    }
    let mut definition = deploy.document.definition_with_document();
    for container in &mut definition.containers {
        if let Some(image) = pinned.iter().find(|image| image.container == container.name) {
            container.image = image.pinned.to_string();
        }
    }
    Ok((pinned, definition))
}

/// Who runs, or would go back to, images of a repository of ours: services by their wanted and their fallback deployment,
/// and tasks that have not ended. With a digest, only who needs that very image.
///
/// # Errors
/// `Store`.
pub async fn image_holders(
    ctx: &Ctx<'_>,
    repository: &RepositoryName,
    digest: Option<&Digest>,
) -> Result<Vec<Holder>, OpsError> {
    let needs = |images: &[PinnedImage]| {
        images.iter().any(|image| {
            ctx.registry.holds(&image.pinned)
                && image.pinned.path() == repository.as_str()
                && digest.is_none_or(|digest| image.pinned.digest() == Some(digest))
        })
    };
    let mut holders = Vec::new();
    for kind in [EntityKind::Service, EntityKind::Task] {
        for entity in ctx.store.entity_list(kind).await? {
            let held = match &entity {
                Entity::Service(it) => needs(&it.wanted().images) || it.fallback().is_some_and(|it| needs(&it.images)),
                Entity::Task(it) => it.outcome.is_none() && needs(&it.images),
                Entity::Environment(_) | Entity::LoadBalancer(_) => false,
            };
            if held {
                holders.push(Holder { entity: entity.reference(), name: entity.name().to_string() });
            }
        }
    }
    Ok(holders)
}
