//! `/owner/{owner}/trust`, and the exchange of what a trust asks for (`/token/exchange`).

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::{Caller, Rights, Who};
use layer0_domain::model::name::Name;
use layer0_domain::ops::trust as ops;
use layer0_domain::plan::trust::{Identity, NoTrust, choose, shown};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::owner::maintained;
use super::stranger::{self, Stranger};
use super::{Errors, created, token};
use crate::app::App;
use crate::auth::{SignedIn, Trail};
use crate::convert::trust as convert;
use crate::error::{ApiError, chain};
use crate::exchange::Unproven;
use crate::extract::{ApiJson, ApiPath};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(delete)).routes(routes!(exchange))
}

/// The trusts of an owner
///
/// Who from elsewhere gets tokens of its robots, without a secret. Maintainers of the owner, and admins.
#[utoipa::path(get, path = "/owner/{owner}/trust", operation_id = "trust_list", tag = "owner",
    params(("owner" = String, Path)),
    responses((status = 200, body = Vec<wire::Trust>, description = "By name."), Errors))]
async fn list(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(owner): ApiPath<String>,
) -> Result<Json<Vec<wire::Trust>>, ApiError> {
    let owner = maintained(&app, &who, &owner).await?.name;
    let all = app.access.trust_list().await?;
    Ok(Json(all.iter().filter(|it| it.owner == owner).map(convert::trust).collect()))
}

/// Make a trust
///
/// Tokens of an issuer of OpenID Connect that say all of `claims`, or requests that a principal of AWS signed, are from then on
/// exchanged for tokens of the robot (`POST /token/exchange`). They open `scopes`, which must be the owner's and no more than
/// the caller's, and never `admin`. Maintainers of the owner, and admins.
#[utoipa::path(post, path = "/owner/{owner}/trust", operation_id = "trust_create", tag = "owner",
    params(("owner" = String, Path)), request_body = wire::CreateTrustRequest,
    responses((status = 201, body = wire::Trust, description = "Made."), Errors))]
async fn create(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(owner): ApiPath<String>,
    ApiJson(request): ApiJson<wire::CreateTrustRequest>,
) -> Result<Response, ApiError> {
    let owner = maintained(&app, &who, &owner).await?.name;
    let new = convert::new_trust(owner, &request)?;
    who.about(format!("trust {}/{} for {}", new.owner, new.name, new.evidence));
    let made = ops::trust_create(&app.ctx(&who.caller), new).await?;
    Ok(created(convert::trust(&made)))
}

/// Take a trust away
///
/// The tokens that it gave open nothing from then on. Maintainers of the owner, and admins.
#[utoipa::path(delete, path = "/owner/{owner}/trust/{name}", operation_id = "trust_delete", tag = "owner",
    params(("owner" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = wire::Trust, description = "The trust that was."), Errors))]
async fn delete(
    who: SignedIn,
    State(app): State<App>,
    ApiPath((owner, name)): ApiPath<(String, String)>,
) -> Result<Json<wire::Trust>, ApiError> {
    let owner = maintained(&app, &who, &owner).await?.name;
    let name = Name::parse(&name).map_err(|_| {
        ApiError::new(ErrorCode::TrustDoesNotExist, format!("`{owner}` has no such trust"))
            .hint(format!("`l0 trust list {owner}` shows all"))
    })?;
    who.about(format!("trust {owner}/{name}"));
    Ok(Json(convert::trust(&app.access.trust_delete(&owner, &name).await?)))
}

/// Get a token for what you can show
///
/// For pipelines: a token of OpenID Connect, or a signed request to AWS, made for this server, is exchanged for a token of the robot
/// whose trust fits. No credential is needed. The token is as any other, and ends soon by itself.
#[utoipa::path(post, path = "/token/exchange", operation_id = "token_exchange", tag = "token", security(()),
    request_body = wire::ExchangeTokenRequest,
    responses((status = 201, body = wire::CreateTokenResponse, description = "The token with its secret."), Errors))]
async fn exchange(
    State(app): State<App>,
    stranger: Stranger,
    trail: Option<Extension<Trail>>,
    body: Body,
) -> Result<Response, ApiError> {
    stranger.count(&app, "exchanges")?;
    let request: wire::ExchangeTokenRequest = stranger::body(body).await?;
    let named = request.trust.as_deref().map(convert::trust_name).transpose()?;
    let minutes = request.minutes.map(convert::minutes).transpose()?;
    let trusts = app.access.trust_list().await?;
    let shown_evidence = match (request.oidc_token, request.aws) {
        (Some(token), None) => app.exchange.of_token(&token, &trusts).await,
        (None, Some(call)) => app.exchange.of_call(call).await,
        _ => return Err(ApiError::value("show either `oidc_token` or `aws`")),
    };
    let identity = match shown_evidence {
        Ok(identity) => identity,
        Err(Unproven::Refused(why)) => {
            app.sign_in.refused_elsewhere("token_exchange", "(exchange)", stranger.from).await;
            return Err(unauthorized(why));
        }
        Err(unavailable @ Unproven::Unavailable { .. }) => {
            tracing::warn!(error = chain(&unavailable), "it can't be found out who somebody is");
            return Err(ApiError::new(ErrorCode::EngineUnavailable, unavailable.to_string()).hint("try again"));
        }
    };
    let trust = match choose(&trusts, &identity, named.as_ref().map(|(owner, name)| (owner, name))) {
        Ok(trust) => trust,
        Err(why @ NoTrust::Several { .. }) => {
            return Err(ApiError::value(why.to_string()).hint("`--trust OWNER/NAME` says which"));
        }
        Err(why @ (NoTrust::None { .. } | NoTrust::Audience { .. })) => {
            app.sign_in.refused_elsewhere("token_exchange", &identity.to_string(), stranger.from).await;
            return Err(
                unauthorized(why.to_string()).hint("`l0 trust list OWNER` shows its maintainers whom it lets in")
            );
        }
    };
    let (given, secret) = ops::token_exchange(&app.ctx(&Caller::anonymous()), trust, minutes).await?;
    if let Some(Extension(trail)) = trail {
        let who = Who::Robot { owner: trust.owner.clone(), name: trust.name.clone() };
        let rights = Rights::scopes(trust.scopes.clone());
        trail.by(Caller { who, token: Some(given.id.clone()), rights }, target(&identity));
    }
    Ok(created(token::shown(&given, &secret)))
}

/// Who it was, for the audit log.
fn target(identity: &Identity) -> String {
    shown(&format!("for {identity}"))
}

fn unauthorized(why: String) -> ApiError {
    ApiError::new(ErrorCode::Unauthorized, why)
}
