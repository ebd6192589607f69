//! The wire of the predecessor's line R, with the mends: what its clients read and write works here unchanged.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layer0_server::testing::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Raw, definition, done, environment, followed, service};

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

/// What isn't there is 404 with the code of its kind, whatever its id looks like, on every route that names one.
#[tokio::test]
async fn what_is_missing_is_said_to_be() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let long = "x".repeat(300);
    for id in ["none", "a%20b", "w%C3%A9b", "..%2F..", "a:b", long.as_str()] {
        for (kind, code) in [
            ("deploy", "DeployDoesNotExist"),
            ("environment", "EnvironmentDoesNotExist"),
            ("loadbalancer", "LoadBalancerDoesNotExist"),
            ("service", "ServiceDoesNotExist"),
            ("task", "TaskDoesNotExist"),
            ("operation", "OperationDoesNotExist"),
        ] {
            let path = format!("/{kind}/{id}");
            assert_eq!(raw.get(&path).await.error(404).error_code, code, "GET {path}");
            if kind != "operation" {
                assert_eq!(raw.delete(&path).await.error(404).error_code, code, "DELETE {path}");
            }
            if ["environment", "loadbalancer", "service"].contains(&kind) {
                let change = if kind == "loadbalancer" { json!({"idle_timeout": 5}) } else { json!({"scale": 1}) };
                assert_eq!(raw.patch(&path, &change).await.error(404).error_code, code, "PATCH {path}");
            }
            if ["environment", "service", "task"].contains(&kind) {
                assert_eq!(raw.get(&format!("{path}/logs")).await.error(404).error_code, code, "{path}/logs");
            }
        }
        for follow in ["events", "log"] {
            raw.get(&format!("/operation/{id}/{follow}")).await.error(404);
        }
        raw.post(&format!("/task/{id}/stop"), &json!({})).await.error(404);
    }
    // What a request names, too: 404 with the kind that is missing, and nothing is made.
    let env = environment(&client, "dev").await;
    for (path, body, code) in [
        (
            "/service",
            json!({"service_name": "a", "environment_id": "none", "deploy_id": "none.1", "scale": 1}),
            "EnvironmentDoesNotExist",
        ),
        (
            "/service",
            json!({"service_name": "a", "environment_id": env, "deploy_id": "none.1", "scale": 1}),
            "DeployDoesNotExist",
        ),
        (
            "/task",
            json!({"task_name": "a", "environment_id": "none", "deploy_id": "none.1"}),
            "EnvironmentDoesNotExist",
        ),
        ("/task", json!({"task_name": "a", "environment_id": env, "deploy_id": "none.1"}), "DeployDoesNotExist"),
        (
            "/loadbalancer",
            json!({"load_balancer_name": "a", "environment_id": "none", "load_balancer_type": "application"}),
            "EnvironmentDoesNotExist",
        ),
    ] {
        assert_eq!(raw.post(path, &body).await.error(404).error_code, code, "{path} {body}");
    }
    for path in ["/service", "/task", "/loadbalancer"] {
        assert_eq!(raw.get(path).await.expect(200).json(), json!([]), "an empty list is empty");
    }
    let links = raw.patch(&format!("/environment/{env}"), &json!({"links": ["none"]})).await;
    assert_eq!(links.error(404).error_code, "EnvironmentDoesNotExist");
}

