//! The typed client: one method for each operation of the API.

mod backup;
mod events;
mod methods;
mod pipeline;

use std::time::Duration;

use reqwest::{Method, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ErrorBody;

pub use backup::ByteStream;
pub use events::{Followed, GrantFollowed, MigrationFollowed, Swept, Verified};
pub use pipeline::actions_id_token;

/// Where the API is and how to speak to it.
#[derive(Clone)]
pub struct ClientOptions {
    /// `http://localhost:9090/`, with or without the slash.
    pub endpoint: String,
    /// base64 of `user:secret`, sent verbatim behind `Authorization: Basic`.
    pub token: Option<String>,
    /// How long one request may take; streams are bounded by their reader.
    pub timeout: Duration,
    /// Whether a certificate that can't be verified is accepted.
    pub skip_ssl_verify: bool,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server can't be reached, or went away.
    #[error("no connection to {endpoint}")]
    Connection {
        /// Which server.
        endpoint: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server did not answer in time.
    #[error("{endpoint} did not answer in time")]
    Timeout {
        /// Which server.
        endpoint: String,
    },
    /// The endpoint is no URL, or the client can't be built.
    #[error("`{endpoint}` is not an endpoint: {reason}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server said no, and why.
    #[error("{}", .body.message)]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error.
        body: Box<ErrorBody>,
    },
    /// The server answered something that is not of this API.
    #[error("{endpoint} answered with status {status} and no error of this API: is it a Layer0 server?")]
    Foreign {
        /// Which server.
        endpoint: String,
        /// The HTTP status.
        status: u16,
    },
}

impl ClientError {
    /// The error code of a refusal.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            ClientError::Refused { body, .. } => Some(&body.error_code),
            _ => None,
        }
    }
}

/// A client of one instance.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    endpoint: String,
    token: Option<String>,
    timeout: Duration,
}

/// Whether a server can be asked there at all, without asking it.
///
/// # Errors
/// [`ClientError::Endpoint`].
pub fn endpoint_check(endpoint: &str) -> Result<(), ClientError> {
    let unfit = |reason: String| ClientError::Endpoint { endpoint: endpoint.to_owned(), reason };
    match reqwest::Url::parse(endpoint.trim_end_matches('/')) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(()),
        Ok(_) => Err(unfit("it must begin with http:// or https://".to_owned())),
        Err(why) => Err(unfit(why.to_string())),
    }
}

impl Client {
    /// Makes a client. Connects only when a request is made.
    ///
    /// # Errors
    /// [`ClientError::Endpoint`].
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        endpoint_check(&options.endpoint)?;
        let endpoint = options.endpoint.trim_end_matches('/').to_owned();
        let unfit = |reason: String| ClientError::Endpoint { endpoint: options.endpoint.clone(), reason };
        // Fails only when a provider was installed before, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("l0/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(10))
            .danger_accept_invalid_certs(options.skip_ssl_verify)
            .no_proxy()
            .build()
            .map_err(|why| unfit(why.to_string()))?;
        Ok(Self { http, endpoint, token: options.token, timeout: options.timeout })
    }

    /// The endpoint without a slash at its end.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.endpoint));
        match &self.token {
            Some(token) => request.header("authorization", format!("Basic {token}")),
            None => request,
        }
    }

    fn failed(&self, why: reqwest::Error) -> ClientError {
        // One that was never there says so by running out of time, too.
        if why.is_timeout() && !why.is_connect() {
            ClientError::Timeout { endpoint: self.endpoint.clone() }
        } else {
            ClientError::Connection { endpoint: self.endpoint.clone(), source: why.without_url() }
        }
    }

    /// Sends a request and turns every answer but 2xx into an error.
    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, ClientError> {
        let answer = request.send().await.map_err(|why| self.failed(why))?;
        let status = answer.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let bytes = answer.bytes().await.map_err(|why| self.failed(why))?;
        match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(body) => Err(ClientError::Refused { status, body: Box::new(body) }),
            Err(_) => Err(ClientError::Foreign { endpoint: self.endpoint.clone(), status }),
        }
    }

    /// Whether a server answers and does not leave, and its version. No credential is looked at.
    ///
    /// # Errors
    /// Nobody answers, or not well.
    pub async fn health(&self) -> Result<Option<String>, ClientError> {
        let answer = self.send(self.request(Method::GET, "/health").timeout(self.timeout)).await?;
        Ok(answer.headers().get("version").and_then(|value| value.to_str().ok()).map(str::to_owned))
    }

    async fn json<T: DeserializeOwned>(&self, request: reqwest::RequestBuilder) -> Result<T, ClientError> {
        let answer = self.send(request.timeout(self.timeout)).await?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.map_err(|why| self.failed(why))?;
        serde_json::from_slice(&bytes).map_err(|_| ClientError::Foreign { endpoint: self.endpoint.clone(), status })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(self.request(Method::GET, path)).await
    }

    async fn get_with<Q: Serialize, T: DeserializeOwned>(&self, path: &str, query: &Q) -> Result<T, ClientError> {
        self.json(self.request(Method::GET, path).query(query)).await
    }

    async fn send_json<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.json(self.request(method, path).json(body)).await
    }

    async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(self.request(Method::DELETE, path)).await
    }
}

/// Escapes one path segment. Ids and names that we made need none; what a user typed may.
fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
