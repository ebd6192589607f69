//! `/auth/device`: people sign in at the provider, by the device flow.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::{Caller, Rights, Subject, Who};
use layer0_domain::ops::OpsError;
use layer0_domain::ops::person::{PersonSignedIn, person_sign_in};
use layer0_domain::plan::trust::shown;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::stranger::{self, Stranger};
use super::{Errors, token};
use crate::app::App;
use crate::auth::Trail;
use crate::config::ProviderConfig;
use crate::convert::read;
use crate::error::{ApiError, chain};
use crate::exchange::{DeviceBegun, Standing, Unproven};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(begin)).routes(routes!(ask))
}

/// What the token of a sign-in is called when nothing is said.
const TOKEN_NAME: &str = "l0-login";

/// The longest code of a provider. They have some hundred characters at most.
const CODE_MAX: usize = 4096;

/// The longest sign-in, and the longest pause between two questions, that a client is told, in seconds.
const SECONDS_MAX: u64 = 3600;

/// The provider, where there is one; counts the question.
fn asked<'a>(app: &'a App, stranger: &Stranger) -> Result<&'a ProviderConfig, ApiError> {
    let Some(provider) = &app.provider else {
        let message = "this server has no provider at which people sign in";
        return Err(
            ApiError::new(ErrorCode::RouteDoesNotExist, message).hint("`l0 login` signs in with a password or token")
        );
    };
    stranger.count(app, "sign-ins")?;
    Ok(provider)
}

/// Begin to sign in at the provider
///
/// For people: whoever opens the address that is answered, and agrees there, is signed in where the sign-in began (RFC 8628). No
/// credential is needed.
#[utoipa::path(post, path = "/auth/device", operation_id = "device_begin", tag = "token", security(()),
    responses((status = 200, body = wire::DeviceSignIn, description = "What to open, and what to ask with."), Errors))]
async fn begin(State(app): State<App>, stranger: Stranger) -> Result<Response, ApiError> {
    let provider = asked(&app, &stranger)?;
    let begun = app.exchange.device_begin(provider).await.map_err(unproven)?;
    Ok(unkept(begun_wire(begun, provider)))
}

/// Ask how a sign-in at the provider stands
///
/// Once somebody has agreed, answers a token of theirs, which ends by itself: it is as any other. A user is made with the first
/// sign-in; the places in owners that the groups give are brought up to date with each. No credential is needed.
#[utoipa::path(post, path = "/auth/device/token", operation_id = "device_token", tag = "token", security(()),
    request_body = wire::DeviceTokenRequest,
    responses((status = 200, body = wire::DeviceStanding, description = "How it stands."), Errors))]
async fn ask(
    State(app): State<App>,
    stranger: Stranger,
    trail: Option<Extension<Trail>>,
    body: Body,
) -> Result<Response, ApiError> {
    let provider = asked(&app, &stranger)?;
    let request: wire::DeviceTokenRequest = stranger::body(body).await?;
    let name = read::name(request.name.as_deref().unwrap_or(TOKEN_NAME), "a token's name")?;
    let code = request.device_code;
    if code.is_empty() || code.len() > CODE_MAX {
        return Err(ApiError::value(format!("device_code must have 1 to {CODE_MAX} bytes")));
    }
    let person = match app.exchange.device_ask(provider, &code).await {
        Ok(Standing::Pending) => return Ok(stands("pending")),
        Ok(Standing::SlowDown) => return Ok(stands("slow_down")),
        Ok(Standing::Denied) => {
            return Err(ApiError::new(ErrorCode::Forbidden, "the sign-in was refused at the provider"));
        }
        Ok(Standing::Expired) => {
            let message = "the code has expired: nobody agreed in time, or it was used already";
            return Err(ApiError::new(ErrorCode::Unauthorized, message).hint("begin again: `l0 login --sso`"));
        }
        Ok(Standing::Shown(person)) => person,
        Err(why) => {
            if matches!(why, Unproven::Refused(_)) {
                app.sign_in.refused_elsewhere("device_token", "(sign-in)", stranger.from).await;
            }
            return Err(unproven(why));
        }
    };
    let given = person_sign_in(&app.ctx(&Caller::anonymous()), &person, &name, provider.hours).await;
    let PersonSignedIn { token: given, secret, nowhere } = match given {
        Ok(given) => given,
        Err(why) => {
            if matches!(why, OpsError::Denied { .. }) {
                app.sign_in.refused_elsewhere("device_token", &person.id.to_string(), stranger.from).await;
            }
            return Err(why.into());
        }
    };
    for owner in nowhere {
        tracing::warn!(
            person.id = %person.id, owner.name = %owner,
            "a rule for groups gives {} a place in owner {owner}, which is not there: its first repository makes it", person.id
        );
    }
    if let (Some(Extension(trail)), Subject::User(user)) = (trail, &given.subject) {
        let (who, rights) = (Who::User(user.clone()), Rights::scopes(vec![]));
        trail.by(Caller { who, token: Some(given.id.clone()), rights }, shown(&format!("for {}", person.id)));
    }
    let token = Some(token::shown(&given, &secret));
    Ok(unkept(wire::DeviceStanding { state: "signed_in".to_owned(), token }))
}

fn stands(state: &str) -> Response {
    unkept(wire::DeviceStanding { state: state.to_owned(), token: None })
}

/// An answer with a secret in it.
fn unkept<T: serde::Serialize>(body: T) -> Response {
    ([(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

fn begun_wire(begun: DeviceBegun, provider: &ProviderConfig) -> wire::DeviceSignIn {
    let seconds = |number: u64| i64::try_from(number.clamp(1, SECONDS_MAX)).unwrap_or(1);
    wire::DeviceSignIn {
        device_code: begun.device_code,
        user_code: begun.user_code,
        verification_uri: begun.verification_uri,
        verification_uri_complete: begun.verification_uri_complete,
        expires_in: seconds(begun.expires_in),
        interval: seconds(begun.interval),
        issuer: provider.issuer.to_string(),
    }
}

/// Why it is not known who somebody is, to one who signs in.
fn unproven(why: Unproven) -> ApiError {
    match why {
        Unproven::Refused(why) => ApiError::new(ErrorCode::Unauthorized, why),
        unavailable @ Unproven::Unavailable { .. } => {
            tracing::warn!(error = chain(&unavailable), "nobody can be signed in at the provider");
            ApiError::new(ErrorCode::EngineUnavailable, unavailable.to_string())
                .hint("try again; the server's log says why. Tokens and passwords go on signing in")
        }
    }
}
