//! Several servers on one bucket and one store.

use http::Method;
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::owner::OwnerName;
use layer0_domain::port::access_store::{AccessStore as _, OwnerChange};
use layer0_testkit::blob_bytes_suite::content;
use layer0_testkit::s3::Fault;

use crate::Tries;
use crate::bytes;
use crate::client::Client;
use crate::common::{Doors, Elsewhere, TestRegistry};

/// Two servers, which have nothing in common but the store and the bucket.
async fn two() -> (TestRegistry, TestRegistry) {
    let one = TestRegistry::start().await;
    let mut ground = one.ground();
    let s3 = ground.elsewhere.take().unwrap().s3;
    ground.elsewhere = Some(Elsewhere { bytes: std::sync::Arc::new(bytes(&s3, Tries::Once)), s3 });
    let two = TestRegistry::launch(Doors::Open, |_| {}, ground, |store| store).await;
    (one, two)
}

fn range(first: usize, end: usize) -> String {
    format!("{first}-{}", end - 1)
}

/// What one server has counted and another one has finished does not stand in the owner's way.
#[tokio::test]
async fn an_upload_that_another_server_has_finished_takes_no_room() {
    let (one, two) = two().await;
    let change = OwnerChange { quota_bytes: Some(Some(1_000_000)) };
    one.store.owner_update(&OwnerName::parse("team").unwrap(), &change).await.unwrap();
    let clients = [Client::of(&one), Client::of(&two)];
    let content = content(600_000);
    let digest = Digest::sha256_of(&content);
    for _ in 0..3 {
        let upload = clients[0].begin("team/app").await;
        let headers = [("content-range", &*range(0, content.len()))];
        clients[1].ask(Method::PATCH, &upload, &headers, content.clone()).await.expect(202);
        clients[0].ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
    }
}

#[tokio::test]
async fn an_upload_goes_on_at_whichever_server() {
    let (one, two) = two().await;
    let clients = [Client::of(&one), Client::of(&two)];
    for (length, chunk) in [(300_000, 65_536), ((20 << 20) + 3, 3 << 20)] {
        let content = content(length);
        let digest = Digest::sha256_of(&content);
        let upload = clients[0].begin("team/app").await;
        let mut before = 0;
        for (number, piece) in content.chunks(chunk).enumerate() {
            let client = &clients[number % 2];
            let end = before + piece.len();
            let headers = [("content-range", &*range(before, end))];
            let answer = client.ask(Method::PATCH, &upload, &headers, piece.to_vec()).await.expect(202);
            assert_eq!(answer.header("range"), range(0, end));
            for client in &clients {
                let status = client.get(&upload).await.expect(204);
                assert_eq!(status.header("range"), range(0, end), "both servers know of it");
            }
            before = end;
        }
        clients[1].ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
        for client in &clients {
            let got = client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
            assert!(got.body == content, "the bytes are others");
            client.get(&upload).await.expect(404);
        }
        clients[0].delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
    }
    let s3 = &one.elsewhere.as_ref().unwrap().s3;
    assert_eq!((s3.keys(), s3.uploads()), (vec![], vec![]), "nothing is left of it");
}

#[tokio::test]
async fn what_docker_has_sent_to_one_server_is_finished_at_another() {
    let (one, two) = two().await;
    for length in [1000, (9 << 20) + 1] {
        let content = content(length);
        let digest = Digest::sha256_of(&content);
        let upload = Client::of(&one).begin("team/app").await;
        Client::of(&one).ask(Method::PATCH, &upload, &[], content.clone()).await.expect(202);
        Client::of(&two).ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
        let got = Client::of(&one).get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
        assert!(got.body == content, "the bytes are others");
        Client::of(&one).get(&upload).await.expect(404);
    }
}

#[tokio::test]
async fn a_killed_server_loses_no_part_of_an_upload() {
    let (one, two) = two().await;
    let content = content((17 << 20) + 1);
    let digest = Digest::sha256_of(&content);
    let upload = Client::of(&one).begin("team/app").await;
    Client::of(&one).ask(Method::PATCH, &upload, &[], content[..10 << 20].to_vec()).await.expect(202);
    drop(one);
    let client = Client::of(&two);
    // What came as a stream is known up to the last whole part, and gone on with from there.
    let status = client.get(&upload).await.expect(204);
    assert_eq!(status.header("range"), range(0, 8 << 20));
    let headers = [("content-range", &*range(10 << 20, content.len()))];
    let refused = client.ask(Method::PATCH, &upload, &headers, content[10 << 20..].to_vec()).await.expect(416);
    assert_eq!(refused.header("range"), range(0, 8 << 20));
    let headers = [("content-range", &*range(8 << 20, content.len()))];
    client.ask(Method::PATCH, &upload, &headers, content[8 << 20..].to_vec()).await.expect(202);
    client.ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
    let got = client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
    assert!(got.body == content, "the bytes are others");
}

