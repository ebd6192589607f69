//! Defects that a review found, each shown to be gone.

use layer0_server::testing::{TestApp, TestOptions};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Raw, basic, deploy};

/// What the predecessor's Go client writes when nothing is set: every nil slice, map and byte string as `null`.
#[tokio::test]
async fn the_predecessors_nil_fields_are_absent_fields() {
    let mut app = TestApp::start().await;
    // Their ends are the reconciler's business.
    app.leftovers_allowed();
    let raw = Raw::of(&app);
    let made = async |path: &str, body: Value| {
        let answer = raw.post(path, &body).await.expect(201).json();
        answer["entity_id"].as_str().expect("an id").to_owned()
    };
    let env = made(
        "/environment",
        json!({"environment_name": "env", "operating_system": "linux", "scale": 0, "instance_type": "",
            "user_data_template": null, "ami_id": ""}),
    )
    .await;

    let file = raw.post("/deploy", &json!({"deploy_name": "web", "deploy_file": null})).await;
    assert_eq!(file.error(422).message, "Deploy file is required");
    let deployed = deploy(&app.client(), "web", &[]).await;

    let health = json!({"target": "TCP:80", "path": "/", "interval": 30, "timeout": 5, "healthy_threshold": 2,
        "unhealthy_threshold": 2});
    let balancer = made(
        "/loadbalancer",
        json!({"load_balancer_name": "lb", "load_balancer_type": "application", "environment_id": env,
            "is_public": true, "ports": null, "health_check": health, "idle_timeout": 60}),
    )
    .await;
    let ports = raw.get(&format!("/loadbalancer/{balancer}")).await.expect(200).json()["ports"].clone();
    assert_eq!(ports[0]["host_port"], 80, "as without any");

    made(
        "/service",
        json!({"deploy_id": deployed, "environment_id": env, "load_balancer_id": "", "scale": 1,
            "service_name": "web", "stateful": false}),
    )
    .await;

    for (name, overrides) in
        [("none", Value::Null), ("nothing", json!([{"container_name": "app", "environment_overrides": null}]))]
    {
        made(
            "/task",
            json!({"container_overrides": overrides, "deploy_id": deployed, "environment_id": env,
                "task_name": name, "stateful": false}),
        )
        .await;
    }
    raw.post("/token", &json!({"name": null, "expires_days": null})).await.expect(201);

    // What is null in a change is untouched by it.
    raw.patch(&format!("/environment/{env}"), &json!({"scale": null, "links": null})).await.expect(202);
    let change = json!({"ports": null, "health_check": null, "idle_timeout": 90, "add_ports": null});
    raw.patch(&format!("/loadbalancer/{balancer}"), &change).await.expect(202);
    let changed = raw.get(&format!("/loadbalancer/{balancer}")).await.expect(200).json();
    assert_eq!((&changed["ports"], &changed["idle_timeout"]), (&ports, &json!(90)));
    assert_eq!(changed["health_check"]["target"], "TCP:80");
}

/// containerd asks for `pull` and for `pull,push` in one question, and means both.
#[tokio::test]
async fn a_registry_token_for_several_scopes_of_one_repository_covers_them_all() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let path = "/auth/token?service=x&scope=repository:team/app:pull&scope=repository:team/app:pull,push";
    let token = raw.get(path).await.expect(200).json();
    let bearer = format!("Bearer {}", token["token"].as_str().expect("a token"));
    let registry = raw.as_(Some(&bearer));
    registry.send(Method::POST, "/v2/team/app/blobs/uploads/", &[], "").await.expect(202);
    registry.get("/v2/team/app/tags/list").await.expect(200);
    registry.send(Method::DELETE, "/v2/team/app/manifests/1", &[], "").await.expect(401);
}

/// A token asked for with scopes without end stays small enough to be sent in a header.
#[tokio::test]
async fn a_registry_token_has_a_bounded_length() {
    let app = TestApp::start().await;
    let scopes: Vec<String> = (0..300).map(|number| format!("scope=repository:team/r{number}:pull")).collect();
    let token = Raw::of(&app).get(&format!("/auth/token?{}", scopes.join("&"))).await.expect(200).json();
    let token = token["token"].as_str().expect("a token");
    assert!(token.len() < 4000, "{} bytes", token.len());
}

