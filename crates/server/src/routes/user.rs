//! `/user` and `/whoami`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::{Secret, Who};
use layer0_domain::model::name::Name;
use layer0_domain::model::person::{Person, PersonId, Subject};
use layer0_domain::model::user::{PasswordHash, User, UserChange};
use layer0_domain::ops::person::RESERVED;
use layer0_domain::port::access_store::UserAccess;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, created};
use crate::app::App;
use crate::auth::{SignedIn, refusal};
use crate::convert::{read, write};
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete)).routes(routes!(whoami))
}

fn missing(name: &str) -> ApiError {
    let shown: String = name.chars().take(80).collect();
    ApiError::new(ErrorCode::UserDoesNotExist, format!("user `{shown}` does not exist"))
}

/// A user that the caller may see: oneself, and for an admin everybody.
async fn seen(app: &App, who: &SignedIn, text: &str) -> Result<UserAccess, ApiError> {
    let name = Name::parse(text).map_err(|_| missing(text))?;
    who.about(&name);
    if who.user() != Some(&name) && !who.caller.rights.are_everything() {
        return Err(missing(text));
    }
    app.access.user_get(&name).await?.ok_or_else(|| missing(text))
}

/// The stored form of a new password.
async fn password(app: &App, text: &str) -> Result<PasswordHash, ApiError> {
    let password = Secret::new(text);
    match refusal(&password) {
        Some(why) => Err(ApiError::value(why)),
        None => Ok(app.sign_in.passwords.hash(password, app.clock.random()).await),
    }
}

/// The users that the caller may see
///
/// An admin sees all, everybody else oneself.
#[utoipa::path(get, path = "/user", operation_id = "user_list", tag = "user",
    responses((status = 200, body = Vec<wire::User>, description = "By name."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Json<Vec<wire::User>>, ApiError> {
    let mut users = Vec::new();
    for user in app.access.user_list().await? {
        if who.user() == Some(&user.name) || who.caller.rights.are_everything() {
            // Whoever was deleted in between is left out.
            users.extend(app.access.user_get(&user.name).await?.as_ref().map(write::user));
        }
    }
    Ok(Json(users))
}

/// Somebody at the provider.
fn person(app: &App, subject: &str) -> Result<Person, ApiError> {
    let provider = app.provider.as_ref();
    let provider = provider.ok_or_else(|| ApiError::value("there is no provider at which people sign in"))?;
    let subject = Subject::parse(subject).map_err(|why| ApiError::value(why.to_string()))?;
    Ok(Person::new(PersonId { issuer: provider.issuer.clone(), subject }))
}

/// Make a user
///
/// Admins only. Without a password the user signs in with tokens; with a `subject`, at the provider.
#[utoipa::path(post, path = "/user", operation_id = "user_create", tag = "user", request_body = wire::CreateUserRequest,
    responses((status = 201, body = wire::User, description = "Made."), Errors))]
async fn create(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::CreateUserRequest>,
) -> Result<Response, ApiError> {
    who.must_be_unbounded_admin()?;
    let name = read::name(&request.user_name, "a user's name")?;
    who.about(&name);
    if request.admin == Some(true) {
        who.becomes("an admin");
    }
    if request.password.is_some() {
        who.becomes("with a password");
    }
    if let Some(subject) = &request.subject {
        who.becomes(format!("{subject} at the provider"));
    }
    if RESERVED.contains(&name.as_str()) {
        return Err(ApiError::value(format!("`{name}` is kept for Layer0 itself")));
    }
    let password = match &request.password {
        Some(text) => Some(password(&app, text).await?),
        None => None,
    };
    let person = request.subject.as_deref().map(|text| person(&app, text)).transpose()?;
    let user = User { name, admin: request.admin.unwrap_or(false), password, created: app.clock.now(), person };
    app.access.user_create(&user).await?;
    Ok(created(write::user(&UserAccess { user, members: vec![] })))
}

/// One user
#[utoipa::path(get, path = "/user/{name}", operation_id = "user_get", tag = "user", params(("name" = String, Path)),
    responses((status = 200, body = wire::User, description = "The user and its places in owners."), Errors))]
