//! An upstream on loopback that counts what it is asked for, and behaves as badly as a test wants.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HOST, LINK, LOCATION, RANGE, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderName, Method, StatusCode};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::placement::RepositoryPrefix;
use layer0_registry::{MirrorSettings, UpstreamUrl};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::{CONFIG, LAYER, OCI_MANIFEST};

/// A piece of a body.
const PIECE: usize = 64 << 10;

/// A request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Came {
    /// Method, path and query.
    pub(super) line: String,
    pub(super) authorization: Option<String>,
    pub(super) range: Option<String>,
    /// By which name it was asked.
    pub(super) host: String,
}

/// What becomes of a blob's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Bodies {
    #[default]
    Whole,
    /// The last byte is another one.
    Wrong,
    /// So many bytes, and then nothing for ever.
    Hang(usize),
    /// So many bytes, and then the connection breaks.
    Break(usize),
}

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Door {
    #[default]
    Open,
    /// `me` with `secret`.
    Basic,
    /// With a token from `/token`, which wants `me` with `secret`.
    Bearer,
}

#[derive(Default)]
struct Inside {
    came: Vec<Came>,
    sent: u64,
    manifests: HashMap<(String, String), (String, Bytes)>,
    blobs: HashMap<(String, String), Bytes>,
    /// What everything is answered with.
    refusal: Option<(StatusCode, String)>,
    bodies: Bodies,
    /// How many bodies are as bad as `bodies` says; `None` for all.
    bad: Option<usize>,
    /// Whether nothing is answered at all.
    is_silent: bool,
    /// Whether no token is given, and none refused.
    are_tokens_silent: bool,
    /// Whether there is nothing where tokens are to be had.
    are_tokens_gone: bool,
    /// Whether nothing says how long it is.
    is_chunked: bool,
    /// What every HEAD is answered with.
    head: Option<StatusCode>,
    door: Door,
    tokens: usize,
    good_from: usize,
    /// Where blobs are to be fetched.
    elsewhere: Option<String>,
    /// Where everything is.
    passed_on: Option<String>,
    /// Lists by path and query: a link to more, and the body.
    lists: HashMap<String, ([(HeaderName, String); 2], String)>,
}

/// The fake.
pub(super) struct FakeUpstream {
    pub(super) address: SocketAddr,
    inside: Arc<Mutex<Inside>>,
    /// Bodies of blobs stop in the middle until it says true.
    gate: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Shared {
    inside: Arc<Mutex<Inside>>,
    gate: watch::Receiver<bool>,
    address: SocketAddr,
}

fn locked(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeUpstream {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inside = Arc::<Mutex<Inside>>::default();
        let (gate, seen) = watch::channel(true);
        let shared = Shared { inside: Arc::clone(&inside), gate: seen, address };
        let app = Router::new().fallback(serve).with_state(shared);
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, inside, gate, server }
    }

    /// A mirror of it.
    pub(super) fn mirror(&self, prefix: &str) -> MirrorSettings {
        let url = UpstreamUrl::parse(&format!("http://{}", self.address)).unwrap();
        MirrorSettings::new(RepositoryPrefix::parse(prefix).unwrap(), url)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        locked(&self.inside)
    }

    /// Keeps a blob.
    pub(super) fn blob(&self, repository: &str, content: impl Into<Bytes>) -> Digest {
        let content = content.into();
        let digest = Digest::sha256_of(&content);
        self.inside().blobs.insert((repository.to_owned(), digest.to_string()), content);
        digest
    }

    /// Keeps a manifest under its digest and a tag.
    pub(super) fn manifest(&self, repository: &str, tag: &str, manifest: &Value) -> Digest {
        let bytes = Bytes::from(manifest.to_string());
        let digest = Digest::sha256_of(&bytes);
        let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
        for reference in [tag.to_owned(), digest.to_string()] {
            self.inside().manifests.insert((repository.to_owned(), reference), (media_type.clone(), bytes.clone()));
        }
        digest
    }

