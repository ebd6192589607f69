//! Crashes and faults at every step of every workflow: each comes to the same end, and nothing is started twice.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use layer0_api::types as wire;
use layer0_domain::port::engine::{Engine, Scope, Want};
use layer0_engine::fake::{Fault, Pace};
use layer0_server::testing::{TestApp, TestOptions};
use layer0_testkit::clock::FixedClock;
use layer0_testkit::sample;
use layer0_testkit::until::until;

use crate::support::{
    deploy, done, end_of, environment, followed, load_balancer, new_service, service, to_deploy, to_scale,
};

/// Something that a user asks for, with what has to be there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Workflow {
    ServiceCreate,
    ServiceUpdate,
    ServiceScale,
    ServiceAbort,
    ServiceRollback,
    ServiceDelete,
    EnvironmentDelete,
    TaskCreate,
    LoadBalancerUpdate,
}

const ALL: [Workflow; 9] = [
    Workflow::ServiceCreate,
    Workflow::ServiceUpdate,
    Workflow::ServiceScale,
    Workflow::ServiceAbort,
    Workflow::ServiceRollback,
    Workflow::ServiceDelete,
    Workflow::EnvironmentDelete,
    Workflow::TaskCreate,
    Workflow::LoadBalancerUpdate,
];

/// What is there before a workflow begins.
struct Before {
    env: String,
    linked: String,
    balancer: String,
    service: String,
    old: String,
    new: String,
}

async fn before(app: &TestApp, workflow: Workflow) -> Before {
    let client = app.client();
    let (env, linked) = (environment(&client, "dev").await, environment(&client, "prod").await);
    let link = wire::UpdateEnvironmentRequest { add_links: vec![env.clone()], ..Default::default() };
    done(&client, client.environment_update(&linked, &link).await).await;
    let balancer = load_balancer(&client, "lb", &env, &[8080]).await;
    let (old, new) = (deploy(&client, "web", &[]).await, deploy(&client, "web", &[]).await);
    let service = service(&client, "old", &env, &old, 2).await;
    match workflow {
        // Something to end, and something to go back to.
        Workflow::ServiceAbort => {
            let endless = deploy(&client, "endless", &[("FAKE_PULL_MS", "3600000")]).await;
            let update = client.service_update(&service, &to_deploy(&endless)).await.expect("accepted");
            let id = update.operation_id.expect("an operation");
            until("the roll-out to be under way", || async {
                let events = client.operation_events(&id).await.expect("events");
                let waits = events.iter().any(|event| event.message.contains("the images of 2 of 2 copies"));
                if waits { Ok(()) } else { Err(format!("{events:?}")) }
            })
            .await;
        }
        Workflow::ServiceRollback => {
            done(&client, client.service_update(&service, &to_deploy(&new)).await).await;
        }
        _ => {}
    }
    Before { env, linked, balancer, service, old, new }
}

impl Workflow {
    async fn begin(self, app: &TestApp, b: &Before) -> wire::CreateEntityResponse {
        let client = app.client();
        let accepted = match self {
            Self::ServiceCreate => {
                let request = wire::CreateServiceRequest {
                    load_balancer_id: b.balancer.clone(),
                    ..new_service("new", &b.env, &b.old, 2)
                };
                client.service_create(&request).await
            }
            Self::ServiceUpdate => client.service_update(&b.service, &to_deploy(&b.new)).await,
            Self::ServiceScale => client.service_update(&b.service, &to_scale(3)).await,
            Self::ServiceAbort => client.service_abort(&b.service).await,
            Self::ServiceRollback => {
                client.service_rollback(&b.service, &wire::RollbackServiceRequest::default()).await
            }
            Self::ServiceDelete => client.service_delete(&b.service).await,
            Self::EnvironmentDelete => client.environment_delete(&b.linked).await,
            Self::TaskCreate => {
                let request = wire::CreateTaskRequest {
                    task_name: "once".to_owned(),
                    environment_id: b.env.clone(),
                    deploy_id: b.old.clone(),
                    copies: Some(2),
                    ..Default::default()
                };
                client.task_create(&request).await
            }
            Self::LoadBalancerUpdate => {
                let change = wire::UpdateLoadBalancerRequest {
                    add_ports: vec![crate::support::port(9090)],
                    ..Default::default()
                };
                client.load_balancer_update(&b.balancer, &change).await
            }
        };
        accepted.expect("accepted")
    }
}

