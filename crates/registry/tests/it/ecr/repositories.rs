//! Repositories as the API makes, lists and deletes them, and what a deploy learns of their images.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use layer0_domain::model::image::{ImageRef, RepositoryName};
use layer0_domain::model::placement::BackingName;
use layer0_domain::model::registry::{ManifestRef, Visibility};
use layer0_domain::plan::adoption::Adoptee;
use layer0_domain::port::BoxError;
use layer0_domain::port::image_source::{ImageSource, SourceAnswer};
use layer0_domain::port::registry_store::{Page, RegistryStoreError};
use layer0_registry::ecr::{EcrSettings, Furnish, ONLY};
use layer0_registry::{Adoption, Origin};

use super::fake::HOST_NAME;
use super::stage::{Otherwise, Stage};
use crate::common::name;

async fn prefixed() -> Stage {
    let settings = EcrSettings { prefix: "l0".to_owned(), ..EcrSettings::default() };
    Stage::with(Otherwise { settings, ..Otherwise::default() }).await
}

#[tokio::test]
async fn a_repository_is_made_once_and_found_when_made_again() {
    let stage = prefixed().await;
    let create = || stage.registry.repository_create(name("team/app"), Visibility::Private);
    let made = create().await.unwrap();
    assert_eq!(made.name, name("team/app"));
    // The answer was lost, say: the same request finds what it made.
    assert_eq!(create().await.unwrap(), made);
    stage.ecr.repository("l0/team/theirs").await;
    let refused = stage.registry.repository_create(name("team/theirs"), Visibility::Private).await.unwrap_err();
    assert!(matches!(&refused, RegistryStoreError::Refused { why } if why.contains("l0/team/theirs")), "{refused}");
    let public = stage.registry.repository_create(name("team/open"), Visibility::Public).await.unwrap_err();
    assert!(matches!(public, RegistryStoreError::Refused { .. }), "{public}");
}

/// Fails the first time.
#[derive(Default)]
struct SecondTime(AtomicUsize);

#[async_trait]
impl Furnish for SecondTime {
    async fn furnish(&self, _: &RepositoryName, _: &str, _: Origin) -> Result<(), BoxError> {
        match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => Err("no policy can be written".into()),
            _ => Ok(()),
        }
    }
}

/// The predecessor made the repository, failed at its policy, and then said that there is one already.
#[tokio::test]
async fn defect_06_a_create_that_failed_half_way_is_gone_on_with() {
    let policy = Arc::new(SecondTime::default());
    let stage = Stage::with(Otherwise { furnish: Some(policy.clone()), ..Otherwise::default() }).await;
    let create = || stage.registry.repository_create(name("team/app"), Visibility::Private);
    let failed = create().await.unwrap_err();
    assert!(matches!(failed, RegistryStoreError::Failed { .. }), "{failed}");
    assert_eq!(create().await.unwrap().name, name("team/app"));
    assert_eq!(policy.0.load(Ordering::SeqCst), 2, "the policy is seen to again");
}

/// Notes what it is told.
#[derive(Default)]
struct Noting(Mutex<Vec<Origin>>);

#[async_trait]
impl Furnish for Noting {
    async fn furnish(&self, _: &RepositoryName, _: &str, origin: Origin) -> Result<(), BoxError> {
        self.0.lock().unwrap().push(origin);
        Ok(())
    }
}

#[tokio::test]
async fn who_gives_a_repository_its_policy_hears_whether_it_may_have_one() {
    let noting = Arc::new(Noting::default());
    let stage = Stage::with(Otherwise { furnish: Some(noting.clone()), ..Otherwise::default() }).await;
    let told = || std::mem::take(&mut *noting.0.lock().unwrap());
    let create = || stage.registry.repository_create(name("team/app"), Visibility::Private);
    create().await.unwrap();
    assert_eq!(told(), [Origin::Made]);
    // The same once more, as after a crash: nobody knows what the first has come to.
    create().await.unwrap();
    assert_eq!(told(), [Origin::Found]);
    stage.registry.repository_arrived(&name("team/app")).await.unwrap();
    assert_eq!(told(), [Origin::Found]);
    let found = Adoptee { backing: BackingName::parse(ONLY).unwrap(), repository: name("team/app") };
    for (adoption, wanted) in [(Adoption::Tried, &[][..]), (Adoption::Made, &[Origin::Found])] {
        stage.registry.repository_adopt(found.clone(), adoption).await.unwrap();
        assert_eq!(told(), wanted);
    }
}

