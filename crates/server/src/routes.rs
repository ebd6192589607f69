//! The routes, a file for each noun. A handler does four things: extract, authorise, call one function, convert. It is
//! mounted only by its annotation, so no route is missing from the OpenAPI document.

mod account;
mod admin;
mod audit;
mod backup;
mod deploy;
mod device;
mod environment;
mod events;
mod gc;
mod happened;
mod image;
mod import;
mod load_balancer;
mod log;
mod map;
mod member;
mod migration;
mod operation;
mod owner;
mod repository;
mod service;
mod stranger;
mod sweep;
mod tag;
mod task;
mod token;
mod trust;
mod user;
mod verify;
mod visible;

pub(crate) use token::basic;
use visible::Visible;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use layer0_api::error::{ErrorBody, ErrorCode};
use layer0_api::types::{SweepProgress, SweepReport, VerifyFinding, VerifyProgress, VerifyReport};
use layer0_domain::model::entity::EntityKind;
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::port::store::{StoreError, Summary};
use layer0_registry::Registry;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use tower::ServiceExt as _;
use tracing::Instrument;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{RefOr, ResponseBuilder, ResponsesBuilder};
use utoipa::{IntoResponses, Modify, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use crate::app::{App, Serves};
use crate::audit::{Auditing, GoesOn, Operations, audited};
use crate::auth;
use crate::error::ApiError;
use crate::listen::Answers;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Layer0",
        description = "Environments, deploys, services, tasks and load balancers, and the registry that their images come from."
    ),
    // What only streams carry is in no handler's answer.
    components(schemas(
        ErrorBody, ErrorCode, SweepProgress, SweepReport, VerifyFinding, VerifyProgress, VerifyReport
    )),
    modifiers(&Security),
    security(("token" = []))
)]
struct Document;

/// Basic with base64(`user:secret`).
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        let basic = HttpBuilder::new().scheme(HttpAuthScheme::Basic).build();
        components.add_security_scheme("token", SecurityScheme::Http(basic));
    }
}

/// The errors that every operation may answer with: `ErrorBody`, whose code says more than the status.
pub(crate) struct Errors;

impl IntoResponses for Errors {
    fn responses() -> std::collections::BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let error = |description: &str| {
            let schema = utoipa::openapi::Ref::from_schema_name(ErrorBody::name());
            let content = utoipa::openapi::ContentBuilder::new().schema(Some(schema)).build();
            ResponseBuilder::new().description(description).content("application/json", content).build()
        };
        ResponsesBuilder::new()
            .response("4XX", error("The request can't be carried out; `error_code` says why."))
            .response("5XX", error("The server can't carry it out now; `error_code` says why."))
            .build()
            .responses
            .into_iter()
            .collect()
    }
}

/// The operations that need no engine.
fn registry_api() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(admin::router())
        .merge(verify::router())
        .merge(gc::router())
        .merge(backup::router())
        .merge(repository::router())
        .merge(migration::router())
        .merge(import::router())
        .merge(token::router())
        .merge(trust::router())
        .merge(device::router())
        .merge(user::router())
        .merge(owner::router())
        .merge(member::router())
        .merge(audit::router())
        .merge(account::router())
}

/// The operations on what an engine runs, and on what it pulls.
fn engine_api() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .merge(deploy::router())
        .merge(environment::router())
        .merge(load_balancer::router())
        .merge(service::router())
        .merge(task::router())
        .merge(operation::router())
        .merge(tag::router())
        .merge(image::router())
        .merge(map::router())
        .merge(sweep::router())
}

fn api() -> OpenApiRouter<App> {
    registry_api().merge(engine_api())
}

/// The answer to all operations that need an engine, where there is none.
async fn without_engine(_: auth::SignedIn, _: Request, _: Next) -> ApiError {
    let what = "environments, deploys, services, tasks, load balancers and what they pull need an engine";
    ApiError::new(ErrorCode::RegistryOnly, format!("this server runs the registry only: {what}"))
        .hint("start it on the same data with an engine: `l0 server --engine docker`, or `ecs`")
}

/// The OpenAPI document, as it is checked in.
#[must_use]
pub fn openapi_json() -> String {
    let (_, document) = api().split_for_parts();
    let mut text = document.to_pretty_json().expect("the document is plain data");
    text.push('\n');
    text
}

/// The registry below `/v2/`, its token endpoint, and the API. Clones are the same.
#[derive(Clone)]
pub(crate) struct Routes(Arc<Parts>);

