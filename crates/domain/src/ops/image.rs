//! Images: what a name becomes, and what a service or task is pinned to.

use futures_util::future::join_all;

use super::{Ctx, OpsError};
use crate::model::deploy::Deploy;
use crate::model::failure::Failure;
use crate::model::image::ImageRef;
use crate::model::image_map::Mapped;
use crate::model::service::PinnedImage;
use crate::model::task_definition::TaskDefinition;
use crate::plan::pull_check::{self, Passed};
use crate::port::engine::{EngineError, PullEvidence};
use crate::port::image_source::SourceAnswer;

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
    let ours = source != SourceAnswer::NotOurs;
    let evidence = match ctx.engine.pull_evidence(&mapped.backing, ours).await {
        Ok(evidence) => Some(evidence),
        Err(EngineError::Unavailable { .. } | EngineError::Throttled { .. }) => None,
        Err(why) => return Err(why.into()),
    };
    let check = pull_check::judge(&mapped, &source, evidence.as_ref());
    Ok(Resolution { mapped, source, evidence, check })
}

/// Checks every image of a deploy and puts what passed into its definition.
///
/// # Errors
/// `PullCheck` with every image that did not pass.
pub async fn deploy_pin(ctx: &Ctx<'_>, deploy: &Deploy) -> Result<(Vec<PinnedImage>, TaskDefinition), OpsError> {
    let checks = deploy.images.iter().map(|image| {
        let mapped =
            Mapped { written: image.written.clone(), rule: image.rule.clone(), backing: image.backing.clone() };
        check(ctx, mapped)
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
    let mut definition = deploy.document.definition().clone();
    for container in &mut definition.containers {
        if let Some(image) = pinned.iter().find(|image| image.container == container.name) {
            container.image = image.pinned.to_string();
        }
    }
    Ok((pinned, definition))
}
