//! What the unfinished uploads of an owner may hold.

use std::convert::Infallible;

use axum::body::Body;
use futures_util::stream;
use http::header::{CONTENT_LENGTH, HOST};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::owner::OwnerName;
use layer0_domain::port::access_store::{AccessStore as _, OwnerChange};

use crate::client::{Answer, Client, noise};
use crate::common::TestRegistry;

const KIB: usize = 1 << 10;

/// Sets the quota of the owner of `team/app`.
async fn bound(registry: &TestRegistry, kib: Option<usize>) {
    let quota_bytes = kib.map(|kib| u64::try_from(kib * KIB).unwrap());
    let change = OwnerChange { quota_bytes: Some(quota_bytes) };
    registry.store.owner_update(&OwnerName::parse("team").unwrap(), &change).await.unwrap();
}

/// What the registry answers. There is no connection that it could close before the answer is read.
async fn ask(registry: &TestRegistry, method: Method, path: &str, body: Body, length: Option<usize>) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
    if let Some(length) = length {
        request = request.header(CONTENT_LENGTH, length);
    }
    let (parts, body) = registry.registry.answer(request.body(body).unwrap()).await.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

async fn send(registry: &TestRegistry, method: Method, path: &str, kib: usize) -> Answer {
    ask(registry, method, path, Body::from(noise(kib * KIB)), Some(kib * KIB)).await
}

/// As docker pushes: it says the length only by the end.
async fn flow(registry: &TestRegistry, method: Method, path: &str, kib: usize) -> Answer {
    let pieces = (0..kib / 64).map(|_| Ok::<_, Infallible>(noise(64 * KIB)));
    ask(registry, method, path, Body::from_stream(stream::iter(pieces)), None).await
}

async fn patch(registry: &TestRegistry, upload: &str, kib: usize) -> Answer {
    send(registry, Method::PATCH, upload, kib).await
}

#[track_caller]
fn denied(answer: &Answer) {
    assert_eq!(answer.error(), (403, "DENIED".to_owned()));
    assert!(answer.message().contains("owner team may hold"), "{}", answer.message());
}

#[tokio::test]
async fn an_upload_that_the_quota_could_never_hold_is_ended() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    bound(&registry, Some(1024)).await;
    let wrong = Digest::sha256_of(b"it never comes to that");
    for method in [Method::PATCH, Method::PUT] {
        for streamed in [false, true] {
            let upload = client.begin("team/app").await;
            patch(&registry, &upload, 640).await.expect(202);
            let path = format!("{upload}?digest={wrong}");
            let answer = match streamed {
                true => flow(&registry, method.clone(), &path, 3072).await,
                false => send(&registry, method.clone(), &path, 640).await,
            };
            denied(&answer);
            client.get(&upload).await.expect(404);
        }
    }
    let path = format!("/v2/team/app/blobs/uploads/?digest={wrong}");
    denied(&send(&registry, Method::POST, &path, 1025).await);
    denied(&flow(&registry, Method::POST, &path, 3072).await);
    assert_eq!(registry.staged(), [""; 0]);
    // All that it may hold comes in.
    client.push("team/app", noise(1024 * KIB)).await;
}

#[tokio::test]
async fn uploads_share_the_quota_until_they_end() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    bound(&registry, Some(1024)).await;
    let [one, two, three] =
        [client.begin("team/app").await, client.begin("team/other").await, client.begin("team/app").await];
    let content = noise(400 * KIB);
    client.ask(Method::PATCH, &one, &[], content.clone()).await.expect(202);
    patch(&registry, &two, 400).await.expect(202);
    denied(&patch(&registry, &three, 400).await);
    client.get(&three).await.expect(404);
    // What was refused has freed what it had, too.
    let three = client.begin("team/app").await;
    patch(&registry, &three, 200).await.expect(202);
    denied(&patch(&registry, &three, 200).await);
    let three = client.begin("team/app").await;
    patch(&registry, &three, 200).await.expect(202);

    client.delete(&two).await.expect(204);
    let four = client.begin("team/app").await;
    patch(&registry, &four, 400).await.expect(202);
    denied(&patch(&registry, &client.begin("team/app").await, 100).await);
    client.ask(Method::PUT, &format!("{one}?digest={}", Digest::sha256_of(&content)), &[], "").await.expect(201);
    let five = client.begin("team/app").await;
    patch(&registry, &five, 400).await.expect(202);

    // What ends in an error has freed it as well.
    let wrong = Digest::sha256_of(b"something else");
    client.ask(Method::PUT, &format!("{five}?digest={wrong}"), &[], "").await.expect(400);
    let six = client.begin("team/app").await;
    patch(&registry, &six, 400).await.expect(202);
    // A chunk that is taken back counts no more, if its upload is there.
    let announced = client.ask(Method::PATCH, &six, &[("content-range", "409600-409601")], "").await;
    assert_eq!(announced.error(), (400, "SIZE_INVALID".to_owned()));
    denied(&patch(&registry, &client.begin("team/app").await, 100).await);
    registry.registry.sweep().await.unwrap();
    denied(&patch(&registry, &client.begin("team/app").await, 100).await);
}

#[tokio::test]
async fn an_owner_without_a_quota_is_not_bound_and_a_quota_that_changes_holds_at_once() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let open = client.begin("team/app").await;
    patch(&registry, &open, 3072).await.expect(202);
    patch(&registry, &client.begin("team/app").await, 3072).await.expect(202);
    bound(&registry, Some(1024)).await;
    // What came before counts.
    denied(&patch(&registry, &client.begin("team/app").await, 64).await);
    denied(&patch(&registry, &open, 64).await);
    bound(&registry, Some(4096)).await;
    let upload = client.begin("team/app").await;
    patch(&registry, &upload, 512).await.expect(202);
    bound(&registry, Some(8192)).await;
    patch(&registry, &upload, 2048).await.expect(202);
    bound(&registry, None).await;
    patch(&registry, &upload, 8192).await.expect(202);
}

#[tokio::test]
async fn what_is_held_already_can_be_pushed_again_whatever_the_quota_is_now() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let content = noise(800 * KIB);
    client.push("team/app", content.clone()).await;
    bound(&registry, Some(1)).await;
    for repository in ["team/app", "team/other"] {
        client.push(repository, content.clone()).await;
    }
}

#[tokio::test]
async fn what_an_earlier_process_has_left_counts_when_it_is_gone_on_with() {
    let registry = TestRegistry::start().await;
    bound(&registry, Some(1024)).await;
    let client = Client::of(&registry);
    let chunk = format!("0-{}", 700 * KIB - 1);
    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[("content-range", &chunk)], noise(700 * KIB)).await.expect(202);
    let registry = registry.restart().await;
    let client = Client::of(&registry);
    client.get(&upload).await.expect(204);
    denied(&patch(&registry, &client.begin("team/app").await, 400).await);
    patch(&registry, &upload, 300).await.expect(202);
    denied(&patch(&registry, &upload, 300).await);
    assert_eq!(registry.staged(), [""; 0]);
}
