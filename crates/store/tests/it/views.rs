//! Readers keep their view of the database from one read to the next. Nobody may notice.

use layer0_domain::model::digest::Algorithm;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::name::Name;
use layer0_domain::model::time::Timestamp;
use layer0_domain::model::user::User;
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::registry_store::{Along, BlobLink, RegistryStore};
use layer0_domain::port::store::Store;
use layer0_store::SqliteStore;
use tempfile::TempDir;

fn user(name: &str) -> User {
    User { name: Name::parse(name).expect("a name"), admin: false, created: Timestamp(1), password: None, person: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sees_all_that_anybody_was_told_of() {
    let directory = TempDir::new().expect("a directory");
    let store = SqliteStore::open(&directory.path().join("layer0.db")).expect("it opens");
    let writers = (0..4).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0..200 {
                let user = user(&format!("u{writer}-{number}"));
                assert_eq!(store.user_get(&user.name).await.expect("a read"), None);
                store.user_create(&user).await.expect("a write");
                let found = store.user_get(&user.name).await.expect("a read").expect("it was written");
                assert_eq!(found.user, user);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("no writer fails");
    }
}

#[tokio::test]
async fn the_wal_is_written_back_though_readers_keep_their_views() {
    let directory = TempDir::new().expect("a directory");
    let store = SqliteStore::open(&directory.path().join("layer0.db")).expect("it opens");
    let name = Name::parse("nobody").expect("a name");
    // 40 MiB, ten times what the WAL is written back at.
    for number in 0..640 {
        store.setting_get_or_put(&format!("key {number}"), &[7; 64 << 10]).await.expect("a write");
        assert_eq!(store.user_get(&name).await.expect("a read"), None);
    }
    let wal = directory.path().join("layer0.db-wal").metadata().expect("there is a WAL").len();
    assert!(wal < 8 << 20, "the WAL has {wal} bytes");
    store.close().await;
    assert!(store.user_get(&name).await.is_err(), "nothing is read from a store that is closed");
    assert!(!directory.path().join("layer0.db-wal").exists(), "who closes last writes all of it back");
}

#[tokio::test]
async fn who_somebody_is_stays_known_while_images_are_pushed() {
    let directory = TempDir::new().expect("a directory");
    let store = SqliteStore::open(&directory.path().join("layer0.db")).expect("it opens");
    let (name, digest) = (RepositoryName::parse("team/app").expect("a name"), Algorithm::Sha256.digest_of(b"blob"));
    let before = AccessStore::version(&store);
    let create = Along { create: Some(Timestamp(1)), record: None };
    let link = BlobLink { digest: digest.clone(), size: 4, place: None, sums: None };
    store.blob_link(&name, &link, Timestamp(1), &create).await.expect("a write");
    RegistryStore::tag_delete(&store, &name, "v1").await.expect("a write");
    assert!(before.is_some() && AccessStore::version(&store) == before);
    store.user_create(&user("bob")).await.expect("a write");
    assert_ne!(AccessStore::version(&store), before);
}
