//! A proxy on this machine, between a store and the emulator, that does to calls what a network and a busy DynamoDB do.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::endpoint;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// DynamoDB does it, and the answer is lost.
    AnswerLost,
    /// DynamoDB never hears of it.
    CallLost,
    /// DynamoDB asks for patience.
    Throttled,
    /// DynamoDB breaks down over it.
    Broken,
    /// Another transaction is at one of the items; of calls that are no transaction, nothing.
    Conflict,
}

/// Which calls meet a fault.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Plan {
    /// Each third call, whoever makes it.
    EachThird(Fault),
    /// Each call.
    Each(Fault),
    /// All writes behind the first so many: as if the server had died there.
    WritesBehind(u64),
}

struct State {
    plan: Plan,
    calls: AtomicU64,
    writes: AtomicU64,
    faults: AtomicU64,
    upstream: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A running proxy; ends with this.
pub(crate) struct Proxy {
    state: Arc<State>,
    address: std::net::SocketAddr,
    serving: JoinHandle<()>,
}

impl Proxy {
    /// A proxy before the emulator.
    pub(crate) async fn start(plan: Plan) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = Arc::new(State {
            plan,
            calls: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            upstream: endpoint(),
            client: Client::builder(TokioExecutor::new()).build_http(),
        });
        let serving = tokio::spawn(serve(listener, state.clone()));
        Self { state, address, serving }
    }

    /// Its address.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many calls met a fault so far.
    pub(crate) fn faults(&self) -> u64 {
        self.state.faults.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let state = state.clone();
                async move { answer(&state, request).await }
            });
            // A connection that is cut is what this is for.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// An error here makes hyper close the connection without an answer.
async fn answer(state: &State, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let target = parts.headers.get("x-amz-target").and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
    let transaction = target.ends_with("TransactWriteItems");
    let write = transaction || target.ends_with("BatchWriteItem");
    let call = state.calls.fetch_add(1, Ordering::Relaxed);
    let written = if write { state.writes.fetch_add(1, Ordering::Relaxed) } else { 0 };
    let fault = match state.plan {
        // Of the transactions alone: a unit of work that reads twice would meet it at each try.
        Plan::EachThird(Fault::Conflict) => (transaction && written % 3 == 2).then_some(Fault::Conflict),
        Plan::EachThird(fault) => (call % 3 == 2).then_some(fault),
        Plan::Each(fault) => Some(fault),
        Plan::WritesBehind(first) => (write && written >= first).then_some(Fault::CallLost),
    };
    if fault.is_some() {
        state.faults.fetch_add(1, Ordering::Relaxed);
    }
    match fault {
        Some(Fault::CallLost) => return Err(io::Error::other("lost on the way")),
        Some(Fault::Throttled) => {
            return Ok(refusal(StatusCode::BAD_REQUEST, "ThrottlingException", "Rate exceeded", ""));
        }
        Some(Fault::Broken) => {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return Ok(refusal(status, "InternalServerError", "The request processing has failed", ""));
        }
        Some(Fault::Conflict) => {
            let reasons =
                r#","CancellationReasons":[{"Code":"TransactionConflict","Message":"Transaction is ongoing"}]"#;
            return Ok(refusal(StatusCode::BAD_REQUEST, "TransactionCanceledException", "cancelled", reasons));
        }
        Some(Fault::AnswerLost) | None => {}
    }
    let mut forward = Request::builder().method(parts.method).uri(format!("{}{}", state.upstream, parts.uri));
    for (name, value) in &parts.headers {
        if name != hyper::header::HOST {
            forward = forward.header(name, value);
        }
    }
    let forward = forward.body(Full::new(body)).map_err(io::Error::other)?;
    let (parts, body) = state.client.request(forward).await.map_err(io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if fault == Some(Fault::AnswerLost) {
        return Err(io::Error::other("lost on the way back"));
    }
    let mut response = Response::builder().status(parts.status);
    for (name, value) in &parts.headers {
        if name != hyper::header::CONTENT_LENGTH && name != hyper::header::TRANSFER_ENCODING {
            response = response.header(name, value);
        }
    }
    response.body(Full::new(body)).map_err(io::Error::other)
}

/// An error as DynamoDB writes it (awsJson1_0).
fn refusal(status: StatusCode, code: &str, message: &str, more: &str) -> Response<Full<Bytes>> {
    let text = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"{message}"{more}}}"#);
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    response.body(Full::new(Bytes::from(text))).unwrap_or_else(|_: hyper::http::Error| Response::default())
}