/// What is there in the end, without what differs from run to run (ids, times): states of entities, listeners, links, and
/// how many copies were ever started.
async fn picture(app: &TestApp) -> String {
    let client = app.client();
    let mut lines = Vec::new();
    for it in client.environment_list().await.expect("a list") {
        let links = client.environment_get(&it.environment_id).await.expect("it is there").links.len();
        lines.push(format!("environment {} links {links}", it.environment_name));
    }
    for it in client.service_list().await.expect("a list") {
        let it = client.service_get(&it.service_id).await.expect("it is there");
        let wanted = &it.deployments[0];
        lines.push(format!(
            "service {} {}/{} {} {}",
            it.service_name, it.running_count, it.desired_count, wanted.deploy_id, wanted.state
        ));
    }
    for it in client.task_list().await.expect("a list") {
        let it = client.task_get(&it.task_id).await.expect("it is there");
        let codes: Vec<i64> = it.containers.iter().map(|it| it.exit_code).collect();
        lines.push(format!("task {} {} {codes:?}", it.task_name, it.status));
    }
    let seen = app.fake().observe(Scope::All).await.expect("the engine answers");
    lines.push(format!("engine: {} environments, links {:?}", seen.environments.len(), {
        let mut links: Vec<usize> = seen.environments.iter().map(|it| it.reachable_from.len()).collect();
        links.sort_unstable();
        links
    }));
    for it in &seen.load_balancers {
        lines.push(format!("engine: listens on {:?}", it.listening));
    }
    let mut started: Vec<String> =
        seen.services.iter().flat_map(|it| &it.copies).map(|it| format!("{} {:?}", it.id, it.state)).collect();
    started.extend(seen.tasks.iter().flat_map(|it| &it.copies).map(|it| format!("{} {:?}", it.id, it.state)));
    // Copies are numbered in the order of their start: one that was started twice would leave a gap or a higher number.
    started.sort();
    lines.push(format!("engine: {started:?}"));
    lines.join("\n")
}

/// Waits until nothing is on its way out any more, and every load balancer listens: listeners are part of the server, so
/// that after a kill they are back a moment later than an operation that had ended before it.
async fn settled(app: &TestApp) -> String {
    until("the engine to come to rest", || async {
        let wanted = app.client().load_balancer_list().await.expect("a list").len();
        let now = picture(app).await;
        if now.matches("engine: listens on").count() < wanted {
            return Err(now);
        }
        if now.contains("Draining") || now.contains("Starting") || now.contains("Pending") { Err(now) } else { Ok(now) }
    })
    .await
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs a workflow with a fault at call `n` of the engine; answers the picture at the end, and whether the fault came.
fn with_fault(workflow: Workflow, n: u64, fault: Fault) -> Boxed<'static, (String, bool)> {
    Box::pin(async move {
        let app = TestApp::start().await;
        let b = before(&app, workflow).await;
        let calls = app.fake().calls_total();
        app.fake().fail_nth(n, fault.clone());
        let accepted = workflow.begin(&app, &b).await;
        let end = end_of(&app.client(), &accepted).await;
        assert_eq!(end.state, "succeeded", "{workflow:?} with {fault:?} at call {n}: {end:?}");
        let came = app.fake().calls_total() > calls + n;
        app.fake().clear_faults();
        (settled(&app).await, came)
    })
}

