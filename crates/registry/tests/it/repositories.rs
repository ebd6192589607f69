//! What the server's own routes call.

use layer0_domain::model::registry::{ManifestRef, Platform, Visibility};
use layer0_domain::port::registry_store::{Page, RegistryStoreError};
use serde_json::json;

use crate::client::{Client, OCI_MANIFEST, descriptor, image, index};
use crate::common::{TestRegistry, name};

fn linux(architecture: &str) -> Platform {
    Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
}

#[tokio::test]
async fn images_with_their_details() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    let (manifest, digest) = client.push_image("team/app", "1.0", "layer").await;
    client.put_manifest("team/app", "latest", &manifest).await.expect(201);
    let mut child = descriptor(OCI_MANIFEST, &manifest.to_string());
    child["platform"] = json!({ "os": "linux", "architecture": "arm64" });
    client.put_manifest("team/app", "multi", &index(vec![child])).await.expect(201);

    let images = registry.registry.image_list(&name("team/app"), Page::default()).await.unwrap().unwrap();
    let tags: Vec<&str> = images.iter().map(|image| image.tag.as_str()).collect();
    assert_eq!(tags, ["1.0", "latest", "multi"]);
    let config = manifest["config"]["size"].as_u64().unwrap();
    assert_eq!(images[0].size, manifest.to_string().len() as u64 + config + 5);
    assert_eq!(
        (&images[0].digest, &images[0].media_type, &images[0].platforms),
        (&digest, &OCI_MANIFEST.to_owned(), &vec![linux("amd64")])
    );
    assert_eq!(images[2].platforms, [linux("arm64")]);
    assert!(images.iter().all(|image| image.missing.is_empty()));
    assert!(registry.registry.image_list(&name("team/none"), Page::default()).await.unwrap().is_none());

    let tag = ManifestRef::Tag("1.0".to_owned());
    assert!(registry.registry.image_delete(&name("team/app"), &tag).await.unwrap());
    assert!(!registry.registry.image_delete(&name("team/app"), &tag).await.unwrap());
    assert!(registry.registry.image_get(&name("team/app"), &tag).await.unwrap().is_none());
    assert_eq!(
        registry.registry.image_get(&name("team/app"), &ManifestRef::Digest(digest)).await.unwrap().unwrap().platforms,
        [linux("amd64")]
    );
}

#[tokio::test]
async fn deleting_a_repository_frees_what_only_it_held() {
    let registry = TestRegistry::start().await;
    let client = Client::of(&registry);
    client.push_image("team/app", "1", "own layer").await;
    let shared = client.push("team/app", "shared").await;
    // Pushed twice to a bucket it would leave a stray (`tests/s3/upkeep.rs`).
    client.post(&format!("/v2/team/other/blobs/uploads/?mount={shared}&from=team/app")).await.expect(201);
    let refused = registry.registry.repository_delete(&name("team/app"), true).await;
    assert!(matches!(refused, Err(RegistryStoreError::RepositoryNotEmpty { manifests: 1, .. })), "{refused:?}");
    client.get("/v2/team/app/manifests/1").await.expect(200);

    registry.registry.repository_delete(&name("team/app"), false).await.unwrap();
    assert_eq!(registry.blob_files(), [shared.hex()]);
    assert_eq!(client.get("/v2/team/app/manifests/1").await.error(), (404, "NAME_UNKNOWN".to_owned()));
    let again = registry.registry.repository_delete(&name("team/app"), false).await;
    assert!(matches!(again, Err(RegistryStoreError::RepositoryMissing(_))), "{again:?}");
    registry.registry.repository_delete(&name("team/other"), true).await.unwrap();
    assert_eq!(registry.blob_files(), [""; 0]);
}

#[tokio::test]
async fn repositories_are_made_once() {
    let registry = TestRegistry::start().await;
    let made = registry.registry.repository_create(name("zed/app"), Visibility::Private).await.unwrap();
    assert_eq!(registry.registry.repository_get(&name("zed/app")).await.unwrap(), Some(made));
    let again = registry.registry.repository_create(name("zed/app"), Visibility::Private).await;
    assert!(matches!(again, Err(RegistryStoreError::RepositoryExists(_))), "{again:?}");
    let names: Vec<String> = registry
        .registry
        .repository_list(Some("team"), Page::default())
        .await
        .unwrap()
        .into_iter()
        .map(|found| found.name.to_string())
        .collect();
    assert_eq!(names, ["team/app", "team/other"]);
    // An image without layers and config fields has no platform.
    let client = Client::of(&registry);
    client.push("zed/app", "{}").await;
    client.put_manifest("zed/app", "1", &image("{}", &[])).await.expect(201);
    assert_eq!(
        registry
            .registry
            .image_get(&name("zed/app"), &ManifestRef::Tag("1".to_owned()))
            .await
            .unwrap()
            .unwrap()
            .platforms,
        []
    );
}
