//! One request: choose a target, send it, take the answer back; or say why not.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tracing::debug;

use super::activity::Running;
use super::balancer::{Choice, Lease, TargetState};
use super::client::Client;
use super::response::{self, ResponseBody};
use super::rules::{self, Way};
use super::tunnel;
use super::upstream::body::{Return, UpstreamBody};
use super::upstream::fields::{self, Length};
use super::upstream::{ExchangeError, RequestBody, Upstream};

/// So many targets are tried for one request or connection.
pub(super) const MOST_TARGETS: usize = 4;

/// Answers a request of `client`. Problems are answers too.
pub(super) async fn forward(
    client: Arc<Client>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let is_head = request.method() == Method::HEAD;
    client.sends(!request.body().is_end_stream());
    let answered = answer(client, request).await;
    // Over HTTP/2 nobody else takes the content of what we say ourselves away.
    if is_head { answered.map(response::without_content) } else { answered }
}

async fn answer(client: Arc<Client>, mut request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
    let place = if request.version() == Version::HTTP_2 { Some(client.place().await) } else { None };
    let now = Instant::now();
    let running = Running::new(&client, now, place);
    if request.method() == Method::CONNECT {
        return Ok(response::text(StatusCode::METHOD_NOT_ALLOWED, "a load balancer is no forward proxy"));
    }
    let upgrade = wants_upgrade(&request).map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
    let (mut parts, body) = request.into_parts();
    let (length, body) = match body.size_hint().exact() {
        _ if body.is_end_stream() => (Length::None, Either::Right(Empty::new())),
        Some(_) => (Length::Known, Either::Left(body)),
        None => (Length::Chunked, Either::Left(body)),
    };
    let protocol = upgrade.as_ref().map(|(protocol, _)| protocol.clone());
    if fields::request(&mut parts, &client.origin, length, protocol).is_err() {
        return Ok(response::text(StatusCode::BAD_REQUEST, "a request must name exactly one host"));
    }
    let target_port = match rules::way(&client.listener.serves.load(), &parts) {
        Way::To(target_port) => target_port,
        Way::Redirect(https_port) => return Ok(rules::redirect(&parts, https_port)),
    };
    let attempt = Attempt {
        method: parts.method.clone(),
        target_port,
        idle_timeout: client.listener.balancer.settings.load().idle_timeout,
        now,
        client: &client,
    };
    Ok(match attempt.run(Request::from_parts(parts, body)).await {
        Ok(answer) => answer.into_response(&client, &attempt.method, upgrade.map(|(_, on)| on), running),
        Err(problem) => problem,
    })
}

/// The request once more, if carrying it out twice is harmless (RFC 9110, 9.2.2) and it has no body that is gone with the first try.
fn copy(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let repeatable = request.method().is_idempotent() && matches!(request.body(), Either::Right(_));
    repeatable.then(|| {
        let mut copy = Request::new(Either::Right(Empty::new()));
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        copy
    })
}

/// The protocol to upgrade to, if this request asks for one that can be tunnelled. HTTP/2 cannot (it would let requests pass unseen),
/// and HTTP/1 may go on without it.
fn wants_upgrade<B>(request: &Request<B>) -> Option<HeaderValue> {
    let protocol = request.headers().get(header::UPGRADE)?;
    let asked = request.version() == Version::HTTP_11
        && fields::tokens(request.headers(), header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let http2 = protocol.as_bytes().windows(3).any(|part| part.eq_ignore_ascii_case(b"h2c"));
    (asked && !http2).then(|| protocol.clone())
}

/// A request looking for its target.
struct Attempt<'a> {
    client: &'a Arc<Client>,
    method: Method,
    target_port: u16,
    idle_timeout: Duration,
    now: Instant,
}

/// An answer whose head has come, and where its body comes from.
struct Answer {
    response: Response<Incoming>,
    back: Return,
    idle_timeout: Duration,
}

/// Which connections will do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connection {
    Pooled,
    New,
}

