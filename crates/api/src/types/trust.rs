//! Trusts on the wire, and the exchange of what they ask for.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /owner/{owner}/trust`. Either `issuer` with `claims`, or `aws`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CreateTrustRequest {
    /// What to call it; the name of the robot too.
    #[serde(default)]
    pub trust_name: String,
    /// Whose tokens of OpenID Connect are taken: the address as the claim `iss` has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What such a token must say, all of it: `repository=octo/app`; `*` stands for any characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// Whose signed requests to AWS are taken: an account, or `arn:aws:iam::ACCOUNT:role/NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<String>,
    /// For whom all that must be made: the address of this server, as pipelines know it.
    #[serde(default)]
    pub audience: String,
    /// What its tokens are good for, as in `pull,push:team/*`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// How many minutes they live at most, 1 to 720; absent means 60.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<i64>,
}

/// Who from elsewhere gets short-lived tokens of an owner's robot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trust {
    /// Whose robot.
    pub owner_name: String,
    /// What it is called; the robot signs in as `owner+name`.
    pub trust_name: String,
    /// Whose tokens of OpenID Connect are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// What such a token must say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<String>,
    /// Whose signed requests to AWS are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<String>,
    /// For whom they must be made.
    pub audience: String,
    /// What its tokens are good for.
    pub scopes: Vec<String>,
    /// How many minutes they live at most.
    pub minutes: i64,
    /// When it was made, RFC 3339.
    pub created: String,
    /// By whom.
    pub created_by: String,
}

/// `POST /token/exchange`. Either `oidc_token` or `aws`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExchangeTokenRequest {
    /// A token of OpenID Connect, made for this server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc_token: Option<String>,
    /// A signed request to AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<SignedAwsCall>,
    /// By which trust, `OWNER/NAME`; needed where several fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// How many minutes the token is to live; absent means as many as the trust allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<i64>,
}

impl fmt::Debug for ExchangeTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeTokenRequest").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// A call of `sts:GetCallerIdentity`, signed (Signature Version 4) and not sent: a POST of
/// `Action=GetCallerIdentity&Version=2011-06-15` to `/`, with the content type
/// `application/x-www-form-urlencoded; charset=utf-8`.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SignedAwsCall {
    /// The host of STS that it was signed for: `sts.eu-west-1.amazonaws.com`.
    #[serde(default)]
    pub host: String,
    /// `Authorization`. Host, `X-Amz-Date`, `X-Layer0-Server` and, where there is one, `X-Amz-Security-Token` must be signed.
    #[serde(default)]
    pub authorization: String,
    /// `X-Amz-Date`.
    #[serde(default)]
    pub date: String,
    /// `X-Amz-Security-Token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_token: Option<String>,
    /// `X-Layer0-Server`: the server that it is for.
    #[serde(default)]
    pub server: String,
}

impl fmt::Debug for SignedAwsCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedAwsCall").field("host", &self.host).field("date", &self.date).finish_non_exhaustive()
    }
}
