//! What the fake can do beyond the contract: scripted behaviour, faults and time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt};
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{DeploymentId, EnvironmentId, ServiceId, TaskId};
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::name::Name;
use layer0_domain::model::registry::Platform;
use layer0_domain::model::task_definition::{Document, TaskDefinition};
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::{
    Capacity, CopyState, Engine, EngineError, LogQuery, Removed, Revision, Scope, ServiceMode, ServiceSeen,
    ServiceSpec, TaskRun, TaskSeen, TaskSpec, Want,
};
use layer0_domain::port::pull::{AnsweredBy, Fact, Launch, PullEvidence, PullQuestion, RemoteImage};
use layer0_engine::fake::{Behaviour, FakeEngine, Fault, Op, Pace};
use layer0_testkit::clock::FixedClock;
use layer0_testkit::sample;

use super::scripted_definition;

/// A fake at a clock that stands still, with one environment.
async fn fake() -> FakeEngine {
    let fake = FakeEngine::new(Arc::new(FixedClock::default()));
    fake.ensure(environment("env")).await.expect("an environment can be made");
    fake
}

fn environment(id: &str) -> Want {
    let environment = sample::environment(id, id);
    Want::Environment { environment, reachable_from: Vec::new() }
}

fn service(id: &str, copies: u32, definition: TaskDefinition) -> ServiceSpec {
    ServiceSpec {
        id: ServiceId::parse(id).expect("an id"),
        name: Name::parse(id).expect("a name"),
        environment: EnvironmentId::parse("env").expect("an id"),
        desired_count: copies,
        revision: Revision {
            deployment: DeploymentId::parse("first").expect("an id"),
            label: "app:1".to_owned(),
            definition,
        },
        mode: ServiceMode::Run,
        load_balancer: None,
        launch: Launch::Fargate,
        generation: Generation(1),
    }
}

fn task(id: &str, definition: TaskDefinition) -> TaskSpec {
    TaskSpec {
        id: TaskId::parse(id).expect("an id"),
        name: Name::parse(id).expect("a name"),
        environment: EnvironmentId::parse("env").expect("an id"),
        copies: 1,
        definition,
        run: TaskRun::Once,
        launch: Launch::Fargate,
        capacity: Capacity::Regular,
        generation: Generation(1),
    }
}

async fn service_seen(fake: &FakeEngine, id: &str) -> ServiceSeen {
    let entity = EntityRef::Service(ServiceId::parse(id).expect("an id"));
    let mut seen = fake.observe(Scope::One(entity)).await.expect("the fake answers");
    seen.services.pop().expect("the service is there")
}

async fn task_seen(fake: &FakeEngine, id: &str) -> TaskSeen {
    let entity = EntityRef::Task(TaskId::parse(id).expect("an id"));
    let mut seen = fake.observe(Scope::One(entity)).await.expect("the fake answers");
    seen.tasks.pop().expect("the task is there")
}

fn states(seen: &ServiceSeen) -> Vec<CopyState> {
    seen.copies.iter().map(|copy| copy.state).collect()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test]
async fn a_fault_hits_the_next_call_of_its_verb_only_and_nothing_is_done() {
    let fake = fake().await;
    let refusal = Failure::new(FailureClass::NoCapacity, "the machine is full");
    let wish = Want::Service(service("web", 1, scripted_definition(&[])));
    for fault in [Fault::Throttled, Fault::Unavailable, Fault::Failed, Fault::Refused(refusal.clone())] {
        fake.fail_next(Op::Ensure, fault.clone());
        assert!(fake.observe(Scope::All).await.expect("another verb").services.is_empty());
        match (&fault, fake.ensure(wish.clone()).await) {
            (Fault::Throttled, Err(EngineError::Throttled { .. }))
            | (Fault::Unavailable, Err(EngineError::Unavailable { .. }))
            | (Fault::Failed, Err(EngineError::Failed { .. })) => {}
            (Fault::Refused(_), Err(EngineError::Refused { failure })) => assert_eq!(*failure, refusal),
            (_, other) => panic!("{fault:?} became {other:?}"),
        }
        assert!(fake.observe(Scope::All).await.expect("another verb").services.is_empty(), "{fault:?} did something");
    }
    fake.ensure(wish).await.expect("no fault is left");
    assert_eq!(states(&service_seen(&fake, "web").await), [CopyState::Healthy]);
}

