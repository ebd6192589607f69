//! Blobs on their way: once for all, and right.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use http_body_util::BodyExt;
use layer0_testkit::until::until_true;

use super::Stage;
use super::upstream::FakeUpstream;
use crate::client::{Client, noise};

const SIZE: usize = 3 << 20;

#[tokio::test]
async fn sixty_four_clients_on_one_cold_blob_are_one_request() {
    let upstream = FakeUpstream::start().await;
    let content = noise(SIZE);
    let digest = upstream.blob("team/base", content.clone());
    let stage = Stage::of(&upstream).await;
    let client = Arc::new(Client::of(&stage.registry));
    let path = format!("/v2/hub/team/base/blobs/{digest}");
    upstream.gate(false);
    // The heads of all answers are here while the upstream has sent half.
    let begun = join_all((0..64).map(|_| client.begin_get(&path))).await;
    upstream.gate(true);
    let all = join_all(begun.into_iter().map(|answer| async move {
        assert_eq!(answer.status(), 200);
        answer.into_body().collect().await.unwrap().to_bytes()
    }));
    for got in all.await {
        assert!(got == content, "every client has the blob");
    }
    assert_eq!(upstream.lines(), [format!("GET /v2/team/base/blobs/{digest}")]);
    assert_eq!(upstream.sent(), SIZE as u64, "each byte once");

    stage.registry.until_kept("hub/team/base", &digest).await;
    until_true("no upload is left", || async { stage.registry.staged().is_empty() }).await;
    assert!(client.get(&path).await.expect(200).body == content);
    assert_eq!(upstream.lines(), [""; 0], "it is here now");
    assert_eq!(stage.registry.blob_files(), [digest.hex()]);
}

#[tokio::test]
async fn a_client_that_is_slow_reads_what_is_no_longer_in_memory() {
    let upstream = FakeUpstream::start().await;
    let content = noise(12 << 20);
    let digest = upstream.blob("team/base", content.clone());
    let stage = Stage::of(&upstream).await;
    let path = format!("/v2/hub/team/base/blobs/{digest}");
    upstream.gate(false);
    let slow = stage.client.begin_get(&path).await;
    let quick = stage.client.begin_get(&path).await;
    upstream.gate(true);
    let quick = quick.into_body().collect().await.unwrap().to_bytes();
    let slow = slow.into_body().collect().await.unwrap().to_bytes();
    assert!(quick == content && slow == content);
    assert_eq!(upstream.lines().len(), 1);
}

#[tokio::test]
async fn a_fill_goes_on_without_its_client() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob("team/base", noise(SIZE));
    let stage = Stage::of(&upstream).await;
    let path = format!("/v2/hub/team/base/blobs/{digest}");
    upstream.gate(false);
    drop(stage.client.begin_get(&path).await);
    upstream.gate(true);
    stage.registry.until_kept("hub/team/base", &digest).await;
    assert!(stage.client.get(&path).await.expect(200).body == noise(SIZE));
    assert_eq!(upstream.lines().len(), 1);
}

#[tokio::test]
async fn parts_of_a_cold_blob_come_out_of_the_same_fill() {
    let upstream = FakeUpstream::start().await;
    let content = noise(SIZE);
    let digest = upstream.blob("team/base", content.clone());
    let stage = Stage::of(&upstream).await;
    let path = format!("/v2/hub/team/base/blobs/{digest}");
    upstream.gate(false);
    let end = stage.client.ask(Method::GET, &path, &[("range", "bytes=1000-")], "");
    let middle = stage.client.ask(Method::GET, &path, &[("range", "bytes=5-99")], "");
    let beyond = stage.client.ask(Method::GET, &path, &[("range", "bytes=9999999-")], "");
    let open = async {
        until_true("it is asked for", || async { upstream.sent() > 0 }).await;
        upstream.gate(true);
    };
    let (end, middle, beyond, ()) = tokio::join!(end, middle, beyond, open);
    assert!(end.expect(206).body == content[1000..]);
    let middle = middle.expect(206);
    assert_eq!(middle.header("content-range"), format!("bytes 5-99/{SIZE}"));
    assert!(middle.body == content[5..100]);
    beyond.expect(416);
    assert_eq!(upstream.lines().len(), 1);
}