    /// Keeps an image with one layer; answers the digests of manifest, config and layer.
    pub(super) fn image(&self, repository: &str, tag: &str, layer: &[u8]) -> [Digest; 3] {
        let config = json!({ "os": "linux", "architecture": "amd64", "made": tag }).to_string();
        let (config_size, layer_size) = (config.len(), layer.len());
        let (config, layer) = (self.blob(repository, config), self.blob(repository, layer.to_vec()));
        let entry = |kind: &str, digest: &Digest, size: usize| json!({ "mediaType": kind, "digest": digest.to_string(), "size": size });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": entry(CONFIG, &config, config_size), "layers": [entry(LAYER, &layer, layer_size)],
        });
        [self.manifest(repository, tag, &manifest), config, layer]
    }

    /// Forgets a tag.
    pub(super) fn forget(&self, repository: &str, tag: &str) {
        self.inside().manifests.remove(&(repository.to_owned(), tag.to_owned()));
    }

    /// Answers everything so; `None` for what is asked for.
    pub(super) fn refuse(&self, refusal: Option<(u16, Value)>) {
        self.inside().refusal = refusal.map(|(status, body)| (StatusCode::from_u16(status).unwrap(), body.to_string()));
    }

    pub(super) fn bodies(&self, bodies: Bodies, bad: Option<usize>) {
        let mut inside = self.inside();
        (inside.bodies, inside.bad) = (bodies, bad);
    }

    pub(super) fn silent(&self, is_silent: bool) {
        self.inside().is_silent = is_silent;
    }

    pub(super) fn silent_tokens(&self, are_silent: bool) {
        self.inside().are_tokens_silent = are_silent;
    }

    pub(super) fn no_tokens(&self) {
        self.inside().are_tokens_gone = true;
    }

    /// Answers every HEAD so, whatever is asked for.
    pub(super) fn refuse_heads(&self, status: u16) {
        self.inside().head = Some(StatusCode::from_u16(status).unwrap());
    }

    /// Sends blobs without saying how large they are.
    pub(super) fn chunked(&self) {
        self.inside().is_chunked = true;
    }

    pub(super) fn door(&self, door: Door) {
        self.inside().door = door;
    }

    /// No token that was given so far is good any more.
    pub(super) fn expire_tokens(&self) {
        let mut inside = self.inside();
        inside.good_from = inside.tokens;
    }

    /// Sends clients to another host for blobs.
    pub(super) fn send_elsewhere(&self, base: &str) {
        self.inside().elsewhere = Some(base.to_owned());
    }

    /// Sends clients to another registry for everything.
    pub(super) fn pass_on(&self, base: &str) {
        self.inside().passed_on = Some(base.to_owned());
    }

    /// Answers a request for the one with the other.
    pub(super) fn swap(&self, repository: &str, one: &str, other: &str) {
        let mut inside = self.inside();
        let other = inside.manifests[&(repository.to_owned(), other.to_owned())].clone();
        inside.manifests.insert((repository.to_owned(), one.to_owned()), other);
    }

    /// Answers a path and query with a list, and a link to more.
    pub(super) fn list(&self, path: &str, link: &str, list: &Value) {
        let headers = [(CONTENT_TYPE, "application/json".to_owned()), (LINK, link.to_owned())];
        self.inside().lists.insert(path.to_owned(), (headers, list.to_string()));
    }

    /// Stops bodies of blobs in the middle, or lets them go on.
    pub(super) fn gate(&self, is_open: bool) {
        self.gate.send_replace(is_open);
    }

    /// The requests that came since the last time.
    pub(super) fn came(&self) -> Vec<Came> {
        std::mem::take(&mut self.inside().came)
    }

    /// The same, method, path and query alone.
    pub(super) fn lines(&self) -> Vec<String> {
        self.came().into_iter().map(|came| came.line).collect()
    }

    /// How many bytes of blobs went out.
    pub(super) fn sent(&self) -> u64 {
        self.inside().sent
    }
}

