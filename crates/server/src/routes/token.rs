//! `/token`.

use axum::Json;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::{Action, Place, Secret, Subject, Token};
use layer0_domain::model::id::TokenId;
use layer0_domain::model::name::Name;
use layer0_domain::ops::token::{self, DEFAULT_DAYS, Expiry, NewToken};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, created};
use crate::app::App;
use crate::auth::{Claims, REGISTRY_CREDENTIAL_MINUTES, REGISTRY_CREDENTIAL_MINUTES_MAX, SignedIn};
use crate::convert::{read, write};
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath, ApiQuery};
use crate::text_time::{rfc3339, rfc3339_or_empty};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(registry))
        .routes(routes!(rotate))
        .routes(routes!(revoke))
}

/// The longest life of a token in days: ten years. Whoever wants longer wants `never`.
const DAYS_MAX: i64 = 3650;

/// The tokens that the caller may see
///
/// One's own, and those of the robots of owners that one administers; an admin sees all.
#[utoipa::path(get, path = "/token", operation_id = "token_list", tag = "token",
    responses((status = 200, body = Vec<wire::TokenSummary>, description = "The oldest first; never a secret."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Json<Vec<wire::TokenSummary>>, ApiError> {
    let all = app.access.token_list().await?;
    Ok(Json(all.iter().filter(|token| is_seen(&who, token)).map(write::token).collect()))
}

/// Whether a token is the caller's to see.
fn is_seen(who: &SignedIn, token: &Token) -> bool {
    let mine = who.caller.token.as_ref() == Some(&token.id);
    mine || match &token.subject {
        Subject::User(user) => who.user() == Some(user) || who.caller.rights.are_everything(),
        Subject::Owner(owner) => who.may(Action::Admin, Place::owner(owner)),
    }
}

/// Demands that a token is the caller's to change. With a token that has scopes one can change that token itself and
/// nothing else of one's own: whoever finds it must not be able to shut its user out.
fn may_change(who: &SignedIn, token: &Token) -> Result<(), ApiError> {
    let mine = who.caller.token.as_ref() == Some(&token.id);
    let may = mine
        || match &token.subject {
            Subject::User(user) => {
                who.caller.rights.are_everything() || (who.user() == Some(user) && who.caller.rights.are_unbounded())
            }
            Subject::Owner(owner) => who.may(Action::Admin, Place::owner(owner)),
        };
    if may {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::Forbidden, "with a token that has scopes only that token itself can be changed"))
}

/// Make a token
///
/// For oneself; for another user (`user`; admins only); for a robot of an owner (`owner`, whose maintainers may). The only
/// time its secret is shown.
#[utoipa::path(post, path = "/token", operation_id = "token_create", tag = "token", request_body = wire::CreateTokenRequest,
    responses((status = 201, body = wire::CreateTokenResponse, description = "The token with its secret."), Errors))]
async fn create(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::CreateTokenRequest>,
) -> Result<Response, ApiError> {
    let name: Name = match request.name.as_deref() {
        Some(text) => read::name(text, "a token's name")?,
        None => read::name(&format!("token-{}", &rfc3339(app.clock.now())[..10]), "a token's name")?,
    };
    let expiry = match request.expires_days {
        None => Expiry::Days(DEFAULT_DAYS),
        Some(0) => Expiry::Never,
        Some(days) => match u32::try_from(days) {
            Ok(days) if i64::from(days) <= DAYS_MAX => Expiry::Days(days),
            _ => return Err(ApiError::value(format!("expires_days must be 0 (never) to {DAYS_MAX}, not {days}"))),
        },
    };
    let subject = match (request.owner.as_deref(), request.user.as_deref()) {
        (Some(_), Some(_)) => return Err(ApiError::value("a token belongs to an owner or to a user, not to both")),
        (Some(owner), None) => {
            let owner = read::owner_name(owner)?;
            who.must(Action::Admin, Place::owner(&owner))?;
            Subject::Owner(owner)
        }
        (None, Some(user)) => {
            let user = read::name(user, "a user's name")?;
            if who.user() != Some(&user) {
                who.must_be_unbounded_admin()?;
            }
            Subject::User(user)
        }
        (None, None) => match who.user() {
            Some(user) => Subject::User(user.clone()),
            None => return Err(ApiError::value("a robot makes tokens for its owner only: name the owner")),
        },
    };
    let scopes = match &request.scopes {
        Some(scopes) if !scopes.is_empty() => Some(read::scopes(scopes)?),
        _ => None,
    };
    let (made, secret) = token::token_create(&app.ctx(&who.caller), NewToken { subject, name, scopes, expiry }).await?;
    who.about(format!("token {} of {}", made.id, made.sign_in_name()));
    for scope in made.scopes.iter().flatten() {
        who.becomes(scope);
    }
    Ok(created(shown(&made, &secret)))
}

