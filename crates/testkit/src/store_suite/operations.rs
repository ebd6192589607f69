//! Operations: lists, progress, events, and the entity alongside.

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{DeploymentId, EnvironmentId};
use layer0_domain::model::operation::{Operation, OperationState, Verb};
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::store::{Alongside, Entity, OperationLog, Store};

use super::entities::{assert_conflict, assert_missing, environment, get, make};
use super::sample;

async fn stored(store: &dyn Store, word: &str) -> Operation {
    let found = store.operation_get(&sample::operation_id(word)).await.expect("a read succeeds");
    found.expect("operations are kept")
}

/// Makes environments with operations `op-<number>`, asked for at the times given.
async fn asked_at(store: &dyn Store, times: &[i64]) {
    for (number, at) in times.iter().enumerate() {
        let entity = Entity::Environment(sample::environment(&format!("e{number}")));
        let mut operation = sample::operation(&format!("op-{number}"), Verb::Create, &entity);
        operation.created = Timestamp(*at);
        store.entity_create(&entity, &operation).await.expect("an acceptable entity is made");
    }
}

fn ids(operations: &[Operation]) -> Vec<&str> {
    operations.iter().map(|operation| operation.id.as_str()).collect()
}

/// `operation_list`: the newest first, at most as many as asked for.
pub async fn operations_are_listed_newest_first(store: &dyn Store) {
    asked_at(store, &[30, 10, 20, 20]).await;
    let newest_first = ["op-0", "op-3", "op-2", "op-1"];
    for most in [0, 1, 3, 4, 100] {
        let listed = store.operation_list(most).await.expect("a read succeeds");
        assert_eq!(ids(&listed), newest_first[..newest_first.len().min(most as usize)]);
    }
}

/// `operation_list_running`: those that have not ended, the oldest first.
pub async fn running_operations_are_listed_oldest_first(store: &dyn Store) {
    asked_at(store, &[30, 10, 20, 20]).await;
    let mut ended = stored(store, "op-2").await;
    ended.state = OperationState::Failed;
    assert!(store.operation_progress(&ended, &[], Alongside::Nothing).await.expect("a write succeeds"));
    let listed = store.operation_list_running().await.expect("a read succeeds");
    assert_eq!(ids(&listed), ["op-1", "op-3", "op-0"]);
}

/// `operation_progress`: state, cause and end are written; what was asked for stays.
pub async fn progress_writes_state_cause_and_end_and_nothing_else(store: &dyn Store) {
    let entity = environment(store, "e").await;
    let asked = stored(store, "make-e").await;
    let mut changed = sample::operation("make-e", Verb::Delete, &entity);
    changed.entity_name = "another".to_owned();
    changed.deployment = DeploymentId::parse("d").ok();
    changed.created = Timestamp(1);
    changed.state = OperationState::RolledBack;
    changed.cause = Some(Failure::new(FailureClass::Unhealthy, "no answer"));
    changed.ended = Some(Timestamp(99));
    assert!(store.operation_progress(&changed, &[], Alongside::Nothing).await.expect("a write succeeds"));
    let expected = Operation { state: changed.state, cause: changed.cause, ended: changed.ended, ..asked };
    assert_eq!(stored(store, "make-e").await, expected);
}

/// `operation_progress`, `operation_events`: events are numbered on from the last, and read in order from any point.
pub async fn events_are_numbered_without_holes(store: &dyn Store) {
    environment(store, "e").await;
    environment(store, "other").await;
    let operation = stored(store, "make-e").await;
    for batch in [&["one", "two"][..], &[], &["three"]] {
        let events: Vec<_> = batch.iter().map(|text| (Timestamp(5), (*text).to_owned())).collect();
        assert!(store.operation_progress(&operation, &events, Alongside::Nothing).await.expect("a write succeeds"));
    }
    let other = stored(store, "make-other").await;
    let events = [(Timestamp(6), "elsewhere".to_owned())];
    assert!(store.operation_progress(&other, &events, Alongside::Nothing).await.expect("a write succeeds"));

    let all = [(1, "one"), (2, "two"), (3, "three")];
    for after in [0, 1, 3, u64::MAX] {
        let events = store.operation_events(&operation.id, after).await.expect("a read succeeds");
        let shown: Vec<_> = events.iter().map(|event| (event.sequence, event.message.as_str())).collect();
        let expected: Vec<_> = all.into_iter().filter(|(sequence, _)| *sequence > after).collect();
        assert_eq!(shown, expected);
        assert!(events.iter().all(|event| event.at == Timestamp(5)));
    }
    let events = store.operation_events(&other.id, 0).await.expect("a read succeeds");
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1]);
    let unknown = store.operation_events(&sample::operation_id("unknown"), 0).await;
    assert_eq!(unknown.expect("a read succeeds"), []);
}

/// `operation_progress`: once ended, an operation is left as it is, `false` is answered, and nothing else is written.
pub async fn an_ended_operation_stays_as_it_is(store: &dyn Store) {
    let entity = environment(store, "e").await;
    let mut operation = stored(store, "make-e").await;
    operation.state = OperationState::Succeeded;
    operation.ended = Some(Timestamp(9));
    assert!(store.operation_progress(&operation, &[], Alongside::Nothing).await.expect("a write succeeds"));
    let ended = operation.clone();

    operation.state = OperationState::Failed;
    let events = [(Timestamp(10), "too late".to_owned())];
    for alongside in [
        Alongside::Nothing,
        Alongside::Update(entity.clone()),
        Alongside::Purge(entity.reference(), entity.generation()),
        // Not even a conflict is looked for.
        Alongside::Purge(entity.reference(), Generation(77)),
    ] {
        let written = store.operation_progress(&operation, &events, alongside).await.expect("it is no failure");
        assert!(!written);
    }
    assert_eq!(stored(store, "make-e").await, ended);
    assert_eq!(store.operation_events(&operation.id, 0).await.expect("a read succeeds"), []);
    assert_eq!(get(store, &entity).await, Some(entity));
}

