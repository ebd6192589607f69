//! Small blobs, many to a file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::join_all;
use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::{BlobPlace, BlobSums};
use layer0_domain::port::blob_bytes::{BlobBytes, BlobContent, Look, Reach, Seen, Source};
use layer0_domain::port::clock::Clock;
use layer0_domain::port::registry_store::{Along, BlobLink, RegistryStore};
use layer0_registry::disk::OsDisk;
use layer0_registry::{FileBytes, Swept};
use layer0_testkit::clock::{FixedClock, RunningClock};

use crate::client::{Client, noise};
use crate::common::{Doors, Ground, TestRegistry, name};
use crate::staged::{Stage, Step, registry_on};

/// The largest blob that lies in a pack.
const PACKED_MAX: usize = 256 << 10;
const DAY: i64 = 24 * 60 * 60 * 1000;

fn packs(root: &Path) -> Vec<PathBuf> {
    let mut packs: Vec<PathBuf> =
        fs::read_dir(root.join("packs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    packs
}

/// Bytes that a file takes of the disk.
fn taken(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

fn open(directory: &Path) -> FileBytes {
    FileBytes::open(directory, Arc::new(OsDisk)).unwrap()
}

fn push(bytes: &FileBytes, content: &[u8]) -> BlobPlace {
    let digest = Digest::sha256_of(content);
    let mut upload = bytes.upload_begin(&digest.hex()[..32], Reach::Private).unwrap();
    upload.append_last(content).unwrap();
    upload.complete().unwrap();
    upload.keep(&digest).unwrap()
}

fn read(bytes: &FileBytes, place: &BlobPlace) -> Option<Vec<u8>> {
    Some(read_all(&*bytes.open(place, Source::Any).unwrap()?))
}

fn read_all(content: &dyn BlobContent) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let at = all.len() as u64;
        if content.read(&mut all, 10_000, at, u64::MAX).unwrap() == 0 {
            return all;
        }
    }
}

fn listed(bytes: &FileBytes) -> Vec<BlobPlace> {
    let (mut all, mut next) = (Vec::new(), None::<String>);
    loop {
        let page = bytes.list(next.as_deref()).unwrap();
        all.extend(page.places);
        next = page.next;
        if next.is_none() {
            return all;
        }
    }
}

#[tokio::test]
async fn what_is_small_shares_a_file_however_it_comes_and_outlives_a_restart() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let mut all = Vec::new();
    for (number, length) in [0, 1, 4032, 4033, PACKED_MAX - 1, PACKED_MAX].into_iter().enumerate() {
        let content = [&[7; 1][..length.min(1)], &noise(length.saturating_sub(1))].concat();
        let upload = client.begin("team/app").await;
        let digest = Digest::sha256_of(&content);
        // At once, or in two pieces, of which the first waits in a file.
        let (first, rest) = content.split_at(if number % 2 == 0 { 0 } else { length / 2 });
        if !first.is_empty() {
            client.ask(Method::PATCH, &upload, &[], first.to_vec()).await.expect(202);
        }
        client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], rest.to_vec()).await.expect(201);
        all.push((digest, content));
    }
    assert_eq!((packs(&registry.root()).len(), registry.staged()), (1, vec![]));
    let large = client.push("team/app", noise(PACKED_MAX + 1)).await;
    assert!(registry.blob_file(&large).exists(), "it has a file of its own");

    let registry = registry.restart().await;
    let client = Client::of(&registry);
    all.push((client.push("team/app", "of the next process").await, b"of the next process".to_vec()));
    assert_eq!(packs(&registry.root()).len(), 2, "none goes on with the pack of another one");
    for (digest, content) in all {
        let path = format!("/v2/team/app/blobs/{digest}");
        assert!(client.get(&path).await.expect(200).body == content, "the bytes differ");
        client.head(&path).await.expect(200);
        if content.len() > 2 {
            let part = client.ask(Method::GET, &path, &[("range", "bytes=1-2")], "").await.expect(206);
            assert!(part.body == content[1..=2]);
        }
    }
}

/// Each comes back as it went in, and those who come together share what they wait for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let contents: Vec<String> = (0..200).map(|number| format!("{number} ").repeat(1 + number * 7)).collect();
    let digests = join_all(contents.iter().map(|content| client.push("team/app", content.clone()))).await;
    for (digest, content) in digests.iter().zip(&contents) {
        assert_eq!(client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200).body, content.as_bytes());
    }
    assert_eq!(packs(&registry.root()).len(), 1);
}

