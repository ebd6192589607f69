//! Abort and rollback: from a roll-out back to what ran before.

use layer0_api::types as wire;
use layer0_domain::port::engine::{CopyState, Engine, Scope};
use layer0_engine::fake::Behaviour;
use layer0_server::testing::TestApp;
use layer0_testkit::until::until;
use serde_json::json;

use crate::support::{
    Raw, deploy, deploy_of, done, end_of, environment, followed, new_service, refused, service, to_deploy, to_scale,
};

/// A container that never gets as far as running: its image takes an hour to pull.
const ENDLESS: &[(&str, &str)] = &[("FAKE_PULL_MS", "3600000")];

/// The copies of all services that do not end, with their states, the oldest first.
async fn copies(app: &TestApp) -> Vec<(String, CopyState)> {
    let seen = app.fake().observe(Scope::All).await.expect("the engine answers");
    let all = seen.services.into_iter().flat_map(|it| it.copies);
    all.filter(|it| it.state != CopyState::Stopped).map(|it| (it.id.to_string(), it.state)).collect()
}

/// Rolls a deploy out that never comes up, until the engine works on it.
async fn endless(app: &TestApp, service: &str) -> wire::CreateEntityResponse {
    let client = app.client();
    let deploy = deploy(&client, "endless", ENDLESS).await;
    let update = client.service_update(service, &to_deploy(&deploy)).await.expect("accepted");
    until("copies that are being made", || async {
        let copies = copies(app).await;
        if copies.iter().any(|(_, state)| *state == CopyState::Pending) { Ok(()) } else { Err(format!("{copies:?}")) }
    })
    .await;
    update
}

fn states(service: &wire::Service) -> Vec<(&str, &str)> {
    service.deployments.iter().map(|it| (it.deploy_name.as_str(), it.state.as_str())).collect()
}

/// What still runs of the deployment before runs on; what was being rolled out goes.
#[tokio::test]
async fn an_abort_goes_back_to_the_copies_that_never_went() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let good = deploy(&client, "good", &[]).await;
    let web = service(&client, "web", &env, &good, 2).await;
    let before = copies(&app).await;
    let update = endless(&app, &web).await;
    let abort = client.service_abort(&web).await.expect("a roll-out is under way");
    assert_eq!(abort.warnings, Vec::<String>::new());
    let (events, end) = followed(&client, abort.operation_id.as_deref().expect("an operation")).await;
    assert_eq!((end.verb.as_str(), end.state.as_str()), ("abort", "succeeded"), "{end:?}");
    assert_eq!(
        events.last().expect("something happened").message,
        "endless:1 was aborted; the service is back at good:1: 2 copies run and are healthy"
    );
    assert_eq!(end_of(&client, &update).await.state, "superseded");
    assert_eq!(copies(&app).await, before, "the copies of before, and no others");
    let seen = client.service_get(&web).await.expect("it is there");
    assert_eq!(states(&seen), [("good", "healthy"), ("endless", "aborted")]);
    assert_eq!(seen.deployments[1].cause.as_ref().map(|it| it.class.as_str()), Some("stopped"));

    let (status, error) = refused(client.service_abort(&web).await);
    assert_eq!(status, 422);
    assert_eq!(error.message, "no roll-out of service `web` is under way: good:1 is healthy");
    // What was aborted was never healthy: a rollback would be refused.
    assert_eq!(error.hint.as_deref(), Some("roll another deploy out: `l0 service update web DEPLOY`"));
    assert_eq!(refused(client.service_rollback(&web, &wire::RollbackServiceRequest::default()).await).0, 422);
}

/// Where nothing ran before, nothing runs afterwards, and the user is told; the next roll-out starts it.
#[tokio::test]
async fn an_abort_of_the_first_roll_out_leaves_no_copy() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let broken = deploy(&client, "broken", ENDLESS).await;
    let create = client.service_create(&new_service("web", &env, &broken, 2)).await.expect("accepted");
    let web = create.entity_id.clone();
    until("copies that are being made", || async {
        let copies = copies(&app).await;
        if copies.len() == 2 { Ok(()) } else { Err(format!("{copies:?}")) }
    })
    .await;
    let abort = client.service_abort(&web).await.expect("a roll-out is under way");
    assert!(abort.warnings.len() == 1 && abort.warnings[0].contains("its copies are taken away"), "{abort:?}");
    let (events, end) = followed(&client, abort.operation_id.as_deref().expect("an operation")).await;
    assert_eq!(end.state, "succeeded", "{end:?}");
    let said = &events.last().expect("something happened").message;
    assert_eq!(said, "broken:1 was aborted, and there was nothing to go back to: no copy runs");
    assert_eq!(copies(&app).await, []);
    let seen = client.service_get(&web).await.expect("it is there");
    assert_eq!((states(&seen), seen.running_count), (vec![("broken", "aborted")], 0));

    let (status, error) = refused(client.service_update(&web, &to_scale(3)).await);
    assert!(status == 422 && error.message.contains("broken:1 of service `web` was aborted"), "{error:?}");
    assert_eq!(refused(client.service_rollback(&web, &wire::RollbackServiceRequest::default()).await).0, 422);
    let good = deploy(&client, "good", &[]).await;
    done(&client, client.service_update(&web, &to_deploy(&good)).await).await;
    assert_eq!(client.service_get(&web).await.expect("it is there").running_count, 2, "as many as were wanted");
}

