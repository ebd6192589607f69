//! What the tests share: requests as they go over the wire, and the entities that they work with.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt;
use layer0_api::client::{Client, ClientError, Followed};
use layer0_api::error::ErrorBody;
use layer0_api::types as wire;
use layer0_server::testing::TestApp;
use layer0_testkit::until::{ends, until};
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A client that sends what it is told.
pub(crate) struct Raw {
    http: reqwest::Client,
    endpoint: String,
    auth: Option<String>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {} {}", self.status, self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// The error of an answer that is one, with the status that belongs to its code.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> ErrorBody {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        let body: ErrorBody = serde_json::from_slice(&self.body).unwrap_or_else(|why| panic!("{why}: {}", self.text()));
        assert!(!body.message.is_empty() && !body.message.ends_with('\n'), "{body:?}");
        body
    }
}

impl Raw {
    /// Signed in as the admin.
    pub(crate) fn of(app: &TestApp) -> Self {
        Self::with(app, Some(format!("Basic {}", app.auth())))
    }

    /// With another `Authorization`, or none.
    pub(crate) fn with(app: &TestApp, auth: Option<String>) -> Self {
        // The typed client sees to the TLS provider, without which there is no client.
        drop(app.client());
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60));
        // No TLS is spoken; without this the machine's certificates are loaded for each client.
        let http = http.danger_accept_invalid_certs(true).build();
        Self { http: http.expect("a client can be made"), endpoint: app.endpoint(), auth }
    }

    /// The same connections with another `Authorization`.
    pub(crate) fn as_(&self, auth: Option<&str>) -> Self {
        Self { http: self.http.clone(), endpoint: self.endpoint.clone(), auth: auth.map(str::to_owned) }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.endpoint)).body(body);
        if let Some(auth) = &self.auth {
            request = request.header("authorization", auth);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await.expect("the server answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Answer { status, headers, body: answer.bytes().await.expect("an answer is sent whole") }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[], body.to_string()).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, &[], body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, &[], body.to_string()).await
    }

    /// Pushes an image of one layer; answers its digest.
    pub(crate) async fn push(&self, repository: &str, tag: &str, architecture: &str, word: &str) -> String {
        let config = json!({"architecture": architecture, "os": "linux", "config": {}, "word": word,
            "rootfs": {"type": "layers", "diff_ids": []}});
        let config = self.push_blob(repository, config.to_string()).await;
        let layer = self.push_blob(repository, format!("layer {word}")).await;
        let blob = |media_type: &str, (digest, size): &(String, usize)| json!({"mediaType": media_type, "digest": digest, "size": size});
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": blob("application/vnd.oci.image.config.v1+json", &config),
            "layers": [blob("application/vnd.oci.image.layer.v1.tar", &layer)],
        })
        .to_string();
        let path = format!("/v2/{repository}/manifests/{tag}");
        let answer = self.send(Method::PUT, &path, &[("content-type", MANIFEST)], manifest.clone()).await.expect(201);
        assert_eq!(answer.header("docker-content-digest"), digest(manifest.as_bytes()));
        digest(manifest.as_bytes())
    }

    pub(crate) async fn push_blob(&self, repository: &str, content: String) -> (String, usize) {
        let (digest, size) = (digest(content.as_bytes()), content.len());
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        self.send(Method::POST, &path, &[], content).await.expect(201);
        (digest, size)
    }
}

pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub(crate) fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

pub(crate) fn basic(user: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))
}

/// Follows an operation to its end through server-sent events, across restarts of the server.
pub(crate) async fn followed(client: &Client, id: &str) -> (Vec<wire::OperationEvent>, wire::Operation) {
    let mut events: Vec<wire::OperationEvent> = Vec::new();
    let follow = async {
        loop {
            let after = events.last().map_or(0, |event| event.sequence);
            let stream = until(format!("a stream of operation {id}"), || async {
                client.operation_follow(id, after).await.map_err(|why| why.to_string())
            });
            let mut stream = stream.await;
            while let Some(Ok(next)) = stream.next().await {
                match next {
                    Followed::Event(event) => events.push(event),
                    Followed::End(operation) => return operation,
                }
            }
        }
    };
    let operation = ends(format!("the end of operation {id}"), follow).await;
    let sequences: Vec<u64> = events.iter().map(|event| event.sequence).collect();
    let wanted: Vec<u64> = (1..=events.len() as u64).collect();
    assert_eq!(sequences, wanted, "events are told once each, in order");
    (events, operation)
}