/// A token with its secret, for the only time.
pub(super) fn shown(token: &Token, secret: &Secret) -> wire::CreateTokenResponse {
    let wire::TokenSummary { owner, scopes, .. } = write::token(token);
    wire::CreateTokenResponse {
        token: basic(&token.sign_in_name(), secret),
        token_id: token.id.to_string(),
        user: token.sign_in_name(),
        secret: secret.expose().to_owned(),
        name: token.name.to_string(),
        expires: rfc3339_or_empty(token.expires),
        owner,
        scopes,
    }
}

/// base64 of `name:secret`.
pub(crate) fn basic(name: &str, secret: &Secret) -> String {
    STANDARD.encode(format!("{name}:{}", secret.expose()))
}

/// Make a credential for the registry that ends by itself
///
/// User name and password for `docker login`, or for a credential helper to hand out. It opens what the caller may do in
/// the registry (pull, push, delete) and nothing of this API, and ends with the token or password that it was made with.
/// Nothing is stored.
#[utoipa::path(get, path = "/token/registry", operation_id = "token_registry", tag = "token",
    params(("minutes" = Option<i64>, Query)),
    responses((status = 200, body = wire::RegistryCredential, description = "The credential."), Errors))]
async fn registry(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(query): ApiQuery<wire::RegistryCredentialQuery>,
) -> Result<Response, ApiError> {
    let minutes = query.minutes.unwrap_or(REGISTRY_CREDENTIAL_MINUTES);
    if !(1..=REGISTRY_CREDENTIAL_MINUTES_MAX).contains(&minutes) {
        let message = format!("minutes must be 1 to {REGISTRY_CREDENTIAL_MINUTES_MAX}, not {minutes}");
        return Err(ApiError::value(message));
    }
    let Some(session) = who.session.clone() else {
        return Err(ApiError::new(
            ErrorCode::Forbidden,
            "only a token or a password makes a credential for the registry",
        ));
    };
    let expires = app.clock.now().plus_ms(minutes * 60 * 1000);
    let claims = Claims { session: Some(session), access: vec![], expires, refresh: false, registry: true };
    let made = wire::RegistryCredential {
        user: who.caller.who.to_string(),
        secret: app.keys.sign_registry(&claims).expose().to_owned(),
        expires: rfc3339(expires),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

/// The token that a path names: by its id, or (the predecessor's form) by the token itself. One that the caller may not
/// see is not there.
async fn find(app: &App, who: &SignedIn, text: &str) -> Result<Token, ApiError> {
    let missing = || {
        ApiError::new(ErrorCode::TokenDoesNotExist, "there is no such token")
            .hint("a token goes by its id, which stands first in `l0 token list`")
    };
    let by_secret = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let found = match by_secret.as_deref().and_then(|text| text.split_once(':')) {
        Some((_, secret)) => app.access.token_find(&token::hash(&Secret::new(secret))).await?,
        None => app.access.token_get(&TokenId::parse(text).map_err(|_| missing())?).await?,
    };
    let token = found.map(|found| found.token).filter(|token| is_seen(who, token)).ok_or_else(missing)?;
    who.about(format!("token {} of {}", token.id, token.sign_in_name()));
    may_change(who, &token)?;
    Ok(token)
}

/// Give a token a new secret
///
/// It lives as long again as it did; the old secret opens nothing any more. The only time the new one is shown.
#[utoipa::path(post, path = "/token/{id}/rotate", operation_id = "token_rotate", tag = "token",
    params(("id" = String, Path)),
    responses((status = 200, body = wire::CreateTokenResponse, description = "The token with its new secret."), Errors))]
async fn rotate(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::CreateTokenResponse>, ApiError> {
    let token = find(&app, &who, &text).await?;
    let (rotated, secret) = token::token_rotate(&app.ctx(&who.caller), &token).await?;
    Ok(Json(shown(&rotated, &secret)))
}

/// Revoke a token
///
/// By its id. The predecessor's form, the token itself (base64 of `user:secret`), is understood too. The last way in for an
/// admin stays (409).
#[utoipa::path(delete, path = "/token/{id}", operation_id = "token_revoke", tag = "token", params(("id" = String, Path)),
    responses((status = 200, body = wire::TokenSummary, description = "It opens nothing any more."), Errors))]
async fn revoke(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::TokenSummary>, ApiError> {
    let token = find(&app, &who, &text).await?;
    let gone = token::token_revoke(&app.ctx(&who.caller), &token.id).await?;
    Ok(Json(write::token(&gone)))
}
