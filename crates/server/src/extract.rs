//! What handlers take out of requests, with errors in our own form.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use layer0_api::error::ErrorCode;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The largest request body. A task definition may have 1 MiB, base64 makes 1.4 of it.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// What is read and thrown away of a body that is too large, so that the client gets the answer instead of a broken
/// connection: a client writes its request before it reads.
const DRAIN_MAX: usize = 256 * 1024 * 1024;

/// How long a client may be silent in the middle of a body.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// A JSON body. An empty one counts as `{}`. The `Content-Type` is not looked at: the predecessor's client sends none.
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read(request.into_body()).await?;
        let bytes: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &bytes };
        match serde_json::from_slice(bytes) {
            Ok(value) => Ok(Self(value)),
            Err(why) => Err(ApiError::request(format!("the request's body can't be read: {why}"))),
        }
    }
}

async fn read(body: Body) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut length = 0_usize;
    loop {
        let Ok(next) = tokio::time::timeout(SILENCE_MAX, stream.next()).await else {
            return Err(ApiError::request("the request's body did not come in time"));
        };
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|_| ApiError::request("the request's body broke off"))?;
        length += chunk.len();
        if length <= BODY_MAX {
            bytes.extend_from_slice(&chunk);
        } else if length > DRAIN_MAX {
            break;
        } else {
            bytes = Vec::new();
        }
    }
    if length > BODY_MAX {
        let message = format!("the request has {length} bytes or more; the most is {BODY_MAX}");
        return Err(ApiError::new(ErrorCode::TooLarge, message).hint("a task definition may have up to 1 MiB"));
    }
    Ok(bytes)
}

/// The rest of a body, whole; for handlers that read something other than JSON.
pub(crate) async fn form(body: Body) -> Result<Vec<u8>, ApiError> {
    let limited = http_body_util::Limited::new(body, 64 * 1024);
    match tokio::time::timeout(SILENCE_MAX, limited.collect()).await {
        Ok(Ok(bytes)) => Ok(bytes.to_bytes().to_vec()),
        Ok(Err(_)) => Err(ApiError::new(ErrorCode::TooLarge, "the form is too large")),
        Err(_) => Err(ApiError::request("the form did not come in time")),
    }
}

/// The query.
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(why) => Err(ApiError::request(format!("the query can't be read: {why}"))),
        }
    }
}

/// The path's parameters.
pub(crate) struct ApiPath<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(why) => Err(ApiError::request(format!("the path can't be read: {why}"))),
        }
    }
}
