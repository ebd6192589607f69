//! Making, reading, changing and listing entities.

use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::operation::{OperationState, Verb};
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::store::{Alongside, Entity, Holder, Store, StoreError, Summary};

use super::sample;

/// Makes an entity, with an operation `make-<id>`; the entity must be acceptable.
pub(super) async fn make(store: &dyn Store, entity: Entity) -> Entity {
    attempt(store, &entity).await.expect("an acceptable entity is made");
    entity
}

pub(super) async fn attempt(store: &dyn Store, entity: &Entity) -> Result<(), StoreError> {
    let word = format!("make-{}", entity.reference().id());
    store.entity_create(entity, &sample::operation(&word, Verb::Create, entity)).await
}

pub(super) async fn environment(store: &dyn Store, word: &str) -> Entity {
    make(store, Entity::Environment(sample::environment(word))).await
}

pub(super) async fn get(store: &dyn Store, entity: &Entity) -> Option<Entity> {
    store.entity_get(&entity.reference()).await.expect("a read succeeds")
}

/// Begins to delete an entity as it is now.
pub(super) async fn begin_delete(store: &dyn Store, entity: &Entity) -> Result<Generation, StoreError> {
    let entity = deleting(get(store, entity).await.expect("it is there"));
    let word = format!("delete-{}-{}", entity.reference().id(), entity.generation().0);
    store.entity_update(&entity, &sample::operation(&word, Verb::Delete, &entity)).await
}

/// The entity on its way out.
pub(super) fn deleting(mut entity: Entity) -> Entity {
    match &mut entity {
        Entity::Environment(it) => it.deleting = true,
        Entity::LoadBalancer(it) => it.deleting = true,
        Entity::Service(it) => it.deleting = true,
        Entity::Task(it) => it.deleting = true,
    }
    entity
}

/// Begins to delete an entity and ends it.
pub(super) async fn delete(store: &dyn Store, entity: &Entity) {
    let generation = begin_delete(store, entity).await.expect("nobody holds it");
    let word = format!("delete-{}-{}", entity.reference().id(), generation.0 - 1);
    let mut operation = sample::operation(&word, Verb::Delete, entity);
    operation.state = OperationState::Succeeded;
    operation.ended = Some(sample::CREATED);
    let gone = store.operation_progress(&operation, &[], Alongside::Purge(entity.reference(), generation)).await;
    assert!(gone.expect("the generation is the one just given"));
}

#[track_caller]
pub(super) fn assert_missing(result: Result<impl std::fmt::Debug, StoreError>, expected: &EntityRef) {
    match result {
        Err(StoreError::Missing { entity }) => assert_eq!(entity, *expected),
        other => panic!("{expected} is missing, but the answer was {other:?}"),
    }
}

#[track_caller]
pub(super) fn assert_conflict(result: Result<impl std::fmt::Debug, StoreError>, expected: &EntityRef) {
    match result {
        Err(StoreError::Conflict { entity }) => assert_eq!(entity, *expected),
        other => panic!("{expected} has changed, but the answer was {other:?}"),
    }
}

#[track_caller]
pub(super) fn assert_in_use(result: Result<impl std::fmt::Debug, StoreError>, expected: &Entity, by: &[&Entity]) {
    let Err(StoreError::InUse { entity, mut holders }) = result else {
        panic!("{} is in use, but the answer was {result:?}", expected.reference());
    };
    assert_eq!(entity, expected.reference());
    let mut by: Vec<Holder> =
        by.iter().map(|it| Holder { entity: it.reference(), name: it.name().to_string() }).collect();
    holders.sort_by(|a, b| a.entity.cmp(&b.entity));
    by.sort_by(|a, b| a.entity.cmp(&b.entity));
    assert_eq!(holders, by);
}

/// `entity_create`: entity and operation are kept together, and read back as they were.
pub async fn a_new_entity_is_there_whole_with_its_operation(store: &dyn Store) {
    environment(store, "e").await;
    let kinds = [
        Entity::Environment(sample::environment("e2")),
        Entity::LoadBalancer(sample::load_balancer("lb", "e")),
        Entity::Service(sample::service("s", "e", Some("lb"))),
        Entity::Task(sample::task("t", "e")),
    ];
    for entity in kinds {
        assert_eq!(get(store, &entity).await, None);
        make(store, entity.clone()).await;
        assert_eq!(get(store, &entity).await.as_ref(), Some(&entity));
        let word = format!("make-{}", entity.reference().id());
        let operation = store.operation_get(&sample::operation_id(&word)).await.expect("a read succeeds");
        assert_eq!(operation, Some(sample::operation(&word, Verb::Create, &entity)));
    }
}

