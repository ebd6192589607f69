//! No room: it is said, nothing is lost, and all goes on once there is room again.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use futures_util::future::join_all;
use layer0_domain::model::audit::AuditRecord;
use layer0_domain::model::registry::{Manifest, ManifestRef};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::access_store::{AccessStore as _, AccessStoreError};
use layer0_domain::port::registry_store::{Along, RegistryStore, RegistryStoreError};
use layer0_domain::port::store::{Store, StoreError};
use layer0_store::{OpenError, SqliteStore};
use layer0_testkit::registry_store_suite::sample as registry;
use layer0_testkit::store_suite::sample;
use tempfile::TempDir;

/// A manifest of 64 KiB.
fn big(word: &str) -> Manifest {
    let mut bytes = vec![7; 64 * 1024];
    bytes[..word.len()].copy_from_slice(word.as_bytes());
    Manifest { bytes, ..registry::manifest(word) }
}

/// A new store with so many manifests, for which there is room.
async fn with_manifests(path: &Path, count: usize) -> SqliteStore {
    let store = SqliteStore::open(path).expect("a new file opens");
    registry::repository(&store, "team/app").await;
    let name = registry::name("team/app");
    for number in 0..count {
        let put = store.manifest_put(&name, &big(&format!("m{number}")), &[], &Along::NOTHING).await;
        assert!(put.is_ok(), "{put:?}");
    }
    store
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

/// A small file system, gone with the value. Of each a store keeps 8 MiB for deletes.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this process may not mount: then there is no disk to fill.
    fn mount(mebibytes: u32) -> Option<Self> {
        Self::mount_with(mebibytes, "mode=700")
    }

    /// The same with a further option of tmpfs.
    #[expect(clippy::print_stderr, reason = "whoever runs the test is told what it did not test")]
    fn mount_with(mebibytes: u32, option: &str) -> Option<Self> {
        let at = tempfile::tempdir().expect("a directory can be made");
        let size = format!("size={mebibytes}m,{option}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "layer0-store-test"])
            .arg(at.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("not root: no small file system can be mounted, so only the page limit is tested");
        }
        mounted.then_some(Self(at))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves no room for anybody.
    fn fill(&self) {
        let mut file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path().join("filler"))
            .expect("room for a name");
        for size in [64 * 1024, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// The same with the real errors of a real file system, where this process may mount one. The page limit above shows the
/// rest everywhere.
#[tokio::test]
async fn a_full_disk_says_so_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(12) else { return };
    let path = disk.path().join(SqliteStore::FILE_NAME);
    let store = SqliteStore::open(&path).expect("a new file opens");
    registry::repository(&store, "team/app").await;
    let ballast = disk.path().join("ballast");
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

/// A record of a change that was answered so.
fn record(status: u16) -> AuditRecord {
    AuditRecord {
        at: Timestamp(1),
        who: "admin".to_owned(),
        token: None,
        from: String::new(),
        action: "image_delete".to_owned(),
        target: "team/app".to_owned(),
        environment: None,
        status,
    }
}

/// What makes room is not refused for lack of it, also when it is much; and room that it makes is used.
#[tokio::test]
async fn on_a_full_disk_deletes_are_done_and_noted_and_give_room() {
    let Some(disk) = SmallDisk::mount(40) else { return };
    let path = disk.path().join(SqliteStore::FILE_NAME);
    let store = SqliteStore::open(&path).expect("a new file opens");
    registry::repository(&store, "team/app").await;
    let written = fill(&store, "m").await;
    disk.fill();
    assert_eq!(fill(&store, "refused").await, 0);
    let name = registry::name("team/app");

    // A start is possible too, and finds what is kept.
    store.close().await;
    let store = SqliteStore::open(&path).expect("a full disk is enough to open");
    // Beside pushes in the same commit, and one of them that is refused.
    let digests: Vec<_> = (0..10).map(|number| big(&format!("m{number}")).digest).collect();
    let missing = big("missing").digest;
    let deletes = join_all(digests.iter().chain([&missing]).map(|digest| store.manifest_delete(&name, digest)));
    let manifests: Vec<_> = (0..10).map(|number| big(&format!("beside{number}"))).collect();
    let pushes = join_all(manifests.iter().map(|it| store.manifest_put(&name, it, &[], &Along::NOTHING)));
    let (pushed, deleted) = tokio::join!(pushes, deletes);
    let deleted: Vec<_> = deleted.into_iter().map(|answer| answer.expect("it has room")).collect();
    assert_eq!(deleted, [[true; 10].as_slice(), &[false]].concat());
    assert!(pushed.iter().all(|answer| matches!(answer, Err(RegistryStoreError::Full))), "{pushed:?}");

    for number in 10..written {
        let digest = big(&format!("m{number}")).digest;
        let deleted = store.manifest_delete(&name, &digest).await;
        assert!(matches!(deleted, Ok(true)), "{number} of {written}: {deleted:?}");
        let noted = store.audit_append(&record(202)).await;
        assert!(noted.is_ok(), "{number} of {written}: {noted:?}");
    }
    let kept = std::fs::metadata(disk.path().join("layer0.db-reserve")).expect("some is left").len();
    assert!(kept < 8 * 1024 * 1024, "no delete needed it");
    let more = fill(&store, "again").await;
    assert!(more > 0, "the database has room inside");
    store.close().await;

    let again = SqliteStore::open(&path).expect("it was closed");
    for number in 0..written {
        let digest = big(&format!("m{number}")).digest;
        let gone = again.manifest_get(&name, &ManifestRef::Digest(digest)).await.expect("a read succeeds");
        assert_eq!(gone, None);
    }
    check(&again, "again", more).await;
    again.close().await;
}

/// Nothing lies beside a database that was closed, and whoever opens it needs room for the WAL: others may have taken all there was.
#[tokio::test]
async fn on_a_disk_that_others_have_filled_a_store_opens_with_what_is_kept() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let (path, name) = (disk.path().join(SqliteStore::FILE_NAME), registry::name("team/app"));
    with_manifests(&path, 10).await.close().await;
    assert!(!disk.path().join("layer0.db-shm").exists(), "it was closed");
    disk.fill();

    let store = SqliteStore::open(&path).expect("it has room for that");
    check(&store, "m", 10).await;
    let deleted = store.manifest_delete(&name, &big("m9").digest).await;
    assert!(matches!(deleted, Ok(true)), "{deleted:?}");
    let pushed = store.manifest_put(&name, &big("more"), &[], &Along::NOTHING).await;
    assert!(matches!(pushed, Err(RegistryStoreError::Full)), "{pushed:?}");
    store.close().await;

    // Where nothing is kept, it is said what is wrong.
    disk.fill();
    let reserve = std::fs::File::options().write(true).open(disk.path().join("layer0.db-reserve")).expect("it stays");
    reserve.set_len(0).expect("a file can be cut");
    disk.fill();
    let refused = SqliteStore::open(&path).map(drop).expect_err("there is no room at all");
    assert!(
        matches!(&refused, OpenError::Full { .. }) && refused.to_string().contains("its disk is full"),
        "{refused:?}"
    );

    std::fs::remove_file(disk.path().join("filler")).expect("it is there");
    let store = SqliteStore::open(&path).expect("there is room");
    check(&store, "m", 9).await;
    store.manifest_put(&name, &big("more"), &[], &Along::NOTHING).await.expect("there is room");
    let kept = std::fs::metadata(disk.path().join("layer0.db-reserve")).expect("it stays").len();
    assert_eq!(kept, 8 * 1024 * 1024, "it is kept again");
    store.close().await;
}

/// Others have had what is kept, too. What the database has no need to grow for finds room in the WAL's file.
#[tokio::test]
async fn with_nothing_kept_deletes_find_room_in_the_wal() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let (path, name) = (disk.path().join(SqliteStore::FILE_NAME), registry::name("team/app"));
    with_manifests(&path, 20).await.close().await;
    let store = SqliteStore::open(&path).expect("it was closed");
    let delete = async |number: u32| store.manifest_delete(&name, &big(&format!("m{number}")).digest).await;
    for number in 0..4 {
        assert!(matches!(delete(number).await, Ok(true)));
    }
    let reserve = std::fs::File::options().write(true).open(disk.path().join("layer0.db-reserve")).expect("it stays");
    reserve.set_len(0).expect("a file can be cut");
    disk.fill();
    for number in 4..19 {
        let deleted = delete(number).await;
        assert!(matches!(deleted, Ok(true)), "{number}: {deleted:?}");
    }
    let pushed = store.manifest_put(&name, &big("more"), &[], &Along::NOTHING).await;
    assert!(matches!(pushed, Err(RegistryStoreError::Full)), "{pushed:?}");
    store.close().await;
}

/// More names than a file system has are as good as no room.
#[tokio::test]
async fn a_disk_without_room_for_a_name_is_said_to_be_full() {
    let Some(disk) = SmallDisk::mount_with(24, "nr_inodes=20") else { return };
    let path = disk.path().join(SqliteStore::FILE_NAME);
    with_manifests(&path, 10).await.close().await;
    let names: Vec<_> = (0..20).map(|number| disk.path().join(format!("name{number}"))).collect();
    let made = names.iter().filter(|name| std::fs::File::create_new(name).is_ok()).count();
    assert!(made < names.len(), "no more can be made");
    let refused = SqliteStore::open(&path).map(drop).expect_err("there is no room for the WAL's name");
    assert!(matches!(&refused, OpenError::Full { .. }), "{refused:?}");
    std::fs::remove_file(&names[0]).expect("it is there");
    std::fs::remove_file(&names[1]).expect("it is there");
    let store = SqliteStore::open(&path).expect("there is room");
    check(&store, "m", 10).await;
    store.close().await;
}

/// A full disk has no room for the pages that stand in the WAL only, either.
#[tokio::test]
async fn on_a_full_disk_the_wal_is_written_back_with_what_is_kept() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let (path, name) = (disk.path().join(SqliteStore::FILE_NAME), registry::name("team/app"));
    let store = with_manifests(&path, 30).await;
    let length = || std::fs::metadata(&path).expect("it is there").len();
    assert!(length() < 1024 * 1024, "all of it is in the WAL");
    disk.fill();
    let reserve = disk.path().join("layer0.db-reserve");
    let mut lengths = BTreeSet::from([length()]);
    for number in 0..5_000 {
        if length() > 1024 * 1024 {
            break;
        }
        let noted = store.audit_append(&record(202)).await;
        assert!(noted.is_ok(), "{number}: {noted:?}");
        // Behind whatever the writer does after its answer.
        let nothing = store.manifest_delete(&name, &big("missing").digest).await;
        assert!(matches!(nothing, Ok(false)), "{nothing:?}");
        let kept = std::fs::metadata(&reserve).expect("it stays").len();
        assert!(kept > 3 * 1024 * 1024, "what is not needed is taken back at once: {kept}");
        lengths.insert(length());
    }
    assert!(length() > 1024 * 1024, "it was written back");
    assert_eq!(lengths.len(), 2, "at once, when it was time for it: {lengths:?}");

    // Pushes don't get what is left, though the WAL is empty again, and nor does the log of their refusals.
    assert_eq!(fill(&store, "refused").await, 0);
    let refused = store.audit_append(&record(507)).await;
    assert!(matches!(refused, Err(AccessStoreError::Full)), "{refused:?}");
    let deleted = store.manifest_delete(&name, &big("m29").digest).await;
    assert!(matches!(deleted, Ok(true)), "{deleted:?}");
    check(&store, "m", 29).await;
    std::fs::remove_file(disk.path().join("filler")).expect("it is there");
    assert!(fill(&store, "m29 again").await > 0, "there is room, without a restart");
    store.close().await;
}
