//! `/admin/verify`.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::placement::BackingName;
use layer0_registry::Rate;
use tokio::sync::mpsc::Sender;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, events};
use crate::app::App;
use crate::auth::{OwnedPlace, SignedIn};
use crate::convert::verify as convert;
use crate::error::ApiError;
use crate::extract::ApiJson;
use crate::verification::{self, Run};

/// The highest rate, in MiB a second: more than any disk gives.
const RATE_MAX: i64 = 100_000;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(verify))
}

/// Read all of the registry again
///
/// Compares every blob and every manifest with its digest, at a bounded rate. What is damaged is marked, and counts as
/// missing until it is pushed again. What lies in ECR is not read; the report names those registries. One run at a time: while one goes on, this joins it. It goes on when the client
/// leaves, and ends when the server does. Admins only.
///
/// Server-sent events: `event: finding`, each a `VerifyFinding`, those from before first; `event: progress`, a
/// `VerifyProgress`, a few times a second; at the end one `event: end`, a `VerifyReport`, and the stream closes.
#[utoipa::path(post, path = "/admin/verify", operation_id = "admin_verify", tag = "admin", request_body = wire::VerifyRequest,
    responses((status = 200, content_type = "text/event-stream", body = String, description = "Events."), Errors))]
async fn verify(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::VerifyRequest>,
) -> Result<Response, ApiError> {
    who.must_administer()?;
    let rate = match request.mib_per_s {
        None => Rate::default(),
        Some(rate) => {
            let legal = u32::try_from(rate).ok().filter(|_| rate <= RATE_MAX).and_then(NonZeroU32::new);
            Rate::mib_per_s(legal.ok_or_else(|| {
                ApiError::value(format!("mib_per_s must be 1 to {RATE_MAX} MiB a second, not {rate}"))
            })?)
        }
    };
    let run = verification::join(&app, rate);
    let ended = who.ended(&app, Action::Admin, OwnedPlace::new(None, ""));
    let backings = app.registry.backing_names();
    Ok(events::answer(ended, |sender| send_events(run, backings, sender)))
}

/// Sends events until the run ends or the client goes. A run always ends, when the server stops at the latest.
async fn send_events(run: Arc<Run>, backings: Vec<BackingName>, sender: Sender<Event>) {
    let mut states = run.watch();
    let mut sent = 0;
    loop {
        let (fresh, tally, end) = {
            let state = states.borrow_and_update();
            (state.findings[sent..].to_vec(), state.tally, state.end.clone())
        };
        sent += fresh.len();
        let mut events: Vec<_> =
            fresh.iter().map(|it| Event::default().event("finding").json_data(convert::finding(it))).collect();
        events.push(match &end {
            None => Event::default().event("progress").json_data(convert::progress(run.rate, &tally)),
            Some(end) => Event::default().event("end").json_data(convert::report(&tally, &backings, end)),
        });
        for event in events {
            let Ok(event) = event else { return };
            if sender.send(event).await.is_err() {
                return;
            }
        }
        if end.is_some() {
            return;
        }
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            () = sender.closed() => return,
        }
    }
}
