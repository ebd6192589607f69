//! The wire of the predecessor's line R, with the mends: what its clients read and write works here unchanged.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layer0_server::testing::TestApp;
use serde_json::{Value, json};

use crate::support::{Raw, definition, environment, followed};

mod documents;
mod errors;
mod registry;
mod tags;

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Text,
    Number,
    Truth,
    List,
    Object,
}

use Is::{List, Number, Object, Text, Truth};

/// Every field of a model is there and of its type. Fields of our own may be there too.
#[track_caller]
fn has(model: &str, value: &Value, fields: &[(&str, Is)]) {
    let object = value.as_object().unwrap_or_else(|| panic!("{model} is no object: {value}"));
    for (name, is) in fields {
        let found = object.get(*name).unwrap_or_else(|| panic!("{model} has no {name}: {value}"));
        let right = match is {
            Text => found.is_string(),
            Number => found.is_i64() || found.is_u64(),
            Truth => found.is_boolean(),
            List => found.is_array(),
            Object => found.is_object(),
        };
        assert!(right, "{model}.{name} is not {is:?}: {found}");
    }
}

const PORT: &[(&str, Is)] =
    &[("certificate_arn", Text), ("container_port", Number), ("host_port", Number), ("protocol", Text)];
const HEALTH_CHECK: &[(&str, Is)] = &[
    ("target", Text),
    ("path", Text),
    ("interval", Number),
    ("timeout", Number),
    ("healthy_threshold", Number),
    ("unhealthy_threshold", Number),
];

/// One of each entity, made with the predecessor's requests, word for word; answers their ids.
async fn everything(app: &TestApp, raw: &Raw) -> BTreeMap<&'static str, String> {
    let client = app.client();
    let mut ids = BTreeMap::new();
    let make = async |path: &str, body: Value| {
        let made = raw.post(path, &body).await.expect(201);
        assert_eq!(made.header("content-type"), "application/json");
        let made = made.json();
        has("CreateEntityResponse", &made, &[("entity_id", Text)]);
        if let Some(operation) = made["operation_id"].as_str() {
            let (_, end) = followed(&client, operation).await;
            assert_eq!(end.state, "succeeded", "{end:?}");
        }
        made["entity_id"].as_str().expect("it is text").to_owned()
    };
    let environment = make(
        "/environment",
        json!({"environment_name": "dev", "operating_system": "linux", "scale": 0, "instance_type": "t2.small",
            "user_data_template": "", "ami_id": "ami-1"}),
    )
    .await;
    let load_balancer = make(
        "/loadbalancer",
        json!({"load_balancer_name": "front", "load_balancer_type": "application", "environment_id": environment,
            "is_public": true, "idle_timeout": 60,
            "ports": [{"certificate_arn": "", "container_port": 80, "host_port": 8080, "protocol": "http"}],
            "health_check": {"target": "TCP:80", "path": "/", "interval": 30, "timeout": 5, "healthy_threshold": 2,
                "unhealthy_threshold": 2}}),
    )
    .await;
    let file = STANDARD.encode(definition("app:1", &[]).to_string());
    let deploy = make("/deploy", json!({"deploy_name": "web", "deploy_file": file})).await;
    let service = make(
        "/service",
        json!({"deploy_id": deploy, "environment_id": environment, "load_balancer_id": load_balancer, "scale": 2,
            "service_name": "web", "stateful": false}),
    )
    .await;
    let task = make(
        "/task",
        json!({"container_overrides": [{"container_name": "app", "environment_overrides": {"A": "b"}}],
            "deploy_id": deploy, "environment_id": environment, "task_name": "once", "stateful": false}),
    )
    .await;
    for (kind, id) in [
        ("environment", environment),
        ("loadbalancer", load_balancer),
        ("deploy", deploy),
        ("service", service),
        ("task", task),
    ] {
        ids.insert(kind, id);
    }
    ids
}

