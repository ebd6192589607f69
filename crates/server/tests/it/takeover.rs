//! When two things meet: two writers, two operations, a restart at another address, a delete of what is still needed.

use futures_util::future::join_all;
use layer0_api::types as wire;
use layer0_server::testing::TestApp;

use crate::support::{
    Raw, deploy, deploy_of, done, end_of, environment, load_balancer, new_load_balancer, new_service, port, refused,
    service, to_deploy, to_scale,
};

/// A scale takes over from the update that began a roll-out; the roll-out still fails with its cause and goes back.
#[tokio::test]
async fn a_roll_out_that_fails_goes_back_whichever_operation_watches() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let good = deploy(&client, "good", &[]).await;
    let bad = deploy(&client, "bad", &[("FAKE_EXIT", "3")]).await;
    let web = service(&client, "web", &env, &good, 1).await;
    let update = client.service_update(&web, &to_deploy(&bad)).await.expect("accepted");
    let scale = client.service_update(&web, &to_scale(2)).await.expect("accepted");
    let (first, second) = (end_of(&client, &update).await, end_of(&client, &scale).await);
    // Either the update was quick enough to fail itself, or the scale had to.
    let ends = [first.state.as_str(), second.state.as_str()];
    assert!(matches!(ends, ["superseded", "rolled_back"] | ["rolled_back", "succeeded"]), "{ends:?}");
    let after = client.service_get(&web).await.expect("it is there");
    assert_eq!(
        (after.deployments[0].deploy_id.as_str(), after.deployments[0].state.as_str()),
        (good.as_str(), "healthy")
    );
    let failed = after.deployments.iter().find(|it| it.deploy_id == bad).expect("the failed one is shown");
    assert_eq!(failed.state, "rolled back");
    assert!(failed.cause.is_some());
}

/// Many ask for one host port at once: one gets it, each of the others is told who has it.
#[tokio::test]
async fn a_host_port_is_given_once() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let requests: Vec<_> = (0..12).map(|n| new_load_balancer(&format!("lb{n}"), &env, &[80])).collect();
    let answers = join_all(requests.iter().map(|request| client.load_balancer_create(request))).await;
    let (got, refusals): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((got.len(), refusals.len()), (1, 11));
    for answer in refusals {
        let (status, body) = refused(answer);
        assert_eq!((status, body.error_code.as_str(), body.holders.len()), (409, "NameTaken", 1), "{body:?}");
    }
    for answer in got {
        done(&client, answer).await;
    }
}

/// Deploys and services name the registry's address of their day. After a start at another address they are still ours.
#[tokio::test]
async fn what_was_made_at_another_address_still_runs() {
    let mut app = TestApp::start().await;
    let digest = {
        let raw = Raw::of(&app);
        raw.post("/repository/team", &serde_json::json!({"name": "app"})).await.expect(201);
        raw.push("team/app", "1", "amd64", "first").await
    };
    let client = app.client();
    let env = environment(&client, "dev").await;
    let id = deploy_of(&client, "app", "registry.layer0.test/team/app:1", &[]).await;
    let web = service(&client, "web", &env, &id, 1).await;
    let before = app.registry_address();
    app.restart_elsewhere().await;
    assert_ne!(app.registry_address(), before, "the test needs another address");
    let client = app.client();
    assert_eq!(client.service_get(&web).await.expect("it is there").service_name, "web");
    let answer =
        client.service_create(&new_service("again", &env, &id, 1)).await.expect("the old deploy is as good as ever");
    assert_eq!(answer.images[0].resolved, format!("{}/team/app@{digest}", app.registry_address()));
    assert_eq!(end_of(&client, &answer).await.state, "succeeded");
    done(&client, client.service_update(&web, &to_scale(2)).await).await;
}

/// A repository, and an image in it, that a service runs can't be deleted, not even by force; a tag can.
#[tokio::test]
async fn images_that_run_are_kept() {
    let app = TestApp::start().await;
    let (client, raw) = (app.client(), Raw::of(&app));
    raw.post("/repository/team", &serde_json::json!({"name": "app"})).await.expect(201);
    let digest = raw.push("team/app", "1", "amd64", "first").await;
    let env = environment(&client, "dev").await;
    let id = deploy_of(&client, "app", "registry.layer0.test/team/app:1", &[]).await;
    let web = service(&client, "web", &env, &id, 1).await;
    for answer in [
        refused(client.repository_delete("team", "app", true).await),
        refused(client.image_delete("team", "app", &digest).await),
    ] {
        assert_eq!((answer.0, answer.1.error_code.as_str()), (409, "DependencyError"));
        assert_eq!(answer.1.holders[0].entity_id, web);
    }
    client.image_delete("team", "app", "1").await.expect("a tag holds nothing");
    done(&client, client.service_delete(&web).await).await;
    client.repository_delete("team", "app", true).await.expect("nobody needs it any more");
}

/// Who asks for a delete that is on its way is told of the same operation, and nobody's is superseded.
#[tokio::test]
async fn a_second_delete_is_the_first() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    let web = service(&client, "web", &env, &id, 1).await;
    app.fake().freeze();
    let first = client.service_delete(&web).await.expect("accepted");
    let second = client.service_delete(&web).await.expect("accepted");
    app.fake().unfreeze();
    assert_eq!(first.operation_id, second.operation_id);
    assert_eq!(end_of(&client, &first).await.state, "succeeded");
}

/// A listener can't be led to a port that no container of the service behind it maps.
#[tokio::test]
async fn a_listener_is_checked_against_the_service_behind_it() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let balancer = load_balancer(&client, "lb", &env, &[80]).await;
    let id = deploy(&client, "web", &[]).await;
    let request = wire::CreateServiceRequest { load_balancer_id: balancer.clone(), ..new_service("web", &env, &id, 1) };
    done(&client, client.service_create(&request).await).await;
    let wrong = wire::Port { container_port: 9999, ..port(81) };
    let change = wire::UpdateLoadBalancerRequest { add_ports: vec![wrong], ..Default::default() };
    let (status, body) = refused(client.load_balancer_update(&balancer, &change).await);
    assert_eq!(status, 422);
    assert!(body.message.contains("container port 9999"), "{body:?}");
}