#[tokio::test]
async fn what_goes_gives_its_space_back_and_an_empty_pack_its_name() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let contents: Vec<Vec<u8>> = (0..8_u8).map(|number| noise(200_000 + usize::from(number))).collect();
    let digests = join_all(contents.iter().map(|content| client.push("team/app", content.clone()))).await;
    let pack = packs(&registry.root()).remove(0);
    let full = taken(&pack);
    assert!(full >= 8 * 200_000);
    for digest in &digests[1..] {
        client.delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
    }
    assert!(taken(&pack) < full / 4, "{} of {full} bytes are left", taken(&pack));
    client.get(&format!("/v2/team/app/blobs/{}", digests[0])).await.expect(200);
    client.delete(&format!("/v2/team/app/blobs/{}", digests[0])).await.expect(202);
    registry.registry.sweep().await.unwrap();
    assert!(pack.exists(), "the last one stays, since its number may not come again");

    let registry = registry.restart().await;
    Client::of(&registry).push("team/app", "next").await;
    registry.registry.sweep().await.unwrap();
    assert!(!pack.exists());
    assert_eq!(packs(&registry.root()).len(), 1);
}

/// Bytes whose link never came, after a crash or a full disk.
#[tokio::test]
async fn a_record_that_nobody_names_goes_when_it_is_old() {
    let clock = Arc::new(FixedClock::at(RunningClock::default().now()));
    let ground = Ground::new(clock.clone()).with_repositories(&["team/app", "team/other"]).await;
    let stray = push(&open(ground.directory.path()), b"left by a crash");
    let registry = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
    let held = Client::of(&registry).push("team/app", "held").await;
    assert_eq!(registry.registry.sweep().await.unwrap(), Swept::default());
    clock.advance_ms(2 * DAY);
    assert_eq!(registry.registry.sweep().await.unwrap(), Swept { uploads: 0, strays: 1 });
    assert_eq!(read(&open(registry.directory.path()), &stray), None);
    Client::of(&registry).get(&format!("/v2/team/app/blobs/{held}")).await.expect(200);
}

/// Pushed again, a blob lies elsewhere, and where it lay is free at once.
#[tokio::test]
async fn a_blob_that_is_pushed_again_moves() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let digest = client.push("team/app", "content").await;
    let first = registry.blob_lies(&digest);
    client.push("team/other", "content").await;
    let second = registry.blob_lies(&digest);
    assert!(first != second);
    assert_eq!(registry.blob_files(), [digest.hex()]);
    // Larger than what goes into a pack, it would have been a file: such a one is kept as it is, and gives way to a record.
    let registry = TestRegistry::unpacked().await;
    let digest = Client::of(&registry).push("team/app", "content").await;
    let file = registry.blob_file(&digest);
    let ground = Ground { unpacked: false, ..registry.ground() };
    drop(registry);
    let registry = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
    let client = Client::of(&registry);
    let path = format!("/v2/team/app/blobs/{digest}");
    assert_eq!(client.get(&path).await.expect(200).body, "content");
    client.push("team/app", "content").await;
    assert_eq!(client.get(&path).await.expect(200).body, "content");
    File::options().write(true).open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(registry.registry.sweep().await.unwrap().strays, 1, "the file, though its blob is held");
    assert!(!file.exists());
    assert_eq!(client.get(&path).await.expect(200).body, "content");
}

#[test]
fn whoever_reads_a_record_reads_it_to_its_end_though_it_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = open(directory.path());
    let content = noise(100_000);
    let (place, other) = (push(&bytes, &content), push(&bytes, b"other"));
    let (one, two) = (bytes.open(&place, Source::Any).unwrap().unwrap(), bytes.open_ready(&place));
    bytes.remove(&place).unwrap();
    assert!(read_all(&*one) == content);
    drop(one);
    assert_eq!(bytes.look(&place, Look::Closely).unwrap() == Seen::Gone, two.is_none(), "somebody reads it still");
    drop(two);
    // It goes with the next one that does.
    bytes.remove(&other).unwrap();
    assert_eq!(listed(&bytes), []);
}

#[test]
fn a_record_that_somebody_reads_again_stays_until_that_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = open(directory.path());
    let content = noise(100_000);
    let [place, other, third] = [&*content, b"other", b"third"].map(|content| push(&bytes, content));
    let before = bytes.open(&place, Source::Any).unwrap().unwrap();
    bytes.remove(&place).unwrap();
    drop(before);
    // Whoever was told the place before.
    let again = bytes.open(&place, Source::Any).unwrap().unwrap();
    bytes.remove(&other).unwrap();
    assert!(read_all(&*again) == content);
    drop(again);
    bytes.remove(&third).unwrap();
    assert_eq!(listed(&bytes), []);
}

