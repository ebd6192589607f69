//! `/admin/gc`.

use axum::Json;
use axum::extract::State;
use layer0_api::types as wire;
use layer0_registry::{Collection, Haste};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Errors;
use crate::app::App;
use crate::auth::SignedIn;
use crate::clock_watch::Clock;
use crate::collecting;
use crate::error::ApiError;
use crate::extract::ApiQuery;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(plan, gc))
}

fn clock(query: &wire::GcQuery) -> Clock {
    match query.trust_clock.as_deref() {
        Some("true" | "1") => Clock::Vouched,
        _ => Clock::Watched,
    }
}

/// What the registry would let go of
///
/// Images that retention rules let go of; blobs that no manifest of their repository names, left by deleted images and pushes that were
/// given up, and that are older than the grace. Changes nothing. While the server's clock is doubted, since it is days beyond the last time
/// that was seen, no image goes by a rule, unless `trust_clock=true` says that it is right. Admins only.
#[utoipa::path(get, path = "/admin/gc", operation_id = "admin_gc_plan", tag = "admin",
    params(("trust_clock" = Option<bool>, Query)),
    responses((status = 200, body = wire::GcReport, description = "What would go."), Errors))]
async fn plan(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(query): ApiQuery<wire::GcQuery>,
) -> Result<Json<wire::GcReport>, ApiError> {
    who.must_administer()?;
    Ok(Json(collecting::collect(&app, Collection::DryRun, Haste::Now, clock(&query)).await?))
}

/// Let go of what nothing needs
///
/// Takes away what `GET /admin/gc` shows, now, and waits for it. Pushes and pulls go on meanwhile. It goes on when the client leaves, and
/// ends when the server does; asked for again, it finds what is left. Admins only.
#[utoipa::path(post, path = "/admin/gc", operation_id = "admin_gc", tag = "admin",
    params(("trust_clock" = Option<bool>, Query)),
    responses((status = 200, body = wire::GcReport, description = "What went."), Errors))]
async fn gc(
    who: SignedIn,
    State(app): State<App>,
    ApiQuery(query): ApiQuery<wire::GcQuery>,
) -> Result<Json<wire::GcReport>, ApiError> {
    who.must_administer()?;
    Ok(Json(collecting::now(&app, clock(&query)).await?))
}
