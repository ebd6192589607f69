//! Every way to push a blob.

use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::header::HOST;
use http::{Method, Request};
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_testkit::until::until_true;

use crate::client::{Client, digest_by, noise, pieces};
use crate::common::TestRegistry;

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

async fn is_there(client: &Client, digest: &Digest, content: &[u8]) {
    let got = client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
    assert!(got.body == content, "the bytes differ");
}

#[tokio::test]
async fn in_one_request() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    for algorithm in ALGORITHMS {
        let content = noise(10_000);
        let digest = digest_by(algorithm, &content);
        let got = client
            .ask(Method::POST, &format!("/v2/team/app/blobs/uploads/?digest={digest}"), &[], content.clone())
            .await
            .expect(201);
        assert_eq!(got.header("location"), format!("/v2/team/app/blobs/{digest}"));
        assert_eq!(got.header("docker-content-digest"), digest.to_string());
        is_there(&client, &digest, &content).await;
    }
    assert_eq!(registry.staged(), [""; 0]);
}

#[tokio::test]
async fn post_then_put() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    for algorithm in ALGORITHMS {
        let content = noise(3 * 1024 * 1024);
        let digest = digest_by(algorithm, &content);
        let upload = client.begin("team/app").await;
        client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], content.clone()).await.expect(201);
        is_there(&client, &digest, &content).await;
    }
}

#[tokio::test]
async fn in_chunks() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let content = noise(3000);
    for algorithm in ALGORITHMS {
        for last_in_put in [false, true] {
            let digest = digest_by(algorithm, &content);
            let upload = client.begin("team/app").await;
            let cut = if last_in_put { 2000 } else { 3000 };
            for first in (0..cut).step_by(1000) {
                let range = format!("{first}-{}", first + 999);
                let got = client
                    .ask(Method::PATCH, &upload, &[("content-range", &range)], content[first..first + 1000].to_vec())
                    .await
                    .expect(202);
                assert_eq!(got.header("range"), format!("0-{}", first + 999));
                assert_eq!(got.header("location"), upload);
                let got = client.get(&upload).await.expect(204);
                assert_eq!(got.header("range"), format!("0-{}", first + 999));
            }
            let headers: &[(&str, &str)] = if last_in_put { &[("content-range", "2000-2999")] } else { &[] };
            client
                .ask(Method::PUT, &format!("{upload}?digest={digest}"), headers, content[cut..].to_vec())
                .await
                .expect(201);
            is_there(&client, &digest, &content).await;
            client.get(&upload).await.expect(404);
            client.delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
        }
    }
}

#[tokio::test]
async fn streamed() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let content = noise(2_500_000);
    for algorithm in ["sha256", "sha512"] {
        let path = format!("/v2/team/app/blobs/uploads/?digest-algorithm={algorithm}");
        let upload = client.post(&path).await.expect(202).header("location").to_owned();
        let (sender, body) = pieces();
        let send = async {
            for piece in content.chunks(100_000) {
                sender.send(piece.to_vec().into()).await.unwrap();
            }
            drop(sender);
        };
        let (got, ()) = tokio::join!(client.send(Method::PATCH, &upload, &[], body), send);
        assert_eq!(got.expect(202).header("range"), "0-2499999");
        let digest = digest_by(if algorithm == "sha256" { Algorithm::Sha256 } else { Algorithm::Sha512 }, &content);
        client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
        is_there(&client, &digest, &content).await;
    }
}

#[tokio::test]
async fn chunks_that_do_not_fit() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    let patch = async |range: &str, body: &'static str| {
        client.ask(Method::PATCH, &upload, &[("content-range", range)], body).await
    };
    patch("0-4", "hello").await.expect(202);
    // Before, after, nonsense: refused with what is held.
    for range in ["0-4", "6-7", "4-3", "x", "-", "99999999999999999999-99999999999999999999"] {
        let got = patch(range, "he").await.expect(416);
        assert_eq!((got.header("range"), got.header("location")), ("0-4", upload.as_str()), "{range}");
        assert_eq!(got.error().1, "BLOB_UPLOAD_INVALID");
    }
    let digest = Digest::sha256_of(b"hello world");
    client
        .ask(Method::PUT, &format!("{upload}?digest={digest}"), &[("content-range", "6-10")], "world")
        .await
        .expect(416);
    // Announced and sent differ.
    assert_eq!(patch("5-6", "xyz").await.error(), (400, "SIZE_INVALID".to_owned()));
    for pieces_sent in [&["a"][..], &["abc", "def", "ghi"]] {
        let (sender, body) = pieces();
        let send = async {
            for piece in pieces_sent {
                // The server may have hung up already.
                sender.send((*piece).into()).await.ok();
            }
            drop(sender);
        };
        let (got, ()) = tokio::join!(client.send(Method::PATCH, &upload, &[("content-range", "5-6")], body), send);
        assert_eq!(got.error(), (400, "SIZE_INVALID".to_owned()), "{pieces_sent:?}");
        assert_eq!(client.get(&upload).await.header("range"), "0-4");
    }
    // Nothing of that has done harm.
    patch("bytes 5-10/11", " world").await.expect(202);
    client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
    is_there(&client, &digest, b"hello world").await;
}

