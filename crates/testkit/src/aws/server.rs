//! The HTTP side: reads requests, applies faults and throttles, writes answers.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::fault::{self, Effect};
use super::wire::answer::{self, Answer};
use super::wire::{AwsError, Protocol, request};
use super::world::{Call, World};
use super::{cloudtrail, ecr, inflate};

/// The largest body that is read: more than any of the operations takes.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// What the server, the driver and the handles share.
pub(crate) struct Shared {
    world: Mutex<World>,
    started: Instant,
    started_ms: i64,
    /// Told when something is due earlier than the driver knows of.
    wake: Notify,
}

impl Shared {
    pub(crate) fn new(config: super::config::FakeAwsConfig) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Self {
            world: Mutex::new(World::new(config, started_ms)),
            started: Instant::now(),
            started_ms,
            wake: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> i64 {
        let passed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.started_ms.saturating_add_unsigned(passed)
    }

    /// Looks at the world as it is now, or changes it.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.lock();
        let now_ms = self.now_ms();
        world.settle(now_ms);
        let before = world.next_ms();
        let result = act(&mut world);
        let earlier = match (world.next_ms(), before) {
            (Some(next), Some(before)) => next < before,
            (Some(_), None) => true,
            (None, _) => false,
        };
        drop(world);
        if earlier {
            self.wake.notify_one();
        }
        result
    }

    /// Lets happen what is due, for as long as it is not stopped.
    pub(crate) async fn drive(&self) {
        loop {
            let (next_ms, now_ms) = {
                let mut world = self.lock();
                let now_ms = self.now_ms();
                world.settle(now_ms);
                (world.next_ms(), now_ms)
            };
            match next_ms {
                None => self.wake.notified().await,
                Some(next_ms) => {
                    let wait = Duration::from_millis(u64::try_from(next_ms - now_ms).unwrap_or(0));
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.wake.notified() => {}
                    }
                }
            }
        }
    }
}

/// Answers connections, for as long as it is not stopped; what is under way is stopped with it.
pub(crate) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that broke before it was accepted is nobody's loss.
                let Ok((stream, _)) = accepted else { continue };
                // Small answers must not wait for the acknowledgement of earlier ones.
                let _ = stream.set_nodelay(true);
                let shared = shared.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let shared = shared.clone();
                        async move { respond(&shared, request).await }
                    });
                    // Ends with an error when a fault closes the connection, or the client does.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The connection is closed without an answer.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed by a fault")
    }
}

impl std::error::Error for Closed {}

impl From<Infallible> for Closed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

async fn respond(shared: &Shared, request: Request<Incoming>) -> Result<Answer, Closed> {
    let (head, body) = request.into_parts();
    if head.method == Method::GET && head.uri.path().starts_with(ecr::BLOB_PATH) {
        return Ok(shared.with(|world| ecr::blob(world, &head)));
    }
    if head.uri.path().starts_with(ecr::registry::PREFIX) {
        return Ok(ecr::registry::respond(shared, head, body).await);
    }
    let body = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return Ok(refuse(shared, Protocol::Json, &AwsError::new("RequestEntityTooLarge", "the body is too long")));
        }
    };
    let encoding = head.headers.get(http::header::CONTENT_ENCODING).and_then(|encoding| encoding.to_str().ok());
    let body = match plain(encoding, body) {
        Ok(body) => body,
        Err(error) => return Ok(refuse(shared, Protocol::Json, &error)),
    };
    let request = match request::read(&head.headers, &body) {
        Ok(request) => request,
        Err(unanswerable) => return Ok(refuse(shared, unanswerable.protocol, &unanswerable.error)),
    };
    let done = shared.with(|world| act(world, &request));
    if done.wait_ms > 0 {
        tokio::time::sleep(Duration::from_millis(done.wait_ms)).await;
    }
    done.answer.ok_or(Closed)
}

/// The body as text.
fn plain(encoding: Option<&str>, body: Bytes) -> Result<String, AwsError> {
    let bytes = match encoding {
        None | Some("identity" | "aws-chunked") => body.to_vec(),
        Some("gzip") => inflate::gunzip(&body, BODY_LIMIT)
            .ok_or_else(|| AwsError::new("SerializationException", "the body is no gzip"))?,
        Some(other) => {
            let message = format!("the content encoding {other} is not known");
            return Err(AwsError::new("UnsupportedMediaTypeException", message).with_status(415));
        }
    };
    String::from_utf8(bytes).map_err(|_| AwsError::new("SerializationException", "the body is not UTF-8"))
}

/// Answers what no service can.
fn refuse(shared: &Shared, protocol: Protocol, error: &AwsError) -> Answer {
    shared.with(|world| {
        let call = Call {
            service: None,
            operation: error.message.clone(),
            at_ms: world.now_ms,
            status: error.status,
            code: error.code.clone(),
        };
        world.calls.push(call);
        let request_id = world.uuid();
        answer::failure(protocol, &request_id, error)
    })
}

/// What became of a call.
struct Done {
    wait_ms: u64,
    /// `None`: the connection is closed.
    answer: Option<Answer>,
}

/// Does a call, or lets it fail.
fn act(world: &mut World, request: &request::Request) -> Done {
    let (service, operation) = (request.service, request.operation.as_str());
    let effect = world.faults.hit(service, operation);
    let latency = world.config.latency;
    let mut wait_ms = latency.draw_ms(operation, &mut world.random);
    let account = world.config.account.clone();
    let mut closes = false;
    let mut retry_after_s = None;
    let refused = match effect {
        _ if !world.buckets.take(service, operation, world.now_ms) => Some(fault::throttled(service)),
        Some(Effect::Throttle) => Some(fault::throttled(service)),
        Some(Effect::ThrottleFor(seconds)) => {
            retry_after_s = Some(seconds);
            Some(fault::throttled(service))
        }
        Some(Effect::ServerError) => Some(fault::server_error(service)),
        Some(Effect::AccessDenied { message }) => Some(fault::denied(service, operation, &account, message)),
        Some(Effect::Error(error)) => Some(error),
        Some(Effect::Timeout) => {
            world.calls.push(Call {
                service: Some(service),
                operation: operation.to_owned(),
                at_ms: world.now_ms,
                status: 0,
                code: String::new(),
            });
            return Done { wait_ms: world.config.timeout_ms, answer: None };
        }
        Some(Effect::LostAnswer) => {
            closes = true;
            None
        }
        Some(Effect::Delay(ms)) => {
            wait_ms += ms;
            None
        }
        Some(Effect::NotVisibleFor(ms)) => {
            world.hidden_ms = Some(ms);
            None
        }
        None => None,
    };
    let at_ms = world.now_ms;
    let result = match refused {
        Some(error) => Err(error),
        None => {
            world.caller = request.account.clone().unwrap_or(account);
            world.execute(service, operation, &request.input)
        }
    };
    world.hidden_ms = None;
    cloudtrail::note(world, at_ms, request, result.as_ref().err());
    let request_id = world.uuid();
    let mut answer = match &result {
        Ok(output) => answer::success(service, operation, &request_id, output),
        Err(error) => answer::failure(service.protocol(), &request_id, error),
    };
    if let Some(seconds) = retry_after_s {
        answer.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
    }
    let status = if closes { 0 } else { answer.status().as_u16() };
    let code = result.as_ref().err().map(|error| error.code.clone()).unwrap_or_default();
    let (operation, at_ms) = (operation.to_owned(), world.now_ms);
    world.calls.push(Call { service: Some(service), operation, at_ms, status, code });
    Done { wait_ms, answer: (!closes).then_some(answer) }
}