/// Runs a workflow with the server killed at call `n`, before the engine does it (`Hang`) or after it was done
/// (`AnswerLost`); answers the picture at the end, and whether the workflow came that far.
fn with_kill(workflow: Workflow, n: u64, fault: Fault) -> Boxed<'static, (String, bool)> {
    Box::pin(async move {
        let mut app = TestApp::start().await;
        let b = before(&app, workflow).await;
        let calls = app.fake().calls_total();
        app.fake().fail_nth(n, fault.clone());
        let accepted = workflow.begin(&app, &b).await;
        let id = accepted.operation_id.clone().expect("an operation");
        let client = app.client();
        let came = until(format!("call {n} of {workflow:?}"), || async {
            if app.fake().calls_total() > calls + n {
                return Ok(true);
            }
            let state = client.operation_get(&id).await.expect("an operation").state;
            if state == "running" { Err(state) } else { Ok(false) }
        })
        .await;
        app.restart().await;
        app.fake().clear_faults();
        let (_, end) = followed(&app.client(), &id).await;
        assert_eq!(end.state, "succeeded", "{workflow:?} killed at call {n} ({fault:?}): {end:?}");
        (settled(&app).await, came)
    })
}

/// How many calls an undisturbed run makes, and its picture.
async fn undisturbed(workflow: Workflow) -> (u64, String) {
    let app = TestApp::start().await;
    let b = before(&app, workflow).await;
    let calls = app.fake().calls_total();
    let accepted = workflow.begin(&app, &b).await;
    assert_eq!(end_of(&app.client(), &accepted).await.state, "succeeded");
    let calls = app.fake().calls_total() - calls;
    (calls, settled(&app).await)
}

/// Tries every call from `first` on, all at the same time; asserts that all come to the same end as an undisturbed run.
#[expect(clippy::print_stdout, reason = "how much was tried belongs to the test's output")]
async fn at_every_step_from<F>(first: u64, workflow: Workflow, what: &str, run: F)
where
    F: Fn(u64) -> Boxed<'static, (String, bool)>,
{
    let (calls, undisturbed) = undisturbed(workflow).await;
    assert!(calls > first, "{workflow:?} makes no call");
    let outcomes = join_all((first..calls).map(run)).await;
    let came = outcomes.iter().filter(|(_, came)| *came).count();
    assert!(came > 0, "{workflow:?}: no fault came");
    println!("{workflow:?} with {what}: {calls} calls, {came} faults came");
    for (n, (picture, _)) in (first..).zip(&outcomes) {
        assert_eq!(*picture, undisturbed, "{workflow:?} with {what} at call {n}");
    }
}

/// As [`at_every_step_from`] the first call.
async fn at_every_step<F>(workflow: Workflow, what: &str, run: F)
where
    F: Fn(u64) -> Boxed<'static, (String, bool)>,
{
    at_every_step_from(0, workflow, what, run).await;
}

#[tokio::test]
async fn an_engine_that_does_not_answer_at_any_step_changes_nothing_in_the_end() {
    for workflow in ALL {
        at_every_step(workflow, "no answer", |n| with_fault(workflow, n, Fault::Unavailable)).await;
    }
}

#[tokio::test]
async fn an_answer_lost_at_any_step_changes_nothing_in_the_end() {
    for workflow in ALL {
        at_every_step(workflow, "a lost answer", |n| with_fault(workflow, n, Fault::AnswerLost)).await;
    }
}

#[tokio::test]
async fn a_throttled_or_failing_engine_at_any_step_changes_nothing_in_the_end() {
    for workflow in [Workflow::ServiceUpdate, Workflow::EnvironmentDelete] {
        at_every_step(workflow, "throttling", |n| with_fault(workflow, n, Fault::Throttled)).await;
    }
    // Not with a pull check, which is refused when the engine fails at it.
    for workflow in [Workflow::ServiceScale, Workflow::EnvironmentDelete] {
        at_every_step(workflow, "a failure", |n| with_fault(workflow, n, Fault::Failed)).await;
    }
}

