//! The sign-in of people at a provider on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::CreateTokenResponse;

/// `POST /auth/device`: a sign-in that has begun. Somebody opens an address and agrees there.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeviceSignIn {
    /// By what the sign-in is asked about. A secret: who has it when somebody has agreed gets the token.
    pub device_code: String,
    /// What is typed in at `verification_uri`.
    pub user_code: String,
    /// The address to open, at the provider.
    pub verification_uri: String,
    /// The address at which nothing is left to type, where the provider has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_uri_complete: Option<String>,
    /// For how many seconds the code is good.
    pub expires_in: i64,
    /// How many seconds must pass between two questions.
    pub interval: i64,
    /// The provider.
    pub issuer: String,
}

impl fmt::Debug for DeviceSignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceSignIn").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// `POST /auth/device/token`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeviceTokenRequest {
    /// The sign-in's.
    #[serde(default)]
    pub device_code: String,
    /// What the token is to be called: the machine's name. Absent means `l0-login`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl fmt::Debug for DeviceTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceTokenRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How a sign-in stands.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeviceStanding {
    /// `pending`: ask again; `slow_down`: the same, and five seconds more between two questions from now on; `signed_in`.
    pub state: String,
    /// The token with its secret, when somebody has signed in. It is shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<CreateTokenResponse>,
}

impl fmt::Debug for DeviceStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceStanding").field("state", &self.state).finish_non_exhaustive()
    }
}
