//! Manifests, what they need and what refers to them.

use std::collections::BTreeMap;

use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{ChildManifest, Manifest, ManifestContent, ManifestRef, Platform};
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{
    Along, Page, Referrer, ReferrerPage, Referrers, RegistryStore, RegistryStoreError,
};

use super::sample::{digest, link, manifest, manifest_with, name, put, repository};

async fn by_tag(store: &dyn RegistryStore, repository: &RepositoryName, tag: &str) -> Option<Manifest> {
    found(store, repository, &ManifestRef::Tag(tag.to_owned())).await
}

async fn by_digest(store: &dyn RegistryStore, repository: &RepositoryName, word: &str) -> Option<Manifest> {
    found(store, repository, &ManifestRef::Digest(digest(word))).await
}

/// `manifest_get`, and beside it `manifest_content`: it always says the same.
async fn found(store: &dyn RegistryStore, repository: &RepositoryName, reference: &ManifestRef) -> Option<Manifest> {
    let found = store.manifest_get(repository, reference).await.expect("a read succeeds");
    let content = store.manifest_content(repository, reference).await.expect("a read succeeds");
    let same =
        found.clone().map(|Manifest { digest, media_type, bytes, .. }| ManifestContent { digest, media_type, bytes });
    assert_eq!(content, same);
    found
}

/// `manifest_put`, `manifest_get`: every field comes back, by digest and by each tag.
pub async fn a_manifest_is_read_back_as_it_was_put(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    for word in ["config", "layer", "empty layer"] {
        link(store, &app, word).await;
    }
    // A layer may stand there more than once, and the order says where.
    let mut image = manifest_with("image", &["config", "empty layer", "layer", "empty layer"]);
    image.bytes = (0..=255).cycle().take(100_000).collect();
    image.artifact_type = Some("application/vnd.example".to_owned());
    image.annotations = BTreeMap::from([("org.example.k\u{e4}se".to_owned(), "\"brie\"\n".to_owned())]);
    image.subject = Some(digest("a subject that is not there"));
    image.pushed = Timestamp(5);
    put(store, &app, &image, &["1", "latest"]).await;
    for found in
        [by_digest(store, &app, "image").await, by_tag(store, &app, "1").await, by_tag(store, &app, "latest").await]
    {
        assert_eq!(found.as_ref(), Some(&image));
    }

    let platform =
        Platform { os: "linux".to_owned(), architecture: "arm64".to_owned(), variant: Some("v8".to_owned()) };
    let mut index = manifest("index");
    put(store, &app, &manifest("second"), &[]).await;
    index.children = vec![
        ChildManifest { digest: digest("second"), platform: Some(platform) },
        ChildManifest { digest: digest("image"), platform: None },
    ];
    put(store, &app, &index, &["latest"]).await;
    assert_eq!(by_tag(store, &app, "latest").await, Some(index));
    assert_eq!(by_tag(store, &app, "1").await, Some(image));
    assert_eq!(by_tag(store, &app, "unknown").await, None);
    assert_eq!(by_digest(store, &app, "unknown").await, None);
    assert_eq!(by_tag(store, &name("team/unknown"), "latest").await, None);
}

/// `manifest_put`: every blob and child is in that very repository, else nothing is written.
pub async fn a_manifest_is_put_only_where_all_it_names_is(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    link(store, &app, "here").await;
    link(store, &other, "elsewhere").await;
    put(store, &other, &manifest("child elsewhere"), &[]).await;
    put(store, &app, &manifest("old"), &["latest"]).await;

    let mut image = manifest_with("image", &["elsewhere", "here", "nowhere", "elsewhere"]);
    let child = |word| ChildManifest { digest: digest(word), platform: None };
    image.children = vec![child("old"), child("child elsewhere")];
    let tags = ["latest".to_owned(), "new".to_owned()];
    match store.manifest_put(&app, &image, &tags, &Along::NOTHING).await {
        Err(RegistryStoreError::ContentMissing { mut missing }) => {
            let mut expected = [digest("elsewhere"), digest("nowhere"), digest("child elsewhere")];
            missing.sort();
            expected.sort();
            assert_eq!(missing, expected, "each once");
        }
        answer => panic!("content is missing, but the answer was {answer:?}"),
    }
    assert_eq!(by_digest(store, &app, "image").await, None);
    assert_eq!(by_tag(store, &app, "new").await, None);
    assert_eq!(by_tag(store, &app, "latest").await, Some(manifest("old")));

    let unknown = name("team/unknown");
    let answer = store.manifest_put(&unknown, &manifest("m"), &[], &Along::NOTHING).await;
    assert!(matches!(&answer, Err(RegistryStoreError::RepositoryMissing(name)) if *name == unknown), "{answer:?}");
}

