//! The one way to Docker: every call has a limit, and none is tried while Docker is known not to answer.
//!
//! Docker may be absent, restart or hang at any time. Whoever notices marks the connection as down
//! ([`Client::lost`]); from then on every call is refused at once until the [watch](super::watch) has found Docker
//! again.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::sync::watch;

/// How long a control call may take. Docker answers them in milliseconds; under load creating a network takes a second.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(10);

/// How long making and starting a container may take: it waits in line inside Docker behind others.
pub(super) const START_LIMIT: Duration = Duration::from_secs(60);

/// How long making or removing a container may take: Docker copies into a new volume what the image has there, and removes the files of what was
/// written, as many as they are.
pub(super) const LAYER_LIMIT: Duration = Duration::from_secs(600);

/// How long bollard itself waits for the head of an answer; only a backstop, [`Client::call`] has the real limits.
const HEAD_LIMIT_S: u64 = 660;

/// What a call to Docker came to, by what can be done about it.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum DockerError {
    /// Docker does not answer.
    #[error("Docker does not answer: {0}")]
    Down(String),
    /// Docker answers, but this takes it longer than we wait; it may still come to its end.
    #[error("it was not done within {} s", .0.as_secs())]
    Slow(Duration),
    /// There is no such thing (404).
    #[error("{0}")]
    NotFound(String),
    /// It is there already, or in use (409).
    #[error("{0}")]
    Conflict(String),
    /// Docker says no, or failed.
    #[error("{message}")]
    Refused {
        /// The HTTP status; 0 for an error in the middle of a stream.
        status: u16,
        /// Docker's words.
        message: String,
    },
}

impl DockerError {
    /// Whether Docker did not answer at all.
    pub(super) fn is_down(&self) -> bool {
        matches!(self, DockerError::Down(_))
    }

    fn of(error: BollardError) -> Self {
        match error {
            BollardError::DockerResponseServerError { status_code: 404, message } => DockerError::NotFound(message),
            BollardError::DockerResponseServerError { status_code: 409, message } => DockerError::Conflict(message),
            BollardError::DockerResponseServerError { status_code, message } => {
                DockerError::Refused { status: status_code, message }
            }
            BollardError::DockerStreamError { error } => DockerError::Refused { status: 0, message: error },
            BollardError::JsonDataError { message, .. } => {
                DockerError::Refused { status: 0, message: format!("its answer can't be read: {message}") }
            }
            other => DockerError::Down(chain(&other)),
        }
    }
}

/// An error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Whether Docker answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// It answers and we know all that bears our label.
    Up,
    /// It answers; what it has of ours is being listed.
    Joining,
    /// It does not; why.
    Down(String),
}

/// Why nothing is known of Docker in the first moments.
const NOT_ASKED: &str = "not yet, this server has just started";

/// The connection to Docker.
pub(super) struct Client {
    host: String,
    docker: Mutex<Option<Docker>>,
    link: watch::Sender<Link>,
}

impl Client {
    pub(super) fn new(host: &str) -> Self {
        let (link, _) = watch::channel(Link::Down(NOT_ASKED.to_owned()));
        Self { host: host.to_owned(), docker: Mutex::new(None), link }
    }

    /// In words: `the Docker engine at unix:///var/run/docker.sock`.
    pub(super) fn words(&self) -> String {
        format!("the Docker engine at {}", self.host)
    }

    /// Whether Docker answers, and news of that.
    pub(super) fn link(&self) -> watch::Receiver<Link> {
        self.link.subscribe()
    }

    /// Whether Docker answers now.
    pub(super) fn is_up(&self) -> bool {
        *self.link.borrow() == Link::Up
    }

    /// Why Docker does not answer; `None` when it does.
    pub(super) fn down(&self) -> Option<String> {
        match &*self.link.borrow() {
            Link::Down(why) => Some(why.clone()),
            Link::Up | Link::Joining => None,
        }
    }

    /// Makes a new connection and asks Docker for its version. Does not mark it as up: the caller does, once it knows
    /// what there is.
    pub(super) async fn connect(&self, limit: Duration) -> Result<Docker, DockerError> {
        let docker = self.open().map_err(DockerError::of)?;
        let docker = tokio::time::timeout(limit, docker.negotiate_version())
            .await
            .map_err(|_| DockerError::Down(format!("no answer within {} s", limit.as_secs())))?
            .map_err(DockerError::of)?;
        *self.slot() = Some(docker.clone());
        Ok(docker)
    }

