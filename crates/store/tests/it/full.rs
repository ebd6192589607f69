//! No room: it is said, nothing is lost, and all goes on once there is room again.

use std::path::Path;
use std::process::Command;

use futures_util::future::join_all;
use layer0_domain::model::registry::{Manifest, ManifestRef};
use layer0_domain::port::registry_store::{Along, RegistryStore, RegistryStoreError};
use layer0_domain::port::store::{Store, StoreError};
use layer0_store::SqliteStore;
use layer0_testkit::registry_store_suite::sample as registry;
use layer0_testkit::store_suite::sample;

/// A manifest of 64 KiB.
fn big(word: &str) -> Manifest {
    let mut bytes = vec![7; 64 * 1024];
    bytes[..word.len()].copy_from_slice(word.as_bytes());
    Manifest { bytes, ..registry::manifest(word) }
}

/// Writes until there is no room; answers how many were written.
async fn fill(store: &SqliteStore, prefix: &str) -> usize {
    let name = registry::name("team/app");
    for number in 0..10_000 {
        match store.manifest_put(&name, &big(&format!("{prefix}{number}")), &[], &Along::NOTHING).await {
            Ok(()) => {}
            Err(RegistryStoreError::Full) => return number,
            Err(other) => panic!("no room is said as such, not as {other:?}"),
        }
    }
    panic!("there is room for 640 MB");
}

/// All manifests with this prefix are there, whole.
async fn check(store: &SqliteStore, prefix: &str, count: usize) {
    let name = registry::name("team/app");
    for number in 0..count {
        let manifest = big(&format!("{prefix}{number}"));
        let stored = store.manifest_get(&name, &ManifestRef::Digest(manifest.digest.clone())).await;
        assert_eq!(stored.expect("a read succeeds"), Some(manifest));
    }
    let lost = big(&format!("{prefix}{count}"));
    let stored = store.manifest_get(&name, &ManifestRef::Digest(lost.digest)).await.expect("a read succeeds");
    assert_eq!(stored, None, "what was refused is not there");
}

#[tokio::test]
async fn a_full_database_says_so_and_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let path = directory.path().join(SqliteStore::FILE_NAME);
    let store = SqliteStore::open(&path).expect("a new file opens");
    registry::repository(&store, "team/app").await;
    store.page_limit_set(400).await.expect("it is open");
    let written = fill(&store, "m").await;
    assert!(written > 0, "the limit leaves room for something");

    // Others of the same batch that need room are told too; none of them is written by half.
    let answers = join_all((0..20).map(|_| store.deploy_create(big_deploy()))).await;
    assert!(answers.iter().any(|answer| matches!(answer, Err(StoreError::Full))), "{answers:?}");
    let made = answers.iter().filter(|answer| answer.is_ok()).count();
    check(&store, "m", written).await;

    // The limit goes: the same store writes again.
    store.page_limit_set(u32::MAX).await.expect("it is open");
    store.manifest_put(&registry::name("team/app"), &big("after"), &[], &Along::NOTHING).await.expect("there is room");
    let deploy = store.deploy_create(big_deploy()).await.expect("there is room");
    assert_eq!(deploy.version as usize, made + 1, "a refused create uses no version up");
    store.close().await;

    let again = SqliteStore::open(&path).expect("it was closed");
    check(&again, "m", written).await;
    again.close().await;
}

fn big_deploy() -> layer0_domain::port::store::NewDeploy {
    let mut new = sample::new_deploy("web");
    let image = new.images[0].clone();
    new.images = vec![image; 1000];
    new
}

/// A file system of a few megabytes, gone with the value.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where this process may not mount: then there is no disk to fill.
    fn mount(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=4m", "layer0-store-test"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(at))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// The same with the real errors of a real file system, where this process may mount one. The page limit above shows the
/// rest everywhere.
#[expect(clippy::print_stderr, reason = "whoever runs the test is told what it did not test")]
#[tokio::test]
async fn a_full_disk_says_so_and_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let Some(_disk) = SmallDisk::mount(directory.path()) else {
        eprintln!("not root: no small file system can be mounted, so only the page limit is tested");
        return;
    };
    let path = directory.path().join(SqliteStore::FILE_NAME);
    let store = SqliteStore::open(&path).expect("a new file opens");
    registry::repository(&store, "team/app").await;
    let ballast = directory.path().join("ballast");
    std::fs::write(&ballast, vec![1; 1024 * 1024]).expect("there is room");

    let written = fill(&store, "m").await;
    assert!(written > 0, "there is room for something");
    check(&store, "m", written).await;
    // Again and again, as impatient clients do.
    for _ in 0..3 {
        assert_eq!(fill(&store, "again").await, 0);
    }
    let small = store.setting_get_or_put("key", &[1; 8000]).await;
    assert!(matches!(small, Ok(_) | Err(StoreError::Full)), "{small:?}");

    std::fs::remove_file(&ballast).expect("it is there");
    let more = fill(&store, "more").await;
    assert!(more > 0, "room that is freed is used, without a restart");
    check(&store, "m", written).await;
    check(&store, "more", more).await;
    store.close().await;

    let again = SqliteStore::open(&path).expect("a full disk is enough to open");
    check(&again, "m", written).await;
    check(&again, "more", more).await;
    again.close().await;
}
