//! One request: choose a target, send it, take the answer back; or say why not.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, Version, request};
use http_body::Body;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use tracing::debug;

use super::activity::Running;
use super::balancer::{Choice, Lease, TargetState};
use super::client::Client;
use super::response::{self, ResponseBody};
use super::tunnel;
use super::upstream::body::{Return, UpstreamBody};
use super::upstream::head::{self, Head, Length};
use super::upstream::pump::Pump;
use super::upstream::{Exchange, ExchangeError, Upstream, decoder};

/// So many targets are tried for one request or connection.
pub(super) const MOST_TARGETS: usize = 4;

/// Answers a request of `client`. Problems are answers too.
pub(super) async fn forward(
    client: Arc<Client>,
    mut request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let now = Instant::now();
    let running = Running::new(&client, now);
    if request.method() == Method::CONNECT {
        return Ok(response::text(StatusCode::METHOD_NOT_ALLOWED, "a load balancer is no forward proxy"));
    }
    let upgrade = wants_upgrade(&request).map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
    let (parts, body) = request.into_parts();
    let length = match body.size_hint().exact() {
        _ if body.is_end_stream() => Length::None,
        Some(length) => Length::Known(length),
        None => Length::Chunked,
    };
    let mut request_head = BytesMut::new();
    let protocol = upgrade.as_ref().map(|(protocol, _)| protocol);
    if head::write_request(&mut request_head, &parts, &client.origin, length, protocol).is_err() {
        return Ok(response::text(StatusCode::BAD_REQUEST, "a request must name exactly one host"));
    }
    let attempt = Attempt {
        parts: &parts,
        target_port: client.listener.route.load().target_port,
        idle_timeout: client.listener.balancer.settings.load().idle_timeout,
        now,
        client: &client,
    };
    let pump = Pump::new(request_head, body, length);
    Ok(match attempt.run(pump).await {
        Ok(answer) => answer.into_response(&client, &parts.method, upgrade.map(|(_, on)| on), running),
        Err(problem) => problem,
    })
}

/// The protocol to upgrade to, if this request asks for one that can be tunnelled. HTTP/2 cannot (it would let requests pass unseen),
/// and HTTP/1 may go on without it.
fn wants_upgrade<B>(request: &Request<B>) -> Option<HeaderValue> {
    let protocol = request.headers().get(header::UPGRADE)?;
    let asked = request.version() == Version::HTTP_11
        && head::tokens(request.headers(), header::CONNECTION).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let http2 = protocol.as_bytes().windows(3).any(|part| part.eq_ignore_ascii_case(b"h2c"));
    (asked && !http2).then(|| protocol.clone())
}

/// A request looking for its target.
struct Attempt<'a> {
    client: &'a Arc<Client>,
    parts: &'a request::Parts,
    target_port: u16,
    idle_timeout: Duration,
    now: Instant,
}

/// The head of an answer, and where its body comes from.
struct Answer {
    head: Head,
    upstream: Box<Upstream>,
    pump: Pump<Incoming>,
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
    async fn run(&self, mut pump: Pump<Incoming>) -> Result<Answer, Response<ResponseBody>> {
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
                let exchange = Exchange {
                    upstream: &mut upstream,
                    pump: &mut pump,
                    idle_timeout: self.idle_timeout,
                    now: self.now,
                };
                let error = match exchange.run().await {
                    Ok(head) => {
                        let back = Return { lease, worker: self.client.worker().index, port: self.target_port };
                        return Ok(Answer { head, upstream, pump, back, idle_timeout: self.idle_timeout });
                    }
                    Err(error) => error,
                };
                failure = format!("{}: {error}", target.id);
                debug!(load_balancer.id = %balancer.id, target.id = %target.id, "a request failed: {failure}");
                if !self.may_repeat(&error, &pump) {
                    return Err(self.gave_up(&error, &failure));
                }
                pump.restart();
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
            // A safe request is simply repeated if the connection turns out to be closed; others are worth a look first.
            if self.parts.method.is_safe() || upstream.is_quiet() {
                return Ok(upstream);
            }
        }
        Upstream::connect(lease.target().address(self.target_port)).await
    }

    /// Whether the request can go to another target without being carried out twice (RFC 9110, 9.2.2): nothing of it left, or it is
    /// idempotent, no byte of an answer came, and its body was not begun.
    fn may_repeat(&self, error: &ExchangeError, pump: &Pump<Incoming>) -> bool {
        match error {
            ExchangeError::Closed(_) => pump.can_restart() && (pump.is_unsent() || self.parts.method.is_idempotent()),
            ExchangeError::Broken(_) | ExchangeError::Invalid(_) | ExchangeError::Timeout | ExchangeError::Client => {
                false
            }
        }
    }

    fn gave_up(&self, error: &ExchangeError, failure: &str) -> Response<ResponseBody> {
        let status = match error {
            ExchangeError::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ExchangeError::Client => StatusCode::BAD_REQUEST,
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
        if self.head.status == StatusCode::SWITCHING_PROTOCOLS {
            return match upgrade {
                Some(upgrade) => self.tunnel(client, upgrade),
                None => response::text(StatusCode::BAD_GATEWAY, "the target switches protocols unasked"),
            };
        }
        let decoder = decoder(method, &self.head);
        let mut response = Response::new(ResponseBody::default());
        *response.status_mut() = self.head.status;
        *response.headers_mut() = self.head.headers;
        if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
            // No body comes, whatever length the target announces.
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        let body =
            UpstreamBody::new(self.upstream, decoder, self.pump, self.back, self.head.keep_alive, self.idle_timeout);
        *response.body_mut() = ResponseBody::of(body, running);
        response
    }

    /// Passes 101 on, and then bytes both ways for as long as both want.
    fn tunnel(self, client: &Arc<Client>, upgrade: OnUpgrade) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::default());
        *response.status_mut() = self.head.status;
        *response.headers_mut() = self.head.headers;
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = self.head.upgrade {
            response.headers_mut().insert(header::UPGRADE, protocol);
        }
        let (upstream, lease, idle_timeout) = (self.upstream, self.back.lease, self.idle_timeout);
        let tunnel_of = Arc::clone(client);
        client.worker().spawn(async move {
            // Fails when the client goes before it has read the 101.
            let Ok(upgraded) = upgrade.await else { return };
            let listener = &tunnel_of.listener;
            tunnel::run(TokioIo::new(upgraded), *upstream, idle_timeout, &listener.closing, listener.grace).await;
            drop(lease);
        });
        response
    }
}