/// `entity_create`: the name is free in its environment; other kinds and other environments don't matter.
pub async fn a_name_is_unique_in_its_environment(store: &dyn Store) {
    environment(store, "e").await;
    environment(store, "f").await;
    let first = make(store, Entity::Service(sample::service("first", "e", None))).await;
    let mut second = sample::service("second", "e", None);
    second.name = sample::name("first");
    match attempt(store, &Entity::Service(second.clone())).await {
        Err(StoreError::NameTaken { kind, name, by }) => {
            assert_eq!((kind, name.as_str(), by), (EntityKind::Service, "first", first.reference()));
        }
        other => panic!("the name is taken, but the answer was {other:?}"),
    }
    assert_eq!(get(store, &Entity::Service(second.clone())).await, None);
    let operation = store.operation_get(&sample::operation_id("make-second")).await.expect("a read succeeds");
    assert_eq!(operation, None, "the operation of a refused create is not kept");

    second.environment = sample::environment_id("f");
    make(store, Entity::Service(second)).await;
    let mut task = sample::task("task", "e");
    task.name = sample::name("first");
    make(store, Entity::Task(task)).await;
}

/// `entity_create`: an environment's name is free in the instance.
pub async fn a_name_of_an_environment_is_unique_in_the_instance(store: &dyn Store) {
    environment(store, "e").await;
    let mut other = sample::environment("other");
    other.name = sample::name("e");
    let answer = attempt(store, &Entity::Environment(other)).await;
    assert!(matches!(answer, Err(StoreError::NameTaken { kind: EntityKind::Environment, .. })), "{answer:?}");
}

/// `entity_create`: an id that is in use already is refused, and what has it stays as it is.
pub async fn an_id_is_given_once(store: &dyn Store) {
    let first = environment(store, "e").await;
    let mut second = sample::environment("e");
    second.name = sample::name("another");
    let second = Entity::Environment(second);
    let operation = sample::operation("second", Verb::Create, &second);
    assert_conflict(store.entity_create(&second, &operation).await, &first.reference());
    assert_eq!(get(store, &first).await, Some(first));
}

/// `entity_create`: the environment is there and not on its way out.
pub async fn nothing_is_made_in_an_environment_that_is_not_there_to_stay(store: &dyn Store) {
    let leaving = environment(store, "leaving").await;
    begin_delete(store, &leaving).await.expect("nobody holds it");
    for word in ["leaving", "unknown"] {
        let missing = EntityRef::Environment(sample::environment_id(word));
        let refused = [
            Entity::LoadBalancer(sample::load_balancer("lb", word)),
            Entity::Service(sample::service("s", word, None)),
            Entity::Task(sample::task("t", word)),
        ];
        for entity in refused {
            assert_missing(attempt(store, &entity).await, &missing);
            assert_eq!(get(store, &entity).await, None);
        }
    }
}

/// `entity_create`: a service's load balancer is there, in the same environment, and serves no other service.
pub async fn a_service_needs_a_load_balancer_of_its_environment_for_itself(store: &dyn Store) {
    environment(store, "e").await;
    environment(store, "f").await;
    let lb = make(store, Entity::LoadBalancer(sample::load_balancer("lb", "e"))).await;
    let leaving = make(store, Entity::LoadBalancer(sample::load_balancer("leaving", "e"))).await;
    begin_delete(store, &leaving).await.expect("nobody holds it");

    let unknown = Entity::LoadBalancer(sample::load_balancer("unknown", "e")).reference();
    for (environment, word, missing) in
        [("e", "unknown", unknown), ("f", "lb", lb.reference()), ("e", "leaving", leaving.reference())]
    {
        let service = Entity::Service(sample::service("s", environment, Some(word)));
        assert_missing(attempt(store, &service).await, &missing);
    }

    let first = make(store, Entity::Service(sample::service("first", "e", Some("lb")))).await;
    let second = Entity::Service(sample::service("second", "e", Some("lb")));
    assert_in_use(attempt(store, &second).await, &lb, &[&first]);
    // Nor does it get there later.
    let mut third = sample::service("third", "e", None);
    make(store, Entity::Service(third.clone())).await;
    third.load_balancer = sample::service("third", "e", Some("lb")).load_balancer;
    let third = Entity::Service(third);
    let operation = sample::operation("move", Verb::Update, &third);
    assert_in_use(store.entity_update(&third, &operation).await, &lb, &[&first]);
    delete(store, &first).await;
    make(store, second).await;
}

