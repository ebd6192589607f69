//! Trusts: who from elsewhere gets short-lived tokens of an owner's robot, on what evidence. A pipeline that can show who it
//! is needs no secret of ours.
//!
//! A trust is made and deleted, never changed: what it gave ends with it.

mod audience;
mod claims;
mod issuer;
mod keys;
mod principal;
mod signed_call;
mod signed_token;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::access::Scope;
use super::id::TrustId;
use super::name::Name;
use super::owner::OwnerName;
use super::time::Timestamp;

pub use self::audience::{AUDIENCE_MAX, Audience, AudienceError};
pub use self::claims::{ClaimPattern, ClaimPatternError, Claims, PATTERNS_MAX, SKEW_MS, Unfit, check_patterns};
pub use self::issuer::{Issuer, IssuerError};
pub use self::keys::{KeySet, PublicKey};
pub use self::principal::{AwsCaller, AwsPrincipal, AwsPrincipalError};
pub use self::signed_call::{AUDIENCE_HEADER, BODY, CONTENT_TYPE, CallError, SignedCall, StsHost, WINDOW_MS};
pub use self::signed_token::{Algorithm, SignedToken, TOKEN_MAX, TokenError};

/// How long a token lives that a trust gives, in minutes, when nothing is said: a job is seldom longer.
pub const DEFAULT_MINUTES: u32 = 60;

/// The longest life of such a token, in minutes. What runs longer asks again: whoever could show who he is once can do it once
/// more.
pub const MINUTES_MAX: u32 = 12 * 60;

/// Who from elsewhere gets which tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The id, by which tokens name the trust that gave them.
    pub id: TrustId,
    /// Whose robot signs in.
    pub owner: OwnerName,
    /// What it is called among the owner's; the robot's name too.
    pub name: Name,
    /// What must be shown.
    pub evidence: Evidence,
    /// For whom the evidence must be made: this instance, so that evidence made for somebody else opens nothing here.
    pub audience: Audience,
    /// What its tokens are good for; all of it the owner's.
    pub scopes: Vec<Scope>,
    /// How long its tokens live at most.
    pub minutes: u32,
    /// When it was made.
    pub created: Timestamp,
    /// By whom.
    pub by: String,
}

/// What must be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A token of an OpenID Connect issuer whose claims fit all of these.
    Oidc {
        /// Who signed it.
        issuer: Issuer,
        /// What it must say; never empty.
        claims: Vec<ClaimPattern>,
    },
    /// A request to AWS that only this principal could sign.
    Aws {
        /// Whose.
        principal: AwsPrincipal,
    },
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Oidc { issuer, claims } => {
                write!(f, "{issuer}")?;
                claims.iter().try_for_each(|claim| write!(f, " {claim}"))
            }
            Evidence::Aws { principal } => write!(f, "{principal}"),
        }
    }
}

/// `owner/name`, as errors and lists write it.
impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}
