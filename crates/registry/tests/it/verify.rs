//! Everything is read again, and what is damaged is named.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::{BlobCondition, Manifest, ManifestRef};
use layer0_domain::port::registry_store::{Along, ContentUser, RegistryStore};
use layer0_registry::{Content, Fault, Rate, VerifyEvent, VerifyFinding, VerifyTally};

use crate::client::{Client, OCI_MANIFEST, descriptor, index, noise};
use crate::common::{TestRegistry, name};
use crate::damage::{as_before, condition, rot};

fn rate(mib_per_s: u32) -> Rate {
    Rate::mib_per_s(NonZeroU32::new(mib_per_s).unwrap())
}

/// Runs it; answers what was found, and the count at the end.
async fn verify(registry: &TestRegistry) -> (Vec<VerifyFinding>, VerifyTally) {
    let (mut findings, mut last) = (Vec::new(), VerifyTally::default());
    let tally = registry.registry.verify(rate(10_000), |event| match event {
        VerifyEvent::Finding(finding) => findings.push(finding),
        VerifyEvent::Progress(tally) => {
            assert!(tally.blobs >= last.blobs && tally.bytes >= last.bytes && tally.manifests >= last.manifests);
            last = tally;
        }
    });
    let tally = tally.await.unwrap();
    assert_eq!((last, tally.findings), (tally, findings.len() as u64));
    (findings, tally)
}

fn user(repository: &str, manifests: &[&Digest], tags: &[&str]) -> ContentUser {
    let mut manifests: Vec<Digest> = manifests.iter().map(|digest| (*digest).clone()).collect();
    manifests.sort();
    ContentUser { repository: name(repository), manifests, tags: tags.iter().map(|tag| (*tag).to_owned()).collect() }
}

#[tokio::test]
async fn a_sound_registry_has_no_findings() {
    let registry = TestRegistry::start().await;
    assert_eq!(verify(&registry).await, (vec![], VerifyTally::default()));
    let client = Client::of(&registry);
    client.push_image("team/app", "1", "layer").await;
    client.push_image("team/other", "1", "layer").await;
    let large = noise((3 << 20) + 1);
    client.push("team/app", large.clone()).await;
    let (findings, tally) = verify(&registry).await;
    assert_eq!(findings, []);
    // One config and one layer for both, and the large one.
    let bytes = registry.blob_files().len() as u64;
    assert_eq!((tally.blobs, tally.blobs_total, bytes), (3, 3, 3));
    assert!(tally.bytes == tally.bytes_total && tally.bytes > large.len() as u64, "{tally:?}");
    assert_eq!((tally.manifests, tally.strays), (2, 0));
}

#[tokio::test]
async fn what_is_damaged_is_named_with_all_that_needs_it() {
    let registry = TestRegistry::unpacked().await;
    let client = Client::of(&registry);
    let (one, one_digest) = client.push_image("team/app", "1", "rotten").await;
    client.put_manifest("team/app", "latest", &one).await.expect(201);
    let list = index(vec![descriptor(OCI_MANIFEST, &one.to_string())]);
    let list_digest = client.put_manifest("team/app", "multi", &list).await.expect(201);
    let list_digest = Digest::parse(list_digest.header("docker-content-digest")).unwrap();
    client.push("team/other", "rotten").await;
    let (_, two) = client.push_image("team/app", "2", "short").await;
    let (_, three) = client.push_image("team/other", "3", "gone").await;
    let (_, four) = client.push_image("team/other", "4", "sound").await;
    let [rotten, short, gone] = ["rotten", "short", "gone"].map(|text| Digest::sha256_of(text.as_bytes()));
    rot(&registry, &rotten, 0);
    std::fs::write(registry.blob_file(&short), "sho").unwrap();
    std::fs::remove_file(registry.blob_file(&gone)).unwrap();
    let store: &dyn RegistryStore = registry.store.as_ref();
    let stored = store.manifest_get(&name("team/other"), &ManifestRef::Digest(four.clone())).await.unwrap().unwrap();
    store
        .manifest_put(&name("team/other"), &Manifest { bytes: b"{}".to_vec(), ..stored }, &[], &Along::NOTHING)
        .await
        .unwrap();
    std::fs::write(registry.root().join("blobs/sha256").join(&short.hex()[..2]).join("0".repeat(64)), "x").ok();
    std::fs::write(
        registry.root().join("blobs/sha256").join(&rotten.hex()[..2]).join(format!(
            "{}{}",
            &rotten.hex()[..2],
            "0".repeat(62)
        )),
        "stray",
    )
    .unwrap();

    let (mut findings, tally) = verify(&registry).await;
    let finding =
        |content, digest: &Digest, fault, users| VerifyFinding { content, digest: digest.clone(), fault, users };
    let mut expected = vec![
        finding(
            Content::Blob,
            &rotten,
            Fault::Damaged,
            vec![
                user("team/app", &[&one_digest, &list_digest], &["1", "latest", "multi"]),
                user("team/other", &[], &[]),
            ],
        ),
        finding(Content::Blob, &short, Fault::Damaged, vec![user("team/app", &[&two], &["2"])]),
        finding(Content::Blob, &gone, Fault::Missing, vec![user("team/other", &[&three], &["3"])]),
        finding(Content::Manifest, &four, Fault::Damaged, vec![user("team/other", &[&four], &["4"])]),
    ];
    findings.sort_by(|a, b| a.digest.cmp(&b.digest));
    expected.sort_by(|a, b| a.digest.cmp(&b.digest));
    assert_eq!(findings, expected);
    assert_eq!((tally.strays, tally.stray_bytes), (1, 5));
    for (repository, digest) in
        [("team/app", &rotten), ("team/other", &rotten), ("team/app", &short), ("team/other", &gone)]
    {
        client.head(&format!("/v2/{repository}/blobs/{digest}")).await.expect(404);
    }
    assert_eq!(verify(&registry).await, (verify(&registry).await.0, tally), "again the same");

    // Pushed again, all is well.
    client.push_image("team/app", "1", "rotten").await;
    client.push_image("team/app", "2", "short").await;
    client.push_image("team/other", "3", "gone").await;
    client.push_image("team/other", "4", "sound").await;
    assert_eq!(verify(&registry).await.0, []);
}

