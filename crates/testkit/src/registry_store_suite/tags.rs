//! Tags of images.

use layer0_domain::model::registry::ManifestRef;
use layer0_domain::port::registry_store::{Page, RegistryStore};

use super::sample::{digest, manifest, name, put, repository};

/// `tag_list`: byte order, page by page; `None` when the repository isn't there.
pub async fn tags_are_listed_in_byte_order_by_page(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    put(store, &other, &manifest("image"), &["elsewhere"]).await;
    let list = async |after: Option<&str>, most| {
        let page = Page { after: after.map(str::to_owned), most };
        store.tag_list(&app, page).await.expect("a read succeeds").expect("the repository is there")
    };
    assert_eq!(list(None, None).await, [""; 0]);
    put(store, &app, &manifest("image"), &["b", "A", "a", "10", "_", "9"]).await;
    let sorted = ["10", "9", "A", "_", "a", "b"];
    assert_eq!(list(None, None).await, sorted);
    assert_eq!(list(None, Some(2)).await, sorted[..2]);
    assert_eq!(list(Some("9"), Some(2)).await, sorted[2..4]);
    assert_eq!(list(Some("B"), None).await, sorted[3..], "what it begins after need not be there");
    assert_eq!(list(Some("b"), None).await, [""; 0]);
    assert_eq!(list(None, Some(0)).await, [""; 0]);
    assert_eq!(store.tag_list(&name("team/unknown"), Page::default()).await.expect("a read succeeds"), None);
}

/// `tag_delete`: the tag goes, the manifest and its other tags stay.
pub async fn a_deleted_tag_leaves_the_manifest(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    put(store, &app, &manifest("image"), &["1", "latest"]).await;
    assert!(store.tag_delete(&app, "latest").await.expect("a write succeeds"));
    assert!(!store.tag_delete(&app, "latest").await.expect("a write succeeds"));
    assert!(!store.tag_delete(&name("team/unknown"), "1").await.expect("a write succeeds"));
    for (reference, there) in [
        (ManifestRef::Tag("latest".to_owned()), false),
        (ManifestRef::Tag("1".to_owned()), true),
        (ManifestRef::Digest(digest("image")), true),
    ] {
        let found = store.manifest_get(&app, &reference).await.expect("a read succeeds");
        assert_eq!(found.is_some(), there, "{reference:?}");
    }
}