#[tokio::test]
async fn the_size_of_a_cold_blob_is_the_upstreams() {
    let upstream = FakeUpstream::start().await;
    let digest = upstream.blob("team/base", noise(70_000));
    let stage = Stage::of(&upstream).await;
    let path = format!("/v2/hub/team/base/blobs/{digest}");
    let answer = stage.client.head(&path).await.expect(200);
    assert_eq!(
        (answer.header("content-length"), answer.header("docker-content-digest")),
        ("70000", digest.to_string().as_str())
    );
    assert_eq!(upstream.lines(), [format!("HEAD /v2/team/base/blobs/{digest}")]);
    assert_eq!(stage.client.get(&path).await.expect(200).body.len(), 70_000);
    let empty = upstream.blob("team/base", "");
    assert_eq!(stage.client.get(&format!("/v2/hub/team/base/blobs/{empty}")).await.expect(200).body.len(), 0);
}

#[tokio::test]
async fn a_blob_that_comes_without_a_length_comes_all_the_same() {
    let upstream = FakeUpstream::start().await;
    upstream.chunked();
    let stage = Stage::of(&upstream).await;
    let content = noise(200_000);
    let digest = upstream.blob("team/base", content.clone());
    let path = format!("/v2/hub/team/base/blobs/{digest}");
    assert_eq!(stage.client.head(&path).await.expect(200).header("content-length"), "200000");
    assert_eq!(stage.client.get(&path).await.expect(200).body, content);
    stage.registry.until_kept("hub/team/base", &digest).await;
}

#[tokio::test]
async fn a_blob_of_another_repository_of_the_mirror_is_not_fetched_again() {
    let upstream = FakeUpstream::start().await;
    let stage = Stage::of(&upstream).await;
    let digest = upstream.blob("team/base", "a layer that many have");
    stage.client.get(&format!("/v2/hub/team/base/blobs/{digest}")).await.expect(200);
    stage.registry.until_kept("hub/team/base", &digest).await;
    upstream.came();
    // The upstream decides who has it.
    let path = format!("/v2/hub/team/app/blobs/{digest}");
    assert_eq!(stage.client.get(&path).await.error(), (404, "BLOB_UNKNOWN".to_owned()));
    upstream.blob("team/app", "a layer that many have");
    upstream.came();
    stage.client.get(&path).await.expect(200);
    assert_eq!(upstream.lines(), [format!("HEAD /v2/team/app/blobs/{digest}")]);
}

#[tokio::test]
async fn an_upstream_that_refuses_every_head_gives_blobs_all_the_same() {
    for status in [401, 403, 405] {
        let upstream = FakeUpstream::start().await;
        upstream.refuse_heads(status);
        let stage = Stage::of(&upstream).await;
        let content = noise(70_000);
        let digest = upstream.blob("team/base", content.clone());
        upstream.blob("team/app", content.clone());
        let (base, app) = (format!("/v2/hub/team/base/blobs/{digest}"), format!("/v2/hub/team/app/blobs/{digest}"));
        assert_eq!(stage.client.head(&base).await.expect(200).header("content-length"), "70000");
        assert_eq!(stage.client.get(&base).await.expect(200).body, content);
        stage.registry.until_kept("hub/team/base", &digest).await;
        let sent = upstream.sent();
        // One that another repository has already is not sent again.
        assert_eq!(stage.client.get(&app).await.expect(200).body, content);
        assert_eq!(upstream.sent(), sent, "{status}");
    }
}

#[tokio::test]
async fn an_upstream_that_hangs_does_not_hold_up_the_blobs_of_another_one() {
    let (slow, other) = (FakeUpstream::start().await, FakeUpstream::start().await);
    slow.gate(false);
    let stage = Stage::with(vec![slow.mirror("slow"), other.mirror("other")]).await;
    let mut asked = Vec::new();
    for number in 0..70 {
        let digest = slow.blob("team/base", [noise(200_000), vec![number]].concat());
        let client = Client::of(&stage.registry);
        asked.push(tokio::spawn(async move { client.get(&format!("/v2/slow/team/base/blobs/{digest}")).await }));
    }
    until_true("all that may come at once are on their way", || async { slow.sent() >= 32 << 16 }).await;
    let digest = other.blob("team/base", "of the other one");
    let path = format!("/v2/other/team/base/blobs/{digest}");
    let answer = tokio::time::timeout(Duration::from_secs(20), stage.client.get(&path)).await;
    assert_eq!(answer.expect("it does not wait for the other one's").expect(200).body, "of the other one");
    slow.gate(true);
    for asked in asked {
        asked.await.unwrap().expect(200);
    }
}
