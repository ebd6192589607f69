//! `/owner`: owners and the rules for their tags.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::{Action, Place};
use layer0_domain::model::glob::Glob;
use layer0_domain::model::owner::{Owner, OwnerName, OwnerRule, TagRule, rule_take};
use layer0_domain::model::retention::RetentionRule;
use layer0_domain::port::access_store::{OwnerChange, OwnerUse};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, created};
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::{read, write};
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath, ApiQuery};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(rule_add, rule_remove))
        .routes(routes!(retention_add, retention_remove))
}

/// More rules than this are no rules any more, and every push reads them.
const RULES_MAX: usize = 100;

/// The most exceptions of a rule, for the same reason.
const EXCEPTIONS_MAX: usize = 20;

fn missing(name: &str) -> ApiError {
    let shown: String = name.chars().take(80).collect();
    ApiError::new(ErrorCode::OwnerDoesNotExist, format!("owner `{shown}` does not exist"))
        .hint("`l0 owner list` shows those that you may see")
}

/// Whether the caller has any business with an owner: a place in it, or a right to something that it has.
fn sees(who: &SignedIn, owner: &OwnerName) -> bool {
    who.may(Action::Pull, Place::owner(owner)) || who.caller.rights.has_part_in(owner)
}

/// An owner that the caller may see.
pub(super) async fn seen(app: &App, who: &SignedIn, text: &str) -> Result<OwnerUse, ApiError> {
    let name = OwnerName::parse(text).map_err(|_| missing(text))?;
    who.about(&name);
    if !sees(who, &name) {
        return Err(missing(text));
    }
    app.access.owner_get(&name).await?.ok_or_else(|| missing(text))
}

/// An owner that the caller maintains.
pub(super) async fn maintained(app: &App, who: &SignedIn, text: &str) -> Result<Owner, ApiError> {
    let owner = seen(app, who, text).await?.owner;
    who.must(Action::Admin, Place::owner(&owner.name))?;
    Ok(owner)
}

/// The owners that the caller may see
#[utoipa::path(get, path = "/owner", operation_id = "owner_list", tag = "owner",
    responses((status = 200, body = Vec<wire::Owner>, description = "By name."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Json<Vec<wire::Owner>>, ApiError> {
    let all = app.access.owner_list().await?;
    Ok(Json(all.iter().filter(|it| sees(&who, &it.owner.name)).map(write::owner).collect()))
}

/// A number of bytes.
fn quota(bytes: i64) -> Result<u64, ApiError> {
    u64::try_from(bytes).map_err(|_| ApiError::value(format!("quota_bytes must be 0 or more, not {bytes}")))
}

/// Make an owner
///
/// Admins only.
#[utoipa::path(post, path = "/owner", operation_id = "owner_create", tag = "owner",
    request_body = wire::CreateOwnerRequest,
    responses((status = 201, body = wire::Owner, description = "Made."), Errors))]
async fn create(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::CreateOwnerRequest>,
) -> Result<Response, ApiError> {
    who.must_administer()?;
    let name = read::owner_name(&request.owner_name)?;
    who.about(&name);
    let quota_bytes = request.quota_bytes.map(quota).transpose()?;
    if let Some(bytes) = quota_bytes {
        who.becomes(format!("quota {bytes} bytes"));
    }
    let owner = Owner { name, created: app.clock.now(), quota_bytes, tag_rules: vec![], retention: vec![] };
    app.access.owner_create(&owner).await?;
    Ok(created(write::owner(&OwnerUse { owner, used_bytes: 0, repositories: 0 })))
}

/// One owner
#[utoipa::path(get, path = "/owner/{owner}", operation_id = "owner_get", tag = "owner", params(("owner" = String, Path)),
    responses((status = 200, body = wire::Owner, description = "The owner and what it uses."), Errors))]
