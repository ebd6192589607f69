//! `/admin/sweep`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use tokio::sync::mpsc::Sender;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, events};
use crate::app::App;
use crate::auth::{OwnedPlace, SignedIn};
use crate::convert::sweep as convert;
use crate::error::ApiError;
use crate::reconcile;
use crate::sweeping::{self, Run};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(plan, sweep))
}

/// What a sweep would take away
///
/// All that the engine has under this instance's label for entities that are gone. Changes nothing. Admins only.
#[utoipa::path(get, path = "/admin/sweep", operation_id = "admin_sweep_plan", tag = "admin",
    responses((status = 200, body = wire::SweepPlan, description = "Strays."), Errors))]
async fn plan(who: SignedIn, State(app): State<App>) -> Result<Json<wire::SweepPlan>, ApiError> {
    who.must_administer()?;
    Ok(Json(convert::plan(&reconcile::sweep::look(&app).await?)))
}

/// Take strays away
///
/// Takes away all that the engine has under this instance's label for entities that are gone, and waits for it. One run at a
/// time in a server: while one goes on, this joins it. It goes on when the client leaves, and ends when the server does;
/// asked for again, it finds what is left. Admins only.
///
/// Server-sent events: `event: stray`, each a `SweepStray` with what came of it, those from before first; `event: progress`, a
/// `SweepProgress`, as something changes; at the end one `event: end`, a `SweepReport`, and the stream closes.
#[utoipa::path(post, path = "/admin/sweep", operation_id = "admin_sweep", tag = "admin",
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Events."), Errors))]
async fn sweep(who: SignedIn, State(app): State<App>) -> Result<Response, ApiError> {
    who.must_administer()?;
    let run = sweeping::join(&app);
    let ended = who.ended(&app, Action::Admin, OwnedPlace::new(None, ""));
    Ok(events::answer(ended, |sender| send_events(run, sender)))
}

/// Sends events until the run ends or the client goes. A run always ends, when the server stops at the latest.
async fn send_events(run: Arc<Run>, sender: Sender<Event>) {
    let mut states = run.watch();
    let mut sent = 0;
    loop {
        let state = states.borrow_and_update().clone();
        let fresh = &state.ended[sent..];
        sent += fresh.len();
        let mut events: Vec<_> = fresh
            .iter()
            .map(|it| Event::default().event("stray").json_data(convert::stray(&it.0, Some(&it.1))))
            .collect();
        events.push(match &state.end {
            None => Event::default().event("progress").json_data(convert::progress(&state)),
            Some(end) => Event::default().event("end").json_data(convert::report(&state, end)),
        });
        for event in events {
            let Ok(event) = event else { return };
            if sender.send(event).await.is_err() {
                return;
            }
        }
        if state.end.is_some() {
            return;
        }
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
        }
    }
}
