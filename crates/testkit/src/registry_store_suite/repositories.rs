//! Making, listing and deleting repositories.

use futures_util::future::join_all;
use layer0_domain::model::registry::{ManifestRef, Repository, Visibility};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Along, Page, RegistryStore, RegistryStoreError};

use super::sample::{self, AT, digest, freed, link, manifest, manifest_with, name, put, repository};

/// `repository_create`, `repository_get`: made once, read back as it was made.
pub async fn a_repository_is_made_once(store: &dyn RegistryStore) {
    let made = Repository { name: name("team/app/part"), created: Timestamp(7), visibility: Visibility::Public };
    assert_eq!(store.repository_get(&made.name).await.expect("a read succeeds"), None);
    store.repository_create(&made).await.expect("the name is free");
    let again = Repository { created: Timestamp(8), ..made.clone() };
    match store.repository_create(&again).await {
        Err(RegistryStoreError::RepositoryExists(taken)) => assert_eq!(taken, made.name),
        other => panic!("it exists, but the answer was {other:?}"),
    }
    assert_eq!(store.repository_get(&made.name).await.expect("a read succeeds"), Some(made));
}

/// `blob_link`, `manifest_put`: make the repository, and its owner, when that is asked for and it isn't there.
pub async fn a_repository_is_made_along_with_a_push(store: &dyn RegistryStore) {
    let [app, other] = [name("team/app"), name("team/other")];
    let at = |ms| Along { create: Some(Timestamp(ms)), record: None };
    let image = manifest("m");
    for ms in [7, 8] {
        store.blob_link(&app, &sample::blob("blob"), AT, &at(ms)).await.expect("it is made");
        store.manifest_put(&other, &image, &["v1".to_owned()], &at(ms)).await.expect("it is made");
    }
    for made in [&app, &other] {
        let expected = Repository { name: made.clone(), created: Timestamp(7), visibility: Visibility::Private };
        assert_eq!(store.repository_get(made).await.expect("a read succeeds"), Some(expected));
    }
    assert!(store.blob_size(&app, &digest("blob")).await.expect("a read succeeds").is_some());
    let tagged = store.manifest_get(&other, &ManifestRef::Tag("v1".to_owned())).await.expect("a read succeeds");
    assert_eq!(tagged.map(|it| it.digest), Some(image.digest));
}

/// `repository_update`: changes who may pull, and nothing else.
pub async fn a_repository_is_opened_and_closed(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    for visibility in [Visibility::Public, Visibility::Private] {
        let changed = store.repository_update(&app, visibility).await.expect("it is there");
        assert_eq!(changed, Repository { name: app.clone(), created: AT, visibility });
        assert_eq!(store.repository_get(&app).await.expect("a read succeeds"), Some(changed.clone()));
        let listed = store.repository_list(None, Page::default()).await.expect("a read succeeds");
        assert_eq!(listed, [changed]);
    }
    match store.repository_update(&name("team/none"), Visibility::Public).await {
        Err(RegistryStoreError::RepositoryMissing(missing)) => assert_eq!(missing, name("team/none")),
        other => panic!("it isn't there, but the answer was {other:?}"),
    }
}

/// `repository_list`: byte order, of one owner or all, page by page.
pub async fn repositories_are_listed_in_byte_order_by_owner_and_page(store: &dyn RegistryStore) {
    let sorted = ["a-team/x", "a/y", "a/y-2", "a/y/z", "b/a"];
    for index in [3, 0, 4, 2, 1] {
        repository(store, sorted[index]).await;
    }
    let page = |after: Option<&str>, most| Page { after: after.map(str::to_owned), most };
    for (owner, page, expected) in [
        (None, Page::default(), &sorted[..]),
        (Some("a"), Page::default(), &sorted[1..4]),
        (Some("nobody"), Page::default(), &[]),
        (None, page(None, Some(2)), &sorted[..2]),
        (None, page(Some("a/y"), Some(2)), &sorted[2..4]),
        (None, page(Some("a/n"), None), &sorted[1..]),
        (Some("a"), page(Some("a/y"), Some(1)), &sorted[2..3]),
        (None, page(Some("b/a"), None), &[]),
        (None, page(None, Some(0)), &[]),
    ] {
        let listed = store.repository_list(owner, page.clone()).await.expect("a read succeeds");
        let names: Vec<&str> = listed.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, expected, "{owner:?} {page:?}");
        assert!(listed.iter().all(|it| it.created == AT));
    }
}

/// `repository_delete`: with `only_empty` a repository that holds manifests is left alone.
pub async fn a_repository_that_holds_manifests_goes_only_when_insisted(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    put(store, &app, &manifest("one"), &["1"]).await;
    put(store, &app, &manifest("two"), &[]).await;
    match store.repository_delete(&app, true).await {
        Err(RegistryStoreError::RepositoryNotEmpty { repository, manifests }) => {
            assert_eq!((repository, manifests), (app.clone(), 2));
        }
        other => panic!("it holds manifests, but the answer was {other:?}"),
    }
    let tags = store.tag_list(&app, Page::default()).await.expect("a read succeeds");
    assert_eq!(tags, Some(vec!["1".to_owned()]), "a refused delete writes nothing");
    store.repository_delete(&app, false).await.expect("it is there");
    assert_eq!(store.repository_get(&app).await.expect("a read succeeds"), None);
    for only_empty in [true, false] {
        let answer = store.repository_delete(&app, only_empty).await;
        assert!(matches!(&answer, Err(RegistryStoreError::RepositoryMissing(name)) if *name == app), "{answer:?}");
    }

    // Blobs alone are no images.
    let blobs = repository(store, "team/blobs").await;
    link(store, &blobs, "blob").await;
    assert_eq!(store.repository_delete(&blobs, true).await.expect("it holds no manifest"), [freed("blob", None)]);
}

/// `repository_delete`: tags, manifests and links go along; the blobs that are now in no repository are answered.
pub async fn a_deleted_repository_takes_all_along_and_names_the_blobs_left_over(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    for word in ["mine", "shared", "mine too"] {
        link(store, &app, word).await;
    }
    link(store, &other, "shared").await;
    let image = manifest_with("image", &["mine", "shared"]);
    put(store, &app, &image, &["latest"]).await;

    let mut left = store.repository_delete(&app, false).await.expect("it is there");
    let mut expected = [freed("mine", None), freed("mine too", None)];
    left.sort();
    expected.sort();
    assert_eq!(left, expected);

    // A repository of the same name begins empty.
    repository(store, "team/app").await;
    assert_eq!(store.tag_list(&app, Page::default()).await.expect("a read succeeds"), Some(Vec::new()));
    for reference in [ManifestRef::Tag("latest".to_owned()), ManifestRef::Digest(image.digest)] {
        assert_eq!(store.manifest_get(&app, &reference).await.expect("a read succeeds"), None);
    }
    assert_eq!(store.blob_size(&app, &digest("shared")).await.expect("a read succeeds").map(|it| it.size), None);
    assert_eq!(store.blob_size(&other, &digest("shared")).await.expect("a read succeeds").map(|it| it.size), Some(6));
}

/// `repository_create`: of many, exactly one makes it.
pub async fn of_many_creates_one_makes_the_repository(store: &dyn RegistryStore) {
    let made = Repository { name: sample::name("team/app"), created: AT, visibility: Visibility::Private };
    let answers = join_all((0..20).map(|_| store.repository_create(&made))).await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    let lost = answers.iter().filter(|answer| matches!(answer, Err(RegistryStoreError::RepositoryExists(_)))).count();
    assert_eq!((won, lost), (1, 19));
}
