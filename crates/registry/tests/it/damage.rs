//! Content that rots on the disk is never served as good, is missed from then on, and is healed by a push.

use std::fs::File;
use std::os::unix::fs::FileExt;

use futures_util::future::join_all;
use http::Method;
use http_body_util::BodyExt;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::registry::{BlobCondition, BlobSums, Manifest, ManifestRef};
use layer0_domain::port::image_source::{ImageSource, SourceAnswer};
use layer0_domain::port::registry_store::{Along, BlobLink, Page, RegistryStore};
use layer0_testkit::until::until_true;

use crate::client::{Client, OCI_MANIFEST, descriptor, index, noise};
use crate::common::{TestRegistry, name};

/// Bytes of a piece that has a checksum.
const PIECE: usize = 64 << 10;

/// Turns one byte of a blob's file into another one; its length stays.
pub(crate) fn rot(registry: &TestRegistry, digest: &Digest, at: usize) {
    let (path, begin) = registry.blob_lies(digest);
    let file = File::options().read(true).write(true).open(path).unwrap();
    let (mut byte, at) = ([0], begin + at as u64);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

pub(crate) async fn condition(registry: &TestRegistry, digest: &Digest) -> Option<BlobCondition> {
    let store: &dyn RegistryStore = registry.store.as_ref();
    store.blob_get(&name("team/app"), digest).await.unwrap().map(|record| record.condition)
}

/// A blob of `team/app` as a version before checksums left it.
pub(crate) async fn as_before(registry: &TestRegistry, digest: &Digest, size: usize) {
    let store: &dyn RegistryStore = registry.store.as_ref();
    let app = name("team/app");
    store.blob_unlink(&app, digest).await.unwrap();
    let link = BlobLink { digest: digest.clone(), size: size as u64, sums: None, place: None };
    store.blob_link(&app, &link, registry.clock.now(), &Along::NOTHING).await.unwrap();
    assert_eq!(condition(registry, digest).await, Some(BlobCondition::Unproven));
}

#[tokio::test]
async fn a_blob_that_has_rotted_is_missing_until_it_is_pushed_again() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let (manifest, digest) = client.push_image("team/app", "1", "layer").await;
    let layer = Digest::sha256_of(b"layer");
    let path = format!("/v2/team/app/blobs/{layer}");
    client.post(&format!("/v2/team/other/blobs/uploads/?mount={layer}&from=team/app")).await.expect(201);
    rot(&registry, &layer, 2);
    // Nobody has read it yet, so nobody knows.
    client.head(&path).await.expect(200);

    let got = client.get(&path).await;
    assert_eq!(got.error(), (404, "BLOB_UNKNOWN".to_owned()));
    assert!(got.message().contains("damaged") && got.message().contains("push"), "{}", got.message());
    for repository in ["team/app", "team/other"] {
        let path = format!("/v2/{repository}/blobs/{layer}");
        client.head(&path).await.expect(404);
        client.ask(Method::GET, &path, &[("range", "bytes=0-0")], "").await.expect(404);
    }
    client.post(&format!("/v2/team/other/blobs/uploads/?mount={layer}&from=team/app")).await.expect(202);
    client.post(&format!("/v2/team/other/blobs/uploads/?mount={layer}")).await.expect(202);
    let refused = client.put_manifest("team/app", "2", &manifest).await;
    assert_eq!(refused.error(), (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));
    let image = ImageRef::parse(&format!("{}/team/app:1", registry.address)).unwrap();
    let SourceAnswer::Found(found) = registry.registry.describe(&image).await.unwrap() else { panic!("not found") };
    assert_eq!((found.digest, found.missing), (digest, vec![layer.clone()]));

    // Whoever pushes it heals it for everybody.
    client.push("team/other", "layer").await;
    for repository in ["team/app", "team/other"] {
        assert_eq!(client.get(&format!("/v2/{repository}/blobs/{layer}")).await.expect(200).body, "layer");
    }
    client.put_manifest("team/app", "2", &manifest).await.expect(201);
}

