//! HTTP/1 in its shapes, HTTP/2, upgrades, raw TCP.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

#[tokio::test]
async fn bodies_of_every_framing_come_through() {
    let backend = Backend::start(|head, _| {
        let path = head.split(' ').nth(1).unwrap();
        match path {
            "/chunked" => Reply::Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab\r\n\r\n3;x=y\r\ncde\r\n0\r\nTrailer: t\r\n\r\n".to_owned()),
            "/close" => Reply::SendAndClose("HTTP/1.0 200 OK\r\n\r\nuntil the end".to_owned()),
            "/early" => Reply::Send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly".to_owned()),
            "/none" => Reply::Send("HTTP/1.1 204 No Content\r\n\r\n".to_owned()),
            "/same" => Reply::Send("HTTP/1.1 304 Not Modified\r\ncontent-length: 99\r\netag: \"e\"\r\n\r\n".to_owned()),
            "/head" => Reply::Send("HTTP/1.1 200 OK\r\ncontent-length: 42\r\n\r\n".to_owned()),
            "/twice" => Reply::Send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned()),
            _ => Reply::SendAndClose("SSH-2.0-OpenSSH\r\n".to_owned()),
        }
    })
    .await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    let mut session = Session::open(address(&proxy, 0)).await;
    let mut get = async |method: &str, path: &str| {
        session.send(&format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n")).await;
        if method == "HEAD" {
            // Its length is announced and nothing follows, so only the head is read.
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(in_time(session.stream.read_u8()).await.unwrap());
            }
            return (String::from_utf8(head).unwrap(), String::new());
        }
        session.answer().await
    };
    // Twice, so that the connection to the target is used again after each.
    for _ in 0..2 {
        let (head, body) = get("GET", "/chunked").await;
        assert_eq!(field(&head, "transfer-encoding"), Some("chunked"));
        let text: String = body.split("\r\n").collect();
        assert!(text.contains("ab") && text.contains("cde") && !text.contains("Trailer"), "{body}");
        assert!(get("GET", "/close").await.1.contains("until the end"));
        assert_eq!(get("GET", "/early").await.1, "early");
        assert!(get("GET", "/none").await.0.starts_with("HTTP/1.1 204"));
        let (head, _) = get("GET", "/same").await;
        assert!(head.starts_with("HTTP/1.1 304") && field(&head, "etag").is_some(), "{head}");
        assert_eq!(field(&get("HEAD", "/head").await.0, "content-length"), Some("42"));
        let (head, body) = get("GET", "/twice").await;
        assert!(head.starts_with("HTTP/1.1 502") && body.contains("invalid content-length"), "{head}{body}");
        assert!(get("GET", "/ssh").await.0.starts_with("HTTP/1.1 502"));
    }
}