/// 404 for a route, 405 for a method, in the form of every error; a slash at the end is no difference.
#[tokio::test]
async fn routes_and_methods_are_told_apart() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    for path in ["/services", "/service/a/b/c", "/admin", "/operation/a/b"] {
        let error = raw.get(path).await.error(404);
        assert_eq!(error.error_code, "RouteDoesNotExist", "{path}");
        assert!(error.hint.is_some_and(|hint| hint.contains("/openapi.json")));
    }
    for (method, path) in [(Method::PUT, "/service"), (Method::PATCH, "/deploy/x"), (Method::POST, "/health")] {
        let answer = raw.send(method.clone(), path, &[], "").await;
        assert_eq!(answer.error(405).error_code, "MethodNotAllowed", "{method} {path}");
        // RFC 9110, section 15.5.6.
        assert!(!answer.header("allow").is_empty(), "{method} {path} does not say what is allowed");
    }
    for path in ["/service", "/deploy", "/environment", "/tag", "/admin/config", "/repository", "/repository/team"] {
        let plain = raw.get(path).await.expect(200).body;
        assert_eq!(raw.get(&format!("{path}/")).await.expect(200).body, plain, "{path}/");
    }
    raw.get("/tag/?type=service").await.expect(200);
    assert_eq!(raw.get("/service/none/").await.error(404).error_code, "ServiceDoesNotExist");
}

/// `/health` is open, answers `""`, and does not need store or engine.
#[tokio::test]
async fn health_is_open_and_needs_nobody() {
    let app = TestApp::start().await;
    let anyone = Raw::with(&app, None);
    app.fake().freeze();
    app.store().close().await;
    let answer = anyone.get("/health").await.expect(200);
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("\"\"", "application/json"));
    assert!(!answer.header("version").is_empty(), "every answer names the version");
    // The store can't answer: that is said, and as no defect of the client's.
    let raw = Raw::of(&app);
    assert_eq!(raw.get("/service").await.error(503).error_code, "StoreUnavailable");
    assert_eq!(raw.get("/v2/").await.status, 503, "nobody is let into the registry on a guess");
    let mut app = app;
    app.leftovers_allowed();
}

/// Create accepts the task definition as ECS spells it; read answers PascalCase with explicit nulls, as the SDK's struct
/// came out of the predecessor.
#[tokio::test]
async fn a_deploy_file_reads_back_in_pascal_case() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let document = json!({"AWSEBDockerrunVersion": 2, "family": "web", "containerDefinitions": [{"name": "app",
        "image": "app:1", "memory": "64", "portMappings": [{"containerPort": 80}],
        "environment": [{"name": "lower_case", "value": "x"}], "dockerLabels": {"some.label": "y"}}]});
    let request = json!({"deploy_name": "web", "deploy_file": STANDARD.encode(document.to_string())});
    let made = raw.post("/deploy", &request).await.expect(201).json();
    assert!(made.get("warnings").is_none(), "`AWSEBDockerrunVersion` is nothing to warn of: {made}");
    let read = raw.get("/deploy/web.1").await.expect(200).json();
    let file = STANDARD.decode(read["deploy_file"].as_str().expect("text")).expect("base64");
    let file: Value = serde_json::from_slice(&file).expect("JSON");
    let container = &file["ContainerDefinitions"][0];
    assert_eq!((file["Family"].as_str(), container["Image"].as_str()), (Some("web"), Some("app:1")));
    assert_eq!(container["Memory"], 64, "a number, however it was written");
    assert_eq!(container["PortMappings"][0]["ContainerPort"], 80);
    assert_eq!(container["Environment"][0], json!({"Name": "lower_case", "Value": "x"}));
    assert_eq!(container["DockerLabels"], json!({"some.label": "y"}), "keys of the user's own stay as they are");
    let nulls = ["Cpu", "TaskRoleArn", "NetworkMode", "Volumes"].map(|key| file.get(key).is_some_and(Value::is_null));
    assert_eq!(nulls, [true; 4], "what was not given is an explicit null: {file}");
    // What was read is accepted again.
    let again = json!({"deploy_name": "web", "deploy_file": read["deploy_file"]});
    assert_eq!(raw.post("/deploy", &again).await.expect(201).json()["entity_id"], "web.2");
    let second = raw.get("/deploy/web.2").await.expect(200).json();
    assert_eq!(second["deploy_file"], read["deploy_file"], "reading and writing comes to rest");
}

