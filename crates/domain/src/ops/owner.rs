//! Whose something new is.

use super::{Ctx, OpsError};
use crate::model::access::Action;
use crate::model::name::Name;
use crate::model::owner::OwnerName;

/// The owner that something new gets: the one that was asked for; else, for an admin, none; else the only owner in which
/// the caller may do `action`.
///
/// # Errors
/// `Invalid` when there is no such owner, or several.
pub fn owner_of_new(ctx: &Ctx<'_>, asked: Option<OwnerName>, action: Action) -> Result<Option<OwnerName>, OpsError> {
    if asked.is_some() || ctx.caller.rights.are_everything() {
        return Ok(asked);
    }
    let mut owners = ctx.caller.rights.owners_with(action);
    match (owners.pop(), owners.is_empty()) {
        (Some(only), true) => Ok(Some(only)),
        (Some(last), false) => {
            let names: Vec<String> = owners.iter().chain([&last]).map(ToString::to_string).collect();
            Err(OpsError::invalid_with(
                format!("say for which owner: you may {action} in {}", names.join(" and ")),
                format!("as in `--owner {last}`"),
            ))
        }
        (None, _) => {
            let takes = match action {
                Action::Admin => "a maintainer of one",
                _ => "a member of one who may do that",
            };
            Err(OpsError::Denied {
                message: format!(
                    "there is no owner for whom you may make this: it takes {takes}, or an admin of the instance"
                ),
                hint: Some("`l0 whoami` shows whose member you are, and what your token is good for".to_owned()),
            })
        }
    }
}

/// Whose the next version of a deploy is: that of the versions before, whatever is asked for; of a new name as in
/// [`owner_of_new`].
///
/// # Errors
/// As [`owner_of_new`]; `Store`.
pub async fn owner_of_deploy(
    ctx: &Ctx<'_>,
    name: &Name,
    asked: Option<OwnerName>,
) -> Result<Option<OwnerName>, OpsError> {
    match ctx.store.deploy_owner(name).await? {
        Some(owner) if asked.is_none() => Ok(owner),
        // Another owner than the name has: the store refuses it, in words.
        _ => owner_of_new(ctx, asked, Action::Deploy),
    }
}
