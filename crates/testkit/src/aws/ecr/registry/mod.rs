//! ECR's own registry (`/v2/…`), with the ways in which it differs from the distribution specification.
//!
//! Written from what AWS documents (API reference of `InitiateLayerUpload`, `UploadLayerPart`, `CompleteLayerUpload`, `PutImage`) and from
//! what users of ECR have reported (containers-roadmap #2783, #2831, #2860), not from what Layer0 sends:
//! - every request has a token that `GetAuthorizationToken` gave; one that has expired is denied with 403;
//! - no blob comes in one request; a chunk is answered with 201 and the range of the first one, for ever;
//! - parts but the last have at least 5 MiB, which is looked at when the upload ends;
//! - where an upload goes on is told in words; its status, and its end before its time, as [`Uploads`] says;
//! - blobs are mounted where the account says so, and only those that a manifest of the source refers to;
//! - digests are sha256; no blob is deleted; a manifest has no `Location`, and what it refers to has to be there.

mod manifests;
mod uploads;

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, LOCATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::json;

use super::super::server::Shared;
use super::super::wire::answer::Answer;
use super::super::world::World;
use super::{BLOB_PATH, Repository};
use uploads::Upload;

/// What stands before all paths.
pub(crate) const PREFIX: &str = "/v2/";

/// What the registry tells of uploads that are not finished. ECR documents neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Uploads {
    /// Nothing: their status is not found, and none is ended before its time.
    #[default]
    Silent,
    /// Their status, with a range that stays at the end of the first chunk, and they can be ended.
    Told,
}

/// A request that came to the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryCall {
    /// Its method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// How much of a body came.
    pub bytes: usize,
}

/// What the registry holds beside the repositories.
#[derive(Default)]
pub(crate) struct State {
    /// Tokens given so far; those before `good_from` have expired.
    pub(crate) given: usize,
    pub(crate) good_from: usize,
    /// Requests that are refused as too many, from now on.
    pub(crate) busy: usize,
    pub(crate) uploads_tell: Uploads,
    pub(crate) calls: Vec<RegistryCall>,
    open: HashMap<String, Upload>,
    /// Where requests go that have a good token; `None` to serve them here.
    pub(crate) passed_to: Option<http::uri::Authority>,
}

/// The password of the token of a number, as `GetAuthorizationToken` gives it.
pub(crate) fn token(number: usize) -> String {
    STANDARD.encode(format!("AWS:fake-password-{number}"))
}

/// The name that the registry goes by.
pub(crate) fn host(world: &World) -> String {
    format!("{}.dkr.ecr.{}.amazonaws.com", world.caller, world.config.region)
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

fn with(mut answer: Answer, name: &'static str, value: impl AsRef<str>) -> Answer {
    let value = HeaderValue::from_str(value.as_ref()).expect("what the fake answers is text");
    answer.headers_mut().insert(name, value);
    answer
}

fn error(status: StatusCode, code: &str, message: &str) -> Answer {
    let body = json!({ "errors": [{ "code": code, "message": message }] }).to_string();
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    with(answer, "content-type", "application/json; charset=utf-8")
}

fn name_unknown(world: &World, name: &str) -> Answer {
    let account = &world.caller;
    let message = format!("The repository with name '{name}' does not exist in the registry with id '{account}'");
    error(StatusCode::NOT_FOUND, "NAME_UNKNOWN", &message)
}

/// The account whose registry a request is for, by the name under which it is asked.
fn account(world: &World, head: &Parts) -> String {
    let host = head.headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match host.split_once(".dkr.ecr.") {
        Some((account, _)) => account.to_owned(),
        None => world.config.account.clone(),
    }
}

/// Whether who asks is let in.
fn refused(world: &mut World, head: &Parts) -> Option<Answer> {
    world.caller = account(world, head);
    let sent = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let state = &mut world.ecr.registry;
    let number = (0..state.given).find(|number| sent == format!("Basic {}", token(*number)));
    match number {
        None => {
            let answer = error(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "Not Authorized");
            let realm = format!("Basic realm=\"https://{}/\",service=\"ecr.amazonaws.com\"", host(world));
            Some(with(answer, WWW_AUTHENTICATE.as_str(), realm))
        }
        Some(number) if number < state.good_from => Some(error(
            StatusCode::FORBIDDEN,
            "DENIED",
            "Your authorization token has expired. Reauthenticate and try again.",
        )),
        Some(_) if state.busy > 0 => {
            state.busy -= 1;
            Some(error(StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS", "Rate exceeded"))
        }
        Some(_) => None,
    }
}

/// What of a request's body came, and whether that was all.
struct Came {
    bytes: Vec<u8>,
    is_whole: bool,
}

async fn read(mut body: Incoming) -> Came {
    let mut bytes = Vec::new();
    loop {
        match body.frame().await {
            None => return Came { bytes, is_whole: true },
            Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data.as_ref())),
            Some(Err(_)) => return Came { bytes, is_whole: false },
        }
    }
}

/// Answers a request. Who is not let in is refused before the body is read.
pub(crate) async fn respond(shared: &Shared, head: Parts, body: Incoming) -> Answer {
    let (refused, passed_to) = shared.with(|world| (refused(world, &head), world.ecr.registry.passed_to.clone()));
    let (answer, bytes) = match (refused, passed_to) {
        (Some(refused), _) => (refused, 0),
        (None, Some(to)) => {
            let came = read(body).await;
            let length = came.bytes.len();
            (pass(to, &head, came).await, length)
        }
        (None, None) => {
            let came = read(body).await;
            let length = came.bytes.len();
            (shared.with(|world| serve(world, &head, came)), length)
        }
    };
    let path = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let status = answer.status().as_u16();
    let call = RegistryCall { method: head.method.to_string(), path, status, bytes };
    shared.with(|world| world.ecr.registry.calls.push(call));
    answer
}

/// Hands a request on to another registry, without the token, and its answer back.
async fn pass(to: http::uri::Authority, head: &Parts, came: Came) -> Answer {
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;

    if !came.is_whole {
        return empty(StatusCode::BAD_REQUEST);
    }
    let uri = http::Uri::builder().scheme("http").authority(to).path_and_query(head.uri.to_string()).build();
    let mut request = http::Request::new(Full::new(Bytes::from(came.bytes)));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri.expect("the parts of a request make one");
    for (name, value) in &head.headers {
        let is_own = [&AUTHORIZATION, &CONTENT_LENGTH, &http::header::TRANSFER_ENCODING, &HOST];
        if !is_own.contains(&name) {
            request.headers_mut().append(name.clone(), value.clone());
        }
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    match client.request(request).await {
        Err(why) => error(StatusCode::BAD_GATEWAY, "UNKNOWN", &why.to_string()),
        Ok(answer) => {
            let (head, body) = answer.into_parts();
            match body.collect().await {
                Ok(body) => Response::from_parts(head, Full::new(body.to_bytes())),
                Err(why) => error(StatusCode::BAD_GATEWAY, "UNKNOWN", &why.to_string()),
            }
        }
    }
}

/// The values of a query.
fn param(head: &Parts, name: &str) -> Option<String> {
    let query = head.uri.query()?;
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(unescaped(value))
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let coded = if *first == b'%' { tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()) } else { None };
        match coded.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The account's own repository of this name.
fn repository<'a>(world: &'a World, name: &str) -> Option<&'a Repository> {
    world.ecr.repositories.get(&(world.caller.clone(), name.to_owned()))
}

