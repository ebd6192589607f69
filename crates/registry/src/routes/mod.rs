//! The HTTP side: one handler for everything under `/v2/`, since names with slashes fit no router pattern.
//!
//! Every route admits the caller first and looks at anything else after that.

mod blob;
#[cfg(feature = "ecr")]
mod ecr;
mod manifest;
mod mirror;
pub(crate) mod moving;
mod push;
mod referrers;
mod tags;
mod upload;

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::task::Poll;

use axum::body::{Body, HttpBody as _};
use axum::extract::{ConnectInfo, Query, Request};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, LOCATION};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use layer0_domain::model::access::{Action, Caller};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::{RepositoryName, RepositoryNameError};
use layer0_domain::model::placement::BackingName;

use crate::answers::may_be_kept;
use crate::config::Challenge;
use crate::download::Ended;
use crate::error::RegistryError;
use crate::gate::Admission;
use crate::path::Target;
use crate::registry::Registry;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::manifest::parse as reference;

pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A request without its body, which goes its own way.
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) peer: Option<SocketAddr>,
    pub(super) query: Vec<(String, String)>,
    /// Without the name of a backing in its query.
    pub(super) uri: Uri,
    /// The backing that the address of an upload names.
    pub(super) backing: Option<String>,
    /// Who was let in, once that is known; for the audit log.
    caller: OnceLock<Caller>,
    /// Whether the record in the audit log was written with what it tells of.
    recorded: AtomicBool,
    /// Whether it made a repository and nothing else.
    made: AtomicBool,
}

impl Ask {
    fn new(parts: Parts) -> Result<Self, RegistryError> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
        let (uri, backing) = without_backing(parts.uri);
        let query = Query::<Vec<(String, String)>>::try_from_uri(&uri)
            .map_err(|_| RegistryError::BadRequest("the query can't be read".to_owned()))?
            .0;
        // HTTP/1.1 without a Host is no request (RFC 9112, section 3.2); HTTP/2 has it in the URI.
        if parts.version == Version::HTTP_11 && !parts.headers.contains_key(HOST) {
            return Err(RegistryError::BadRequest("the Host header is missing".to_owned()));
        }
        let (method, headers) = (parts.method, parts.headers);
        let (caller, recorded, made) = (OnceLock::new(), AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { method, headers, peer, query, uri, backing, caller, recorded, made })
    }

    /// The first value of a query parameter.
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The length that the client says its body has.
    pub(super) fn content_length(&self) -> Option<u64> {
        self.header(&http::header::CONTENT_LENGTH)?.parse().ok()
    }

    /// Whether `If-None-Match` holds the digest's tag (RFC 9110, section 13.1.2).
    pub(super) fn has_already(&self, digest: &Digest) -> bool {
        let tag = etag(digest);
        self.headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|candidate| {
                let candidate = candidate.trim();
                candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag
            })
    }

    /// Whether the client showed a credential of its own, not one that was signed for it.
    fn shows_credential(&self) -> bool {
        let scheme = self.header(&AUTHORIZATION).and_then(|value| value.split(' ').next());
        scheme.is_some_and(|scheme| !scheme.eq_ignore_ascii_case("bearer"))
    }

    /// The host as the client named it; `None` when it holds what no host can.
    fn host(&self) -> Option<&str> {
        let host = self.uri.authority().map(http::uri::Authority::as_str).or_else(|| self.header(&HOST))?;
        let legal = !host.is_empty()
            && host.len() <= 300
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-_[]".contains(&b));
        legal.then_some(host)
    }
}

/// What the address of an upload names the backing by in which it was begun.
const BACKING: &str = "layer0-backing";

/// An address without the name of a backing in its query, and that name. It is ours alone.
fn without_backing(uri: Uri) -> (Uri, Option<String>) {
    let named = |pair: &str| pair.strip_prefix(BACKING)?.strip_prefix('=').map(str::to_owned);
    let Some(query) = uri.query().filter(|query| query.contains(BACKING)) else { return (uri, None) };
    let (ours, others): (Vec<&str>, Vec<&str>) = query.split('&').partition(|pair| named(pair).is_some());
    let backing = ours.first().and_then(|pair| named(pair));
    let path = if others.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), others.join("&")) };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    // A part of what was an address is one.
    (Uri::from_parts(parts).unwrap_or(uri), backing)
}

