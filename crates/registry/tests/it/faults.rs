//! What happens when things go wrong in the middle, or at the same time.

use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_testkit::until::{ends, until_true};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Client, noise, pieces};
use crate::common::{Doors, TestRegistry, name};

#[tokio::test]
async fn an_upload_goes_on_after_a_restart() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let content = noise(2_000_000);
    let empty = client.begin("team/app").await;
    let begun = client.begin("team/app").await;
    client.ask(Method::PATCH, &begun, &[], content[..1_200_000].to_vec()).await.expect(202);
    let registry = registry.restart().await;
    let client = Client::of(&registry);
    assert_eq!(client.get(&begun).await.expect(204).header("range"), "0-1199999");
    // Of one with nothing in it nothing is left to go on with: its client begins anew.
    assert_eq!(client.get(&empty).await.error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    let range = [("content-range", "1200000-1999999")];
    client.ask(Method::PATCH, &begun, &range, content[1_200_000..].to_vec()).await.expect(202);
    let digest = Digest::sha256_of(&content);
    client.ask(Method::PUT, &format!("{begun}?digest={digest}"), &[], "").await.expect(201);
    assert!(client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200).body == content);
    assert_eq!(registry.staged(), [""; 0]);
}

#[tokio::test]
async fn what_a_killed_server_left_half_written_is_checked_before_it_is_believed() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[], "hello ").await.expect(202);
    // The power went, and the file system kept other bytes than were written.
    let staged = registry.root().join("uploads").join(upload.rsplit('/').next().unwrap());
    std::fs::write(&staged, "jello ").unwrap();
    let registry = registry.restart().await;
    let client = Client::of(&registry);
    let digest = Digest::sha256_of(b"hello world");
    let got = client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "world").await;
    assert_eq!(got.error(), (400, "DIGEST_INVALID".to_owned()));
    assert_eq!((registry.staged(), registry.blob_files()), (vec![], vec![]));
}

#[tokio::test]
async fn a_client_that_hangs_up_can_go_on_where_it_stopped() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    let mut socket = tokio::net::TcpStream::connect(registry.address).await.unwrap();
    socket
        .write_all(
            format!("PATCH {upload} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(400)).as_bytes(),
        )
        .await
        .unwrap();
    drop(socket);
    until_true("the upload holds what came", || async { client.get(&upload).await.header("range") == "0-399" }).await;
    let digest = Digest::sha256_of("x".repeat(1000).as_bytes());
    client
        .ask(Method::PUT, &format!("{upload}?digest={digest}"), &[("content-range", "400-999")], "x".repeat(600))
        .await
        .expect(201);
}

#[tokio::test]
async fn half_a_blob_in_one_request_leaves_nothing() {
    let registry = TestRegistry::start().await;
    let digest = Digest::sha256_of(b"whatever");
    let mut socket = tokio::net::TcpStream::connect(registry.address).await.unwrap();
    let head = format!(
        "POST /v2/team/app/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&noise(2_000_000)).await.unwrap();
    until_true("the upload has begun", || async { registry.staged().len() == 1 }).await;
    drop(socket);
    until_true("the upload is gone", || async { registry.staged().is_empty() }).await;
    Client::of(&registry).head(&format!("/v2/team/app/blobs/{digest}")).await.expect(404);
}

/// What ends before its time is never taken for the whole, whether its length was announced or not.
#[tokio::test]
async fn half_a_request_stores_nothing() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push("team/app", "{}").await;
    let manifest = crate::client::image("{}", &[]).to_string();
    let content = "content";
    let digest = Digest::sha256_of(content.as_bytes());
    let length = |body: &str, more: usize| format!("Content-Length: {}\r\n\r\n{body}", body.len() + more);
    // The body's own end is missing, and nothing else.
    let chunked = |body: &str| format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len());
    for (what, end) in [("announced", length(content, 1)), ("in chunks", chunked(content))] {
        let upload = client.begin("team/app").await;
        let put = format!("PUT {upload}?digest={digest} HTTP/1.1\r\nHost: x\r\n{end}");
        let mut socket = tokio::net::TcpStream::connect(registry.address).await.unwrap();
        socket.write_all(put.as_bytes()).await.unwrap();
        drop(socket);
        until_true(what, || async { client.get(&upload).await.header("range") == "0-6" }).await;
        client.head(&format!("/v2/team/app/blobs/{digest}")).await.expect(404);
        // Nobody writes to it any more: it can be finished, or given up.
        until_true("the request is over", || async { client.delete(&upload).await.status.as_u16() == 204 }).await;
    }
    for (what, end) in [("announced", length(&manifest, 1)), ("in chunks", chunked(&manifest))] {
        let media_type = crate::client::OCI_MANIFEST;
        let put = format!(
            "PUT /v2/team/app/manifests/{} HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\n{end}",
            &what[..2]
        );
        let mut socket = tokio::net::TcpStream::connect(registry.address).await.unwrap();
        socket.write_all(put.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        socket.shutdown().await.unwrap();
        ends("the connection's end", socket.read_to_end(&mut answer)).await.unwrap();
        assert!(!String::from_utf8_lossy(&answer).contains("201"), "{what}");
    }
    assert_eq!(client.get("/v2/team/app/tags/list").await.json()["tags"], serde_json::json!([]));
    assert_eq!(registry.staged(), [""; 0]);
}