fn repository_mut<'a>(world: &'a mut World, name: &str) -> Option<&'a mut Repository> {
    let key = (world.caller.clone(), name.to_owned());
    world.ecr.repositories.get_mut(&key)
}

fn serve(world: &mut World, head: &Parts, came: Came) -> Answer {
    world.caller = account(world, head);
    let path = unescaped(head.uri.path().strip_prefix(PREFIX).unwrap_or_default());
    if path.is_empty() {
        return with(empty(StatusCode::OK), "docker-distribution-api-version", "registry/2.0");
    }
    let cut = |what: &str| path.rsplit_once(what).map(|(name, rest)| (name.to_owned(), rest.to_owned()));
    let known = |world: &World, name: &str| repository(world, name).is_some();
    let parts = ["/blobs/uploads/", "/blobs/", "/manifests/", "/tags/", "/referrers/"]
        .into_iter()
        .find_map(|what| cut(what).map(|(name, rest)| (what, name, rest)));
    let Some((what, name, rest)) = parts else { return error(StatusCode::NOT_FOUND, "UNKNOWN", "no such path") };
    if !known(world, &name) {
        return name_unknown(world, &name);
    }
    match (what, head.method.as_str()) {
        ("/blobs/uploads/", "POST") if rest.is_empty() => uploads::begin(world, head, &name),
        ("/blobs/uploads/", _) => uploads::serve(world, head, came, &name, &rest),
        ("/blobs/", "GET" | "HEAD") => blob(world, head, &name, &rest),
        ("/manifests/", "PUT") => manifests::put(world, head, &came.bytes, &name, &rest),
        ("/manifests/", "GET" | "HEAD") => manifests::get(world, head, &name, &rest),
        ("/tags/", "GET") => manifests::tags(world, head, &name),
        ("/referrers/", "GET") => manifests::referrers(world, head, &name, &rest),
        _ => error(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "The operation is unsupported."),
    }
}

fn blob(world: &World, head: &Parts, name: &str, digest: &str) -> Answer {
    let layer = repository(world, name).and_then(|it| it.layers.get(digest));
    let Some((size, true)) = layer else {
        return error(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "blob unknown to registry");
    };
    if head.method == Method::HEAD {
        let answer = with(empty(StatusCode::OK), CONTENT_LENGTH.as_str(), size.to_string());
        return with(answer, "docker-content-digest", digest);
    }
    let place = format!("{}{BLOB_PATH}{digest}?X-Amz-Signature=abc", world.ecr.endpoint);
    with(empty(StatusCode::TEMPORARY_REDIRECT), LOCATION.as_str(), place)
}
