//! The way out to other registries: one kind of client, with TLS by this machine's certificates.

use std::time::Duration;

use axum::body::Body;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
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

fn kept(connector: HttpsConnector<HttpConnector>) -> Http {
    Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_MAX).pool_timer(TokioTimer::new()).build(connector)
}

fn connector() -> Result<HttpsConnector<HttpConnector>, BoxError> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(CONNECT_MAX));
    connector.set_nodelay(true);
    connector.set_keepalive(Some(Duration::from_secs(30)));
    Ok(HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector))
}