/// The entity tag of content: its digest in quotes.
pub(super) fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Answers a request below `/v2/`: as it was answered before, where that is certain to be right.
pub(crate) async fn serve(registry: &Registry, request: Request) -> Response {
    let kept = if may_be_kept(&request) { registry.parts().gate.standing(request.headers()) } else { None };
    let Some(standing) = kept else { return Box::pin(anew(registry, request)).await };
    let answers = &registry.parts().answers;
    if let Some(answer) = answers.get(standing, request.method(), request.uri().path()) {
        return answer;
    }
    let path = request.uri().path().to_owned();
    let mut answer = Box::pin(anew(registry, request)).await;
    answers.put(standing, &path, &mut answer);
    answer
}

/// Answers a request by looking. Its future has room for all that any route remembers, kilobytes, and whoever waits for it is moved
/// several times before it begins: so it goes into a box.
async fn anew(registry: &Registry, request: Request) -> Response {
    let is_head = *request.method() == Method::HEAD;
    let (parts, body) = request.into_parts();
    let mut response = match Ask::new(parts) {
        Ok(ask) => {
            let answered = dispatch(registry, &ask, body).await;
            if let Err(error) = &answered {
                push::note_refusal(&ask, error);
            }
            let mut response = answered.unwrap_or_else(IntoResponse::into_response);
            if let Some(audited) = ask.unrecorded(response.status()) {
                response.extensions_mut().insert(audited);
            }
            response
        }
        Err(error) => error.into_response(),
    };
    // What is answered to a HEAD has the head that a GET would have, its length included (RFC 9110, section 9.3.2), and no content: over
    // HTTP/2 nobody else sees to that. What never has content has no length either (section 8.6).
    let has_content = !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let length = response.body().size_hint().exact().filter(|_| is_head && has_content);
    if is_head {
        *response.body_mut() = Body::empty();
    }
    let headers = response.headers_mut();
    if let Some(length) = length {
        headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
    }
    headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
    // Blobs are anybody's bytes on the origin of the web page: no browser may guess them into a document.
    headers.insert(NO_SNIFF, HeaderValue::from_static("nosniff"));
    response
}

async fn dispatch(registry: &Registry, ask: &Ask, body: Body) -> Result<Response, RegistryError> {
    let Some(target) = Target::parse(ask.uri.path()) else {
        registry.admit_anyone(ask).await?;
        return Err(RegistryError::PathUnknown);
    };
    let allow = target.allow();
    if !allow.split(", ").any(|method| method == ask.method.as_str()) {
        registry.admit_anyone(ask).await?;
        return Err(RegistryError::Method { allow });
    }
    // What is no repository's name is refused by whoever reads it.
    match target.name().and_then(|name| RepositoryName::parse(name).ok()) {
        Some(name) => match registry.mirrors().and_then(|all| Some((all, all.of(&name)?))) {
            Some((mirrors, mirror)) => mirror::serve(registry, mirrors, mirror, ask, body, target).await,
            None => moving::serve(registry, ask, body, target, &name).await,
        },
        None => at(registry, &BackingName::local(), ask, body, target).await,
    }
}

/// Serves a request in one backing.
async fn at(
    registry: &Registry,
    backing: &BackingName,
    ask: &Ask,
    body: Body,
    target: Target,
) -> Result<Response, RegistryError> {
    if !backing.is_local() {
        #[cfg(feature = "ecr")]
        if let Some(ecr) = registry.backings().and_then(|all| all.get(backing)) {
            return ecr::serve(registry, ecr, ask, body, target).await;
        }
        registry.admit_anyone(ask).await?;
        return Err(moving::unknown(backing));
    }
    match target {
        Target::Base => base(registry, ask).await,
        Target::Catalog => tags::catalog(registry, ask).await,
        Target::Uploads { name } => upload::begin(registry, ask, body, &name).await,
        Target::Upload { name, id } => upload::serve(registry, ask, body, &name, &id).await,
        Target::Blob { name, digest } => blob::serve(registry, ask, &name, &digest).await,
        Target::Manifest { name, reference } => manifest::serve(registry, ask, body, &name, &reference).await,
        Target::Tags { name } => tags::list(registry, ask, &name).await,
        Target::Referrers { name, digest } => referrers::list(registry, ask, &name, &digest).await,
    }
}

