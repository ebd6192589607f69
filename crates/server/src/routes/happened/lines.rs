//! What happened, as lines in the order of time.

use layer0_domain::model::audit::AuditEntry;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::engine::LogQuery;
use layer0_domain::port::store::OperationLogLine;
use layer0_domain::port::trail::{TrailGap, TrailRecord};

use super::{About, Found, LINES_MAX, most};
use crate::text_time::rfc3339;

/// One line, and when that happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) text: String,
}

/// The newest lines of all that was found, the oldest first, below what is to be said about the log itself.
pub(super) fn shown(about: &About, found: &Found, query: &LogQuery) -> Vec<String> {
    let most = most(query) as usize;
    let mut lines: Vec<Line> = found.operations.iter().map(operation_line).collect();
    lines.extend(found.audit.iter().map(|entry| audit_line(about, entry)));
    lines.extend(found.trail.records.iter().map(trail_line));
    // Stable: what came of a request stands behind it within a millisecond.
    lines.sort_by_key(|line| line.at);
    let too_many = lines.len().saturating_sub(most);
    lines.drain(..too_many);

    let mut all = Vec::with_capacity(lines.len() + 2);
    let oldest = lines.first().map(|line| line.at);
    // What is older than all that is shown is not missed by whoever asked for the newest lines.
    let is_missed = |than: Timestamp| lines.len() < most || oldest.is_none_or(|oldest| oldest < than);
    all.extend(match &found.trail.gap {
        Some(TrailGap::Older { than }) if !is_missed(*than) => None,
        gap => gap.as_ref().map(gap_line),
    });
    if too_many > 0 && query.tail.is_none_or(|tail| tail > LINES_MAX) {
        all.push("[layer0: older events are left out; `--start` and `--end` choose]".to_owned());
    }
    all.extend(lines.into_iter().map(text));
    all
}

/// A line as it is printed: one line, whatever is in it.
pub(super) fn text(line: Line) -> String {
    let text: String = line.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{} {text}", rfc3339(line.at))
}

pub(super) fn gap_line(gap: &TrailGap) -> String {
    match gap {
        TrailGap::Unreadable { why } => format!("[layer0: {why}]"),
        TrailGap::Older { than } => {
            format!(
                "[layer0: records of the platform are read back to {} only; `--start` and `--end` choose]",
                rfc3339(*than)
            )
        }
    }
}

pub(super) fn operation_line(it: &OperationLogLine) -> Line {
    let (kind, name) = (it.entity.kind(), &it.entity_name);
    Line { at: it.at, text: format!("{} {kind} `{name}`: {}", it.verb, it.message) }
}

pub(super) fn audit_line(about: &About, AuditEntry { record, .. }: &AuditEntry) -> Line {
    let from = match about {
        About::Instance if !record.from.is_empty() => format!(" from {}", record.from),
        _ => String::new(),
    };
    let (who, action, target) = (&record.who, &record.action, &record.target);
    let space = if target.is_empty() { "" } else { " " };
    Line { at: record.at, text: format!("audit: {who}{from}: {action}{space}{target} ({})", record.status) }
}

pub(super) fn trail_line(it: &TrailRecord) -> Line {
    let TrailRecord { at, source, who, action, target, refused, .. } = it;
    let space = if target.is_empty() { "" } else { " " };
    let refused = refused.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    Line { at: *at, text: format!("{source}: {who}: {action}{space}{target}{refused}") }
}
