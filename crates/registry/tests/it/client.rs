//! A small HTTP client and the content that the tests push.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use layer0_domain::model::digest::{Algorithm, Digest};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::common::TestRegistry;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

type Body = UnsyncBoxBody<Bytes, Infallible>;

pub(crate) struct Client {
    base: String,
    http: Hyper<HttpConnector, Body>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The status, and the code of the first error.
    pub(crate) fn error(&self) -> (u16, String) {
        let body = self.json();
        let first = &body["errors"][0];
        assert!(first["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        (self.status.as_u16(), first["code"].as_str().unwrap().to_owned())
    }

    pub(crate) fn message(&self) -> String {
        self.json()["errors"][0]["message"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }
}

/// Sends a body piece by piece; the body ends when it is dropped.
pub(crate) type Pieces = mpsc::Sender<Bytes>;

impl Client {
    pub(crate) fn of(registry: &TestRegistry) -> Self {
        Self::at(registry.address)
    }

    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { base: format!("http://{address}"), http: Hyper::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let (parts, body) = self.begin_answer(method, path, headers, body).await.into_parts();
        Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
    }

    async fn begin_answer(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.http.request(request.body(body).unwrap()).await.unwrap()
    }

    /// Begins to read: the head of the answer is here, its body comes as it is asked for.
    pub(crate) async fn begin_get(&self, path: &str) -> Response<Incoming> {
        self.begin_answer(Method::GET, path, &[], Full::new(Bytes::new()).boxed_unsync()).await
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.send(method, path, headers, Full::new(body.into()).boxed_unsync()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], "").await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.ask(Method::HEAD, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.ask(Method::POST, path, &[], "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.ask(Method::DELETE, path, &[], "").await
    }

    /// Begins an upload; answers its path.
    pub(crate) async fn begin(&self, repository: &str) -> String {
        let answer = self.post(&format!("/v2/{repository}/blobs/uploads/")).await.expect(202);
        answer.header("location").to_owned()
    }

    /// Pushes a blob in one request.
    pub(crate) async fn push(&self, repository: &str, content: impl Into<Bytes>) -> Digest {
        let content = content.into();
        let digest = Digest::sha256_of(&content);
        self.ask(Method::POST, &format!("/v2/{repository}/blobs/uploads/?digest={digest}"), &[], content)
            .await
            .expect(201);
        digest
    }

    pub(crate) async fn put_manifest(&self, repository: &str, reference: &str, manifest: &Value) -> Answer {
        let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
        self.ask(
            Method::PUT,
            &format!("/v2/{repository}/manifests/{reference}"),
            &[("content-type", &media_type)],
            manifest.to_string(),
        )
        .await
    }

    /// Pushes an image with one layer and a config for linux/amd64; answers its manifest.
    pub(crate) async fn push_image(&self, repository: &str, tag: &str, layer: &str) -> (Value, Digest) {
        let config = json!({ "os": "linux", "architecture": "amd64", "rootfs": { "type": "layers", "diff_ids": [] } })
            .to_string();
        self.push(repository, config.clone()).await;
        self.push(repository, layer.to_owned()).await;
        let manifest = image(&config, &[layer]);
        let answer = self.put_manifest(repository, tag, &manifest).await.expect(201);
        (manifest, Digest::parse(answer.header("docker-content-digest")).unwrap())
    }
}

/// A body that is sent as the test goes on.
pub(crate) fn pieces() -> (Pieces, Body) {
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let frames = stream::unfold(receiver, |mut receiver| async move {
        let piece = receiver.recv().await?;
        Some((Ok::<_, Infallible>(http_body::Frame::data(piece)), receiver))
    });
    (sender, StreamBody::new(frames).boxed_unsync())
}

pub(crate) fn descriptor(media_type: &str, content: &str) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::sha256_of(content.as_bytes()).to_string(), "size": content.len() })
}

pub(crate) fn image(config: &str, layers: &[&str]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
    json!({ "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(CONFIG, config), "layers": layers })
}

pub(crate) fn index(children: Vec<Value>) -> Value {
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children })
}

pub(crate) fn digest_by(algorithm: Algorithm, content: &[u8]) -> Digest {
    algorithm.digest_of(content)
}

/// Bytes that no two places of which are alike.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}