/// `GET /v2/`: whether this is a registry, and whether the credential is good.
async fn base(registry: &Registry, ask: &Ask) -> Result<Response, RegistryError> {
    registry.admit_anyone(ask).await?;
    Ok(json(StatusCode::OK, "{}"))
}

pub(super) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode, headers: impl IntoIterator<Item = (HeaderName, String)>) -> Response {
    let mut response = status.into_response();
    for (name, value) in headers {
        match HeaderValue::from_str(&value) {
            Ok(value) => drop(response.headers_mut().append(name, value)),
            // All values are made of names, digests and numbers that were parsed.
            Err(_) => tracing::warn!(header = %name, "a header could not be sent"),
        }
    }
    response
}

/// The answer when content is stored: where it is and what its digest is.
pub(super) fn created(location: String, digest: &Digest) -> Response {
    empty(StatusCode::CREATED, [(LOCATION, location), (CONTENT_DIGEST, digest.to_string())])
}

/// The answer when the client has the content already.
pub(super) fn not_modified(digest: &Digest) -> Response {
    empty(StatusCode::NOT_MODIFIED, [(ETAG, etag(digest)), (CONTENT_DIGEST, digest.to_string())])
}

impl Registry {
    /// Lets anybody in who is somebody.
    pub(super) async fn admit_anyone(&self, ask: &Ask) -> Result<Caller, RegistryError> {
        match self.parts().gate.admit(&ask.headers, ask.peer, None).await {
            Admission::Allowed(caller) => Ok(caller),
            Admission::Challenge => Err(self.challenge(ask, None)),
            Admission::Forbidden(_) => Err(RegistryError::Denied("you may do nothing here".to_owned())),
            Admission::Unavailable => Err(RegistryError::Unavailable),
            Admission::Throttled { after_s } => Err(RegistryError::Throttled { after_s }),
        }
    }

    /// Reads the repository's name and lets the caller in, if it may do all of `actions` there. `also` is a repository
    /// that a mount reads from: it is named in the challenge, so that the client gets one token for both, but not asked
    /// for here.
    pub(super) async fn admit(
        &self,
        ask: &Ask,
        name: &str,
        actions: &[Action],
        also: Option<&RepositoryName>,
    ) -> Result<(RepositoryName, Caller), RegistryError> {
        let name = match RepositoryName::parse(name) {
            Ok(name) => name,
            Err(error) => {
                self.admit_anyone(ask).await?;
                return Err(match error {
                    RepositoryNameError::NoOwner(_) => RegistryError::NoOwner(error.to_string()),
                    _ => RegistryError::NameInvalid(error.to_string()),
                });
            }
        };
        match self.parts().gate.admit(&ask.headers, ask.peer, Some((&name, actions))).await {
            Admission::Allowed(caller) => {
                // Asked once for each request; a second answer would be the same.
                let _ = ask.caller.set(caller.clone());
                Ok((name, caller))
            }
            Admission::Challenge => Err(self.challenge(ask, Some(&scope(&name, actions, also)))),
            Admission::Forbidden(caller) => {
                let denied = denied(&caller, actions, &name);
                let _ = ask.caller.set(caller);
                Err(denied)
            }
            Admission::Unavailable => Err(RegistryError::Unavailable),
            Admission::Throttled { after_s } => Err(RegistryError::Throttled { after_s }),
        }
    }

    /// Does something that takes a while, and stops when the caller's right to it ends.
    pub(super) async fn while_allowed<T>(
        &self,
        ask: &Ask,
        name: &RepositoryName,
        action: Action,
        work: impl Future<Output = T>,
    ) -> Result<T, RegistryError> {
        let mut work = pin!(work);
        // What is there already need not be waited for, and the right to it was just looked at.
        if let Poll::Ready(done) = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await {
            return Ok(done);
        }
        tokio::select! {
            done = work => Ok(done),
            () = self.parts().gate.ended(ask.headers.clone(), ask.peer, name.clone(), action) => {
                let challenge = match self.challenge(ask, None) {
                    RegistryError::Unauthorized { challenge, .. } => Some(challenge),
                    _ => None,
                };
                Err(RegistryError::Ended { challenge })
            }
        }
    }