#[tokio::test]
async fn a_lost_answer_is_lost_after_the_deed() {
    let fake = fake().await;
    fake.fail_next(Op::Ensure, Fault::AnswerLost);
    let answer = fake.ensure(Want::Service(service("web", 1, scripted_definition(&[])))).await;
    assert!(matches!(answer, Err(EngineError::Unavailable { .. })), "{answer:?}");
    assert_eq!(service_seen(&fake, "web").await.copies.len(), 1);
}

#[tokio::test]
async fn a_fault_can_wait_for_the_nth_call() {
    let fake = fake().await;
    fake.fail_nth(2, Fault::Unavailable);
    let mut failed = Vec::new();
    for _ in 0..4 {
        failed.push(fake.observe(Scope::All).await.is_err());
    }
    assert_eq!(failed, [false, false, true, false]);
    fake.fail_nth(0, Fault::Unavailable);
    fake.clear_faults();
    fake.observe(Scope::All).await.expect("the fault was taken back");
}

#[tokio::test]
async fn calls_are_counted_by_verb_whatever_comes_of_them() {
    let fake = fake().await;
    let before = fake.calls_total();
    fake.set_available(false);
    let answer = fake.observe(Scope::All).await;
    assert!(matches!(answer, Err(EngineError::Unavailable { .. })), "{answer:?}");
    fake.set_available(true);
    fake.observe(Scope::All).await.expect("it is back");
    assert_eq!((fake.calls(Op::Observe), fake.calls(Op::Remove), fake.calls_total() - before), (2, 0, 2));
}

#[tokio::test]
async fn frozen_calls_go_on_when_it_thaws_and_hanging_ones_never() {
    let fake = fake().await;
    fake.freeze();
    let mut frozen = Box::pin(fake.observe(Scope::All));
    assert!(frozen.as_mut().now_or_never().is_none());
    fake.fail_next(Op::Observe, Fault::Hang);
    let mut hanging = Box::pin(fake.observe(Scope::All));
    assert!(hanging.as_mut().now_or_never().is_none());
    fake.unfreeze();
    frozen.await.expect("it thawed");
    assert!(hanging.now_or_never().is_none());
}

#[tokio::test]
async fn states_follow_each_other_at_their_pace() {
    let fake = fake().await;
    fake.set_pace(Pace { pull_ms: 100, healthy_after_ms: 50, drain_ms: 30, ..Pace::at_once() });
    fake.ensure(Want::Service(service("web", 2, scripted_definition(&[])))).await.expect("it can be done");
    let seen = service_seen(&fake, "web").await;
    assert_eq!(states(&seen), [CopyState::Pending; 2]);
    assert_eq!(seen.waiting_for.as_deref(), Some("the images of 2 of 2 copies"));
    fake.advance(ms(100));
    let seen = service_seen(&fake, "web").await;
    assert_eq!(states(&seen), [CopyState::Starting; 2]);
    assert_eq!(seen.waiting_for.as_deref(), Some("2 of 2 copies to pass their health check"));
    fake.advance(ms(49));
    assert_eq!(states(&service_seen(&fake, "web").await), [CopyState::Starting; 2]);
    fake.advance(ms(1));
    let seen = service_seen(&fake, "web").await;
    assert_eq!((states(&seen), seen.waiting_for), (vec![CopyState::Healthy; 2], None));

    let entity = EntityRef::Service(ServiceId::parse("web").expect("an id"));
    let waiting_for = "2 copies to finish their requests".to_owned();
    assert_eq!(fake.remove(&entity).await.expect("the fake answers"), Removed::Going { waiting_for });
    assert_eq!(states(&service_seen(&fake, "web").await), [CopyState::Draining; 2]);
    fake.advance(ms(30));
    assert_eq!(fake.remove(&entity).await.expect("the fake answers"), Removed::Gone);
}