/// A chunk is answered when it is written, and may still be hashed when the next one comes, when it is taken back, and at the end.
#[tokio::test]
async fn large_chunks() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let content = noise((24 << 20) + 5);
    for (algorithm, is_one_taken_back) in [(ALGORITHMS[0], false), (ALGORITHMS[0], true), (ALGORITHMS[1], false)] {
        let upload = client.begin("team/app").await;
        for (number, chunk) in content.chunks(8 << 20).enumerate() {
            if is_one_taken_back && number == 1 {
                let (sender, body) = pieces();
                let send = async {
                    for piece in chunk.chunks(1 << 20).take(7) {
                        sender.send(piece.to_vec().into()).await.ok();
                    }
                    drop(sender);
                };
                let range = format!("{}-{}", 8 << 20, (16 << 20) - 1);
                let headers = [("content-range", range.as_str())];
                let (got, ()) = tokio::join!(client.send(Method::PATCH, &upload, &headers, body), send);
                assert_eq!(got.error(), (400, "SIZE_INVALID".to_owned()));
            }
            client.ask(Method::PATCH, &upload, &[], chunk.to_vec()).await.expect(202);
        }
        let digest = digest_by(algorithm, &content);
        client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
        is_there(&client, &digest, &content).await;
    }

    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[], content[1..].to_vec()).await.expect(202);
    let other = Digest::sha256_of(b"another");
    let got = client.ask(Method::PUT, &format!("{upload}?digest={other}"), &[], "").await;
    assert_eq!(got.error(), (400, "DIGEST_INVALID".to_owned()));
    client.get(&format!("/v2/team/app/blobs/{other}")).await.expect(404);

    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[], content.clone()).await.expect(202);
    client.delete(&upload).await.expect(204);
    assert_eq!(registry.staged(), [""; 0]);
}

#[tokio::test]
async fn wrong_digests() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    for algorithm in ALGORITHMS {
        let wrong = digest_by(algorithm, b"something else");
        let got =
            client.ask(Method::POST, &format!("/v2/team/app/blobs/uploads/?digest={wrong}"), &[], "content").await;
        assert_eq!(got.error(), (400, "DIGEST_INVALID".to_owned()));
        let upload = client.begin("team/app").await;
        assert_eq!(
            client.ask(Method::PUT, &format!("{upload}?digest={wrong}"), &[], "content").await.error(),
            (400, "DIGEST_INVALID".to_owned())
        );
        client.get(&upload).await.expect(404);
        let upload = client.begin("team/app").await;
        client.ask(Method::PATCH, &upload, &[], "content").await.expect(202);
        assert_eq!(
            client.ask(Method::PUT, &format!("{upload}?digest={wrong}"), &[], "").await.error(),
            (400, "DIGEST_INVALID".to_owned())
        );
        client.head(&format!("/v2/team/app/blobs/{wrong}")).await.expect(404);
    }
    // Not even digests.
    let upload = client.begin("team/app").await;
    for query in ["", "?digest=", "?digest=sha256:xyz", "?digest=md5:00"] {
        assert_eq!(
            client.ask(Method::PUT, &format!("{upload}{query}"), &[], "").await.error(),
            (400, "DIGEST_INVALID".to_owned()),
            "{query}"
        );
    }
    assert_eq!(
        client.post("/v2/team/app/blobs/uploads/?digest=nonsense").await.error(),
        (400, "DIGEST_INVALID".to_owned())
    );
    assert_eq!(
        client.post("/v2/team/app/blobs/uploads/?digest-algorithm=md5").await.error(),
        (400, "DIGEST_INVALID".to_owned())
    );
    client.delete(&upload).await.expect(204);
    assert_eq!((registry.staged(), registry.blob_files()), (vec![], vec![]));
}

#[tokio::test]
async fn the_same_blob_twice_is_there_once() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let digest = client.push("team/app", "content").await;
    assert_eq!(client.push("team/app", "content").await, digest);
    for chunked in [false, true] {
        let upload = client.begin("team/app").await;
        if chunked {
            client.ask(Method::PATCH, &upload, &[], "content").await.expect(202);
        }
        let rest = if chunked { "" } else { "content" };
        client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], rest).await.expect(201);
    }
    let mut files = registry.blob_files();
    if registry.elsewhere.is_some() {
        // In a bucket each push lies at a place of its own; what nobody holds is swept (`tests/s3/upkeep.rs`).
        files.dedup();
    }
    assert_eq!((files, registry.staged()), (vec![digest.hex().to_owned()], vec![]));
    // A wrong copy does the right one no harm.
    let path = format!("/v2/team/app/blobs/uploads/?digest={digest}");
    assert_eq!(client.ask(Method::POST, &path, &[], "other").await.error(), (400, "DIGEST_INVALID".to_owned()));
    is_there(&client, &digest, b"content").await;
}

