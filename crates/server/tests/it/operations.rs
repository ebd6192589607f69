//! Operations to their ends, as a client sees them through server-sent events.

use std::time::Duration;

use futures_util::StreamExt;
use layer0_api::client::Client;
use layer0_api::types as wire;
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::port::engine::{CopyState, Engine, Scope};
use layer0_engine::fake::{Fault, Op};
use layer0_server::testing::TestApp;
use layer0_testkit::until::{ends, until};
use serde_json::json;

use crate::support::{
    Raw, deploy, deploy_of, done, end_of, environment, followed, load_balancer, new_service, new_task, refused,
    service, to_deploy, to_scale,
};

/// A container that never gets as far as running: its image takes an hour to pull.
const ENDLESS: &[(&str, &str)] = &[("FAKE_PULL_MS", "3600000")];

/// The copies of all services and tasks that are there, with their states, the oldest first.
async fn copies(app: &TestApp) -> Vec<(String, CopyState)> {
    let seen = app.fake().observe(Scope::All).await.expect("the engine answers");
    let services = seen.services.into_iter().flat_map(|it| it.copies);
    services.chain(seen.tasks.into_iter().flat_map(|it| it.copies)).map(|it| (it.id.to_string(), it.state)).collect()
}

/// Waits until the operation has said something.
async fn says(client: &Client, accepted: &wire::CreateEntityResponse, what: &str) {
    let id = accepted.operation_id.as_deref().expect("a change has an operation");
    until(format!("operation {id} to say `{what}`"), || async {
        let events = client.operation_events(id).await.expect("events");
        if events.iter().any(|event| event.message.contains(what)) { Ok(()) } else { Err(format!("{events:?}")) }
    })
    .await;
}

/// Each operation tells what it comes to in words.
#[tokio::test]
async fn every_operation_ends_with_a_sentence() {
    let app = TestApp::start().await;
    let client = app.client();
    let last = async |accepted: Result<wire::CreateEntityResponse, _>| {
        let accepted: wire::CreateEntityResponse = accepted.expect("accepted");
        let (events, end) = followed(&client, accepted.operation_id.as_deref().expect("an operation")).await;
        assert_eq!(end.state, "succeeded", "{end:?}");
        assert!(end.created <= end.ended, "{end:?}");
        (accepted.entity_id, events.last().expect("something happened").message.clone())
    };
    let (env, said) = last(client.environment_create(&crate::support::new_environment("dev")).await).await;
    assert_eq!(said, "ready");
    let (balancer, said) =
        last(client.load_balancer_create(&crate::support::new_load_balancer("lb", &env, &[80])).await).await;
    assert!(said.starts_with("listening at ") && said.ends_with("80:80/HTTP"), "{said}");
    let id = deploy(&client, "web", &[("FAKE_EXIT", "never")]).await;
    let (web, said) = last(client.service_create(&new_service("web", &env, &id, 2)).await).await;
    assert_eq!(said, "2 copies run and are healthy");
    let (_, said) = last(client.service_update(&web, &to_scale(1)).await).await;
    assert_eq!(said, "1 copy runs and is healthy");
    let (_, said) = last(client.service_update(&web, &to_scale(0)).await).await;
    assert_eq!(said, "no copy runs, as wanted");
    assert_eq!(copies(&app).await, []);
    let (_, said) = last(client.service_update(&web, &to_scale(3)).await).await;
    assert_eq!(said, "3 copies run and are healthy");
    let (_, said) = last(client.service_update(&web, &to_deploy(&id)).await).await;
    assert_eq!(said, "3 copies run and are healthy");
    let task = client.task_create(&new_task("once", &env, &id)).await.expect("accepted");
    let (_, said) = last(client.task_stop(&task.entity_id).await).await;
    assert_eq!(said, "stopped");
    // One after the other: an environment is not deleted while something in it is still on its way out.
    assert_eq!(last(client.task_delete(&task.entity_id).await).await.1, "gone");
    assert_eq!(last(client.service_delete(&web).await).await.1, "gone");
    assert_eq!(last(client.load_balancer_delete(&balancer).await).await.1, "gone");
    assert_eq!(last(client.environment_delete(&env).await).await.1, "gone");
    assert_eq!(copies(&app).await, []);
    // All of it can be looked up later, the newest first, though the entities are gone.
    let all = client.operation_list().await.expect("a list");
    assert_eq!(
        (all[0].verb.as_str(), all[0].entity_type.as_str(), all[0].entity_name.as_str()),
        ("delete", "environment", "dev")
    );
    let log = client.admin_logs(&wire::LogQuery::default()).await.expect("a log");
    assert!(
        log[0].lines.iter().any(|line| line.contains("create service `web`: 2 copies run and are healthy")),
        "{log:?}"
    );
}

