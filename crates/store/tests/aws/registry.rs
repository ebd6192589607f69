//! What the registry keeps in the table: what is larger than an item or a transaction, and what a dead server leaves.

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::registry::{BlobPlace, BlobSums, Manifest, ManifestRef};
use layer0_domain::model::retention::Retiring;
use layer0_domain::port::access_store::AccessStore;
use layer0_domain::port::registry_store::{Along, BlobLink, Page, RegistryStore, RegistryStoreError};
use layer0_store::DynamoStore;
use layer0_testkit::access_store_suite::sample::owner_name;
use layer0_testkit::registry_store_suite::sample::{
    AT, digest, manifest, manifest_with, name, push_to, put, repository,
};

use crate::proxy::{Plan, Proxy};
use crate::support::{TestTable, client};

/// All that the table has but an owner and how it is laid out.
async fn left(table: &TestTable) -> Vec<(String, String)> {
    let keys = table.keys().await;
    keys.into_iter().filter(|(partition, _)| !["owner", "layout"].contains(&partition.as_str())).collect()
}

fn large(fill: u8) -> Manifest {
    Manifest { bytes: vec![fill; 4 << 20], ..manifest_with("large", &["layer"]) }
}

/// A manifest of 4 MiB, the sums of a blob of 10 GiB, a manifest that names more blobs than a read takes, a hundred tags; and nothing of
/// it is left in the end.
#[tokio::test]
async fn what_is_larger_than_an_item_or_a_transaction_is_read_back_and_goes_whole() {
    let table = TestTable::new().await;
    let store = table.store().with_page(7);
    let app = repository(&store, "team/app").await;
    let size = 10 << 30;
    let sums = BlobSums { piece: 65_536, sums: (0..163_840).collect() };
    let link =
        BlobLink { digest: digest("layer"), size, sums: Some(sums.clone()), place: Some(BlobPlace::new("blobs/u/1")) };
    for _ in 0..2 {
        store.blob_link(&app, &link, AT, &Along::NOTHING).await.expect("the repository is there");
    }
    store.blob_prove(&digest("layer"), &sums).await.expect("it is held");
    let record = store.blob_get(&app, &digest("layer")).await.expect("a read").expect("it is there");
    assert!(record.condition == layer0_domain::model::registry::BlobCondition::Proven(sums), "the sums are others");
    let tags: Vec<String> = (0..100).map(|number| format!("v{number:03}")).collect();
    for fill in [1, 2] {
        store.manifest_put(&app, &large(fill), &tags, &Along::NOTHING).await.expect("all it names is there");
        for reference in [ManifestRef::Digest(digest("large")), ManifestRef::Tag("v099".to_owned())] {
            let read = store.manifest_get(&app, &reference).await.expect("a read").expect("it is there");
            assert!(read == large(fill), "{reference:?} is another");
        }
    }
    let words: Vec<String> = (0..150).map(|number| format!("layer {number}")).collect();
    let mut missing = manifest("many");
    missing.blobs = words.iter().map(|word| (digest(word), 1)).collect();
    let refused = store.manifest_put(&app, &missing, &[], &Along::NOTHING).await.expect_err("no blob of it is there");
    assert!(refused.to_string().contains(&digest("layer 149").to_string()), "{refused}");
    for (number, word) in words.iter().enumerate() {
        push_to(&store, &app, word, &format!("blobs/{number}/1")).await;
    }
    put(&store, &app, &missing, &["many"]).await;
    let listed = store.tag_list(&app, Page::default()).await.expect("a read").expect("it is there");
    assert_eq!(listed.len(), 101);
    let used = store.owner_get(&owner_name("team")).await.expect("a read").expect("it is there");
    let words_bytes = words.iter().map(String::len).sum::<usize>() as u64;
    assert_eq!((used.used_bytes, used.repositories), (size + (4 << 20) + words_bytes + 4, 1));

    assert!(store.manifest_delete(&app, &digest("large")).await.expect("a write succeeds"));
    let listed = store.tag_list(&app, Page::default()).await.expect("a read");
    assert_eq!(listed, Some(vec!["many".to_owned()]));
    let freed = store.repository_delete(&app, false).await.expect("it is there");
    assert_eq!(freed.len(), 151);
    assert!(freed.is_sorted_by_key(|blob| blob.digest.to_string()) && freed.iter().all(|blob| blob.place.is_some()));
    assert_eq!(left(&table).await, []);
    let used = store.owner_get(&owner_name("team")).await.expect("a read").expect("it stays");
    assert_eq!((used.used_bytes, used.repositories), (0, 0));
    table.delete().await;
}

