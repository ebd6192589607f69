//! The image map: list, add, remove.

use super::{Ctx, OpsError};
use crate::model::image_map::MapRule;

/// A rule and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRule {
    /// The rule.
    pub rule: MapRule,
    /// Whether it stands in the instance's configuration and can't be removed by a command.
    pub fixed: bool,
}

/// All rules: those of the instance first, then those that users added.
///
/// # Errors
/// `Store`.
pub async fn map_list(ctx: &Ctx<'_>) -> Result<Vec<ListedRule>, OpsError> {
    let user = ctx.store.map_list().await?;
    let fixed = ctx.fixed_rules.iter().cloned().map(|rule| ListedRule { rule, fixed: true });
    Ok(fixed.chain(user.into_iter().map(|rule| ListedRule { rule, fixed: false })).collect())
}

/// Adds a rule. The same rule again is no error. The target `ecr` becomes the address of the instance's own registry.
///
/// # Errors
/// `MapRule` for `ecr` where there is none; `Map` when it does not go together with the others; `MapConflict` when they change meanwhile.
pub async fn map_add(ctx: &Ctx<'_>, rule: MapRule) -> Result<ListedRule, OpsError> {
    let rule = rule.in_backing(&ctx.registry.places).map_err(OpsError::MapRule)?;
    let read = ctx.store.map_list().await?;
    if let Some(known) = map_list(ctx).await?.into_iter().find(|known| known.rule == rule) {
        return Ok(known);
    }
    let mut write = read.clone();
    write.push(rule.clone());
    ctx.combined_map(&write).map_err(OpsError::Map)?;
    if ctx.store.map_replace(&read, &write).await? {
        Ok(ListedRule { rule, fixed: false })
    } else {
        Err(OpsError::MapConflict)
    }
}

/// Removes the rule with this prefix. Deploys keep what their images became.
///
/// # Errors
/// `MapRuleMissing`; `MapConflict`.
pub async fn map_remove(ctx: &Ctx<'_>, prefix: &str) -> Result<ListedRule, OpsError> {
    let read = ctx.store.map_list().await?;
    let Some(rule) = read.iter().find(|rule| rule.prefix() == prefix).cloned() else {
        let fixed = ctx.fixed_rules.iter().any(|rule| rule.prefix() == prefix);
        return Err(OpsError::MapRuleMissing { prefix: prefix.to_owned(), fixed });
    };
    let write: Vec<MapRule> = read.iter().filter(|known| **known != rule).cloned().collect();
    if ctx.store.map_replace(&read, &write).await? {
        Ok(ListedRule { rule, fixed: false })
    } else {
        Err(OpsError::MapConflict)
    }
}