#[tokio::test]
async fn a_download_that_comes_upon_damage_breaks_off() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let content = noise(40 * PIECE + 100);
    for at in [content.len() - 1, 39 * PIECE, 8 * PIECE + 17] {
        let digest = client.push("team/app", content.clone()).await;
        rot(&registry, &digest, at);
        let path = format!("/v2/team/app/blobs/{digest}");
        // What is whole is handed out, up to the very piece.
        let range = format!("bytes={}-{}", 8 * PIECE, 8 * PIECE + 10);
        if at >= 9 * PIECE {
            let got = client.ask(Method::GET, &path, &[("range", &range)], "").await.expect(206);
            assert_eq!(got.body, content[8 * PIECE..=8 * PIECE + 10]);
        }

        let mut answer = client.begin_get(&path).await;
        assert_eq!(answer.status(), 200);
        let mut came = Vec::new();
        let broken = loop {
            match answer.frame().await {
                Some(Ok(frame)) => came.extend_from_slice(frame.data_ref().unwrap()),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        assert!(broken, "an answer of {} bytes was completed", came.len());
        assert!(came.len() <= at / PIECE * PIECE && content.starts_with(&came), "bytes of a damaged piece went out");
        until_true("the blob counts as missing", || async { client.head(&path).await.status == 404 }).await;
        client.push("team/app", content.clone()).await;
        assert!(client.get(&path).await.expect(200).body == content, "the bytes differ");
    }
}

#[tokio::test]
async fn a_range_that_begins_in_a_damaged_piece_is_answered_with_an_error() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let digest = client.push("team/app", noise(10 * PIECE)).await;
    rot(&registry, &digest, 5 * PIECE + 1);
    let path = format!("/v2/team/app/blobs/{digest}");
    // Not even for a byte of the piece that is as it was.
    let range = format!("bytes={0}-{0}", 6 * PIECE - 1);
    let got = client.ask(Method::GET, &path, &[("range", &range)], "").await;
    assert_eq!(got.error(), (404, "BLOB_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn a_config_that_has_rotted_says_nothing_about_platforms() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let (manifest, _) = client.push_image("team/app", "1", "layer").await;
    let config = Digest::parse(manifest["config"]["digest"].as_str().unwrap()).unwrap();
    rot(&registry, &config, 9);
    let image = ImageRef::parse(&format!("{}/team/app:1", registry.address)).unwrap();
    for missing in [vec![], vec![config.clone()]] {
        let SourceAnswer::Found(found) = registry.registry.describe(&image).await.unwrap() else { panic!("not found") };
        assert_eq!((found.platforms, found.missing), (vec![], missing), "noticed by reading, missed from then on");
    }
}

#[tokio::test]
async fn a_blob_from_before_checksums_is_read_whole_before_it_is_served() {
    let registry = TestRegistry::unpacked().await;
    let client = Client::of(&registry);
    let content = noise(20 * PIECE + 5);
    let digest = client.push("team/app", content.clone()).await;
    let proven = condition(&registry, &digest).await;
    let path = format!("/v2/team/app/blobs/{digest}");

    as_before(&registry, &digest, content.len()).await;
    for got in join_all((0..8).map(|_| client.get(&path))).await {
        assert!(got.expect(200).body == content, "the bytes differ");
    }
    assert_eq!(condition(&registry, &digest).await, proven, "it has its checksums now");

    as_before(&registry, &digest, content.len()).await;
    rot(&registry, &digest, 19 * PIECE);
    // Though the first piece is as it was.
    for got in join_all((0..8).map(|_| client.ask(Method::GET, &path, &[("range", "bytes=0-0")], ""))).await {
        assert_eq!(got.error(), (404, "BLOB_UNKNOWN".to_owned()));
    }
    assert_eq!(condition(&registry, &digest).await, Some(BlobCondition::Damaged));

    let empty = client.push("team/app", "").await;
    as_before(&registry, &empty, 0).await;
    client.get(&format!("/v2/team/app/blobs/{empty}")).await.expect(200);

    let gone = client.push("team/app", "gone").await;
    as_before(&registry, &gone, 4).await;
    std::fs::remove_file(registry.blob_file(&gone)).unwrap();
    client.get(&format!("/v2/team/app/blobs/{gone}")).await.expect(404);
}

#[tokio::test]
async fn checksums_that_have_rotted_are_made_anew() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let digest = client.push("team/app", "content").await;
    let proven = condition(&registry, &digest).await;
    let store: &dyn RegistryStore = registry.store.as_ref();
    store.blob_prove(&digest, &BlobSums { piece: 65_536, sums: vec![1] }).await.unwrap();
    let path = format!("/v2/team/app/blobs/{digest}");
    client.get(&path).await.expect(404);
    until_true("the blob is read again", || async { client.head(&path).await.status == 200 }).await;
    assert_eq!(condition(&registry, &digest).await, proven);
    assert_eq!(client.get(&path).await.expect(200).body, "content");
}

/// A download of the damaged file that goes on after a push has healed the blob must not condemn the new file.
#[tokio::test]
async fn a_healed_blob_is_not_condemned_for_the_old_file() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let content = noise(64 << 20);
    let digest = client.push("team/app", content.clone()).await;
    let path = format!("/v2/team/app/blobs/{digest}");
    let mut answer = client.begin_get(&path).await;
    // More than fits into the sockets' buffers is not read yet.
    rot(&registry, &digest, content.len() - 1);
    client.push("team/app", content.clone()).await;
    let broken = loop {
        match answer.frame().await {
            Some(Ok(_)) => {}
            Some(Err(_)) => break true,
            None => break false,
        }
    };
    assert!(broken, "the old file is damaged");
    // The blob is looked at again before this is answered, or after it; both must find it whole.
    assert!(client.get(&path).await.expect(200).body == content, "the bytes differ");
    client.head(&path).await.expect(200);
}