const ME: &str = "Basic bWU6c2VjcmV0";

async fn serve(State(shared): State<Shared>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    let (path, query) = (request.uri.path().to_owned(), request.uri.query().unwrap_or_default().to_owned());
    let header = |name| request.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let (authorization, range) = (header(AUTHORIZATION), header(RANGE));
    let is_silent = {
        let mut inside = locked(&shared.inside);
        let line = format!("{} {}", request.method, request.uri);
        let host = header(HOST).unwrap_or_default();
        inside.came.push(Came { line, authorization: authorization.clone(), range: range.clone(), host });
        inside.is_silent
    };
    if is_silent {
        std::future::pending::<()>().await;
    }
    let passed_on = locked(&shared.inside).passed_on.clone();
    if let Some(base) = passed_on {
        let to = format!("{base}{}", path.trim_start_matches("/v2"));
        return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, to)]).into_response();
    }
    let (head, are_tokens_silent, are_tokens_gone) = {
        let inside = locked(&shared.inside);
        (inside.head, inside.are_tokens_silent, inside.are_tokens_gone)
    };
    if let (Some(status), true) = (head, request.method == Method::HEAD) {
        return status.into_response();
    }
    if path == "/token" {
        if are_tokens_silent {
            std::future::pending::<()>().await;
        }
        if are_tokens_gone {
            return StatusCode::NOT_FOUND.into_response();
        }
        return token(&shared, authorization.as_deref(), &query);
    }
    if let Some(refused) = refused(&shared, authorization.as_deref(), &path) {
        return refused;
    }
    if let Some(list) = locked(&shared.inside).lists.get(&request.uri.to_string()) {
        return list.clone().into_response();
    }
    let Some((repository, kind, reference)) = parsed(&path) else { return unknown() };
    if kind == "manifests" {
        let found = locked(&shared.inside).manifests.get(&(repository, reference)).cloned();
        let Some((media_type, bytes)) = found else { return unknown() };
        let digest = Digest::sha256_of(&bytes).to_string();
        let head = [(CONTENT_TYPE, media_type), (CONTENT_LENGTH, bytes.len().to_string())];
        let body = if request.method == Method::HEAD { Body::empty() } else { Body::from(bytes) };
        return (head, [("docker-content-digest", digest)], body).into_response();
    }
    let elsewhere = locked(&shared.inside).elsewhere.clone();
    if let Some(base) = elsewhere {
        return (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, format!("{base}{path}?signed=1"))]).into_response();
    }
    let found = locked(&shared.inside).blobs.get(&(repository, reference)).cloned();
    match found {
        None => unknown(),
        Some(_) if request.method == Method::HEAD && locked(&shared.inside).is_chunked => {
            Body::from_stream(stream::empty::<std::io::Result<Bytes>>()).into_response()
        }
        Some(bytes) if request.method == Method::HEAD => [(CONTENT_LENGTH, bytes.len().to_string())].into_response(),
        Some(bytes) => blob(&shared, &bytes, range.as_deref()),
    }
}

fn unknown() -> Response {
    let body = json!({ "errors": [{ "code": "MANIFEST_UNKNOWN", "message": "no such thing there" }] });
    (StatusCode::NOT_FOUND, body.to_string()).into_response()
}

/// Repository, kind and reference.
fn parsed(path: &str) -> Option<(String, &'static str, String)> {
    let rest = path.strip_prefix("/v2/")?;
    ["manifests", "blobs"].into_iter().find_map(|kind| {
        let (repository, reference) = rest.rsplit_once(&format!("/{kind}/"))?;
        Some((repository.to_owned(), kind, reference.to_owned()))
    })
}

