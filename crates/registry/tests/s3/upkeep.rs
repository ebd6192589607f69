//! Damage, strays, uploads that nobody finishes, and `verify`.

use std::num::NonZeroU32;
use std::sync::Arc;

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::port::blob_bytes::Reach;
use layer0_registry::{Fault, Rate, VerifyEvent};
use layer0_testkit::clock::FixedClock;

use crate::client::Client;
use crate::common::{Doors, TestRegistry};

async fn findings(registry: &TestRegistry) -> (Vec<(Digest, Fault)>, u64) {
    let mut found = Vec::new();
    let rate = Rate::mib_per_s(NonZeroU32::new(1000).unwrap());
    let tally = registry.registry.verify(rate, |event| {
        if let VerifyEvent::Finding(finding) = event {
            found.push((finding.digest, finding.fault));
        }
    });
    let strays = tally.await.unwrap().strays;
    (found, strays)
}

#[tokio::test]
async fn damage_is_never_served_and_a_push_heals_it() {
    let registry = TestRegistry::start().await;
    let (client, s3) = (Client::of(&registry), &registry.elsewhere.as_ref().unwrap().s3);
    let digest = client.push("team/app", "content").await;
    let path = format!("/v2/team/app/blobs/{digest}");
    for damage in ["rot", "cut", "loss"] {
        let keys = s3.keys();
        for key in &keys {
            match damage {
                "rot" => s3.change(key, |bytes| bytes[3] ^= 1),
                "cut" => s3.change(key, |bytes| bytes.truncate(3)),
                _ => s3.lose(key),
            }
        }
        let (_, code) = client.get(&path).await.expect(404).error();
        assert_eq!(code, "BLOB_UNKNOWN", "{damage}");
        client.push("team/app", "content").await;
        assert_eq!(client.get(&path).await.expect(200).body, "content", "{damage}");
        assert_eq!(findings(&registry).await.0, [], "{damage}");
    }
}

#[tokio::test]
async fn verify_finds_what_is_damaged_or_lost_and_counts_strays() {
    let registry = TestRegistry::start().await;
    let (client, s3) = (Client::of(&registry), &registry.elsewhere.as_ref().unwrap().s3);
    let mut digests = Vec::new();
    let mut known = Vec::new();
    for word in ["sound", "rotten", "lost"] {
        digests.push(client.push("team/app", word).await);
        let key = s3.keys().into_iter().find(|key| !known.contains(key)).unwrap();
        known.push(key);
    }
    s3.change(&known[1], |bytes| bytes[0] ^= 1);
    s3.lose(&known[2]);
    // Pushed again, it lies elsewhere; what lay there is a stray.
    client.push("team/app", "sound").await;
    let (mut found, strays) = findings(&registry).await;
    found.sort_by_key(|(digest, _)| digest.to_string());
    let mut expected = vec![(digests[1].clone(), Fault::Damaged), (digests[2].clone(), Fault::Missing)];
    expected.sort_by_key(|(digest, _)| digest.to_string());
    assert_eq!((found, strays), (expected, 1));
}

#[tokio::test]
async fn strays_and_unfinished_uploads_go_when_they_are_old() {
    let registry = TestRegistry::start().await;
    let (client, s3) = (Client::of(&registry), &registry.elsewhere.as_ref().unwrap().s3);
    let digest = client.push("team/app", "content").await;
    client.push("team/app", "content").await;
    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[("content-range", "0-3")], "some").await.expect(202);
    assert_eq!((s3.keys().len(), s3.uploads().len()), (3, 1));
    // Whoever sweeps knows nothing of the upload.
    let registry = registry.restart().await;
    let swept = registry.registry.sweep().await.unwrap();
    assert_eq!((swept.uploads, swept.strays), (0, 0), "it is young");
    let s3 = &registry.elsewhere.as_ref().unwrap().s3;
    s3.age(8);
    let registry = registry.restart().await;
    let swept = registry.registry.sweep().await.unwrap();
    let s3 = &registry.elsewhere.as_ref().unwrap().s3;
    assert_eq!((swept.uploads, s3.uploads().len()), (1, 0));
    assert_eq!(s3.keys().len(), 1, "{:?}", s3.keys());
    let client = Client::of(&registry);
    assert_eq!(client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200).body, "content");
    client.get(&upload).await.expect(404);
}

#[tokio::test]
async fn an_upload_that_is_too_old_is_over_before_the_sweep_can_take_what_it_made() {
    let registry = TestRegistry::start().await;
    let upload = Client::of(&registry).begin("team/app").await;
    registry.elsewhere.as_ref().unwrap().s3.age(7);
    let registry = registry.restart().await;
    let client = Client::of(&registry);
    let digest = Digest::sha256_of(b"late");
    client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "late").await.expect(404);
}

/// A machine whose clock is ahead by more than any age looks at what others do at this moment.
#[tokio::test]
async fn a_clock_that_is_ahead_makes_nothing_old() {
    let one = TestRegistry::start().await;
    let client = Client::of(&one);
    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[("content-range", "0-3")], "some").await.expect(202);
    // All bytes of it are there, and the link is not: a push between its last two steps.
    let bytes = Arc::clone(&one.elsewhere.as_ref().unwrap().bytes);
    let unlinked = tokio::task::spawn_blocking(move || {
        let mut upload = bytes.upload_begin("00-aa", Reach::Named)?;
        upload.append(b"unlinked")?;
        upload.complete()?;
        upload.keep(&Digest::sha256_of(b"unlinked"))
    });
    let unlinked = unlinked.await.unwrap().unwrap();

    let mut ground = one.ground();
    let clock = Arc::new(FixedClock::at(one.clock.now()));
    clock.advance_ms(30 * 24 * 60 * 60 * 1000);
    ground.clock = clock;
    let ahead = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
    let swept = ahead.registry.sweep().await.unwrap();
    assert_eq!((swept.uploads, swept.strays), (0, 0), "all of it is young");
    let s3 = &one.elsewhere.as_ref().unwrap().s3;
    assert!(s3.keys().contains(&format!("l0/blobs/{unlinked}")), "{:?}", s3.keys());
    assert_eq!(s3.uploads().len(), 1);
    let digest = Digest::sha256_of(b"some");
    client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
    assert_eq!(client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200).body, "some");
}