#[tokio::test]
async fn a_manifest_that_has_rotted_is_missing_until_it_is_pushed_again() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let (manifest, digest) = client.push_image("team/app", "1", "layer").await;
    let store: &dyn RegistryStore = registry.store.as_ref();
    let app = name("team/app");
    let stored = store.manifest_get(&app, &ManifestRef::Digest(digest.clone())).await.unwrap().unwrap();
    // A short one, and one that is hashed on another thread.
    for padding in [0, 100_000] {
        let bytes = manifest.to_string().replace("schemaVersion", "schemaVersiom") + &" ".repeat(padding);
        let rotten = Manifest { bytes: bytes.into_bytes(), ..stored.clone() };
        store.manifest_put(&app, &rotten, &[], &Along::NOTHING).await.unwrap();
        for reference in ["1", &digest.to_string()] {
            let path = format!("/v2/team/app/manifests/{reference}");
            let got = client.get(&path).await;
            assert_eq!(got.error(), (404, "MANIFEST_UNKNOWN".to_owned()));
            assert!(got.message().contains("damaged") && got.message().contains("push"), "{}", got.message());
            client.head(&path).await.expect(404);
        }
        let image = ImageRef::parse(&format!("{}/team/app:1", registry.address)).unwrap();
        let SourceAnswer::Found(found) = registry.registry.describe(&image).await.unwrap() else { panic!("not found") };
        assert_eq!((&found.digest, &found.missing), (&digest, &vec![digest.clone()]));
        let images = registry.registry.image_list(&app, Page::default()).await.unwrap().unwrap();
        assert_eq!(images[0].missing, std::slice::from_ref(&digest));
        // What names it is not taken either.
        let child = descriptor(OCI_MANIFEST, &manifest.to_string());
        let refused = client.put_manifest("team/app", "all", &index(vec![child])).await;
        assert_eq!(refused.error(), (400, "MANIFEST_BLOB_UNKNOWN".to_owned()));

        client.put_manifest("team/app", &digest.to_string(), &manifest).await.expect(201);
        assert_eq!(client.get("/v2/team/app/manifests/1").await.expect(200).body, manifest.to_string());
    }
}