fn token(shared: &Shared, authorization: Option<&str>, query: &str) -> Response {
    if authorization != Some(ME) {
        return (StatusCode::UNAUTHORIZED, "who are you").into_response();
    }
    assert!(query.contains("service=fake") && query.contains("scope=repository%3A"), "{query}");
    let mut inside = locked(&shared.inside);
    inside.tokens += 1;
    json!({ "token": format!("t{}", inside.tokens), "expires_in": 300 }).to_string().into_response()
}

/// A refusal of somebody who is not let in, or of everybody.
fn refused(shared: &Shared, authorization: Option<&str>, path: &str) -> Option<Response> {
    let inside = locked(&shared.inside);
    if let Some((status, body)) = &inside.refusal {
        return Some((*status, [(RETRY_AFTER, "77")], body.clone()).into_response());
    }
    let token = authorization.and_then(|it| it.strip_prefix("Bearer t")?.parse::<usize>().ok());
    let repository = parsed(path).map(|(repository, ..)| repository).unwrap_or_default();
    let challenge = match inside.door {
        Door::Open => return None,
        Door::Basic if authorization == Some(ME) => return None,
        Door::Basic => "Basic realm=\"fake\"".to_owned(),
        Door::Bearer if token.is_some_and(|token| token > inside.good_from) => return None,
        Door::Bearer => format!(
            "Bearer realm=\"http://{}/token\",service=\"fake\",scope=\"repository:{repository}:pull\"",
            shared.address
        ),
    };
    let body = json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "authentication required" }] });
    Some((StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)], body.to_string()).into_response())
}

fn blob(shared: &Shared, bytes: &Bytes, range: Option<&str>) -> Response {
    let asked = range.map(|it| it.strip_prefix("bytes=").unwrap().split_once('-').unwrap());
    let first: usize = asked.map_or(0, |(first, _)| first.parse().unwrap());
    if let Some(last) = asked.and_then(|(_, last)| last.parse::<usize>().ok()) {
        let range = [(CONTENT_RANGE, format!("bytes {first}-{last}/{}", bytes.len()))];
        return (StatusCode::PARTIAL_CONTENT, range, bytes.slice(first..=last)).into_response();
    }
    let bodies = {
        let mut inside = locked(&shared.inside);
        match &mut inside.bad {
            Some(0) => Bodies::Whole,
            Some(left) => {
                *left -= 1;
                inside.bodies
            }
            None => inside.bodies,
        }
    };
    let is_chunked = locked(&shared.inside).is_chunked;
    let mut content = bytes.to_vec();
    let size = content.len();
    let end = match bodies {
        Bodies::Hang(at) | Bodies::Break(at) => at,
        Bodies::Wrong => {
            content[size - 1] ^= 1;
            size
        }
        Bodies::Whole => size,
    };
    let content = Bytes::from(content);
    let (shared, half) = (shared.clone(), first + (size - first) / 2);
    let pieces = stream::unfold((shared, content, first), move |(mut shared, content, at)| async move {
        if at >= end {
            match bodies {
                Bodies::Hang(_) => std::future::pending::<()>().await,
                Bodies::Break(_) => {
                    // What was sent before goes out.
                    tokio::task::yield_now().await;
                    return Some((Err(std::io::Error::other("broken")), (shared, content, at)));
                }
                Bodies::Whole | Bodies::Wrong => return None,
            }
        }
        // A test opens the gate, or ends.
        if at >= half && shared.gate.wait_for(|is_open| *is_open).await.is_err() {
            return None;
        }
        let next = end.min(at + PIECE);
        locked(&shared.inside).sent += (next - at) as u64;
        Some((Ok(content.slice(at..next)), (shared, content, next)))
    });
    let length = [(CONTENT_LENGTH, (size - first).to_string())];
    let body = Body::from_stream(pieces);
    match range {
        None if is_chunked => body.into_response(),
        None => (length, body).into_response(),
        Some(_) => {
            let range = [(CONTENT_RANGE, format!("bytes {first}-{}/{size}", size - 1))];
            (StatusCode::PARTIAL_CONTENT, length, range, body).into_response()
        }
    }
}
