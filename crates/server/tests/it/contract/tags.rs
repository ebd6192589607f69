//! Tags and their filters.

use std::collections::BTreeMap;

use layer0_server::testing::TestApp;
use reqwest::Method;
use serde_json::json;

use crate::support::{Raw, done, environment, service};

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