async fn get(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::Owner>, ApiError> {
    Ok(Json(write::owner(&seen(&app, &who, &text).await?)))
}

/// Change an owner
///
/// Its quota; admins only. A quota below what is used keeps what is there and takes nothing more.
#[utoipa::path(patch, path = "/owner/{owner}", operation_id = "owner_update", tag = "owner",
    params(("owner" = String, Path)), request_body = wire::UpdateOwnerRequest,
    responses((status = 200, body = wire::Owner, description = "As it is now."), Errors))]
async fn update(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiJson(request): ApiJson<wire::UpdateOwnerRequest>,
) -> Result<Json<wire::Owner>, ApiError> {
    let found = seen(&app, &who, &text).await?;
    who.must_administer()?;
    who.about(&found.owner.name);
    let quota_bytes = match (request.quota_bytes, request.remove_quota.unwrap_or(false)) {
        (Some(_), true) => return Err(ApiError::value("a quota is either set or removed")),
        (Some(bytes), false) => Some(Some(quota(bytes)?)),
        (None, true) => Some(None),
        (None, false) => None,
    };
    match quota_bytes {
        Some(Some(bytes)) => who.becomes(format!("quota {bytes} bytes")),
        Some(None) => who.becomes("no quota"),
        None => {}
    }
    let changed = app.access.owner_update(&found.owner.name, &OwnerChange { quota_bytes }).await?;
    Ok(Json(write::owner(&changed)))
}

/// Delete an owner
///
/// With its members and its robots' tokens. Refused while it has repositories, environments or deploys. Admins only.
#[utoipa::path(delete, path = "/owner/{owner}", operation_id = "owner_delete", tag = "owner",
    params(("owner" = String, Path)),
    responses((status = 200, body = wire::Owner, description = "It is gone."), Errors))]
async fn delete(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::Owner>, ApiError> {
    let found = seen(&app, &who, &text).await?;
    who.must_administer()?;
    who.about(&found.owner.name);
    app.access.owner_delete(&found.owner.name).await?;
    Ok(Json(write::owner(&found)))
}

/// Which rule.
#[derive(Debug, Deserialize)]
struct Which {
    repositories: Option<String>,
    tags: Option<String>,
}

/// The repositories and tags that a rule is about: all, where nothing is said.
fn which(repositories: Option<&str>, tags: Option<&str>) -> Result<(Glob, Glob), ApiError> {
    Ok((read::glob(repositories.unwrap_or("*"), "repositories")?, read::glob(tags.unwrap_or("*"), "tags")?))
}

/// Demands that there is room for a rule of a kind; there is for one that takes the place of another.
fn may_grow<R: OwnerRule>(rules: &[R], rule: &R, kind: &str) -> Result<(), ApiError> {
    if rules.len() >= RULES_MAX && rules.iter().all(|other| other.about() != rule.about()) {
        return Err(ApiError::value(format!("an owner may have {RULES_MAX} {kind}")));
    }
    Ok(())
}

/// Make tags immutable
///
/// A tag that fits, once pushed, can neither be moved nor deleted, but for those that fit `except`. A rule with the same
/// repositories and tags is replaced.
#[utoipa::path(post, path = "/owner/{owner}/immutable", operation_id = "tag_rule_add", tag = "owner",
    params(("owner" = String, Path)), request_body = wire::AddTagRuleRequest,
    responses((status = 201, body = wire::TagRule, description = "The rule."), Errors))]
async fn rule_add(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiJson(request): ApiJson<wire::AddTagRuleRequest>,
) -> Result<Response, ApiError> {
    let owner = maintained(&app, &who, &text).await?;
    if request.except.len() > EXCEPTIONS_MAX {
        return Err(ApiError::value(format!("a rule may have {EXCEPTIONS_MAX} exceptions")));
    }
    let (repositories, tags) = which(request.repositories.as_deref(), request.tags.as_deref())?;
    let rule = TagRule {
        repositories,
        tags,
        except: request.except.iter().map(|text| read::glob(text, "except")).collect::<Result<_, _>>()?,
    };
    may_grow(&owner.tag_rules, &rule, "rules")?;
    who.about(format!("{}/{rule}", owner.name));
    app.access.tag_rule_put(&owner.name, &rule).await?;
    Ok(created(write::tag_rule(&rule)))
}

