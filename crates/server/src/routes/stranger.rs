//! Requests of those who have no credential yet, and come for one: where they are from, how many they may be, and what is in them.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use layer0_api::error::ErrorCode;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::error::ApiError;
use crate::extract;

/// Who asks: no more is known than the address, and that only where there is a connection.
pub(super) struct Stranger {
    pub(super) from: Option<IpAddr>,
}

impl FromRequestParts<App> for Stranger {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| *peer);
        Ok(Self { from: app.sign_in.address(&parts.headers, peer) })
    }
}

impl Stranger {
    /// Counts the request; one too many from an address is refused.
    pub(super) fn count(&self, app: &App, what: &str) -> Result<(), ApiError> {
        match app.sign_in.throttle.exchange(self.from, app.clock.now()) {
            Some(after_s) => Err(ApiError::new(ErrorCode::Throttled, format!("too many {what} from this address"))
                .hint(format!("wait {after_s} seconds"))),
            None => Ok(()),
        }
    }
}

/// The body. Read when the request was counted, not before.
pub(super) async fn body<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    serde_json::from_slice(&extract::form(body).await?)
        .map_err(|why| ApiError::request(format!("the request's body can't be read: {why}")))
}
