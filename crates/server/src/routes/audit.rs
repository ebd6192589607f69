//! `/admin/audit`: the audit log, read and followed.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::audit::{AuditEntry, AuditFilter};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, events};
use crate::app::App;
use crate::auth::{OwnedPlace, SignedIn};
use crate::convert::write;
use crate::error::ApiError;
use crate::extract::ApiQuery;
use crate::text_time::minute;

/// How many records are shown when nothing is said.
const SHOWN: u32 = 100;

/// The most records in one answer.
const SHOWN_MAX: u32 = 10_000;

/// How often a follower looks for what is new.
const LOOK: Duration = Duration::from_millis(500);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(audit))
}

fn filter(it: &wire::AuditQuery) -> Result<AuditFilter, ApiError> {
    let number = |text: &Option<String>, what: &str| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| ApiError::request(format!("{what} must be a number"))),
    };
    let time = |text: &Option<String>, which: &str| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => match minute(text) {
            Some(at) => Ok(Some(at)),
            None => Err(ApiError::request(format!("Invalid time: {which} must be in format YYYY-MM-DD HH:MM"))),
        },
    };
    let limit = number(&it.limit, "limit")?.map_or(SHOWN, |most| u32::try_from(most).unwrap_or(SHOWN_MAX));
    Ok(AuditFilter {
        after: number(&it.after, "after")?.map(|after| after.min(i64::MAX as u64)),
        start: time(&it.start, "start")?,
        end: time(&it.end, "end")?,
        who: it.who.clone().filter(|who| !who.is_empty()),
        environment: None,
        most: limit.min(SHOWN_MAX),
    })
}

/// The audit log
///
/// Who did what, from where, and what came of it: the newest `limit` records, or those behind `after`, the oldest first. With
/// `follow=true` as server-sent events, `event: entry`, each an `AuditEntry`. Admins only.
#[utoipa::path(get, path = "/admin/audit", operation_id = "admin_audit", tag = "admin",
    params(("after" = Option<u64>, Query), ("limit" = Option<u32>, Query), ("start" = Option<String>, Query),
        ("end" = Option<String>, Query), ("who" = Option<String>, Query), ("follow" = Option<bool>, Query)),
    responses((status = 200, body = Vec<wire::AuditEntry>, description = "The oldest first."), Errors))]
async fn audit(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(query): ApiQuery<wire::AuditQuery>,
) -> Result<Response, ApiError> {
    who.must_administer()?;
    let filter = filter(&query)?;
    let entries = app.access.audit_list(&filter).await?;
    if !matches!(query.follow.as_deref(), Some("true" | "1")) {
        return Ok(Json(entries.iter().map(write::audit).collect::<Vec<_>>()).into_response());
    }
    let last = entries.last().map(|it| it.sequence).or(filter.after);
    let ended = who.ended(&app, Action::Admin, OwnedPlace::new(None, ""));
    Ok(events::answer(ended, |sender| follow(app, filter, entries, last.unwrap_or(0), sender)))
}

/// Sends what there is and then what comes, until the client goes or the server stops.
async fn follow(
    app: App,
    filter: AuditFilter,
    mut entries: Vec<AuditEntry>,
    mut last: u64,
    sender: tokio::sync::mpsc::Sender<Event>,
) {
    loop {
        for entry in &entries {
            last = entry.sequence;
            let event = Event::default().event("entry").id(entry.sequence.to_string());
            let Ok(event) = event.json_data(write::audit(entry)) else { return };
            if sender.send(event).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = sender.closed() => return,
            () = app.stop.wait() => return,
        }
        let next = AuditFilter { after: Some(last), most: SHOWN_MAX, ..filter.clone() };
        let Ok(found) = app.access.audit_list(&next).await else { return };
        entries = found;
    }
}