/// Nobody can lock himself, and everybody else, out.
#[tokio::test]
async fn the_last_live_token_is_not_revoked() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let only = raw.get("/token").await.expect(200).json()[0]["token_id"].as_str().expect("an id").to_owned();
    for name in [only.as_str(), app.auth()] {
        let error = raw.delete(&format!("/token/{name}")).await.error(409);
        assert_eq!(error.error_code, "DependencyError");
        assert!(error.hint.is_some_and(|hint| hint.contains("l0 token create")));
    }
    raw.get("/token").await.expect(200);

    let (another, _) = app.token(30).await;
    let gone = raw.delete(&format!("/token/{only}")).await.expect(200).json();
    assert_eq!(gone["token_id"], only.as_str());
    raw.get("/token").await.expect(401);
    raw.as_(Some(&format!("Basic {another}"))).get("/token").await.expect(200);
}

/// "I can't look you up now" is no "no": a client that is told 403 throws its credential away.
#[tokio::test]
async fn a_store_that_fails_is_not_the_clients_fault() {
    let mut app = TestApp::start().await;
    app.leftovers_allowed();
    let raw = Raw::of(&app);
    app.store().close().await;
    for path in ["/v2/", "/v2/team/app/tags/list"] {
        let answer = raw.get(path).await.expect(503);
        assert_eq!(answer.json()["errors"][0]["code"], "UNAVAILABLE", "{path}");
    }
    assert_eq!(raw.get("/service").await.error(503).error_code, "StoreUnavailable");
}

#[tokio::test]
async fn a_revoked_token_ends_what_was_signed_for_it() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let (_, secret) = app.token(30).await;
    let path = "/auth/token?service=x&scope=repository:team/app:pull";
    let token = raw.as_(Some(&basic("admin", &secret))).get(path).await.expect(200).json();
    let registry = raw.as_(Some(&format!("Bearer {}", token["token"].as_str().expect("a token"))));
    registry.get("/v2/").await.expect(200);
    let all = raw.get("/token").await.expect(200).json();
    let newest = all.as_array().and_then(|all| all.last()).expect("there are two");
    raw.delete(&format!("/token/{}", newest["token_id"].as_str().expect("an id"))).await.expect(200);
    registry.get("/v2/").await.expect(401);
}

/// Behind a TLS proxy that is trusted the registry's challenge names the scheme that clients use.
#[tokio::test]
async fn a_trusted_proxy_tells_the_scheme_of_the_challenge() {
    for (trusted_proxy, scheme) in [(true, "https"), (false, "http")] {
        let app = TestApp::with(TestOptions { trusted_proxy, ..TestOptions::default() }).await;
        let headers = [("x-forwarded-proto", "https"), ("host", "registry.example.com")];
        let answer = Raw::with(&app, None).send(Method::GET, "/v2/", &headers, "").await.expect(401);
        let realm = format!("Bearer realm=\"{scheme}://registry.example.com/auth/token\"");
        assert!(answer.header("www-authenticate").starts_with(&realm), "{}", answer.header("www-authenticate"));
    }
}

/// The registry front's account grants are an empty list that takes nothing, and say why.
#[tokio::test]
async fn a_local_instance_has_no_account_grants() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    assert_eq!(raw.get("/account").await.expect(200).json(), json!({"accounts": []}));
    let grant = raw.post("/account", &json!({"account": "123456789012"})).await.error(422);
    assert_eq!(grant.error_code, "InvalidValue");
    assert!(grant.message.contains("its own disk") && grant.hint.is_some(), "{grant:?}");
    assert_eq!(raw.post("/account", &json!({})).await.error(422).message, "account is a required field");
    raw.delete("/account/123456789012").await.error(422);
}

/// The predecessor's start page and document, for users.
#[tokio::test]
async fn the_start_page_leads_to_the_document() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    let page = raw.get("/").await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text().contains("href=\"/openapi.json\""), "{}", page.text());
    let document = raw.get("/openapi.json").await.expect(200).json();
    assert_eq!(raw.get("/swagger.json").await.expect(200).json(), document);
    for path in ["/", "/swagger.json"] {
        raw.as_(None).get(path).await.error(401);
    }
}
