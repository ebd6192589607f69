//! Defects of the predecessors (`docs`: what is mended) that concern the API of an instance on one machine and have no test
//! elsewhere here. The others are named at their tests: names and links under many writers, versions, BOM, plain Dockerrun,
//! port 99999, no limits (`bad_input.rs`), synchronous handlers (`trouble.rs`), calls per entity (`scale.rs`), listeners,
//! overrides, task reads (`operations.rs`), open routes and revocation (`auth.rs`), 400 for missing, missing environments,
//! newest lines, empty lists (`contract.rs`).

use layer0_api::error::ErrorCode;
use layer0_api::types as wire;
use layer0_server::testing::TestApp;
use serde_json::json;

use crate::support::{
    Raw, basic, deploy, done, end_of, environment, load_balancer, new_service, new_task, refused, service, to_deploy,
};

/// 8.1: a default credential when none is configured. No name and password that anybody could know opens anything.
#[tokio::test]
async fn there_is_no_default_credential() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    for (user, secret) in [("layer0", "nohaxplz"), ("admin", "admin"), ("admin", ""), ("", ""), ("layer0", "layer0")] {
        raw.as_(Some(&basic(user, secret))).get("/admin/config").await.expect(401);
        raw.as_(Some(&basic(user, secret))).get("/v2/").await.expect(401);
        raw.as_(Some(&basic(user, secret))).get("/auth/token").await.expect(401);
    }
    let other = TestApp::start().await;
    assert_ne!(app.auth(), other.auth(), "each instance has a secret of its own");
    raw.as_(Some(&format!("Basic {}", other.auth()))).get("/service").await.expect(401);
}

/// 8.1: what is named `api` was Layer0 itself. Here it is a name as any other, and its delete touches nothing else.
#[tokio::test]
async fn entities_named_api_are_as_others() {
    let app = TestApp::start().await;
    let client = app.client();
    let (env, other) = (environment(&client, "api").await, environment(&client, "dev").await);
    let id = deploy(&client, "api", &[]).await;
    let (api, web) = (service(&client, "api", &env, &id, 1).await, service(&client, "web", &other, &id, 1).await);
    done(&client, client.service_delete(&api).await).await;
    done(&client, client.environment_delete(&env).await).await;
    client.deploy_delete(&id).await.expect("nobody needs it");
    assert_eq!(client.service_get(&web).await.expect("it is there").running_count, 1);
    client.admin_config().await.expect("the server goes on");
}

/// 8.2: creates of several steps that leave things behind when one fails. What is refused leaves no tag and no entity.
#[tokio::test]
async fn a_refused_create_leaves_nothing_behind() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    let balancer = load_balancer(&client, "lb", &env, &[8080]).await;
    let before = raw.get("/tag").await.expect(200).json();
    let operations = client.operation_list().await.expect("a list").len();
    let service = |change: serde_json::Value| {
        let mut body = json!({"service_name": "web", "environment_id": env, "deploy_id": id, "scale": 1});
        for (key, value) in change.as_object().expect("an object") {
            body[key] = value.clone();
        }
        body
    };
    for (path, body) in [
        (
            "/loadbalancer",
            json!({"load_balancer_name": "new", "environment_id": env, "is_public": true,
            "ports": [{"host_port": 8080, "container_port": 80, "protocol": "http"}]}),
        ),
        ("/service", service(json!({"load_balancer_id": "none"}))),
        ("/service", service(json!({"deploy_id": "web.9"}))),
        ("/service", service(json!({"scale": -1}))),
        ("/task", json!({"task_name": "t", "environment_id": env, "deploy_id": "web.9"})),
    ] {
        let answer = raw.post(path, &body).await;
        assert!((400..500).contains(&answer.status), "{path} {body}: {}", answer.text());
    }
    assert_eq!(raw.get("/tag").await.expect(200).json(), before);
    assert_eq!(client.operation_list().await.expect("a list").len(), operations);
    assert_eq!(client.load_balancer_list().await.expect("a list")[0].load_balancer_id, balancer);
}

/// 8.2: `latest` races with deletes and creates. A service or task that was told a deploy keeps its definition, whatever
/// becomes of the deploy; what was deleted before is said to be missing.
#[tokio::test]
async fn a_deploy_that_is_deleted_meanwhile_is_missing_or_kept() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let (keep, gone) = (deploy(&client, "web", &[]).await, deploy(&client, "web", &[]).await);
    let web = service(&client, "web", &env, &keep, 1).await;
    let update = to_deploy(&gone);
    let (updated, deleted) = tokio::join!(client.service_update(&web, &update), client.deploy_delete(&gone));
    deleted.expect("it was there");
    let after = match updated {
        Ok(accepted) => {
            assert_eq!(end_of(&client, &accepted).await.state, "succeeded");
            &gone
        }
        missing => {
            assert_eq!(refused(missing).1.error_code, "DeployDoesNotExist");
            &keep
        }
    };
    let service = client.service_get(&web).await.expect("it is there");
    assert_eq!((&service.deployments[0].deploy_id, service.running_count), (after, 1));
    assert_eq!(refused(client.task_create(&new_task("t", &env, &gone)).await).1.error_code, "DeployDoesNotExist");
}

