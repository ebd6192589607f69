//! What is known of the content of blobs: checksums and damage.

use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobCondition, BlobRecord, BlobSums, ManifestRef};
use layer0_domain::port::registry_store::{Along, BlobLeft, BlobLink, RegistryStore, RegistryStoreError};

use super::sample::{self, AT, digest, link, manifest_with, name, push, repository};

async fn condition(store: &dyn RegistryStore, repository: &RepositoryName, word: &str) -> Option<BlobCondition> {
    let record = store.blob_get(repository, &digest(word)).await.expect("a read succeeds")?;
    assert_eq!(record.size, word.len() as u64);
    Some(record.condition)
}

fn proven(word: &str) -> Option<BlobCondition> {
    Some(BlobCondition::Proven(sample::sums(word)))
}

/// `blob_link`, `blob_get`: sums that came with a push are there for every repository that holds the blob; a mount leaves
/// them as they are, a later push replaces them.
pub async fn sums_are_kept_with_the_blob(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    assert_eq!(condition(store, &app, "blob").await, None);
    push(store, &app, "blob").await;
    assert_eq!(condition(store, &other, "blob").await, None);
    link(store, &other, "blob").await;
    for holder in [&app, &other] {
        let record = store.blob_get(holder, &digest("blob")).await.expect("a read succeeds");
        let condition = BlobCondition::Proven(sample::sums("blob"));
        assert_eq!(record, Some(BlobRecord { size: 4, condition }));
    }
    assert_eq!(condition(store, &name("team/unknown"), "blob").await, None);

    let finer = BlobSums { piece: 1, sums: vec![0, 1, u32::MAX, 3] };
    let again = BlobLink { sums: Some(finer.clone()), ..sample::blob("blob") };
    store.blob_link(&other, &again, AT, &Along::NOTHING).await.expect("the repository is there");
    assert_eq!(condition(store, &app, "blob").await, Some(BlobCondition::Proven(finer)));

    // An empty blob has sums too: none.
    push(store, &app, "").await;
    assert_eq!(condition(store, &app, "").await, proven(""));
    // One that came in before there were any.
    link(store, &app, "old").await;
    assert_eq!(condition(store, &app, "old").await, Some(BlobCondition::Unproven));
}

/// `blob_get`: sums that can't be those of a blob of this size are as good as none.
pub async fn sums_that_do_not_fit_are_none(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    for sums in [BlobSums { piece: 4, sums: vec![1, 2] }, BlobSums { piece: 0, sums: vec![1] }] {
        let link = BlobLink { sums: Some(sums), ..sample::blob("blob") };
        store.blob_link(&app, &link, AT, &Along::NOTHING).await.expect("the repository is there");
        assert_eq!(condition(store, &app, "blob").await, Some(BlobCondition::Unproven));
    }
}

/// `blob_condemn`, `blob_size`, `manifest_put`: a damaged blob counts as missing in every repository, until it is pushed
/// again or was read and is right.
pub async fn a_damaged_blob_counts_as_missing_until_it_is_whole_again(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    push(store, &app, "blob").await;
    push(store, &app, "sound").await;
    link(store, &other, "blob").await;
    let blob = digest("blob");
    let image = manifest_with("image", &["blob", "sound"]);
    let size = async |holder: &RepositoryName| {
        store.blob_size(holder, &blob).await.expect("a read succeeds").map(|it| it.size)
    };
    for way_back in ["push", "proof"] {
        for is_new in [true, false] {
            assert_eq!(store.blob_condemn(&blob, AT).await.expect("a write succeeds"), is_new);
        }
        for holder in [&app, &other] {
            assert_eq!(size(holder).await, None);
            assert_eq!(condition(store, holder, "blob").await, Some(BlobCondition::Damaged));
        }
        let holders = store.blob_holders(&blob).await.expect("a read succeeds");
        assert_eq!(holders.len(), 2, "those that hold it can be named");
        match store.manifest_put(&app, &image, &[], &Along::NOTHING).await {
            Err(RegistryStoreError::ContentMissing { missing }) => assert_eq!(missing, std::slice::from_ref(&blob)),
            answer => panic!("a blob is damaged, but the answer was {answer:?}"),
        }
        // A mount mends nothing.
        link(store, &other, "blob").await;
        assert_eq!(size(&other).await, None);
        assert_eq!(store.blob_size(&app, &digest("sound")).await.expect("a read succeeds").map(|it| it.size), Some(5));

        match way_back {
            "push" => push(store, &other, "blob").await,
            _ => store.blob_prove(&blob, &sample::sums("blob")).await.expect("a write succeeds"),
        }
        for holder in [&app, &other] {
            assert_eq!((size(holder).await, condition(store, holder, "blob").await), (Some(4), proven("blob")));
        }
    }
    store.manifest_put(&app, &image, &[], &Along::NOTHING).await.expect("all it names is there");
    let found = store.manifest_get(&app, &ManifestRef::Digest(image.digest.clone())).await.expect("a read succeeds");
    assert_eq!(found, Some(image));
}

/// `blob_prove`: sums for a blob that had none; `blob_prove`, `blob_condemn`: nothing for a blob that nobody holds.
pub async fn only_a_blob_that_is_held_is_proven_or_condemned(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    link(store, &app, "old").await;
    store.blob_prove(&digest("old"), &sample::sums("old")).await.expect("a write succeeds");
    assert_eq!(condition(store, &app, "old").await, proven("old"));

    store.blob_prove(&digest("nobody's"), &sample::sums("nobody's")).await.expect("a write succeeds");
    assert!(!store.blob_condemn(&digest("nobody's"), AT).await.expect("a write succeeds"));
    link(store, &app, "nobody's").await;
    assert_eq!(condition(store, &app, "nobody's").await, Some(BlobCondition::Unproven), "nothing was kept");
}

/// `blob_unlink`, `repository_delete`: what is known of the content goes with the last repository that holds the blob, not
/// before.
pub async fn what_is_known_of_a_blob_goes_with_its_last_link(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    for damaged in [false, true] {
        for by in ["blob_unlink", "repository_delete"] {
            push(store, &app, "blob").await;
            let temporary = repository(store, "team/temporary").await;
            link(store, &temporary, "blob").await;
            if damaged {
                store.blob_condemn(&digest("blob"), AT).await.expect("a write succeeds");
            }
            let known = condition(store, &app, "blob").await;
            let left = store.blob_unlink(&app, &digest("blob")).await.expect("a write succeeds");
            assert_eq!(left, Some(BlobLeft::Elsewhere));
            assert_eq!(condition(store, &temporary, "blob").await, known, "another holds it");
            if by == "blob_unlink" {
                let left = store.blob_unlink(&temporary, &digest("blob")).await.expect("a write succeeds");
                assert_eq!(left, Some(BlobLeft::Nowhere { place: None }));
            }
            store.repository_delete(&temporary, false).await.expect("it is there");
            link(store, &other, "blob").await;
            assert_eq!(condition(store, &other, "blob").await, Some(BlobCondition::Unproven), "{by}");
            store.blob_unlink(&other, &digest("blob")).await.expect("a write succeeds");
        }
    }
}
