//! Deploys and their versions.

use layer0_domain::model::deploy::Deploy;
use layer0_domain::model::entity::{EntityKind, EntityRef};
use layer0_domain::model::image_map::MapRule;
use layer0_domain::port::store::Store;

use super::entities::assert_missing;
use super::sample;

/// `deploy_create`: versions start at 1 for each name and are never used twice, not even after a delete.
pub async fn deploys_are_numbered_from_one_and_no_number_comes_twice(store: &dyn Store) {
    for (word, version) in [("web", 1), ("web", 2), ("job", 1), ("web", 3)] {
        let deploy = store.deploy_create(sample::new_deploy(word)).await.expect("a write succeeds");
        assert_eq!((deploy.version, deploy.id), (version, Deploy::id_of(&sample::name(word), version)));
    }
    for version in 1..=3 {
        store.deploy_delete(&Deploy::id_of(&sample::name("web"), version)).await.expect("it is there");
    }
    let deploy = store.deploy_create(sample::new_deploy("web")).await.expect("a write succeeds");
    assert_eq!(deploy.version, 4);
}

/// `deploy_get`, `deploy_delete`: a deploy is read back as it was made, until it is deleted.
pub async fn a_deploy_is_kept_as_it_was_given(store: &dyn Store) {
    let mut new = sample::new_deploy("web");
    new.images[0].rule = MapRule::parse("registry.example.com|localhost:9090").ok();
    assert!(new.images[0].rule.is_some());
    let deploy = store.deploy_create(new.clone()).await.expect("a write succeeds");
    assert_eq!(deploy.document, new.document);
    assert_eq!(deploy.images, new.images);
    assert_eq!(deploy.created, new.created);
    let stored = store.deploy_get(&deploy.id).await.expect("a read succeeds");
    assert_eq!(stored.as_ref(), Some(&deploy));

    let unknown = Deploy::id_of(&sample::name("web"), 2);
    assert_eq!(store.deploy_get(&unknown).await.expect("a read succeeds"), None);
    assert_missing(store.deploy_delete(&unknown).await, &EntityRef::Deploy(unknown));
    store.deploy_delete(&deploy.id).await.expect("it is there");
    assert_eq!(store.deploy_get(&deploy.id).await.expect("a read succeeds"), None);
    assert_missing(store.deploy_delete(&deploy.id).await, &EntityRef::Deploy(deploy.id));
}

/// `summary_list` of deploys: ordered by name, then by version as a number, with the compatibilities.
pub async fn deploys_are_listed_by_name_then_version(store: &dyn Store) {
    for _ in 0..10 {
        store.deploy_create(sample::new_deploy("web")).await.expect("a write succeeds");
    }
    let job = store.deploy_create(sample::new_deploy("job")).await.expect("a write succeeds");
    let listed = store.summary_list(EntityKind::Deploy).await.expect("a read succeeds");
    let shown: Vec<(&str, u32)> = listed.iter().map(|it| (it.name.as_str(), it.version)).collect();
    let mut expected = vec![("job", 1)];
    expected.extend((1..=10).map(|version| ("web", version)));
    assert_eq!(shown, expected);
    assert_eq!(listed[0].entity, EntityRef::Deploy(job.id));
    assert_eq!(listed[0].environment, None);
    let words: Vec<&str> = job.document.compatibilities().iter().map(|one| one.as_str()).collect();
    assert_eq!(listed[0].label, words.join(","));
}