/// Section 1.3 of the predecessor's API: every field of every model, read back as its clients do.
#[tokio::test]
async fn every_model_has_its_fields() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let ids = everything(&app, &raw).await;
    let get = async |path: String| raw.get(&path).await.expect(200).json();
    let one = async |kind: &str| get(format!("/{kind}/{}", ids[kind])).await;

    let config = get("/admin/config".to_owned()).await;
    let fields =
        [("instance", Text), ("vpc_id", Text), ("version", Text), ("public_subnets", List), ("private_subnets", List)];
    has("APIConfig", &config, &fields);
    assert_eq!(config["instance"], "test");

    let summary = [("compatibilities", List), ("deploy_id", Text), ("deploy_name", Text), ("version", Text)];
    let deploy = one("deploy").await;
    has("Deploy", &deploy, &summary);
    has("Deploy", &deploy, &[("deploy_file", Text)]);
    assert_eq!((deploy["deploy_id"].as_str(), deploy["version"].as_str()), (Some("web.1"), Some("1")));
    let listed = &get("/deploy".to_owned()).await[0];
    has("DeploySummary", listed, &summary);
    assert!(listed.get("deploy_file").is_none(), "a summary is the deploy without its file");

    let summary = [("environment_id", Text), ("environment_name", Text), ("operating_system", Text)];
    let environment = one("environment").await;
    has("Environment", &environment, &summary);
    let more = [
        ("current_size", Number),
        ("desired_size", Number),
        ("instance_type", Text),
        ("security_group_id", Text),
        ("ami_id", Text),
        ("links", List),
    ];
    has("Environment", &environment, &more);
    assert_eq!(
        (environment["ami_id"].as_str(), environment["instance_type"].as_str()),
        (Some("ami-1"), Some("t2.small"))
    );
    has("EnvironmentSummary", &get("/environment".to_owned()).await[0], &summary);

    let summary = [
        ("load_balancer_id", Text),
        ("load_balancer_name", Text),
        ("load_balancer_type", Text),
        ("environment_id", Text),
        ("environment_name", Text),
    ];
    let balancer = one("loadbalancer").await;
    has("LoadBalancer", &balancer, &summary);
    let more = [
        ("health_check", Object),
        ("idle_timeout", Number),
        ("is_public", Truth),
        ("load_balancer_arn", Text),
        ("ports", List),
        ("service_id", Text),
        ("service_name", Text),
        ("url", Text),
    ];
    has("LoadBalancer", &balancer, &more);
    has("Port", &balancer["ports"][0], PORT);
    has("HealthCheck", &balancer["health_check"], HEALTH_CHECK);
    assert_eq!(
        (balancer["service_id"].as_str(), balancer["service_name"].as_str()),
        (Some(ids["service"].as_str()), Some("web"))
    );
    assert!(balancer["url"].as_str().is_some_and(|url| url.starts_with("http://") && url.contains(":8080")));
    has("LoadBalancerSummary", &get("/loadbalancer".to_owned()).await[0], &summary);

    let summary = [("service_id", Text), ("service_name", Text), ("environment_id", Text), ("environment_name", Text)];
    let service = one("service").await;
    has("Service", &service, &summary);
    let more = [
        ("deployments", List),
        ("desired_count", Number),
        ("load_balancer_id", Text),
        ("load_balancer_name", Text),
        ("pending_count", Number),
        ("running_count", Number),
        ("stateful", Truth),
    ];
    has("Service", &service, &more);
    let fields = [
        ("created", Text),
        ("deploy_id", Text),
        ("deploy_name", Text),
        ("deploy_version", Text),
        ("desired_count", Number),
        ("pending_count", Number),
        ("running_count", Number),
        ("status", Text),
        ("updated", Text),
    ];
    let deployment = &service["deployments"][0];
    has("Deployment", deployment, &fields);
    assert_eq!((service["running_count"].as_i64(), service["desired_count"].as_i64()), (Some(2), Some(2)));
    assert_eq!((deployment["status"].as_str(), deployment["running_count"].as_i64()), (Some("PRIMARY"), Some(2)));
    assert_eq!(
        (service["environment_name"].as_str(), service["load_balancer_name"].as_str()),
        (Some("dev"), Some("front"))
    );
    has("ServiceSummary", &get("/service".to_owned()).await[0], &summary);

    let summary = [("task_id", Text), ("task_name", Text), ("environment_id", Text), ("environment_name", Text)];
    let task = one("task").await;
    has("Task", &task, &summary);
    let more = [
        ("containers", List),
        ("deploy_id", Text),
        ("deploy_name", Text),
        ("deploy_version", Text),
        ("status", Text),
        ("stateful", Truth),
    ];
    has("Task", &task, &more);
    let fields = [("container_name", Text), ("status", Text), ("exit_code", Number), ("meta", Text)];
    has("Container", &task["containers"][0], &fields);
    assert_eq!((task["status"].as_str(), task["deploy_id"].as_str()), (Some("STOPPED"), Some("web.1")));
    has("TaskSummary", &get("/task".to_owned()).await[0], &summary);

    for kind in ["service", "task", "environment"] {
        let files = get(format!("/{kind}/{}/logs", ids[kind])).await;
        has("LogFile", &files[0], &[("container_name", Text), ("lines", List)]);
    }
    has("LogFile", &get("/admin/logs".to_owned()).await[0], &[("container_name", Text), ("lines", List)]);
    let fields = [("entity_id", Text), ("entity_type", Text), ("key", Text), ("value", Text)];
    for tag in get("/tag".to_owned()).await.as_array().expect("a list") {
        has("Tag", tag, &fields);
    }
    has("ServerError", &raw.get("/service/none").await.expect(404).json(), &[("error_code", Text), ("message", Text)]);
}

/// Deletes and changes are accepted (202) with the operation that carries them out; a deploy goes at once.
#[tokio::test]
async fn changes_and_deletes_answer_with_their_operation() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let ids = everything(&app, &raw).await;
    let other = environment(&client, "other").await;
    for (kind, change) in [
        ("environment", json!({"links": [other]})),
        ("environment", json!({"links": []})),
        ("environment", json!({"scale": 1})),
        ("loadbalancer", json!({"idle_timeout": 90})),
        ("service", json!({"scale": 1})),
        ("service", json!({"deploy_id": "web.1"})),
    ] {
        let answer = raw.patch(&format!("/{kind}/{}", ids[kind]), &change).await.expect(202).json();
        let (_, end) = followed(&client, answer["operation_id"].as_str().expect("an operation")).await;
        assert_eq!(end.state, "succeeded", "{kind} {change}: {end:?}");
    }
    let environment = raw.get(&format!("/environment/{}", ids["environment"])).await.expect(200).json();
    assert_eq!((environment["desired_size"].as_i64(), &environment["links"]), (Some(1), &json!([])));
    for kind in ["task", "service", "loadbalancer", "environment"] {
        let path = format!("/{kind}/{}", ids[kind]);
        let answer = raw.delete(&path).await.expect(202).json();
        let (_, end) = followed(&client, answer["operation_id"].as_str().expect("an operation")).await;
        assert_eq!((end.state.as_str(), end.verb.as_str()), ("succeeded", "delete"), "{end:?}");
        raw.get(&path).await.expect(404);
        raw.delete(&path).await.expect(404);
    }
    raw.delete("/deploy/web.1").await.expect(200);
    raw.get("/deploy/web.1").await.expect(404);
}