/// A server that dies anywhere in the delete of a repository: it is there with everything, or gone with everything; the next one
/// of its name begins with nothing, and the next start takes away what was left.
#[tokio::test]
async fn a_repository_is_deleted_whole_wherever_the_server_dies() {
    for writes in 0.. {
        let table = TestTable::new().await;
        let store = table.store();
        let (app, other) = (repository(&store, "team/app").await, repository(&store, "team/other").await);
        let words: Vec<String> = (0..30).map(|number| format!("layer {number}")).collect();
        for (number, word) in words.iter().enumerate() {
            push_to(&store, &app, word, &format!("blobs/{number}/1")).await;
            put(&store, &app, &manifest_with(&format!("image {number}"), &[word]), &[&format!("v{number}")]).await;
        }
        let shared = BlobLink { place: Some(BlobPlace::new("blobs/0/1")), ..blob_of(&words[0]) };
        store.blob_link(&other, &shared, AT, &Along::NOTHING).await.expect("it lies there");
        let proxy = Proxy::start(Plan::WritesBehind(writes)).await;
        let dying = table.store_at(client(&proxy.endpoint(), 1));
        let outcome = dying.repository_delete(&app, false).await;
        let there = store.repository_get(&app).await.expect("a read succeeds").is_some();
        assert_eq!(there, writes == 0, "the first write is the delete");
        let tags = store.tag_list(&app, Page::default()).await.expect("a read succeeds");
        assert_eq!(tags.map_or(0, |tags| tags.len()), if there { 30 } else { 0 });
        let holders = store.blob_holders(&digest(&words[0])).await.expect("a read succeeds");
        let holders: Vec<String> = holders.iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(holders, if there { vec!["team/app", "team/other"] } else { vec!["team/other"] });
        if !there && writes % 2 == 1 {
            // Whoever tries again after an error finishes it too.
            let gone = store.repository_delete(&app, false).await;
            assert!(matches!(gone, Err(RegistryStoreError::RepositoryMissing { .. })), "{gone:?}");
            let used = store.owner_get(&owner_name("team")).await.expect("a read").expect("it stays");
            assert_eq!((used.used_bytes, used.repositories), (words[0].len() as u64, 1), "{writes}");
        }
        if !there {
            let again = repository(&store, "team/app").await;
            assert_eq!(store.manifest_list(&again, None, 100).await.expect("a read"), []);
            assert_eq!(store.blob_get(&again, &digest(&words[1])).await.expect("a read"), None);
            store.table_ensure().await.expect("the next start finishes it");
            let held = store.blob_list(None, 100).await.expect("a read");
            let held: Vec<Digest> = held.into_iter().map(|blob| blob.digest).collect();
            assert_eq!(held, [digest(&words[0])]);
            let used = store.owner_get(&owner_name("team")).await.expect("a read").expect("it stays");
            assert_eq!((used.used_bytes, used.repositories), (words[0].len() as u64, 2), "{writes}");
            for repository in [&again, &name("team/other")] {
                store.repository_delete(repository, false).await.expect("it is there");
            }
            assert_eq!(left(&table).await, []);
        }
        table.delete().await;
        if outcome.is_ok() {
            assert!(writes > 5, "the delete takes several writes");
            return;
        }
    }
}

