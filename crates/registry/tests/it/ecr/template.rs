//! What a repository gets when it is made, and what one keeps that is adopted.

use std::collections::BTreeMap;

use layer0_domain::model::placement::BackingName;
use layer0_domain::model::registry::Visibility;
use layer0_domain::plan::adoption::Adoptee;
use layer0_domain::port::registry_store::RegistryStoreError;
use layer0_registry::Adoption;
use layer0_registry::ecr::{EcrSettings, ONLY, Template};

use super::stage::{INSTANCE, Otherwise, Stage};
use crate::common::name;

const LIFECYCLE: &str = r#"{"rules":[{"rulePriority":1}]}"#;

async fn with(lifecycle: &str) -> Stage {
    let template = Template {
        lifecycle: Some(lifecycle.to_owned()),
        tags: BTreeMap::from([("team".to_owned(), "web".to_owned())]),
        ..Template::default()
    };
    let settings = EcrSettings { prefix: "l0".to_owned(), template, ..EcrSettings::default() };
    Stage::with(Otherwise { settings, ..Otherwise::default() }).await
}

fn adoptee(repository: &str) -> Adoptee {
    Adoptee { backing: BackingName::parse(ONLY).unwrap(), repository: name(repository) }
}

#[tokio::test]
async fn a_lifecycle_policy_and_tags_are_part_of_the_making() {
    let stage = with(LIFECYCLE).await;
    let create = || stage.registry.repository_create(name("team/app"), Visibility::Private);
    create().await.unwrap();
    assert_eq!(stage.ecr.lifecycle("l0/team/app").as_deref(), Some(LIFECYCLE));
    assert_eq!(stage.ecr.marks("l0/team/app"), [format!("layer0.instance={INSTANCE}"), "team=web".to_owned()]);
    // What somebody has changed since is not changed back by the same request once more.
    stage.ecr.lifecycle_set("l0/team/app", "theirs");
    create().await.unwrap();
    assert_eq!(stage.ecr.lifecycle("l0/team/app").as_deref(), Some("theirs"));
}

#[tokio::test]
async fn a_policy_that_is_refused_is_said_and_the_making_can_be_finished() {
    let stage = with("refused").await;
    let create = || stage.registry.repository_create(name("team/app"), Visibility::Private);
    let why = create().await.unwrap_err();
    assert!(matches!(&why, RegistryStoreError::Refused { why } if why.contains("PutLifecyclePolicy")), "{why}");
    assert!(matches!(create().await, Err(RegistryStoreError::Refused { .. })), "it is not taken for made");
    stage.ecr.lifecycle_set("l0/team/app", LIFECYCLE);
    create().await.unwrap();
}

#[tokio::test]
async fn an_adopted_repository_keeps_what_it_has_and_goes_by_force_alone() {
    let stage = with(LIFECYCLE).await;
    stage.ecr.repository("l0/team/old").await;
    stage.ecr.mark("l0/team/old", "cost", "7");
    let adopt = |adoption| stage.registry.repository_adopt(adoptee("team/old"), adoption);
    let tried = adopt(Adoption::Tried).await.unwrap();
    assert_eq!(tried.tag.as_deref(), Some(&*format!("layer0.adopted = {INSTANCE}")));
    assert_eq!((tried.repository.name, tried.ecr_name.as_str()), (name("team/old"), "l0/team/old"));
    assert_eq!(stage.ecr.marks("l0/team/old"), ["cost=7"], "nothing was changed");

    adopt(Adoption::Made).await.unwrap();
    assert_eq!(stage.ecr.marks("l0/team/old"), ["cost=7".to_owned(), format!("layer0.adopted={INSTANCE}")]);
    assert_eq!(stage.ecr.lifecycle("l0/team/old"), None, "its settings are its own");
    assert_eq!(adopt(Adoption::Made).await.unwrap().tag, None, "a second time changes nothing");
    assert_eq!(stage.ecr.marks("l0/team/old").len(), 2);

    // Empty as it is, it was there before.
    let kept = stage.registry.repository_delete(&name("team/old"), true).await.unwrap_err();
    assert!(matches!(&kept, RegistryStoreError::Refused { why } if why.contains("--force")), "{kept}");
    stage.registry.repository_delete(&name("team/old"), false).await.unwrap();
    assert!(stage.registry.repository_get(&name("team/old")).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_another_instances_or_not_there_is_not_adopted() {
    let stage = with(LIFECYCLE).await;
    for (repository, key) in [("l0/team/made", "layer0.instance"), ("l0/team/taken", "layer0.adopted")] {
        stage.ecr.repository(repository).await;
        stage.ecr.mark(repository, key, "other-9");
        let found = adoptee(repository.strip_prefix("l0/").unwrap());
        let why = stage.registry.repository_adopt(found, Adoption::Made).await.unwrap_err();
        assert!(matches!(&why, RegistryStoreError::Refused { why } if why.contains("`other-9`")), "{why}");
        assert_eq!(stage.ecr.marks(repository), [format!("{key}=other-9")]);
    }
    let none = stage.registry.repository_adopt(adoptee("team/none"), Adoption::Made).await.unwrap_err();
    assert!(matches!(none, RegistryStoreError::RepositoryMissing(_)), "{none}");
    let elsewhere = Adoptee { backing: BackingName::local(), repository: name("team/made") };
    let led = stage.registry.repository_adopt(elsewhere, Adoption::Made).await.unwrap_err();
    assert!(matches!(&led, RegistryStoreError::Refused { why } if why.contains("goes to the registry `ecr`")), "{led}");
    // One that this instance made is its own already.
    stage.registry.repository_create(name("team/app"), Visibility::Private).await.unwrap();
    assert_eq!(stage.registry.repository_adopt(adoptee("team/app"), Adoption::Made).await.unwrap().tag, None);
}
