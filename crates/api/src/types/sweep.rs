//! Strays on the wire: what the engine has of the instance and no entity needs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One thing in the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepThing {
    /// What it is, in the engine's words: `container`, `network`, `volume`, `stack`, `service`, `task definition`.
    pub what: String,
    /// What it is called there.
    pub name: String,
    /// How the engine has it, in its words; empty where such things have no state.
    #[serde(default)]
    pub state: String,
    /// Why it is still there though it was to go before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindrance: Option<String>,
}

/// An entity that is gone, and what the engine still has for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepStray {
    /// `service`, `task`, `load_balancer` or `environment`.
    pub entity_type: String,
    /// Its id.
    pub entity_id: String,
    /// What is there for it.
    pub things: Vec<SweepThing>,
    /// `found`: nothing was done; `gone`: all of it was taken away; `left`: see `cause`.
    pub outcome: String,
    /// Why it is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// What a sweep would take away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepPlan {
    /// In the order in which they would go.
    pub strays: Vec<SweepStray>,
    /// What bears the instance's label and names no entity. It is left alone.
    pub unclear: Vec<SweepThing>,
}

/// How far a sweep is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepProgress {
    /// How many strays there were; missing while they are looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strays: Option<u64>,
    /// Of how many it is known what came of them.
    pub ended: u64,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
}

/// The end of a sweep.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepReport {
    /// How many strays are gone.
    pub gone: u64,
    /// How many are left, each for its cause.
    pub left: u64,
    /// What bears the instance's label and names no entity. It was left alone.
    #[serde(default)]
    pub unclear: Vec<SweepThing>,
    /// Why it came to no end; then not all strays were tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