async fn get(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::User>, ApiError> {
    Ok(Json(write::user(&seen(&app, &who, &text).await?)))
}

/// Change a user
///
/// One's own password with one's password or a token without scopes; everything else takes an admin.
#[utoipa::path(patch, path = "/user/{name}", operation_id = "user_update", tag = "user",
    params(("name" = String, Path)), request_body = wire::UpdateUserRequest,
    responses((status = 200, body = wire::User, description = "As it is now."), Errors))]
async fn update(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiJson(request): ApiJson<wire::UpdateUserRequest>,
) -> Result<Json<wire::User>, ApiError> {
    let found = seen(&app, &who, &text).await?;
    let own_password = who.user() == Some(&found.user.name) && who.caller.rights.are_unbounded();
    if request.admin.is_some() || !own_password {
        who.must_be_unbounded_admin()?;
        who.about(&found.user.name);
    }
    if let Some(admin) = request.admin {
        who.becomes(if admin { "an admin" } else { "no admin" });
    }
    if request.password.is_some() {
        who.becomes("with a new password");
    }
    if request.remove_password == Some(true) {
        who.becomes("without a password");
    }
    // It would open more than the provider, which may send its bearer away.
    if found.user.person.is_some() && request.password.is_some() && !who.caller.rights.are_everything() {
        let message = "whoever signs in at the provider has a password only from an admin";
        return Err(ApiError::new(ErrorCode::Forbidden, message));
    }
    // It would outlast the group.
    let is_own = who.user() == Some(&found.user.name);
    let is_lent = found.user.person.as_ref().is_some_and(|it| it.admin_by_group);
    if is_own && is_lent && (request.password.is_some() || request.admin == Some(true)) {
        let message = "whoever is an admin by a group at the provider can't make that last; another admin can";
        return Err(ApiError::new(ErrorCode::Forbidden, message));
    }
    let change = UserChange {
        admin: request.admin,
        admin_by_group: request.admin.map(|_| false),
        password: match (&request.password, request.remove_password.unwrap_or(false)) {
            (Some(_), true) => return Err(ApiError::value("a password is either set or removed")),
            (Some(text), false) => Some(Some(password(&app, text).await?)),
            (None, true) => Some(None),
            (None, false) => None,
        },
    };
    let user = app.access.user_update(&found.user.name, &change, app.clock.now()).await?;
    Ok(Json(write::user(&UserAccess { user, members: found.members })))
}

/// Delete a user
///
/// With its tokens and its places in owners: all of it opens nothing any more. Admins only.
#[utoipa::path(delete, path = "/user/{name}", operation_id = "user_delete", tag = "user",
    params(("name" = String, Path)),
    responses((status = 200, body = wire::User, description = "It is gone."), Errors))]
async fn delete(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::User>, ApiError> {
    let found = seen(&app, &who, &text).await?;
    who.must_be_unbounded_admin()?;
    app.access.user_delete(&found.user.name, app.clock.now()).await?;
    Ok(Json(write::user(&found)))
}

/// Who I am
///
/// And what the credential that was used is good for.
#[utoipa::path(get, path = "/whoami", operation_id = "whoami", tag = "user",
    responses((status = 200, body = wire::WhoAmI, description = "The caller."), Errors))]
async fn whoami(who: SignedIn, State(app): State<App>) -> Result<Json<wire::WhoAmI>, ApiError> {
    let token = match &who.caller.token {
        Some(id) => app.access.token_get(id).await?.map(|found| found.token),
        None => None,
    };
    let user = match who.user() {
        Some(name) => app.access.user_get(name).await?,
        None => None,
    };
    Ok(Json(wire::WhoAmI {
        who: who.caller.who.to_string(),
        kind: if matches!(who.caller.who, Who::Robot { .. }) { "robot" } else { "user" }.to_owned(),
        admin: user.as_ref().is_some_and(|it| it.user.admin),
        token_id: token.as_ref().map(|token| token.id.to_string()),
        scopes: token.and_then(|token| token.scopes).map(|all| all.iter().map(ToString::to_string).collect()),
        owners: user.map(|it| write::user(&it).owners).unwrap_or_default(),
    }))
}
