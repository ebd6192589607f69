//! Reading, mounting and deleting blobs.

use std::fs::File;

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::registry_store::{Along, BlobLink, RegistryStore};

use crate::client::{Client, noise};
use crate::common::{Doors, TestRegistry};

#[tokio::test]
async fn a_blob_comes_back_as_it_went_in() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    // Several pieces and a rest.
    let content = noise(5 * 1024 * 1024 + 123);
    let digest = client.push("team/app", content.clone()).await;
    let path = format!("/v2/team/app/blobs/{digest}");

    let got = client.get(&path).await.expect(200);
    assert!(got.body == content, "the bytes differ");
    assert_eq!(got.header("docker-content-digest"), digest.to_string());
    assert_eq!(got.header("content-type"), "application/octet-stream");
    assert_eq!(got.header("etag"), format!("\"{digest}\""));
    assert_eq!(got.header("x-content-type-options"), "nosniff");

    let head = client.head(&path).await.expect(200);
    assert_eq!(head.header("content-length"), content.len().to_string());
    assert!(head.body.is_empty());
    // Held by this repository, not by the other.
    assert_eq!(client.get(&format!("/v2/team/other/blobs/{digest}")).await.error(), (404, "BLOB_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn empty_and_tiny_blobs() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    for content in ["", "{}"] {
        let digest = client.push("team/app", content).await;
        let got = client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
        assert_eq!(
            (got.body.as_ref(), got.header("content-length")),
            (content.as_bytes(), content.len().to_string().as_str())
        );
    }
}

#[tokio::test]
async fn ranges() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let content = noise(2048);
    let digest = client.push("team/app", content.clone()).await;
    let path = format!("/v2/team/app/blobs/{digest}");
    for (range, first, last) in
        [("500-1499", 500, 1499), ("500-", 500, 2047), ("-500", 1548, 2047), ("2000-5000", 2000, 2047), ("0-0", 0, 0)]
    {
        let got = client.ask(Method::GET, &path, &[("range", &format!("bytes={range}"))], "").await.expect(206);
        assert_eq!(got.header("content-range"), format!("bytes {first}-{last}/2048"), "{range}");
        assert_eq!(got.body, content[first..=last], "{range}");
        assert_eq!(got.header("content-length"), (last - first + 1).to_string());
    }
    for range in ["500-0", "5000-10000", "2048-", "-0", "x"] {
        let got = client.ask(Method::GET, &path, &[("range", &format!("bytes={range}"))], "").await.expect(416);
        assert_eq!(got.header("content-range"), "bytes */2048", "{range}");
        assert_eq!(got.error().1, "SIZE_INVALID");
    }
    for (name, value) in [("range", "bytes=0-1,3-4"), ("range", "lines=1-2")] {
        assert_eq!(client.ask(Method::GET, &path, &[(name, value)], "").await.expect(200).body.len(), 2048);
    }
    let etag = format!("\"{digest}\"");
    client.ask(Method::GET, &path, &[("range", "bytes=0-9"), ("if-range", &etag)], "").await.expect(206);
    client.ask(Method::GET, &path, &[("range", "bytes=0-9"), ("if-range", "\"older\"")], "").await.expect(200);
}

#[tokio::test]
async fn a_client_that_has_it_already() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let digest = client.push("team/app", "content").await;
    let path = format!("/v2/team/app/blobs/{digest}");
    for tag in [format!("\"{digest}\""), format!("W/\"{digest}\""), "*".to_owned(), format!("\"x\", \"{digest}\"")] {
        for method in [Method::GET, Method::HEAD] {
            let got = client.ask(method, &path, &[("if-none-match", &tag)], "").await.expect(304);
            assert!(got.body.is_empty());
        }
    }
    client.ask(Method::GET, &path, &[("if-none-match", "\"x\"")], "").await.expect(200);
}

