//! The port `ImageSource`.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::registry::{Platform, Visibility};
use layer0_domain::port::image_source::{ImageSource, SourceAnswer};
use serde_json::json;

use crate::client::{Client, OCI_MANIFEST, descriptor, index};
use crate::common::TestRegistry;

async fn describe(registry: &TestRegistry, image: &str) -> SourceAnswer {
    registry.registry.describe(&ImageRef::parse(image).unwrap()).await.unwrap()
}

#[tokio::test]
async fn images_of_ours_and_of_others() {
    let registry = TestRegistry::start().await;
    let host = registry.address;
    let client = Client::of(&registry);
    for foreign in ["team/app", "docker.io/team/app", "127.0.0.1:1/team/app"] {
        assert_eq!(describe(&registry, foreign).await, SourceAnswer::NotOurs);
        assert!(registry.registry.credential(&ImageRef::parse(foreign).unwrap()).await.unwrap().is_none());
    }
    assert_eq!(describe(&registry, &format!("{host}/team/none:1")).await, SourceAnswer::NoRepository);
    assert_eq!(describe(&registry, &format!("{host}/app:1")).await, SourceAnswer::NoRepository);
    for tag in ["1.9", "1.10", "old"] {
        client.push_image("team/app", tag, "layer").await;
    }
    let tags = ["1.10", "1.9", "old"].map(str::to_owned).to_vec();
    assert_eq!(
        describe(&registry, &format!("{host}/team/app:2")).await,
        SourceAnswer::NoImage { tags: tags.clone(), visibility: Visibility::Private }
    );
    assert_eq!(
        describe(&registry, &format!("{host}/team/app")).await,
        SourceAnswer::NoImage { tags, visibility: Visibility::Private }
    );

    let (manifest, digest) = client.push_image("team/app", "latest", "layer").await;
    let size = manifest.to_string().len() as u64 + manifest["config"]["size"].as_u64().unwrap() + 5;
    for image in [
        format!("{host}/team/app"),
        format!("{host}/team/app:latest"),
        format!("{host}/team/app@{digest}"),
        format!("{host}/team/app:old@{digest}"),
    ] {
        let SourceAnswer::Found(found) = describe(&registry, &image).await else { panic!("{image} is not found") };
        assert_eq!((&found.digest, found.size, found.missing.len()), (&digest, size, 0));
        assert_eq!(found.media_type, OCI_MANIFEST);
        assert_eq!(found.platforms.iter().map(Platform::to_string).collect::<Vec<_>>(), ["linux/amd64"]);
    }
    let credential =
        registry.registry.credential(&ImageRef::parse(&format!("{host}/team/app")).unwrap()).await.unwrap().unwrap();
    assert_eq!(credential.password.expose(), "team/app");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let registry = TestRegistry::unpacked().await;
    let client = Client::of(&registry);
    let (manifest, _) = client.push_image("team/app", "1", "layer").await;
    let mut child = descriptor(OCI_MANIFEST, &manifest.to_string());
    child["platform"] = json!({ "os": "linux", "architecture": "arm", "variant": "v7" });
    let attestation = json!({ "os": "unknown", "architecture": "unknown" });
    let (other, _) = client.push_image("team/app", "2", "other").await;
    let mut unknown = descriptor(OCI_MANIFEST, &other.to_string());
    unknown["platform"] = attestation;
    client.put_manifest("team/app", "multi", &index(vec![child, unknown])).await.expect(201);
    let image = format!("{}/team/app:multi", registry.address);

    let SourceAnswer::Found(found) = describe(&registry, &image).await else { panic!("not found") };
    assert_eq!(found.platforms.iter().map(Platform::to_string).collect::<Vec<_>>(), ["linux/arm/v7"]);
    assert!(found.missing.is_empty());

    let layer = Digest::sha256_of(b"layer");
    std::fs::remove_file(registry.blob_file(&layer)).unwrap();
    let child = Digest::sha256_of(other.to_string().as_bytes());
    client.delete(&format!("/v2/team/app/manifests/{child}")).await.expect(202);
    let SourceAnswer::Found(found) = describe(&registry, &image).await else { panic!("not found") };
    let mut want = vec![layer, child];
    want.sort();
    assert_eq!(found.missing, want);
}
