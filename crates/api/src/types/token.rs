//! Tokens on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /token`. The body may be absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateTokenRequest {
    /// What to call it; absent means a name made from the date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Days until it ends; absent means 90, 0 means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_days: Option<i64>,
    /// For another user; admins only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// For a robot of this owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What it is good for, as in `pull,push:team/*`; absent means all that its user may. A robot's must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// The answer to `POST /token`: the only time the secret is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateTokenResponse {
    /// base64 of `user:secret`: what goes behind `Authorization: Basic`, into `LAYER0_AUTH_TOKEN` and into Docker's
    /// `auth` field.
    pub token: String,
    /// To revoke it by.
    pub token_id: String,
    /// The user name for `docker login`; a robot's is `owner+name`.
    pub user: String,
    /// The password for `docker login`.
    pub secret: String,
    /// What it is called.
    pub name: String,
    /// When it ends, RFC 3339; empty for never.
    pub expires: String,
    /// The owner that a robot belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What it is good for; absent for all that its user may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// `GET /token/registry`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistryCredentialQuery {
    /// How long it lives, 1 to 720; absent means 240.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<i64>,
}

/// A credential for the registry that ends by itself.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RegistryCredential {
    /// The user name that goes with it: the caller's own, a robot's is `owner+name`.
    pub user: String,
    /// The password that goes with it.
    pub secret: String,
    /// When it ends, RFC 3339.
    pub expires: String,
}

impl fmt::Debug for RegistryCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, secret: _, expires } = self;
        f.debug_struct("RegistryCredential").field("user", user).field("expires", expires).finish_non_exhaustive()
    }
}

/// A token in a list; never the secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TokenSummary {
    /// To revoke it by.
    pub token_id: String,
    /// What it is called.
    pub name: String,
    /// Whose it is; empty for a robot's.
    pub user: String,
    /// The owner that a robot belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What it is good for; absent for all that its user may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// When it was made, RFC 3339.
    pub created: String,
    /// When it ends, RFC 3339; empty for never.
    pub expires: String,
    /// When it was last used, RFC 3339, to the hour; empty for never.
    pub last_used: String,
}
