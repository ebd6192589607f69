//! A fault at every call of S3 in turn. What a client was told is stored is stored; what it was not told is there as a whole or
//! not at all; doing the same again comes to the same end; and nothing stays that a sweep does not take.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::config::timeout::TimeoutConfig;
use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::port::blob_bytes::{BlobBytes as _, Reach, Source};
use layer0_registry::s3::{Claim, S3Bytes, S3Client};
use layer0_testkit::blob_bytes_suite::content;
use layer0_testkit::s3::{FakeS3, Fault};
use tokio::runtime::Handle;

use crate::client::Client;
use crate::common::{Elsewhere, TestRegistry};
use crate::{Tries, bytes};

/// Ways of pushing one blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Whole,
    AsDocker,
    InChunks,
    Mounted,
}

const WAYS: [(Way, usize); 6] = [
    (Way::Whole, 1000),
    (Way::Whole, (9 << 20) + 1),
    (Way::AsDocker, 1000),
    (Way::AsDocker, (9 << 20) + 1),
    (Way::InChunks, (9 << 20) + 1),
    (Way::Mounted, 1000),
];

/// Pushes, as far as it is let; answers whether the client was told that it is stored.
async fn push(client: &Client, way: Way, content: &[u8]) -> bool {
    let digest = Digest::sha256_of(content);
    let begin = "/v2/team/app/blobs/uploads/";
    if way == Way::Whole || way == Way::Mounted {
        let answer = client.ask(Method::POST, &format!("{begin}?digest={digest}"), &[], content.to_vec()).await;
        let is_told = is_told(answer.status.as_u16());
        if way == Way::Whole || !is_told {
            return is_told;
        }
        let mount = format!("/v2/team/other/blobs/uploads/?mount={digest}&from=team/app");
        let mounted = client.post(&mount).await.status.as_u16();
        return mounted == 201;
    }
    let begun = client.post(begin).await;
    if begun.status.as_u16() != 202 {
        assert!(!is_told(begun.status.as_u16()));
        return false;
    }
    let upload = begun.header("location").to_owned();
    let chunk = if way == Way::InChunks { 5 << 20 } else { content.len() };
    let mut before = 0;
    for piece in content.chunks(chunk) {
        let range = format!("{before}-{}", before + piece.len() - 1);
        let headers = [("content-range", range.as_str())];
        let headers: &[(&str, &str)] = if way == Way::InChunks { &headers } else { &[] };
        let answer = client.ask(Method::PATCH, &upload, headers, piece.to_vec()).await.status.as_u16();
        if answer != 202 {
            assert!(!is_told(answer));
            return false;
        }
        before += piece.len();
    }
    let answer = client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await;
    is_told(answer.status.as_u16())
}

/// Whether a status says that it is stored; a refusal must be one that says "try again", or "begin anew".
fn is_told(status: u16) -> bool {
    assert!(matches!(status, 201 | 404 | 500 | 503), "{status}");
    status == 201
}

/// A registry whose client of S3 tries so often.
async fn trying(tries: Tries) -> (TestRegistry, Arc<FakeS3>) {
    let mut registry = TestRegistry::start().await;
    let s3 = Arc::clone(&registry.elsewhere.as_ref().unwrap().s3);
    registry.elsewhere = Some(Elsewhere { bytes: Arc::new(bytes(&s3, tries)), s3: Arc::clone(&s3) });
    (registry.restart().await, s3)
}

/// Goes through the life of a blob with a fault; answers whether all calls that there are have been gone through.
async fn life(tries: Tries, way: Way, content: &[u8], at: usize, fault: Fault) -> bool {
    let (registry, s3) = trying(tries).await;
    let what = format!("{way:?} of {} bytes, {fault:?} at call {at}, tries {tries:?}", content.len());
    let path = format!("/v2/team/app/blobs/{}", Digest::sha256_of(content));
    drop(s3.calls());
    s3.fail_at(at, fault);
    let told = push(&Client::of(&registry), way, content).await;
    let is_through = s3.calls().len() < at;
    if tries == Tries::Four {
        assert!(told, "what fails once is tried again: {what}");
    }
    // A server that knows nothing.
    let registry = registry.restart().await;
    let client = Client::of(&registry);
    match client.get(&path).await {
        got if got.status == 200 => assert!(got.body == content, "other bytes: {what}"),
        got => assert!(!told && got.status == 404, "{got:?}: {what}"),
    }
    assert!(push(&client, way, content).await, "again: {what}");
    assert!(client.get(&path).await.expect(200).body == content, "again: {what}");
    // And a delete.
    for repository in ["team/app", "team/other"] {
        client.delete(&path.replace("team/app", repository)).await;
    }
    client.get(&path).await.expect(404);
    s3.age(8);
    let registry = registry.restart().await;
    registry.registry.sweep().await.unwrap();
    assert_eq!((s3.keys(), s3.uploads()), (vec![], vec![]), "left behind: {what}");
    is_through
}

async fn lives(tries: Tries) {
    let mut lives = 0;
    for (way, length) in WAYS {
        let content = content(length);
        for fault in Fault::ALL {
            for at in 1.. {
                lives += 1;
                if life(tries, way, &content, at, fault).await {
                    break;
                }
            }
        }
    }
    assert!(lives > 100, "{lives}");
}

#[tokio::test]
async fn a_fault_at_every_call_that_is_not_repeated() {
    lives(Tries::Once).await;
}

#[tokio::test]
async fn a_fault_at_every_call_that_is_repeated() {
    lives(Tries::Four).await;
}

