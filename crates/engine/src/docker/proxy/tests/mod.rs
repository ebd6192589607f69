//! The proxy through its front door: real sockets on loopback, real time.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod draining;
mod framing;
mod health;
mod limits;
mod listeners;
mod protocols;
mod routing;

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;

/// The load balancer of most tests.
const LB: &str = "web";

/// Longer than anything here takes, even on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(20);

fn loopback(last: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))
}

fn start() -> Proxy {
    Proxy::start(&ProxySettings { grace: Duration::from_secs(5), ..ProxySettings::default() }).unwrap()
}

/// One HTTP listener, probes by TCP.
fn config(target_port: u16) -> LoadBalancerConfig {
    LoadBalancerConfig {
        id: LB.to_owned(),
        listeners: vec![Listener { bind: vec![loopback(1)], serves: Serves::http(target_port) }],
        health_check: HealthCheck {
            kind: HealthCheckKind::Tcp,
            port: None,
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(2),
            healthy_threshold: 2,
            unhealthy_threshold: 2,
        },
        idle_timeout: Duration::from_secs(10),
        access: Access::Anyone,
    }
}

/// A target that answers on `address` for a listener that sends to `target_port`.
fn target(id: &str, target_port: u16, address: SocketAddr) -> Target {
    Target {
        id: id.to_owned(),
        ip: address.ip(),
        draining: false,
        ports: vec![PortOverride { target_port, port: address.port() }],
    }
}

fn draining(mut target: Target) -> Target {
    target.draining = true;
    target
}

/// Where the `index`th listening address of [`LB`] is.
fn address(proxy: &Proxy, index: usize) -> SocketAddr {
    proxy.listening(LB)[index].local
}

/// A running proxy whose load balancer sends to these, all healthy.
async fn serving(config: LoadBalancerConfig, targets: &[Target]) -> Proxy {
    let proxy = start();
    let id = config.id.clone();
    proxy.ensure(config).await.unwrap();
    proxy.targets_set(&id, targets).unwrap();
    all_healthy(&proxy).await;
    proxy
}

async fn all_healthy(proxy: &Proxy) {
    status_until(proxy, |all| all.iter().filter(|one| !one.draining).all(|one| one.health == TargetHealth::Healthy))
        .await;
}

/// Waits, by notification and not by asking again and again, until the status is as wished.
async fn status_until(proxy: &Proxy, wished: impl Fn(&[TargetStatus]) -> bool) -> Vec<TargetStatus> {
    let mut changes = proxy.changes();
    let waiting = async {
        loop {
            let status = proxy.status(LB).unwrap();
            if wished(&status) {
                return status;
            }
            changes.changed().await.unwrap();
        }
    };
    match tokio::time::timeout(LIMIT, waiting).await {
        Ok(status) => status,
        Err(_) => panic!("still {:?}", proxy.status(LB)),
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < limit, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future).await.expect("it takes too long")
}

/// What a [`Backend`] does with a request.
enum Reply {
    /// Sends this, and keeps the connection.
    Send(String),
    /// Sends this, and closes.
    SendAndClose(String),
    /// Closes without a word.
    Close,
    /// Says nothing any more.
    Hang,
    /// Sends this, then sends back what it receives.
    Echo(String),
}

/// 200 with this text.
fn ok(text: &str) -> Reply {
    Reply::Send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()))
}

/// A server on loopback that answers as it is told. Dropping it closes its listener and all connections.
struct Backend {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Backend {
    async fn start(answer: impl Fn(&str, &[u8]) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(loopback(1)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let connections = Arc::new(AtomicUsize::new(0));
        let (counted, opened, answer) = (Arc::clone(&requests), Arc::clone(&connections), Arc::new(answer));
        let accepting = tokio::spawn(async move {
            let mut serving = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                opened.fetch_add(1, Ordering::SeqCst);
                let (answer, counted) = (Arc::clone(&answer), Arc::clone(&counted));
                serving.spawn(async move { serve(stream, &*answer, &counted).await });
            }
        });
        Self { address, requests, connections, accepting }
    }

    /// One that answers 200 with its name.
    async fn named(name: &'static str) -> Self {
        Self::start(move |_, _| ok(name)).await
    }

    /// Drops it, and waits until nothing listens there any more.
    async fn stop(mut self) {
        self.accepting.abort();
        assert!((&mut self.accepting).await.unwrap_err().is_cancelled());
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn target(&self, id: &str) -> Target {
        target(id, 80, self.address)
    }
}

/// Reads requests with `Content-Length` or chunked bodies (passed on undecoded) and answers each.
async fn serve(mut stream: TcpStream, answer: &(dyn Fn(&str, &[u8]) -> Reply + Send + Sync), requests: &AtomicUsize) {
    let mut held = Vec::new();
    while let Some((head, body)) = read_message(&mut stream, &mut held).await {
        requests.fetch_add(1, Ordering::SeqCst);
        match answer(&head, &body) {
            Reply::Send(text) => stream.write_all(text.as_bytes()).await.unwrap_or_default(),
            Reply::SendAndClose(text) => return stream.write_all(text.as_bytes()).await.unwrap_or_default(),
            Reply::Close => return,
            Reply::Hang => std::future::pending().await,
            Reply::Echo(text) => {
                stream.write_all(text.as_bytes()).await.unwrap_or_default();
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.unwrap_or_default();
                return;
            }
        }
    }
}

/// One message off a connection: its head as text, and its body. `None` when the connection ends.
async fn read_message(stream: &mut TcpStream, held: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let mut more = [0; 16 * 1024];
    loop {
        if let Some(end) = held.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&held[..end + 2]).into_owned();
            let rest = &held[end + 4..];
            let length = match field(&head, "transfer-encoding") {
                Some(_) => rest.windows(5).position(|part| part == b"0\r\n\r\n").map(|at| at + 5),
                None => Some(field(&head, "content-length").map_or(0, |length| length.parse().unwrap()))
                    .filter(|length| *length <= rest.len()),
            };
            if let Some(length) = length {
                let body = rest[..length].to_vec();
                held.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        match stream.read(&mut more).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => held.extend_from_slice(&more[..count]),
        }
    }
}

/// The value of a head's field, if it is there.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// A client's connection that is kept open.
struct Session {
    stream: TcpStream,
    held: Vec<u8>,
}

impl Session {
    async fn open(address: SocketAddr) -> Self {
        Self { stream: in_time(TcpStream::connect(address)).await.unwrap(), held: Vec::new() }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer's head and body.
    async fn answer(&mut self) -> (String, String) {
        let message = in_time(read_message(&mut self.stream, &mut self.held)).await;
        let (head, body) = message.expect("the connection was closed");
        (head, String::from_utf8(body).unwrap())
    }

    /// The body of `GET /`.
    async fn get(&mut self) -> String {
        self.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
        let (head, body) = self.answer().await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}{body}");
        body
    }

    /// Whether the other side has closed, once it says anything.
    async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        !matches!(in_time(self.stream.read(&mut byte)).await, Ok(1))
    }
}

/// One request on a connection of its own; everything that comes back.
async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = in_time(TcpStream::connect(address)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is an end as well.
    let _ = in_time(stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