/// A server that is gone when the abort was taken down carries it out when it is back; nothing of it is left to memory.
#[tokio::test]
async fn an_abort_outlives_the_server() {
    let mut app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let good = deploy(&client, "good", &[]).await;
    let web = service(&client, "web", &env, &good, 1).await;
    let before = copies(&app).await;
    endless(&app, &web).await;
    app.fake().set_available(false);
    let abort = client.service_abort(&web).await.expect("it is taken down");
    app.restart().await;
    app.fake().set_available(true);
    assert_eq!(end_of(&app.client(), &abort).await.state, "succeeded");
    assert_eq!(copies(&app).await, before);
}

/// A rollback runs the very images of before, though their tag has moved on and the deploy is gone; it is a roll-out of its
/// own, and a second one goes forth again.
#[tokio::test]
async fn a_rollback_rolls_out_the_images_that_ran_before() {
    let app = TestApp::start().await;
    let client = app.client();
    let raw = Raw::of(&app);
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let env = environment(&client, "dev").await;
    let old_digest = raw.push("team/app", "1", "amd64", "old").await;
    let first = deploy_of(&client, "app", "registry.layer0.test/team/app:1", &[]).await;
    let web = service(&client, "web", &env, &first, 2).await;
    let old = client.service_get(&web).await.expect("it is there").deployments.remove(0);
    raw.push("team/app", "1", "amd64", "new").await;
    let second = deploy_of(&client, "app", "registry.layer0.test/team/app:1", &[("VERSION", "2")]).await;
    done(&client, client.service_update(&web, &to_deploy(&second)).await).await;
    let new = client.service_get(&web).await.expect("it is there").deployments.remove(0);
    assert_ne!(new.images, old.images);
    client.deploy_delete(&first).await.expect("a deploy may go while a service could go back to it");

    let request = wire::RollbackServiceRequest::default();
    let rollback = client.service_rollback(&web, &request).await.expect("there is something to go back to");
    assert!(rollback.images.len() == 1 && rollback.images[0].resolved.ends_with(&old_digest), "{rollback:?}");
    let (events, end) = followed(&client, rollback.operation_id.as_deref().expect("an operation")).await;
    assert_eq!((end.verb.as_str(), end.state.as_str()), ("rollback", "succeeded"), "{end:?}");
    let said = &events.last().expect("something happened").message;
    assert_eq!(said, "went back to app:1: 2 copies run and are healthy");
    let back = client.service_get(&web).await.expect("it is there").deployments.remove(0);
    assert_eq!((&back.images, &back.deploy_id, back.running_count), (&old.images, &old.deploy_id, 2));
    assert_ne!(back.deployment_id, old.deployment_id, "a roll-out of its own");

    done(&client, client.service_rollback(&web, &request).await).await;
    let forth = client.service_get(&web).await.expect("it is there").deployments.remove(0);
    assert_eq!((&forth.images, &forth.deploy_id), (&new.images, &new.deploy_id));
    let (_, error) = refused(client.service_abort(&web).await);
    assert_eq!(error.hint.as_deref(), Some("`l0 service rollback web` goes back to app:1"));

    // Whoever rolled the same out again and again does not mean to go back to it.
    for _ in 0..11 {
        done(&client, client.service_update(&web, &to_deploy(&second)).await).await;
    }
    done(&client, client.service_rollback(&web, &request).await).await;
    let back = client.service_get(&web).await.expect("it is there").deployments.remove(0);
    assert_eq!((&back.images, &back.deploy_id), (&old.images, &old.deploy_id));
}

/// What does not come up a second time is rolled back itself, with its cause.
#[tokio::test]
async fn a_rollback_that_does_not_come_up_is_rolled_back() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let old = deploy_of(&client, "old", "old:1", &[]).await;
    let new = deploy_of(&client, "new", "new:1", &[]).await;
    let web = service(&client, "web", &env, &old, 1).await;
    done(&client, client.service_update(&web, &to_deploy(&new)).await).await;
    let before = copies(&app).await;
    app.fake().set_image_behaviour("old", Behaviour::exits(3));
    let rollback = client.service_rollback(&web, &wire::RollbackServiceRequest::default()).await.expect("accepted");
    let end = end_of(&client, &rollback).await;
    assert_eq!((end.state.as_str(), end.cause.map(|it| it.class)), ("rolled_back", Some("exited".to_owned())));
    assert_eq!(copies(&app).await, before, "what ran never went");
    assert_eq!(states(&client.service_get(&web).await.expect("it is there"))[0], ("new", "healthy"));
}

/// Nothing is started that could not be pulled; with `skip_pull_check` it is, and said.
#[tokio::test]
async fn a_rollback_meets_the_pull_check() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    // By the name alone it can't be pulled; it runs because nobody looked.
    let image = "111111111111.dkr.ecr.us-east-1.amazonaws.com/team/weak-role:1";
    let old = deploy_of(&client, "old", image, &[]).await;
    let skipping = wire::CreateServiceRequest { skip_pull_check: true, ..new_service("web", &env, &old, 1) };
    let web = done(&client, client.service_create(&skipping).await).await;
    let new = deploy(&client, "new", &[]).await;
    done(&client, client.service_update(&web, &to_deploy(&new)).await).await;
    let (status, error) = refused(client.service_rollback(&web, &wire::RollbackServiceRequest::default()).await);
    assert_eq!((status, error.error_code.as_str()), (422, "PullCheckFailed"), "{error:?}");
    let skip = client.service_rollback(&web, &wire::RollbackServiceRequest { skip_pull_check: true }).await;
    let skip = skip.expect("accepted");
    assert!(skip.images[0].warning.as_ref().is_some_and(|text| text.contains("was not checked")), "{skip:?}");
    assert_eq!(end_of(&client, &skip).await.state, "succeeded");
}