#[tokio::test]
async fn digests_that_are_none() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let absent = Digest::sha256_of(b"absent");
    assert_eq!(client.get(&format!("/v2/team/app/blobs/{absent}")).await.error(), (404, "BLOB_UNKNOWN".to_owned()));
    assert_eq!(client.delete(&format!("/v2/team/app/blobs/{absent}")).await.error(), (404, "BLOB_UNKNOWN".to_owned()));
    assert_eq!(client.get(&format!("/v2/team/none/blobs/{absent}")).await.error(), (404, "NAME_UNKNOWN".to_owned()));
    for bad in [
        "sha256:abc",
        "md5:00112233445566778899aabbccddeeff",
        "sha256",
        "sha256:..%2F..%2Fetc",
        &format!("SHA256:{}", "0".repeat(64)),
    ] {
        assert_eq!(
            client.get(&format!("/v2/team/app/blobs/{bad}")).await.error(),
            (400, "DIGEST_INVALID".to_owned()),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn the_file_goes_with_the_last_repository_that_holds_it() {
    for registry in [TestRegistry::start().await, TestRegistry::unpacked().await] {
        let client = Client::of(&registry);
        let digest = client.push("team/app", "shared").await;
        if registry.unpacked {
            client.push("team/other", "shared").await;
        } else {
            // A second push would lie at a place of its own, and leave a stray (`sweep.rs`, `tests/s3/upkeep.rs`).
            client.post(&format!("/v2/team/other/blobs/uploads/?mount={digest}&from=team/app")).await.expect(201);
        }
        client.delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
        client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(404);
        client.get(&format!("/v2/team/other/blobs/{digest}")).await.expect(200);
        assert_eq!(registry.blob_files(), [digest.hex()]);
        client.delete(&format!("/v2/team/other/blobs/{digest}")).await.expect(202);
        assert_eq!(registry.blob_files(), [""; 0]);
    }
}

#[tokio::test]
async fn mounts() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let digest = client.push("team/app", "layer").await;
    let mount = |to: &str, rest: &str| format!("/v2/{to}/blobs/uploads/?mount={digest}{rest}");

    let got = client.post(&mount("team/other", "&from=team/app")).await.expect(201);
    assert_eq!(got.header("location"), format!("/v2/team/other/blobs/{digest}"));
    client.get(got.header("location")).await.expect(200);
    client.delete(got.header("location")).await.expect(202);

    // Without a source: any repository that the caller may read will do.
    client.post(&mount("team/other", "")).await.expect(201);
    client.delete(&format!("/v2/team/other/blobs/{digest}")).await.expect(202);
    // What can't be mounted is uploaded.
    for rest in ["&from=team/none", "&from=Not%20A%20Name", "&from=team/other"] {
        let got = client.post(&mount("team/other", rest)).await.expect(202);
        assert!(got.header("location").starts_with("/v2/team/other/blobs/uploads/"), "{rest}");
    }
    let absent = Digest::sha256_of(b"absent");
    client.post(&format!("/v2/team/other/blobs/uploads/?mount={absent}&from=team/app")).await.expect(202);
    client.post(&format!("/v2/team/other/blobs/uploads/?mount={absent}")).await.expect(202);
    client.post("/v2/team/other/blobs/uploads/?mount=nonsense&from=team/app").await.expect(202);
}

#[tokio::test]
async fn nobody_mounts_what_he_may_not_read() {
    let registry = TestRegistry::with(Doors::Basic, |config| config.create_on_push = true).await;
    let client = Client::of(&registry);
    let auth = [("authorization", "Basic Y2k6Y29ycmVjdC1ob3JzZQ==")];
    let secret = crate::common::name("secret/app");
    registry.registry.repository_create(secret.clone(), Visibility::Private).await.unwrap();
    // Somebody else has put a blob there.
    let digest = Digest::sha256_of(b"secret");
    let path = format!("/v2/team/app/blobs/uploads/?digest={digest}");
    client.ask(Method::POST, &path, &auth, "secret").await.expect(201);
    let store: &dyn RegistryStore = registry.store.as_ref();
    let link = BlobLink { digest: digest.clone(), size: 6, sums: None, place: None };
    store.blob_link(&secret, &link, registry.clock.now(), &Along::NOTHING).await.unwrap();
    client.ask(Method::DELETE, &format!("/v2/team/app/blobs/{digest}"), &auth, "").await.expect(202);

    for rest in ["", "&from=secret/app"] {
        client
            .ask(Method::POST, &format!("/v2/team/app/blobs/uploads/?mount={digest}{rest}"), &auth, "")
            .await
            .expect(202);
    }
    client.ask(Method::HEAD, &format!("/v2/team/app/blobs/{digest}"), &auth, "").await.expect(404);
}

#[tokio::test]
async fn a_file_that_is_cut_off_or_gone_is_not_served_and_a_push_heals_it() {
    let (registry, alone) = (TestRegistry::start().await, TestRegistry::unpacked().await);
    let digest = Digest::sha256_of(b"content");
    for registry in [&registry, &alone] {
        Client::of(registry).push("team/app", "content").await;
    }
    let path = format!("/v2/team/app/blobs/{digest}");
    if registry.elsewhere.is_some() {
        // An object is not looked at before it is read (`tests/s3/upkeep.rs`).
        return;
    }
    for registry in [&registry, &alone] {
        let client = Client::of(registry);
        for is_cut in [true, false] {
            let (file, begin) = registry.blob_lies(&digest);
            if is_cut {
                File::options().write(true).open(&file).unwrap().set_len(begin + 3).unwrap();
            } else {
                std::fs::remove_file(&file).unwrap();
            }
            client.get(&path).await.expect(404);
            client.head(&path).await.expect(404);
            client.post(&format!("/v2/team/other/blobs/uploads/?mount={digest}&from=team/app")).await.expect(202);
            client.push("team/app", "content").await;
            assert_eq!(client.get(&path).await.expect(200).body, "content");
        }
    }
}

#[tokio::test]
async fn bytes_that_are_held_stay_when_their_links_go() {
    use http_body_util::BodyExt as _;
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let content = noise(700_000);
    let digest = client.push("team/app", content.clone()).await;
    let again = client.push("team/app", "pushed again").await;
    let empty = client.push("team/app", "").await;
    let hold = registry.registry.bytes_hold();
    let second = registry.registry.bytes_hold();
    // As a copy of the state has them.
    let places = (
        registry.store.blob_place(&digest).await.unwrap(),
        registry.store.blob_place(&again).await.unwrap(),
        registry.store.blob_place(&empty).await.unwrap(),
    );
    for digest in [&digest, &again, &empty] {
        client.delete(&format!("/v2/team/app/blobs/{digest}")).await.expect(202);
        client.get(&format!("/v2/team/app/blobs/{digest}")).await.expect(404);
    }
    client.push("team/app", "pushed again").await;
    drop(hold);
    let read = async |digest: &Digest, place| {
        let body = registry.registry.blob_raw(digest, place).await.unwrap()?;
        Some(body.collect().await.unwrap().to_bytes())
    };
    assert!(read(&digest, places.0.clone()).await.is_some_and(|bytes| bytes == content), "the second one holds it");
    assert_eq!(read(&again, places.1).await.as_deref(), Some(b"pushed again".as_slice()));
    assert_eq!(read(&empty, places.2).await.as_deref(), Some(b"".as_slice()));
    drop(second);
    let left = [again.hex().to_owned()];
    layer0_testkit::until::until_true("what nothing names is gone", async || registry.blob_files() == left).await;
    assert_eq!(read(&digest, places.0).await, None);
    client.get(&format!("/v2/team/app/blobs/{again}")).await.expect(200);
}
