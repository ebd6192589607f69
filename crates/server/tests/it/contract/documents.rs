//! Deploy files, bodies, and queries of logs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layer0_server::testing::TestApp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Raw, environment, followed, service};

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