/// `manifest_put`: again with the same digest is no error and moves the tags; tags not named stay where they are.
pub async fn a_manifest_put_again_moves_the_tags(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    link(store, &app, "layer").await;
    let (one, two) = (manifest_with("one", &["layer"]), manifest("two"));
    put(store, &app, &one, &["latest", "1"]).await;
    put(store, &app, &two, &["latest", "2"]).await;
    assert_eq!(by_tag(store, &app, "latest").await.as_ref(), Some(&two));
    put(store, &app, &one, &["latest"]).await;
    for (tag, expected) in [("latest", &one), ("1", &one), ("2", &two)] {
        assert_eq!(by_tag(store, &app, tag).await.as_ref(), Some(expected), "{tag}");
    }
}

/// `manifest_put`: again with the same digest replaces what is kept, the bytes included: so a damaged one is healed.
pub async fn a_manifest_put_again_replaces_its_bytes(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    put(store, &app, &Manifest { bytes: b"imagf".to_vec(), ..manifest("image") }, &["latest"]).await;
    put(store, &app, &manifest("image"), &[]).await;
    assert_eq!(by_tag(store, &app, "latest").await, Some(manifest("image")));
    // Only later, and then with more read out of it.
    link(store, &app, "layer").await;
    let later = Manifest { pushed: Timestamp(7), ..manifest("image") };
    let read_further = Manifest {
        artifact_type: Some("application/vnd.example".to_owned()),
        blobs: manifest_with("image", &["layer"]).blobs,
        ..later.clone()
    };
    for again in [later, read_further] {
        put(store, &app, &again, &["latest"]).await;
        assert_eq!(by_tag(store, &app, "latest").await, Some(again));
    }
}

/// `manifest_delete`: the manifest goes with all tags that point to it; blobs and other manifests stay.
pub async fn a_deleted_manifest_takes_its_tags_along(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    link(store, &app, "layer").await;
    put(store, &app, &manifest_with("one", &["layer"]), &["1", "latest"]).await;
    put(store, &app, &manifest("two"), &["2"]).await;
    assert!(store.manifest_delete(&app, &digest("one")).await.expect("a write succeeds"));
    assert!(!store.manifest_delete(&app, &digest("one")).await.expect("a write succeeds"));
    assert!(!store.manifest_delete(&name("team/unknown"), &digest("two")).await.expect("a write succeeds"));
    assert_eq!(by_digest(store, &app, "one").await, None);
    assert_eq!(by_tag(store, &app, "latest").await, None);
    assert_eq!(by_tag(store, &app, "2").await, Some(manifest("two")));
    let tags = store.tag_list(&app, Page::default()).await.expect("a read succeeds");
    assert_eq!(tags, Some(vec!["2".to_owned()]));
    assert_eq!(store.blob_size(&app, &digest("layer")).await.expect("a read succeeds").map(|it| it.size), Some(5));
}

