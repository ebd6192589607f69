//! Logs on the wire.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The lines of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogFile {
    /// Which container.
    pub container_name: String,
    /// Its lines, the oldest first.
    pub lines: Vec<String>,
}

/// The query of every log route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// The newest so many lines of each container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
    /// From this minute on, `YYYY-MM-DD HH:MM`, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// Up to this minute, `YYYY-MM-DD HH:MM`, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// `true`: answer with server-sent events (`event: line`, data a `LogLine`) and go on as lines come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<String>,
}
