//! Deletes: who stands in the way, and what goes along.

use layer0_domain::model::entity::EntityKind;
use layer0_domain::model::tag::Tag;
use layer0_domain::port::store::{Entity, Store, StoreError};

use super::entities::{assert_in_use, attempt, begin_delete, delete, environment, get, make};
use super::sample;

/// `entity_update` with `deleting`: an environment must hold nothing, and no other may be linked to it.
pub async fn an_environment_is_not_deleted_while_it_is_in_use(store: &dyn Store) {
    let env = environment(store, "e").await;
    let mut linked = sample::environment("linked");
    linked.links.insert(sample::environment_id("e"));
    let linked = make(store, Entity::Environment(linked)).await;
    let lb = make(store, Entity::LoadBalancer(sample::load_balancer("lb", "e"))).await;
    let service = make(store, Entity::Service(sample::service("s", "e", Some("lb")))).await;
    let task = make(store, Entity::Task(sample::task("t", "e"))).await;
    make(store, Entity::Task(sample::task("elsewhere", "linked"))).await;

    assert_in_use(begin_delete(store, &env).await, &env, &[&linked, &lb, &service, &task]);
    assert_eq!(get(store, &env).await.as_ref(), Some(&env), "a refused delete writes nothing");
    begin_delete(store, &service).await.expect("nobody holds a service");
    assert_in_use(begin_delete(store, &env).await, &env, &[&linked, &lb, &service, &task]);
    for entity in [&service, &lb, &task] {
        delete(store, entity).await;
    }
    assert_in_use(begin_delete(store, &env).await, &env, &[&linked]);

    // Unlinked, nothing stands in the way.
    let mut unlinked = sample::environment("linked");
    unlinked.links.clear();
    let unlinked = Entity::Environment(unlinked);
    let operation = sample::operation("unlink", layer0_domain::model::operation::Verb::Update, &unlinked);
    store.entity_update(&unlinked, &operation).await.expect("the generation is the one read");
    begin_delete(store, &env).await.expect("nobody holds it any more");
}

/// `entity_update` with `deleting`: a load balancer must serve no service.
pub async fn a_load_balancer_is_not_deleted_while_it_serves(store: &dyn Store) {
    environment(store, "e").await;
    let lb = make(store, Entity::LoadBalancer(sample::load_balancer("lb", "e"))).await;
    let service = make(store, Entity::Service(sample::service("s", "e", Some("lb")))).await;
    assert_in_use(begin_delete(store, &lb).await, &lb, &[&service]);
    delete(store, &service).await;
    delete(store, &lb).await;
    assert_eq!(get(store, &lb).await, None);
}

/// `entity_holders`: the same answer without asking for a delete; nothing holds what isn't there.
pub async fn holders_are_told_without_a_delete(store: &dyn Store) {
    let env = environment(store, "e").await;
    let lb = make(store, Entity::LoadBalancer(sample::load_balancer("lb", "e"))).await;
    let holders = async |entity: &Entity| {
        let holders = store.entity_holders(&entity.reference()).await.expect("a read succeeds");
        holders.into_iter().map(|holder| (holder.entity, holder.name)).collect::<Vec<_>>()
    };
    assert_eq!(holders(&lb).await, []);
    let service = make(store, Entity::Service(sample::service("s", "e", Some("lb")))).await;
    assert_eq!(holders(&lb).await, [(service.reference(), service.name().to_string())]);
    assert_eq!(holders(&service).await, []);
    assert_eq!(holders(&env).await.len(), 2, "the load balancer and the service");
    delete(store, &service).await;
    assert_eq!(holders(&lb).await, []);
    assert_eq!(holders(&service).await, [], "it isn't there any more");
}

/// The name of what is on its way out stays taken until it is purged.
pub async fn a_name_stays_taken_until_its_entity_is_gone(store: &dyn Store) {
    let first = environment(store, "e").await;
    let mut second = sample::environment("second");
    second.name = sample::name("e");
    let second = Entity::Environment(second);
    begin_delete(store, &first).await.expect("nobody holds it");
    let answer = attempt(store, &second).await;
    assert!(matches!(answer, Err(StoreError::NameTaken { .. })), "{answer:?}");
    delete(store, &first).await;
    make(store, second).await;
}

/// `Alongside::Purge`, `deploy_delete`: the user tags of what goes, go with it; those of others stay.
pub async fn a_purge_takes_the_users_tags_along(store: &dyn Store) {
    let env = environment(store, "e").await;
    environment(store, "other").await;
    let deploy = store.deploy_create(sample::new_deploy("d")).await.expect("a write succeeds");
    let tag = |id: &str, kind: EntityKind, key: &str| Tag {
        entity_id: id.to_owned(),
        entity_type: kind.as_str().to_owned(),
        key: key.to_owned(),
        value: "v".to_owned(),
    };
    let stays = tag("other", EntityKind::Environment, "k");
    let go = [
        tag("e", EntityKind::Environment, "k"),
        tag("e", EntityKind::Environment, "k2"),
        tag(deploy.id.as_str(), EntityKind::Deploy, "k"),
    ];
    for tag in go.iter().chain([&stays]) {
        store.tag_put(tag).await.expect("a write succeeds");
    }
    begin_delete(store, &env).await.expect("nobody holds it");
    assert_eq!(store.tag_list().await.expect("a read succeeds").len(), 4, "they go at the end, not before");
    delete(store, &env).await;
    store.deploy_delete(&deploy.id).await.expect("it is there");
    assert_eq!(store.tag_list().await.expect("a read succeeds"), [stays]);
}
