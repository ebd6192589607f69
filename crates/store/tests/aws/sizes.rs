//! What is larger than an item, and what is more than a page.

use futures_util::future::join_all;
use layer0_domain::model::operation::Verb;
use layer0_domain::model::service::{DEPLOYMENTS_KEPT, Service};
use layer0_domain::model::task_definition::Document;
use layer0_domain::model::time::Generation;
use layer0_domain::port::store::{Entity, NewDeploy, Store};
use layer0_testkit::store_suite::sample;

use crate::support::TestTable;

/// A document of nearly the most that a document may have (64 KiB).
fn large_document() -> Document {
    let value = "secret ü ".repeat(6_000);
    let text = format!(
        r#"{{"containerDefinitions": [{{"name": "app", "image": "app:1", "memory": 64, "essential": true,
            "environment": [{{"name": "KEY", "value": "{value}"}}]}}]}}"#
    );
    Document::parse(text.as_bytes()).expect("a legal document")
}

/// A service with as many deployments as it remembers, each of them large.
fn large_service(word: &str) -> Service {
    let mut service = sample::service(word, "e", None);
    service.deployments[0].definition = large_document().definition().clone();
    service.deployments = vec![service.deployments[0].clone(); DEPLOYMENTS_KEPT];
    service
}

async fn environment(store: &dyn Store) {
    let environment = Entity::Environment(sample::environment("e"));
    let operation = sample::operation("make-e", Verb::Create, &environment);
    store.entity_create(&environment, &operation).await.expect("the name is free");
}

/// A service of several items is read as it was written, alone and in a list; and never half old and half new.
#[tokio::test]
async fn a_large_service_is_never_read_in_halves() {
    let table = TestTable::new().await;
    let store = table.store();
    environment(&store).await;
    let large = Entity::Service(large_service("s"));
    assert!(serde_json::to_string(&large_service("s")).expect("JSON").len() > 400 * 1024, "larger than an item");
    store.entity_create(&large, &sample::operation("make-s", Verb::Create, &large)).await.expect("it is acceptable");
    assert_eq!(store.entity_get(&large.reference()).await.expect("a read succeeds"), Some(large.clone()));
    let listed = store.entity_list(large.reference().kind()).await.expect("a read succeeds");
    assert_eq!(listed, std::slice::from_ref(&large));

    // Large and small in turn, while others read, each part with a call of its own: this emulator answers a query with
    // the items of one moment, DynamoDB does not.
    let parts = store.clone().with_page(1);
    let writing = async {
        for generation in 1..12 {
            let next = if generation % 2 == 0 { large_service("s") } else { sample::service("s", "e", None) };
            let next = Entity::Service(Service { generation: Generation(generation), ..next });
            let operation = sample::operation(&format!("o{generation}"), Verb::Update, &next);
            store.entity_update(&next, &operation).await.expect("nobody else writes");
        }
    };
    let reading = async |_: usize| {
        let mut last = Generation(0);
        while last < Generation(12) {
            let Some(Entity::Service(it)) = parts.entity_get(&large.reference()).await.expect("a read succeeds") else {
                panic!("it is there")
            };
            assert!(it.generation >= last, "time does not go backwards");
            last = it.generation;
            let count = if last.0.is_multiple_of(2) { 1 } else { DEPLOYMENTS_KEPT };
            assert_eq!(it.deployments.len(), count, "generation {}", last.0);
        }
    };
    futures_util::join!(writing, join_all((0..3).map(reading)));
    table.delete().await;
}

/// Deploys of the largest size, more of them than fit in one page of 1 MB.
#[tokio::test]
async fn large_deploys_are_kept_whole_and_listed_without_their_documents() {
    let table = TestTable::new().await;
    let store = table.store();
    let new = NewDeploy { document: large_document(), ..sample::new_deploy("web") };
    for version in 1..=25 {
        let made = store.deploy_create(new.clone()).await.expect("a write succeeds");
        assert_eq!(made.version, version);
    }
    let listed = store.summary_list(layer0_domain::model::entity::EntityKind::Deploy).await.expect("a read succeeds");
    assert_eq!(listed.iter().map(|it| it.version).collect::<Vec<_>>(), (1..=25).collect::<Vec<_>>());
    let id = layer0_domain::model::deploy::Deploy::id_of(&new.name, 25);
    let stored = store.deploy_get(&id).await.expect("a read succeeds").expect("it is there");
    assert_eq!(stored.document, new.document);
    store.deploy_delete(&id).await.expect("it is there");
    assert_eq!(store.deploy_get(&id).await.expect("a read succeeds"), None);
    table.delete().await;
}

/// More entities than one read of many keys takes (100), and than one page.
#[tokio::test]
async fn hundreds_of_services_are_listed_whole() {
    let table = TestTable::new().await;
    let store = table.store();
    environment(&store).await;
    let create = async |number: usize| {
        let service = Entity::Service(sample::service(&format!("s{number:03}"), "e", None));
        let operation = sample::operation(&format!("o{number}"), Verb::Create, &service);
        store.entity_create(&service, &operation).await.expect("the name is free");
    };
    for round in 0..15 {
        join_all((0..15).map(|n| create(15 * round + n))).await;
    }
    let kind = layer0_domain::model::entity::EntityKind::Service;
    let listed = store.entity_list(kind).await.expect("a read succeeds");
    let ids: Vec<String> = listed.iter().map(|it| it.reference().into_id()).collect();
    assert_eq!(ids, (0..225).map(|n| format!("s{n:03}")).collect::<Vec<_>>());
    assert_eq!(store.summary_list(kind).await.expect("a read succeeds").len(), 225);
    let running = store.operation_list_running().await.expect("a read succeeds");
    assert_eq!(running.len(), 226);
    assert_eq!(store.operation_list(150).await.expect("a read succeeds").len(), 150);
    table.delete().await;
}