/// `operation_progress`: the entity alongside is changed in the same unit, or nothing is written at all.
pub async fn progress_changes_the_entity_alongside_or_nothing(store: &dyn Store) {
    environment(store, "e").await;
    let entity = make(store, Entity::Service(sample::service("s", "e", None))).await;
    let operation = stored(store, "make-s").await;
    let mut ended = operation.clone();
    ended.state = OperationState::Succeeded;
    let events = [(Timestamp(5), "event".to_owned())];

    // Another generation: the whole call is refused.
    for alongside in [
        Alongside::Update(entity.clone().at_generation(Generation(7))),
        Alongside::Purge(entity.reference(), Generation(7)),
    ] {
        let answer = store.operation_progress(&ended, &events, alongside).await;
        assert_conflict(answer, &entity.reference());
        assert_eq!(stored(store, "make-s").await, operation);
        assert_eq!(store.operation_events(&operation.id, 0).await.expect("a read succeeds"), []);
        assert_eq!(get(store, &entity).await.as_ref(), Some(&entity));
    }

    let mut changed = sample::service("s", "e", None);
    changed.desired_count = 5;
    let changed = Entity::Service(changed);
    let answer = store.operation_progress(&operation, &events, Alongside::Update(changed.clone())).await;
    assert!(answer.expect("the generation is the one read"));
    assert_eq!(get(store, &entity).await, Some(changed.at_generation(Generation(2))));

    let purge = Alongside::Purge(entity.reference(), Generation(2));
    assert!(store.operation_progress(&ended, &events, purge).await.expect("the generation is the one read"));
    assert_eq!(get(store, &entity).await, None);
    let events = store.operation_events(&operation.id, 0).await.expect("a read succeeds");
    assert_eq!(events.len(), 2, "events outlive the entity");
    assert_eq!(stored(store, "make-s").await.state, OperationState::Succeeded);
}

/// `operation_progress`: a missing operation or entity refuses the whole call.
pub async fn progress_of_what_is_gone_is_refused(store: &dyn Store) {
    let entity = environment(store, "e").await;
    let unknown = sample::operation("unknown", Verb::Update, &entity);
    let answer = store.operation_progress(&unknown, &[], Alongside::Nothing).await;
    assert_missing(answer, &entity.reference());

    let gone = Entity::Environment(sample::environment("gone"));
    let operation = stored(store, "make-e").await;
    let mut ended = operation.clone();
    ended.state = OperationState::Succeeded;
    for alongside in [Alongside::Update(gone.clone()), Alongside::Purge(gone.reference(), Generation(1))] {
        let answer = store.operation_progress(&ended, &[(Timestamp(5), "event".to_owned())], alongside).await;
        assert_missing(answer, &gone.reference());
    }
    assert_eq!(stored(store, "make-e").await, operation);
    assert_eq!(store.operation_events(&operation.id, 0).await.expect("a read succeeds"), []);
}

/// `operation_log`: by environment or all, within the times, the newest of them, the oldest first.
pub async fn a_log_shows_the_newest_events_of_all_operations_or_of_an_environment(store: &dyn Store) {
    let environments = [environment(store, "e").await, environment(store, "f").await];
    let service = Entity::Service(sample::service("s", "e", None));
    let mut asked = sample::operation("make-s", Verb::Create, &service);
    asked.environment = EnvironmentId::parse("e").ok();
    store.entity_create(&service, &asked).await.expect("an acceptable entity is made");
    let say = async |word: &str, events: &[(i64, &str)]| {
        let operation = stored(store, word).await;
        let events: Vec<_> = events.iter().map(|(at, text)| (Timestamp(*at), (*text).to_owned())).collect();
        assert!(store.operation_progress(&operation, &events, Alongside::Nothing).await.expect("a write succeeds"));
    };
    say("make-s", &[(30, "s1"), (30, "s2"), (60, "s3")]).await;
    say("make-e", &[(10, "e1"), (30, "e2")]).await;
    say("make-f", &[(20, "f1")]).await;

    let everything = OperationLog { most: 100, ..OperationLog::default() };
    let of = |word: &str| OperationLog { environment: EnvironmentId::parse(word).ok(), ..everything.clone() };
    let shown = async |log: &OperationLog| {
        let lines = store.operation_log(log).await.expect("a read succeeds");
        lines.into_iter().map(|line| line.message).collect::<Vec<_>>()
    };
    assert_eq!(shown(&everything).await, ["e1", "f1", "e2", "s1", "s2", "s3"]);
    assert_eq!(shown(&of("e")).await, ["e1", "e2", "s1", "s2", "s3"]);
    assert_eq!(shown(&of("f")).await, ["f1"]);
    assert!(shown(&of("none")).await.is_empty());
    for whole in [&everything, &of("e")] {
        assert_eq!(shown(&OperationLog { most: 2, ..whole.clone() }).await, ["s2", "s3"]);
        assert!(shown(&OperationLog { most: 0, ..whole.clone() }).await.is_empty());
        let within = OperationLog { start: Some(Timestamp(30)), end: Some(Timestamp(59)), ..whole.clone() };
        assert_eq!(shown(&within).await, ["e2", "s1", "s2"]);
        assert_eq!(shown(&OperationLog { most: 1, ..within }).await, ["s2"]);
    }
    let line = store.operation_log(&of("f")).await.expect("a read succeeds").remove(0);
    assert_eq!((line.at, line.verb, line.entity), (Timestamp(20), Verb::Create, environments[1].reference()));
    assert_eq!(line.entity_name, "f");
}
