//! Blobs that no manifest of their repository names.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::registry_store::{Along, BlobLeft, CollectedBlob, RegistryStore, RegistryStoreError};

use super::sample::{self, AT, digest, link, manifest_with, name, push_to, put, repository};

async fn unneeded(store: &dyn RegistryStore, repository: &RepositoryName, until: Timestamp) -> Vec<(Digest, u64)> {
    store.blob_unneeded(repository, until, None, 100).await.expect("a read succeeds")
}

fn sorted(words: &[&str]) -> Vec<(Digest, u64)> {
    let mut all: Vec<_> = words.iter().map(|word| (digest(word), word.len() as u64)).collect();
    all.sort_by_key(|(digest, _)| digest.to_string());
    all
}

/// `blob_unneeded`: what no manifest of this repository names, linked last at `until` or before, in byte order, page by page;
/// `blob_link`: linking again is remembered.
pub async fn blobs_that_no_manifest_names_are_listed_when_they_are_old(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    for word in ["a", "bb", "ccc", "dddd", "needed"] {
        link(store, &app, word).await;
    }
    link(store, &other, "ccc").await;
    store.blob_condemn(&digest("a"), AT).await.expect("a write succeeds");
    put(store, &app, &manifest_with("image", &["needed"]), &[]).await;
    // Needed elsewhere only.
    put(store, &other, &manifest_with("image", &["ccc"]), &["1"]).await;
    assert_eq!(unneeded(store, &app, AT.plus_ms(-1)).await, []);
    let all = sorted(&["a", "bb", "ccc", "dddd"]);
    assert_eq!(unneeded(store, &app, AT).await, all);
    assert_eq!(unneeded(store, &other, AT).await, []);
    assert_eq!(unneeded(store, &name("team/unknown"), AT).await, []);
    let page = async |after| store.blob_unneeded(&app, AT, after, 3).await.expect("a read succeeds");
    assert_eq!(page(None).await, all[..3]);
    assert_eq!(page(Some(&all[2].0)).await, all[3..]);

    store.blob_link(&app, &sample::blob("bb"), AT.plus_ms(5), &Along::NOTHING).await.expect("it is there");
    assert_eq!(unneeded(store, &app, AT.plus_ms(4)).await, sorted(&["a", "ccc", "dddd"]));
    let linked = store.blob_size(&app, &digest("bb")).await.expect("a read succeeds").map(|it| it.linked);
    assert_eq!(linked, Some(AT.plus_ms(5)));
    assert!(store.manifest_delete(&app, &digest("image")).await.expect("a write succeeds"));
    assert_eq!(unneeded(store, &app, AT).await, sorted(&["a", "ccc", "dddd", "needed"]));
}

/// `blob_collect`: only what would be listed at this moment goes, whatever was asked for.
pub async fn only_what_is_unneeded_is_collected(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    for word in ["old", "needed"] {
        link(store, &app, word).await;
    }
    store.blob_link(&app, &sample::blob("fresh"), AT.plus_ms(1), &Along::NOTHING).await.expect("it is there");
    put(store, &app, &manifest_with("image", &["needed"]), &[]).await;
    let asked = ["fresh", "old", "needed", "unknown", "old"].map(digest);
    let collect = async |name: &RepositoryName| store.blob_collect(name, &asked, AT).await.expect("a write succeeds");
    assert_eq!(collect(&name("team/unknown")).await, []);
    let gone = CollectedBlob { digest: digest("old"), size: 3, left: BlobLeft::Nowhere { place: None } };
    assert_eq!(collect(&app).await, [gone]);
    assert_eq!(collect(&app).await, []);
    for (word, there) in [("old", false), ("needed", true), ("fresh", true)] {
        let found = store.blob_size(&app, &digest(word)).await.expect("a read succeeds");
        assert_eq!(found.is_some(), there, "{word}");
    }
}

/// `blob_collect`: what is known of a blob goes with its last link, and its place is told.
pub async fn a_collected_blob_is_free_when_no_repository_holds_it(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    for repository in [&app, &other] {
        push_to(store, repository, "blob", "here").await;
    }
    for (repository, left) in
        [(&app, BlobLeft::Elsewhere), (&other, BlobLeft::Nowhere { place: Some(BlobPlace::new("here")) })]
    {
        let collected = store.blob_collect(repository, &[digest("blob")], AT).await.expect("a write succeeds");
        assert_eq!(collected, [CollectedBlob { digest: digest("blob"), size: 4, left }]);
    }
    assert_eq!(store.blob_place(&digest("blob")).await.expect("a read succeeds"), None);
    assert_eq!(store.blob_holders(&digest("blob")).await.expect("a read succeeds"), []);
}

/// `blob_collect`, `manifest_put`: a manifest is put before, and keeps the blob, or after, and is refused.
pub async fn of_a_manifest_and_a_collection_never_both_win(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let (mut kept, mut refused) = (0, 0);
    for round in 0..40 {
        let word = format!("blob {round}");
        link(store, &app, &word).await;
        let (manifest, asked) = (manifest_with(&format!("image {round}"), &[&word]), [digest(&word)]);
        let (put, collected) = if round % 2 == 0 {
            futures_util::join!(
                store.manifest_put(&app, &manifest, &[], &Along::NOTHING),
                store.blob_collect(&app, &asked, AT)
            )
        } else {
            let (collected, put) = futures_util::join!(
                store.blob_collect(&app, &asked, AT),
                store.manifest_put(&app, &manifest, &[], &Along::NOTHING)
            );
            (put, collected)
        };
        let collected = !collected.expect("a write succeeds").is_empty();
        let there = store.blob_size(&app, &digest(&word)).await.expect("a read succeeds").is_some();
        match put {
            Ok(()) => assert!(there && !collected, "the manifest is kept and its blob is gone"),
            Err(RegistryStoreError::ContentMissing { missing }) => {
                assert_eq!(missing, asked);
                assert!(collected && !there, "the manifest is refused and nothing is missing");
                refused += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        }
        kept += 1;
    }
    assert_eq!(kept + refused, 40);
}
