//! The listening side: connections in, requests to whoever answers them, an orderly end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request};
use axum::http::{Uri, Version};
use axum::response::Response;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::descriptors::{self, Carries};
use crate::first_bytes::FirstBytes;
use crate::lanes::Lanes;
use crate::stop::Stop;
use crate::taken::{Bodies, TAKE_MAX, Taken};
use crate::unread;

/// How long a client may take to send the head of a request, and how long a connection may idle before its next one. Who
/// sends a byte a minute must not hold a connection for ever.
const HEAD_MAX: Duration = Duration::from_secs(60);

/// The same behind a load balancer that nobody goes around: it keeps its connections for fifteen minutes of idling, and one that we close
/// first costs whoever comes next on it ("Application Load Balancers", "Connection idle timeout": 502).
const HEAD_MAX_BEHIND: Duration = Duration::from_secs(930);

/// The most bytes of a request's head, and of what is read ahead of a body. The largest head of ours is a push's, with a
/// token for sixteen repositories: some 8 KiB. What is larger is answered 431. The library's own limit is 400 KiB, which all
/// connections together could make more than a gigabyte of before anybody has signed in.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The pause after a connection could not be taken: the usual cause is that the process has no file descriptor left, and
/// without a pause that would be a loop.
const PAUSE: Duration = Duration::from_millis(100);

/// How many requests one connection over HTTP/2 may have under way. Each may hold a file and a batch of its bytes, as one connection over HTTP/1
/// does, and only connections are counted. Who has more of them opens another one.
const STREAMS_MAX: u32 = 8;

/// How much of a client is put up with.
#[derive(Debug, Clone, Copy)]
struct Limits {
    head_max: Duration,
    take_max: Duration,
    connections_max: usize,
}

/// Answers requests; clones are the same.
pub(crate) trait Answers: Clone + Send + Sync + 'static {
    /// Answers one.
    fn answer(self, request: Request) -> impl Future<Output = Response> + Send;
}

/// Serves requests until a stop is asked for and those that run have ended.
pub(crate) async fn requests(
    listener: TcpListener,
    answers: impl Answers,
    stop: Stop,
    carries: Carries,
    is_behind: bool,
) -> io::Result<()> {
    let head_max = if is_behind { HEAD_MAX_BEHIND } else { HEAD_MAX };
    let limits = Limits { head_max, take_max: TAKE_MAX, connections_max: descriptors::connections(carries) };
    bounded_requests(listener, answers, stop, limits).await
}