    /// Returns when the caller's right to pull ends.
    pub(super) fn pull_ended(&self, ask: &Ask, name: &RepositoryName) -> Ended {
        let gate = std::sync::Arc::clone(&self.parts().gate);
        let (headers, peer, name) = (ask.headers.clone(), ask.peer, name.clone());
        Box::pin(async move { gate.ended(headers, peer, name, Action::Pull).await })
    }

    /// A body on its way out, which breaks off when the caller's right to pull ends.
    pub(super) fn while_pulled(&self, ask: &Ask, name: &RepositoryName, body: Body) -> Body {
        crate::download::until(body, self.pull_ended(ask, name))
    }

    /// The 401 that tells the client how to sign in (distribution project, "Token Authentication Specification"; RFC
    /// 7617 for Basic).
    pub(super) fn challenge(&self, ask: &Ask, scope: Option<&str>) -> RegistryError {
        let config = &self.parts().config;
        let Some(host) = ask.host() else {
            return RegistryError::BadRequest("the Host header is no host".to_owned());
        };
        let scheme = match ask.header(&FORWARDED_PROTO) {
            Some(proto) if config.trusted_proxy && proto.eq_ignore_ascii_case("https") => "https",
            _ => "http",
        };
        let mut text = match config.challenge {
            Challenge::Basic => format!("Basic realm=\"{host}\""),
            Challenge::Bearer => format!("Bearer realm=\"{scheme}://{host}/auth/token\",service=\"{host}\""),
        };
        if let (Challenge::Bearer, Some(scope)) = (config.challenge, scope) {
            text.push_str(&format!(",scope=\"{scope}\""));
        }
        match HeaderValue::from_str(&text) {
            // A signed token that does not cover this was made without signing in, or for something else: no wrong try.
            Ok(challenge) => RegistryError::Unauthorized { challenge, tried: ask.shows_credential() },
            Err(error) => RegistryError::Failed { source: error.into() },
        }
    }

    /// `missing`, unless the repository is not there, which is the better reason.
    pub(super) async fn missing_in(&self, name: &RepositoryName, missing: RegistryError) -> RegistryError {
        match self.repository_get(name).await {
            Ok(Some(_)) => missing,
            Ok(None) => RegistryError::NameUnknown(name.clone()),
            Err(error) => error.into(),
        }
    }
}

/// The refusal, in words: what is missing.
fn denied(caller: &Caller, actions: &[Action], name: &RepositoryName) -> RegistryError {
    let missing = actions.iter().find(|action| !caller.rights.may(**action, name.into())).unwrap_or(&actions[0]);
    RegistryError::Denied(format!("{} may not {} {name}", caller.who, in_words(*missing)))
}

/// The refusal of something on one tag.
pub(super) fn denied_tag(caller: &Caller, action: Action, name: &RepositoryName, tag: &str) -> RegistryError {
    RegistryError::Denied(format!(
        "{} may not {} {name}:{tag}: the right is bounded to other tags",
        caller.who,
        in_words(action)
    ))
}

fn in_words(action: Action) -> &'static str {
    match action {
        Action::Pull => "pull from",
        Action::Push => "push to",
        Action::Delete => "delete in",
        Action::Deploy => "deploy to",
        Action::Admin => "manage",
    }
}

/// The scope of a challenge: the actions in a repository, and reading from another one.
pub(super) fn scope(name: &RepositoryName, actions: &[Action], also: Option<&RepositoryName>) -> String {
    let words: Vec<&str> = actions.iter().map(|action| action.as_str()).collect();
    let mut scope = format!("repository:{name}:{}", words.join(","));
    if let Some(also) = also.filter(|also| *also != name) {
        scope.push_str(&format!(" repository:{also}:pull"));
    }
    scope
}

/// Reads a digest out of a path or parameter.
pub(super) fn digest(text: &str) -> Result<Digest, RegistryError> {
    Digest::parse(text).map_err(|error| RegistryError::DigestInvalid(error.to_string()))
}
