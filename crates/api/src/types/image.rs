//! Image resolution and map rules on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::common::Failure;

/// `GET /image/resolve`: the steps from a friendly name to what the engine pulls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageResolution {
    /// The image as asked.
    pub image: String,
    /// The rule that matched, `prefix|target`; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What the rule makes of it.
    pub backing: String,
    /// The digest behind it now; absent when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What a service would be pinned to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
    /// The platforms that it has.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// The engine's platform.
    #[serde(default)]
    pub engine_platform: String,
    /// Bytes of all that it needs; absent when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Why the engine could not pull it; absent when the pull check passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Failure>,
    /// What the user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What `GET /image/check` is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageCheckQuery {
    /// The image as a task definition names it.
    pub image: String,
    /// Where it would run; left out, nothing is looked at of networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_id: Option<String>,
    /// What it would run on, `os/architecture`; left out, what the engine takes when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Whether it would run on machines of the environment's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stateful: bool,
}

/// `GET /image/check`: what the pull check of an image comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImageCheck {
    /// The image as asked.
    pub image: String,
    /// What the image map makes of it.
    pub backing: String,
    /// What a service would be pinned to; absent when a check failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<String>,
    /// Where it would run; empty when that was not asked.
    #[serde(default)]
    pub environment_id: String,
    /// Whether no check failed.
    pub passed: bool,
    /// The checks that apply to the engine, in order.
    #[serde(default)]
    pub checks: Vec<PullCheck>,
    /// Why it could not be pulled; absent when it passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Failure>,
    /// What the user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One check of a pull check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PullCheck {
    /// `image`, `platform`, `access`, `role` or `network`.
    pub check: String,
    /// `passed`, `failed` or `unknown`.
    pub result: String,
    /// What shows it, or why it is not known.
    #[serde(default)]
    pub evidence: String,
    /// How a start would fail; absent unless it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// What to do about it, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A map rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MapRule {
    /// What images begin with.
    #[serde(default)]
    pub prefix: String,
    /// What they become.
    #[serde(default)]
    pub target: String,
    /// `instance`: from the configuration, can't be removed here; `user`: added by a command.
    #[serde(default)]
    pub source: String,
}

/// `POST /map`: either `rule`, or `prefix` and `target`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AddMapRuleRequest {
    /// `prefix|target`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What images begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What they become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}
