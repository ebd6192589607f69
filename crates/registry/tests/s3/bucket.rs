//! The contract of where bytes lie, and what a bucket costs.

use std::sync::{Arc, Mutex};

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::port::blob_bytes::BlobBytes;
use layer0_testkit::blob_bytes_suite::{content, run_all};
use layer0_testkit::s3::FakeS3;

use crate::client::Client;
use crate::common::{Doors, TestRegistry};
use crate::{Tries, bytes};

#[tokio::test]
async fn bytes_in_a_bucket() {
    let servers = Mutex::new(Vec::new());
    run_all(async || {
        let s3 = FakeS3::start().await;
        let bytes = bytes(&s3, Tries::Once).alone();
        servers.lock().unwrap().push(s3);
        Arc::new(bytes) as Arc<dyn BlobBytes>
    })
    .await;
}

async fn registry() -> (TestRegistry, Client, Arc<FakeS3>) {
    let registry = TestRegistry::start().await;
    let (client, s3) = (Client::of(&registry), Arc::clone(&registry.elsewhere.as_ref().unwrap().s3));
    (registry, client, s3)
}

#[tokio::test]
async fn a_blob_costs_its_parts_and_two_requests_at_most() {
    let (_registry, client, s3) = registry().await;
    client.push("team/app", "small").await;
    assert_eq!(s3.calls(), ["PutObject"], "in one request of its own");

    // As docker pushes, a blob of one part and one of three.
    for (length, parts) in [(1000, 1), ((16 << 20) + 1, 3)] {
        let content = content(length);
        let digest = Digest::sha256_of(&content);
        let upload = client.begin("team/app").await;
        client.ask(Method::PATCH, &upload, &[], content.clone()).await.expect(202);
        client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
        let calls = s3.calls();
        let mut expected = vec!["CreateMultipartUpload"];
        expected.extend(vec!["UploadPart"; parts]);
        expected.push("CompleteMultipartUpload");
        assert_eq!(calls, expected);
        let got = client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
        assert!(got.body == content, "the bytes are others");
        assert_eq!(s3.calls(), ["GetObject"], "all of it is one request");
    }
    let image = client.push_image("team/app", "1", "layer").await;
    drop(s3.calls());
    let answer = client.put_manifest("team/app", "2", &image.0).await.expect(201);
    client.head(&format!("/v2/team/app/blobs/{}", Digest::sha256_of(b"layer"))).await.expect(200);
    client.get(&format!("/v2/team/app/manifests/{}", answer.header("docker-content-digest"))).await.expect(200);
    let mount = format!("/v2/team/other/blobs/uploads/?mount={}&from=team/app", Digest::sha256_of(b"layer"));
    client.post(&mount).await.expect(201);
    assert_eq!(s3.calls(), [""; 0], "manifests, looks and mounts are the store's alone");
}

#[tokio::test]
async fn a_range_is_read_and_no_more() {
    let (_registry, client, s3) = registry().await;
    let content = content(1_000_000);
    let digest = client.push("team/app", content.clone()).await;
    let path = format!("/v2/team/app/blobs/{digest}");
    for (range, first, last) in
        [("bytes=0-0", 0, 0), ("bytes=70000-200000", 70_000, 200_000), ("bytes=-5", 999_995, 999_999)]
    {
        drop(s3.calls());
        let got = client.ask(Method::GET, &path, &[("range", range)], "").await.expect(206);
        assert!(got.body == content[first..=last], "{range}");
        assert_eq!(s3.calls(), ["GetObject"], "{range}");
    }
}

#[tokio::test]
async fn clients_are_sent_to_s3_when_that_is_wished() {
    let registry = TestRegistry::with(Doors::Open, |config| config.redirect = true).await;
    let client = Client::of(&registry);
    let digest = client.push("team/app", "content").await;
    let path = format!("/v2/team/app/blobs/{digest}");
    let s3 = &registry.elsewhere.as_ref().unwrap().s3;
    drop(s3.calls());
    let sent = client.get(&path).await.expect(307);
    let address = sent.header("location");
    assert!(address.starts_with(&s3.endpoint()) && address.contains("X-Amz-Signature="), "{address}");
    assert!(address.contains("X-Amz-Expires=900"), "{address}");
    assert_eq!(s3.calls(), [""; 0], "a signature needs no call");
    let object = Client::at(s3.endpoint().trim_start_matches("http://").parse().unwrap());
    let key = address.strip_prefix(&s3.endpoint()).unwrap();
    assert_eq!(object.get(key).await.expect(200).body, "content");
    assert_eq!(client.head(&path).await.expect(200).header("content-length"), "7");
    client.get(&format!("/v2/team/other/blobs/{digest}")).await.expect(404);
}

/// Whoever breaks off a push leaves an upload for a day. Many of them keep nobody from pushing, and what waits in memory has a bound.
#[tokio::test]
async fn uploads_that_were_left_stand_in_nobodys_way() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let left = content(8_000_000);
    let mut uploads = Vec::new();
    for _ in 0..18 {
        let upload = client.begin("team/app").await;
        let answer = client.ask(Method::PATCH, &upload, &[], left.clone()).await.expect(202);
        // Docker takes it for how long the layer is.
        assert_eq!(answer.header("range"), format!("0-{}", left.len() - 1));
        uploads.push(upload);
    }
    let whole = content(3 << 20);
    let digest = Digest::sha256_of(&whole);
    let post = format!("/v2/team/app/blobs/uploads/?digest={digest}");
    client.ask(Method::POST, &post, &[], whole.clone()).await.expect(201);
    let put = client.begin("team/app").await;
    client.ask(Method::PUT, &format!("{put}?digest={digest}"), &[], whole).await.expect(201);
    let digest = Digest::sha256_of(&left);
    for upload in uploads {
        client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
    }
}
