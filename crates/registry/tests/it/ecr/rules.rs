//! What ECR's registry wants of uploads, mounts and names, met for every client: on the test kit's ECR, whose rules are those that AWS
//! documents and its users report.

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::registry_store::RegistryStoreError;
use layer0_testkit::aws::{RegistryCall, Uploads};

use super::on_aws::OnAws;
use crate::client::{image, noise, pieces};
use crate::common::name;

const MIB: usize = 1 << 20;

/// Sends a content in chunks of this size, each told by its range; the last with the end when `closes` says so.
async fn in_chunks(stage: &OnAws, content: &[u8], size: usize, closes: bool) -> Digest {
    let digest = Digest::sha256_of(content);
    let mut location = stage.client.begin("team/app").await;
    let mut at = 0;
    for chunk in content.chunks(size) {
        let last = at + chunk.len() - 1;
        let range = format!("{at}-{last}");
        at = last + 1;
        if closes && at == content.len() {
            let end = format!("{location}?digest={digest}");
            stage.client.ask(Method::PUT, &end, &[("content-range", &range)], chunk.to_vec()).await.expect(201);
            return digest;
        }
        let answer = stage.client.ask(Method::PATCH, &location, &[("content-range", &range)], chunk.to_vec()).await;
        let answer = answer.expect(202);
        assert_eq!(answer.header("range"), format!("0-{last}"));
        location = answer.header("location").to_owned();
    }
    stage.client.ask(Method::PUT, &format!("{location}?digest={digest}"), &[], "").await.expect(201);
    digest
}

/// What went into uploads: method and bytes of each request.
fn sent(calls: &[RegistryCall]) -> Vec<(&str, usize)> {
    let on = calls.iter().filter(|it| it.path.contains("/blobs/uploads/") && ["PATCH", "PUT"].contains(&&*it.method));
    on.map(|it| (it.method.as_str(), it.bytes)).collect()
}

