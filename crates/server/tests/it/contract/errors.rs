//! What is missing, misspelt or asked for in another way is said to be.

use layer0_server::testing::TestApp;
use reqwest::Method;
use serde_json::json;

use crate::support::{Raw, environment};

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

/// `/health` is open, answers `""`, and does not need store or engine: it says whether the store answers.
#[tokio::test]
async fn health_is_open_and_needs_nobody() {
    let app = TestApp::start().await;
    let anyone = Raw::with(&app, None);
    app.fake().freeze();
    app.store().close().await;
    let answer = anyone.get("/health").await.expect(200);
    assert_eq!((answer.text().as_str(), answer.header("content-type")), ("\"\"", "application/json"));
    assert_eq!((answer.header("version"), answer.header("store")), (env!("CARGO_PKG_VERSION"), "unavailable"));
    // The store can't answer: that is said, and as no defect of the client's.
    let raw = Raw::of(&app);
    assert_eq!(raw.get("/service").await.error(503).error_code, "StoreUnavailable");
    assert_eq!(raw.get("/v2/").await.status, 503, "nobody is let into the registry on a guess");
    let mut app = app;
    app.leftovers_allowed();
}
