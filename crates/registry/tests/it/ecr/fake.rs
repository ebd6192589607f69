//! ECR on loopback: its API, and its registry with the ways in which it differs from the specification, in front of a
//! registry of ours that keeps the content. Tokens expire when the test says so.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, HOST, LOCATION, RANGE, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::placement::BackingName;
use layer0_domain::model::registry::{ManifestRef, Visibility};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::image_end::Entry;
use layer0_domain::port::registry_store::{Page, RegistryStoreError};
use layer0_registry::{Registry, RegistryConfig, RegistryPorts};
use layer0_store::SqliteStore;
use layer0_testkit::clock::FixedClock;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::common::{Minter, Open};

/// What the registry is called on AWS.
pub(crate) const HOST_NAME: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
/// A cookie that must reach no client.
const COOKIE: &str = "ecr-session=secret";
/// How long tokens live.
const LIFE_MS: i64 = 12 * 60 * 60 * 1000;

/// A request that came to the registry.
#[derive(Debug, Clone)]
pub(crate) struct Came {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) authorization: String,
    pub(crate) status: u16,
    /// The other end of the connection.
    pub(crate) from: SocketAddr,
}

#[derive(Default)]
struct Inside {
    /// Tokens given so far; those before `good_from` have expired.
    given: usize,
    good_from: usize,
    came: Vec<Came>,
    calls: Vec<String>,
    /// Tags of repositories, by the name.
    marks: HashMap<String, Value>,
    /// Lifecycle policies, by the name.
    lifecycles: HashMap<String, String>,
    /// The end of the first chunk of each upload: what its `Range` says ever after.
    first_ends: HashMap<String, String>,
    /// Requests of the registry that are refused as too many.
    busy: usize,
    /// Whether blobs that are mounted are mounted, or uploaded.
    mounts: bool,
    /// Whether all of a request is read before it is refused.
    reads_first: bool,
    /// Whether what is about another image is refused.
    refuses_subjects: bool,
}

/// The fake.
pub(crate) struct FakeEcr {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<FixedClock>,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

struct Shared {
    address: SocketAddr,
    clock: Arc<FixedClock>,
    registry: Registry,
    inside: Mutex<Inside>,
}

impl Drop for FakeEcr {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeEcr {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(FixedClock::default());
        let ports = RegistryPorts {
            store: Arc::new(SqliteStore::in_memory()),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            gate: Arc::new(Open),
            minter: Arc::new(Minter),
        };
        let registry = Registry::open(RegistryConfig::new(directory.path()), ports).unwrap();
        let shared =
            Arc::new(Shared { address, clock: Arc::clone(&clock), registry, inside: Mutex::new(Inside::default()) });
        let app = Router::new()
            .route("/", post(api))
            .route("/v2/{*path}", any(front))
            .route("/s3/{*path}", any(storage))
            .with_state(Arc::clone(&shared));
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, clock, shared, server, _directory: directory }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.shared.inside()
    }

    /// All tokens that were given are good no more.
    pub(crate) fn expire(&self) {
        let mut inside = self.inside();
        inside.good_from = inside.given;
    }

    /// How many tokens were given.
    pub(crate) fn tokens_given(&self) -> usize {
        self.inside().given
    }

    /// What came to the registry so far.
    pub(crate) fn came(&self) -> Vec<Came> {
        self.inside().came.clone()
    }

    /// Which operations of the API were called so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.inside().calls.clone()
    }

    /// The next requests of the registry are too many.
    pub(crate) fn busy(&self, requests: usize) {
        self.inside().busy = requests;
    }

    /// From now on all of a request is read before it is refused.
    pub(crate) fn read_first(&self) {
        self.inside().reads_first = true;
    }

    /// From now on manifests about another image are refused, as some are (containers-roadmap #2783).
    pub(crate) fn refuse_subjects(&self) {
        self.inside().refuses_subjects = true;
    }

    /// Blobs can be mounted from now on.
    pub(crate) fn mounting(&self) {
        self.inside().mounts = true;
    }

    /// The lifecycle policy of a repository.
    pub(crate) fn lifecycle(&self, name: &str) -> Option<String> {
        self.inside().lifecycles.get(name).cloned()
    }

    /// Says which images of a repository go, as somebody else does it.
    pub(crate) fn lifecycle_set(&self, name: &str, text: &str) {
        self.inside().lifecycles.insert(name.to_owned(), text.to_owned());
    }

    /// The tags of a repository, `KEY=VALUE`.
    pub(crate) fn marks(&self, name: &str) -> Vec<String> {
        let marks = self.inside().marks.get(name).cloned().unwrap_or(json!([]));
        let text = |tag: &Value| format!("{}={}", tag["Key"].as_str().unwrap(), tag["Value"].as_str().unwrap());
        marks.as_array().unwrap().iter().map(text).collect()
    }

    /// Gives a repository a tag, as somebody else does it.
    pub(crate) fn mark(&self, name: &str, key: &str, value: &str) {
        let mut inside = self.inside();
        let marks = inside.marks.entry(name.to_owned()).or_insert(json!([])).as_array_mut().unwrap();
        marks.push(json!({ "Key": key, "Value": value }));
    }

    /// Makes a repository that no instance of ours has made.
    pub(crate) async fn repository(&self, name: &str) {
        self.shared.registry.repository_create(parsed(name), Visibility::Private).await.unwrap();
    }
}