/// A newer change takes an older one over; whoever watches the older one is told.
#[tokio::test]
async fn a_newer_operation_supersedes_the_older() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let endless = deploy(&client, "endless", ENDLESS).await;
    let good = deploy(&client, "good", &[]).await;

    let first = client.service_create(&new_service("web", &env, &endless, 1)).await.expect("accepted");
    says(&client, &first, "the images of 1 of 1 copies").await;
    let second = client.service_update(&first.entity_id, &to_deploy(&endless)).await.expect("accepted");
    assert_eq!(end_of(&client, &first).await.state, "superseded");
    let third = client.service_update(&first.entity_id, &to_deploy(&good)).await.expect("accepted");
    let end = end_of(&client, &second).await;
    assert!(end.state == "superseded" && !end.ended.is_empty(), "{end:?}");
    assert_eq!(end_of(&client, &third).await.state, "succeeded");
    let web = client.service_get(&first.entity_id).await.expect("it is there");
    assert_eq!((web.running_count, web.deployments[0].deploy_id.as_str()), (1, good.as_str()));

    // A delete in the middle of a create, and of an update.
    for n in 0..2 {
        let other = client.service_create(&new_service("other", &env, &endless, 1)).await.expect("accepted");
        says(&client, &other, "the images of 1 of 1 copies").await;
        if n == 1 {
            client.service_update(&other.entity_id, &to_deploy(&endless)).await.expect("accepted");
        }
        let gone = client.service_delete(&other.entity_id).await.expect("accepted");
        assert_eq!(end_of(&client, &other).await.state, "superseded");
        assert_eq!(end_of(&client, &gone).await.state, "succeeded");
        assert_eq!(refused(client.service_get(&other.entity_id).await).0, 404);
    }
    assert_eq!(copies(&app).await.len(), 1, "only the first service runs");
    // What is on its way out can't be changed, and a second delete is as good as the first.
    app.fake().set_available(false);
    let gone = client.service_delete(&first.entity_id).await.expect("accepted");
    let (status, error) = refused(client.service_update(&first.entity_id, &to_scale(2)).await);
    assert!(status == 409 && error.message.contains("is being deleted"), "{error:?}");
    let (status, _) = refused(client.task_create(&new_task("t", "none", &good)).await);
    assert_eq!(status, 404);
    let again = client.service_delete(&first.entity_id).await.expect("accepted");
    app.fake().set_available(true);
    assert_eq!(end_of(&client, &again).await.state, "succeeded");
    assert!(["succeeded", "superseded"].contains(&end_of(&client, &gone).await.state.as_str()));
    done(&client, client.environment_delete(&env).await).await;
}

