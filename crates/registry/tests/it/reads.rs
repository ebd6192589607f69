//! Reads that fail in the middle of an open file, and in the store: the answer ends there or is an error of the
//! specification, nothing damaged goes out as good, the server goes on, and a verification names what can't be read.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use http::Method;
use http_body_util::BodyExt;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::registry::BlobCondition;
use layer0_domain::port::image_source::{ImageSource, SourceAnswer};
use layer0_registry::{Content, Fault, Rate, VerifyEvent, VerifyFinding};
use layer0_store::SqliteStore;
use layer0_testkit::clock::RunningClock;
use serde_json::json;

use crate::client::{Client, OCI_MANIFEST, descriptor, index, noise};
use crate::common::{Ground, TestRegistry};
use crate::damage::{as_before, condition};
use crate::staged::{Stage, Step, When, registry_on};

const EIO: i32 = 5;
/// Bytes of a piece that has a checksum.
const PIECE: usize = 64 << 10;

/// What fails.
#[derive(Debug, Clone)]
enum Trouble {
    /// Reads of this file that reach this byte or a later one, so many times.
    File(PathBuf, u64, usize),
    /// Reads of this file that begin in the block which begins here. Others get what is before it.
    Block(PathBuf, u64),
    /// This call of the store, always.
    Store(&'static str),
    /// The same, for lack of room.
    Full(&'static str),
}

/// A disk and a store with at most one thing that fails.
#[derive(Default)]
struct Ailing(Mutex<Option<Trouble>>);

impl Ailing {
    fn set(&self, trouble: Option<Trouble>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

#[async_trait]
impl Stage for Ailing {
    fn disk(&self, step: Step<'_>) -> io::Result<()> {
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *trouble, step) {
            (Some(Trouble::File(file, from, times)), Step::Read(path, range))
                if path == file && range.end > *from && *times > 0 =>
            {
                *times -= 1;
                Err(io::Error::from_raw_os_error(EIO))
            }
            (Some(Trouble::Block(file, from)), Step::Read(path, range))
                if path == file && (*from..*from + 4096).contains(&range.start) =>
            {
                Err(io::Error::from_raw_os_error(EIO))
            }
            _ => Ok(()),
        }
    }

    async fn store(&self, step: Step<'_>) -> io::Result<()> {
        let trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*trouble, step) {
            (Some(Trouble::Store(call)), Step::Store(now, When::Before)) if *call == now => {
                Err(io::Error::from_raw_os_error(EIO))
            }
            (Some(Trouble::Full(call)), Step::Store(now, When::Before)) if *call == now => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }
}

async fn start() -> (TestRegistry, Client, Arc<Ailing>) {
    let ground = Ground::new(Arc::new(RunningClock::default())).with_repositories(&["team/app", "team/other"]).await;
    let ailing = Arc::new(Ailing::default());
    let registry = registry_on(ground, Arc::clone(&ailing) as _).await;
    let client = Client::of(&registry);
    (registry, client, ailing)
}

/// Always, from this byte of a blob on.
fn bad_from(registry: &TestRegistry, digest: &Digest, from: usize) -> Option<Trouble> {
    let (file, begin) = registry.blob_lies(digest);
    Some(Trouble::File(file, begin + from as u64, usize::MAX))
}

async fn verify(registry: &TestRegistry) -> Vec<VerifyFinding> {
    let mut findings = Vec::new();
    let read = registry.registry.verify(Rate::default(), |event| {
        if let VerifyEvent::Finding(finding) = event {
            findings.push(finding);
        }
    });
    read.await.unwrap();
    findings
}

#[tokio::test]
async fn a_download_that_the_disk_does_not_give_to_its_end_breaks_off() {
    let (registry, client, ailing) = start().await;
    let content = noise(40 * PIECE + 100);
    let digest = client.push("team/app", content.clone()).await;
    let other = client.push("team/app", "other").await;
    let path = format!("/v2/team/app/blobs/{digest}");
    for bad in [content.len() - 1, 39 * PIECE, 8 * PIECE] {
        ailing.set(bad_from(&registry, &digest, bad));
        let mut answer = client.begin_get(&path).await;
        assert_eq!(answer.status(), 200);
        let mut came = Vec::new();
        let is_broken = loop {
            match answer.frame().await {
                Some(Ok(frame)) => came.extend_from_slice(frame.data_ref().unwrap()),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        assert!(is_broken, "an answer of {} bytes was completed", came.len());
        assert!(came.len() <= bad && content.starts_with(&came), "{} bytes came, {bad} is bad", came.len());
        // Others are served, and what can be read of this one.
        assert_eq!(client.get(&format!("/v2/team/app/blobs/{other}")).await.expect(200).body, "other");
        let got = client.ask(Method::GET, &path, &[("range", "bytes=5-9")], "").await.expect(206);
        assert_eq!(got.body, content[5..10]);
        // Where the very first read fails, the answer says so.
        let range = format!("bytes={bad}-");
        let got = client.ask(Method::GET, &path, &[("range", &range)], "").await;
        assert_eq!(got.error(), (500, "UNKNOWN".to_owned()));
    }
    // The disk is well again: nothing was marked.
    ailing.set(None);
    assert!(client.get(&path).await.expect(200).body == content, "the bytes differ");
}

#[tokio::test]
async fn what_the_disk_has_lost_is_named_by_a_verification_and_healed_by_a_push() {
    let (registry, client, ailing) = start().await;
    let layer = "layer ".repeat(500_000);
    let (_, manifest) = client.push_image("team/app", "1", &layer).await;
    let digest = Digest::sha256_of(layer.as_bytes());
    ailing.set(bad_from(&registry, &digest, layer.len() - 1));
    let findings = verify(&registry).await;
    let [VerifyFinding { content: Content::Blob, digest: found, fault: Fault::Damaged, users }] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!((found, users.len(), users[0].repository.as_str()), (&digest, 1, "team/app"));
    assert_eq!((&users[0].manifests[..], &users[0].tags[..]), (&[manifest][..], &["1".to_owned()][..]));
    let path = format!("/v2/team/app/blobs/{digest}");
    assert_eq!(client.get(&path).await.error(), (404, "BLOB_UNKNOWN".to_owned()));
    client.head(&path).await.expect(404);
    // The new file lies elsewhere on the disk.
    ailing.set(None);
    client.push("team/other", layer.clone()).await;
    assert_eq!(client.get(&path).await.expect(200).body, layer);
    assert_eq!(verify(&registry).await, []);
}

/// Its checksums can't be kept on a full disk, and are not needed for more than this one answer.
#[tokio::test]
async fn a_blob_from_before_checksums_is_served_from_a_full_disk() {
    let (registry, client, ailing) = start().await;
    let content = noise(1 << 20);
    let digest = client.push("team/app", content.clone()).await;
    as_before(&registry, &digest, content.len()).await;
    let path = format!("/v2/team/app/blobs/{digest}");
    ailing.set(Some(Trouble::Full("blob_prove")));
    assert!(client.get(&path).await.expect(200).body == content, "the bytes differ");
    assert_eq!(condition(&registry, &digest).await, Some(BlobCondition::Unproven));
    assert_eq!(verify(&registry).await, []);
    ailing.set(None);
    assert!(client.get(&path).await.expect(200).body == content, "the bytes differ");
    assert!(matches!(condition(&registry, &digest).await, Some(BlobCondition::Proven(_))));
}

/// What says in a pack where a small blob begins lies in one block with the blob's first bytes.
#[tokio::test]
async fn a_small_blob_that_the_disk_has_lost_from_its_header_on_is_named_and_healed_too() {
    let (registry, client, ailing) = start().await;
    let (_, manifest) = client.push_image("team/app", "1", "small layer").await;
    let other = client.push("team/app", "other").await;
    let digest = Digest::sha256_of(b"small layer");
    let (pack, begin) = registry.blob_lies(&digest);
    let (_, next) = registry.blob_lies(&other);
    assert!(begin > 64 && begin < next, "it lies in a pack, before the other one");
    ailing.set(Some(Trouble::Block(pack, begin - 64)));
    let findings = verify(&registry).await;
    let [VerifyFinding { content: Content::Blob, digest: found, fault: Fault::Damaged, users }] = &findings[..] else {
        panic!("{findings:?}")
    };
    assert_eq!((found, &users[0].manifests[..]), (&digest, &[manifest][..]));
    let path = format!("/v2/team/app/blobs/{digest}");
    assert_eq!(client.get(&path).await.error(), (404, "BLOB_UNKNOWN".to_owned()));
    client.head(&path).await.expect(404);
    assert_eq!(client.get(&format!("/v2/team/app/blobs/{other}")).await.expect(200).body, "other");
    client.push("team/other", "small layer").await;
    assert_eq!(client.get(&path).await.expect(200).body, "small layer");
    assert_eq!(verify(&registry).await, []);
}

/// Once may have been the way to the disk: content is not condemned for it.
#[tokio::test]
async fn a_read_that_fails_once_condemns_nothing() {
    let (registry, client, ailing) = start().await;
    let content = noise(3 << 20);
    let digest = client.push("team/app", content.clone()).await;
    let once = || Some(Trouble::File(registry.blob_file(&digest), 2 << 20, 1));
    ailing.set(once());
    assert_eq!(verify(&registry).await, []);
    as_before(&registry, &digest, content.len()).await;
    ailing.set(once());
    let path = format!("/v2/team/app/blobs/{digest}");
    assert!(client.get(&path).await.expect(200).body == content, "the bytes differ");
    assert!(matches!(condition(&registry, &digest).await, Some(BlobCondition::Proven(_))));
}

#[tokio::test]
async fn a_blob_without_checksums_that_can_not_be_read_to_its_end_is_not_served() {
    let (registry, client, ailing) = start().await;
    let content = noise(3 << 20);
    let digest = client.push("team/app", content.clone()).await;
    as_before(&registry, &digest, content.len()).await;
    ailing.set(bad_from(&registry, &digest, content.len() - 1));
    let path = format!("/v2/team/app/blobs/{digest}");
    for range in ["bytes=0-0", "bytes=0-"] {
        let got = client.ask(Method::GET, &path, &[("range", range)], "").await;
        assert_eq!(got.error(), (404, "BLOB_UNKNOWN".to_owned()));
    }
    assert_eq!(condition(&registry, &digest).await, Some(BlobCondition::Damaged));
}

#[tokio::test]
async fn an_upload_that_is_gone_on_with_and_can_not_be_read_stores_nothing() {
    let content = noise(3 << 20);
    let digest = Digest::sha256_of(&content);
    for (times, status) in [(usize::MAX, 500), (1, 201)] {
        let (registry, client, _) = start().await;
        let upload = client.begin("team/app").await;
        client.ask(Method::PATCH, &upload, &[], content[..2 << 20].to_vec()).await.expect(202);
        // Another process does not know the hash of what is there.
        let ground = Ground {
            elsewhere: None,
            unpacked: false,
            mirrors: Vec::new(),
            store: Arc::clone(&registry.store),
            clock: Arc::clone(&registry.clock),
            directory: Arc::clone(&registry.directory),
        };
        drop(registry);
        let ailing = Arc::new(Ailing::default());
        let registry = registry_on(ground, Arc::clone(&ailing) as _).await;
        let client = Client::of(&registry);
        let staged = registry.root().join("uploads").join(upload.rsplit('/').next().unwrap());
        ailing.set(Some(Trouble::File(staged, 1 << 20, times)));
        let put = format!("{upload}?digest={digest}");
        let got = client.ask(Method::PUT, &put, &[], content[2 << 20..].to_vec()).await;
        let path = format!("/v2/team/app/blobs/{digest}");
        assert_eq!(got.status, status);
        if status == 500 {
            assert_eq!(got.error(), (500, "UNKNOWN".to_owned()));
            client.head(&path).await.expect(404);
            assert_eq!(client.get(&upload).await.error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
            assert_eq!(registry.blob_files(), [""; 0]);
            ailing.set(None);
            client.push("team/app", content.clone()).await;
        }
        assert!(client.get(&path).await.expect(200).body == content, "the bytes differ");
        assert_eq!(registry.staged(), [""; 0]);
    }
}

#[tokio::test]
async fn a_config_that_can_not_be_read_is_an_error_and_no_answer() {
    let (registry, client, ailing) = start().await;
    let (manifest, _) = client.push_image("team/app", "1", "layer").await;
    let config = Digest::parse(manifest["config"]["digest"].as_str().unwrap()).unwrap();
    let image = ImageRef::parse(&format!("{}/team/app:1", registry.address)).unwrap();
    ailing.set(bad_from(&registry, &config, 0));
    assert!(registry.registry.describe(&image).await.is_err());
    ailing.set(None);
    let SourceAnswer::Found(found) = registry.registry.describe(&image).await.unwrap() else { panic!("not found") };
    assert_eq!((found.platforms.len(), found.missing), (1, vec![]));
}

/// The store is a file too: what it has of manifests, tags and checksums may be what can't be read.
#[tokio::test]
async fn a_store_that_can_not_be_read_is_said_and_served_past() {
    let (registry, client, ailing) = start().await;
    let (manifest, digest) = client.push_image("team/app", "1", "layer").await;
    let list = index(vec![descriptor(OCI_MANIFEST, &manifest.to_string())]);
    let answer = client.put_manifest("team/app", "all", &list).await.expect(201);
    let list_digest = Digest::parse(answer.header("docker-content-digest")).unwrap();
    let layer = Digest::sha256_of(b"layer");
    let manifests = ["1", "all", &digest.to_string(), &list_digest.to_string()].map(|it| format!("manifests/{it}"));
    let asked = [
        ("manifest_get", manifests.to_vec()),
        // A blob's record, with its checksums.
        ("blob_get", vec![format!("blobs/{layer}")]),
        ("tag_list", vec!["tags/list".to_owned()]),
        ("referrers", vec![format!("referrers/{digest}")]),
    ];
    for (call, paths) in &asked {
        ailing.set(Some(Trouble::Store(call)));
        for path in paths {
            let got = client.get(&format!("/v2/team/app/{path}")).await;
            assert_eq!(got.error(), (500, "UNKNOWN".to_owned()), "{path}");
        }
        // What needs the other calls goes on.
        for path in asked.iter().filter(|(other, _)| other != call).flat_map(|(_, paths)| paths) {
            client.get(&format!("/v2/team/app/{path}")).await.expect(200);
        }
    }
    ailing.set(Some(Trouble::Store("manifest_get")));
    let refused = client.put_manifest("team/app", "2", &list).await;
    assert_eq!(refused.error(), (500, "UNKNOWN".to_owned()), "whether its part is there is not known");
    let mut findings = verify(&registry).await;
    findings.sort_by(|a, b| a.digest.cmp(&b.digest));
    let mut want = [digest.clone(), list_digest];
    want.sort();
    let found: Vec<_> = findings.iter().map(|finding| (finding.content, finding.fault, &finding.digest)).collect();
    assert_eq!(found, want.each_ref().map(|digest| (Content::Manifest, Fault::Unreadable, digest)));
    assert!(findings.iter().all(|finding| finding.users[0].repository.as_str() == "team/app"), "{findings:?}");

    ailing.set(None);
    client.get("/v2/team/app/manifests/2").await.expect(404);
    assert_eq!(client.get("/v2/team/app/manifests/1").await.expect(200).body, manifest.to_string());
    assert_eq!(verify(&registry).await, []);
}

/// No stand-in: a page of the database itself that comes back as zeros. What was on it is lost, and nothing else.
#[tokio::test]
async fn a_page_that_the_database_has_lost_costs_what_was_on_it() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    let path = directory.path().join(SqliteStore::FILE_NAME);
    let clock = Arc::new(RunningClock::default());
    let ground = || Ground {
        elsewhere: None,
        unpacked: false,
        mirrors: Vec::new(),
        store: Arc::new(SqliteStore::open(&path).unwrap()),
        clock: Arc::clone(&clock) as _,
        directory: Arc::clone(&directory),
    };
    let sound = Arc::new(Ailing::default());
    let registry = registry_on(ground().with_repositories(&["team/app"]).await, Arc::clone(&sound) as _).await;
    let client = Client::of(&registry);
    let (mut manifest, _) = client.push_image("team/app", "1", "layer").await;
    manifest["annotations"] = json!({ "note": "x".repeat(100_000) });
    client.put_manifest("team/app", "long", &manifest).await.expect(201);
    client.get("/v2/team/app/manifests/long").await.expect(200);
    registry.store.close().await;
    drop(registry);

    let mut bytes = std::fs::read(&path).unwrap();
    let size = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
    // One in the middle of it: all of it is content, behind the number of the page that follows.
    let lost = bytes.chunks_mut(size).find(|page| page[4..].iter().all(|byte| *byte == b'x'));
    lost.unwrap().fill(0);
    std::fs::write(&path, bytes).unwrap();

    let registry = registry_on(ground(), sound).await;
    let client = Client::of(&registry);
    let digest = Digest::sha256_of(manifest.to_string().as_bytes());
    for reference in ["long", &digest.to_string()] {
        let got = client.get(&format!("/v2/team/app/manifests/{reference}")).await;
        assert_eq!(got.error(), (500, "UNKNOWN".to_owned()));
    }
    client.get("/v2/team/app/manifests/1").await.expect(200);
    let findings = verify(&registry).await;
    let [VerifyFinding { content: Content::Manifest, digest: found, fault: Fault::Unreadable, users }] = &findings[..]
    else {
        panic!("{findings:?}")
    };
    assert_eq!((found, users[0].repository.as_str()), (&digest, "team/app"));
    client.push_image("team/app", "2", "another layer").await;
}