/// A disk that is full for records, and has room for the begin of a pack.
#[derive(Default)]
struct NoRoom(Mutex<Option<u32>>);

#[async_trait]
impl Stage for NoRoom {
    fn disk(&self, step: Step<'_>) -> io::Result<()> {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *writes, step) {
            (Some(count), Step::Disk("write", path)) if path.parent().is_some_and(|it| it.ends_with("packs")) => {
                *count += 1;
                if *count > 1 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    async fn store(&self, _step: Step<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// The last pack is all holes and is kept for its number, and what was to be written into the next one does not come to the disk.
#[tokio::test]
async fn no_number_of_a_pack_comes_again() {
    let ground = Ground::new(Arc::new(RunningClock::default())).with_repositories(&["team/app"]).await;
    let stage = Arc::new(NoRoom::default());
    let registry = registry_on(ground, Arc::clone(&stage) as _).await;
    let client = Client::of(&registry);
    let digest = client.push("team/app", "content").await;
    let (pack, _) = registry.blob_lies(&digest);
    client.delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
    let registry = registry_on(registry.ground(), Arc::clone(&stage) as _).await;
    let client = Client::of(&registry);
    *stage.0.lock().unwrap() = Some(0);
    for _ in 0..2 {
        let path = format!("/v2/team/app/blobs/uploads/?digest={}", Digest::sha256_of(b"other"));
        let refused = client.ask(Method::POST, &path, &[], "other").await;
        assert_eq!(refused.status, 507, "{refused:?}");
        *stage.0.lock().unwrap() = Some(0);
    }
    *stage.0.lock().unwrap() = None;
    client.push("team/app", "content").await;
    let (again, _) = registry.blob_lies(&digest);
    assert!(again > pack, "{again:?} after {pack:?}");
    assert!(!pack.exists(), "its number is given no more");
}

/// A search for strays may have looked before a record was linked, and removes it afterwards.
#[test]
fn what_is_being_brought_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = open(directory.path());
    let digest = Digest::sha256_of(b"brought");
    let mut upload = bytes.upload_begin("00-aa", Reach::Private).unwrap();
    upload.append_last(b"brought").unwrap();
    upload.complete().unwrap();
    let place = upload.keep(&digest).unwrap();
    bytes.remove(&place).unwrap();
    assert_eq!(read(&bytes, &place).as_deref(), Some(&b"brought"[..]));
    upload.rest();
    assert_eq!(read(&bytes, &place).as_deref(), Some(&b"brought"[..]), "it was linked, and nobody took it out");
    bytes.remove(&place).unwrap();
    assert_eq!(read(&bytes, &place), None);
}

/// What looks like the begin of a record inside a blob is none: whoever pushes it does not know the pack's mark.
#[test]
fn a_blob_can_not_forge_records() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = open(directory.path());
    let kept = push(&bytes, &noise(50_000));
    let pack = packs(&directory.path().join("registry")).remove(0);
    let file = File::options().read(true).write(true).open(&pack).unwrap();
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 4096).unwrap();
    // A blob with such headers at each place where a record of a pack without them could begin, with a mark of its own.
    let from = 4096 + (50_000_u64 + 64).next_multiple_of(4096);
    let mut forged = vec![0; 100_000];
    for block in 1..20 {
        let offset = from + block * 4096;
        let mut said = header;
        said[..16].fill(1);
        said[16..24].copy_from_slice(&offset.to_le_bytes());
        said[24..32].copy_from_slice(&(1_u64 << 30).to_le_bytes());
        let sum = crc32c::crc32c(&said[..40]);
        said[40..44].copy_from_slice(&sum.to_le_bytes());
        let at = usize::try_from(block * 4096 - 64).unwrap();
        forged[at..at + 64].copy_from_slice(&said);
    }
    let forging = push(&bytes, &forged);
    assert_eq!(listed(&bytes), [kept.clone(), forging.clone()]);
    // Also when its own header has rotted, and nothing says how long it is.
    file.write_all_at(&[0; 64], from).unwrap();
    assert_eq!(listed(&bytes), std::slice::from_ref(&kept));
    assert_eq!(read(&bytes, &forging), None);
    // A place that is made up takes nothing away.
    bytes.remove(&BlobPlace::new(format!("pack:00000000:{:08x}:{:x}", 4096, 10))).unwrap();
    assert_eq!(read(&bytes, &kept).map(|it| it.len()), Some(50_000));
}

/// Of a state that was copied while the images lay in a bucket.
#[tokio::test]
async fn a_place_that_is_none_here_is_as_good_as_none() {
    let registry = TestRegistry::unpacked().await;
    let client = Client::of(&registry);
    let digest = client.push("team/app", "content").await;
    let store: &dyn RegistryStore = registry.store.as_ref();
    let sums = BlobSums { piece: 65_536, sums: vec![crc32c::crc32c(b"content")] };
    for place in ["uploads/1/blob", "pack:0:1000", "pack:0:1001:7", "pack:0:1000:7:8", "pack:0:ffffffffffffffff:7"] {
        let place = Some(BlobPlace::new(place));
        let link = BlobLink { digest: digest.clone(), size: 7, sums: Some(sums.clone()), place };
        store.blob_link(&name("team/app"), &link, registry.clock.now(), &Along::NOTHING).await.unwrap();
        assert_eq!(client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200).body, "content");
    }
    // A search for strays does not take it for one that lies elsewhere.
    let file = registry.blob_file_of(&digest);
    File::options().write(true).open(&file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(registry.registry.sweep().await.unwrap(), Swept::default());
    assert_eq!(client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200).body, "content");
    client.delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
    assert_eq!(registry.blob_files(), [""; 0]);
}