/// The predecessor's requests for what it had no body for, and without a content type.
#[tokio::test]
async fn bodies_are_read_whatever_the_client_calls_them() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let body = json!({"environment_name": "dev", "operating_system": "linux"}).to_string();
    let made = raw.send(Method::POST, "/environment", &[("content-type", "text/plain")], body).await.expect(201).json();
    followed(&client, made["operation_id"].as_str().expect("an operation")).await;
    for (body, status) in [("", 422), ("{}", 422), ("{", 400), ("null", 400), ("{\"environment_name\": 5}", 400)] {
        raw.send(Method::POST, "/environment", &[], body).await.error(status);
    }
    // A field that a newer client sends is no reason to refuse.
    let body = json!({"environment_name": "two", "operating_system": "linux", "of_tomorrow": true});
    let made = raw.post("/environment", &body).await.expect(201).json();
    followed(&client, made["operation_id"].as_str().expect("an operation")).await;
}

/// Errors of log queries, and what the queries choose.
#[tokio::test]
async fn log_queries_choose_lines_or_say_what_is_wrong() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let env = environment(&client, "dev").await;
    let deploy = crate::support::deploy(&client, "web", &[("FAKE_LOG", "one\ntwo\nthree")]).await;
    let id = service(&client, "web", &env, &deploy, 2).await;
    for path in [format!("/service/{id}/logs"), "/admin/logs".to_owned(), format!("/environment/{env}/logs")] {
        for (query, message) in [
            ("tail=x", "Tail must be an integer"),
            ("tail=1.5", "Tail must be an integer"),
            ("start=yesterday", "Invalid time: start must be in format YYYY-MM-DD HH:MM"),
            ("end=2024-01-01", "Invalid time: end must be in format YYYY-MM-DD HH:MM"),
            ("end=2024-13-01%2000:00", "Invalid time: end must be in format YYYY-MM-DD HH:MM"),
        ] {
            assert_eq!(raw.get(&format!("{path}?{query}")).await.error(400).message, message, "{path}?{query}");
        }
    }
    let lines = async |query: &str| -> Vec<Vec<String>> {
        let files = raw.get(&format!("/service/{id}/logs{query}")).await.expect(200).json();
        let files = files.as_array().expect("a list").clone();
        let lines = |file: &Value| serde_json::from_value(file["lines"].clone()).expect("lines are text");
        files.iter().map(lines).collect()
    };
    let all = vec![vec!["one".to_owned(), "two".to_owned(), "three".to_owned()]; 2];
    assert_eq!(lines("").await, all, "a file for each copy's container");
    assert_eq!(lines("?tail=0").await, all, "a tail of 0 is none");
    assert_eq!(lines("?tail=2").await, vec![vec!["two".to_owned(), "three".to_owned()]; 2], "the newest lines");
    assert_eq!(lines("?end=2001-01-01%2000:00").await, Vec::<Vec<String>>::new());
    assert_eq!(lines("?start=2001-01-01%2000:00&end=2999-01-01%2000:00").await, all);
    assert_eq!(lines("?start=2999-01-01%2000:00").await, Vec::<Vec<String>>::new());
}