#[tokio::test]
async fn a_read_that_breaks_off_goes_on_where_it_was() {
    let (registry, s3) = trying(Tries::Four).await;
    let client = Client::of(&registry);
    let content = content(3 << 20);
    let digest = client.push("team/app", content.clone()).await;
    let path = format!("/v2/team/app/blobs/{digest}");
    for fault in [Fault::Truncated, Fault::Closed, Fault::SlowDown, Fault::Internal] {
        drop(s3.calls());
        s3.fail_at(1, fault);
        let got = client.get(&path).await.expect(200);
        assert!(got.body == content, "{fault:?}");
        assert_eq!(s3.calls(), ["GetObject"; 2], "{fault:?}");
    }
    // What lasts is told as what it is after four calls, and mends itself.
    s3.fail_from(1, Fault::SlowDown);
    let (status, code) = client.get(&path).await.error();
    assert_eq!((status, code.as_str()), (503, "UNAVAILABLE"));
    assert_eq!(s3.calls(), ["GetObject"; 4], "each try is one of the client's");
    client.get(&path).await.expect(200);
}

#[tokio::test]
async fn a_delete_that_s3_does_not_do_is_a_delete_all_the_same() {
    for fault in Fault::ALL {
        let registry = TestRegistry::start().await;
        let (client, s3) = (Client::of(&registry), &registry.elsewhere.as_ref().unwrap().s3);
        let digest = client.push("team/app", "content").await;
        let path = format!("/v2/team/app/blobs/{digest}");
        s3.fail_at(1, fault);
        client.delete(&path).await.expect(202);
        client.get(&path).await.expect(404);
        client.push("team/app", "content").await;
        assert_eq!(client.get(&path).await.expect(200).body, "content");
    }
}

#[tokio::test]
async fn a_bucket_that_is_away_is_told_and_an_upload_goes_on_afterwards() {
    let registry = TestRegistry::start().await;
    let (client, s3) = (Client::of(&registry), &registry.elsewhere.as_ref().unwrap().s3);
    let content = content(10 << 20);
    let digest = Digest::sha256_of(&content);
    let upload = client.begin("team/app").await;
    s3.fail_from(1, Fault::SlowDown);
    let (status, _) = client.ask(Method::PATCH, &upload, &[], content.clone()).await.error();
    assert_eq!(status, 503);
    s3.mend();
    let range = client.get(&upload).await.expect(204).header("range").to_owned();
    let came: usize = range.rsplit_once('-').unwrap().1.parse::<usize>().unwrap() + 1;
    let rest = content[came..].to_vec();
    let headers = format!("{came}-{}", content.len() - 1);
    client.ask(Method::PATCH, &upload, &[("content-range", &headers)], rest).await.expect(202);
    client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
    assert!(client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200).body == content);
}

/// That a server may not ask any more says nothing about what is there: whoever copies must not take it for lost.
#[tokio::test]
async fn credentials_that_have_ended_are_no_loss() {
    let s3 = FakeS3::start().await;
    let bytes = bytes(&s3, Tries::Once);
    let read = async || {
        let bytes = bytes.clone();
        let read = tokio::task::spawn_blocking(move || {
            let content = bytes.open(&BlobPlace::new("somewhere"), Source::Any)?;
            content.map_or(Ok(0), |content| content.read(&mut Vec::new(), 10, 0, u64::MAX))
        });
        read.await.unwrap().unwrap_err()
    };
    assert_eq!(read().await.kind(), std::io::ErrorKind::NotFound);
    s3.fail_from(1, Fault::Expired);
    let refused = read().await;
    assert!(layer0_registry::is_passing(&refused), "{refused:?}");
    assert!(refused.to_string().contains("400 ExpiredToken"), "{refused}");
}

#[tokio::test]
async fn a_bucket_is_asked_for_at_the_start() {
    let s3 = FakeS3::start().await;
    let there = bytes(&s3, Tries::Once);
    tokio::task::spawn_blocking(move || there.check()).await.unwrap().unwrap();
    let missing = layer0_registry::s3::S3Bytes::new(
        crate::client(&s3.endpoint(), Tries::Once),
        "another",
        "",
        tokio::runtime::Handle::current(),
    );
    let refused = tokio::task::spawn_blocking(move || missing.check()).await.unwrap().unwrap_err();
    assert_eq!(refused.to_string(), "HeadBucket of S3: 404 NotFound");
}

#[tokio::test]
async fn a_bucket_belongs_to_one_store() {
    let s3 = FakeS3::start().await;
    let bytes = bytes(&s3, Tries::Once);
    let claim = async |store: &'static str| {
        let bytes = bytes.clone();
        tokio::task::spawn_blocking(move || bytes.claim(store)).await.unwrap().unwrap()
    };
    assert_eq!(claim("one").await, Claim::Ours);
    assert_eq!(claim("one").await, Claim::Ours);
    assert_eq!(claim("two").await, Claim::Others);
    assert_eq!(s3.keys(), ["l0/owner"]);
}

#[tokio::test]
async fn a_completion_may_take_longer_than_other_calls() {
    let s3 = FakeS3::start().await;
    let limits = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(2))
        .operation_timeout(Duration::from_secs(2))
        .build();
    let config = crate::client(&s3.endpoint(), Tries::Once).config().to_builder().timeout_config(limits).build();
    let bytes = S3Bytes::new(S3Client::from_conf(config), FakeS3::BUCKET, "l0", Handle::current());
    s3.answer_slowly("CompleteMultipartUpload", Duration::from_secs(4));
    let completed = tokio::task::spawn_blocking(move || {
        let mut upload = bytes.upload_begin("00-aa", Reach::Named)?;
        upload.append(b"some")?;
        upload.complete()?;
        Ok::<_, std::io::Error>(upload.is_inferred())
    });
    assert!(!completed.await.unwrap().unwrap(), "its own answer came");
    assert_eq!(s3.calls(), ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]);
}
