//! Deploys: create, read, delete.

use super::{Ctx, OpsError};
use crate::model::deploy::{Deploy, DeployImage};
use crate::model::entity::EntityRef;
use crate::model::id::DeployId;
use crate::model::image::ImageRef;
use crate::model::name::Name;
use crate::model::owner::OwnerName;
use crate::model::task_definition::Document;
use crate::port::store::NewDeploy;

/// Makes the next version of a deploy: reads the document, applies the image map, keeps both.
///
/// Answers the deploy and what the user should know: keys that nobody knows, fields that this engine can't honour.
///
/// # Errors
/// `Document`; `Mapping` when a result is no legal image; `Store(NameTaken)` when the name belongs to another owner; `Denied` when its
/// containers would reach the machine of this instance, and the caller is no admin of it.
pub async fn deploy_create(
    ctx: &Ctx<'_>,
    name: Name,
    owner: Option<OwnerName>,
    document: &[u8],
) -> Result<(Deploy, Vec<String>), OpsError> {
    let document = Document::parse(document).map_err(OpsError::Document)?;
    let reach = ctx.engine.host_reach(document.definition());
    if !reach.is_empty() && !ctx.caller.rights.are_everything() {
        return Err(OpsError::Denied {
            hint: None,
            message: format!(
                "{} may not make a deploy with {}: its containers would reach the machine that this instance runs on, and all that is \
                 kept there; an admin of the instance can make it, and others may run it",
                ctx.caller.who,
                reach.join(", ")
            ),
        });
    }
    let map = ctx.image_map().await?;
    let mut images = Vec::new();
    for container in &document.definition().containers {
        let written = ImageRef::parse(&container.image)
            .map_err(|why| OpsError::invalid(format!("container `{}`: {why}", container.name)))?;
        let mapped = ctx.located(map.apply(&written).map_err(OpsError::Mapping)?).await?;
        images.push(DeployImage {
            container: container.name.clone(),
            written: mapped.written,
            rule: mapped.rule,
            backing: mapped.backing,
        });
    }
    let mut warnings: Vec<String> = document
        .unknown_keys()
        .into_iter()
        .map(|key| format!("`{key}` is no field of a task definition: it is kept, and nothing reads it"))
        .collect();
    warnings.extend(ctx.engine.warnings(document.definition(), None));
    let new = NewDeploy { name, owner, document, images, created: ctx.clock.now() };
    Ok((ctx.store.deploy_create(new).await?, warnings))
}

/// One deploy.
///
/// # Errors
/// `Missing`.
pub async fn deploy_get(ctx: &Ctx<'_>, id: &DeployId) -> Result<Deploy, OpsError> {
    ctx.store.deploy_get(id).await?.ok_or_else(|| OpsError::missing(EntityRef::Deploy(id.clone())))
}

/// Takes a deploy away. A service that runs it runs on: it keeps its own copy of the definition.
///
/// # Errors
/// `Store(Missing)`.
pub async fn deploy_delete(ctx: &Ctx<'_>, id: &DeployId) -> Result<(), OpsError> {
    Ok(ctx.store.deploy_delete(id).await?)
}
