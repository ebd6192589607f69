//! Pushing into repositories in ECR.

use std::sync::Arc;

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::glob::Glob;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::owner::TagRule;
use layer0_domain::port::BoxError;
use layer0_registry::ecr::TagRules;

use super::fake::HOST_NAME;
use super::stage::{Otherwise, Stage};
use crate::client::{image, noise, pieces};

#[tokio::test]
async fn a_push_in_one_stream_and_by_parts() {
    let stage = Stage::start().await;
    let content = noise(5 << 20);
    let digest = Digest::sha256_of(&content);
    // As docker does it: one request of unknown length.
    let location = stage.client.begin("team/app").await;
    let (sender, body) = pieces();
    let sending = stage.client.send(Method::PATCH, &location, &[], body);
    let feeding = async {
        for piece in content.chunks(100_000) {
            sender.send(piece.to_vec().into()).await.unwrap();
        }
        drop(sender);
    };
    let (answer, ()) = tokio::join!(sending, feeding);
    // ECR says 201.
    let answer = answer.expect(202);
    assert_eq!(answer.header("range"), format!("0-{}", content.len() - 1));
    let location = answer.header("location").to_owned();
    let put = stage.client.ask(Method::PUT, &format!("{location}?digest={digest}"), &[], "").await.expect(201);
    assert_eq!(put.header("location"), format!("/v2/team/app/blobs/{digest}"));
    assert_eq!(put.header("docker-content-digest"), digest.to_string());

    // By parts, each told by its range; the last comes with the end.
    let location = stage.client.begin("team/other").await;
    let part = 2 << 20;
    let ends = content.chunks(part).scan(0, |at, chunk| {
        let first = *at;
        *at += chunk.len();
        Some((first, chunk))
    });
    for (first, chunk) in ends {
        let last = first + chunk.len() - 1;
        let range = format!("{first}-{last}");
        if last + 1 == content.len() {
            let end = format!("{location}?digest={digest}");
            stage.client.ask(Method::PUT, &end, &[("content-range", &range)], chunk.to_vec()).await.expect(201);
        } else {
            let answer = stage.client.ask(Method::PATCH, &location, &[("content-range", &range)], chunk.to_vec()).await;
            // ECR's own range stays at the end of the first part.
            assert_eq!(answer.expect(202).header("range"), format!("0-{last}"));
        }
    }
    assert_eq!(
        stage.client.head(&format!("/v2/team/other/blobs/{digest}")).await.expect(200).header("content-length"),
        content.len().to_string()
    );
}

