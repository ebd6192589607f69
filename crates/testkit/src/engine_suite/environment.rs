//! Environments.

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::Scope;

use super::{Subject, entities, wish};

/// It is there once, however often it is asked for, and nothing of it is left when it is removed.
pub async fn is_made_and_taken_away(mut subject: Subject) {
    let environment = subject.environment().await;
    let entity = EntityRef::Environment(environment.id.clone());
    let first = subject.environment_settled(&environment.id).await;
    assert!(!first.engine_id.is_empty(), "something stands for it in the engine");
    subject.ensure(wish(&environment, &[])).await;
    assert_eq!(subject.environment_settled(&environment.id).await, first, "a second wish changes nothing");
    assert!(entities(&subject.observe(Scope::All).await).contains(&entity), "all names it too");
    subject.remove(&entity).await;
    assert_eq!(subject.environment_seen(&environment.id).await, None);
    subject.leave().await;
}

/// A link shows on both sides, and is gone when neither wants it any more.
pub async fn links_are_made_and_cut(mut subject: Subject) {
    let (mut one, mut other) = (subject.environment().await, subject.environment().await);
    one.generation = one.generation.next();
    other.generation = other.generation.next();
    subject.ensure(wish(&one, &[&other])).await;
    subject.ensure(wish(&other, &[&one])).await;
    assert_eq!(subject.environment_settled(&one.id).await.reachable_from, [other.id.clone()]);
    assert_eq!(subject.environment_settled(&other.id).await.reachable_from, [one.id.clone()]);
    one.generation = one.generation.next();
    other.generation = other.generation.next();
    subject.ensure(wish(&one, &[])).await;
    subject.ensure(wish(&other, &[])).await;
    assert_eq!(subject.environment_settled(&one.id).await.reachable_from, []);
    assert_eq!(subject.environment_settled(&other.id).await.reachable_from, []);
    subject.leave().await;
}

/// An older generation than the one in force is refused.
pub async fn older_is_refused(mut subject: Subject) {
    let mut environment = subject.environment_wanted();
    environment.generation = Generation(5);
    subject.ensure(wish(&environment, &[])).await;
    environment.generation = Generation(4);
    subject.ensure_outdated(wish(&environment, &[])).await;
    subject.leave().await;
}
