//! Engines that are away, hang or are throttled, and disks that are full: requests answer, operations wait and say so, and
//! all goes on when the trouble is over.

use std::time::{Duration, Instant};

use layer0_api::client::Client;
use layer0_api::types as wire;
use layer0_domain::port::store::Store;
use layer0_engine::fake::{Fault, Op};
use layer0_server::testing::TestApp;
use layer0_testkit::until::until;
use serde_json::json;

use crate::support::{
    Raw, definition, deploy, done, end_of, environment, followed, load_balancer, new_deploy, new_environment,
    new_load_balancer, new_service, new_task, refused, service, to_deploy, to_scale,
};

/// How long a request may take whatever the engine does.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Awaits a request that must answer whatever the engine does.
async fn soon<T>(what: &str, request: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let answer = request.await;
    let took = began.elapsed();
    assert!(took < ANSWER_MAX, "{what} took {took:?}");
    answer
}

/// Waits until the operation's events say that it waits for the engine.
async fn says_that_it_waits(client: &Client, accepted: &wire::CreateEntityResponse) {
    let id = accepted.operation_id.as_deref().expect("a change has an operation");
    until(format!("operation {id} to say that it waits"), || async {
        let events = client.operation_events(id).await.expect("events");
        let waits = events.iter().any(|event| event.message.starts_with("waiting for the engine"));
        if waits { Ok(()) } else { Err(format!("{events:?}")) }
    })
    .await;
    assert_eq!(client.operation_get(id).await.expect("an operation").state, "running");
}

/// Asks for everything while the engine does not answer; gives what was accepted.
async fn ask_for_everything(client: &Client, env: &str, web: &str, two: &str) -> Vec<wire::CreateEntityResponse> {
    let (later, late, service, task) = (
        new_environment("later"),
        new_load_balancer("late", env, &[8080]),
        new_service("late", env, two, 2),
        new_task("late", env, two),
    );
    let (update, logs) = (to_deploy(two), wire::LogQuery::default());
    let document = new_deploy("x", definition("a", &[]).to_string());
    let writes = async {
        tokio::join!(
            soon("environment create", client.environment_create(&later)),
            soon("load balancer create", client.load_balancer_create(&late)),
            soon("service create", client.service_create(&service)),
            soon("task create", client.task_create(&task)),
            soon("service update", client.service_update(web, &update)),
            soon("deploy create", client.deploy_create(&document)),
        )
    };
    let reads = async {
        tokio::join!(
            soon("service get", client.service_get(web)),
            soon("service list", client.service_list()),
            soon("environment get", client.environment_get(env)),
            soon("service logs", client.service_logs(web, &logs)),
            soon("image resolve", client.image_resolve("nginx:1")),
        )
    };
    let (writes, reads) = tokio::join!(writes, reads);
    let (service, list, environment, logs, resolved) = reads;
    service.expect("answered from the store");
    list.expect("answered from the store");
    environment.expect("answered from the store");
    let (status, error) = refused(logs);
    assert_eq!((status, error.error_code.as_str()), (503, "EngineUnavailable"));
    assert!(error.hint.is_some(), "{error:?}");
    let resolved = resolved.expect("answered without the engine");
    assert!(resolved.warnings.iter().any(|text| text.contains("the engine does not answer")), "{resolved:?}");
    let (environment, balancer, service, task, update, deploy) = writes;
    deploy.expect("a deploy needs no engine");
    let accepted = [environment, balancer, service, task, update];
    accepted.into_iter().map(|answer| answer.expect("a write needs no engine")).collect()
}

/// A Docker engine that is absent.
#[tokio::test]
async fn an_engine_that_is_away_is_waited_for() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let (one, two) = (deploy(&client, "web", &[]).await, deploy(&client, "web", &[]).await);
    let web = service(&client, "web", &env, &one, 1).await;
    app.fake().set_available(false);
    let accepted = ask_for_everything(&client, &env, &web, &two).await;
    let during = client.service_get(&web).await.expect("answered from the store");
    assert!(during.waiting_for.is_some_and(|text| text.contains("does not answer")), "it says why it shows no copies");
    for it in &accepted {
        says_that_it_waits(&client, it).await;
    }
    let unchecked = &accepted[2];
    assert!(
        unchecked.images[0].warning.as_deref().is_some_and(|text| text.contains("was not checked")),
        "{unchecked:?}"
    );
    app.fake().set_available(true);
    for it in &accepted {
        let end = end_of(&client, it).await;
        assert_eq!(end.state, "succeeded", "{end:?}");
    }
    let web = client.service_get(&web).await.expect("it is there");
    assert_eq!((web.running_count, web.deployments[0].deploy_id.as_str()), (1, two.as_str()));
}

/// A Docker engine that takes calls and never answers.
#[tokio::test]
async fn an_engine_that_hangs_keeps_no_request() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let (one, two) = (deploy(&client, "web", &[]).await, deploy(&client, "web", &[]).await);
    let web = service(&client, "web", &env, &one, 1).await;
    app.fake().freeze();
    let accepted = ask_for_everything(&client, &env, &web, &two).await;
    for it in &accepted {
        says_that_it_waits(&client, it).await;
    }
    app.fake().unfreeze();
    for it in &accepted {
        let end = end_of(&client, it).await;
        assert_eq!(end.state, "succeeded", "{end:?}");
    }
}