/// `entity_create`, `entity_update`: environments that an environment is newly linked to are there and not on their way
/// out.
pub async fn a_link_needs_an_environment_that_is_there_to_stay(store: &dyn Store) {
    environment(store, "e").await;
    let leaving = environment(store, "leaving").await;
    begin_delete(store, &leaving).await.expect("nobody holds it");
    for word in ["leaving", "unknown"] {
        let missing = EntityRef::Environment(sample::environment_id(word));
        let mut linked = sample::environment("e");
        linked.links.insert(sample::environment_id(word));
        let operation = sample::operation(&format!("link-{word}"), Verb::Update, &Entity::Environment(linked.clone()));
        assert_missing(store.entity_update(&Entity::Environment(linked.clone()), &operation).await, &missing);
        linked.id = sample::environment_id("new");
        linked.name = sample::name("new");
        assert_missing(attempt(store, &Entity::Environment(linked)).await, &missing);
    }
}

/// `entity_update`: the new entity takes the old one's place, one generation on.
pub async fn an_update_replaces_the_entity_and_counts_its_generation(store: &dyn Store) {
    environment(store, "e").await;
    make(store, Entity::Service(sample::service("s", "e", None))).await;
    let mut changed = sample::service("s", "e", None);
    for generation in 2..5 {
        changed.desired_count += 3;
        let entity = Entity::Service(changed.clone());
        let operation = sample::operation(&format!("scale-{generation}"), Verb::Scale, &entity);
        let answer = store.entity_update(&entity, &operation).await.expect("the generation is the one read");
        assert_eq!(answer, Generation(generation));
        assert_eq!(get(store, &entity).await, Some(entity.at_generation(answer)));
        assert_eq!(store.operation_get(&operation.id).await.expect("a read succeeds"), Some(operation));
        changed.generation = answer;
    }
}

/// `entity_update`: another generation is a conflict, an entity that is not there is missing; nothing is written.
pub async fn an_update_of_another_generation_is_refused_whole(store: &dyn Store) {
    let stored = environment(store, "e").await;
    for generation in [0, 2, 3] {
        let mut stale = sample::environment("e");
        stale.scale = 9;
        stale.generation = Generation(generation);
        let stale = Entity::Environment(stale);
        let operation = sample::operation("update", Verb::Update, &stale);
        assert_conflict(store.entity_update(&stale, &operation).await, &stored.reference());
        assert_eq!(store.operation_get(&operation.id).await.expect("a read succeeds"), None);
    }
    assert_eq!(get(store, &stored).await, Some(stored));
    let running = store.operation_list_running().await.expect("a read succeeds");
    assert_eq!(running.len(), 1, "a refused update supersedes nothing");

    let unknown = Entity::Environment(sample::environment("unknown"));
    let operation = sample::operation("update", Verb::Update, &unknown);
    assert_missing(store.entity_update(&unknown, &operation).await, &unknown.reference());
}

