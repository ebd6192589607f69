//! The contracts of all ports, without faults.

use layer0_testkit::{access_store_suite, home_store_suite, public_store_suite, registry_store_suite, store_suite};

use crate::support::TestTable;

#[tokio::test]
async fn store() {
    for behaviour in store_suite::ALL {
        let table = TestTable::new().await;
        (behaviour.show)(&table.store()).await;
        table.delete().await;
    }
}

/// As `store`, in pages of two items: nothing is lost between two pages, nothing comes twice.
#[tokio::test]
async fn store_in_small_pages() {
    for behaviour in store_suite::ALL {
        let table = TestTable::new().await;
        (behaviour.show)(&table.store().with_page(2)).await;
        table.delete().await;
    }
}

#[tokio::test]
async fn access_store() {
    for behaviour in access_store_suite::ALL {
        let table = TestTable::new().await;
        (behaviour.show)(&table.store()).await;
        table.delete().await;
    }
}

#[tokio::test]
async fn access_store_in_small_pages() {
    for behaviour in access_store_suite::ALL {
        let table = TestTable::new().await;
        (behaviour.show)(&table.store().with_page(2)).await;
        table.delete().await;
    }
}

/// What is decided in the other ports too.
#[tokio::test]
async fn access_store_with_repositories() {
    for behaviour in access_store_suite::WITH_REPOSITORIES {
        let table = TestTable::new().await;
        (behaviour.show)(&table.store()).await;
        table.delete().await;
    }
}

#[tokio::test]
async fn public_store() {
    for behaviour in public_store_suite::ALL {
        let table = TestTable::new().await;
        (behaviour.show)(&table.store().with_page(2)).await;
        table.delete().await;
    }
}

#[tokio::test]
async fn home_store() {
    for behaviour in home_store_suite::ALL {
        let table = TestTable::new().await;
        (behaviour.show)(&table.store().with_page(2)).await;
        table.delete().await;
    }
}

#[tokio::test]
async fn registry_store() {
    for behaviour in registry_store_suite::ALL {
        let table = TestTable::new().await;
        (behaviour.show)(&table.store()).await;
        table.delete().await;
    }
}

#[tokio::test]
async fn registry_store_in_small_pages() {
    for behaviour in registry_store_suite::ALL {
        let table = TestTable::new().await;
        (behaviour.show)(&table.store().with_page(2)).await;
        table.delete().await;
    }
}