#[tokio::test]
async fn a_file_that_was_brought_back_is_whole_again() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let digest = client.push("team/app", "content").await;
    rot(&registry, &digest, 1);
    assert_eq!(verify(&registry).await.0.len(), 1);
    rot(&registry, &digest, 1);
    let path = format!("/v2/team/app/blobs/{digest}");
    client.get(&path).await.expect(404);
    assert_eq!(verify(&registry).await.0, []);
    assert_eq!(client.get(&path).await.expect(200).body, "content");
}

#[tokio::test]
async fn blobs_from_before_checksums_get_them() {
    let registry = TestRegistry::unpacked().await;
    let digest = Client::of(&registry).push("team/app", "content").await;
    let proven = condition(&registry, &digest).await;
    as_before(&registry, &digest, 7).await;
    assert_eq!(verify(&registry).await.0, []);
    assert!(matches!(proven, Some(BlobCondition::Proven(_))));
    assert_eq!(condition(&registry, &digest).await, proven);
}

#[tokio::test]
async fn what_can_not_be_read_is_told_and_not_marked() {
    let registry = TestRegistry::unpacked().await;
    let client = Client::of(&registry);
    let (digest, sound) = (client.push("team/app", "content").await, client.push("team/app", "sound").await);
    let file = registry.blob_file(&digest);
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).unwrap();
    std::fs::create_dir(&file).unwrap();
    let (findings, tally) = verify(&registry).await;
    assert_eq!((findings[0].fault, findings.len(), tally.blobs), (Fault::Unreadable, 1, 2));
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&aside, &file).unwrap();
    for digest in [digest, sound] {
        client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
    }
}

#[tokio::test]
async fn it_reads_no_faster_than_it_may() {
    let registry = TestRegistry::start().await;
    Client::of(&registry).push("team/app", noise(2 << 20)).await;
    let began = Instant::now();
    let mut paused = false;
    let tally = registry.registry.verify(rate(4), |event| {
        paused |= matches!(event, VerifyEvent::Progress(tally) if tally.bytes == 1 << 20);
    });
    let tally = tally.await.unwrap();
    // Half a second's worth, and nothing comes before the first half.
    assert!(paused && tally.bytes == 2 << 20);
    assert!(began.elapsed() >= Duration::from_millis(490), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_deleted_meanwhile_is_no_finding() {
    let registry = TestRegistry::unpacked().await;
    let client = Client::of(&registry);
    let mut digests = vec![client.push("team/app", "one").await, client.push("team/app", "two").await];
    digests.sort();
    let last = digests.pop().unwrap();
    let file = registry.blob_file(&last);
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let mut sender = Some(sender);
    // Listed already when the first is read.
    let run = registry.registry.verify(rate(1), |event| match event {
        VerifyEvent::Progress(tally) if tally.bytes > 0 => drop(sender.take().map(|sender| sender.send(()))),
        VerifyEvent::Progress(_) => {}
        VerifyEvent::Finding(finding) => panic!("{finding:?}"),
    });
    let delete = async {
        receiver.await.unwrap();
        client.delete(&format!("/v2/team/app/blobs/{last}")).await.expect(202);
        assert!(!file.exists());
    };
    let (tally, ()) = tokio::join!(run, delete);
    assert_eq!(tally.unwrap().findings, 0);
}
