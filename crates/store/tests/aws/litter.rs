//! What is left in the table when all that was made has gone: nothing that the ports do not keep on purpose.

use std::collections::BTreeSet;

use layer0_domain::model::entity::EntityKind;
use layer0_domain::model::operation::{OperationState, Verb};
use layer0_domain::model::owner::Role;
use layer0_domain::model::tag::Tag;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::store::{Alongside, Entity, NewDeploy, Store};
use layer0_store::DynamoStore;
use layer0_testkit::access_store_suite::sample::{
    admin, member, name, owner_made, owner_name, robot, token, user_made,
};
use layer0_testkit::store_suite::sample;

use crate::support::TestTable;

async fn make(store: &DynamoStore, entity: &Entity) {
    let operation = sample::operation(&format!("make-{}", entity.reference().id()), Verb::Create, entity);
    store.entity_create(entity, &operation).await.expect("it is acceptable");
    let tag = Tag {
        entity_id: entity.reference().id().to_owned(),
        entity_type: entity.reference().kind().as_str().to_owned(),
        key: "k".to_owned(),
        value: "v".to_owned(),
    };
    store.tag_put(&tag).await.expect("a write succeeds");
}

/// Begins to delete an entity and ends it.
async fn delete(store: &DynamoStore, entity: &Entity, generation: u64) {
    let mut gone = entity.clone().at_generation(Generation(generation));
    match &mut gone {
        Entity::Environment(it) => it.deleting = true,
        Entity::LoadBalancer(it) => it.deleting = true,
        Entity::Service(it) => it.deleting = true,
        Entity::Task(it) => it.deleting = true,
    }
    let mut operation = sample::operation(&format!("delete-{}", entity.reference().id()), Verb::Delete, &gone);
    let next = store.entity_update(&gone, &operation).await.expect("nobody holds it");
    operation.state = OperationState::Succeeded;
    operation.ended = Some(Timestamp(5));
    let purge = Alongside::Purge(entity.reference(), next);
    let events = [(Timestamp(5), "gone".to_owned())];
    assert!(store.operation_progress(&operation, &events, purge).await.expect("it runs"));
}

#[tokio::test]
async fn nothing_is_left_but_what_is_kept_on_purpose() {
    let table = TestTable::new().await;
    let store = table.store();
    owner_made(&store, "team").await;
    admin(&store, "root").await;
    user_made(&store, "bob").await;
    for kept in [token("way-in", "root", 1), token("bobs", "bob", 2), robot("ci", "team", 3)] {
        store.token_create(&kept).await.expect("its subject is there");
    }
    store.token_rotate(&token("bobs", "bob", 2).id, &[9; 32], Timestamp(1), None).await.expect("it is there");
    store.member_put(&member("team", "bob", Role::Writer)).await.expect("both are there");

    let mut environment = sample::environment("e");
    environment.owner = Some(owner_name("team"));
    let environment = Entity::Environment(environment);
    let mut linked = sample::environment("linked");
    linked.links = [sample::environment_id("e"), sample::environment_id("linked")].into();
    let linked = Entity::Environment(linked);
    let balancers = ["lb", "lb2"].map(|word| Entity::LoadBalancer(sample::load_balancer(word, "e")));
    let mut moved = sample::service("s", "e", Some("lb"));
    let service = Entity::Service(moved.clone());
    let task = Entity::Task(sample::task("t", "e"));
    for entity in [&environment, &linked, &balancers[0], &balancers[1], &service, &task] {
        make(&store, entity).await;
    }
    // To another load balancer and another name, so that what it leaves must go too.
    moved.load_balancer = sample::service("s", "e", Some("lb2")).load_balancer;
    moved.name = sample::name("renamed");
    let moved = Entity::Service(moved);
    store.entity_update(&moved, &sample::operation("move", Verb::Update, &moved)).await.expect("it is acceptable");
    let deploy = NewDeploy { owner: Some(owner_name("team")), ..sample::new_deploy("web") };
    let deploy = store.deploy_create(deploy).await.expect("the owner is there");

    delete(&store, &moved, 2).await;
    for entity in [&balancers[0], &balancers[1], &task, &linked, &environment] {
        delete(&store, entity, 1).await;
    }
    store.deploy_delete(&deploy.id).await.expect("it is there");
    store.owner_delete(&owner_name("team")).await.expect("it has nothing");
    store.user_delete(&name("bob"), Timestamp(1)).await.expect("he is no admin");
    for kind in [EntityKind::Environment, EntityKind::LoadBalancer, EntityKind::Service, EntityKind::Task] {
        assert_eq!(store.entity_list(kind).await.expect("a read succeeds"), []);
    }

    let mut left = BTreeSet::new();
    for (partition, sort) in table.keys().await {
        // Operations and what they told stay, whatever becomes of their entities.
        if !["operation", "log"].contains(&partition.split('#').next().unwrap_or_default()) {
            left.insert(format!("{partition} {sort}"));
        }
    }
    let root = format!("hash#{} token", "01".repeat(32));
    let kept =
        ["access shut_outs", "deploy_name web", "layout it", "token way-in", "user root", "user#root token#way-in"];
    assert_eq!(left, kept.into_iter().chain([&*root]).map(str::to_owned).collect());
    table.delete().await;
}