/// Make tags movable again
#[utoipa::path(delete, path = "/owner/{owner}/immutable", operation_id = "tag_rule_remove", tag = "owner",
    params(("owner" = String, Path), ("repositories" = Option<String>, Query), ("tags" = Option<String>, Query)),
    responses((status = 200, body = wire::TagRule, description = "The rule that is gone."), Errors))]
async fn rule_remove(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiQuery(gone): ApiQuery<Which>,
) -> Result<Json<wire::TagRule>, ApiError> {
    let mut owner = maintained(&app, &who, &text).await?;
    let (repositories, tags) = which(gone.repositories.as_deref(), gone.tags.as_deref())?;
    who.about(format!("{}/{repositories}:{tags}", owner.name));
    app.access.tag_rule_delete(&owner.name, &repositories, &tags).await?;
    let gone = rule_take(&mut owner.tag_rules, &repositories, &tags);
    Ok(Json(write::tag_rule(&gone.unwrap_or(TagRule { repositories, tags, except: vec![] }))))
}

/// Say which images are kept
///
/// Tags that fit go when they are neither among the last nor young enough, unless another rule keeps them; tags that no rule fits are kept.
/// What a service or task runs, and what is immutable, is kept whatever a rule says. They go with the daily collection; `GET /admin/gc`
/// shows them before. A rule with the same repositories and tags is replaced.
#[utoipa::path(post, path = "/owner/{owner}/retention", operation_id = "retention_rule_add", tag = "owner",
    params(("owner" = String, Path)), request_body = wire::RetentionRule,
    responses((status = 201, body = wire::RetentionRule, description = "The rule."), Errors))]
async fn retention_add(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiJson(request): ApiJson<wire::RetentionRule>,
) -> Result<Response, ApiError> {
    let owner = maintained(&app, &who, &text).await?;
    let (repositories, tags) = which(request.repositories.as_deref(), request.tags.as_deref())?;
    let rule = RetentionRule {
        repositories,
        tags,
        keep_last: request.keep_last,
        keep_hours: request.keep_hours,
        untagged_hours: request.untagged_hours,
    };
    rule.check().map_err(|why| ApiError::value(why.to_string()))?;
    may_grow(&owner.retention, &rule, "retention rules")?;
    who.about(format!("{}/{rule}", owner.name));
    app.access.retention_rule_put(&owner.name, &rule).await?;
    Ok(created(write::retention_rule(&rule)))
}

/// Take a rule about kept images away
#[utoipa::path(delete, path = "/owner/{owner}/retention", operation_id = "retention_rule_remove", tag = "owner",
    params(("owner" = String, Path), ("repositories" = Option<String>, Query), ("tags" = Option<String>, Query)),
    responses((status = 200, body = wire::RetentionRule, description = "The rule that is gone."), Errors))]
async fn retention_remove(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiQuery(gone): ApiQuery<Which>,
) -> Result<Json<wire::RetentionRule>, ApiError> {
    let mut owner = maintained(&app, &who, &text).await?;
    let (repositories, tags) = which(gone.repositories.as_deref(), gone.tags.as_deref())?;
    who.about(format!("{}/{repositories}:{tags}", owner.name));
    app.access.retention_rule_delete(&owner.name, &repositories, &tags).await?;
    let gone = rule_take(&mut owner.retention, &repositories, &tags);
    let unread = RetentionRule { repositories, tags, keep_last: None, keep_hours: None, untagged_hours: None };
    Ok(Json(write::retention_rule(&gone.unwrap_or(unread))))
}
