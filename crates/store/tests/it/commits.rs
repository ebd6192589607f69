//! Writes that are committed together: each keeps its own outcome, and what is answered can be read at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::operation::Verb;
use layer0_domain::port::store::{Entity, Store, StoreError};
use layer0_store::SqliteStore;
use layer0_testkit::store_suite::sample;

fn open() -> (tempfile::TempDir, SqliteStore) {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let store = SqliteStore::open(&directory.path().join(SqliteStore::FILE_NAME)).expect("a new file opens");
    (directory, store)
}

async fn create(store: &SqliteStore, entity: &Entity) -> Result<(), StoreError> {
    let operation = sample::operation(&format!("make-{}", entity.reference().id()), Verb::Create, entity);
    store.entity_create(entity, &operation).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refused_write_takes_nothing_else_of_its_batch_along() {
    let (_directory, store) = open();
    create(&store, &Entity::Environment(sample::environment("e"))).await.expect("the name is free");
    // Every third wants a name that is taken, every fifth an environment that is not there. All are queued before the
    // first is answered, so that they share commits.
    let tasks = (0..600).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let environment = if number % 5 == 0 { "unknown" } else { "e" };
            let mut service = sample::service(&format!("s{number}"), environment, None);
            if number % 3 == 0 {
                service.name = sample::name("wanted-by-many");
            }
            let entity = Entity::Service(service);
            let answer = create(&store, &entity).await;
            // What is answered is there for everybody, at once.
            let seen = store.entity_get(&entity.reference()).await.expect("a read succeeds");
            assert_eq!(seen.is_some(), answer.is_ok());
            (number, answer)
        })
    });
    let mut named = 0;
    for joined in join_all(tasks).await {
        match joined.expect("no task panics") {
            (number, Ok(())) => {
                assert_ne!(number % 5, 0);
                named += usize::from(number % 3 == 0);
            }
            (number, Err(StoreError::Missing { .. })) => assert_eq!(number % 5, 0),
            (number, Err(StoreError::NameTaken { .. })) => assert!(number % 3 == 0 && number % 5 != 0),
            (number, Err(other)) => panic!("{number}: {other:?}"),
        }
    }
    assert_eq!(named, 1, "one of many got the name");
    // 600, less a fifth, less all but one of those that wanted the same name.
    let expected = 600 - 120 - 160 + 1;
    assert_eq!(store.entity_list(EntityKind::Service).await.expect("a read succeeds").len(), expected);
    let operations = store.operation_list(u32::MAX).await.expect("a read succeeds").len();
    assert_eq!(operations, expected + 1, "an operation for each entity, none for what was refused");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_tasks_one_wins_each_generation() {
    let (_directory, store) = open();
    create(&store, &Entity::Environment(sample::environment("e"))).await.expect("the name is free");
    let reference = EntityRef::Environment(sample::environment_id("e"));
    let tasks = (0..8).map(|task| {
        let (store, reference) = (store.clone(), reference.clone());
        tokio::spawn(async move {
            let mut won = Vec::new();
            for attempt in 0..50 {
                let read = store.entity_get(&reference).await.expect("a read succeeds").expect("it is there");
                let Entity::Environment(mut environment) = read else {
                    panic!("an environment is an environment");
                };
                environment.scale += 1;
                let entity = Entity::Environment(environment);
                let operation = sample::operation(&format!("op-{task}-{attempt}"), Verb::Update, &entity);
                match store.entity_update(&entity, &operation).await {
                    Ok(generation) => won.push(generation.0),
                    Err(StoreError::Conflict { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            won
        })
    });
    let mut won: Vec<u64> = Vec::new();
    for joined in join_all(tasks).await {
        won.extend(joined.expect("no task panics"));
    }
    won.sort_unstable();
    let writes = won.len() as u64;
    assert_eq!(won, (2..2 + writes).collect::<Vec<_>>(), "each generation was given once, and none was left out");
    let Some(Entity::Environment(end)) = store.entity_get(&reference).await.expect("a read succeeds") else {
        panic!("it is there");
    };
    assert_eq!((end.generation.0, u64::from(end.scale)), (1 + writes, writes), "no change was lost");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_never_sees_half_a_unit() {
    let (_directory, store) = open();
    let entity = Entity::Environment(sample::environment("e"));
    create(&store, &entity).await.expect("the name is free");
    let stop = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, stop) = (store.clone(), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut reads = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                // Each update ends the operation before it and begins the next, so exactly one runs at any time.
                assert_eq!(store.operation_list_running().await.expect("a read succeeds").len(), 1);
                reads += 1;
            }
            reads
        })
    };
    let mut entity = entity;
    for number in 0..200 {
        let operation = sample::operation(&format!("op-{number}"), Verb::Update, &entity);
        let generation = store.entity_update(&entity, &operation).await.expect("nobody else writes");
        entity = entity.at_generation(generation);
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reader.await.expect("it saw one at any time") > 0);
    store.close().await;
}

#[tokio::test]
async fn a_closed_store_says_so_and_has_done_what_was_queued() {
    let (directory, store) = open();
    let clone = store.clone();
    let queued = (0..50_u8).map(|number| {
        let store = store.clone();
        async move { store.setting_get_or_put(&format!("key-{number}"), &[number]).await }
    });
    let (answers, ()) = tokio::join!(join_all(queued), async { clone.close().await });
    assert!(answers.iter().all(Result::is_ok), "queued before the close");
    assert!(matches!(store.setting_get("key-1").await, Err(StoreError::Failed { .. })));
    assert!(matches!(store.setting_get_or_put("k", b"v").await, Err(StoreError::Failed { .. })));

    let path = directory.path().join(SqliteStore::FILE_NAME);
    assert!(!directory.path().join("layer0.db-wal").exists(), "a closed database is one file");
    let again = SqliteStore::open(&path).expect("it was closed");
    assert_eq!(again.setting_get("key-49").await.expect("a read succeeds"), Some(vec![49]));
    again.close().await;
}