/// A write that was decided on before a blob went must not take the one that came after it for the same.
#[tokio::test]
async fn a_blob_that_comes_again_is_told_from_the_one_before() {
    let table = TestTable::new().await;
    let store = table.store();
    let app = repository(&store, "team/app").await;
    let mut epochs = Vec::new();
    for number in 0..3 {
        push_to(&store, &app, "layer", &format!("blobs/{number}/1")).await;
        epochs.push(table.number("blob", &digest("layer").to_string(), "epoch").await);
        store.blob_unlink(&app, &digest("layer")).await.expect("a write succeeds");
    }
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 3, "{epochs:?}");
    table.delete().await;
}

/// A repository with so many images without a tag, and all of them to go.
async fn retiring(store: &DynamoStore, images: usize) -> (RepositoryName, Retiring) {
    let app = repository(store, "team/app").await;
    let mut asked = Retiring::default();
    for number in 0..images {
        let word = format!("image {number}");
        put(store, &app, &manifest(&word), &[]).await;
        asked.manifests.push((digest(&word), AT));
    }
    (app, asked)
}

#[tokio::test]
async fn images_go_while_somebody_else_deletes_them() {
    let table = TestTable::new().await;
    let (store, other) = (table.store(), table.store());
    let (app, asked) = retiring(&store, 60).await;
    let deletes = async {
        let mut deleted = Vec::new();
        for (digest, _) in asked.manifests.iter().rev() {
            if other.manifest_delete(&app, digest).await.expect("a write succeeds") {
                deleted.push(digest.clone());
            }
        }
        deleted
    };
    let (went, deleted) = futures_util::join!(store.images_retire(&app, &asked, AT, &[]), deletes);
    let went: Vec<Digest> = went.expect("it goes on").manifests.into_iter().map(|(digest, _)| digest).collect();
    assert!(went.iter().all(|digest| !deleted.contains(digest)), "each goes once");
    assert_eq!(went.len() + deleted.len(), 60);
    assert_eq!(store.manifest_list(&app, None, 100).await.expect("a read"), []);
    table.delete().await;
}

#[tokio::test]
async fn what_went_before_a_failure_is_told() {
    let table = TestTable::new().await;
    let store = table.store();
    let (app, asked) = retiring(&store, 50).await;
    let words: Vec<String> = (0..30).map(|number| format!("layer {number}")).collect();
    for word in &words {
        push_to(&store, &app, word, &format!("blobs/{word}/1")).await;
    }
    // Twenty manifests go in one transaction, and twelve blobs.
    let proxy = Proxy::start(Plan::WritesBehind(1)).await;
    let dying = table.store_at(client(&proxy.endpoint(), 1));
    let went = dying.images_retire(&app, &asked, AT, &[]).await.expect("a part went");
    assert_eq!(went.manifests, asked.manifests[..20]);
    assert_eq!(store.manifest_list(&app, None, 100).await.expect("a read").len(), 30);
    dying.images_retire(&app, &asked, AT, &[]).await.expect_err("nothing went");

    let proxy = Proxy::start(Plan::WritesBehind(1)).await;
    let dying = table.store_at(client(&proxy.endpoint(), 1));
    let blobs: Vec<Digest> = words.iter().map(|word| digest(word)).collect();
    let gone = dying.blob_collect(&app, &blobs, AT).await.expect("a part went");
    assert_eq!(gone.into_iter().map(|it| it.digest).collect::<Vec<_>>(), blobs[..12]);
    assert_eq!(store.blob_unneeded(&app, AT, None, 100).await.expect("a read").len(), 18);
    dying.blob_collect(&app, &blobs, AT).await.expect_err("nothing went");
    table.delete().await;
}

fn blob_of(word: &str) -> BlobLink {
    layer0_testkit::registry_store_suite::sample::blob(word)
}