/// Follows what was accepted to its end, whichever that is.
pub(crate) async fn end_of(client: &Client, accepted: &wire::CreateEntityResponse) -> wire::Operation {
    let id = accepted.operation_id.as_ref().expect("a change has an operation");
    followed(client, id).await.1
}

/// Follows what was accepted to its success; answers the entity's id.
pub(crate) async fn done(client: &Client, accepted: Result<wire::CreateEntityResponse, ClientError>) -> String {
    let accepted = accepted.expect("the request is accepted");
    let end = end_of(client, &accepted).await;
    assert_eq!(end.state, "succeeded", "{end:?}");
    assert!(end.cause.is_none() && !end.ended.is_empty(), "{end:?}");
    accepted.entity_id
}

/// The refusal of a request that must be refused.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> (u16, ErrorBody) {
    match answer {
        Err(ClientError::Refused { status, body }) => (status, *body),
        other => panic!("it was to be refused: {other:?}"),
    }
}

pub(crate) fn new_environment(name: &str) -> wire::CreateEnvironmentRequest {
    wire::CreateEnvironmentRequest {
        environment_name: name.to_owned(),
        operating_system: "linux".to_owned(),
        ..Default::default()
    }
}

pub(crate) async fn environment(client: &Client, name: &str) -> String {
    done(client, client.environment_create(&new_environment(name)).await).await
}

/// A task definition with one container `app` that maps port 80.
pub(crate) fn definition(image: &str, variables: &[(&str, &str)]) -> Value {
    let variables: Vec<Value> = variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    json!({"containerDefinitions": [{"name": "app", "image": image, "memory": 64, "essential": true,
        "portMappings": [{"containerPort": 80}], "environment": variables}]})
}

pub(crate) fn new_deploy(name: &str, document: impl AsRef<[u8]>) -> wire::CreateDeployRequest {
    wire::CreateDeployRequest { deploy_name: name.to_owned(), deploy_file: STANDARD.encode(document), owner_name: None }
}

/// A deploy of an image from outside, whose container does what the variables say.
pub(crate) async fn deploy(client: &Client, name: &str, variables: &[(&str, &str)]) -> String {
    deploy_of(client, name, "app:1", variables).await
}

pub(crate) async fn deploy_of(client: &Client, name: &str, image: &str, variables: &[(&str, &str)]) -> String {
    let document = definition(image, variables).to_string();
    client.deploy_create(&new_deploy(name, document)).await.expect("a legal deploy").entity_id
}

pub(crate) fn new_service(name: &str, environment: &str, deploy: &str, scale: i64) -> wire::CreateServiceRequest {
    wire::CreateServiceRequest {
        service_name: name.to_owned(),
        environment_id: environment.to_owned(),
        deploy_id: deploy.to_owned(),
        scale: Some(scale),
        ..Default::default()
    }
}

pub(crate) async fn service(client: &Client, name: &str, environment: &str, deploy: &str, scale: i64) -> String {
    done(client, client.service_create(&new_service(name, environment, deploy, scale)).await).await
}

pub(crate) fn to_deploy(deploy: &str) -> wire::UpdateServiceRequest {
    wire::UpdateServiceRequest { deploy_id: Some(deploy.to_owned()), ..wire::UpdateServiceRequest::default() }
}

pub(crate) fn to_scale(scale: i64) -> wire::UpdateServiceRequest {
    wire::UpdateServiceRequest { scale: Some(scale), ..wire::UpdateServiceRequest::default() }
}

pub(crate) fn new_task(name: &str, environment: &str, deploy: &str) -> wire::CreateTaskRequest {
    wire::CreateTaskRequest {
        task_name: name.to_owned(),
        environment_id: environment.to_owned(),
        deploy_id: deploy.to_owned(),
        ..Default::default()
    }
}

pub(crate) fn port(host_port: i64) -> wire::Port {
    wire::Port { host_port, container_port: 80, protocol: "http".to_owned(), ..wire::Port::default() }
}

pub(crate) fn new_load_balancer(name: &str, environment: &str, ports: &[i64]) -> wire::CreateLoadBalancerRequest {
    wire::CreateLoadBalancerRequest {
        load_balancer_name: name.to_owned(),
        environment_id: environment.to_owned(),
        is_public: true,
        ports: ports.iter().map(|number| port(*number)).collect(),
        ..Default::default()
    }
}

pub(crate) async fn load_balancer(client: &Client, name: &str, environment: &str, ports: &[i64]) -> String {
    done(client, client.load_balancer_create(&new_load_balancer(name, environment, ports)).await).await
}
