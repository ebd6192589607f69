//! `/token`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::Secret;
use layer0_domain::model::id::TokenId;
use layer0_domain::model::name::Name;
use layer0_domain::ops::token::{self, DEFAULT_DAYS, Expiry};
use layer0_domain::port::store::TokenDelete;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, created};
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::{read, write};
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath};
use crate::text_time::{rfc3339, rfc3339_or_empty};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// The longest life of a token in days: ten years. Whoever wants longer wants `never`.
const DAYS_MAX: i64 = 3650;

/// All tokens
#[utoipa::path(get, path = "/token", operation_id = "token_list", tag = "token",
    responses((status = 200, body = Vec<wire::TokenSummary>, description = "The oldest first; never a secret."), Errors))]
async fn list(_: SignedIn, State(app): State<App>) -> Result<Json<Vec<wire::TokenSummary>>, ApiError> {
    let all = app.store.token_list().await?;
    Ok(Json(all.iter().map(write::token).collect()))
}

/// Make a token
///
/// The only time its secret is shown.
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
    let (made, secret) = token::token_create(&app.ctx(), who.user.clone(), name, expiry).await?;
    Ok(created(wire::CreateTokenResponse {
        token: basic(&who.user, &secret),
        token_id: made.id.to_string(),
        user: who.user.to_string(),
        secret: secret.expose().to_owned(),
        name: made.name.to_string(),
        expires: rfc3339_or_empty(made.expires),
    }))
}

/// base64 of `user:secret`.
pub(crate) fn basic(user: &Name, secret: &Secret) -> String {
    STANDARD.encode(format!("{user}:{}", secret.expose()))
}

/// Revoke a token
///
/// By its id. The predecessor's form, the token itself (base64 of `user:secret`), is understood too. The last token that
/// has not expired stays (409): without it nobody could sign in any more.
#[utoipa::path(delete, path = "/token/{id}", operation_id = "token_revoke", tag = "token", params(("id" = String, Path)),
    responses((status = 200, body = wire::TokenSummary, description = "It opens nothing any more."), Errors))]
async fn revoke(
    _: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::TokenSummary>, ApiError> {
    let missing =
        || ApiError::new(ErrorCode::TokenDoesNotExist, "there is no such token").hint("`l0 token list` shows all");
    let by_secret = STANDARD.decode(&text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let id = match by_secret.as_deref().and_then(|text| text.split_once(':')) {
        Some((_, secret)) => {
            let found = app.store.token_find(&token::hash(&Secret::new(secret))).await?;
            found.ok_or_else(missing)?.id
        }
        None => TokenId::parse(&text).map_err(|_| missing())?,
    };
    match token::token_revoke(&app.ctx(), &id).await? {
        TokenDelete::Gone(token) => Ok(Json(write::token(&token))),
        TokenDelete::Missing => Err(missing()),
        TokenDelete::LastLive => {
            let message = "this is the last token that opens anything; without it nobody could sign in any more";
            Err(ApiError::new(ErrorCode::DependencyError, message).hint("make another one first: `l0 token create`"))
        }
    }
}
