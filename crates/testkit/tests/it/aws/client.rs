//! A client without an SDK.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use layer0_testkit::aws::{FakeAws, FakeAwsConfig};
use layer0_testkit::until::until;
use serde_json::{Value, json};

/// A client and the fake that it talks to.
pub(crate) struct Client {
    pub(crate) aws: FakeAws,
    http: Http<HttpConnector, Full<Bytes>>,
}

/// An answer that is an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// An answer; `None`: the connection was closed without one.
type Raw = Option<(u16, String)>;

impl Client {
    pub(crate) async fn start(config: FakeAwsConfig) -> Self {
        let http = Http::builder(TokioExecutor::new()).build_http();
        Self { aws: FakeAws::start(config).await, http }
    }

    /// A fake with a cluster `c` and a log group `logs`.
    pub(crate) async fn with_cluster() -> Self {
        Self::with_cluster_and(FakeAwsConfig::default()).await
    }

    pub(crate) async fn with_cluster_and(config: FakeAwsConfig) -> Self {
        let client = Self::start(config).await;
        client.aws.cluster("c");
        client
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Raw {
        let mut request = Request::builder().method(Method::POST).uri(self.aws.endpoint());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("the headers are legal");
        let answer = self.http.request(request).await.ok()?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        Some((status, String::from_utf8(body.to_vec()).expect("answers are UTF-8")))
    }

    /// Calls a JSON service; `None` when there was no answer.
    pub(crate) async fn try_json(&self, target: &str, body: &Value) -> Option<Result<Value, Refusal>> {
        let headers = [("x-amz-target", target), ("authorization", &authorization("json"))];
        let (status, body) = self.send(&headers, body.to_string()).await?;
        let body: Value = serde_json::from_str(&body).expect("JSON services answer JSON");
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        Some(if status == 200 {
            Ok(body)
        } else {
            Err(Refusal { status, code: text("__type"), message: text("message") })
        })
    }

    async fn json(&self, prefix: &str, operation: &str, body: Value) -> Result<Value, Refusal> {
        self.try_json(&format!("{prefix}.{operation}"), &body).await.expect("an answer")
    }

    pub(crate) async fn ecs(&self, operation: &str, body: Value) -> Result<Value, Refusal> {
        self.json("AmazonEC2ContainerServiceV20141113", operation, body).await
    }

    pub(crate) async fn logs(&self, operation: &str, body: Value) -> Result<Value, Refusal> {
        self.json("Logs_20140328", operation, body).await
    }

    pub(crate) async fn organizations(&self, operation: &str, body: Value) -> Result<Value, Refusal> {
        self.json("AWSOrganizationsV20161128", operation, body).await
    }

    pub(crate) async fn ecr(&self, operation: &str, body: Value) -> Result<Value, Refusal> {
        self.json("AmazonEC2ContainerRegistry_V20150921", operation, body).await
    }

    /// Calls a service of a query protocol; gives the XML.
    pub(crate) async fn query(&self, version: &str, action: &str, form: &[(&str, &str)]) -> Result<String, Refusal> {
        let mut body = format!("Action={action}&Version={version}");
        for (key, value) in form {
            let escaped: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            body.push_str(&format!("&{key}={escaped}"));
        }
        let headers =
            [("content-type", "application/x-www-form-urlencoded"), ("authorization", &authorization("query"))];
        let (status, body) = self.send(&headers, body).await.expect("an answer");
        if status == 200 {
            return Ok(body);
        }
        let text = |name: &str| tag(&body, name).unwrap_or_default().to_owned();
        Err(Refusal { status, code: text("Code"), message: text("Message") })
    }

    pub(crate) async fn cloudformation(&self, action: &str, form: &[(&str, &str)]) -> Result<String, Refusal> {
        self.query("2010-05-15", action, form).await
    }

    /// Registers a Fargate definition of one container `main`; its ARN.
    pub(crate) async fn definition(&self, family: &str, image: &str) -> String {
        self.definition_with(family, json!({"name": "main", "image": image, "portMappings": [{"containerPort": 80}]}))
            .await
    }

    pub(crate) async fn definition_with(&self, family: &str, container: Value) -> String {
        let definition = json!({
            "family": family,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
            "containerDefinitions": [container],
        });
        let answer = self.ecs("RegisterTaskDefinition", definition).await.expect("a valid definition");
        answer["taskDefinition"]["taskDefinitionArn"].as_str().expect("an ARN").to_owned()
    }

    /// The service `name` of the cluster `c`.
    pub(crate) async fn service(&self, name: &str) -> Value {
        let answer = self.ecs("DescribeServices", json!({"cluster": "c", "services": [name]})).await;
        answer.expect("the cluster is there")["services"][0].clone()
    }

    /// Waits until a service is seen of which `holds` is true.
    pub(crate) async fn service_until(&self, what: &str, name: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(what, || async {
            let seen = self.service(name).await;
            if holds(&seen) { Ok(seen) } else { Err(format!("{seen:#}")) }
        })
        .await
    }

    /// Waits until a service's one deployment is complete.
    pub(crate) async fn completed(&self, name: &str) -> Value {
        self.service_until("the rollout to complete", name, |seen| {
            seen["deployments"].as_array().is_some_and(|all| all.len() == 1)
                && seen["deployments"][0]["rolloutState"] == "COMPLETED"
        })
        .await
    }

    /// Waits until a stack has a status.
    pub(crate) async fn stack_until(&self, name: &str, status: &str) {
        until(format!("stack {name} to be {status}"), || async {
            let seen = match self.cloudformation("DescribeStacks", &[("StackName", name)]).await {
                Ok(xml) => tag(&xml, "StackStatus").unwrap_or_default().to_owned(),
                Err(refusal) => format!("{refusal:?}"),
            };
            if seen == status { Ok(()) } else { Err(seen) }
        })
        .await;
    }
}

/// A signature of the right form.
fn authorization(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=00"
    )
}

/// Where tasks of these tests run.
pub(crate) fn network() -> Value {
    json!({"awsvpcConfiguration": {"subnets": ["subnet-private-a", "subnet-private-b"], "securityGroups": ["sg-default"]}})
}

/// The members of a CreateService call for the cluster `c`.
pub(crate) fn new_service(name: &str, definition: &str, count: u64) -> Value {
    json!({
        "cluster": "c",
        "serviceName": name,
        "taskDefinition": definition,
        "desiredCount": count,
        "launchType": "FARGATE",
        "networkConfiguration": network(),
    })
}

/// The text of the first element with this name.
pub(crate) fn tag<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    tags(xml, name).into_iter().next()
}

/// The texts of all elements with this name.
pub(crate) fn tags<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some((_, after)) = rest.split_once(&open) {
        let Some((text, after)) = after.split_once(&close) else { break };
        found.push(text);
        rest = after;
    }
    found
}

/// The messages of a service's events, the oldest first.
pub(crate) fn events(service: &Value) -> Vec<&str> {
    let events = service["events"].as_array().expect("a service has events");
    events.iter().rev().map(|event| event["message"].as_str().expect("an event has a text")).collect()
}
