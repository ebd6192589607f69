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
        lost: None,
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
fn no_copies_prove_nothing() {
    let cause = Failure::new(FailureClass::Exited, "x");
    let failed = failed(service(0, vec![deployment("bad", DeploymentState::InProgress)]), cause, NOW);
    let scaled = healthy(failed, NOW);
    assert_eq!((scaled.wanted().state, scaled.wanted().was_healthy), (DeploymentState::Failed, false));

    let mut new = deployment("new", DeploymentState::InProgress);
    new.was_healthy = false;
    let none = healthy(service(0, vec![new]), NOW);
    assert_eq!((none.wanted().state, none.wanted().was_healthy), (DeploymentState::Healthy, false));
    let one = healthy(Service { desired_count: 1, ..none }, NOW);
    assert!(one.wanted().was_healthy, "its copy ran");
    let none_again = healthy(Service { desired_count: 0, ..one }, NOW);
    assert!(none_again.wanted().was_healthy, "it ran once");
}

/// A roll-out that came to its end while no copy was wanted goes back when its first copies fail, and can be aborted until then.
#[test]
fn what_was_rolled_out_without_copies_is_not_proven() {
    let mut new = deployment("new", DeploymentState::InProgress);
    new.was_healthy = false;
    let mut old = deployment("old", DeploymentState::Healthy);
    old.was_healthy = true;
    let none = healthy(service(0, vec![new, old]), NOW);
    assert_eq!(none.wanted().state, DeploymentState::Healthy);
    assert!(goes_back(&none));
    let back = aborted(none.clone(), NOW).expect("it is under way");
    assert_eq!((back.wanted().id.as_str(), back.wanted().state), ("old", DeploymentState::Healthy));
    let proven = healthy(Service { desired_count: 1, ..none }, NOW);
    assert!(!goes_back(&proven) && aborted(proven, NOW).is_none());
    // With nothing to go back to it has failed, and no copy of it is started any more.
    let mut first = deployment("first", DeploymentState::InProgress);
    first.was_healthy = false;
    let first = Service { desired_count: 1, ..healthy(service(0, vec![first]), NOW) };
    let cause = Failure::new(FailureClass::Exited, "x");
    assert_eq!(failed(first, cause, NOW).wanted().state, DeploymentState::Failed);
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

/// A copy that ECS finds no place for fails no start; when it never comes to one, that is the cause.
#[test]
fn what_was_never_begun_ends_with_the_reason() {
    let service = service(1, vec![deployment("new", DeploymentState::InProgress)]);
    let mut seen = seen(&[], 0);
    seen.failures[0].last = Failure::new(FailureClass::NoCapacity, "the quota is used up");
    seen.waiting_for = Some("ECS to start copies: the quota is used up".to_owned());
    match judge(&service, Some(&seen), Timestamp(0), NOW) {
        Verdict::Wait(text) => assert_eq!(text, "waiting for ECS to start copies: the quota is used up"),
        other => panic!("{other:?}"),
    }
    match judge(&service, Some(&seen), Timestamp(0), Timestamp(DEADLINE_MS + 1)) {
        Verdict::Failed(cause) => assert_eq!(cause.class, FailureClass::NoCapacity),
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

#[test]
fn an_abort_goes_back_to_what_ran_before() {
    let update = service(
        2,
        vec![
            deployment("new", DeploymentState::InProgress),
            deployment("broken", DeploymentState::Failed),
            deployment("old", DeploymentState::Healthy),
        ],
    );
    let back = aborted(update, NOW).expect("a roll-out is under way");
    assert_eq!((back.wanted().id.as_str(), back.wanted().state), ("old", DeploymentState::Healthy));
    assert_eq!(back.deployments[1].state, DeploymentState::Aborted);
    assert_eq!(back.deployments[1].cause.as_ref().map(|cause| cause.class), Some(FailureClass::Stopped));
    assert_eq!(back.copies_wanted(), 2);
    assert!(aborted(back.clone(), NOW).is_none(), "nothing is under way any more");
    use CopyState::{Healthy, Starting};
    let look = |copies: &[(&str, CopyState)]| judge(&back, Some(&seen(copies, 3)), Timestamp(0), NOW);
    assert!(matches!(look(&[("old", Healthy), ("old", Healthy), ("new", Starting)]), Verdict::Wait(_)));
    let Verdict::Done(text) = look(&[("old", Healthy), ("old", Healthy)]) else { panic!("it is as before") };
    assert_eq!(
        told(Verb::Abort, &back, &text),
        "app:1 was aborted; the service is back at app:1: 2 copies run and are healthy"
    );
    assert_eq!(told(Verb::Rollback, &back, &text), "went back to app:1: 2 copies run and are healthy");
    assert_eq!(told(Verb::Update, &back, &text), text);
}

#[test]
fn an_abort_of_the_only_roll_out_leaves_no_copy() {
    let create = service(2, vec![deployment("new", DeploymentState::InProgress)]);
    let ended = aborted(create, NOW).expect("a roll-out is under way");
    assert!(ended.halted() && ended.copies_wanted() == 0 && ended.desired_count == 2);
    let look = |copies: &[(&str, CopyState)]| judge(&ended, Some(&seen(copies, 3)), Timestamp(0), NOW);
    assert!(matches!(look(&[("new", CopyState::Healthy)]), Verdict::Wait(_)), "its failures count no more");
    let Verdict::Done(text) = look(&[("new", CopyState::Draining)]) else { panic!("nothing lasts") };
    assert_eq!(
        told(Verb::Abort, &ended, &text),
        "app:1 was aborted, and there was nothing to go back to: no copy runs"
    );
    let after = healthy(ended, NOW);
    assert_eq!((after.wanted().state, after.wanted().was_healthy), (DeploymentState::Aborted, false));
}

#[test]
fn what_may_be_gone_back_to_is_known_while_another_one_is_rolled_out() {
    let of = |id: &str, deploy: &str, state| Deployment {
        deploy: DeployId::parse(deploy).expect("an id"),
        ..deployment(id, state)
    };
    use DeploymentState::{Healthy, InProgress};
    let ids = |service: &Service| -> Vec<String> { service.ways_back().map(|it| it.id.to_string()).collect() };
    let (a, b1, b2) = (of("a", "app.1", Healthy), of("b1", "app.2", Healthy), of("b2", "app.2", Healthy));
    let again = service(1, vec![b2.clone(), b1.clone(), a.clone()]);
    assert_eq!(again.before().map(|it| it.id.as_str()), Some("a"));
    let update = service(1, vec![of("c", "app.3", InProgress), b2, b1, a]);
    assert_eq!(ids(&update), ["b2", "b2", "a"]);
    let back = aborted(update, NOW).expect("a roll-out is under way");
    assert_eq!((back.wanted().id.as_str(), back.before().map(|it| it.id.as_str())), ("b2", Some("a")));
}

#[test]
fn what_was_aborted_is_nothing_to_go_back_to() {
    let update =
        service(1, vec![deployment("new", DeploymentState::InProgress), deployment("old", DeploymentState::Aborted)]);
    assert!(update.fallback().is_none());
    for state in [DeploymentState::Healthy, DeploymentState::Failed, DeploymentState::Aborted] {
        assert!(aborted(service(1, vec![deployment("new", state)]), NOW).is_none(), "{state:?}");
    }
}