/// The routes and fields of d.ims.io.
#[tokio::test]
async fn repositories_and_images_as_the_older_registry_front_had_them() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let create = async |body: Value| raw.post("/repository/team", &body).await;
    assert_eq!(raw.get("/repository").await.expect(200).json(), json!({"repositories": []}));
    let made = create(json!({"name": "app"})).await.expect(201).json();
    has(
        "Repository",
        &made,
        &[("owner", Text), ("name", Text), ("created_at", Text), ("uri", Text), ("backing_uri", Text)],
    );
    assert_eq!(made["backing_uri"], format!("{}/team/app", app.registry_address()));
    assert_eq!(made["uri"], "registry.layer0.test/team/app");
    create(json!({"name": "deep/er"})).await.expect(201);
    raw.post("/repository/other", &json!({"name": "app"})).await.expect(201);
    assert_eq!(create(json!({"name": "app"})).await.error(409).error_code, "NameTaken");
    assert_eq!(create(json!({})).await.error(422).message, "Field 'name' is required");
    for bad in ["App", "a b", "a//b", "..", "-a", "ü"] {
        create(json!({"name": bad})).await.error(422);
    }
    let all = json!({"repositories": ["other/app", "team/app", "team/deep/er"]});
    assert_eq!(raw.get("/repository").await.expect(200).json(), all);
    assert_eq!(raw.get("/repository/team").await.expect(200).json(), json!({"repositories": ["app", "deep/er"]}));
    assert_eq!(raw.get("/repository/nobody").await.expect(200).json(), json!({"repositories": []}));
    let got = raw.get("/repository/team/deep/er").await.expect(200).json();
    assert_eq!((got["owner"].as_str(), got["name"].as_str()), (Some("team"), Some("deep/er")));

    let digest = raw.push("team/app", "v1", "amd64", "one").await;
    raw.push("team/app", "v2", "amd64", "two").await;
    assert_eq!(raw.get("/repository/team/app/image").await.expect(200).json(), json!({"images": ["v1", "v2"]}));
    for reference in ["v1", digest.as_str()] {
        let image = raw.get(&format!("/repository/team/app/image/{reference}")).await.expect(200).json();
        has("Image", &image, &[("digest", Text), ("size", Text), ("pushed_at", Text)]);
        assert_eq!((image["digest"].as_str(), image["size"].as_str()), (Some(digest.as_str()), Some("1MB")));
        assert_eq!(image["platforms"], json!(["linux/amd64"]));
    }
    let missing = raw.get("/repository/team/app/image/v3").await.error(404);
    assert_eq!(missing.error_code, "ImageDoesNotExist");
    assert_eq!(raw.get("/repository/team/none/image/v3").await.error(404).error_code, "RepositoryDoesNotExist");
    let gone = raw.delete("/repository/team/app/image/v2").await.expect(200).json();
    assert_eq!(gone, "Image 'team/app:v2' successfully deleted.");
    raw.delete("/repository/team/app/image/v2").await.error(404);
    let held = raw.delete("/repository/team/app").await.error(409);
    assert_eq!(held.error_code, "DependencyError");
    assert!(held.hint.is_some_and(|hint| hint.contains("--force")));
    raw.delete("/repository/team/app?force=true").await.expect(200);
    assert_eq!(raw.get("/repository/team/app").await.error(404).error_code, "RepositoryDoesNotExist");
    raw.delete("/repository/team/deep/er").await.expect(200);
}

/// A push to a repository that is not there is refused with the command that makes it.
#[tokio::test]
async fn a_push_names_the_command_that_makes_its_repository() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let answer = raw.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert_eq!(answer.json()["errors"][0]["code"], "NAME_UNKNOWN");
    assert!(answer.text().contains("l0 repository create team/app"), "{}", answer.text());
    let options = layer0_server::testing::TestOptions { create_on_push: true, ..Default::default() };
    let app = TestApp::with(options).await;
    let raw = Raw::of(&app);
    raw.push("team/app", "1", "amd64", "x").await;
    assert_eq!(raw.get("/repository").await.expect(200).json(), json!({"repositories": ["team/app"]}));
}

