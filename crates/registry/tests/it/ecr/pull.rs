//! Pulling from repositories in ECR.

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_registry::ecr::{Blobs, EcrSettings};
use serde_json::json;

use super::stage::{Otherwise, Stage};
use crate::client::{OCI_INDEX, OCI_MANIFEST};

#[tokio::test]
async fn manifests_come_by_tag_and_by_digest() {
    let stage = Stage::start().await;
    let (manifest, digest) = stage.client.push_image("team/app", "1", "layer").await;
    for reference in ["1".to_owned(), digest.to_string()] {
        let path = format!("/v2/team/app/manifests/{reference}");
        let got = stage.client.get(&path).await.expect(200);
        assert_eq!(got.body, manifest.to_string());
        assert_eq!(got.header("content-type"), OCI_MANIFEST);
        assert_eq!(got.header("docker-content-digest"), digest.to_string());
        let head = stage.client.head(&path).await.expect(200);
        assert_eq!(head.header("content-length"), manifest.to_string().len().to_string());
        assert_eq!(head.header("docker-content-digest"), digest.to_string());
        let tag = format!("\"{digest}\"");
        stage.client.ask(Method::GET, &path, &[("if-none-match", &tag)], "").await.expect(304);
    }
    assert_eq!(stage.client.get("/v2/team/app/manifests/2").await.error(), (404, "MANIFEST_UNKNOWN".to_owned()));
    let gone = stage.client.get("/v2/team/none/manifests/1").await;
    assert_eq!(gone.error(), (404, "NAME_UNKNOWN".to_owned()));
    assert_eq!(gone.message(), "repository team/none does not exist");
}

#[tokio::test]
async fn a_blob_is_where_ecr_sends_the_client() {
    let stage = Stage::start().await;
    let digest = stage.client.push("team/app", "some content").await;
    let path = format!("/v2/team/app/blobs/{digest}");
    let head = stage.client.head(&path).await.expect(200);
    assert_eq!(head.header("content-length"), "12");
    let got = stage.client.get(&path).await.expect(307);
    let location = got.header("location").to_owned();
    assert!(location.contains("/s3/team/app/blobs/") && location.contains("X-Amz-Signature="), "{location}");
    assert!(got.body.is_empty(), "no byte of it crosses the server");
    let missing = Digest::sha256_of(b"missing");
    let got = stage.client.get(&format!("/v2/team/app/blobs/{missing}")).await;
    assert_eq!(got.error(), (404, "BLOB_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn a_client_that_cant_reach_s3_gets_the_bytes_from_here() {
    let settings = EcrSettings { blobs: Blobs::Streamed, ..EcrSettings::default() };
    let stage = Stage::with(Otherwise { settings, ..Otherwise::default() }).await;
    stage.ecr.repository("team/app").await;
    let digest = stage.client.push("team/app", "some content").await;
    let path = format!("/v2/team/app/blobs/{digest}");
    let got = stage.client.get(&path).await.expect(200);
    assert_eq!(got.body, "some content");
    assert_eq!(got.header("docker-content-digest"), digest.to_string());
    let part = stage.client.ask(Method::GET, &path, &[("range", "bytes=5-8")], "").await.expect(206);
    assert_eq!((part.body.as_ref(), part.header("content-range")), (&b"cont"[..], "bytes 5-8/12"));
    let beyond = stage.client.ask(Method::GET, &path, &[("range", "bytes=50-")], "").await.expect(416);
    assert_eq!(beyond.header("content-range"), "bytes */12");
}

#[tokio::test]
async fn tags_come_in_pages_under_our_name() {
    let settings = EcrSettings { prefix: "l0".to_owned(), ..EcrSettings::default() };
    let stage = Stage::with(Otherwise { settings, ..Otherwise::default() }).await;
    stage.ecr.repository("l0/team/app").await;
    for tag in ["a", "b", "c"] {
        stage.client.push_image("team/app", tag, "layer").await;
    }
    let first = stage.client.get("/v2/team/app/tags/list?n=2").await.expect(200);
    assert_eq!(first.json(), json!({ "name": "team/app", "tags": ["a", "b"] }));
    let link = first.header("link").to_owned();
    let next =
        link.strip_prefix('<').and_then(|it| it.strip_suffix(">; rel=\"next\"")).expect("a link to the next page");
    assert!(next.starts_with("/v2/team/app/tags/list?"), "{next}");
    let second = stage.client.get(next).await.expect(200);
    assert_eq!((second.json()["tags"].clone(), second.header("link")), (json!(["c"]), ""));
    assert_eq!(stage.client.get("/v2/team/none/tags/list").await.error(), (404, "NAME_UNKNOWN".to_owned()));
    assert_eq!(stage.client.get("/v2/_catalog").await.expect(200).json(), json!({ "repositories": ["team/app"] }));
}

#[tokio::test]
async fn what_ecr_has_against_a_subject_is_told() {
    let stage = Stage::start().await;
    let (manifest, digest) = stage.client.push_image("team/app", "1", "layer").await;
    let mut about = manifest.clone();
    about["subject"] =
        json!({ "mediaType": OCI_MANIFEST, "digest": digest.to_string(), "size": manifest.to_string().len() });
    stage.ecr.refuse_subjects();
    let refused = stage.client.put_manifest("team/app", "signature", &about).await;
    assert_eq!(refused.status.as_u16(), 405, "{refused:?}");
    assert!(refused.message().contains("Invalid parameter at 'ImageManifest'"), "{refused:?}");
    assert_eq!(stage.client.get("/v2/team/app/manifests/signature").await.status.as_u16(), 404);
    // All else goes on.
    stage.client.push_image("team/app", "2", "another layer").await;
}

#[tokio::test]
async fn referrers_are_listed_and_never_missing() {
    let stage = Stage::start().await;
    let (manifest, digest) = stage.client.push_image("team/app", "1", "layer").await;
    let mut about = manifest.clone();
    let subject =
        json!({ "mediaType": OCI_MANIFEST, "digest": digest.to_string(), "size": manifest.to_string().len() });
    about["subject"] = subject;
    about["artifactType"] = json!("application/vnd.example.signature");
    let reference = Digest::sha256_of(about.to_string().as_bytes()).to_string();
    let put = stage.client.put_manifest("team/app", &reference, &about);
    assert_eq!(put.await.expect(201).header("oci-subject"), digest.to_string());
    let got = stage.client.get(&format!("/v2/team/app/referrers/{digest}")).await.expect(200);
    assert_eq!(got.header("content-type"), OCI_INDEX);
    assert_eq!(got.json()["manifests"][0]["artifactType"], "application/vnd.example.signature");
    let filtered = format!("/v2/team/app/referrers/{digest}?artifactType=application%2Fvnd.example.none");
    let filtered = stage.client.get(&filtered).await.expect(200);
    assert_eq!(
        (filtered.json()["manifests"].clone(), filtered.header("oci-filters-applied")),
        (json!([]), "artifactType")
    );
}
