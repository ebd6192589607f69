//! `/loadbalancer`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_domain::model::access::Action;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::id::LoadBalancerId;
use layer0_domain::ops::{OpsError, entity_delete, load_balancer};
use layer0_domain::port::engine::Scope;
use layer0_domain::port::store::StoreExt;
use tokio::time::Instant;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Errors, Visible, accepted, columns, created, environment_name, environment_names, listed, log};
use crate::app::App;
use crate::auth::SignedIn;
use crate::convert::write::LoadBalancerAround;
use crate::convert::{read, write};
use crate::error::{ApiError, missing};
use crate::extract::{ApiJson, ApiPath};
use crate::reconcile::{Outcome, with_lease};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, update, delete))
}

fn id(text: &str) -> Result<LoadBalancerId, ApiError> {
    read::load_balancer_id(text)
}

/// All load balancers
#[utoipa::path(get, path = "/loadbalancer", operation_id = "load_balancer_list", tag = "loadbalancer",
    responses((status = 200, body = Vec<wire::LoadBalancerSummary>, description = "By name."), Errors))]
async fn list(who: SignedIn, State(app): State<App>) -> Result<Response, ApiError> {
    let visible = Visible::to(&app, &who).await?;
    listed(&app, EntityKind::LoadBalancer, &visible, all(&app, &visible)).await
}

async fn all(app: &App, visible: &Visible) -> Result<Vec<wire::LoadBalancerSummary>, ApiError> {
    let names = environment_names(app).await?;
    let all = app.store.summary_list(EntityKind::LoadBalancer).await?;
    let summary = |mut it: layer0_domain::port::store::Summary| {
        let load_balancer_type = std::mem::take(&mut it.label);
        let (load_balancer_id, load_balancer_name, environment_id, environment_name) = columns(it, &names);
        wire::LoadBalancerSummary {
            load_balancer_id,
            load_balancer_name,
            load_balancer_type,
            environment_id,
            environment_name,
        }
    };
    Ok(all.into_iter().filter(|it| visible.shows(it)).map(summary).collect())
}

/// Make a load balancer
#[utoipa::path(post, path = "/loadbalancer", operation_id = "load_balancer_create", tag = "loadbalancer",
    request_body = wire::CreateLoadBalancerRequest,
    responses((status = 201, body = wire::CreateEntityResponse, description = "Being made."), Errors))]
async fn create(
    who: SignedIn,
    State(app): State<App>,
    ApiJson(request): ApiJson<wire::CreateLoadBalancerRequest>,
) -> Result<Response, ApiError> {
    let new = read::new_load_balancer(request)?;
    who.on_environment(&app, &new.environment, Action::Deploy).await?;
    let ctx = app.ctx(&who.caller);
    let made = in_port_turn(&app, || load_balancer::load_balancer_create(&ctx, new.clone())).await?;
    who.about(&made.entity);
    app.nudge.nudge();
    Ok(created(write::accepted(made)))
}

/// One load balancer
#[utoipa::path(get, path = "/loadbalancer/{id}", operation_id = "load_balancer_get", tag = "loadbalancer",
    params(("id" = String, Path)),
    responses((status = 200, body = wire::LoadBalancer, description = "The load balancer."), Errors))]
async fn get(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
) -> Result<Json<wire::LoadBalancer>, ApiError> {
    let id = id(&text)?;
    let entity = EntityRef::LoadBalancer(id.clone());
    who.on_entity(&app, &entity, Action::Pull).await?;
    let found = app.store.load_balancer_get(&id).await?.ok_or_else(|| missing(&entity))?;
    let holders = app.store.entity_holders(&entity).await?;
    let service = holders.into_iter().next().map(|holder| (holder.entity.id().to_owned(), holder.name));
    let around = LoadBalancerAround { environment_name: environment_name(&app, &found.environment).await?, service };
    let seen = log::seen_once(&app, Scope::One(entity), |seen| seen.load_balancers.iter().any(|it| it.id == id)).await;
    Ok(Json(write::load_balancer(&found, around, seen.load_balancers.iter().find(|it| it.id == id))))
}

/// Change a load balancer
#[utoipa::path(patch, path = "/loadbalancer/{id}", operation_id = "load_balancer_update", tag = "loadbalancer",
    params(("id" = String, Path)), request_body = wire::UpdateLoadBalancerRequest,
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being changed."), Errors))]
async fn update(
    who: SignedIn,
    State(app): State<App>,
    ApiPath(text): ApiPath<String>,
    ApiJson(request): ApiJson<wire::UpdateLoadBalancerRequest>,
) -> Result<Response, ApiError> {
    let change = read::load_balancer_change(request)?;
    let id = id(&text)?;
    who.on_entity(&app, &EntityRef::LoadBalancer(id.clone()), Action::Deploy).await?;
    let ctx = app.ctx(&who.caller);
    let changed = in_port_turn(&app, || load_balancer::load_balancer_update(&ctx, &id, change.clone())).await?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(changed)))
}

/// Delete a load balancer
#[utoipa::path(delete, path = "/loadbalancer/{id}", operation_id = "load_balancer_delete", tag = "loadbalancer",
    params(("id" = String, Path)),
    responses((status = 202, body = wire::CreateEntityResponse, description = "Being deleted."), Errors))]
async fn delete(who: SignedIn, State(app): State<App>, ApiPath(text): ApiPath<String>) -> Result<Response, ApiError> {
    let entity = EntityRef::LoadBalancer(id(&text)?);
    who.on_entity(&app, &entity, Action::Delete).await?;
    let gone = entity_delete(&app.ctx(&who.caller), &entity).await?;
    app.nudge.nudge();
    Ok(accepted(write::accepted(gone)))
}

/// The lease of whoever compares host ports.
const PORTS_LEASE: &str = "host_ports";

/// How often a turn is asked for again that another server has. One turn is two reads and a write.
const PORT_LOOK: Duration = Duration::from_millis(50);

/// Compares host ports and writes a load balancer, while nobody else does: no other request of this server, and none of
/// another server on the same store. Where load balancers share no host ports there is nothing to compare, and no turn.
///
/// A server that died in its turn keeps it until its lease runs out.
async fn in_port_turn<T, W: Future<Output = Result<T, OpsError>>>(
    app: &App,
    work: impl Fn() -> W,
) -> Result<T, ApiError> {
    if !app.engine.capabilities().shared_host_ports {
        return Ok(work().await?);
    }
    let _turn = app.port_turn.lock().await;
    let limit = Instant::now() + app.leases.times.length * 2;
    loop {
        match with_lease(app, PORTS_LEASE, work()).await {
            Outcome::Done(result) => return Ok(result?),
            Outcome::Elsewhere(_) if Instant::now() < limit => tokio::time::sleep(PORT_LOOK).await,
            // Dropped in the middle, perhaps after the write: said as what may be repeated, after a look.
            Outcome::Elsewhere(_) | Outcome::Lost => {
                let message = "it could not be made sure that nobody else takes the same host port";
                let refused = ApiError::new(ErrorCode::Conflict, message);
                return Err(refused.hint("look whether it is there (`l0 loadbalancer list`), and try again"));
            }
        }
    }
}
