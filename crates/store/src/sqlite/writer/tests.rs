//! What becomes of a batch when one of its jobs goes wrong in a way that no caller can bring about.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use layer0_domain::model::owner::OwnerName;
use layer0_domain::port::store::{Store, StoreError};
use rusqlite::Connection;

use crate::SqliteStore;
use crate::sqlite::fault::{Fault, Stop};
use crate::sqlite::setting;
use crate::sqlite::writer::Scope;

/// Keeps the writer busy until the answer is called, so that all that is queued meanwhile becomes one batch.
async fn hold(store: &SqliteStore) -> impl FnOnce() + use<> {
    let (release, released) = mpsc::channel::<()>();
    let (began, begins) = tokio::sync::oneshot::channel();
    let held = store.clone();
    tokio::spawn(async move {
        held.write(move |_| {
            let _ = began.send(());
            let _ = released.recv();
            Ok::<_, Stop<StoreError>>(())
        })
        .await
    });
    begins.await.expect("the writer takes the job");
    move || drop(release)
}

/// One that can't run again.
fn put(store: &SqliteStore, key: &'static str) -> impl Future<Output = Result<Vec<u8>, StoreError>> {
    let store = store.clone();
    async move { store.write(move |db| setting::get_or_put_tx(db, key, b"value")).await }
}

fn bad(
    store: &SqliteStore,
    work: impl FnOnce(&Connection) -> Result<(), Stop<StoreError>> + Send + 'static,
) -> impl Future<Output = Result<(), StoreError>> {
    let store = store.clone();
    async move {
        store
            .write(move |db| {
                setting::get_or_put_tx(db, "by the bad one", b"value")?;
                work(db)
            })
            .await
    }
}

/// One that can run again, and counts how often it has run.
fn repeated(
    store: &SqliteStore,
    key: &'static str,
    ran: &Arc<AtomicUsize>,
    end: impl Fn() -> Result<(), Stop<StoreError>> + Send + 'static,
) -> impl Future<Output = Result<(), StoreError>> {
    let (store, ran) = (store.clone(), Arc::clone(ran));
    async move {
        store
            .write_content(move |db| {
                ran.fetch_add(1, Ordering::Relaxed);
                setting::get_or_put_tx(db, key, b"value")?;
                end()
            })
            .await
    }
}

fn refuses() -> Result<(), Stop<StoreError>> {
    Err(Stop::Refused(StoreError::OwnerMissing { owner: OwnerName::parse("nobody").expect("a name") }))
}

async fn there(store: &SqliteStore, key: &str) -> bool {
    store.setting_get(key).await.expect("a read succeeds").is_some()
}

#[tokio::test]
async fn a_job_that_panics_takes_back_only_what_it_wrote() {
    let store = SqliteStore::in_memory();
    let release = hold(&store).await;
    let (first, broken, second, ()) =
        tokio::join!(put(&store, "first"), bad(&store, |_| panic!("on purpose")), put(&store, "second"), async {
            release();
        });
    assert!(first.is_ok() && second.is_ok());
    assert!(matches!(broken, Err(StoreError::Failed { .. })), "{broken:?}");
    for (key, expected) in [("first", true), ("by the bad one", false), ("second", true)] {
        assert_eq!(there(&store, key).await, expected, "{key}");
    }
}

#[tokio::test]
async fn of_jobs_that_can_run_again_one_that_goes_wrong_takes_back_only_what_it_wrote() {
    for end in [refuses, || panic!("on purpose")] {
        let store = SqliteStore::in_memory();
        let ran: [Arc<AtomicUsize>; 3] = Default::default();
        let release = hold(&store).await;
        let (first, broken, second, ()) = tokio::join!(
            repeated(&store, "first", &ran[0], || Ok(())),
            repeated(&store, "by the bad one", &ran[1], end),
            repeated(&store, "second", &ran[2], || Ok(())),
            async { release() }
        );
        assert!(first.is_ok() && second.is_ok());
        assert!(broken.is_err(), "{broken:?}");
        for (key, expected) in [("first", true), ("by the bad one", false), ("second", true)] {
            assert_eq!(there(&store, key).await, expected, "{key}");
        }
        assert_eq!(ran.map(|ran| ran.load(Ordering::Relaxed)), [2, 2, 1], "what comes after it runs once");
    }
}

#[tokio::test]
async fn one_that_refuses_before_it_has_written_anything_costs_the_others_nothing() {
    let store = SqliteStore::in_memory();
    let ran: [Arc<AtomicUsize>; 2] = Default::default();
    let refused = store.clone();
    let release = hold(&store).await;
    let (first, refused, second, ()) = tokio::join!(
        repeated(&store, "first", &ran[0], || Ok(())),
        async move { refused.write_content(|_| refuses()).await },
        repeated(&store, "second", &ran[1], || Ok(())),
        async { release() }
    );
    assert!(first.is_ok() && second.is_ok());
    assert!(matches!(refused, Err(StoreError::OwnerMissing { .. })), "{refused:?}");
    assert_eq!(ran.map(|ran| ran.load(Ordering::Relaxed)), [1, 1]);
}