impl Shared {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parsed(name: &str) -> RepositoryName {
    RepositoryName::parse(name).unwrap()
}

/// The password of the token of a number.
fn password(number: usize) -> String {
    BASE64_STANDARD.encode(format!("AWS:ecr-secret-{number}"))
}

fn error(status: StatusCode, code: &str, message: &str) -> Response {
    (status, json!({ "errors": [{ "code": code, "message": message }] }).to_string()).into_response()
}

/// ECR's registry.
async fn front(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path_and_query().unwrap().to_string());
    let [authorization, host] = [AUTHORIZATION, HOST]
        .map(|name| request.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned());
    let mut response = match refused(&shared, &authorization, &host) {
        Some(refused) => {
            let reads_first = shared.inside().reads_first;
            if reads_first {
                request.into_body().collect().await.unwrap();
            }
            refused
        }
        None => passed_on(&shared, request).await,
    };
    response.headers_mut().insert(SET_COOKIE, HeaderValue::from_static(COOKIE));
    let status = response.status().as_u16();
    shared.inside().came.push(Came { method, path, authorization, status, from });
    response
}

fn refused(shared: &Shared, authorization: &str, host: &str) -> Option<Response> {
    let mut inside = shared.inside();
    let number = (0..inside.given).find(|number| authorization == format!("Basic {}", password(*number)));
    match number {
        _ if host != HOST_NAME => Some(error(StatusCode::NOT_FOUND, "UNKNOWN", "no such registry")),
        None => {
            let mut response = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "Not Authorized");
            let challenge = format!("Basic realm=\"https://{HOST_NAME}/\",service=\"ecr.amazonaws.com\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge.parse().unwrap());
            Some(response)
        }
        Some(number) if number < inside.good_from => Some(error(
            StatusCode::FORBIDDEN,
            "DENIED",
            "Your authorization token has expired. Reauthenticate and try again.",
        )),
        Some(_) if inside.busy > 0 => {
            inside.busy -= 1;
            Some(error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "Rate exceeded"))
        }
        Some(_) => None,
    }
}

/// Does what is asked, and answers as ECR does.
async fn passed_on(shared: &Shared, mut request: Request) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let is_upload = path.contains("/blobs/uploads/");
    if is_upload && method == Method::POST {
        // No blob in one request, and no mount unless that was switched on.
        let mounts = query.contains("mount=") && shared.inside().mounts;
        *request.uri_mut() = if mounts { format!("{path}?{query}") } else { path.clone() }.parse().unwrap();
    }
    if method == Method::DELETE && !is_upload {
        return error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "The operation is unsupported.");
    }
    if path.contains("/manifests/") && method == Method::PUT && shared.inside().refuses_subjects {
        let (parts, body) = request.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        if serde_json::from_slice::<Value>(&bytes).is_ok_and(|manifest| manifest.get("subject").is_some()) {
            return error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "Invalid parameter at 'ImageManifest'");
        }
        request = Request::from_parts(parts, bytes.into());
    }
    let mut response = shared.registry.router().oneshot(request).await.unwrap();
    let status = response.status();
    if let Some(location) = response.headers().get(LOCATION).map(|value| value.to_str().unwrap().to_owned()) {
        let absolute = format!("https://{HOST_NAME}{location}");
        response.headers_mut().insert(LOCATION, absolute.parse().unwrap());
    }
    if path.contains("/manifests/") && method == Method::PUT {
        response.headers_mut().remove(LOCATION);
    }
    if is_upload && method == Method::PATCH && status == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::CREATED;
        let range = response.headers()[RANGE].to_str().unwrap().to_owned();
        let first = shared.inside().first_ends.entry(path.clone()).or_insert(range).clone();
        response.headers_mut().insert(RANGE, first.parse().unwrap());
    }
    if status == StatusCode::RANGE_NOT_SATISFIABLE && is_upload {
        let next = response.headers()[RANGE].to_str().unwrap().rsplit_once('-').unwrap().1.parse::<u64>().unwrap() + 1;
        let words = format!("First byte of the layer part is 0 instead of {next}");
        return error(StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID", &words);
    }
    if !is_upload && path.contains("/blobs/") && method == Method::GET && status.is_success() {
        let to = format!("http://localhost:{}/s3{}?X-Amz-Signature=abc", shared.address.port(), &path[3..]);
        return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response();
    }
    response
}

