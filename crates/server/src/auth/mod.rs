//! Who a request comes from.
//!
//! Three kinds of credentials open something:
//! - a user's token, as Basic `user:secret` or as Bearer `secret`: looked up by its hash on every request, so that
//!   revoking it ends it at once;
//! - a signed registry token from `/auth/token` (Bearer): names the token it came from, which is looked up again;
//! - a signed pull credential (Basic, user `l0-pull`): one repository, pull only, for minutes. The engine gets a new one
//!   for each pull.

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gate;
mod signed;
mod token_endpoint;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layer0_api::error::ErrorCode;
use layer0_domain::model::access::{Caller, Secret, Token};
use layer0_domain::model::name::Name;
use layer0_domain::ops::token::{hash, worth_noting};
use layer0_domain::port::clock::Clock;
use layer0_domain::port::store::{Store, StoreError};

pub(crate) use gate::{RegistryGate, SignedPulls};
pub(crate) use signed::Keys;
pub(crate) use token_endpoint::router as token_endpoint;

use crate::app::App;
use crate::error::ApiError;

/// The user name that goes with a signed pull credential.
pub(crate) const PULL_USER: &str = "l0-pull";

/// The one user of a new instance.
pub(crate) const ADMIN: &str = "admin";

/// What stands in an `Authorization` header.
pub(crate) enum Presented {
    /// Nothing.
    Nothing,
    /// Basic: a user and a secret.
    Basic(String, Secret),
    /// Bearer: a secret or a signed token.
    Bearer(Secret),
    /// Something that can't be read.
    Unreadable,
}

/// Reads the `Authorization` header (RFC 7617, RFC 6750).
pub(crate) fn presented(headers: &HeaderMap) -> Presented {
    let Some(value) = headers.get(AUTHORIZATION) else { return Presented::Nothing };
    let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else {
        return Presented::Unreadable;
    };
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Presented::Bearer(Secret::new(rest));
    }
    let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.split_once(':')) {
        Some((user, secret)) if scheme.eq_ignore_ascii_case("basic") => {
            Presented::Basic(user.to_owned(), Secret::new(secret))
        }
        _ => Presented::Unreadable,
    }
}

/// The live token behind a secret; with a user, only if it is that user's.
pub(crate) async fn token_of(
    store: &dyn Store,
    clock: &dyn Clock,
    user: Option<&str>,
    secret: &Secret,
) -> Result<Option<Token>, StoreError> {
    let Some(token) = store.token_find(&hash(secret)).await? else { return Ok(None) };
    let now = clock.now();
    if !token.is_live(now) || user.is_some_and(|user| user != token.user.as_str()) {
        return Ok(None);
    }
    if worth_noting(&token, now) {
        // A lost note of a use is no reason to refuse the use.
        if let Err(why) = store.token_touch(&token.id, now).await {
            tracing::warn!(error = %why, "the use of a token could not be noted");
        }
    }
    Ok(Some(token))
}

/// A user who has signed in. A handler that names it can't be reached without.
pub(crate) struct SignedIn {
    /// The user.
    pub(crate) user: Name,
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let refused = || {
            ApiError::new(ErrorCode::Unauthorized, "no valid token was given").hint(
                "`eval \"$(l0 endpoint --data-dir DIR)\"` connects this shell; `l0 token create` makes another token",
            )
        };
        let token = match presented(&parts.headers) {
            Presented::Basic(user, secret) => {
                token_of(app.store.as_ref(), app.clock.as_ref(), Some(&user), &secret).await?
            }
            Presented::Bearer(secret) => token_of(app.store.as_ref(), app.clock.as_ref(), None, &secret).await?,
            Presented::Nothing | Presented::Unreadable => None,
        };
        let token = token.ok_or_else(refused)?;
        let caller = Caller::User { user: token.user.clone(), token: token.id };
        parts.extensions.insert(caller);
        Ok(Self { user: token.user })
    }
}