#[tokio::test]
async fn a_client_that_goes_silent_is_given_up() {
    let registry = TestRegistry::with(Doors::Open, |config| config.body_idle = Duration::from_millis(100)).await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    let (sender, body) = pieces();
    sender.send("some".into()).await.unwrap();
    let got = client.send(Method::PATCH, &upload, &[], body).await;
    assert_eq!(got.error(), (408, "BLOB_UPLOAD_INVALID".to_owned()));
    assert_eq!(client.get(&upload).await.expect(204).header("range"), "0-3");
    let (_sender, body) = pieces();
    let got = client
        .send(Method::PUT, "/v2/team/app/manifests/1", &[("content-type", crate::client::OCI_MANIFEST)], body)
        .await;
    assert_eq!(got.status.as_u16(), 408);
}

/// A byte now and then is as good as silence: it would hold the connection, and the upload, for ever.
#[tokio::test]
async fn a_client_that_trickles_is_given_up_and_others_are_served() {
    let registry = TestRegistry::with(Doors::Open, |config| config.body_idle = Duration::from_millis(300)).await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    for (method, path) in [
        (Method::PATCH, upload.clone()),
        (Method::PUT, "/v2/team/app/manifests/1".to_owned()),
        (Method::POST, format!("/v2/team/app/blobs/uploads/?digest={}", Digest::sha256_of(b"x"))),
    ] {
        let (sender, body) = pieces();
        let trickle = async {
            let mut tick = tokio::time::interval(Duration::from_millis(10));
            // Ends when the server has hung up; else the test fails after ten seconds.
            for _ in 0..1_000 {
                tick.tick().await;
                if sender.send("x".into()).await.is_err() {
                    return;
                }
            }
            panic!("the server takes it all");
        };
        let slow = client.send(method.clone(), &path, &[("content-type", crate::client::OCI_MANIFEST)], body);
        let quick = client.push("team/other", "content");
        let (got, (), _) = tokio::join!(slow, trickle, quick);
        assert_eq!(got.error(), (408, "BLOB_UPLOAD_INVALID".to_owned()), "{method} {path}");
    }
    // What had come to the upload is there, and it goes on.
    let had = client.get(&upload).await.expect(204).header("range").to_owned();
    assert!(had.starts_with("0-") && had != "0-0", "{had}");
    client.ask(Method::PATCH, &upload, &[], "more").await.expect(202);
    assert_eq!(registry.staged().len(), 1, "what came in one request is gone");
}

/// A client that is slow, but brings something, is waited for.
#[tokio::test]
async fn a_slow_client_that_brings_enough_is_not_given_up() {
    let registry = TestRegistry::with(Doors::Open, |config| config.body_idle = Duration::from_secs(2)).await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    let (sender, body) = pieces();
    let slow = async {
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        for _ in 0..12 {
            tick.tick().await;
            sender.send(noise(4 << 10).into()).await.unwrap();
        }
        drop(sender);
    };
    let (got, ()) = tokio::join!(client.send(Method::PATCH, &upload, &[], body), slow);
    assert_eq!(got.expect(202).header("range"), format!("0-{}", 12 * (4 << 10) - 1));
}

#[tokio::test]
async fn two_writers_on_one_upload() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    let (sender, body) = pieces();
    // Two whole batches of a stream, and ten bytes that wait for more.
    let content = noise((256 << 10) + (1 << 20) + 10);
    let first = client.send(Method::PATCH, &upload, &[], body);
    let rest = async {
        sender.send(content.clone().into()).await.unwrap();
        until_true("the first request writes", || async { client.get(&upload).await.header("range") == "0-1310719" })
            .await;
        for method in [Method::PATCH, Method::DELETE] {
            assert_eq!(client.ask(method, &upload, &[], "more").await.error(), (409, "BLOB_UPLOAD_INVALID".to_owned()));
        }
        let digest = Digest::sha256_of(&content);
        assert_eq!(client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.error().0, 409);
        drop(sender);
    };
    let (got, ()) = tokio::join!(first, rest);
    assert_eq!(got.expect(202).header("range"), format!("0-{}", content.len() - 1));
    let digest = Digest::sha256_of(&content);
    client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
}

#[tokio::test]
async fn a_full_disk_is_said_and_frees_what_it_had() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    for (method, query) in
        [(Method::PATCH, String::new()), (Method::PUT, format!("?digest={}", Digest::sha256_of(b"x")))]
    {
        let upload = client.begin("team/app").await;
        client.ask(Method::PATCH, &upload, &[], "x").await.expect(202);
        let staged = registry.root().join("uploads").join(upload.rsplit('/').next().unwrap());
        std::fs::remove_file(&staged).unwrap();
        std::os::unix::fs::symlink("/dev/full", &staged).unwrap();
        let got = client.ask(method, &format!("{upload}{query}"), &[], noise(3 << 20)).await;
        assert_eq!(got.error(), (507, "UNKNOWN".to_owned()));
        assert!(got.message().contains("disk is full"));
        assert_eq!(client.get(&upload).await.error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    }
    assert_eq!((registry.staged(), registry.blob_files()), (vec![], vec![]));
}

#[tokio::test]
async fn many_push_the_same_blob() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let content = noise(300_000);
    let pushed =
        join_all((0..16).map(|at| client.push(if at % 2 == 0 { "team/app" } else { "team/other" }, content.clone())))
            .await;
    for repository in ["team/app", "team/other"] {
        assert!(client.get(&format!("/v2/{repository}/blobs/{}", pushed[0])).await.expect(200).body == content);
    }
    assert_eq!(registry.blob_files(), [pushed[0].hex()]);
    assert_eq!(registry.staged(), [""; 0]);
}

#[tokio::test]
async fn a_repository_that_goes_away_during_a_push() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[], "content").await.expect(202);
    registry.registry.repository_delete(&name("team/app"), false).await.unwrap();
    let digest = Digest::sha256_of(b"content");
    let got = client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await;
    assert_eq!(got.error(), (404, "NAME_UNKNOWN".to_owned()));
    assert_eq!((registry.staged(), registry.blob_files()), (vec![], vec![]));
}