async fn bounded_requests(listener: TcpListener, answers: impl Answers, stop: Stop, limits: Limits) -> io::Result<()> {
    let head_max = limits.head_max;
    let room = Arc::new(Semaphore::new(limits.connections_max));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(head_max).max_buf_size(HEAD_BYTES_MAX);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(head_max).max_concurrent_streams(STREAMS_MAX);
    let running = GracefulShutdown::new();
    let lanes = Lanes::start()?;
    loop {
        // Room first: a connection that there is no room for stays in the system's queue.
        let place = tokio::select! {
            place = room.clone().acquire_owned() => place.expect("the semaphore is never closed"),
            () = stop.wait() => break,
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(why) => {
                    tracing::warn!(error = %why, "a connection could not be taken");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = stop.wait() => break,
        };
        // From one event loop to another it goes as what it is for the system.
        let Ok(stream) = stream.into_std() else { continue };
        let (builder, answers, watcher) = (builder.clone(), answers.clone(), running.watcher());
        lanes.next().spawn(async move {
            if let Err(why) = connection(&builder, stream, peer, answers, watcher, limits).await {
                // A client that went away in the middle is its own affair.
                tracing::debug!(error = %why, "a connection broke off");
            }
            drop(place);
        });
    }
    drop(listener);
    running.shutdown().await;
    // Their threads are waited for.
    drop(tokio::task::spawn_blocking(move || drop(lanes)).await);
    Ok(())
}

/// Serves a connection to its end.
async fn connection(
    builder: &Builder<TokioExecutor>,
    stream: std::net::TcpStream,
    peer: SocketAddr,
    answers: impl Answers,
    watcher: Watcher,
    limits: Limits,
) -> Result<(), axum::BoxError> {
    let stream = TcpStream::from_std(stream)?;
    // Answers are small and complete; waiting for more to send only delays them.
    let _ = stream.set_nodelay(true);
    let bodies: Arc<Bodies> = Arc::default();
    let stream = Taken::new(stream, limits.take_max, Arc::clone(&bodies));
    let service = service_fn(move |request| answer(answers.clone(), request, peer, Arc::clone(&bodies)));
    let stream = TokioIo::new(FirstBytes::new(stream, limits.head_max));
    watcher.watch(builder.serve_connection(stream, service)).await
}

async fn answer(
    answers: impl Answers,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    bodies: Arc<Bodies>,
) -> Result<Response, Infallible> {
    let version = request.version();
    let (request, unread) = unread::lend(request);
    let mut request = without_trailing_slash(request);
    request.extensions_mut().insert(ConnectInfo(peer));
    let mut response = answers.answer(request).await;
    if unread.settle(&mut response).await {
        bodies.cut();
    }
    // Over HTTP/1 a body that is not asked is one whose bytes can't be written.
    if version == Version::HTTP_2 && !response.body().is_end_stream() {
        response = response.map(|body| bodies.counted(body));
    }
    Ok(response)
}

/// `/deploy/` is `/deploy`, as it was for the predecessor. The registry's paths mean what they say.
fn without_trailing_slash(mut request: Request) -> Request {
    let path = request.uri().path();
    if path.len() > 1 && path.ends_with('/') && !path.starts_with("/v2") {
        let trimmed = path.trim_end_matches('/');
        let trimmed = if trimmed.is_empty() { "/" } else { trimmed };
        let with_query = match request.uri().query() {
            Some(query) => format!("{trimmed}?{query}"),
            None => trimmed.to_owned(),
        };
        if let Ok(uri) = with_query.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tower::ServiceExt as _;

    use super::*;

    impl Answers for Router {
        async fn answer(self, request: Request) -> Response {
            let Ok(answered) = self.oneshot(request).await;
            answered
        }
    }

    /// A server with its own limits.
    struct Listening {
        address: SocketAddr,
        stop: Stop,
        server: tokio::task::JoinHandle<io::Result<()>>,
    }

    async fn listening(head_max: Duration, connections_max: usize) -> Listening {
        listening_within(Limits { head_max, take_max: TAKE_MAX, connections_max }, Arc::new(Semaphore::new(0))).await
    }

    /// Notes that it was dropped.
    struct Held(Arc<Semaphore>);

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.add_permits(1);
        }
    }

    /// A body without an end.
    fn endless(ended: Arc<Semaphore>) -> Body {
        let held = Held(ended);
        Body::from_stream(futures_util::stream::repeat_with(move || {
            let _ = &held;
            Ok::<_, Infallible>(axum::body::Bytes::from_static(&[b'x'; 64 << 10]))
        }))
    }

    async fn listening_within(limits: Limits, ended: Arc<Semaphore>) -> Listening {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let router = Router::new()
            .route("/", axum::routing::get(|| async { "here" }))
            .route("/endless", axum::routing::get(move || async { endless(ended) }))
            .route("/refuse", axum::routing::post(|| async { axum::http::StatusCode::UNAUTHORIZED }));
        let stop = Stop::new(crate::stop::StopTimes::default());
        let server = tokio::spawn(bounded_requests(listener, router, stop.clone(), limits));
        Listening { address, stop, server }
    }

    impl Listening {
        async fn sends(&self, bytes: &[u8]) -> TcpStream {
            let mut client = TcpStream::connect(self.address).await.expect("taken");
            client.write_all(bytes).await.expect("sent");
            client
        }

        async fn ends(self) {
            self.stop.ask();
            self.server.await.expect("no panic").expect("an orderly end");
        }
    }

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    /// All that comes until the server closes.
    async fn all_of(mut client: TcpStream) -> Vec<u8> {
        let mut all = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(30), client.read_to_end(&mut all)).await;
        // A reset is an end as well.
        assert!(closed.is_ok(), "the client is still held");
        all
    }

    #[tokio::test]
    async fn a_client_that_never_ends_its_head_is_cut_off_and_others_are_served() {
        let server = listening(Duration::from_millis(100), 10).await;
        let slow = server.sends(b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
        let answer = String::from_utf8(all_of(server.sends(REQUEST).await).await).expect("text");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
        all_of(slow).await;
        server.ends().await;
    }

    #[tokio::test]
    async fn a_client_whose_protocol_is_never_told_is_cut_off() {
        let server = listening(Duration::from_millis(100), 10).await;
        for said in ["", "P", "PRI", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
            let client = server.sends(said.as_bytes()).await;
            assert!(all_of(client).await.is_empty(), "{said:?}");
        }
        server.ends().await;
    }

    #[tokio::test]
    async fn who_finds_no_room_waits_for_it() {
        let server = listening(Duration::from_secs(60), 1).await;
        let holder = server.sends(b"GET").await;
        let mut waiting = server.sends(REQUEST).await;
        let mut first = [0; 1];
        let early = tokio::time::timeout(Duration::from_millis(100), waiting.read_exact(&mut first)).await;
        assert!(early.is_err(), "there was no room for it");
        drop(holder);
        assert!(all_of(waiting).await.ends_with(b"here"));
        server.ends().await;
    }

    /// What HTTP/2 calls a request for `/endless`: preface, no settings, and a head that ends the request.
    const ENDLESS_2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\
        \x00\x00\x0c\x01\x05\x00\x00\x00\x01\x82\x86\x04\x08/endless";

    #[tokio::test]
    async fn who_never_takes_its_answer_is_let_go_of() {
        let limits =
            Limits { head_max: Duration::from_secs(60), take_max: Duration::from_millis(100), connections_max: 10 };
        let ended = Arc::new(Semaphore::new(0));
        let server = listening_within(limits, Arc::clone(&ended)).await;
        let gone = async || {
            let permit = tokio::time::timeout(Duration::from_secs(30), ended.acquire()).await;
            permit.expect("the answer is still held").expect("never closed").forget();
        };
        // One that never reads.
        let _client = server.sends(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n").await;
        gone().await;
        let _client = server.sends(ENDLESS_2).await;
        gone().await;
        // One that reads all that comes, and never says that more may.
        let answer = all_of(server.sends(ENDLESS_2).await).await;
        assert!(answer.len() > 60_000, "{}", answer.len());
        gone().await;
        server.ends().await;
    }

    #[tokio::test]
    async fn a_body_that_nobody_reads_costs_neither_the_answer_nor_the_next_request() {
        let server = listening(Duration::from_secs(60), 10).await;
        let mut client = server.sends(b"").await;
        let body = vec![b'x'; 8 << 20];
        let length = format!("content-length: {}", body.len());
        let chunk = format!("{:x}\r\n", body.len());
        for (kind, before, after) in [(&*length, "", ""), ("transfer-encoding: chunked", &*chunk, "\r\n0\r\n\r\n")] {
            let head = format!("POST /refuse HTTP/1.1\r\nhost: x\r\n{kind}\r\n\r\n{before}");
            client.write_all(&[head.as_bytes(), &body, after.as_bytes()].concat()).await.expect("all of it is taken");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.expect("an answer"));
            }
            let head = String::from_utf8(head).expect("text");
            assert!(head.starts_with("HTTP/1.1 401") && !head.contains("close"), "{head}");
        }
        client.write_all(REQUEST).await.expect("sent");
        assert!(all_of(client).await.ends_with(b"here"));
        server.ends().await;
    }

    #[tokio::test]
    async fn who_waits_for_leave_to_send_or_sends_too_much_is_answered_at_once() {
        let server = listening(Duration::from_secs(60), 10).await;
        for more in ["content-length: 9\r\nexpect: 100-continue", "content-length: 99999999999"] {
            let client = server.sends(format!("POST /refuse HTTP/1.1\r\nhost: x\r\n{more}\r\n\r\n").as_bytes()).await;
            let answer = String::from_utf8(all_of(client).await).expect("text");
            assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{more}: {answer}");
        }
        server.ends().await;
    }

    #[tokio::test]
    async fn who_goes_on_sending_is_not_cut_off_before_the_answer_is_read() {
        let server = listening(Duration::from_secs(60), 10).await;
        let mut client = server.sends(b"POST /refuse HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n").await;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.expect("an answer"));
        }
        // As a client does that reads only when it has sent what it was at.
        for _ in 0..128 {
            client.write_all(&[b'x'; 64 << 10]).await.expect("it is taken");
        }
        assert!(all_of(client).await.is_empty(), "and no more is said");
        server.ends().await;
    }

    #[test]
    fn a_trailing_slash_means_nothing_but_in_the_registry() {
        let rewritten = |uri: &str| {
            let request = Request::builder().uri(uri).body(Body::empty()).expect("a legal request");
            without_trailing_slash(request).uri().to_string()
        };
        assert_eq!(rewritten("/deploy/"), "/deploy");
        assert_eq!(rewritten("/deploy//?a=b/"), "/deploy?a=b/");
        assert_eq!(rewritten("/"), "/");
        assert_eq!(rewritten("/v2/"), "/v2/");
    }
}
