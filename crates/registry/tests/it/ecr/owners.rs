//! What owners may: their quotas, and who may pull what is theirs.

use std::sync::Arc;

use async_trait::async_trait;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{ManifestRef, Visibility};
use layer0_domain::port::BoxError;
use layer0_domain::port::clock::Clock;
use layer0_domain::port::public_store::PublicStore;
use layer0_domain::port::registry_store::{Page, RegistryStoreError};
use layer0_registry::ecr::Quotas;
use layer0_testkit::clock::{FixedClock, RunningClock};

use super::on_aws::OnAws;
use crate::client::{CONFIG, OCI_MANIFEST, descriptor, image};
use crate::common::name;

/// So much for `team`, and no quota for others.
struct OfTeam(u64);

#[async_trait]
impl Quotas for OfTeam {
    async fn of_owner(&self, repository: &RepositoryName) -> Result<Option<u64>, BoxError> {
        Ok((repository.owner() == "team").then_some(self.0))
    }
}

async fn bounded(bytes: u64) -> OnAws {
    let clock = Arc::new(FixedClock::at(RunningClock::default().now()));
    OnAws::with(clock.clone(), clock as Arc<dyn Clock>, |ecr| ecr.bounded_by(Arc::new(OfTeam(bytes)))).await
}

#[tokio::test]
async fn a_manifest_that_goes_past_the_quota_is_refused() {
    let stage = bounded(1500).await;
    let layer = "x".repeat(400);
    stage.client.push_image("team/app", "1", &layer).await;
    let config = "{}";
    stage.client.push("team/app", config).await;
    let second = "y".repeat(400);
    stage.client.push("team/app", second.clone()).await;
    let manifest = image(config, &[&second]);
    let refused = stage.client.put_manifest("team/app", "2", &manifest).await;
    assert_eq!(refused.error(), (403, "DENIED".to_owned()));
    assert!(refused.message().contains("quota"), "{}", refused.message());
    assert_eq!(stage.client.get("/v2/team/app/manifests/2").await.status.as_u16(), 404, "nothing of it is there");
    // What is there already takes nothing: another tag is no more.
    let first = stage.client.get("/v2/team/app/manifests/1").await.expect(200).json();
    stage.client.put_manifest("team/app", "again", &first).await.expect(201);
    // Room that was refused is no room that is taken.
    let small = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(CONFIG, config), "layers": [],
    });
    stage.client.put_manifest("team/app", "small", &small).await.expect(201);
    // What went gives its room back.
    stage.registry.image_delete(&name("team/app"), &ManifestRef::Tag("again".to_owned())).await.unwrap();
    stage.registry.image_delete(&name("team/app"), &ManifestRef::Tag("1".to_owned())).await.unwrap();
    stage.client.put_manifest("team/app", "2", &manifest).await.expect(201);
}

#[tokio::test]
async fn no_upload_begins_for_an_owner_whose_quota_is_used_up() {
    let stage = bounded(1).await;
    let begun = stage.client.post("/v2/team/app/blobs/uploads/").await.expect(202);
    drop(begun);
    // Another server, or somebody at the backing URI, has pushed.
    stage.aws.image("team/other", "1", layer0_testkit::aws::FakeImage::default());
    let counted = stage.client.post("/v2/team/app/blobs/uploads/").await;
    assert_eq!(counted.status.as_u16(), 202, "a count is good for a minute");
    let stage = bounded(1).await;
    stage.aws.image("team/other", "1", layer0_testkit::aws::FakeImage::default());
    let refused = stage.client.post("/v2/team/app/blobs/uploads/").await;
    assert_eq!(refused.error(), (403, "DENIED".to_owned()));
    assert!(refused.message().contains("l0 owner update"), "{}", refused.message());
    stage.registry.repository_create(name("free/app"), Visibility::Private).await.unwrap();
    stage.client.post("/v2/free/app/blobs/uploads/").await.expect(202);
}

#[tokio::test]
async fn a_repository_is_public_until_it_is_not_or_is_gone() {
    let stage = OnAws::start().await;
    let app = name("team/app");
    let shown = async || stage.registry.repository_visibility(&app).await.unwrap();
    assert_eq!(shown().await, Visibility::Private);
    stage.registry.repository_update(&app, Visibility::Public).await.unwrap();
    assert_eq!(shown().await, Visibility::Public);
    assert_eq!(stage.registry.repository_get(&app).await.unwrap().unwrap().visibility, Visibility::Public);
    let listed = stage.registry.repository_list(Some("team"), Page::default()).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|it| (it.name.as_str(), it.visibility)).collect();
    assert_eq!(listed, [("team/app", Visibility::Public), ("team/other", Visibility::Private)]);
    stage.registry.repository_delete(&app, true).await.unwrap();
    assert_eq!(shown().await, Visibility::Private, "the name has nothing to show");
    let made = stage.registry.repository_create(app.clone(), Visibility::Public).await.unwrap();
    assert_eq!((made.visibility, shown().await), (Visibility::Public, Visibility::Public));
    let missing = stage.registry.repository_update(&name("team/none"), Visibility::Public).await.unwrap_err();
    assert!(matches!(missing, RegistryStoreError::RepositoryMissing(_)), "{missing}");
}

/// One that was deleted in AWS, behind the instance's back, leaves its name behind.
#[tokio::test]
async fn what_is_made_private_is_private_though_its_name_was_public() {
    let stage = OnAws::start().await;
    let new = name("team/new");
    stage.public.visibility_put(&new, Visibility::Public).await.unwrap();
    stage.registry.repository_create(new.clone(), Visibility::Private).await.unwrap();
    assert_eq!(stage.registry.repository_visibility(&new).await.unwrap(), Visibility::Private);
}

/// Whoever asks for a repository that is there already changes nothing about who may pull from it.
#[tokio::test]
async fn what_is_there_and_public_stays_so_when_it_is_asked_for_again() {
    let stage = OnAws::start().await;
    let app = name("team/public");
    stage.registry.repository_create(app.clone(), Visibility::Public).await.unwrap();
    let again = stage.registry.repository_create(app.clone(), Visibility::Private).await.unwrap();
    assert_eq!(again.visibility, Visibility::Public);
    assert_eq!(stage.registry.repository_visibility(&app).await.unwrap(), Visibility::Public);
}