/// An engine that asks to slow down is asked again later; nobody is told of a failure.
#[tokio::test]
async fn a_throttled_engine_is_asked_again() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    for op in [Op::Ensure, Op::Observe] {
        app.fake().fail_next(op, Fault::Throttled);
    }
    let accepted = client.service_create(&new_service("web", &env, &id, 1)).await.expect("accepted");
    let (events, end) = followed(&client, accepted.operation_id.as_deref().expect("an operation")).await;
    assert_eq!(end.state, "succeeded", "{end:?}");
    let throttled: Vec<_> = events.iter().filter(|event| event.message.contains("throttled")).collect();
    assert!(!throttled.is_empty(), "{events:?}");
    app.fake().fail_next(Op::Remove, Fault::Throttled);
    done(&client, client.service_delete(&accepted.entity_id).await).await;
    app.fake().fail_next(Op::Logs, Fault::Throttled);
    let web = service(&client, "again", &env, &id, 1).await;
    let (status, error) = refused(client.service_logs(&web, &wire::LogQuery::default()).await);
    assert_eq!((status, error.error_code.as_str()), (429, "Throttled"));
}

/// A server that starts while the engine is away answers, and does what was wanted when the engine is back.
#[tokio::test]
async fn a_start_without_the_engine_catches_up() {
    let mut app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    let web = service(&client, "web", &env, &id, 2).await;
    app.fake().set_available(false);
    app.restart().await;
    let accepted = client.service_update(&web, &to_scale(3)).await.expect("accepted");
    says_that_it_waits(&client, &accepted).await;
    app.fake().set_available(true);
    assert_eq!(end_of(&client, &accepted).await.state, "succeeded");
    assert_eq!(client.service_get(&web).await.expect("it is there").running_count, 3);
}

/// No room on the disk: writes are refused with 507 and nothing is lost; with room again all goes on.
#[tokio::test]
async fn a_full_disk_is_said_and_loses_nothing() {
    let mut app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    let web = service(&client, "web", &env, &id, 1).await;
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    raw.push("team/app", "1", "amd64", "before").await;
    // The file may not grow any more; what is free in it is filled.
    app.store().page_limit_set(1).await.expect("the store is open");
    let big = definition("app:1", &[("A", &"x".repeat(60_000))]).to_string();
    let mut kept = 0;
    let error = loop {
        match client.deploy_create(&new_deploy("big", &big)).await {
            Ok(_) => kept += 1,
            answer => break refused(answer),
        }
        assert!(kept < 1000, "the limit holds nothing back");
    };
    assert_eq!((error.0, error.1.error_code.as_str()), (507, "DiskFull"), "{error:?}");
    assert!(error.1.message.contains("nothing was changed") && error.1.hint.is_some(), "{error:?}");
    // Reads go on, and so does what runs.
    assert_eq!(client.deploy_list().await.expect("a list").len(), 1 + kept);
    assert_eq!(client.service_get(&web).await.expect("it is there").running_count, 1);
    raw.get("/v2/team/app/manifests/1").await.expect(200);
    raw.get("/health").await.expect(200);

    app.store().page_limit_set(1_000_000).await.expect("the store is open");
    client.deploy_create(&new_deploy("big", &big)).await.expect("there is room again");
    done(&client, client.service_update(&web, &to_scale(2)).await).await;
    raw.push("team/app", "2", "amd64", "after").await;
    load_balancer(&client, "lb", &env, &[8080]).await;
    app.restart().await;
    assert_eq!(app.client().deploy_list().await.expect("a list").len(), 2 + kept);
    raw.get("/v2/team/app/manifests/1").await.expect(200);
}

/// An operation whose steps can't be written down for want of room is not forgotten: it goes on when there is room.
#[tokio::test]
async fn an_operation_outlasts_a_full_disk() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    app.fake().set_available(false);
    let accepted = client.service_create(&new_service("web", &env, &id, 2)).await.expect("accepted");
    says_that_it_waits(&client, &accepted).await;
    app.store().page_limit_set(1).await.expect("the store is open");
    let big = definition("app:1", &[("A", &"x".repeat(60_000))]).to_string();
    while client.deploy_create(&new_deploy("big", &big)).await.is_ok() {}
    app.fake().set_available(true);
    // The copies run, whether or not that can be written down.
    until("the copies to run", || async {
        let seen = client.service_get(&accepted.entity_id).await.expect("it is there").running_count;
        if seen == 2 { Ok(()) } else { Err(format!("{seen} run")) }
    })
    .await;
    app.store().page_limit_set(1_000_000).await.expect("the store is open");
    assert_eq!(end_of(&client, &accepted).await.state, "succeeded");
    assert!(app.store().operation_list_running().await.expect("the store answers").is_empty());
}