#[tokio::test]
async fn crashed_copies_are_replaced_after_a_growing_pause() {
    let fake = fake().await;
    fake.ensure(Want::Service(service("web", 1, scripted_definition(&[])))).await.expect("it can be done");
    assert_eq!(service_seen(&fake, "web").await.lost, None);
    for (before, pause_ms) in [100, 200, 400].into_iter().enumerate() {
        let copy = service_seen(&fake, "web").await.copies.remove(0).id;
        assert!(fake.crash_copy(&copy, 137));
        let lost = service_seen(&fake, "web").await.lost.expect("one was lost");
        assert_eq!((lost.count as usize, lost.last.class), (before + 1, FailureClass::Exited));
        assert!(lost.last.message.ends_with("ended with exit code 137"), "{}", lost.last.message);
        assert!(!fake.crash_copy(&copy, 137), "it has ended already");
        fake.advance(ms(pause_ms - 1));
        let seen = service_seen(&fake, "web").await;
        assert_eq!((seen.copies.len(), seen.failures.len()), (0, 0), "an end after health is no failed start");
        assert_eq!(seen.waiting_for.as_deref(), Some("1 ms to pass before 1 of 1 copies are started again"));
        fake.advance(ms(1));
        let seen = service_seen(&fake, "web").await;
        assert_eq!(states(&seen), [CopyState::Healthy]);
        assert_ne!(seen.copies[0].id, copy);
    }
}

#[tokio::test]
async fn a_copy_that_falls_ill_recovers_or_is_replaced() {
    let fake = fake().await;
    fake.ensure(Want::Service(service("web", 1, scripted_definition(&[])))).await.expect("it can be done");
    let copy = service_seen(&fake, "web").await.copies.remove(0).id;
    assert!(fake.sicken_copy(&copy));
    assert_eq!(states(&service_seen(&fake, "web").await), [CopyState::Unhealthy]);
    assert!(fake.heal_copy(&copy));
    fake.advance(ms(200));
    assert_eq!(service_seen(&fake, "web").await.copies[0].id, copy);
    assert!(fake.sicken_copy(&copy));
    fake.advance(ms(200));
    let seen = service_seen(&fake, "web").await;
    assert_eq!(states(&seen), [CopyState::Healthy]);
    assert_ne!(seen.copies[0].id, copy);
}

#[tokio::test]
async fn failures_count_and_keep_the_last_lines() {
    let fake = fake().await;
    let lines = ["reading the configuration", "no such file"];
    fake.set_image_behaviour("team", Behaviour::exits(7).with_log(lines));
    fake.ensure(Want::Service(service("web", 1, scripted_definition(&[])))).await.expect("it can be done");
    // Pauses of 100, 200 and 400 ms.
    for (pause_ms, in_a_row) in [(0, 1), (99, 1), (1, 2), (200, 3), (399, 3), (1, 4)] {
        fake.advance(ms(pause_ms));
        let seen = service_seen(&fake, "web").await;
        assert_eq!((seen.failures.len(), seen.failures[0].in_a_row), (1, in_a_row));
        let failure = &seen.failures[0].last;
        assert_eq!(failure.class, FailureClass::Exited);
        let tail: Vec<_> = failure.log_tail.iter().map(|line| line.line.as_str()).collect();
        assert_eq!(tail, lines);
    }
    fake.set_image_behaviour("team", Behaviour::serves());
    fake.advance(ms(800));
    let seen = service_seen(&fake, "web").await;
    assert_eq!((states(&seen), seen.failures), (vec![CopyState::Healthy], vec![]), "health ends the count");
}

#[tokio::test]
async fn an_old_view_is_cut_off() {
    let old = fake().await;
    old.ensure(Want::Service(service("web", 1, scripted_definition(&[])))).await.expect("it can be done");
    let new = old.restart_view();
    let answer = old.observe(Scope::All).await;
    assert!(matches!(answer, Err(EngineError::Unavailable { .. })), "{answer:?}");
    let seen = service_seen(&new, "web").await;
    assert_eq!((seen.generation, seen.copies.len()), (None, 1));
    assert!(old.crash_copy(&seen.copies[0].id, 1), "scripting works through every handle");
    assert!(new.observe(Scope::All).await.expect("it answers").services.is_empty(), "nobody knows of it");
}

