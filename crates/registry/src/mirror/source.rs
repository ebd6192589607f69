//! The bytes of a blob as an upstream sends them.

use axum::body::Bytes;
use futures_util::FutureExt;
use http::header::{CONTENT_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use tokio::time::Instant;

use super::fill::BATCH;
use super::refusal::Refusal;
use super::{Mirror, length, size_of_part};

/// What an upstream must send in the time that it may be silent for, unless it ends first: one that sends a byte now and then would
/// hold its turn for ever.
const LEAST: usize = 64 << 10;
/// How often a connection that broke is taken up again.
const RESUMES: u32 = 2;

/// The bytes of a blob, over as many connections as it takes.
pub(super) struct Source<'a> {
    mirror: &'a Mirror,
    theirs: String,
    path: String,
    pub(super) size: u64,
    body: Incoming,
    resumes: u32,
    /// When it must have sent [`LEAST`], and how much of that came.
    until: Instant,
    came: usize,
}

impl<'a> Source<'a> {
    pub(super) async fn open(mirror: &'a Mirror, name: &RepositoryName, digest: &Digest) -> Result<Self, Refusal> {
        let (theirs, path) = (mirror.theirs(name)?, format!("blobs/{digest}"));
        let answer = mirror.upstream.ask(Method::GET, &theirs, &path, HeaderMap::new()).await?;
        let size = match length(&answer) {
            Some(size) => size,
            // One that sends in chunks says it of a part.
            None => size_of_part(mirror, &theirs, &path).await?,
        };
        Ok(Self {
            mirror,
            theirs,
            path,
            size,
            body: answer.into_body(),
            resumes: 0,
            until: Instant::now() + mirror.upstream.patience().idle,
            came: 0,
        })
    }

    /// The next bytes, which are not at their end at `at`.
    pub(super) async fn next(&mut self, at: u64) -> Result<Bytes, Refusal> {
        loop {
            match self.read(at).await {
                Ok(bytes) => return Ok(bytes),
                Err(refusal) if self.resumes < RESUMES => {
                    self.resumes += 1;
                    tracing::info!(error = %refusal, "a download is taken up again at byte {at}: {refusal}");
                    // What made it break is the better reason.
                    self.resume(at).await.map_err(|_| refusal)?;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// Asks for the rest.
    async fn resume(&mut self, at: u64) -> Result<(), Refusal> {
        let upstream = &self.mirror.upstream;
        let mut headers = HeaderMap::new();
        let range = HeaderValue::from_str(&format!("bytes={at}-")).expect("digits are legal in a header");
        headers.insert(RANGE, range);
        let answer = upstream.ask(Method::GET, &self.theirs, &self.path, headers).await?;
        let range = answer.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let is_rest = answer.status() == StatusCode::PARTIAL_CONTENT
            && range.is_some_and(|it| it == format!("bytes {at}-{}/{}", self.size - 1, self.size));
        if !is_rest {
            return Err(Refusal::nonsense(upstream.host(), "does not send the rest of a blob"));
        }
        self.body = answer.into_body();
        self.begin();
        Ok(())
    }

    /// Begins to wait anew.
    fn begin(&mut self) {
        (self.until, self.came) = (Instant::now() + self.mirror.upstream.patience().idle, 0);
    }

    /// What has come, up to a batch; waits for the first of it only, but not for longer than for [`LEAST`] of it or the end.
    async fn read(&mut self, at: u64) -> Result<Bytes, Refusal> {
        let upstream = &self.mirror.upstream;
        let idle = upstream.patience().idle;
        let rest = usize::try_from(self.size - at).unwrap_or(usize::MAX);
        let mut batch: Vec<u8> = Vec::new();
        loop {
            let frame = if batch.is_empty() {
                let frame = tokio::time::timeout_at(self.until, self.body.frame()).await;
                frame.map_err(|_| Refusal::late(upstream.host(), idle))?
            } else {
                match self.body.frame().now_or_never() {
                    Some(frame) => frame,
                    None => return Ok(batch.into()),
                }
            };
            let data = match frame {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                // What came before is good; the next read meets the same end.
                Some(Err(_)) | None if !batch.is_empty() => return Ok(batch.into()),
                Some(Err(error)) => return Err(Refusal::away(upstream.host(), &error)),
                None => return Err(Refusal::nonsense(upstream.host(), "broke off in the middle of a blob")),
            };
            self.came += data.len();
            if self.came >= LEAST {
                self.begin();
            }
            if data.len() > rest - batch.len() {
                return Err(Refusal::nonsense(upstream.host(), "sends more of a blob than it has"));
            }
            if batch.is_empty() && data.len() >= BATCH {
                return Ok(data);
            }
            batch.extend_from_slice(&data);
            if batch.len() >= BATCH || batch.len() == rest {
                return Ok(batch.into());
            }
        }
    }
}