#[tokio::test]
async fn chunks_of_any_size_become_ecrs_parts() {
    let stage = OnAws::start().await;
    for (length, size, closes) in [
        (1000, 100, false),
        (1000, 100, true),
        (12 * MIB + 17, MIB, false),
        (12 * MIB + 17, MIB, true),
        (11 * MIB, 5 * MIB, false),
        (11 * MIB, 6 * MIB - 1, true),
    ] {
        let content = noise(length);
        let digest = in_chunks(&stage, &content, size, closes).await;
        let got = stage.client.head(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
        assert_eq!(got.header("content-length"), length.to_string(), "{length} by {size}");
    }
    let calls = stage.aws.registry_calls();
    let parts: Vec<(&str, usize)> = sent(&calls).into_iter().filter(|(method, _)| *method == "PATCH").collect();
    assert!(parts.iter().all(|(_, bytes)| *bytes >= 5 * MIB), "{parts:?}");
    assert_eq!(&sent(&calls)[..2], [("PUT", 1000), ("PUT", 1000)], "what is small goes in one request");
}

/// The fake would be none if it took them.
#[tokio::test]
async fn ecr_itself_refuses_small_parts_when_the_upload_ends() {
    let stage = OnAws::start().await;
    let direct = stage.direct();
    let headers = [("authorization", direct.authorization.as_str())];
    let begun = direct.client.ask(Method::POST, "/v2/team/app/blobs/uploads/", &headers, "").await.expect(202);
    let path = begun.header("location").split_once(".com").expect("ECR's address").1.to_owned();
    for chunk in ["first", "second"] {
        let answer = direct.client.ask(Method::PATCH, &path, &headers, chunk).await.expect(201);
        assert_eq!(answer.header("range"), "0-4", "it stays at the end of the first");
    }
    let digest = Digest::sha256_of(b"firstsecond");
    let end = direct.client.ask(Method::PUT, &format!("{path}?digest={digest}"), &headers, "").await;
    assert_eq!(end.error(), (400, "BLOB_UPLOAD_INVALID".to_owned()));
}

#[tokio::test]
async fn a_layer_in_one_stream_goes_on_as_it_comes() {
    let stage = OnAws::start().await;
    for length in [300_000, 7 * MIB] {
        let content = noise(length);
        let digest = Digest::sha256_of(&content);
        let before = stage.aws.registry_calls().len();
        let location = stage.client.begin("team/app").await;
        let (sender, body) = pieces();
        let feeding = async {
            for piece in content.chunks(100_000) {
                sender.send(piece.to_vec().into()).await.unwrap();
            }
            drop(sender);
        };
        let (answer, ()) = tokio::join!(stage.client.send(Method::PATCH, &location, &[], body), feeding);
        assert_eq!(answer.expect(202).header("range"), format!("0-{}", length - 1));
        stage.client.ask(Method::PUT, &format!("{location}?digest={digest}"), &[], "").await.expect(201);
        assert_eq!(sent(&stage.aws.registry_calls()[before..]), [("PATCH", length), ("PUT", 0)]);
    }
}

/// Tokens that end in mid-push, and an ECR that is busy, cost no request, whatever was gathered before.
#[tokio::test]
async fn a_part_that_is_refused_goes_again_whole() {
    let stage = OnAws::start().await;
    let content = noise(6 * MIB);
    let digest = Digest::sha256_of(&content);
    let location = stage.client.begin("team/app").await;
    for (number, chunk) in content.chunks(MIB).enumerate() {
        stage.advance_ms(60_000);
        stage.aws.registry_tokens_expire();
        stage.aws.registry_busy(1);
        let range = format!("{}-{}", number * MIB, (number + 1) * MIB - 1);
        let sent = stage.client.ask(Method::PATCH, &location, &[("content-range", &range)], chunk.to_vec()).await;
        sent.expect(202);
    }
    stage.aws.registry_tokens_expire();
    stage.advance_ms(60_000);
    stage.client.ask(Method::PUT, &format!("{location}?digest={digest}"), &[], "").await.expect(201);
    let calls = stage.aws.registry_calls();
    assert!(calls.iter().any(|it| it.status == 403) && calls.iter().any(|it| it.status == 429), "{calls:?}");
}

#[tokio::test]
async fn a_big_push_that_breaks_goes_on_from_what_arrived() {
    for tell in [Uploads::Silent, Uploads::Told] {
        let stage = OnAws::start().await;
        stage.aws.registry_uploads(tell);
        let content = noise(17 * MIB);
        let digest = Digest::sha256_of(&content);
        let location = stage.client.begin("team/app").await;
        stage.cut_off(&location, &content[..13 * MIB], content.len()).await;
        // The server notices in its own time that nobody is there any more; who asks meanwhile waits for that.
        let status = stage.client.get(&location).await.expect(204);
        let end: usize = status.header("range").strip_prefix("0-").expect("a range").parse().expect("a number");
        let mut at = end + 1;
        assert!((5 * MIB..=13 * MIB).contains(&at), "{at} with {tell:?}");
        let headers = |at: usize| [("content-range".to_owned(), format!("{at}-{}", content.len() - 1))];
        loop {
            let [(header, range)] = headers(at);
            let rest = content[at..].to_vec();
            let answer = stage.client.ask(Method::PATCH, &location, &[(&header, &range)], rest).await;
            if answer.status.as_u16() == 202 {
                break;
            }
            // A status that stays behind is put right by the refusal.
            let told: usize = answer.expect(416).header("range").strip_prefix("0-").unwrap().parse().unwrap();
            assert!(told + 1 > at, "it says where it goes on: {told} after {at}");
            at = told + 1;
        }
        stage.client.ask(Method::PUT, &format!("{location}?digest={digest}"), &[], "").await.expect(201);
        let got = stage.client.head(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
        assert_eq!(got.header("content-length"), content.len().to_string());
    }
}

/// A balancer may send each request of a docker elsewhere.
#[tokio::test]
async fn the_end_of_a_small_layer_may_come_to_another_server() {
    let stage = OnAws::start().await;
    let digest = Digest::sha256_of(b"a small layer");
    let location = stage.client.begin("team/app").await;
    let stage = stage.another_server().await;
    stage.client.ask(Method::PATCH, &location, &[], "a small layer").await.expect(202);
    let stage = stage.another_server().await;
    stage.client.ask(Method::PUT, &format!("{location}?digest={digest}"), &[], "").await.expect(201);
}

/// Another server knows nothing of what was gathered in the first, and says so.
#[tokio::test]
async fn what_a_lost_server_had_gathered_is_not_counted() {
    let stage = OnAws::start().await;
    let content = noise(8 * MIB);
    let location = stage.client.begin("team/app").await;
    let send = async |stage: &OnAws, from: usize, to: usize| {
        let range = format!("{from}-{}", to - 1);
        let chunk = content[from..to].to_vec();
        stage.client.ask(Method::PATCH, &location, &[("content-range", &range)], chunk).await
    };
    send(&stage, 0, 6 * MIB).await.expect(202);
    assert_eq!(send(&stage, 6 * MIB, 7 * MIB).await.expect(202).header("range"), format!("0-{}", 7 * MIB - 1));
    let stage = stage.another_server().await;
    let refused = send(&stage, 7 * MIB, 8 * MIB).await.expect(416);
    assert_eq!(refused.header("range"), format!("0-{}", 6 * MIB - 1), "what ECR has");
    let status = stage.client.get(&location).await.expect(204);
    assert_eq!(status.header("range"), format!("0-{}", 6 * MIB - 1));
    send(&stage, 6 * MIB, 8 * MIB).await.expect(202);
    let digest = Digest::sha256_of(&content);
    stage.client.ask(Method::PUT, &format!("{location}?digest={digest}"), &[], "").await.expect(201);
}

#[tokio::test]
async fn an_upload_that_is_ended_is_over_though_ecr_has_no_such_request() {
    for tell in [Uploads::Silent, Uploads::Told] {
        let stage = OnAws::start().await;
        stage.aws.registry_uploads(tell);
        let location = stage.client.begin("team/app").await;
        stage.client.ask(Method::PATCH, &location, &[], "some").await.expect(202);
        stage.client.delete(&location).await.expect(204);
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let answer = stage.client.ask(method.clone(), &location, &[], "more").await;
            assert_eq!(answer.error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()), "{method} with {tell:?}");
        }
        let unknown = "/v2/team/app/blobs/uploads/00000000-0000-0000-0000-000000000000";
        let answer = stage.client.get(unknown).await;
        assert_eq!(answer.error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
    }
}

#[tokio::test]
async fn chunks_that_do_not_follow_are_refused_with_where_it_goes_on() {
    let stage = OnAws::start().await;
    let location = stage.client.begin("team/app").await;
    let send = async |range: &str, body: &'static str| {
        stage.client.ask(Method::PATCH, &location, &[("content-range", range)], body).await
    };
    send("0-4", "first").await.expect(202);
    for wrong in ["0-4", "6-10", "nonsense", "10-6"] {
        let refused = send(wrong, "later").await;
        assert_eq!(refused.error(), (416, "BLOB_UPLOAD_INVALID".to_owned()), "{wrong}");
        assert_eq!((refused.header("range"), refused.header("location")), ("0-4", location.as_str()));
    }
    assert_eq!(send("5-99", "later").await.error(), (400, "SIZE_INVALID".to_owned()));
    send("5-9", "later").await.expect(202);
    assert_eq!(stage.client.get(&location).await.expect(204).header("range"), "0-9");
}