#[tokio::test]
async fn whoever_waits_for_a_change_sees_a_clock_that_is_set_forward() {
    let clock = Arc::new(FixedClock::default());
    let fake = FakeEngine::with_pace(Arc::clone(&clock) as _, Pace { pull_ms: 60_000, ..Pace::at_once() });
    fake.ensure(environment("env")).await.expect("it can be done");
    fake.ensure(Want::Service(service("web", 1, scripted_definition(&[])))).await.expect("it can be done");
    fake.changed().await;
    let mut change = Box::pin(fake.changed());
    assert!(change.as_mut().now_or_never().is_none(), "nothing has changed since");
    clock.advance_ms(60_000);
    layer0_testkit::until::ends("the change to be told", change).await;
    assert_eq!(states(&service_seen(&fake, "web").await), [CopyState::Healthy]);
}

#[tokio::test]
async fn a_container_that_serves_writes_on() {
    let fake = fake().await;
    fake.ensure(Want::Service(service("web", 1, scripted_definition(&[])))).await.expect("it can be done");
    let entity = EntityRef::Service(ServiceId::parse("web").expect("an id"));
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut follow = fake.logs(&entity, query).await.expect("it has a log");
    let mut next = async || follow.next().await.expect("it goes on").expect("no error").line;
    assert_eq!(next().await, "starting team/app:1");
    assert_eq!(next().await, "ready, waiting for requests");
    fake.advance(Duration::from_secs(20));
    assert_eq!(next().await, "7 requests answered, 0 failed");
    assert_eq!(next().await, "14 requests answered, 0 failed");
    let copy = service_seen(&fake, "web").await.copies.remove(0).id;
    assert!(fake.crash_copy(&copy, 9));
    assert_eq!(next().await, "ended with exit code 9");
}

#[tokio::test]
async fn a_task_takes_its_time_and_one_container_ends_the_others() {
    let fake = fake().await;
    fake.set_image_behaviour("sidecar", Behaviour::serves());
    let document = serde_json::json!({ "containerDefinitions": [
        { "name": "work", "image": "team/work", "memory": 64,
          "environment": [{ "name": "FAKE_EXIT", "value": "2" }, { "name": "FAKE_EXIT_AFTER_MS", "value": "500" }] },
        { "name": "once", "image": "team/once", "memory": 64, "essential": false,
          "environment": [{ "name": "FAKE_EXIT", "value": "0" }] },
        { "name": "proxy", "image": "sidecar/proxy:3", "memory": 64, "essential": false },
    ]});
    let definition = Document::from_canonical(document).expect("a legal document").definition().clone();
    fake.ensure(Want::Task(task("job", definition))).await.expect("it can be done");
    let status = |seen: &TaskSeen| {
        let containers = seen.copies[0].containers.iter();
        containers.map(|c| (c.status.clone(), c.outcome.as_ref().and_then(|o| o.exit_code))).collect::<Vec<_>>()
    };
    let running = || ("RUNNING".to_owned(), None);
    let stopped = |code| ("STOPPED".to_owned(), Some(code));
    assert_eq!(status(&task_seen(&fake, "job").await), [running(), stopped(0), running()]);
    fake.advance(ms(500));
    assert_eq!(status(&task_seen(&fake, "job").await), [stopped(2), stopped(0), stopped(143)]);
}