/// 8.2: a stale reference from a link blocked an environment's delete. An environment takes its own links with it.
#[tokio::test]
async fn an_environment_takes_its_links_with_it() {
    let app = TestApp::start().await;
    let client = app.client();
    let (one, two) = (environment(&client, "one").await, environment(&client, "two").await);
    let link = wire::UpdateEnvironmentRequest { links: Some(vec![two.clone()]), ..Default::default() };
    let accepted = client.environment_update(&one, &link).await.expect("accepted");
    assert!(accepted.warnings.iter().any(|text| text.contains("one way only")), "{accepted:?}");
    end_of(&client, &accepted).await;
    done(&client, client.environment_delete(&one).await).await;
    done(&client, client.environment_delete(&two).await).await;
    let own = environment(&client, "own").await;
    let link = wire::UpdateEnvironmentRequest { links: Some(vec![own.clone()]), ..Default::default() };
    assert_eq!(refused(client.environment_update(&own, &link).await).0, 422, "not to itself");
    let untouched = wire::UpdateEnvironmentRequest { scale: Some(0), ..Default::default() };
    done(&client, client.environment_update(&own, &untouched).await).await;
}

/// 8.5 and 8.2: codes spelled wrongly, and one that made clients send a create three times.
#[test]
fn codes_are_spelled_right_and_none_asks_for_the_same_create_again() {
    let words: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert!(words.contains(&"InvalidRequest") && !words.contains(&"InvalidReqest"));
    assert!(!words.contains(&"EventualConsistencyError"));
    for code in ErrorCode::ALL.iter().filter(|code| code.as_str().ends_with("DoesNotExist")) {
        assert_eq!(code.status(), 404, "{}", code.as_str());
    }
}

/// 8.5: messages that were spelled wrongly, in the order in which the predecessor checked.
#[tokio::test]
async fn validation_says_what_is_required() {
    let app = TestApp::start().await;
    let raw = Raw::of(&app);
    for (path, body, message) in [
        ("/deploy", json!({}), "Deploy Name is required"),
        ("/deploy", json!({"deploy_name": "a"}), "Deploy file is required"),
        ("/environment", json!({}), "EnvironmentName is required"),
        ("/environment", json!({"environment_name": "a"}), "OperatingSystem is required"),
        (
            "/environment",
            json!({"environment_name": "a", "operating_system": "windows"}),
            "Unrecognized OperatingSystem 'windows'",
        ),
        ("/service", json!({}), "ServiceName is required"),
        ("/service", json!({"service_name": "a"}), "EnvironmentID is required"),
        ("/service", json!({"service_name": "a", "environment_id": "e"}), "DeployID is required"),
        ("/task", json!({}), "TaskName is required"),
        ("/task", json!({"task_name": "a"}), "EnvironmentID is required"),
        ("/task", json!({"task_name": "a", "environment_id": "e"}), "DeployID is required"),
        ("/loadbalancer", json!({}), "LoadBalancerName is required"),
        ("/loadbalancer", json!({"load_balancer_name": "a"}), "EnvironmentID is required"),
    ] {
        assert_eq!(raw.post(path, &body).await.error(422).message, message, "{path} {body}");
    }
    let none = raw.patch("/service/x", &json!({"deploy_id": ""})).await.error(422);
    assert_eq!(none.message, "DeployID must be omitted or a non-empty string");
}

/// 8.3: `POST /loadbalancer` without a health check always failed, so its defaults could not be reached; scale had none.
#[tokio::test]
async fn defaults_can_be_reached() {
    let app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    let made =
        raw.post("/loadbalancer", &json!({"load_balancer_name": "lb", "environment_id": env})).await.expect(201).json();
    let made: wire::CreateEntityResponse = serde_json::from_value(made).expect("its form");
    let balancer = done(&client, Ok(made)).await;
    let balancer = client.load_balancer_get(&balancer).await.expect("it is there");
    assert_eq!(balancer.health_check, wire::HealthCheck::standard());
    assert_eq!(
        (balancer.idle_timeout, balancer.load_balancer_type.as_str(), balancer.is_public),
        (60, "application", false)
    );
    assert_eq!((balancer.ports[0].host_port, balancer.ports[0].container_port), (80, 80));
    let request = wire::CreateServiceRequest { scale: None, ..new_service("web", &env, &id, 0) };
    let web = done(&client, client.service_create(&request).await).await;
    assert_eq!(client.service_get(&web).await.expect("it is there").desired_count, 1);
}
