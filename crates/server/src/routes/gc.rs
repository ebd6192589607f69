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
use crate::collecting;
use crate::error::ApiError;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(plan, gc))
}

/// What the registry would let go of
///
/// Images that retention rules let go of; blobs that no manifest of their repository names, left by deleted images and pushes that were
/// given up, and that are older than the grace. Changes nothing. Admins only.
#[utoipa::path(get, path = "/admin/gc", operation_id = "admin_gc_plan", tag = "admin",
    responses((status = 200, body = wire::GcReport, description = "What would go."), Errors))]
async fn plan(who: SignedIn, State(app): State<App>) -> Result<Json<wire::GcReport>, ApiError> {
    who.must_administer()?;
    Ok(Json(collecting::collect(&app, Collection::DryRun, Haste::Now).await?))
}

/// Let go of what nothing needs
///
/// Takes away what `GET /admin/gc` shows, now, and waits for it. Pushes and pulls go on meanwhile. It goes on when the client leaves, and
/// ends when the server does; asked for again, it finds what is left. Admins only.
#[utoipa::path(post, path = "/admin/gc", operation_id = "admin_gc", tag = "admin",
    responses((status = 200, body = wire::GcReport, description = "What went."), Errors))]
async fn gc(who: SignedIn, State(app): State<App>) -> Result<Json<wire::GcReport>, ApiError> {
    who.must_administer()?;
    Ok(Json(collecting::now(&app).await?))
}