#[tokio::test]
async fn an_upload_is_finished_once() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let digest = Digest::sha256_of(b"content");
    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[], "content").await.expect(202);
    let finish = || client.ask(Method::PUT, &upload, &[], "");
    assert_eq!(finish().await.error(), (400, "DIGEST_INVALID".to_owned()), "a missing digest ends nothing");
    let path = format!("{upload}?digest={digest}");
    client.ask(Method::PUT, &path, &[], "").await.expect(201);
    for method in [Method::PUT, Method::PATCH, Method::GET, Method::DELETE] {
        assert_eq!(
            client.ask(method.clone(), &path, &[], "").await.error(),
            (404, "BLOB_UPLOAD_UNKNOWN".to_owned()),
            "{method}"
        );
    }
    is_there(&client, &digest, b"content").await;

    // Many at once: one of them ends it, and the others are told.
    for _ in 0..20 {
        client.delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
        let upload = client.begin("team/app").await;
        client.ask(Method::PATCH, &upload, &[], "content").await.expect(202);
        let path = format!("{upload}?digest={digest}");
        let all = futures_util::future::join_all((0..8).map(|_| client.ask(Method::PUT, &path, &[], ""))).await;
        let (done, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(|got| got.status.as_u16() == 201);
        assert_eq!(done.len(), 1);
        for got in refused {
            let told = [(404, "BLOB_UPLOAD_UNKNOWN".to_owned()), (409, "BLOB_UPLOAD_INVALID".to_owned())];
            assert!(told.contains(&got.error()), "{got:?}");
        }
        is_there(&client, &digest, b"content").await;
    }
    assert_eq!(registry.staged(), [""; 0]);
}

#[tokio::test]
async fn a_chunk_sent_twice_is_refused_with_what_is_held() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    let chunk = || client.ask(Method::PATCH, &upload, &[("content-range", "0-6")], "content");
    chunk().await.expect(202);
    let got = chunk().await;
    assert_eq!((got.error(), got.header("range")), ((416, "BLOB_UPLOAD_INVALID".to_owned()), "0-6"));
    let digest = Digest::sha256_of(b"content");
    client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
}

#[tokio::test]
async fn cancelled() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    client.ask(Method::PATCH, &upload, &[], "half").await.expect(202);
    client.delete(&upload).await.expect(204);
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        assert_eq!(client.ask(method, &upload, &[], "").await.error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    }
    assert_eq!(registry.staged(), [""; 0]);
}

/// Nobody knows its name, so nobody could end it: over HTTP/2 a request that is given up is dropped where it stands.
#[tokio::test]
async fn a_blob_in_one_request_that_is_given_up_leaves_nothing() {
    let registry = TestRegistry::start().await;
    let digest = Digest::sha256_of(b"never to come");
    // So much that some is written wherever bytes lie, and then nothing for ever.
    let pieces = stream::iter((0..20).map(|_| Ok::<_, std::convert::Infallible>(Bytes::from(vec![7; 1 << 20]))));
    let request = Request::post(format!("/v2/team/app/blobs/uploads/?digest={digest}")).header(HOST, "localhost");
    let request = request.body(Body::from_stream(pieces.chain(stream::pending()))).unwrap();
    let mut answering = Box::pin(registry.registry.answer(request));
    let is_written = || {
        let staged = registry.staged();
        let uploads = registry.root().join("uploads");
        let has_bytes = |name: &String| uploads.join(name).metadata().is_ok_and(|it| it.len() > 8 << 20);
        staged.iter().any(|name| registry.elsewhere.is_some() || has_bytes(name))
    };
    tokio::select! {
        _ = &mut answering => panic!("the body never ends"),
        () = until_true("some of it is written", || async { is_written() }) => {}
    }
    drop(answering);
    until_true("nothing is left of it", || async { registry.staged().is_empty() }).await;
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let upload = client.begin("team/app").await;
    let elsewhere = upload.replace("team/app", "team/other");
    assert_eq!(client.get(&elsewhere).await.error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    for id in ["x", "..%2F..%2Fetc%2Fpasswd", &"0".repeat(5000)] {
        assert_eq!(
            client.get(&format!("/v2/team/app/blobs/uploads/{id}")).await.error(),
            (404, "BLOB_UPLOAD_UNKNOWN".to_owned())
        );
    }
}

#[tokio::test]
async fn a_new_upload_shows_an_empty_range_that_docker_can_read() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let got = client.post("/v2/team/app/blobs/uploads/").await.expect(202);
    assert_eq!(got.header("range"), "0-0");
    assert!(got.header("location").ends_with(got.header("docker-upload-uuid")));
}

#[tokio::test]
async fn methods_that_no_upload_takes() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let got = client.get("/v2/team/app/blobs/uploads/").await;
    assert_eq!(got.error(), (405, "UNSUPPORTED".to_owned()));
    assert_eq!(got.header("allow"), "POST");
    let upload = client.begin("team/app").await;
    assert_eq!(client.post(&upload).await.error(), (405, "UNSUPPORTED".to_owned()));
}
