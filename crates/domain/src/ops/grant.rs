//! Account grants: asked for, and taken back. Making them true in ECR is the reconciler's business.

use super::{CONFLICT_RETRIES, Ctx, OpsError};
use crate::model::grant::{Grant, GrantState, GrantWish, KeptGrant};

/// All grants, in their order.
///
/// # Errors
/// `Access`.
pub async fn grant_list(ctx: &Ctx<'_>) -> Result<Vec<KeptGrant>, OpsError> {
    Ok(ctx.access.grant_list().await?)
}

/// Asks for a grant. One that is there and is being or was carried out stays as it is; one that could not be, or is being
/// taken back, begins anew.
///
/// # Errors
/// `Access(Missing)` for an owner that isn't there; `GrantConflict`.
pub async fn grant_ask(ctx: &Ctx<'_>, grant: Grant) -> Result<KeptGrant, OpsError> {
    for _ in 0..CONFLICT_RETRIES {
        let known = find(ctx, &grant).await?;
        let (wanted, read) = match known {
            None => (KeptGrant::new(grant.clone(), ctx.clock.now()), None),
            Some(known) if known.wish == GrantWish::Hold && is_good(&known.state) => return Ok(known),
            Some(known) => (known.asked_again(GrantWish::Hold, ctx.clock.now()), Some(known.generation)),
        };
        if let Some(generation) = ctx.access.grant_put(&wanted, read).await? {
            return Ok(KeptGrant { generation, ..wanted });
        }
    }
    Err(OpsError::GrantConflict { grant })
}

fn is_good(state: &GrantState) -> bool {
    match state {
        GrantState::Spreading | GrantState::Settled => true,
        GrantState::Incomplete | GrantState::Refused(_) => false,
    }
}

/// Takes a grant back. It is there until no policy names it any more.
///
/// # Errors
/// `GrantMissing`; `GrantConflict`.
pub async fn grant_take_back(ctx: &Ctx<'_>, grant: &Grant) -> Result<KeptGrant, OpsError> {
    for _ in 0..CONFLICT_RETRIES {
        let Some(known) = find(ctx, grant).await? else {
            return Err(OpsError::GrantMissing { grant: grant.clone() });
        };
        if known.wish == GrantWish::TakeBack && known.state == GrantState::Spreading {
            return Ok(known);
        }
        let wanted = known.asked_again(GrantWish::TakeBack, ctx.clock.now());
        if let Some(generation) = ctx.access.grant_put(&wanted, Some(known.generation)).await? {
            return Ok(KeptGrant { generation, ..wanted });
        }
    }
    Err(OpsError::GrantConflict { grant: grant.clone() })
}

async fn find(ctx: &Ctx<'_>, grant: &Grant) -> Result<Option<KeptGrant>, OpsError> {
    Ok(ctx.access.grant_list().await?.into_iter().find(|known| known.grant == *grant))
}
