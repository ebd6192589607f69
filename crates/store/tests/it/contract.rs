//! All ports, both ways to open.

use layer0_domain::port::home_store::HomeStore;
use layer0_domain::port::public_store::PublicStore;
use layer0_domain::port::registry_store::RegistryStore;
use layer0_domain::port::store::Store;
use layer0_store::SqliteStore;
use layer0_testkit::access_store_suite::Ports;
use layer0_testkit::{access_store_suite, home_store_suite, public_store_suite, registry_store_suite, store_suite};

/// A new store in a file of its own.
fn on_disk(directory: &tempfile::TempDir, number: usize) -> SqliteStore {
    SqliteStore::open(&directory.path().join(format!("{number}.db"))).expect("a new file in a new directory opens")
}

#[tokio::test]
async fn store_in_memory() {
    store_suite::run_all(async || Box::new(SqliteStore::in_memory()) as Box<dyn Store>).await;
}

#[tokio::test]
async fn registry_store_in_memory() {
    registry_store_suite::run_all(async || Box::new(SqliteStore::in_memory()) as Box<dyn RegistryStore>).await;
}

#[tokio::test]
async fn store_on_disk() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    for (number, behaviour) in store_suite::ALL.iter().enumerate() {
        let store = on_disk(&directory, number);
        (behaviour.show)(&store).await;
        store.close().await;
    }
}

#[tokio::test]
async fn registry_store_on_disk() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    for (number, behaviour) in registry_store_suite::ALL.iter().enumerate() {
        let store = on_disk(&directory, number);
        (behaviour.show)(&store).await;
        store.close().await;
    }
}

#[tokio::test]
async fn access_store_in_memory() {
    access_store_suite::run_all(async || Box::new(SqliteStore::in_memory()) as Box<dyn Ports>).await;
}

#[tokio::test]
async fn access_store_on_disk() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    for (number, behaviour) in access_store_suite::ALL.iter().enumerate() {
        let store = on_disk(&directory, number);
        (behaviour.show)(&store).await;
        store.close().await;
    }
    for (number, behaviour) in (1000..).zip(access_store_suite::WITH_REPOSITORIES) {
        let store = on_disk(&directory, number);
        (behaviour.show)(&store).await;
        store.close().await;
    }
}

#[tokio::test]
async fn public_store_in_memory() {
    public_store_suite::run_all(async || Box::new(SqliteStore::in_memory()) as Box<dyn PublicStore>).await;
}

#[tokio::test]
async fn public_store_on_disk() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    for (number, behaviour) in public_store_suite::ALL.iter().enumerate() {
        let store = on_disk(&directory, number);
        (behaviour.show)(&store).await;
        store.close().await;
    }
}

#[tokio::test]
async fn home_store_in_memory() {
    home_store_suite::run_all(async || Box::new(SqliteStore::in_memory()) as Box<dyn HomeStore>).await;
}

#[tokio::test]
async fn home_store_on_disk() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    for (number, behaviour) in home_store_suite::ALL.iter().enumerate() {
        let store = on_disk(&directory, number);
        (behaviour.show)(&store).await;
        store.close().await;
    }
}
