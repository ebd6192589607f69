//! What becomes of a batch when one of its jobs goes wrong in a way that no caller can bring about.

use std::future::Future;
use std::sync::mpsc;

use layer0_domain::port::store::{Store, StoreError};
use rusqlite::Connection;

use crate::SqliteStore;
use crate::sqlite::fault::{Fault, Stop};
use crate::sqlite::setting;

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

fn put(store: &SqliteStore, key: &'static str) -> impl Future<Output = Result<bool, StoreError>> {
    let store = store.clone();
    async move { store.setting_replace(key, None, b"value").await }
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
