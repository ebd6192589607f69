//! Requests to ECR's own registry (`/v2/…`), streamed both ways: with the server's token, which is renewed when ECR does
//! not take it, and again when ECR is busy.
//!
//! Nothing of the client's request goes along but what is handed over here by name, and nothing of the answer comes back
//! to the client but what the routes take out of it: neither sees the credential of the other.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::{AUTHORIZATION, HOST, RETRY_AFTER, USER_AGENT};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use layer0_domain::port::BoxError;

use super::replay::{Broken, Replay};
use super::token::{TokenError, Tokens};
use crate::outgoing::{AGENT, Http, http_and_anew};

/// How long ECR may take for the head of an answer, from when it has all of the request: the end of a large layer is
/// checked then.
const ANSWER_MAX: Duration = Duration::from_secs(300);
/// Tries of one request while ECR is busy or can't be reached.
const TRIES: u32 = 6;
/// The first wait before a repetition; each next one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// The longest wait that ECR may ask for.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Why ECR gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("ECR can't be reached")]
    Away(#[source] BoxError),
    #[error("ECR did not answer in time")]
    Late,
    /// ECR did not take what can't be sent again.
    #[error("ECR did not take the request ({0}), and its content can't be sent again")]
    Spent(StatusCode),
    /// The client's side ended.
    #[error("the client's body did not come to its end")]
    Client(Broken),
}

/// Where ECR's registry is.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// How it is spoken to.
    pub(crate) scheme: Scheme,
    /// Where connections go.
    pub(crate) authority: Authority,
    /// What the registry is called: the `Host` of requests.
    pub(crate) host: HeaderValue,
}

/// One request.
pub(crate) struct Question {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// `None` for none.
    pub(crate) body: Option<Replay>,
    /// Whether it may be made again when it is not known what became of it (RFC 9110, section 9.2.2).
    is_repeatable: bool,
}

impl Question {
    /// One without a body.
    pub(crate) fn new(method: Method, path: impl Into<String>) -> Self {
        let is_repeatable = matches!(method, Method::GET | Method::HEAD);
        Self { method, path: path.into(), headers: HeaderMap::new(), body: None, is_repeatable }
    }

    /// The same, of which a second one does no harm: a manifest is put under its tag once more, an upload is begun that nobody
    /// knows of. The end of an upload is none of these: the second one finds no upload.
    pub(crate) fn repeatable(mut self) -> Self {
        self.is_repeatable = true;
        self
    }

    /// The same with a header of the client's, where it has one.
    pub(crate) fn with(mut self, name: http::HeaderName, value: Option<&HeaderValue>) -> Self {
        if let Some(value) = value {
            self.headers.insert(name, value.clone());
        }
        self
    }

    /// The same with a body.
    pub(crate) fn body(mut self, body: Replay) -> Self {
        self.body = Some(body);
        self
    }
}

/// The way to ECR's registry.
#[derive(Clone)]
pub(crate) struct Upstream {
    http: Http,
    /// For what is sent again after it was refused. Who refuses a request without having read all of it ends the connection
    /// behind his answer, and another request that is on its way over it by then is lost.
    anew: Http,
    endpoint: Arc<Endpoint>,
    tokens: Tokens,
}

impl Upstream {
    /// # Errors
    /// This machine has no certificates that TLS could be trusted by.
    pub(crate) fn new(endpoint: Endpoint, tokens: Tokens) -> Result<Self, BoxError> {
        let (http, anew) = http_and_anew()?;
        Ok(Self { http, anew, endpoint: Arc::new(endpoint), tokens })
    }

    /// Whether an address is ECR's registry itself.
    pub(crate) fn is_here(&self, uri: &Uri) -> bool {
        let host = self.endpoint.host.as_bytes();
        uri.authority().is_none_or(|it| *it == self.endpoint.authority || it.as_str().as_bytes() == host)
    }

    /// Asks ECR. An answer that says that ECR is busy, or does not take the token, is not given back unless it can't be
    /// helped: then it becomes an error.
    pub(crate) async fn ask(&self, question: Question) -> Result<Response<Incoming>, UpstreamError> {
        let Question { method, path, headers, body, is_repeatable } = question;
        let uri = Uri::builder()
            .scheme(self.endpoint.scheme.clone())
            .authority(self.endpoint.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|error| UpstreamError::Away(error.into()))?;
        let mut token = self.tokens.current().await?;
        let mut is_renewed = false;
        let mut wait = FIRST_WAIT;
        let mut tried = 0;
        let mut http = &self.http;
        loop {
            let mut head = headers.clone();
            head.insert(HOST, self.endpoint.host.clone());
            head.insert(AUTHORIZATION, token.header.clone());
            tried += 1;
            let answer = match once(http, &method, &uri, head, body.as_ref()).await {
                Ok(answer) => answer,
                // A connection that broke may have done its work; only what may be done twice is done again.
                Err(UpstreamError::Away(source)) => {
                    let again = tried < TRIES && (is_repeatable || is_connect(&source)) && can_again(&body);
                    if !again {
                        return Err(UpstreamError::Away(source));
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(WAIT_MAX);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let status = answer.status();
            if body.is_some() && !status.is_success() {
                http = &self.anew;
            }
            match status {
                // ECR says of an expired token that it is denied.
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !is_renewed => {
                    let Some(other) = self.tokens.instead_of(&token).await? else { return Ok(answer) };
                    if !can_again(&body) {
                        return Err(UpstreamError::Spent(status));
                    }
                    token = other;
                    is_renewed = true;
                }
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE if tried < TRIES => {
                    if !can_again(&body) {
                        return Err(UpstreamError::Spent(status));
                    }
                    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                    tokio::time::sleep(asked.map_or(wait, Duration::from_secs).min(WAIT_MAX)).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
                // Unlike the two above, these may have done it.
                StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
                    if tried < TRIES && is_repeatable && can_again(&body) =>
                {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(WAIT_MAX);
                }
                _ => return Ok(answer),
            }
        }
    }

    /// Fetches from where ECR has redirected to. That is another host: nothing of the credential goes there.
    pub(crate) async fn fetch(&self, uri: Uri, headers: HeaderMap) -> Result<Response<Incoming>, UpstreamError> {
        once(&self.http, &Method::GET, &uri, headers, None).await
    }
}

/// Asks once.
async fn once(
    http: &Http,
    method: &Method,
    uri: &Uri,
    mut headers: HeaderMap,
    body: Option<&Replay>,
) -> Result<Response<Incoming>, UpstreamError> {
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    let content = match body {
        None => Body::empty(),
        Some(body) => body.attempt().ok_or(UpstreamError::Late)?,
    };
    let mut request = Request::new(content);
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers;
    let answer = http.request(request);
    let late = async {
        if let Some(body) = body {
            body.ended().await;
        }
        tokio::time::sleep(ANSWER_MAX).await;
    };
    tokio::select! {
        answer = answer => answer.map_err(|error| match body.and_then(Replay::broken) {
            Some(broken) => UpstreamError::Client(broken),
            None => UpstreamError::Away(error.into()),
        }),
        () = late => Err(UpstreamError::Late),
    }
}

fn can_again(body: &Option<Replay>) -> bool {
    body.as_ref().is_none_or(Replay::is_kept)
}

/// Whether no connection came about, so that nothing was sent.
fn is_connect(error: &BoxError) -> bool {
    error.downcast_ref::<hyper_util::client::legacy::Error>().is_some_and(hyper_util::client::legacy::Error::is_connect)
}