/// What an engine refuses may be something else than the new version: the one before goes on as if nothing had been asked for.
#[tokio::test]
async fn a_version_that_the_engine_refuses_is_rolled_back() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let one = deploy(&client, "web", &[]).await;
    let web = service(&client, "web", &env, &one, 2).await;
    let two = deploy(&client, "web", &[]).await;
    app.fake().fail_next(Op::Ensure, Fault::Refused(Failure::new(FailureClass::Other, "port 8443 is held by nginx")));
    let accepted = client.service_update(&web, &to_deploy(&two)).await.expect("accepted");
    let (events, end) = followed(&client, accepted.operation_id.as_deref().expect("an operation")).await;
    assert_eq!(end.state, "rolled_back", "{end:?}");
    assert_eq!(end.cause.expect("it has a cause").message, "port 8443 is held by nginx");
    assert!(events.last().expect("events").message.ends_with("; rolled back to web:1"), "{events:?}");
    let after = client.service_get(&web).await.expect("it is there");
    assert_eq!((after.deployments[0].deploy_id.as_str(), after.running_count), (one.as_str(), 2));
    // A copy that ends is replaced as ever, and what is deployed next rolls out.
    let three = deploy(&client, "web", &[]).await;
    done(&client, client.service_update(&web, &to_deploy(&three)).await).await;
}