struct Parts {
    registry: Registry,
    /// Of what is no operation of the document.
    auditing: Auditing,
    tokens: Router,
    /// Made when it is first asked for: it takes as long as all the rest of a start, and megabytes of memory. A registry that is
    /// only pushed to and pulled from never needs it.
    api: OnceLock<Router>,
}

/// What stands for the registry's paths in the log.
const REGISTRY_ROUTE: &str = "/v2/{*path}";

impl Routes {
    /// All that an instance has.
    pub(crate) fn new(app: App) -> Self {
        let auditing = Auditing { app: app.clone(), operations: Arc::default() };
        let tokens = auth::token_endpoint().method_not_allowed_fallback(no_method);
        let tokens = tokens.with_state(app.clone()).layer(middleware::from_fn_with_state(auditing.clone(), of_api));
        Self(Arc::new(Parts { registry: app.registry.clone(), auditing, tokens, api: OnceLock::new() }))
    }
}

impl Parts {
    /// The API of what this server does.
    fn api(&self) -> Router {
        self.api.get_or_init(|| mounted(&self.auditing.app)).clone()
    }
}

fn mounted(app: &App) -> Router {
    let engine = match app.serves {
        Serves::Everything => engine_api(),
        Serves::RegistryOnly => engine_api().route_layer(middleware::from_fn_with_state(app.clone(), without_engine)),
    };
    let (api, document) = registry_api().merge(engine).split_for_parts();
    let auditing = Auditing { app: app.clone(), operations: Arc::new(operations(&document)) };
    // One for all who ask for it, made for the first: it may be asked for by anybody, who may then take his time to read it.
    let kept: Arc<OnceLock<Bytes>> = Arc::default();
    let shown = move || {
        let document = kept.get_or_init(|| openapi_json().into()).clone();
        ([(CONTENT_TYPE, "application/json")], document)
    };
    let shown_too = shown.clone();
    api.route("/openapi.json", axum::routing::get(async move || shown()))
        // Where the predecessor had its own document, for users only.
        .route("/swagger.json", axum::routing::get(async move |_: auth::SignedIn| shown_too()))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(app.clone())
        .layer(middleware::from_fn_with_state(auditing, of_api))
}

impl Answers for Routes {
    /// Requests to the registry, of which there are most, go past the router: they have one route.
    async fn answer(self, request: Request) -> Response {
        let Parts { auditing, tokens, .. } = self.0.as_ref();
        if !Registry::serves(request.uri().path()) {
            let router = if request.uri().path() == auth::TOKEN_ENDPOINT { tokens.clone() } else { self.0.api() };
            let Ok(answered) = router.oneshot(request).await;
            return answered;
        }
        let method = request.method().clone();
        let parts = Arc::clone(&self.0);
        let answer = async move |request| parts.registry.answer(request).await;
        let answering = audited(auditing, None, GoesOn::Always, request, answer);
        observed(&method, REGISTRY_ROUTE, Telling::Itself, answering).await
    }
}

/// The layer around the routes of the API.
async fn of_api(State(auditing): State<Auditing>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<axum::extract::MatchedPath>()
        .map_or_else(|| "(none)".to_owned(), |path| path.as_str().to_owned());
    let method = request.method().clone();
    let operation = auditing.operations.get(&(method.clone(), route.clone())).cloned();
    observed(
        &method,
        &route,
        Telling::Nothing,
        audited(&auditing, operation, GoesOn::SignedIn, request, |request| next.run(request)),
    )
    .await
}

/// The id of each operation of the document, by its method and path.
fn operations(document: &utoipa::openapi::OpenApi) -> Operations {
    let mut found = Operations::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in [
            (Method::POST, &item.post),
            (Method::PUT, &item.put),
            (Method::PATCH, &item.patch),
            (Method::DELETE, &item.delete),
        ] {
            if let Some(id) = operation.as_ref().and_then(|operation| operation.operation_id.clone()) {
                found.insert((method, path.clone()), id);
            }
        }
    }
    found
}

async fn no_route(request: Request) -> ApiError {
    ApiError::new(
        ErrorCode::RouteDoesNotExist,
        format!("there is no route {} {}", request.method(), request.uri().path()),
    )
    .hint("`GET /openapi.json` lists all routes")
}

async fn no_method(request: Request) -> ApiError {
    let message = format!("{} can't be used on {}", request.method(), request.uri().path());
    ApiError::new(ErrorCode::MethodNotAllowed, message)
}