#[tokio::test]
async fn a_push_that_was_interrupted_goes_on_where_it_ended() {
    let stage = Stage::start().await;
    let location = stage.client.begin("team/app").await;
    stage.client.ask(Method::PATCH, &location, &[("content-range", "0-4")], "first").await.expect(202);
    // From the start again: ECR says only in words where it would go on.
    let again = stage.client.ask(Method::PATCH, &location, &[("content-range", "0-4")], "first").await;
    assert_eq!((again.error(), again.header("range")), ((416, "BLOB_UPLOAD_INVALID".to_owned()), "0-4"));
    let status = stage.client.get(&location).await.expect(204);
    assert_eq!((status.header("range"), status.header("location")), ("0-4", location.as_str()));
    let digest = Digest::sha256_of(b"first second");
    let end = format!("{location}?digest={digest}");
    stage.client.ask(Method::PUT, &end, &[("content-range", "5-11")], " second").await.expect(201);

    let location = stage.client.begin("team/app").await;
    stage.client.delete(&location).await.expect(204);
    assert_eq!(stage.client.get(&location).await.error(), (404, "BLOB_UPLOAD_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn what_ecr_refuses_is_refused_in_the_specifications_form() {
    let stage = Stage::start().await;
    let location = stage.client.begin("team/app").await;
    let other = Digest::sha256_of(b"other");
    let wrong = stage.client.ask(Method::PUT, &format!("{location}?digest={other}"), &[], "content").await;
    assert_eq!(wrong.error(), (400, "DIGEST_INVALID".to_owned()));
    let missing = stage.client.put_manifest("team/app", "1", &image("{}", &["never pushed"])).await;
    assert_eq!(missing.error().0, 400);
    let sha512 = stage.client.post("/v2/team/app/blobs/uploads/?digest-algorithm=sha512").await;
    assert_eq!(sha512.error(), (400, "DIGEST_INVALID".to_owned()));
    let nothing = stage.client.delete(&format!("/v2/team/app/blobs/{other}")).await;
    assert_eq!(nothing.error(), (405, "UNSUPPORTED".to_owned()));
}

#[tokio::test]
async fn a_blob_is_mounted_where_ecr_mounts_and_uploaded_where_it_does_not() {
    let stage = Stage::start().await;
    let digest = stage.client.push("team/other", "layer").await;
    let mount = format!("/v2/team/app/blobs/uploads/?mount={digest}&from=team/other");
    let upload = stage.client.post(&mount).await.expect(202);
    assert!(upload.header("location").starts_with("/v2/team/app/blobs/uploads/"), "{upload:?}");
    stage.ecr.mounting();
    let mounted = stage.client.post(&mount).await.expect(201);
    assert_eq!(mounted.header("location"), format!("/v2/team/app/blobs/{digest}"));
    stage.client.head(&format!("/v2/team/app/blobs/{digest}")).await.expect(200);
}

/// The predecessor had one proxy for all, whose answers had the host of whoever asked last, and always a location.
#[tokio::test]
async fn defect_16_each_client_is_answered_for_its_own_host() {
    let stage = Stage::with(Otherwise { is_guarded: true, trusted_proxy: true, ..Otherwise::default() }).await;
    stage.ecr.repository("team/app").await;
    const GOOD: (&str, &str) = ("authorization", "Basic Y2k6Y29ycmVjdC1ob3JzZQ==");
    let hosts: Vec<String> = (0..20).map(|number| format!("registry-{number}.example.com")).collect();
    let asked = hosts.iter().map(|host| async {
        let headers = [GOOD, ("host", host.as_str())];
        let begun = stage.client.ask(Method::POST, "/v2/team/app/blobs/uploads/", &headers, "").await.expect(202);
        let nobody = stage.client.ask(Method::GET, "/v2/team/app/tags/list", &[("host", host)], "").await.expect(401);
        let listed = stage.client.ask(Method::GET, "/v2/team/app/tags/list", &headers, "").await.expect(200);
        (begun, nobody, listed)
    });
    for ((begun, nobody, listed), host) in futures_util::future::join_all(asked).await.iter().zip(&hosts) {
        // Without a host it is right for each of them.
        assert!(begun.header("location").starts_with("/v2/team/app/blobs/uploads/"), "{begun:?}");
        assert_eq!(nobody.header("www-authenticate"), format!("Basic realm=\"{host}\""));
        assert!(!listed.headers.contains_key("location"), "{listed:?}");
        assert!(!format!("{:?}", begun.headers).contains(HOST_NAME), "{begun:?}");
    }
}

#[tokio::test]
async fn a_push_makes_its_repository_when_it_may() {
    let stage = Stage::with(Otherwise { create_on_push: true, ..Otherwise::default() }).await;
    stage.client.push_image("team/new", "1", "layer").await;
    assert!(stage.ecr.calls().contains(&"CreateRepository".to_owned()));
    let stage = Stage::start().await;
    let refused = stage.client.post("/v2/team/new/blobs/uploads/").await;
    assert_eq!(refused.error(), (404, "NAME_UNKNOWN".to_owned()));
    assert_eq!(refused.message(), "repository team/new does not exist; create it: l0 repository create team/new");
    assert!(!stage.ecr.calls().contains(&"CreateRepository".to_owned()));
}

#[tokio::test]
async fn tags_and_manifests_are_deleted() {
    let stage = Stage::start().await;
    let (_, digest) = stage.client.push_image("team/app", "1", "layer").await;
    stage.client.delete("/v2/team/app/manifests/1").await.expect(202);
    stage.client.get("/v2/team/app/manifests/1").await.expect(404);
    stage.client.delete(&format!("/v2/team/app/manifests/{digest}")).await.expect(202);
    let gone = stage.client.delete(&format!("/v2/team/app/manifests/{digest}")).await;
    assert_eq!(gone.error(), (404, "MANIFEST_UNKNOWN".to_owned()));
    assert_eq!(stage.client.delete("/v2/team/none/manifests/1").await.error(), (404, "NAME_UNKNOWN".to_owned()));
}

/// `v*` of all repositories, for any owner.
struct Versions;

#[async_trait::async_trait]
impl TagRules for Versions {
    async fn of_owner(&self, _: &RepositoryName) -> Result<Vec<TagRule>, BoxError> {
        let glob = |text| Glob::parse(text).map_err(BoxError::from);
        Ok(vec![TagRule { repositories: glob("*")?, tags: glob("v*")?, except: vec![] }])
    }
}

#[tokio::test]
async fn an_owners_immutable_tags_stay_where_they_are() {
    let stage = Stage::with(Otherwise { tag_rules: Some(Arc::new(Versions)), ..Otherwise::default() }).await;
    stage.ecr.repository("team/app").await;
    let (manifest, digest) = stage.client.push_image("team/app", "v1", "layer").await;
    // The same once more moves nothing.
    stage.client.put_manifest("team/app", "v1", &manifest).await.expect(201);
    stage.client.push_image("team/app", "latest", "another").await;
    let other = stage.client.get("/v2/team/app/manifests/latest").await.expect(200).json();
    let moved = stage.client.put_manifest("team/app", "v1", &other).await;
    assert_eq!(moved.error(), (403, "DENIED".to_owned()));
    for reference in ["v1".to_owned(), digest.to_string()] {
        let gone = stage.client.delete(&format!("/v2/team/app/manifests/{reference}")).await;
        assert_eq!(gone.error(), (403, "DENIED".to_owned()), "{reference}");
    }
    stage.client.delete("/v2/team/app/manifests/latest").await.expect(202);
    let got = stage.client.get("/v2/team/app/manifests/v1").await.expect(200);
    assert_eq!(got.header("docker-content-digest"), digest.to_string());
}