/// A version that does not come up is rolled back: the version before was never touched, and the cause is kept in words
/// with the last lines that the failed copy wrote.
#[tokio::test]
async fn a_version_that_does_not_come_up_is_rolled_back() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let one = deploy(&client, "web", &[]).await;
    let web = service(&client, "web", &env, &one, 2).await;
    let before = copies(&app).await;
    for (variables, class, words) in [
        (&[("FAKE_EXIT", "3"), ("FAKE_LOG", "starting\nno database")][..], "exited", "exit code 3"),
        (&[("FAKE_UNHEALTHY", "1"), ("FAKE_LOG", "no database")], "unhealthy", "health check"),
        (&[("FAKE_CANNOT_START", "no such command")], "cannot_start", "no such command"),
    ] {
        let bad = deploy(&client, "web", variables).await;
        let accepted = client.service_update(&web, &to_deploy(&bad)).await.expect("accepted");
        let (events, end) = followed(&client, accepted.operation_id.as_deref().expect("an operation")).await;
        assert_eq!(end.state, "rolled_back", "{end:?}");
        let cause = end.cause.expect("a rollback has a cause");
        assert_eq!(cause.class, class, "{cause:?}");
        assert!(cause.message.contains(words) && cause.hint.is_some(), "{cause:?}");
        if class != "cannot_start" {
            assert_eq!(cause.log_tail.last().expect("it wrote something").line, "no database", "{cause:?}");
        }
        assert!(events.last().expect("events").message.ends_with("; rolled back to web:1"), "{events:?}");
        assert!(
            events.iter().any(|event| event.message.contains("of 3 times")),
            "each failed start is told: {events:?}"
        );
        let after = client.service_get(&web).await.expect("it is there");
        let (wanted, failed) = (&after.deployments[0], after.deployments.last().expect("the failed one is shown"));
        assert_eq!(
            (wanted.deploy_id.as_str(), wanted.status.as_str(), wanted.state.as_str()),
            (one.as_str(), "PRIMARY", "healthy")
        );
        assert_eq!((failed.deploy_id.as_str(), failed.state.as_str()), (bad.as_str(), "rolled back"));
        assert_eq!(failed.cause.as_ref().map(|it| it.class.as_str()), Some(class));
        until("the failed copies to be gone", || async {
            let now = copies(&app).await;
            if now == before { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
        assert_eq!(client.service_get(&web).await.expect("it is there").running_count, 2);
    }
    // Afterwards a good version rolls out as ever.
    let good = deploy(&client, "web", &[]).await;
    done(&client, client.service_update(&web, &to_deploy(&good)).await).await;
}

/// A first version that does not come up has nothing to go back to: it fails, and nothing more is started.
#[tokio::test]
async fn a_create_that_fails_is_halted() {
    let mut app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let bad = deploy(&client, "bad", &[("FAKE_EXIT", "1"), ("FAKE_LOG", "no config")]).await;
    let accepted = client.service_create(&new_service("web", &env, &bad, 1)).await.expect("accepted");
    let end = end_of(&client, &accepted).await;
    assert_eq!(end.state, "failed");
    let cause = end.cause.expect("a failure has a cause");
    assert_eq!((cause.class.as_str(), cause.log_tail[0].line.as_str()), ("exited", "no config"));
    let web = accepted.entity_id;
    let halted = client.service_get(&web).await.expect("it is there");
    assert_eq!((halted.deployments[0].state.as_str(), halted.running_count), ("failed", 0));
    assert_eq!(halted.deployments[0].cause.as_ref().map(|it| it.class.as_str()), Some("exited"));
    // Neither with time nor by a restart is it tried again, and asking for more copies says why not.
    app.fake().advance(Duration::from_secs(3600));
    assert_eq!(copies(&app).await, []);
    app.restart().await;
    let client = app.client();
    let scaled = client.service_update(&web, &to_scale(2)).await.expect("accepted");
    let end = end_of(&client, &scaled).await;
    assert_eq!((end.state.as_str(), end.cause.map(|it| it.class)), ("failed", Some("exited".to_owned())));
    assert_eq!(copies(&app).await, []);
    done(&client, client.service_update(&web, &to_scale(0)).await).await;
    // Another version brings it up.
    let good = deploy(&client, "good", &[]).await;
    let both = wire::UpdateServiceRequest { deploy_id: Some(good), scale: Some(2), skip_pull_check: false };
    done(&client, client.service_update(&web, &both).await).await;
    assert_eq!(client.service_get(&web).await.expect("it is there").running_count, 2);
}

/// A copy that crashes after it was healthy is replaced, without an operation.
#[tokio::test]
async fn a_crashed_copy_is_replaced() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "web", &[]).await;
    let web = service(&client, "web", &env, &id, 2).await;
    let before = copies(&app).await;
    let first = layer0_domain::model::id::CopyId::parse(&before[0].0).expect("an id");
    assert!(app.fake().crash_copy(&first, 137), "there was such a copy");
    until("two healthy copies, one of them new", || async {
        let now = copies(&app).await;
        let healthy = now.iter().filter(|(_, state)| *state == CopyState::Healthy).count();
        if healthy == 2 && now[0] == before[1] { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    assert_eq!(client.service_get(&web).await.expect("it is there").running_count, 2);
}

/// Tasks: exit codes, copies, overrides, stop, logs after the end, delete.
#[tokio::test]
async fn tasks_run_to_their_exit_codes() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "job", &[("FAKE_LOG", "from the deploy")]).await;
    // Section 8.4: an override could not hold `:` or `=`.
    let value = "postgres://u:p=w@db:5432/x?a=b\nthe second line";
    let overrides = [("FAKE_LOG", value), ("FAKE_EXIT", "3")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    let over = wire::ContainerOverride { container_name: "app".to_owned(), environment_overrides: overrides.into() };
    let request =
        wire::CreateTaskRequest { container_overrides: vec![over], copies: Some(3), ..new_task("job", &env, &id) };
    let task = done(&client, client.task_create(&request).await).await;
    let ended = client.task_get(&task).await.expect("it is there");
    assert_eq!((ended.status.as_str(), ended.copies, ended.containers.len()), ("STOPPED", 3, 3));
    assert!(ended.containers.iter().all(|it| it.exit_code == 3 && it.exited && it.status == "STOPPED"), "{ended:?}");
    assert_eq!(
        (ended.deploy_id.as_str(), ended.deploy_version.as_str()),
        ("job.1", "1"),
        "defect 8.5: a read lost them"
    );
    let logs = client.task_logs(&task, &wire::LogQuery::default()).await.expect("logs stay");
    assert_eq!(logs.len(), 3, "a file for each copy");
    assert_eq!(logs[0].lines.join("\n"), value);
    assert_eq!(refused(client.task_stop(&task).await).0, 422, "it has ended");
    // A follower of an ended task gets the lines and the end.
    let lines: Vec<_> = ends("the log", async {
        client.log_follow("task", &task, &wire::LogQuery::default()).await.expect("a stream").collect().await
    })
    .await;
    assert_eq!(lines.len(), 6);
    done(&client, client.task_delete(&task).await).await;
    assert_eq!(refused(client.task_logs(&task, &wire::LogQuery::default()).await).0, 404);

    let endless = deploy(&client, "endless", &[("FAKE_EXIT", "never")]).await;
    let running = client.task_create(&new_task("long", &env, &endless)).await.expect("accepted");
    says(&client, &running, "running").await;
    assert_eq!(client.task_get(&running.entity_id).await.expect("it is there").status, "RUNNING");
    done(&client, client.task_stop(&running.entity_id).await).await;
    assert_eq!(end_of(&client, &running).await.state, "superseded");
    let stopped = client.task_get(&running.entity_id).await.expect("it is there");
    assert_eq!((stopped.status.as_str(), stopped.cause.map(|it| it.class)), ("STOPPED", Some("stopped".to_owned())));
    assert_eq!(stopped.containers[0].exit_code, 143);
    assert!(!client.task_logs(&running.entity_id, &wire::LogQuery::default()).await.expect("logs stay").is_empty());

    let broken = deploy(&client, "broken", &[("FAKE_CANNOT_START", "no such user")]).await;
    let accepted = client.task_create(&new_task("broken", &env, &broken)).await.expect("accepted");
    let end = end_of(&client, &accepted).await;
    assert_eq!((end.state.as_str(), end.cause.map(|it| it.class)), ("failed", Some("cannot_start".to_owned())));
    let failed = client.task_get(&accepted.entity_id).await.expect("it is there");
    assert!(failed.status == "STOPPED" && failed.cause.is_some_and(|it| it.message.contains("no such user")));
}

/// A deploy names a tag; what runs is the digest that the tag had when the service was told to. A push changes nothing; the
/// same deploy rolled out again takes the new one.
#[tokio::test]
async fn a_pinned_digest_survives_a_push_of_the_tag() {
    let mut app = TestApp::start().await;
    let (raw, client) = (Raw::of(&app), app.client());
    let env = environment(&client, "dev").await;
    raw.post("/repository/team", &json!({"name": "app"})).await.expect(201);
    let first = raw.push("team/app", "1", "amd64", "first").await;
    let id = deploy_of(&client, "web", "registry.layer0.test/team/app:1", &[]).await;
    let made = client.deploy_get(&id).await.expect("it is there");
    let backing = format!("{}/team/app:1", app.registry_address());
    assert_eq!((made.images[0].resolved.as_str(), made.images[0].rule.is_some()), (backing.as_str(), true));
    let accepted = client.service_create(&new_service("web", &env, &id, 1)).await.expect("accepted");
    assert_eq!(accepted.images[0].image, "registry.layer0.test/team/app:1");
    assert!(accepted.images[0].resolved.ends_with(&first), "{accepted:?}");
    let web = done(&client, Ok(accepted)).await;
    let runs = async |client: &Client| {
        client.service_get(&web).await.expect("it is there").deployments[0].images[0].resolved.clone()
    };
    let line = async |client: &Client| {
        let logs = client.service_logs(&web, &wire::LogQuery::default()).await.expect("logs");
        logs.last().expect("a copy").lines[0].clone()
    };
    let second = raw.push("team/app", "1", "amd64", "second").await;
    assert_ne!(first, second);
    assert_eq!(
        client.image_resolve("registry.layer0.test/team/app:1").await.expect("a name").digest,
        Some(second.clone())
    );
    done(&client, client.service_update(&web, &to_scale(2)).await).await;
    app.restart().await;
    let client = app.client();
    done(&client, client.service_update(&web, &to_scale(3)).await).await;
    assert!(runs(&client).await.ends_with(&first), "a push, a new scale and a restart change nothing");
    assert!(line(&client).await.contains(&first), "the engine was told the digest");
    let task = client.task_create(&new_task("once", &env, &id)).await.expect("accepted");
    assert!(task.images[0].resolved.ends_with(&second), "a new task resolves anew");
    end_of(&client, &task).await;
    done(&client, client.service_update(&web, &to_deploy(&id)).await).await;
    assert!(runs(&client).await.ends_with(&second), "rolled out again it takes what the tag means now");
    assert!(line(&client).await.contains(&second));
}

/// Ports change without a detour, public or private: "listener diff by host port", "private-LB port update fails".
#[tokio::test]
async fn listeners_change_in_place() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let public = load_balancer(&client, "public", &env, &[8080]).await;
    let private = wire::CreateLoadBalancerRequest {
        is_public: false,
        ..crate::support::new_load_balancer("private", &env, &[9090])
    };
    let private = done(&client, client.load_balancer_create(&private).await).await;
    for (id, host_port) in [(&public, 8080), (&private, 9090)] {
        // The same host port to another container port: the predecessor saw no difference.
        let port = wire::Port { container_port: 5000, protocol: "tcp".to_owned(), ..crate::support::port(host_port) };
        let more = wire::Port { host_port: host_port + 1, ..port.clone() };
        let change = wire::UpdateLoadBalancerRequest { ports: Some(vec![port, more]), ..Default::default() };
        done(&client, client.load_balancer_update(id, &change).await).await;
        let ports = client.load_balancer_get(id).await.expect("it is there").ports;
        let seen: Vec<_> = ports.iter().map(|it| (it.host_port, it.container_port, it.protocol.as_str())).collect();
        assert_eq!(seen, [(host_port, 5000, "TCP"), (host_port + 1, 5000, "TCP")]);
        let drop = wire::UpdateLoadBalancerRequest { remove_ports: vec![host_port], ..Default::default() };
        done(&client, client.load_balancer_update(id, &drop).await).await;
        let gone = wire::UpdateLoadBalancerRequest { remove_ports: vec![1], ..Default::default() };
        assert_eq!(refused(client.load_balancer_update(id, &gone).await).0, 422);
        let all = wire::UpdateLoadBalancerRequest { remove_ports: vec![host_port + 1], ..Default::default() };
        assert_eq!(refused(client.load_balancer_update(id, &all).await).0, 422, "the last one stays");
    }
    // A service behind a load balancer must listen where it is sent to ("ALB ignores container_port").
    let id = deploy(&client, "web", &[]).await;
    let request = wire::CreateServiceRequest { load_balancer_id: public, ..new_service("web", &env, &id, 1) };
    let (status, error) = refused(client.service_create(&request).await);
    assert!(status == 422 && error.message.contains("5000") && error.message.contains("mapped: 80"), "{error:?}");
}

/// Spare capacity is a wish that one machine takes without a meaning, and says so; on machines of its own it makes no sense.
#[tokio::test]
async fn a_task_on_spare_capacity_runs_all_the_same_and_is_told_what_that_means() {
    let app = TestApp::start().await;
    let client = app.client();
    let env = environment(&client, "dev").await;
    let id = deploy(&client, "job", &[("FAKE_EXIT", "0")]).await;
    let spot = wire::CreateTaskRequest { spot: true, ..new_task("once", &env, &id) };
    let accepted = client.task_create(&spot).await.expect("it is taken");
    assert!(accepted.warnings.iter().any(|it| it.contains("`--spot` has no meaning here")), "{accepted:?}");
    assert_eq!(end_of(&client, &accepted).await.state, "succeeded");
    assert!(client.task_get(&accepted.entity_id).await.expect("it is there").spot);
    let both = wire::CreateTaskRequest { stateful: true, ..spot };
    let (status, error) = refused(client.task_create(&both).await);
    assert!(status == 422 && error.message.contains("none is spare capacity"), "{error:?}");
}
