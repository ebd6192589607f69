//! Who a request comes from.
//!
//! Five kinds of credentials open something (how somebody from elsewhere, a pipeline or a person at a provider, gets the first of them is `exchange`'s business):
//! - a token of a user or a robot, as Basic `name:secret` or as Bearer `secret`: looked up by its hash on every request, so
//!   that revoking it ends it at once;
//! - a user's password, as Basic `user:password`: verified against the stored hash, wrong ones throttled;
//! - a signed registry token from `/auth/token` (Bearer): names the token or password it came from, which is looked up again;
//! - a signed registry credential from `/token/registry` (Basic, the caller's own name): all of the registry that the caller
//!   may, for hours, and nothing of the API. It names the token or password it came from, which is looked up again;
//! - a signed pull credential (Basic, user `l0-pull`): one repository, pull only, for minutes. The engine gets a new one
//!   for each pull.

mod announcing;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod gate;
mod password;
mod remembered;
mod sign_in;
mod signed;
mod signed_in;
mod throttle;
mod token_endpoint;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layer0_domain::model::access::Secret;

pub(crate) use announcing::{Announcing, Changes};
pub(crate) use gate::{RegistryGate, SignedPulls};
pub(crate) use password::{Passwords, refusal};
pub(crate) use remembered::Remembered;
pub(crate) use sign_in::{SignIn, hear_others};
#[cfg(test)]
pub(crate) use sign_in::{Signed, Verdict};
pub(crate) use signed::{Claims, Keys, REGISTRY_CREDENTIAL_MINUTES, REGISTRY_CREDENTIAL_MINUTES_MAX};
pub(crate) use signed_in::{Admitted, OwnedPlace, SignedIn, Trail};
pub(crate) use throttle::Throttle;
pub(crate) use token_endpoint::{PATH as TOKEN_ENDPOINT, router as token_endpoint};

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
