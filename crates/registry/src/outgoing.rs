//! The way out to other registries: one kind of client, with TLS by this machine's certificates.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use http::Request;
use http::uri::Scheme;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use layer0_domain::port::BoxError;

/// What every request to another registry says of who asks.
pub(crate) const AGENT: &str = concat!("layer0/", env!("CARGO_PKG_VERSION"));
/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Connections that nobody uses are kept for so long. Others close them after a minute.
const IDLE_MAX: Duration = Duration::from_secs(50);

/// A client with its connections.
pub(crate) type Http = Client<HttpsConnector<HttpConnector>, Body>;

/// A new one.
///
/// # Errors
/// This machine has no certificates that TLS could be trusted by.
pub(crate) fn http() -> Result<Http, BoxError> {
    Ok(kept(connector()?))
}

/// The same, and beside it one that makes a connection for each request.
///
/// # Errors
/// As [`http()`].
#[cfg(feature = "ecr")]
pub(crate) fn http_and_anew() -> Result<(Http, Http), BoxError> {
    let connector = connector()?;
    let anew = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector.clone());
    Ok((kept(connector), anew))
}

/// A client that reads this machine's certificates when it first needs them: that takes 5 ms, as long as half a start. Clones are the same.
#[derive(Clone)]
pub(crate) struct Outgoing(Arc<Ways>);

struct Ways {
    plain: Client<HttpConnector, Body>,
    secure: OnceLock<Http>,
}

impl Outgoing {
    /// A new one. Where it is known that TLS will be needed, the certificates are read now, so that what is wrong with them is told now.
    ///
    /// # Errors
    /// As [`http()`].
    pub(crate) fn new(needs_tls: bool) -> Result<Self, BoxError> {
        let this = Self(Arc::new(Ways { plain: kept(plain()), secure: OnceLock::new() }));
        if needs_tls {
            this.secure()?;
        }
        Ok(this)
    }

    fn secure(&self) -> Result<&Http, BoxError> {
        let secure = &self.0.secure;
        match secure.get() {
            Some(http) => Ok(http),
            None => {
                let http = http()?;
                Ok(secure.get_or_init(|| http))
            }
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// As [`http()`].
    pub(crate) fn request(&self, request: Request<Body>) -> Result<ResponseFuture, BoxError> {
        if request.uri().scheme() == Some(&Scheme::HTTPS) {
            return Ok(self.secure()?.request(request));
        }
        Ok(self.0.plain.request(request))
    }
}

fn kept<C: Connect + Clone>(connector: C) -> Client<C, Body> {
    Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_MAX).pool_timer(TokioTimer::new()).build(connector)
}

fn plain() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_MAX));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(Duration::from_secs(30)));
    connector
}

fn connector() -> Result<HttpsConnector<HttpConnector>, BoxError> {
    Ok(HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(plain()))
}
