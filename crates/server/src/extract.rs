//! What handlers take out of requests, with errors in our own form.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use layer0_api::error::ErrorCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::app::App;
use crate::auth::Admitted;
use crate::error::ApiError;

/// The largest request body. A task definition may have 1 MiB, base64 makes 1.4 of it.
const BODY_MAX: usize = 4 * 1024 * 1024;

/// How long a client may be silent in the middle of a body.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long a body may take in all, so that a byte now and then holds no connection for ever. The largest body comes in that
/// time over a line of 112 kbit/s.
const BODY_TIME_MAX: Duration = Duration::from_secs(5 * 60);

/// A JSON body. An empty one counts as `{}`. The `Content-Type` is not looked at: the predecessor's client sends none.
/// A member that is `null` counts as absent, at every depth: that client writes so what it has no value for (`"ports":
/// null`).
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read(body, BODY_TIME_MAX).await?;
        if let Some(admitted) = parts.extensions.get::<Admitted>() {
            admitted.still(app, &parts.headers).await?;
        }
        let bytes: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { &bytes };
        match json(bytes) {
            Ok(value) => Ok(Self(value)),
            Err(why) => Err(ApiError::request(format!("the request's body can't be read: {why}"))),
        }
    }
}

/// Reads a value, and where that fails reads it again without the members that are `null`. So what has none, nearly every
/// request, is read once, and its errors say where they are.
fn json<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(bytes).or_else(|why| {
        let mut value: Value = serde_json::from_slice(bytes)?;
        if without_nulls(&mut value) { serde_json::from_value(value) } else { Err(why) }
    })
}

/// Takes the members that are `null` away; answers whether there were any. It goes no deeper than `serde_json` reads,
/// which is 128 levels.
fn without_nulls(value: &mut Value) -> bool {
    match value {
        Value::Object(members) => {
            let before = members.len();
            members.retain(|_, member| !member.is_null());
            let gone = members.len() < before;
            members.values_mut().fold(gone, |gone, member| without_nulls(member) | gone)
        }
        Value::Array(items) => items.iter_mut().fold(false, |gone, item| without_nulls(item) | gone),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

async fn read(body: Body, limit: Duration) -> Result<Vec<u8>, ApiError> {
    tokio::time::timeout(limit, read_all(body)).await.map_err(|_| late())?
}

fn late() -> ApiError {
    ApiError::request("the request's body did not come in time")
}

async fn read_all(body: Body) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    loop {
        let Ok(next) = tokio::time::timeout(SILENCE_MAX, stream.next()).await else {
            return Err(late());
        };
        let Some(chunk) = next else { break };
        let chunk = chunk.map_err(|_| ApiError::request("the request's body broke off"))?;
        if bytes.len() + chunk.len() > BODY_MAX {
            // `unread` sees to the rest.
            let message = format!("the request has more than {BODY_MAX} bytes");
            return Err(ApiError::new(ErrorCode::TooLarge, message).hint("a task definition may have up to 1 MiB"));
        }
        bytes.extend_from_slice(&chunk);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::response::IntoResponse as _;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    struct Outer {
        #[serde(default)]
        text: String,
        #[serde(default)]
        list: Vec<Outer>,
        #[serde(default)]
        map: BTreeMap<String, String>,
        #[serde(default)]
        maybe: Option<i64>,
    }

    #[tokio::test]
    async fn a_body_that_trickles_is_given_up() {
        let ticks = futures_util::stream::unfold(tokio::time::interval(Duration::from_millis(5)), |mut tick| async {
            tick.tick().await;
            Some((Ok::<_, std::convert::Infallible>("{"), tick))
        });
        let error = read(Body::from_stream(ticks), Duration::from_millis(100)).await.expect_err("it never ends");
        assert_eq!(error.into_response().status().as_u16(), 400);
        assert_eq!(read(Body::from("{}"), Duration::from_secs(60)).await.expect("it is there at once"), b"{}");
    }

    #[test]
    fn null_is_absent_at_every_depth() {
        let read = |text: &str| json::<Outer>(text.as_bytes());
        let nulls = r#"{"text": null, "list": null, "map": null, "maybe": null, "more": null}"#;
        assert_eq!(read(nulls).expect("read"), Outer::default());
        let inner = read(r#"{"text": "a", "list": [{"text": null, "map": {"k": "v", "gone": null}}]}"#).expect("read");
        assert_eq!(inner.list[0].map, BTreeMap::from([("k".to_owned(), "v".to_owned())]));
        assert!(read("null").is_err() && read(r#"{"list": [null]}"#).is_err(), "only members are left out");
        assert_eq!(
            read("{\n\"text\": 1}").expect_err("refused").to_string(),
            "invalid type: integer `1`, expected a string at line 2 column 9"
        );
        assert!(read(r#"{"text": null, "maybe": "x"}"#).is_err(), "another error is not hidden");
    }
}