/// Section 1.4: the filters of `/tag`, one by one and together.
#[tokio::test]
async fn tags_are_filtered_by_entity() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let dev = environment(&client, "dev").await;
    let prod = environment(&client, "prod").await;
    for name in ["web", "web", "web", "worker", "worker"] {
        crate::support::deploy(&client, name, &[]).await;
    }
    let mut services = BTreeMap::new();
    for (env, name, key) in [(&dev, "web", "dev:web"), (&prod, "web", "prod:web"), (&prod, "api", "prod:api")] {
        services.insert(key, service(&client, name, env, "web.1", 0).await);
    }
    let balancer = crate::support::load_balancer(&client, "front", &prod, &[8080]).await;
    let task = done(&client, client.task_create(&crate::support::new_task("web", &dev, "worker.2")).await).await;
    let custom = json!({"entity_id": services["prod:web"], "entity_type": "service", "key": "team", "value": "blue"});
    assert_eq!(raw.post("/tag", &custom).await.expect(201).json(), custom);

    let find = async |query: &str| {
        let tags = raw.get(&format!("/tag?{query}")).await.expect(200).json();
        let mut ids: Vec<String> = tags
            .as_array()
            .expect("a list")
            .iter()
            .map(|tag| tag["entity_id"].as_str().expect("text").to_owned())
            .collect();
        ids.dedup();
        ids.sort();
        ids
    };
    let sorted = |ids: &[&str]| {
        let mut ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        ids.sort();
        ids
    };
    let s = |key: &str| services[key].as_str();
    let deploys = ["web.1", "web.2", "web.3", "worker.1", "worker.2"];
    for (query, wanted) in [
        ("type=deploy", deploys.to_vec()),
        ("type=environment", vec![dev.as_str(), prod.as_str()]),
        ("type=load_balancer", vec![balancer.as_str()]),
        ("type=task", vec![task.as_str()]),
        ("type=nonsense", vec![]),
        ("type=service", vec![s("dev:web"), s("prod:web"), s("prod:api")]),
        (&format!("environment_id={prod}"), vec![s("prod:web"), s("prod:api"), &balancer]),
        (&format!("type=service&environment_id={prod}"), vec![s("prod:web"), s("prod:api")]),
        ("type=service&name=web", vec![s("dev:web"), s("prod:web")]),
        (&format!("type=service&name=web&environment_id={dev}"), vec![s("dev:web")]),
        (&format!("id={balancer}"), vec![balancer.as_str()]),
        ("type=deploy&name=web&version=2", vec!["web.2"]),
        ("type=deploy&name=web&version=latest", vec!["web.3"]),
        ("type=deploy&fuzz=w*&version=latest", vec!["web.3", "worker.2"]),
        ("type=deploy&fuzz=*e*&version=2", vec!["web.2", "worker.2"]),
        ("type=deploy&fuzz=web.2", vec!["web.2"]),
        ("type=service&fuzz=*", vec![s("dev:web"), s("prod:web"), s("prod:api")]),
        ("type=service&fuzz=a*", vec![s("prod:api")]),
        ("type=service&fuzz=web", vec![s("dev:web"), s("prod:web")]),
        ("type=service&fuzz=we", vec![]),
        (&format!("type=service&fuzz={}", &s("prod:api")[..8]), vec![]),
        (&format!("type=service&fuzz={}*", &s("prod:api")[..8]), vec![s("prod:api")]),
    ] {
        assert_eq!(find(query).await, sorted(&wanted), "{query}");
    }
    let tags = raw.get(&format!("/tag?id={}", s("prod:web"))).await.expect(200).json();
    let tag = |key: &str, value: &str| json!({"entity_id": s("prod:web"), "entity_type": "service", "key": key, "value": value});
    assert_eq!(
        tags,
        json!([tag("environment_id", &prod), tag("name", "web"), tag("team", "blue")]),
        "all tags of the entity"
    );
    raw.send(Method::DELETE, "/tag", &[], custom.to_string()).await.expect(200);
    assert_eq!(
        raw.send(Method::DELETE, "/tag", &[], custom.to_string()).await.error(404).error_code,
        "TagDoesNotExist"
    );
    for bad in [json!({}), json!({"entity_id": "a", "entity_type": "service", "key": "name", "value": "x"})] {
        raw.post("/tag", &bad).await.error(422);
    }
}