/// Where blobs are fetched, by signed addresses.
async fn storage(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    if request.headers().contains_key(AUTHORIZATION) {
        return (StatusCode::BAD_REQUEST, "Only one auth mechanism allowed").into_response();
    }
    let path = request.uri().path().replacen("/s3", "/v2", 1);
    *request.uri_mut() = path.parse().unwrap();
    shared.registry.router().oneshot(request).await.unwrap()
}

/// ECR's API.
async fn api(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let target = request.headers()["x-amz-target"].to_str().unwrap().to_owned();
    let operation = target.rsplit('.').next().unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let input: Value = serde_json::from_slice(&body).unwrap();
    shared.inside().calls.push(operation.clone());
    match answer(&shared, &operation, &input).await {
        Ok(output) => (StatusCode::OK, output.to_string()).into_response(),
        Err(code) => {
            let body = json!({ "__type": code, "message": format!("{code} of {operation}") });
            (StatusCode::BAD_REQUEST, body.to_string()).into_response()
        }
    }
}

/// A time as ECR writes it.
fn seconds(at: Timestamp) -> f64 {
    std::time::Duration::from_millis(u64::try_from(at.0).unwrap()).as_secs_f64()
}

async fn answer(shared: &Shared, operation: &str, input: &Value) -> Result<Value, &'static str> {
    const MISSING: &str = "RepositoryNotFoundException";
    let registry = &shared.registry;
    let name = input["repositoryName"].as_str().unwrap_or_default();
    let described = |name: &str| {
        json!({
            "repositoryName": name, "registryId": "123456789012", "createdAt": 1_704_067_200.0,
            "repositoryArn": format!("arn:aws:ecr:us-east-1:123456789012:repository/{name}"),
            "repositoryUri": format!("{HOST_NAME}/{name}"),
        })
    };
    match operation {
        "GetAuthorizationToken" => {
            let mut inside = shared.inside();
            inside.given += 1;
            let expires = (shared.clock.now().0 + LIFE_MS) / 1000;
            Ok(json!({ "authorizationData": [{
                "authorizationToken": password(inside.given - 1), "expiresAt": expires,
                "proxyEndpoint": format!("https://{HOST_NAME}"),
            }]}))
        }
        "CreateRepository" => {
            let parsed = RepositoryName::parse(name).map_err(|_| "InvalidParameterException")?;
            match registry.repository_create(parsed, Visibility::Private).await {
                Ok(_) => {}
                Err(RegistryStoreError::RepositoryExists(_)) => return Err("RepositoryAlreadyExistsException"),
                Err(error) => panic!("{error}"),
            }
            shared.inside().marks.insert(name.to_owned(), input["tags"].clone());
            Ok(json!({ "repository": described(name) }))
        }
        "DescribeRepositories" => {
            let Some(names) = input["repositoryNames"].as_array() else {
                let all = registry.repository_list(None, Page::default()).await.unwrap();
                let all: Vec<Value> = all.iter().map(|it| described(it.name.as_str())).collect();
                return Ok(json!({ "repositories": all }));
            };
            let name = names[0].as_str().unwrap();
            match registry.repository_get(&parsed(name)).await.unwrap() {
                Some(_) => Ok(json!({ "repositories": [described(name)] })),
                None => Err(MISSING),
            }
        }
        "DeleteRepository" => {
            let only_empty = input["force"] != json!(true);
            match registry.repository_delete(&parsed(name), only_empty).await {
                Ok(()) => Ok(json!({ "repository": described(name) })),
                Err(RegistryStoreError::RepositoryMissing(_)) => Err(MISSING),
                Err(RegistryStoreError::RepositoryNotEmpty { .. }) => Err("RepositoryNotEmptyException"),
                Err(error) => panic!("{error}"),
            }
        }
        "ListTagsForResource" => {
            let name = input["resourceArn"].as_str().unwrap().split_once("repository/").unwrap().1.to_owned();
            Ok(json!({ "tags": shared.inside().marks.get(&name).cloned().unwrap_or(json!([])) }))
        }
        "TagResource" => {
            let name = input["resourceArn"].as_str().unwrap().split_once("repository/").unwrap().1.to_owned();
            let mut inside = shared.inside();
            let marks = inside.marks.entry(name).or_insert(json!([])).as_array_mut().unwrap();
            marks.extend(input["tags"].as_array().unwrap().iter().cloned());
            Ok(json!({}))
        }
        "GetLifecyclePolicy" => {
            let text = shared.inside().lifecycles.get(name).cloned();
            Ok(json!({ "lifecyclePolicyText": text.ok_or("LifecyclePolicyNotFoundException")? }))
        }
        "PutLifecyclePolicy" => {
            let text = input["lifecyclePolicyText"].as_str().unwrap().to_owned();
            if text.contains("refused") {
                return Err("InvalidParameterException");
            }
            shared.inside().lifecycles.insert(name.to_owned(), text);
            Ok(json!({}))
        }
        "ListImages" => {
            let held = registry.end(&BackingName::local(), &parsed(name)).unwrap();
            let (mut all, mut next) = (Vec::new(), None::<String>);
            loop {
                let page = held.entries(next.as_deref()).await.map_err(|_| MISSING)?;
                all.extend(page.entries);
                next = page.next;
                if next.is_none() {
                    break;
                }
            }
            // One with tags is there once for each.
            let is_listed = |it: &&Entry| {
                it.tag.is_some() || !all.iter().any(|other| other.digest == it.digest && other.tag.is_some())
            };
            let ids = all.iter().filter(is_listed).map(|it| match &it.tag {
                Some(tag) => json!({ "imageDigest": it.digest.to_string(), "imageTag": tag }),
                None => json!({ "imageDigest": it.digest.to_string() }),
            });
            Ok(json!({ "imageIds": ids.collect::<Vec<_>>() }))
        }
        "DescribeImages" => {
            let all = registry.image_list(&parsed(name), Page::default()).await.unwrap().ok_or(MISSING)?;
            let Some(digest) = input["imageIds"][0]["imageDigest"].as_str() else {
                let tagged = all.iter().map(|image| {
                    let (digest, at) = (image.digest.to_string(), seconds(image.pushed));
                    json!({ "imageDigest": digest, "imagePushedAt": at, "imageSizeInBytes": image.size })
                });
                let manifests = registry.images(&parsed(name)).await.unwrap().ok_or(MISSING)?.manifests;
                let is_tagged = |digest: &Digest| all.iter().any(|image| image.digest == *digest);
                let others = manifests.iter().filter(|it| !is_tagged(&it.digest));
                let others = others
                    .map(|it| json!({ "imageDigest": it.digest.to_string(), "imagePushedAt": seconds(it.pushed) }));
                return Ok(json!({ "imageDetails": tagged.chain(others).collect::<Vec<_>>() }));
            };
            let reference = ManifestRef::Digest(Digest::parse(digest).unwrap());
            if registry.image_get(&parsed(name), &reference).await.unwrap().is_none() {
                return Err("ImageNotFoundException");
            }
            let tags: Vec<String> =
                all.into_iter().filter(|image| image.digest.to_string() == digest).map(|image| image.tag).collect();
            Ok(json!({ "imageDetails": [{ "imagePushedAt": 1_704_067_201.0, "imageTags": tags }] }))
        }
        "BatchDeleteImage" => {
            let id = &input["imageIds"][0];
            let reference = match (id["imageTag"].as_str(), id["imageDigest"].as_str()) {
                (Some(tag), _) => ManifestRef::Tag(tag.to_owned()),
                (None, Some(digest)) => ManifestRef::Digest(Digest::parse(digest).unwrap()),
                (None, None) => panic!("{input}"),
            };
            if registry.image_delete(&parsed(name), &reference).await.unwrap() {
                return Ok(json!({ "imageIds": [id], "failures": [] }));
            }
            let failure = json!({ "imageId": id, "failureCode": "ImageNotFound", "failureReason": "not found" });
            Ok(json!({ "imageIds": [], "failures": [failure] }))
        }
        other => panic!("{other} is not answered here: {input}"),
    }
}
