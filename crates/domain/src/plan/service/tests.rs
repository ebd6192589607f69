use super::*;
use crate::model::id::{CopyId, DeployId, DeploymentId, EnvironmentId, ServiceId};
use crate::model::name::Name;
use crate::model::service::Deployment;
use crate::model::task_definition::Document;
use crate::model::time::Generation;
use crate::port::engine::{CopySeen, StartFailures};

fn deployment(id: &str, state: DeploymentState) -> Deployment {
    let document = Document::parse(br#"{"containerDefinitions":[{"name":"web","image":"team/app:1","memory":64}]}"#);
    Deployment {
        id: DeploymentId::parse(id).expect("an id"),
        deploy: DeployId::parse("app.1").expect("an id"),
        deploy_name: Name::parse("app").expect("a name"),
        deploy_version: 1,
        images: vec![],
        definition: document.expect("a legal document").definition().clone(),
        was_healthy: state == DeploymentState::Healthy,
        state,
        cause: None,
        created: Timestamp(0),
        updated: Timestamp(0),
    }
}

fn service(desired: u32, deployments: Vec<Deployment>) -> Service {
    Service {
        id: ServiceId::parse("web-1").expect("an id"),
        name: Name::parse("web").expect("a name"),
        environment: EnvironmentId::parse("env-1").expect("an id"),
        load_balancer: None,
        stateful: false,
        desired_count: desired,
        deployments,
        created: Timestamp(0),
        generation: Generation(2),
        deleting: false,
    }
}

fn seen(copies: &[(&str, CopyState)], failures: u32) -> ServiceSeen {
    let copies = copies.iter().enumerate().map(|(n, (deployment, state))| CopySeen {
        id: CopyId::parse(&format!("c{n}")).expect("an id"),
        deployment: Some(DeploymentId::parse(deployment).expect("an id")),
        state: *state,
        started: None,
        containers: vec![],
    });
    let last = Failure::new(FailureClass::Exited, "container `web` ended with exit code 1");
    ServiceSeen {
        id: ServiceId::parse("web-1").expect("an id"),
        generation: Some(Generation(2)),
        copies: copies.collect(),
        failures: vec![StartFailures {
            deployment: DeploymentId::parse("new").expect("an id"),
            in_a_row: failures,
            last,
        }],
        waiting_for: None,
        warnings: vec![],
        problem: None,
    }
}

const NOW: Timestamp = Timestamp(1000);

#[test]
fn done_when_the_new_ones_are_healthy_and_the_old_ones_go() {
    let service =
        service(2, vec![deployment("new", DeploymentState::InProgress), deployment("old", DeploymentState::Healthy)]);
    let judge = |copies: &[(&str, CopyState)]| judge(&service, Some(&seen(copies, 0)), Timestamp(0), NOW);
    use CopyState::{Draining, Healthy, Starting};
    assert!(matches!(judge(&[("new", Healthy), ("new", Starting), ("old", Healthy)]), Verdict::Wait(_)));
    assert!(matches!(judge(&[("new", Healthy), ("new", Healthy), ("old", Healthy)]), Verdict::Wait(_)));
    assert_eq!(
        judge(&[("new", Healthy), ("new", Healthy), ("old", Draining)]),
        Verdict::Done("2 copies run and are healthy".to_owned())
    );
}

#[test]
fn three_equal_failures_roll_back_or_fail() {
    let old = deployment("old", DeploymentState::Healthy);
    let update = service(1, vec![deployment("new", DeploymentState::InProgress), old]);
    let create = service(1, vec![deployment("new", DeploymentState::InProgress)]);
    let two = seen(&[("old", CopyState::Healthy)], 2);
    let three = seen(&[("old", CopyState::Healthy)], 3);
    assert!(matches!(judge(&update, Some(&two), Timestamp(0), NOW), Verdict::Wait(_)));
    assert!(matches!(judge(&update, Some(&three), Timestamp(0), NOW), Verdict::RollBack(_)));
    assert!(matches!(judge(&create, Some(&three), Timestamp(0), NOW), Verdict::Failed(_)));

    let cause = Failure::new(FailureClass::Exited, "x");
    let back = rolled_back(update, cause.clone(), NOW);
    assert_eq!(back.wanted().id.as_str(), "old");
    assert_eq!(back.wanted().state, DeploymentState::Healthy);
    assert_eq!(back.deployments[1].state, DeploymentState::RolledBack);
    let ended = failed(create, cause, NOW);
    assert!(ended.halted());
}

#[test]
fn an_older_look_means_nothing() {
    let service = service(1, vec![deployment("new", DeploymentState::InProgress)]);
    let mut early = seen(&[("new", CopyState::Healthy)], 3);
    early.generation = Some(Generation(1));
    assert!(matches!(judge(&service, Some(&early), Timestamp(0), NOW), Verdict::Wait(_)));
    assert!(matches!(judge(&service, None, Timestamp(0), NOW), Verdict::Wait(_)));
}

#[test]
fn nothing_waits_for_ever() {
    let service = service(1, vec![deployment("new", DeploymentState::InProgress)]);
    let late = Timestamp(DEADLINE_MS + 1);
    let waits = judge(&service, Some(&seen(&[], 0)), Timestamp(1), late);
    assert!(matches!(waits, Verdict::Wait(_)), "time before anybody could do anything does not count");
    match judge(&service, Some(&seen(&[], 0)), Timestamp(0), late) {
        Verdict::Failed(cause) => assert_eq!(cause.class, FailureClass::Exited),
        other => panic!("{other:?}"),
    }
}

#[test]
fn scaling_a_failed_service_down_to_nothing_works() {
    let mut nothing = service(0, vec![deployment("new", DeploymentState::Failed)]);
    assert!(matches!(judge(&nothing, Some(&seen(&[], 3)), Timestamp(0), NOW), Verdict::Done(_)));
    nothing.desired_count = 1;
    assert!(matches!(judge(&nothing, Some(&seen(&[], 3)), Timestamp(0), NOW), Verdict::Failed(_)));
}