/// Whether those who answer log what they changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    Nothing,
    /// Each change, in words of its own: a second line would say less.
    Itself,
}

/// One span and one line for each request, by its route: a path may hold what is nobody's business. What only reads says nothing
/// when all is well, and there is most of it.
async fn observed(
    method: &Method,
    route: &str,
    telling: Telling,
    answering: impl Future<Output = Response>,
) -> Response {
    let reads = method == Method::GET || method == Method::HEAD;
    let span = if reads {
        tracing::debug_span!("request", http.method = %method, http.route = %route)
    } else {
        tracing::info_span!("request", http.method = %method, http.route = %route)
    };
    let began = std::time::Instant::now();
    let mut response = answering.instrument(span.clone()).await;
    let version = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));
    response.headers_mut().insert("version", version);
    let (status, elapsed_ms) = (response.status().as_u16(), began.elapsed().as_millis());
    span.in_scope(|| {
        // Without an engine, what needs one is nothing to worry about.
        if status >= 500 && status != ErrorCode::RegistryOnly.status() {
            tracing::warn!(http.status = status, elapsed_ms, "{method} {route} answered {status}");
        } else if reads || (telling == Telling::Itself && status < 400) {
            tracing::debug!(http.status = status, elapsed_ms, "{method} {route} answered {status}");
        } else {
            tracing::info!(http.status = status, elapsed_ms, "{method} {route} answered {status}");
        }
    });
    response
}

/// A status with a JSON body.
pub(crate) fn created<T: serde::Serialize>(body: T) -> Response {
    (axum::http::StatusCode::CREATED, Json(body)).into_response()
}

/// A status with a JSON body.
pub(crate) fn accepted<T: serde::Serialize>(body: T) -> Response {
    (axum::http::StatusCode::ACCEPTED, Json(body)).into_response()
}

/// Lists as they were last rendered, each with the store's version from before it was read.
#[derive(Default)]
pub(crate) struct Rendered {
    lists: Mutex<HashMap<EntityKind, (u64, Bytes)>>,
}

/// A list of all entities of a kind that the caller may see. The list of all: as it was rendered last, while nobody has written anything; else read and rendered
/// anew. Ten thousand services are more than a megabyte of JSON that hardly ever changes.
pub(crate) async fn listed<T: serde::Serialize>(
    app: &App,
    kind: EntityKind,
    visible: &Visible,
    read: impl Future<Output = Result<Vec<T>, ApiError>>,
) -> Result<Response, ApiError> {
    if !visible.is_everything() {
        return Ok(Json(read.await?).into_response());
    }
    // Asked before the read: a write that comes in between makes what is kept here outdated at once.
    let version = app.store.version();
    let kept = version.and_then(|version| {
        let lists = app.rendered.lists.lock().expect("no holder of this lock panics");
        lists.get(&kind).filter(|(of, _)| *of == version).map(|(_, body)| body.clone())
    });
    let body = match kept {
        Some(body) => body,
        None => {
            let all = read.await?;
            let body = serde_json::to_vec(&all).map_err(|why| {
                tracing::error!(error = %why, "a list could not be rendered");
                ApiError::new(ErrorCode::UnexpectedError, "the list can't be shown")
            })?;
            let body = Bytes::from(body);
            if let Some(version) = version {
                let mut lists = app.rendered.lists.lock().expect("no holder of this lock panics");
                lists.insert(kind, (version, body.clone()));
            }
            body
        }
    };
    Ok(([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
}

/// The names of all environments by id, for lists.
pub(crate) async fn environment_names(app: &App) -> Result<HashMap<String, String>, StoreError> {
    let all = app.store.summary_list(EntityKind::Environment).await?;
    Ok(all.into_iter().map(|it| (it.entity.id().to_owned(), it.name)).collect())
}

/// An environment's name, or its id when it has gone.
pub(crate) async fn environment_name(app: &App, id: &EnvironmentId) -> Result<String, StoreError> {
    use layer0_domain::port::store::StoreExt;
    Ok(app.store.environment_get(id).await?.map_or_else(|| id.to_string(), |it| it.name.to_string()))
}

/// Id, name, environment id and environment name of a summary. Takes it apart: a list may have ten thousand of them.
pub(crate) fn columns(it: Summary, names: &HashMap<String, String>) -> (String, String, String, String) {
    let environment = it.environment.map(String::from).unwrap_or_default();
    let environment_name = names.get(&environment).cloned().unwrap_or_default();
    (it.entity.into_id(), it.name, environment, environment_name)
}