/// Of a header that has rotted nothing is left to find the record by, and of a mark nothing to find any: neither takes away what is
/// named, and what can't be served any more is missed.
#[tokio::test]
async fn what_rots_before_the_bytes_takes_nothing_else_away() {
    let clock = Arc::new(FixedClock::at(RunningClock::default().now()));
    let ground = Ground::new(clock.clone()).with_repositories(&["team/app", "team/other"]).await;
    let registry = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
    let client = Client::of(&registry);
    let lost = client.push("team/app", "lost").await;
    let sound = client.push("team/app", noise(100_000)).await;
    let (pack, begin) = registry.blob_lies(&lost);
    let file = File::options().write(true).open(&pack).unwrap();
    file.write_all_at(&[0; 64], begin - 64).unwrap();
    file.write_all_at(&[0; 16], 0).unwrap();
    let registry = registry.restart().await;
    let client = Client::of(&registry);
    client.push("team/app", "in the next pack").await;
    clock.advance_ms(10 * DAY);
    assert_eq!(registry.registry.sweep().await.unwrap(), Swept::default());
    let path = format!("/v2/team/app/blobs/{sound}");
    assert!(client.get(&path).await.expect(200).body == noise(100_000), "the bytes differ");

    let path = format!("/v2/team/app/blobs/{lost}");
    client.get(&path).await.expect(404);
    client.head(&path).await.expect(404);
    client.post(&format!("/v2/team/other/blobs/uploads/?mount={lost}&from=team/app")).await.expect(202);
    client.push("team/app", "lost").await;
    client.head(&path).await.expect(200);
    assert_eq!(client.get(&path).await.expect(200).body, "lost");
}

/// A data directory of the version before: no packs, and its own word that all names are on the disk.
#[tokio::test]
async fn a_directory_from_before_packs_gets_them_and_keeps_what_it_has() {
    let registry = TestRegistry::unpacked().await;
    let digest = Client::of(&registry).push("team/app", "content").await;
    let ground = Ground { unpacked: false, ..registry.ground() };
    let root = registry.root();
    drop(registry);
    fs::remove_dir(root.join("packs")).unwrap();
    fs::remove_file(root.join("synced-2")).unwrap();
    File::create(root.join("synced")).unwrap();
    let registry = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
    let client = Client::of(&registry);
    assert_eq!(client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200).body, "content");
    client.push("team/app", "new").await;
    assert_eq!(packs(&root).len(), 1);
    assert!(root.join("synced-2").exists());
}

/// A pack that was taken away or cut off is not written on: what is pushed afterwards is there.
#[test]
fn a_pack_that_somebody_took_away_takes_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = open(directory.path());
    for damage in
        [|pack: &Path| fs::remove_file(pack), |pack: &Path| File::options().write(true).open(pack)?.set_len(5000)]
            as [fn(&Path) -> io::Result<()>; 2]
    {
        push(&bytes, &noise(10_000));
        damage(packs(&directory.path().join("registry")).last().unwrap()).unwrap();
        let next = push(&bytes, b"next");
        assert_eq!(read(&open(directory.path()), &next).as_deref(), Some(&b"next"[..]));
    }
}