#[tokio::test]
async fn a_kill_before_any_step_changes_nothing_in_the_end() {
    for workflow in ALL {
        // The pull check's two calls belong to the request, before anything is written.
        let checks = matches!(
            workflow,
            Workflow::ServiceCreate | Workflow::ServiceUpdate | Workflow::ServiceRollback | Workflow::TaskCreate
        );
        let first = if checks { 2 } else { 0 };
        at_every_step_from(first, workflow, "a kill before it", |n| with_kill(workflow, n, Fault::Hang)).await;
    }
}

#[tokio::test]
async fn a_kill_after_any_step_changes_nothing_in_the_end() {
    for workflow in ALL {
        at_every_step(workflow, "a kill after it", |n| with_kill(workflow, n, Fault::AnswerLost)).await;
    }
}

/// A roll-out that takes its time, on a clock that stands still but for what this lets pass; with a kill after each event
/// or without. Answers the picture at the end and how many events came before it.
async fn slow_rollout(kill: bool) -> (String, usize) {
    let options = TestOptions { clock: Arc::new(FixedClock::default()), ..TestOptions::default() };
    let mut app = TestApp::with(options).await;
    let b = before(&app, Workflow::ServiceUpdate).await;
    app.fake().set_pace(Pace { pull_ms: 40, healthy_after_ms: 40, drain_ms: 40, ..Pace::at_once() });
    let accepted = Workflow::ServiceUpdate.begin(&app, &b).await;
    let id = accepted.operation_id.as_deref().expect("an operation");
    let mut seen = 0;
    loop {
        let client = app.client();
        let running = until("another event", || async {
            let state = client.operation_get(id).await.expect("an operation").state;
            let events = client.operation_events(id).await.expect("events");
            if state != "running" {
                return Ok(None);
            }
            if events.len() > seen {
                return Ok(Some(events.len()));
            }
            app.fake().advance(Duration::from_millis(5));
            Err(format!("{events:?}"))
        })
        .await;
        match running {
            Some(events) => seen = events,
            None => break,
        }
        if kill {
            app.restart().await;
            // Each server says anew what it waits for: time passes for each of them, or this would go on for ever.
            app.fake().advance(Duration::from_millis(5));
        }
    }
    assert_eq!(followed(&app.client(), id).await.1.state, "succeeded");
    app.fake().advance(Duration::from_secs(1));
    (settled(&app).await, seen)
}

/// Killed after each event of a roll-out, the operation goes on where it was.
#[tokio::test]
async fn a_kill_after_every_event_of_a_rollout_changes_nothing_in_the_end() {
    let (undisturbed, events) = slow_rollout(false).await;
    assert!(events >= 2, "it takes its time");
    let (killed, events) = slow_rollout(true).await;
    assert!(events >= 2, "it was killed more than once");
    assert_eq!(killed, undisturbed);
}

/// After a kill everything that ran is adopted: not one copy is started or stopped.
#[tokio::test]
async fn what_runs_is_adopted_and_strays_are_swept() {
    let mut app = TestApp::start().await;
    let b = before(&app, Workflow::ServiceCreate).await;
    let client = app.client();
    for n in 0..5 {
        service(&client, &format!("s{n}"), &b.env, &b.old, 2).await;
    }
    let undisturbed = settled(&app).await;
    app.restart().await;
    // What nobody knows, as an older backup of the store would leave behind.
    let stray = sample::environment("stray-1", "stray");
    app.fake()
        .ensure(Want::Environment { environment: stray, reachable_from: vec![] })
        .await
        .expect("the engine takes it");
    app.restart().await;
    until("the stray to be swept and everything to be adopted", || async {
        let now = settled(&app).await;
        if now == undisturbed { Ok(()) } else { Err(now) }
    })
    .await;
    let seen = app.fake().observe(Scope::All).await.expect("the engine answers");
    assert!(seen.services.iter().all(|it| it.generation.is_some()), "the engine was told of all of them again");
}
