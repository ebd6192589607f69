//! `/owner/{owner}/member`: users' places in owners.

use axum::Json;
use axum::extract::State;
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::{Action, Place};
use layer0_domain::model::name::Name;
use layer0_domain::model::owner::{Member, Role};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Errors;
use super::owner::seen;
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::{read, write};
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(put, delete))
}

/// The members of an owner
///
/// Every member may see who the others are.
#[utoipa::path(get, path = "/owner/{owner}/member", operation_id = "member_list", tag = "owner",
    params(("owner" = String, Path)),
    responses((status = 200, body = Vec<wire::Member>, description = "By name."), Errors))]
async fn list(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(owner): ApiPath<String>,
) -> Result<Json<Vec<wire::Member>>, ApiError> {
    let owner = seen(&app, &who, &owner).await?.owner.name;
    let all = app.access.member_list(&owner).await?;
    Ok(Json(all.iter().map(write::member).collect()))
}

/// Give a user a place in an owner, or change it
///
/// Maintainers of the owner, and admins. A maintainer whose own right to tags is bounded may not give more than that.
#[utoipa::path(put, path = "/owner/{owner}/member/{user}", operation_id = "member_put", tag = "owner",
    params(("owner" = String, Path), ("user" = String, Path)), request_body = wire::PutMemberRequest,
    responses((status = 200, body = wire::Member, description = "The member."), Errors))]
async fn put(
    who: SignedIn,
    State(app): State<App>,
    ApiPath((owner, user)): ApiPath<(String, String)>,
    ApiJson(request): ApiJson<wire::PutMemberRequest>,
) -> Result<Json<wire::Member>, ApiError> {
    let owner = seen(&app, &who, &owner).await?.owner.name;
    who.must(Action::Admin, Place::owner(&owner))?;
    let user = read::name(&user, "a user's name")?;
    who.about(format!("{user} in {owner}"));
    let role = Role::parse(&request.role)
        .ok_or_else(|| ApiError::value(format!("role must be reader, writer or maintainer, not `{}`", request.role)))?;
    let tags = match request.tags.as_deref() {
        None | Some("") => None,
        Some(text) => Some(read::glob(text, "tags")?).filter(|tags| !tags.is_everything()),
    };
    who.becomes(role);
    if let Some(tags) = &tags {
        who.becomes(format!("tags {tags}"));
    }
    let member = Member { owner, user, role, tags, since: app.clock.now(), by_group: false };
    may_give(&who, &member)?;
    if who.user() == Some(&member.user) && is_right_by_group(&app, &member).await? {
        let message =
            "what somebody may do by a group at the provider can't be made to last by oneself; another maintainer can";
        return Err(ApiError::new(ErrorCode::Forbidden, message));
    }
    app.access.member_put(&member).await?;
    let all = app.access.member_list(&member.owner).await?;
    let now = all.into_iter().find(|it| it.user == member.user).unwrap_or(member);
    Ok(Json(write::member(&now)))
}

/// Whether a user may give places in the owner only by groups at the provider: what such a one gave oneself would outlast them, be
/// there a place of a group now or not.
async fn is_right_by_group(app: &App, member: &Member) -> Result<bool, ApiError> {
    let Some(found) = app.access.user_get(&member.user).await? else { return Ok(false) };
    let Some(person) = &found.user.person else { return Ok(false) };
    let is_by_hand = |it: &Member| it.owner == member.owner && it.role == Role::Maintainer && !it.by_group;
    let is_admin_by_hand = found.user.admin && !person.admin_by_group;
    Ok(!is_admin_by_hand && !found.members.iter().any(is_by_hand))
}

/// Nobody gives more than they have.
fn may_give(who: &SignedIn, member: &Member) -> Result<(), ApiError> {
    let scope =
        layer0_domain::model::access::Scope::of_owner(member.role.actions(), member.owner.clone(), member.tags.clone());
    if who.caller.rights.cover(&scope) {
        return Ok(());
    }
    let message =
        format!("{} may not give a {} of {} more than the own right", who.caller.who, member.role, member.owner);
    Err(ApiError::new(ErrorCode::Forbidden, message)
        .hint("a right that is bounded to tags or scopes can only be given with the same bounds"))
}

/// Take a user's place in an owner away
///
/// It ends the user's access through it at once. Maintainers of the owner, admins, and for themselves everybody.
#[utoipa::path(delete, path = "/owner/{owner}/member/{user}", operation_id = "member_delete", tag = "owner",
    params(("owner" = String, Path), ("user" = String, Path)),
    responses((status = 200, body = wire::Member, description = "The member that was."), Errors))]
async fn delete(
    who: SignedIn,
    State(app): State<App>,
    ApiPath((owner, user)): ApiPath<(String, String)>,
) -> Result<Json<wire::Member>, ApiError> {
    let owner = seen(&app, &who, &owner).await?.owner.name;
    let missing = || ApiError::new(ErrorCode::MemberDoesNotExist, format!("`{owner}` has no such member"));
    let user = Name::parse(&user).map_err(|_| missing())?;
    let leaves = who.user() == Some(&user) && who.caller.rights.are_unbounded();
    if !leaves {
        who.must(Action::Admin, Place::owner(&owner))?;
    }
    who.about(format!("{user} in {owner}"));
    let all = app.access.member_list(&owner).await?;
    let member = all.into_iter().find(|it| it.user == user).ok_or_else(missing)?;
    app.access.member_delete(&owner, &user).await?;
    Ok(Json(write::member(&member)))
}
