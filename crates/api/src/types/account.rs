//! AWS accounts that may pull, on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /account`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountList {
    /// The ids of the accounts.
    pub accounts: Vec<String>,
}

/// `POST /account`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantAccountRequest {
    /// The account's id.
    #[serde(default)]
    pub account: String,
}