/// `entity_update`: every operation that still runs on the entity becomes superseded; others are left alone.
pub async fn an_update_supersedes_what_runs_on_the_entity(store: &dyn Store) {
    let entity = environment(store, "e").await;
    environment(store, "other").await;
    let mut first = sample::operation("first", Verb::Update, &entity);
    let generation = store.entity_update(&entity, &first).await.expect("the generation is the one read");
    first.state = OperationState::Succeeded;
    first.ended = Some(Timestamp(5));
    assert!(store.operation_progress(&first, &[], Alongside::Nothing).await.expect("a write succeeds"));

    let entity = entity.at_generation(generation);
    let mut second = sample::operation("second", Verb::Update, &entity);
    second.created = Timestamp(7);
    let generation = store.entity_update(&entity, &second).await.expect("the generation is the one read");
    let third = sample::operation("third", Verb::Update, &entity);
    store.entity_update(&entity.at_generation(generation), &third).await.expect("the generation is the one read");

    for (word, state) in [
        ("make-e", OperationState::Superseded),
        ("make-other", OperationState::Running),
        ("first", OperationState::Succeeded),
        ("second", OperationState::Superseded),
        ("third", OperationState::Running),
    ] {
        let operation = store.operation_get(&sample::operation_id(word)).await.expect("a read succeeds");
        let operation = operation.expect("operations are kept");
        assert_eq!(operation.state, state, "{word}");
        assert_eq!(operation.ended.is_some(), state.ended(), "{word}");
    }
    let mut running: Vec<_> = store.operation_list_running().await.expect("a read succeeds");
    running.sort_by(|a, b| a.id.cmp(&b.id));
    let ids: Vec<&str> = running.iter().map(|operation| operation.id.as_str()).collect();
    assert_eq!(ids, ["make-other", "third"]);
}

/// `entity_list`: all of one kind, whole, ordered by id; none for deploys.
pub async fn entities_are_listed_by_kind_in_order_of_id(store: &dyn Store) {
    for word in ["b", "c", "a"] {
        environment(store, word).await;
    }
    make(store, Entity::Task(sample::task("t", "b"))).await;
    store.deploy_create(sample::new_deploy("d")).await.expect("a write succeeds");

    let listed = store.entity_list(EntityKind::Environment).await.expect("a read succeeds");
    let expected: Vec<Entity> = ["a", "b", "c"].map(|word| Entity::Environment(sample::environment(word))).into();
    assert_eq!(listed, expected);
    let listed = store.entity_list(EntityKind::Task).await.expect("a read succeeds");
    assert_eq!(listed, [Entity::Task(sample::task("t", "b"))]);
    for none in [EntityKind::Service, EntityKind::LoadBalancer, EntityKind::Deploy] {
        assert_eq!(store.entity_list(none).await.expect("a read succeeds"), []);
    }
}

/// `version`: another number after every write that was answered; who read before it must read again.
pub async fn a_write_changes_the_version(store: &dyn Store) {
    let Some(first) = store.version() else { return };
    environment(store, "one").await;
    let second = store.version();
    assert_ne!(Some(first), second, "a new entity");
    store.setting_get_or_put("key", b"value").await.expect("a write succeeds");
    assert_ne!(second, store.version(), "a setting");
}

/// `summary_list`: ordered by name, then id; follows changes.
pub async fn summaries_are_listed_in_order_of_name(store: &dyn Store) {
    environment(store, "e").await;
    environment(store, "f").await;
    let mut late = sample::load_balancer("a-id", "e");
    late.name = sample::name("z");
    make(store, Entity::LoadBalancer(late)).await;
    // The same name in two environments: then the id decides.
    for (id, environment) in [("y-2", "e"), ("y-1", "f")] {
        let mut lb = sample::load_balancer(id, environment);
        lb.name = sample::name("Y");
        make(store, Entity::LoadBalancer(lb)).await;
    }
    let summary = |id: &str, name: &str, environment: &str| Summary {
        entity: Entity::LoadBalancer(sample::load_balancer(id, environment)).reference(),
        name: name.to_owned(),
        environment: Some(sample::environment_id(environment)),
        version: 0,
        label: "classic".to_owned(),
        owner: None,
    };
    let listed = store.summary_list(EntityKind::LoadBalancer).await.expect("a read succeeds");
    assert_eq!(listed, [summary("y-1", "Y", "f"), summary("y-2", "Y", "e"), summary("a-id", "z", "e")]);

    let listed = store.summary_list(EntityKind::Environment).await.expect("a read succeeds");
    let environments: Vec<_> = listed.iter().map(|it| (it.name.as_str(), &it.environment, it.label.as_str())).collect();
    assert_eq!(environments, [("e", &None, "linux"), ("f", &None, "linux")]);
    assert_eq!(store.summary_list(EntityKind::Service).await.expect("a read succeeds"), []);
}