/// A backend that sends request bodies back, as they come.
async fn echo() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(loopback(1)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper::service::service_fn(async |request: http::Request<hyper::body::Incoming>| {
                Ok::<_, std::convert::Infallible>(http::Response::new(request.into_body()))
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, serving)
}

#[tokio::test]
async fn long_bodies_are_streamed_both_ways_at_once() {
    let (backend, serving_task) = echo().await;
    let proxy = serving(config(80), &[target("a", 80, backend)]).await;
    for known_length in [true, false] {
        let stream = TcpStream::connect(address(&proxy, 0)).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let data: Vec<u8> = (0..8 * 1024 * 1024_u32).map(|number| (number % 251) as u8).collect();
        let body = Full::new(Bytes::from(data.clone()));
        let body = if known_length { body.boxed() } else { Unsized(body).boxed() };
        let request = http::Request::post("/").header("host", "test").body(body).unwrap();
        let answer = in_time(sender.send_request(request)).await.unwrap();
        assert_eq!(answer.headers().contains_key("content-length"), known_length);
        let back = in_time(answer.into_body().collect()).await.unwrap().to_bytes();
        assert!(back == data, "{} bytes came back of {}", back.len(), data.len());
    }
    until("nothing is running", || proxy.status(LB).unwrap()[0].in_flight == 0).await;
    serving_task.abort();
}

/// A body that does not tell its length.
struct Unsized<B>(B);

impl<B: http_body::Body + Unpin> http_body::Body for Unsized<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<B::Data>, B::Error>>> {
        std::pin::Pin::new(&mut self.0).poll_frame(cx)
    }
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_spoken_to_clients() {
    let backend = Backend::start(|head, body| {
        ok(&format!("{} {} {}", field(head, "host").unwrap(), field(head, "x-forwarded-proto").unwrap(), body.len()))
    })
    .await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    let stream = TcpStream::connect(address(&proxy, 0)).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let requests = (0..20).map(|_| {
        let mut sender = sender.clone();
        async move {
            let request =
                http::Request::post("http://h2.test/path").body(Full::new(Bytes::from_static(b"hello"))).unwrap();
            let answer = in_time(sender.send_request(request)).await.unwrap();
            assert_eq!((answer.version(), answer.status()), (http::Version::HTTP_2, http::StatusCode::OK));
            in_time(answer.into_body().collect()).await.unwrap().to_bytes()
        }
    });
    for body in futures_util::future::join_all(requests).await {
        assert_eq!(body, "h2.test http 5");
    }
}

#[tokio::test]
async fn http2_differs_where_http1_has_another_form() {
    let backend = Backend::start(|head, _| {
        let cookies = head.lines().filter(|line| line.to_ascii_lowercase().starts_with("cookie:"));
        ok(&cookies.collect::<Vec<_>>().join("|").to_ascii_lowercase())
    })
    .await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    let stream = TcpStream::connect(address(&proxy, 0)).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut ask = async |method: &str| {
        let request = http::Request::builder().method(method).uri("http://h2.test/").header("cookie", "a=1");
        let request = request.header("cookie", "b=2").body(Full::new(Bytes::new())).unwrap();
        let answer = in_time(sender.send_request(request)).await.unwrap();
        let (head, body) = answer.into_parts();
        let length = head.headers.get("content-length").map(|it| it.to_str().unwrap().to_owned());
        (head.status.as_u16(), length, in_time(body.collect()).await.unwrap().to_bytes())
    };
    assert_eq!(ask("GET").await.2, "cookie: a=1; b=2");
    proxy.targets_set(LB, &[]).unwrap();
    let (status, length, body) = ask("HEAD").await;
    assert_eq!((status, body.len()), (503, 0));
    assert!(length.is_some_and(|it| it != "0"), "as long as for a GET");
}

#[tokio::test]
async fn an_upgrade_becomes_a_tunnel() {
    let backend = Backend::start(|head, _| {
        if field(head, "upgrade") != Some("websocket") || field(head, "connection") != Some("upgrade") {
            return ok("no upgrade asked");
        }
        Reply::Echo("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: k\r\n\r\nfirst".to_owned())
    })
    .await;
    let proxy = serving(config(80), &[backend.target("a")]).await;
    let mut session = Session::open(address(&proxy, 0)).await;
    session.send("GET /ws HTTP/1.1\r\nhost: test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n").await;
    let (head, _) = session.answer().await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert_eq!((field(&head, "upgrade"), field(&head, "sec-websocket-accept")), (Some("websocket"), Some("k")));
    let mut came = std::mem::take(&mut session.held);
    session.send(" second").await;
    while came != b"first second" {
        let byte = in_time(session.stream.read_u8()).await.unwrap();
        came.push(byte);
    }
    assert_eq!(proxy.status(LB).unwrap()[0].in_flight, 1);
    drop(session);
    until("the tunnel is gone", || proxy.status(LB).unwrap()[0].in_flight == 0).await;
    // An upgrade to HTTP/2 would let requests pass unseen; the request goes on without it.
    let answer = ask(address(&proxy, 0), "GET / HTTP/1.1\r\nhost: test\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n").await;
    assert!(answer.ends_with("no upgrade asked"), "{answer}");
}

fn tcp() -> LoadBalancerConfig {
    let mut config = config(80);
    config.listeners[0].serves = Serves::Tcp { target_port: 80 };
    config
}

/// A backend of raw bytes: says its name, then sends back what comes.
async fn raw(name: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(loopback(1)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                // A probe has gone by now.
                if to.write_all(name.as_bytes()).await.is_ok() {
                    tokio::io::copy(&mut from, &mut to).await.unwrap_or_default();
                }
            });
        }
    });
    (address, serving)
}

#[tokio::test]
async fn raw_connections_go_to_the_target_with_the_fewest() {
    let ((a, a_task), (b, b_task)) = (raw("a").await, raw("b").await);
    let proxy = serving(tcp(), &[target("a", 80, a), target("b", 80, b)]).await;
    let mut open = Vec::new();
    for _ in 0..6 {
        let mut session = Session::open(address(&proxy, 0)).await;
        in_time(session.stream.read_u8()).await.unwrap();
        open.push(session);
    }
    let counts: Vec<_> = proxy.status(LB).unwrap().iter().map(|one| one.in_flight).collect();
    assert_eq!(counts, [3, 3]);
    let mut session = open.pop().unwrap();
    session.send("hello").await;
    session.stream.shutdown().await.unwrap();
    let mut back = String::new();
    in_time(session.stream.read_to_string(&mut back)).await.unwrap();
    assert_eq!(back, "hello");
    drop(open);
    until("all are gone", || proxy.status(LB).unwrap().iter().all(|one| one.in_flight == 0)).await;
    a_task.abort();
    b_task.abort();
}

#[tokio::test]
async fn a_raw_connection_goes_past_a_target_that_is_gone() {
    let (a, task) = raw("a").await;
    let gone = Backend::named("b").await;
    let mut config = tcp();
    config.health_check.interval = Duration::from_secs(300);
    let proxy = serving(config, &[gone.target("b"), target("a", 80, a)]).await;
    gone.stop().await;
    for _ in 0..4 {
        assert_eq!(in_time(Session::open(address(&proxy, 0)).await.stream.read_u8()).await.unwrap(), b'a');
    }
    status_until(&proxy, |all| matches!(all[0].health, TargetHealth::Unhealthy { .. })).await;
    task.abort();
}

#[tokio::test]
async fn a_raw_connection_without_a_target_is_closed() {
    let proxy = start();
    proxy.ensure(tcp()).await.unwrap();
    assert!(Session::open(address(&proxy, 0)).await.is_closed().await);
}

#[tokio::test]
async fn an_idle_raw_connection_is_closed() {
    let (a, task) = raw("").await;
    let mut config = tcp();
    config.idle_timeout = Duration::from_millis(150);
    let proxy = serving(config, &[target("a", 80, a)]).await;
    let begun = Instant::now();
    let mut session = Session::open(address(&proxy, 0)).await;
    assert!(session.is_closed().await);
    assert!(begun.elapsed() >= Duration::from_millis(150));
    task.abort();
}
