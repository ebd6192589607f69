//! What an engine says that it has, thing by thing.

use layer0_domain::model::entity::EntityRef;

use super::{Role, Subject, wish_balancer, wish_service, wish_task};

/// Each entity has at least one thing that was made for it, with a name, until it is removed; other entities keep theirs.
pub async fn lists_what_was_made_until_it_is_gone(mut subject: Subject) {
    let environment = subject.environment().await;
    let balancer = subject.load_balancer_wanted(&environment, &[super::free_port()]);
    let spec = subject.service_wanted(&environment, Role::Serves, 1);
    let task = subject.task_wanted(&environment, Role::Serves, 1);
    subject.ensure(wish_balancer(&balancer)).await;
    subject.ensure(wish_service(&spec)).await;
    subject.ensure(wish_task(&task)).await;
    subject.service_steady(&spec).await;
    subject.task_until("the task to run", &task.id, |seen| seen.copies.iter().any(|copy| copy.started.is_some())).await;
    let entities = [
        EntityRef::Service(spec.id.clone()),
        EntityRef::Task(task.id.clone()),
        EntityRef::LoadBalancer(balancer.id.clone()),
        EntityRef::Environment(environment.id.clone()),
    ];
    for entity in &entities {
        let things = subject.things_of(entity).await;
        assert!(!things.is_empty(), "nothing is listed for {entity}");
        assert!(things.iter().all(|thing| !thing.what.is_empty() && !thing.name.is_empty()), "{things:?}");
        assert!(
            things.iter().all(|thing| thing.hindrance.is_none()),
            "nothing hinders what nobody removes: {things:?}"
        );
    }
    for (at, entity) in entities.iter().enumerate() {
        subject.remove(entity).await;
        assert_eq!(subject.things_of(entity).await, [], "{entity} was removed");
        for other in &entities[at + 1..] {
            assert!(!subject.things_of(other).await.is_empty(), "{other} was not removed");
        }
    }
    subject.leave().await;
}

/// What the engine was not told of since its start is listed all the same, and goes when the entities that it was made for
/// are removed: what a sweep does.
pub async fn strays_are_listed_and_go_with_their_entity(mut subject: Subject) {
    let environment = subject.environment().await;
    let spec = subject.service_wanted(&environment, Role::Serves, 2);
    let ended = subject.task_wanted(&environment, Role::ExitsZero, 1);
    subject.ensure(wish_service(&spec)).await;
    subject.ensure(wish_task(&ended)).await;
    subject.service_steady(&spec).await;
    subject
        .task_until("the task to end", &ended.id, |seen| {
            seen.copies.iter().any(|copy| copy.containers.iter().any(|it| it.outcome.is_some()))
        })
        .await;
    subject.restart().await;
    let entities = [
        EntityRef::Service(spec.id.clone()),
        EntityRef::Task(ended.id.clone()),
        EntityRef::Environment(environment.id.clone()),
    ];
    for entity in &entities {
        assert!(!subject.things_of(entity).await.is_empty(), "nothing is listed for {entity}, of which nobody told");
    }
    for entity in &entities {
        subject.remove(entity).await;
        assert_eq!(subject.things_of(entity).await, [], "{entity} was removed");
    }
    subject.leave().await;
}
