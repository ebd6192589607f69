//! What holds for the port as a whole.

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::{EnvironmentId, LoadBalancerId, ServiceId, TaskId};
use layer0_domain::port::engine::{EngineError, LogQuery, Removed};
use layer0_domain::port::pull::aws::EcrImage;
use layer0_domain::port::pull::{AnsweredBy, Fact, PullQuestion, RemoteImage};
use layer0_domain::port::trail::{Trail, TrailAbout, TrailQuery};

use super::{Role, Subject, wish_service};
use crate::until::ends;

/// An engine says what it is.
pub async fn capabilities_have_a_name(subject: Subject) {
    assert!(!subject.engine().capabilities().name.is_empty());
    subject.leave().await;
}

/// Whoever waits for a change is woken when a copy comes up.
pub async fn change_is_told(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.service_wanted(&environment, Role::Serves, 1);
    subject.ensure(wish_service(&spec)).await;
    // Each return of `changed` is followed by a look, as the reconciler does it; nothing else drives the loop.
    ends("a change to be told until the service is healthy", async {
        loop {
            let seen = subject.service_seen(&spec.id).await;
            if seen.is_some_and(|seen| super::is_steady(&seen, &spec)) {
                break;
            }
            subject.engine().changed().await;
        }
    })
    .await;
    subject.leave().await;
}

/// What isn't there is gone.
pub async fn removing_the_unknown_is_done(subject: Subject) {
    for entity in unknown(&subject) {
        let answer = subject.engine().remove(&entity).await;
        assert!(matches!(answer, Ok(Removed::Gone)), "{entity}: {answer:?}");
    }
    subject.leave().await;
}

/// What isn't there has no log.
pub async fn logs_of_the_unknown_are_missing(subject: Subject) {
    for entity in unknown(&subject) {
        match subject.engine().logs(&entity, LogQuery::default()).await {
            Err(EngineError::Missing { entity: named }) => assert_eq!(named, entity),
            Err(other) => panic!("{entity}: {other}"),
            Ok(_) => panic!("{entity} isn't there, but has a log"),
        }
    }
    subject.leave().await;
}

/// Nobody wrote down anything about what never was; nothing is said to be missing; and whatever the platform wrote down about
/// the instance comes in order, no more of it than was asked for.
pub async fn trail_of_the_unknown_is_empty(subject: Subject) {
    let ask = async |about: TrailAbout, most: u32| {
        let query = TrailQuery { about, start: None, end: None, most };
        let trail = subject.engine().trail(&query).await;
        trail.unwrap_or_else(|error| panic!("the engine has to answer: {error}"))
    };
    let id = EnvironmentId::parse(&subject.fresh("none")).expect("made to be an id");
    let members = unknown(&subject).to_vec();
    assert_eq!(ask(TrailAbout::Environment { id, members }, 10).await, Trail::default());
    let Trail { records, gap } = ask(TrailAbout::Instance, 3).await;
    assert_eq!(gap, None);
    assert!(records.len() <= 3 && records.is_sorted_by_key(|record| record.at), "{records:?}");
    subject.leave().await;
}

fn unknown(subject: &Subject) -> [EntityRef; 4] {
    [
        EntityRef::Environment(EnvironmentId::parse(&subject.fresh("none")).expect("made to be an id")),
        EntityRef::LoadBalancer(LoadBalancerId::parse(&subject.fresh("none")).expect("made to be an id")),
        EntityRef::Service(ServiceId::parse(&subject.fresh("none")).expect("made to be an id")),
        EntityRef::Task(TaskId::parse(&subject.fresh("none")).expect("made to be an id")),
    ]
}

fn missing(subject: &Subject, registry: AnsweredBy) -> PullQuestion {
    PullQuestion::about(subject.missing_image().clone(), registry)
}

/// An image that is nowhere is neither on the engine nor found in a registry.
pub async fn missing_image_is_not_found(subject: Subject) {
    let evidence = subject.engine().pull_evidence(&missing(&subject, AnsweredBy::Registry)).await;
    let evidence = evidence.unwrap_or_else(|error| panic!("the engine has to answer: {error}"));
    assert_eq!(evidence.local, None);
    assert_eq!(evidence.platform.os, "linux");
    // An engine on AWS answers for images of ECR, and for those alone, by what ECR says.
    match evidence.aws.and_then(|aws| aws.ecr) {
        Some(ecr) => {
            let says_no = matches!(ecr.image, Fact::Known(EcrImage::NoRepository | EcrImage::NoImage { .. }));
            assert!(says_no, "{:?}", ecr.image);
            assert_eq!(evidence.remote, None);
        }
        None => {
            let remote = evidence.remote.expect("the engine has to ask, it is not our registry");
            assert!(!matches!(remote, RemoteImage::Found { .. }), "{remote:?}");
        }
    }
    subject.leave().await;
}

/// The engine asks no registry about images of ours.
pub async fn our_own_registry_is_not_asked(subject: Subject) {
    let evidence = subject.engine().pull_evidence(&missing(&subject, AnsweredBy::Us)).await;
    let evidence = evidence.unwrap_or_else(|error| panic!("the engine has to answer: {error}"));
    assert_eq!((evidence.local, evidence.remote), (None, None));
    assert_eq!(evidence.aws.and_then(|aws| aws.ecr), None);
    subject.leave().await;
}