#[tokio::test]
async fn jobs_that_can_run_again_are_undone_alone_beside_one_that_cannot() {
    let store = SqliteStore::in_memory();
    let ran: [Arc<AtomicUsize>; 2] = Default::default();
    let release = hold(&store).await;
    let (first, once, broken, ()) = tokio::join!(
        repeated(&store, "first", &ran[0], || Ok(())),
        put(&store, "once"),
        repeated(&store, "by the bad one", &ran[1], refuses),
        async { release() }
    );
    assert!(first.is_ok() && once.is_ok() && broken.is_err());
    for (key, expected) in [("first", true), ("once", true), ("by the bad one", false)] {
        assert_eq!(there(&store, key).await, expected, "{key}");
    }
    assert_eq!(ran.map(|ran| ran.load(Ordering::Relaxed)), [1, 1]);
}

#[tokio::test]
async fn when_sqlite_rolls_the_batch_back_all_in_it_are_told_and_the_rest_goes_on() {
    let store = SqliteStore::in_memory();
    let release = hold(&store).await;
    // What SQLite does by itself after some I/O errors.
    let rolls_back = |db: &Connection| {
        db.execute_batch("ROLLBACK")?;
        Err(Stop::Fault(Fault::Full))
    };
    let (first, broken, second, ()) =
        tokio::join!(put(&store, "first"), bad(&store, rolls_back), put(&store, "second"), async { release() });
    assert!(matches!(first, Err(StoreError::Full)), "{first:?}");
    assert!(matches!(broken, Err(StoreError::Full)), "{broken:?}");
    assert!(second.is_ok(), "{second:?}");
    for (key, expected) in [("first", false), ("by the bad one", false), ("second", true)] {
        assert_eq!(there(&store, key).await, expected, "{key}");
    }
}

#[tokio::test]
async fn what_gives_room_is_run_again_alone_when_there_was_none_for_all() {
    let store = SqliteStore::in_memory();
    let ran: [Arc<AtomicUsize>; 2] = Default::default();
    let giving = |key: &'static str, ran: &Arc<AtomicUsize>, end: fn() -> Result<(), Stop<StoreError>>| {
        let (store, ran) = (store.clone(), Arc::clone(ran));
        async move {
            store
                .write_giving(Scope::Any, move |db| {
                    ran.fetch_add(1, Ordering::Relaxed);
                    setting::get_or_put_tx(db, key, b"value")?;
                    end()
                })
                .await
        }
    };
    let no_room = |db: &Connection| {
        db.execute_batch("ROLLBACK")?;
        Err(Stop::Fault(Fault::Full))
    };
    let release = hold(&store).await;
    let (given, refused, taking, broken, ()) = tokio::join!(
        giving("given", &ran[0], || Ok(())),
        giving("refused", &ran[1], refuses),
        put(&store, "taking"),
        bad(&store, no_room),
        async { release() }
    );
    assert!(given.is_ok(), "{given:?}");
    assert!(matches!(refused, Err(StoreError::OwnerMissing { .. })), "{refused:?}");
    assert!(matches!(taking, Err(StoreError::Full)), "{taking:?}");
    assert!(matches!(broken, Err(StoreError::Full)), "{broken:?}");
    for (key, expected) in [("given", true), ("refused", false), ("taking", false), ("by the bad one", false)] {
        assert_eq!(there(&store, key).await, expected, "{key}");
    }
    // With the others, once more because one of them was undone, and alone.
    assert_eq!(ran.map(|ran| ran.load(Ordering::Relaxed)), [3, 3]);
}

#[tokio::test]
async fn when_the_commit_fails_all_are_told_and_nothing_is_kept() {
    let store = SqliteStore::in_memory();
    // A reference to nothing that is only looked at by COMMIT.
    let dangling = |db: &Connection| {
        db.execute_batch(
            "PRAGMA defer_foreign_keys = ON;
             INSERT INTO blob_link (repository, digest, size, linked) VALUES (4711, 'sha256:', 0, 0)",
        )?;
        Ok(())
    };
    let release = hold(&store).await;
    let (first, broken, second, ()) =
        tokio::join!(put(&store, "first"), bad(&store, dangling), put(&store, "second"), async { release() });
    for answer in [first.map(drop), broken, second.map(drop)] {
        assert!(matches!(answer, Err(StoreError::Failed { .. })), "{answer:?}");
    }
    for key in ["first", "by the bad one", "second"] {
        assert!(!there(&store, key).await, "{key}");
    }
    assert!(put(&store, "after").await.is_ok());
}
