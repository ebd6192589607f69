//! `/operation`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::id::OperationId;
use layer0_domain::model::operation::Operation;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Errors;
use crate::app::App;
use crate::auth::{OwnedPlace, SignedIn};
use crate::convert::write;
use crate::error::ApiError;
use crate::extract::{ApiPath, ApiQuery};

/// How many operations a list shows.
const LISTED: u32 = 200;

/// How often a follower of events looks in the store though nobody nudged.
const BACKSTOP: Duration = Duration::from_secs(2);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get)).routes(routes!(log)).routes(routes!(events))
}

fn missing(text: &str) -> ApiError {
    ApiError::new(ErrorCode::OperationDoesNotExist, format!("operation `{text}` does not exist"))
}

/// What the right to see an operation is about.
fn place(operation: &Operation) -> OwnedPlace {
    match &operation.place {
        Some((owner, name)) => OwnedPlace::new(Some(owner.clone()), name.clone()),
        None => OwnedPlace::new(None, ""),
    }
}

/// An operation that the caller may see; another one is not there.
async fn find(app: &App, who: &SignedIn, text: &str) -> Result<Operation, ApiError> {
    let id = OperationId::parse(text).map_err(|_| missing(text))?;
    let found = app.store.operation_get(&id).await?;
    found.filter(|it| who.may(Action::Pull, place(it).place())).ok_or_else(|| missing(text))
}

/// The newest operations
#[utoipa::path(get, path = "/operation", operation_id = "operation_list", tag = "operation",
    responses((status = 200, body = Vec<wire::Operation>, description = "The newest first."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Json<Vec<wire::Operation>>, ApiError> {
    let all = app.store.operation_list(LISTED).await?;
    Ok(Json(all.iter().filter(|it| who.may(Action::Pull, place(it).place())).map(write::operation).collect()))
}

/// One operation
#[utoipa::path(get, path = "/operation/{id}", operation_id = "operation_get", tag = "operation",
    params(("id" = String, Path)),
    responses((status = 200, body = wire::Operation, description = "The operation."), Errors))]
async fn get(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::Operation>, ApiError> {
    Ok(Json(write::operation(&find(&app, &who, &text).await?)))
}

/// What happened in an operation so far
#[utoipa::path(get, path = "/operation/{id}/log", operation_id = "operation_events", tag = "operation",
    params(("id" = String, Path)),
    responses((status = 200, body = Vec<wire::OperationEvent>, description = "In order."), Errors))]
async fn log(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<Vec<wire::OperationEvent>>, ApiError> {
    let operation = find(&app, &who, &text).await?;
    let events = app.store.operation_events(&operation.id, 0).await?;
    Ok(Json(events.iter().map(write::event).collect()))
}

/// From where to follow.
#[derive(Debug, Default, Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

/// Follow an operation
///
/// Server-sent events: `event: event`, each an `OperationEvent`, as they happen; at the end one `event: end`, an
/// `Operation`, and the stream closes. `after` is the last sequence that the client has seen.
#[utoipa::path(get, path = "/operation/{id}/events", operation_id = "operation_follow", tag = "operation",
    params(("id" = String, Path), ("after" = Option<u64>, Query)),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Events."), Errors))]
async fn events(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiQuery(After { after }): ApiQuery<After>,
) -> Result<Response, ApiError> {
    let operation = find(&app, &who, &text).await?;
    let ended = who.ended(&app, Action::Pull, place(&operation));
    Ok(super::events::answer(ended, |sender| send_events(app, operation.id, after, sender)))
}

/// Sends events until the operation ends, the client goes, or the server stops.
async fn send_events(app: App, id: OperationId, mut after: u64, sender: tokio::sync::mpsc::Sender<Event>) {
    let mut nudges = app.nudge.listen();
    loop {
        nudges.mark_unchanged();
        // Read before the events: an operation that has ended by now has all its events written.
        let Ok(Some(operation)) = app.store.operation_get(&id).await else { return };
        let Ok(events) = app.store.operation_events(&id, after).await else { return };
        for event in events {
            after = event.sequence;
            let Ok(event) = Event::default().event("event").json_data(write::event(&event)) else { return };
            if sender.send(event).await.is_err() {
                return;
            }
        }
        if operation.state.ended() {
            if let Ok(end) = Event::default().event("end").json_data(write::operation(&operation)) {
                // A client that has gone needs no end.
                let _ = sender.send(end).await;
            }
            return;
        }
        tokio::select! {
            _ = nudges.changed() => {}
            () = tokio::time::sleep(BACKSTOP) => {}
            () = sender.closed() => return,
            () = app.stop.wait() => return,
        }
    }
}
