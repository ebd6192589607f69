//! `/account`: leave for other AWS accounts to pull, as the predecessor's registry front had it. It belongs to the image
//! bytes' place: a local instance keeps them on its own disk, so there is nothing that another account could pull.

use axum::Json;
use axum::extract::State;
use layer0_api::types as wire;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Errors;
use crate::app::App;
use crate::auth::SignedIn;
use crate::error::ApiError;
use crate::extract::{ApiJson, ApiPath};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, grant)).routes(routes!(revoke))
}

fn no_grants(app: &App) -> ApiError {
    ApiError::value("a local instance has no account grants: its images lie on its own disk, not in ECR")
        .hint(format!("`l0 token create` makes a token for whoever shall pull from {}", app.identity.registry_name))
}

/// The AWS accounts that may pull
///
/// A local instance has none.
#[utoipa::path(get, path = "/account", operation_id = "account_list", tag = "account",
    responses((status = 200, body = wire::AccountList, description = "Their ids."), Errors))]
async fn list(_: SignedIn) -> Json<wire::AccountList> {
    Json(wire::AccountList { accounts: vec![] })
}

/// Let an AWS account pull
///
/// A local instance refuses it (422).
#[utoipa::path(post, path = "/account", operation_id = "account_grant", tag = "account",
    request_body = wire::GrantAccountRequest,
    responses((status = 204, description = "It may pull from every repository."), Errors))]
async fn grant(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::GrantAccountRequest>,
) -> Result<(), ApiError> {
    who.must_administer()?;
    who.about(&request.account);
    if request.account.is_empty() {
        return Err(ApiError::value("account is a required field"));
    }
    Err(no_grants(&app))
}

/// Let an AWS account pull no more
///
/// A local instance refuses it (422).
#[utoipa::path(delete, path = "/account/{id}", operation_id = "account_revoke", tag = "account",
    params(("id" = String, Path)),
    responses((status = 204, description = "It may pull nothing any more."), Errors))]
async fn revoke(who: SignedIn, State(app): State<App>, ApiPath(id): ApiPath<String>) -> Result<(), ApiError> {
    who.must_administer()?;
    who.about(id);
    Err(no_grants(&app))
}