/// The same manifest in two repositories: tags and deletes of one do not touch the other.
pub async fn manifests_of_two_repositories_are_two(store: &dyn RegistryStore) {
    let first = repository(store, "team/first").await;
    let second = repository(store, "team/second").await;
    put(store, &first, &manifest("image"), &["latest"]).await;
    assert_eq!(by_digest(store, &second, "image").await, None);
    put(store, &second, &manifest("image"), &["1"]).await;
    assert_eq!(by_tag(store, &second, "latest").await, None);
    assert!(store.manifest_delete(&first, &digest("image")).await.expect("a write succeeds"));
    assert_eq!(by_tag(store, &second, "1").await, Some(manifest("image")));
}

/// `referrers`: those in the repository that name the subject, by digest, of one artifact type or of all.
pub async fn referrers_are_listed_in_order_of_digest_by_type(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    let subject = digest("subject");
    let referring = |word: &str, kind: Option<&str>| Manifest {
        subject: Some(subject.clone()),
        artifact_type: kind.map(str::to_owned),
        annotations: BTreeMap::from([("word".to_owned(), word.to_owned())]),
        ..manifest(word)
    };
    let manifests =
        [referring("sbom", Some("sbom/json")), referring("signature", Some("sig")), referring("plain", None)];
    for manifest in &manifests {
        put(store, &app, manifest, &[]).await;
    }
    put(store, &app, &Manifest { subject: Some(digest("another")), ..manifest("m") }, &[]).await;
    put(store, &other, &referring("elsewhere", None), &[]).await;

    let mut expected: Vec<Referrer> = manifests
        .into_iter()
        .map(|it| Referrer {
            digest: it.digest,
            media_type: it.media_type,
            size: it.bytes.len() as u64,
            artifact_type: it.artifact_type,
            annotations: it.annotations,
        })
        .collect();
    expected.sort_by_key(|referrer| referrer.digest.to_string());
    let all = store.referrers(&app, &subject, None, whole()).await.expect("a read succeeds");
    assert_eq!((all.entries, all.more), (expected.clone(), false));
    let sboms = store.referrers(&app, &subject, Some("sbom/json"), whole()).await.expect("a read succeeds");
    expected.retain(|referrer| referrer.artifact_type.as_deref() == Some("sbom/json"));
    assert_eq!((sboms.entries, sboms.more), (expected, false));
    for (repository, subject) in [(&name("team/unknown"), &subject), (&app, &digest("nobody's"))] {
        let none = store.referrers(repository, subject, None, whole()).await.expect("a read succeeds");
        assert_eq!(none, Referrers::default());
    }

    assert!(store.manifest_delete(&app, &digest("sbom")).await.expect("a write succeeds"));
    let gone = store.referrers(&app, &subject, Some("sbom/json"), whole()).await.expect("a read succeeds");
    assert_eq!(gone, Referrers::default());
}

/// `referrers`: a page holds what it may, goes on after its last one, and says whether there is more; one that is too heavy
/// by itself is a page of its own.
pub async fn referrers_come_in_pages_by_their_weight(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let subject = digest("subject");
    let mut digests = Vec::new();
    for word in ["a", "b", "c", "d", "e"] {
        let annotations = BTreeMap::from([("word".to_owned(), "x".repeat(1_000))]);
        let manifest = Manifest { subject: Some(subject.clone()), annotations, ..manifest(word) };
        put(store, &app, &manifest, &[]).await;
        digests.push(manifest.digest);
    }
    digests.sort_by_key(ToString::to_string);
    for (most_bytes, sizes) in [(1, vec![1; 5]), (3_000, vec![2, 2, 1]), (usize::MAX, vec![5])] {
        let (mut found, mut found_sizes) = (Vec::new(), Vec::new());
        loop {
            let page = ReferrerPage { after: found.last().cloned(), most_bytes };
            let part = store.referrers(&app, &subject, None, page).await.expect("a read succeeds");
            found_sizes.push(part.entries.len());
            found.extend(part.entries.into_iter().map(|referrer| referrer.digest));
            if !part.more {
                break;
            }
        }
        assert_eq!((&found, found_sizes), (&digests, sizes), "{most_bytes} bytes a page");
    }
}

fn whole() -> ReferrerPage {
    ReferrerPage { after: None, most_bytes: usize::MAX }
}