    fn open(&self) -> Result<Docker, BollardError> {
        let docker = if self.host.starts_with("tcp://") || self.host.starts_with("http://") {
            Docker::connect_with_http(&self.host, HEAD_LIMIT_S, API_DEFAULT_VERSION)?
        } else {
            Docker::connect_with_unix(&self.host, HEAD_LIMIT_S, API_DEFAULT_VERSION)?
        };
        Ok(docker.with_request_modifier(url_safe_credentials))
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Docker>> {
        self.docker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks Docker as answering: calls are let through.
    pub(super) fn found(&self) {
        self.link.send_replace(Link::Joining);
    }

    /// Marks what Docker has of ours as known; does nothing when Docker was lost in between.
    pub(super) fn listed(&self) {
        self.link.send_if_modified(|link| {
            let joining = *link == Link::Joining;
            if joining {
                *link = Link::Up;
            }
            joining
        });
    }

    /// Marks Docker as not answering.
    pub(super) fn lost(&self, why: &str) {
        self.link.send_replace(Link::Down(why.to_owned()));
    }

    /// The handle, when Docker answers.
    pub(super) fn docker(&self) -> Result<Docker, DockerError> {
        if let Link::Down(why) = &*self.link.borrow() {
            return Err(DockerError::Down(why.clone()));
        }
        self.slot().clone().ok_or_else(|| DockerError::Down(NOT_ASKED.to_owned()))
    }

    /// Makes one call with the usual limit.
    pub(super) async fn call<T, F>(&self, ask: impl FnOnce(Docker) -> F) -> Result<T, DockerError>
    where
        F: Future<Output = Result<T, BollardError>>,
    {
        self.call_within(CALL_LIMIT, ask).await
    }

    /// Makes one call with a limit of its own. A call that is not answered in time marks Docker as down.
    pub(super) async fn call_within<T, F>(
        &self,
        limit: Duration,
        ask: impl FnOnce(Docker) -> F,
    ) -> Result<T, DockerError>
    where
        F: Future<Output = Result<T, BollardError>>,
    {
        if let Some(answer) = self.answer(self.docker()?, limit, ask).await {
            return answer;
        }
        let why = format!("no answer within {} s", limit.as_secs());
        self.lost(&why);
        Err(DockerError::Down(why))
    }

    /// What Docker answers to a call; `None` when that is nothing in time. An answer that it is away marks it as down.
    async fn answer<T, F>(
        &self,
        docker: Docker,
        limit: Duration,
        ask: impl FnOnce(Docker) -> F,
    ) -> Option<Result<T, DockerError>>
    where
        F: Future<Output = Result<T, BollardError>>,
    {
        let answer = tokio::time::timeout(limit, ask(docker)).await.ok()?.map_err(DockerError::of);
        if let Err(DockerError::Down(why)) = &answer {
            self.lost(why);
        }
        Some(answer)
    }

    /// Makes a call that may take long for reasons that are not Docker's (a program that ends slowly, a disk). One that is
    /// not answered in time is [`Slow`](DockerError::Slow), unless Docker does not answer a simple question either.
    pub(super) async fn call_patient<T, F>(
        &self,
        limit: Duration,
        ask: impl FnOnce(Docker) -> F,
    ) -> Result<T, DockerError>
    where
        F: Future<Output = Result<T, BollardError>>,
    {
        // The backstop stays behind the limit, however long that is.
        let backstop = limit.saturating_add(CALL_LIMIT).max(Duration::from_secs(HEAD_LIMIT_S));
        let docker = self.docker()?.with_timeout(backstop);
        if let Some(answer) = self.answer(docker, limit, ask).await {
            return answer;
        }
        self.call(|docker| async move { docker.ping().await }).await?;
        Err(DockerError::Slow(limit))
    }

    /// Maps an error that came out of a stream.
    pub(super) fn stream_error(error: BollardError) -> DockerError {
        DockerError::of(error)
    }
}

/// Docker reads `X-Registry-Auth` as URL-safe base64 and takes an unreadable value for "no credential", silently;
/// bollard writes the standard alphabet. The two differ in two characters.
fn url_safe_credentials(mut request: bollard::BollardRequest) -> bollard::BollardRequest {
    let header = http::HeaderName::from_static("x-registry-auth");
    let safe = request
        .headers()
        .get(&header)
        .and_then(|value| value.to_str().ok())
        .map(|text| text.replace('+', "-").replace('/', "_"))
        .and_then(|text| http::HeaderValue::from_str(&text).ok());
    if let Some(mut value) = safe {
        value.set_sensitive(true);
        request.headers_mut().insert(header, value);
    }
    request
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// Answers a ping and a question for the version, and nothing else.
    async fn answer(mut stream: TcpStream) {
        let (mut held, mut more) = (String::new(), [0; 1024]);
        while let Ok(count) = stream.read(&mut more).await
            && count > 0
        {
            held.push_str(&String::from_utf8_lossy(&more[..count]));
            while let Some((head, rest)) = held.clone().split_once("\r\n\r\n") {
                held = rest.to_owned();
                let body = if head.contains("/version") {
                    r#"{"ApiVersion":"1.44"}"#
                } else if head.contains("/_ping") {
                    "OK"
                } else {
                    continue;
                };
                let kind = if body == "OK" { "text/plain" } else { "application/json" };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}");
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }

    #[tokio::test]
    async fn a_slow_call_is_not_taken_for_an_absent_docker() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = Client::new(&format!("tcp://{}", listener.local_addr().expect("bound")));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        });
        client.connect(Duration::from_secs(10)).await.expect("it answers");
        client.found();
        client.listed();
        let limit = Duration::from_millis(50);
        let slow = client.call_patient(limit, |docker| async move { docker.list_networks(None).await }).await;
        assert!(matches!(slow, Err(DockerError::Slow(_))), "{slow:?}");
        assert!(client.is_up());
        let hangs = client.call_within(limit, |docker| async move { docker.list_networks(None).await }).await;
        assert!(matches!(hangs, Err(DockerError::Down(_))), "{hangs:?}");
        assert!(!client.is_up());
    }
}