impl Attempt<'_> {
    /// Tries targets until one answers, as long as the request may be repeated.
    async fn run(&self, mut request: Request<RequestBody>) -> Result<Answer, Response<ResponseBody>> {
        let balancer = &self.client.listener.balancer;
        let mut tried: Vec<Arc<TargetState>> = Vec::new();
        let mut failure = String::new();
        while tried.len() < MOST_TARGETS
            && let Some(lease) = balancer.lease(Choice::RoundRobin, &tried)
        {
            let target = Arc::clone(lease.target());
            let mut wanted = Connection::Pooled;
            loop {
                let mut upstream = match self.connection(&lease, wanted).await {
                    Ok(upstream) => upstream,
                    Err(error) => {
                        failure = format!("{}: {error}", target.id);
                        break;
                    }
                };
                let again = copy(&request);
                let failed = match upstream.send(request, self.idle_timeout, self.now).await {
                    Ok(response) => {
                        let back =
                            Return { upstream, lease, worker: self.client.worker().index, port: self.target_port };
                        return Ok(Answer { response, back, idle_timeout: self.idle_timeout });
                    }
                    Err(failed) => failed,
                };
                failure = format!("{}: {}", target.id, failed.error);
                debug!(load_balancer.id = %balancer.id, target.id = %target.id, "a request failed: {failure}");
                // It can go to another target if nothing of it left, or it is harmless to repeat and no byte of an answer came.
                request = match (failed.unsent, again) {
                    (Some(request), _) => *request,
                    (None, Some(again)) if matches!(failed.error, ExchangeError::Closed(_)) => again,
                    _ => return Err(self.gave_up(&failed.error, &failure)),
                };
                if !upstream.reused {
                    break;
                }
                // The target closed the idle connection just as it was taken. That says nothing against the target, but its other
                // idle connections are likely gone as well.
                wanted = Connection::New;
            }
            target.probe_now.notify_one();
            tried.push(target);
        }
        if tried.is_empty() {
            return Err(response::nobody(&balancer.id, balancer.nobody()));
        }
        Err(response::text(
            StatusCode::BAD_GATEWAY,
            &format!("no target behind load balancer {} could answer; last tried {failure}", balancer.id),
        ))
    }

    /// A connection to the leased target, from the pool if possible.
    async fn connection(&self, lease: &Lease, wanted: Connection) -> std::io::Result<Box<Upstream>> {
        let pool = &lease.target().pool;
        while wanted == Connection::Pooled
            && let Some(upstream) = pool.take(self.client.worker().index, self.target_port, self.now.into_std())
        {
            if !upstream.is_ready() {
                continue;
            }
            // A safe request is simply repeated if the connection turns out to be closed; others are worth a look first.
            if !self.method.is_safe() {
                upstream.look_first();
            }
            return Ok(upstream);
        }
        Upstream::connect(lease.target().address(self.target_port)).await
    }

    fn gave_up(&self, error: &ExchangeError, failure: &str) -> Response<ResponseBody> {
        let status = match error {
            ExchangeError::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ExchangeError::Client(_) => StatusCode::BAD_REQUEST,
            ExchangeError::Closed(_) | ExchangeError::Broken(_) | ExchangeError::Invalid(_) => StatusCode::BAD_GATEWAY,
        };
        response::text(status, &format!("load balancer {}: target {failure}", self.client.listener.balancer.id))
    }
}

impl Answer {
    fn into_response(
        self,
        client: &Arc<Client>,
        method: &Method,
        upgrade: Option<OnUpgrade>,
        running: Running<Client>,
    ) -> Response<ResponseBody> {
        let (mut parts, body) = self.response.into_parts();
        if parts.status == StatusCode::SWITCHING_PROTOCOLS {
            return match upgrade {
                Some(upgrade) => {
                    tunnel(client, upgrade, Response::from_parts(parts, body), self.back.lease, self.idle_timeout)
                }
                None => response::text(StatusCode::BAD_GATEWAY, "the target switches protocols unasked"),
            };
        }
        let mut back = self.back;
        back.upstream.distrusted = fields::is_ambiguous(&parts.headers);
        fields::response(&mut parts, method);
        let body = UpstreamBody::arrive(body, back, self.idle_timeout);
        Response::from_parts(parts, ResponseBody::of(body, running))
    }
}

/// Passes 101 on, and then bytes both ways for as long as both want.
fn tunnel(
    client: &Arc<Client>,
    upgrade: OnUpgrade,
    mut answer: Response<Incoming>,
    lease: Lease,
    idle_timeout: Duration,
) -> Response<ResponseBody> {
    let protocol = answer.headers().get(header::UPGRADE).cloned();
    let target = hyper::upgrade::on(&mut answer);
    let (mut parts, _) = answer.into_parts();
    fields::response(&mut parts, &Method::GET);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        parts.headers.insert(header::UPGRADE, protocol);
    }
    let tunnel_of = Arc::clone(client);
    client.worker().spawn(async move {
        // Fails when one goes before the client has read the 101.
        let (Ok(client), Ok(target)) = (upgrade.await, target.await) else { return };
        let listener = &tunnel_of.listener;
        let (client, target) = (TokioIo::new(client), TokioIo::new(target));
        tunnel::run(client, target, idle_timeout, &listener.closing, listener.grace).await;
        drop(lease);
    });
    Response::from_parts(parts, ResponseBody::default())
}
