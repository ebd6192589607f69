//! The registry alone (`--engine none`): what is served and what is refused, and what another start of the instance finds again.

use std::collections::BTreeSet;

use layer0_domain::port::engine::{Engine, Scope};
use layer0_server::testing::TestApp;
use reqwest::Method;
use serde_json::json;

use crate::auth::operations;
use crate::support::{MANIFEST, Raw, deploy, environment, service};

/// What needs an engine. An operation is either here, or is served; a new one has to be put here by whoever makes it, or shows by
/// its answer that it works without an engine.
const REFUSED: &[&str] = &[
    "admin_sweep",
    "admin_sweep_plan",
    "deploy_create",
    "deploy_delete",
    "deploy_get",
    "deploy_list",
    "environment_create",
    "environment_delete",
    "environment_get",
    "environment_list",
    "environment_logs",
    "environment_update",
    "image_check",
    "image_resolve",
    "load_balancer_create",
    "load_balancer_delete",
    "load_balancer_get",
    "load_balancer_list",
    "load_balancer_update",
    "map_add",
    "map_list",
    "map_remove",
    "operation_events",
    "operation_follow",
    "operation_get",
    "operation_list",
    "service_abort",
    "service_create",
    "service_delete",
    "service_get",
    "service_list",
    "service_logs",
    "service_rollback",
    "service_update",
    "tag_create",
    "tag_delete",
    "tag_list",
    "task_create",
    "task_delete",
    "task_get",
    "task_list",
    "task_logs",
    "task_stop",
];

/// An instance whose server runs the registry only.
async fn registry_only() -> TestApp {
    let mut app = TestApp::start().await;
    app.stop().await;
    app.without_engine();
    app.start_again().await;
    app
}

#[tokio::test]
async fn each_operation_is_served_or_refused_in_so_many_words() {
    let app = registry_only().await;
    let (raw, nobody) = (Raw::of(&app), Raw::with(&app, None));
    let mut refused = BTreeSet::new();
    for (id, method, path, _) in operations() {
        // What is asked about is not there; the name is not one of anything.
        let path: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "none" } else { part }).collect();
        let path = path.join("/");
        let body = if method == Method::GET || method == Method::DELETE { "" } else { "{}" };
        let answer = raw.send(method.clone(), &path, &[], body).await;
        if answer.status != 501 {
            assert_ne!(answer.status, 500, "{id}: {}", answer.text());
            assert!(!answer.text().contains("RegistryOnly") && answer.status != 503, "{id}: {}", answer.text());
            continue;
        }
        let error = answer.error(501);
        assert_eq!(error.error_code, "RegistryOnly", "{id}");
        assert!(error.message.starts_with("this server runs the registry only"), "{id}: {}", error.message);
        assert!(error.hint.expect("a way out").contains("l0 server --engine docker"), "{id}");
        assert_eq!(nobody.send(method, &path, &[], body).await.error(401).error_code, "Unauthorized", "{id}");
        refused.insert(id);
    }
    let wanted: BTreeSet<String> = REFUSED.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(refused, wanted);
    // What is not there at all is not said to need an engine.
    assert_eq!(raw.get("/nothing").await.error(404).error_code, "RouteDoesNotExist");
    assert_eq!(raw.get("/admin/config").await.expect(200).json()["engine"], "none");
    nobody.get("/health").await.expect(200);
}

#[tokio::test]
async fn images_are_pushed_and_pulled_and_their_owners_kept() {
    let app = registry_only().await;
    let raw = Raw::of(&app);
    raw.post("/owner", &json!({"owner_name": "team"})).await.expect(201);
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let digest = raw.push("team/app", "1", "amd64", "x").await;

    let nobody = Raw::with(&app, None);
    let challenge = nobody.get("/v2/").await.expect(401);
    assert!(challenge.header("www-authenticate").contains("/auth/token"), "{:?}", challenge.headers);
    let token = raw.get("/auth/token?scope=repository:team/app:pull").await.expect(200).json();
    let puller = raw.as_(Some(&format!("Bearer {}", token["token"].as_str().expect("a token"))));
    let pulled = puller.send(Method::GET, "/v2/team/app/manifests/1", &[("accept", MANIFEST)], "").await.expect(200);
    assert_eq!(pulled.header("docker-content-digest"), digest);
    for part in [&pulled.json()["config"], &pulled.json()["layers"][0]] {
        let blob = format!("/v2/team/app/blobs/{}", part["digest"].as_str().expect("a digest"));
        assert_eq!(puller.get(&blob).await.expect(200).body.len() as u64, part["size"].as_u64().expect("a size"));
    }
    raw.send(Method::PUT, "/auth/token", &[], "").await.error(405);
    raw.delete("/repository/team/app?force=true").await.expect(200);
}

/// How many copies of services run in the engine.
async fn running(app: &TestApp) -> usize {
    let seen = app.fake().observe(Scope::All).await.expect("the engine answers");
    seen.services.into_iter().map(|it| it.copies.len()).sum()
}

/// What an earlier start left running runs on, what it wrote down stays, and the next start with an engine goes on with both.
#[tokio::test]
async fn services_outlive_a_start_of_the_registry_alone() {
    let mut app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let first = deploy(&client, "first", &[]).await;
    let web = service(&client, "web", &env, &first, 2).await;
    let before = client.service_get(&web).await.expect("it is there");
    assert_eq!((before.running_count, running(&app).await), (2, 2));

    app.stop().await;
    app.without_engine();
    let told = app.fake().calls_total();
    app.start_again().await;
    let raw = Raw::of(&app);
    assert_eq!(raw.get("/service").await.error(501).error_code, "RegistryOnly");
    assert_eq!(raw.delete(&format!("/service/{web}")).await.error(501).error_code, "RegistryOnly");
    raw.post("/repository/l0", &json!({"name": "pushed"})).await.expect(201);
    raw.push("l0/pushed", "1", "amd64", "meanwhile").await;
    assert_eq!(app.fake().calls_total(), told, "the engine is not asked for anything");
    assert_eq!(running(&app).await, 2);

    app.stop().await;
    app.with_engine();
    app.start_again().await;
    let client = app.client();
    let after = layer0_testkit::until::until("the service as it was", || async {
        let now = client.service_get(&web).await.map_err(|why| why.to_string())?;
        if now.running_count == 2 { Ok(now) } else { Err(format!("{now:?}")) }
    });
    assert_eq!(after.await.deployments.len(), before.deployments.len());
    Raw::of(&app).get("/v2/l0/pushed/manifests/1").await.expect(200);
}