#[tokio::test]
async fn one_blob_is_pushed_mounted_and_deleted_at_both_at_once() {
    let (one, two) = two().await;
    let clients = [Client::of(&one), Client::of(&two)];
    let digest = Digest::sha256_of(b"contested");
    let path = |repository: &str| format!("/v2/{repository}/blobs/{digest}");
    for _ in 0..15 {
        let pushes = clients.each_ref().map(|client| client.push("team/app", "contested"));
        futures_util::future::join_all(pushes).await;
        let mount = format!("/v2/team/other/blobs/uploads/?mount={digest}&from=team/app");
        let gone = path("team/app");
        let (mounted, deleted) = tokio::join!(clients[0].post(&mount), clients[1].delete(&gone));
        deleted.expect(202);
        let client = &clients[0];
        match mounted.status.as_u16() {
            201 => assert_eq!(client.get(&path("team/other")).await.expect(200).body, "contested"),
            202 => drop(client.get(&path("team/other")).await.expect(404)),
            _ => panic!("{mounted:?}"),
        }
        clients[1].delete(&path("team/other")).await;
    }
}

/// Each chunk at another server than the one before, and the end at the one that has not seen the last.
#[tokio::test]
async fn an_upload_ends_where_its_last_chunk_did_not_come() {
    let (one, two) = two().await;
    let clients = [Client::of(&one), Client::of(&two)];
    let content = content(131_072);
    let digest = Digest::sha256_of(&content);
    let upload = clients[0].begin("team/app").await;
    for (client, from) in [(&clients[1], 0), (&clients[0], 65_536)] {
        let headers = [("content-range", &*range(from, from + 65_536))];
        client.ask(Method::PATCH, &upload, &headers, content[from..from + 65_536].to_vec()).await.expect(202);
    }
    clients[1].ask(Method::PUT, &format!("{upload}?digest={digest}"), &[], "").await.expect(201);
    assert!(clients[0].get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200).body == content);
}

/// Whoever ends an upload once more, at a server that knows it still, takes nothing from the blob that it has become.
#[tokio::test]
async fn an_upload_that_is_over_is_over_at_every_server() {
    let (one, two) = two().await;
    let clients = [Client::of(&one), Client::of(&two)];
    let (content, other) = (content(1000), Digest::sha256_of(b"other"));
    let digest = Digest::sha256_of(&content);
    // The second server has a running hash of the upload, or has found it.
    for begins in [0, 1] {
        let upload = clients[begins].begin("team/app").await;
        clients[1].ask(Method::PATCH, &upload, &[], content.clone()).await.expect(202);
        let path = |digest: &Digest| format!("{upload}?digest={digest}");
        clients[0].ask(Method::PUT, &path(&digest), &[], "").await.expect(201);
        for digest in [&other, &digest] {
            clients[1].ask(Method::PUT, &path(digest), &[], "").await.expect(404);
        }
        for client in &clients {
            assert!(client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200).body == content);
        }
        clients[0].delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
    }
}

/// AWS says yes to a completion that repeats another one, other servers find no upload: what came of it is a blob's of the server that was first, whatever the second one
/// was told that it is.
#[tokio::test]
async fn what_another_server_has_made_a_blob_stays() {
    let (one, two) = two().await;
    let clients = [Client::of(&one), Client::of(&two)];
    let content = content(1000);
    let digest = Digest::sha256_of(&content);
    let [right, wrong] = [&*content, b"other"].map(|bytes| Algorithm::Sha512.digest_of(bytes));
    for (is_aws, claimed, status) in
        [(true, &wrong, 400), (true, &right, 404), (false, &wrong, 404), (false, &right, 404)]
    {
        if !is_aws {
            one.elsewhere.as_ref().unwrap().s3.forget_completions();
        }
        let upload = clients[1].begin("team/app").await;
        clients[1].ask(Method::PATCH, &upload, &[], content.clone()).await.expect(202);
        let end = |digest: &Digest| format!("{upload}?digest={digest}");
        clients[0].ask(Method::PUT, &end(&digest), &[], "").await.expect(201);
        clients[1].ask(Method::PUT, &end(claimed), &[], "").await.expect(status);
        clients[0].get(&format!("/v2/team/app/blobs/{claimed}")).await.expect(404);
        for client in &clients {
            assert!(client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200).body == content);
        }
        clients[0].delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
    }
}

/// Two servers have uploads of one name with other bytes of the same length: what is linked is what is there.
#[tokio::test]
async fn an_answer_that_was_lost_is_no_proof_of_whose_bytes_they_are() {
    let (one, two) = two().await;
    let clients = [Client::of(&one), Client::of(&two)];
    let (ours, theirs) = (content(1000), vec![7_u8; 1000]);
    let (our_digest, their_digest) = (Digest::sha256_of(&ours), Digest::sha256_of(&theirs));
    let upload = clients[0].begin("team/app").await;
    clients[0].ask(Method::PATCH, &upload, &[], ours).await.expect(202);
    // The second has found it, goes on from the beginning, and ends it.
    clients[1].ask(Method::PATCH, &upload, &[], theirs.clone()).await.expect(202);
    clients[1].ask(Method::PUT, &format!("{upload}?digest={their_digest}"), &[], "").await.expect(201);
    let s3 = &one.elsewhere.as_ref().unwrap().s3;
    s3.fail_at(1, Fault::SlowDown);
    let refused = clients[0].ask(Method::PUT, &format!("{upload}?digest={our_digest}"), &[], "").await;
    assert!(refused.status.is_client_error(), "{refused:?}");
    clients[0].get(&format!("/v2/team/app/blobs/{our_digest}")).await.expect(404);
    assert!(clients[0].get(&format!("/v2/team/app/blobs/{their_digest}")).await.expect(200).body == theirs);
}
