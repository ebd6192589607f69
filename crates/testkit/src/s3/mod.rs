//! A loopback S3 with one bucket, as far as the registry asks it, with faults: the server of the tests that have to see every call,
//! and to break any of them. It keeps to what the S3 API reference says of parts (5 MiB but for the last), tags, checksums and
//! dates: an object of several parts is dated by when its upload began.
//!
//! ```ignore
//! let s3 = FakeS3::start().await;
//! s3.fail_at(3, Fault::SlowDown);          // the third call from now
//! // … a client with `s3.endpoint()`, path style, the bucket `FakeS3::BUCKET` …
//! assert_eq!(s3.calls(), ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]);
//! ```

mod answer;
mod objects;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use self::answer::{Body, refused};
use self::objects::Objects;

/// What goes wrong in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 500 `InternalError`; nothing was done.
    Internal,
    /// 503 `SlowDown`; nothing was done.
    SlowDown,
    /// The connection ends; nothing was done.
    Closed,
    /// It was done, and the connection ends before the answer.
    AnswerLost,
    /// It was done, and the connection ends in the middle of the answer's body, where it has one.
    Truncated,
    /// 200 with an error as its body, which S3 does for `CompleteMultipartUpload`; nothing was done. 500 for all other calls.
    ErrorIn200,
    /// 400 `ExpiredToken`; nothing was done.
    Expired,
}

impl Fault {
    /// All that may pass when a call is repeated.
    pub const ALL: [Self; 6] =
        [Self::Internal, Self::SlowDown, Self::Closed, Self::AnswerLost, Self::Truncated, Self::ErrorIn200];
}

#[derive(Default)]
struct World {
    objects: Objects,
    calls: Vec<&'static str>,
    /// Which call, counted from 1 over all, goes wrong, and how; and all after it.
    fault: Option<(usize, Fault, Lasting)>,
    /// Which calls take their time, and how much.
    slow: Option<(&'static str, Duration)>,
}

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    Once,
    UntilMended,
}

/// The server. Stops when dropped.
pub struct FakeS3 {
    address: SocketAddr,
    world: Arc<Mutex<World>>,
    server: JoinHandle<()>,
}

impl Drop for FakeS3 {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    // Whole at every moment that somebody could panic.
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeS3 {
    /// The bucket that there is.
    pub const BUCKET: &str = "images";

    /// Starts it on a free port.
    ///
    /// # Panics
    /// There is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let world = Arc::<Mutex<World>>::default();
        let server = tokio::spawn(serve(Arc::clone(&world), listener));
        Self { address, world, server }
    }

    /// Its address.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the n-th call from now go wrong; 1 is the next.
    pub fn fail_at(&self, call: usize, fault: Fault) {
        let mut world = lock(&self.world);
        world.fault = Some((world.calls.len() + call, fault, Lasting::Once));
    }

    /// Lets the n-th call from now and all after it go wrong, until [`FakeS3::mend`].
    pub fn fail_from(&self, call: usize, fault: Fault) {
        let mut world = lock(&self.world);
        world.fault = Some((world.calls.len() + call, fault, Lasting::UntilMended));
    }

    /// Lets each call of this operation begin its answer at once, with white space, and end it so much later: as S3 completes uploads.
    pub fn answer_slowly(&self, op: &'static str, after: Duration) {
        lock(&self.world).slow = Some((op, after));
    }

    /// From now on a completion that repeats another one finds no upload, as elsewhere than at AWS, where it succeeds like the first one.
    pub fn forget_completions(&self) {
        lock(&self.world).objects.forget_completions();
    }

    /// Lets no call go wrong.
    pub fn mend(&self) {
        lock(&self.world).fault = None;
    }

    /// The calls since the start, or since this was asked last.
    #[must_use]
    pub fn calls(&self) -> Vec<&'static str> {
        let mut world = lock(&self.world);
        world.fault = None;
        std::mem::take(&mut world.calls)
    }

    /// The keys that have objects.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        lock(&self.world).objects.keys()
    }

    /// The bytes of an object.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn object(&self, key: &str) -> Vec<u8> {
        lock(&self.world).objects.bytes(key)
    }

    /// The keys of uploads that are not completed.
    #[must_use]
    pub fn uploads(&self) -> Vec<String> {
        lock(&self.world).objects.uploads()
    }

    /// Changes an object, as rot would.
    ///
    /// # Panics
    /// There is none.
    pub fn change(&self, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
        lock(&self.world).objects.change(key, change);
    }

    /// Takes an object away behind everybody's back.
    pub fn lose(&self, key: &str) {
        lock(&self.world).objects.delete(key);
    }

    /// Makes all that there is so many days older.
    pub fn age(&self, days: u64) {
        lock(&self.world).objects.age(days);
    }
}

async fn serve(world: Arc<Mutex<World>>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A connection that broke before it was accepted is nobody's loss.
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let world = Arc::clone(&world);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let world = Arc::clone(&world);
                        async move { respond(&world, request).await }
                    });
                    // Ends with an error when a fault closes the connection, or the client does.
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
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

async fn respond(world: &Arc<Mutex<World>>, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return Err(Closed) };
    let body = body.to_bytes();
    let (op, fault, slow) = {
        let mut world = lock(world);
        let op = objects::operation(&head);
        world.calls.push(op);
        let number = world.calls.len();
        let fault = world.fault.filter(|(at, _, lasting)| match lasting {
            Lasting::Once => *at == number,
            Lasting::UntilMended => *at <= number,
        });
        (op, fault.map(|(_, fault, _)| fault), world.slow.filter(|(slow, _)| *slow == op))
    };
    if let (None, Some((_, after))) = (fault, slow) {
        let world = Arc::clone(world);
        return Ok(answer::slow(after, move || lock(&world).objects.act(op, &head, &body)));
    }
    let act = || lock(world).objects.act(op, &head, &body);
    let answer = match fault {
        None => act(),
        Some(Fault::Internal) => refused(500, "InternalError"),
        Some(Fault::SlowDown) => refused(503, "SlowDown"),
        Some(Fault::Closed) => return Err(Closed),
        Some(Fault::AnswerLost) => {
            act();
            return Err(Closed);
        }
        Some(Fault::Truncated) => {
            let answer = act();
            if answer.body.len() < 2 {
                return Err(Closed);
            }
            return Ok(answer.broken());
        }
        Some(Fault::ErrorIn200) if op == "CompleteMultipartUpload" => refused(200, "InternalError"),
        Some(Fault::ErrorIn200) => refused(500, "InternalError"),
        Some(Fault::Expired) => refused(400, "ExpiredToken"),
    };
    Ok(answer.whole(&head.method))
}