#[tokio::test]
async fn pull_evidence_tells_what_a_start_would_meet() {
    let fake = fake().await;
    let asked =
        |text: &str| PullQuestion::about(ImageRef::parse(text).expect("a legal reference"), AnsweredBy::Registry);
    fake.set_image_behaviour("team/gone", Behaviour::cannot_start(FailureClass::ImageNotFound, "no such image"));
    fake.set_image_behaviour("team/secret", Behaviour::cannot_start(FailureClass::PullDenied, "not for you"));
    let evidence = fake.pull_evidence(&asked("team/app:1")).await.expect("it answers");
    assert_eq!(evidence.platform.to_string(), "linux/amd64");
    assert!(matches!(evidence.remote, Some(RemoteImage::Found { .. })), "{:?}", evidence.remote);
    for (text, expected) in [("team/gone", RemoteImage::NotFound), ("team/secret:2", RemoteImage::Denied)] {
        let evidence = fake.pull_evidence(&asked(text)).await.expect("it answers");
        assert_eq!(evidence.remote, Some(expected));
    }
}

/// Images of ECR are looked at as on AWS; what is found out about an image can be set whole.
#[tokio::test]
async fn pull_evidence_of_ecr_is_as_on_aws_or_as_it_was_set() {
    let fake = fake().await;
    let image = |name: &str| {
        ImageRef::parse(&format!("111111111111.dkr.ecr.us-east-1.amazonaws.com/team/{name}"))
            .expect("a legal reference")
    };
    let asked = |name: &str| PullQuestion {
        environment: Some(EnvironmentId::parse("dev").expect("an id")),
        platform: Some(Platform { os: "linux".to_owned(), architecture: "arm64".to_owned(), variant: None }),
        ..PullQuestion::about(image(name), AnsweredBy::Registry)
    };
    let evidence = fake.pull_evidence(&asked("app:1")).await.expect("it answers");
    assert_eq!((evidence.remote, evidence.platform.to_string()), (None, "linux/arm64".to_owned()));
    let aws = evidence.aws.expect("as on AWS");
    assert!(matches!(aws.network, Fact::Known(_)), "{aws:?}");
    let open = PullQuestion { environment: None, ..asked("app:1") };
    let aws = fake.pull_evidence(&open).await.expect("it answers").aws.expect("as on AWS");
    assert!(matches!(aws.network, Fact::Unknown(_)), "whose network it would be is open");

    let set = PullEvidence { aws: None, remote: Some(RemoteImage::NotFound), ..evidence_here() };
    fake.set_pull_evidence(&image("app").to_string(), set.clone());
    assert_eq!(fake.pull_evidence(&asked("app:1")).await.expect("it answers"), set);
    assert_ne!(fake.pull_evidence(&asked("other:1")).await.expect("it answers"), set);
}

fn evidence_here() -> PullEvidence {
    let platform = Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: None };
    PullEvidence { platform, local: None, remote: None, aws: None }
}

#[tokio::test]
async fn values_that_mean_nothing_are_named_in_warnings() {
    let fake = fake().await;
    let warnings = fake.warnings(&scripted_definition(&[("FAKE_EXIT", "soon"), ("FAKE_PULL_MS", "-1")]), None);
    assert_eq!(
        warnings,
        [
            "container `main`: FAKE_PULL_MS=`-1` is not a number and is ignored",
            "container `main`: FAKE_EXIT=`soon` is not a number or `never` and is ignored",
        ]
    );
    assert!(fake.warnings(&scripted_definition(&[("FAKE_EXIT", "3")]), None).is_empty());
}

#[tokio::test]
async fn ten_thousand_services_are_cheap() {
    let fake = fake().await;
    let began = Instant::now();
    let definition = scripted_definition(&[]);
    for n in 0..10_000 {
        let spec = service(&format!("service-{n}"), 2, definition.clone());
        fake.ensure(Want::Service(spec)).await.expect("it can be done");
    }
    let seen = fake.observe(Scope::All).await.expect("it answers");
    assert_eq!(seen.services.iter().filter(|seen| states(seen) == [CopyState::Healthy; 2]).count(), 10_000);
    let next = fake.restart_view();
    for n in 0..10_000 {
        let spec = service(&format!("service-{n}"), 2, definition.clone());
        next.ensure(Want::Service(spec)).await.expect("it can be done");
    }
    assert_eq!(next.observe(Scope::All).await.expect("it answers").services, seen.services);
    // Far beyond what it takes (well under a second), far below what anything quadratic would.
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