/// Only what a manifest of the source refers to, and only where the account says so (containers-roadmap #2860).
#[tokio::test]
async fn what_ecr_does_not_mount_is_uploaded() {
    let stage = OnAws::start().await;
    let alone = stage.client.push("team/other", "referred to by nothing").await;
    stage.client.push_image("team/other", "1", "a layer").await;
    let layer = Digest::sha256_of(b"a layer");
    let mount = async |digest: &Digest| {
        stage.client.post(&format!("/v2/team/app/blobs/uploads/?mount={digest}&from=team/other")).await
    };
    mount(&layer).await.expect(202);
    stage.aws.registry_setting("BLOB_MOUNTING", "ENABLED");
    let mounted = mount(&layer).await.expect(201);
    assert_eq!(mounted.header("location"), format!("/v2/team/app/blobs/{layer}"));
    stage.client.head(&format!("/v2/team/app/blobs/{layer}")).await.expect(200);
    let upload = mount(&alone).await.expect(202);
    let end = format!("{}?digest={alone}", upload.header("location"));
    stage.client.ask(Method::PUT, &end, &[], "referred to by nothing").await.expect(201);
}

#[tokio::test]
async fn what_ecr_has_not_is_refused_with_its_reason() {
    let stage = OnAws::start().await;
    let sha512 = layer0_domain::model::digest::Algorithm::Sha512.digest_of(b"content");
    let whole = format!("/v2/team/app/blobs/uploads/?digest={sha512}");
    let whole = stage.client.ask(Method::POST, &whole, &[], "content").await;
    assert_eq!(whole.error(), (400, "DIGEST_INVALID".to_owned()));
    let (manifest, _) = stage.client.push_image("team/app", "sha", "layer").await;
    let by_sha512 = layer0_domain::model::digest::Algorithm::Sha512.digest_of(manifest.to_string().as_bytes());
    for place in [by_sha512.to_string(), format!("tag?digest={by_sha512}")] {
        let refused = stage.client.put_manifest("team/app", &place, &manifest).await;
        assert_eq!(refused.error(), (400, "DIGEST_INVALID".to_owned()), "{place}");
    }
    let digest = stage.client.push("team/app", "a blob").await;
    let deleted = stage.client.delete(&format!("/v2/team/app/blobs/{digest}")).await;
    assert_eq!(deleted.error(), (405, "UNSUPPORTED".to_owned()));
    let missing = stage.client.put_manifest("team/app", "1", &image("{}", &["never pushed"])).await;
    assert_eq!(missing.error(), (404, "BLOB_UNKNOWN".to_owned()));
    assert!(missing.message().contains("do not exist"), "ECR's words: {}", missing.message());
    // Lower-case words with one separator between them.
    let refused = stage.registry.repository_create(name("team/a__b"), Visibility::Private).await.unwrap_err();
    assert!(matches!(&refused, RegistryStoreError::Refused { why } if why.contains("regular expression")), "{refused}");
    assert_eq!(stage.client.get("/v2/team/App/tags/list").await.error(), (400, "NAME_INVALID".to_owned()));
}

/// ECR has an order and a word for the next page of its own.
#[tokio::test]
async fn tags_are_in_the_specifications_order() {
    let stage = OnAws::start().await;
    let (manifest, _) = stage.client.push_image("team/app", "10", "layer").await;
    for tag in ["9", "100", "a"] {
        stage.client.put_manifest("team/app", tag, &manifest).await.expect(201);
    }
    let tags = async |query: &str| {
        let answer = stage.client.get(&format!("/v2/team/app/tags/list{query}")).await.expect(200);
        (answer.json()["tags"].to_string(), answer.header("link").to_owned())
    };
    assert_eq!(tags("").await, (r#"["10","100","9","a"]"#.to_owned(), String::new()));
    let link = "</v2/team/app/tags/list?n=2&last=100>; rel=\"next\"".to_owned();
    assert_eq!(tags("?n=2").await, (r#"["10","100"]"#.to_owned(), link));
    assert_eq!(tags("?n=2&last=100").await, (r#"["9","a"]"#.to_owned(), String::new()));
    assert_eq!(tags("?n=0").await.0, "[]");
}