#[tokio::test]
async fn only_what_is_under_the_prefix_is_listed() {
    let stage = prefixed().await;
    for theirs in ["l0/team/b", "l0/team/a", "l0/other/c", "team/outside", "l0x/team/outside"] {
        stage.ecr.repository(theirs).await;
    }
    let list = async |owner, page| {
        let found = stage.registry.repository_list(owner, page).await.unwrap();
        found.into_iter().map(|it| it.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(list(None, Page::default()).await, ["other/c", "team/a", "team/b"]);
    assert_eq!(list(Some("team"), Page::default()).await, ["team/a", "team/b"]);
    assert_eq!(list(None, Page { after: Some("other/c".to_owned()), most: Some(1) }).await, ["team/a"]);
    assert!(stage.registry.repository_get(&name("team/a")).await.unwrap().is_some());
    assert!(stage.registry.repository_get(&name("team/none")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_repository_with_images_goes_by_force_and_nobody_elses_at_all() {
    let stage = prefixed().await;
    stage.registry.repository_create(name("team/app"), Visibility::Private).await.unwrap();
    stage.client.push_image("team/app", "1", "layer").await;
    let full = stage.registry.repository_delete(&name("team/app"), true).await.unwrap_err();
    assert!(matches!(full, RegistryStoreError::RepositoryNotEmpty { manifests: 1, .. }), "{full}");
    stage.registry.repository_delete(&name("team/app"), false).await.unwrap();
    let gone = stage.registry.repository_delete(&name("team/app"), false).await.unwrap_err();
    assert!(matches!(gone, RegistryStoreError::RepositoryMissing(_)), "{gone}");
    stage.ecr.repository("l0/team/theirs").await;
    let theirs = stage.registry.repository_delete(&name("team/theirs"), false).await.unwrap_err();
    assert!(matches!(theirs, RegistryStoreError::Refused { .. }), "{theirs}");
    assert!(stage.registry.repository_get(&name("team/theirs")).await.unwrap().is_some());
}

#[tokio::test]
async fn an_image_is_described_by_where_it_lies() {
    let stage = prefixed().await;
    stage.ecr.repository("l0/team/app").await;
    let (_, digest) = stage.client.push_image("team/app", "v1.10", "layer").await;
    stage.client.push_image("team/app", "v1.9", "another").await;
    let describe = async |image: &str| stage.registry.describe(&ImageRef::parse(image).unwrap()).await.unwrap();
    let SourceAnswer::Found(found) = describe(&format!("{HOST_NAME}/l0/team/app:v1.10")).await else {
        panic!("it is there")
    };
    assert_eq!(found.digest, digest);
    assert_eq!(found.platforms.iter().map(ToString::to_string).collect::<Vec<_>>(), ["linux/amd64"]);
    let by_digest = describe(&format!("{HOST_NAME}/l0/team/app@{digest}")).await;
    assert_eq!(by_digest, SourceAnswer::Found(found));
    assert_eq!(
        describe(&format!("{HOST_NAME}/l0/team/app:v2")).await,
        SourceAnswer::NoImage { tags: vec!["v1.10".to_owned(), "v1.9".to_owned()], visibility: Visibility::Private }
    );
    assert_eq!(describe(&format!("{HOST_NAME}/l0/team/none:1")).await, SourceAnswer::NoRepository);
    for foreign in [format!("{HOST_NAME}/team/app:1"), "registry.example.com/l0/team/app:1".to_owned()] {
        assert_eq!(describe(&foreign).await, SourceAnswer::NotOurs, "{foreign}");
    }
    let image = ImageRef::parse(&format!("{HOST_NAME}/l0/team/app:v1.10")).unwrap();
    assert!(stage.registry.credential(&image).await.unwrap().is_none(), "the role pulls, no credential is given away");
}

#[tokio::test]
async fn images_without_a_tag_are_listed() {
    let stage = Stage::start().await;
    let untagged = async || stage.registry.untagged(&name("team/app")).await.unwrap();
    assert_eq!(stage.registry.untagged(&name("team/none")).await.unwrap(), None);
    let (_, first) = stage.client.push_image("team/app", "1", "first").await;
    assert_eq!(untagged().await, Some(vec![]));
    stage.client.push_image("team/app", "1", "second").await;
    assert_eq!(untagged().await, Some(vec![first]), "its tag has moved on");
}

/// ECR lets an image go with its last tag, so whoever asks who runs an image has to ask about that one too.
#[tokio::test]
async fn the_image_that_goes_with_its_last_tag_is_known() {
    let stage = Stage::start().await;
    let (manifest, digest) = stage.client.push_image("team/app", "1", "layer").await;
    let goes = async |tag: &str| stage.registry.image_of_last_tag(&name("team/app"), tag).await.unwrap();
    assert_eq!(goes("1").await, Some(digest.clone()));
    stage.client.put_manifest("team/app", "latest", &manifest).await.expect(201);
    assert_eq!((goes("1").await, goes("latest").await), (None, None));
    stage.registry.image_delete(&name("team/app"), &ManifestRef::Tag("1".to_owned())).await.unwrap();
    assert_eq!((goes("1").await, goes("latest").await), (None, Some(digest)));
    assert_eq!(stage.registry.image_of_last_tag(&name("team/none"), "1").await.unwrap(), None);
}

#[tokio::test]
async fn images_are_shown_by_tag() {
    let stage = Stage::start().await;
    let (_, digest) = stage.client.push_image("team/app", "1", "layer").await;
    let image = stage.registry.image_get(&name("team/app"), &ManifestRef::Tag("1".to_owned())).await.unwrap();
    let image = image.expect("it is there");
    assert_eq!((image.tag.as_str(), &image.digest), ("1", &digest));
    assert!(image.size > 5 && image.missing.is_empty(), "{image:?}");
    let tags = stage.registry.tag_list(&name("team/app"), Page::default()).await.unwrap();
    assert_eq!(tags, Some(vec!["1".to_owned()]));
    assert!(stage.registry.tag_list(&name("team/none"), Page::default()).await.unwrap().is_none());
}
