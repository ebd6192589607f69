//! Where the bytes of blobs lie.

use futures_util::future::join;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::port::registry_store::{Along, BlobLeft, BlobLink, RegistryStore, RegistryStoreError};

use super::sample::{self, AT, digest, freed, link, push, push_to, repository};

fn at(text: &str) -> BlobPlace {
    BlobPlace::new(text)
}

async fn place(store: &dyn RegistryStore, word: &str) -> Option<BlobPlace> {
    store.blob_place(&digest(word)).await.expect("a read succeeds")
}

/// `blob_link`, `blob_place`, `place_unheld`: a blob lies where the last push has put it, for all repositories that hold it.
pub async fn a_blob_lies_where_it_was_pushed_to_last(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    assert_eq!(place(store, "blob").await, None);
    push_to(store, &app, "blob", "u1/a").await;
    push_to(store, &app, "second", "u2/a").await;
    assert_eq!(place(store, "blob").await, Some(at("u1/a")));
    assert_eq!(push_to(store, &other, "blob", "u3/a").await, Some(at("u1/a")));
    assert_eq!(push_to(store, &other, "blob", "u3/a").await, None);
    assert_eq!(place(store, "blob").await, Some(at("u3/a")));
    let asked = ["u1/a", "u2/a", "u3/a", "u4/a"].map(at);
    let unheld = store.place_unheld(&asked).await.expect("a read succeeds");
    assert_eq!(unheld, [at("u1/a"), at("u4/a")]);
    assert_eq!(store.place_unheld(&[]).await.expect("a read succeeds"), []);
    // Where it lies is nothing that a link without a place would change.
    link(store, &app, "blob").await;
    assert_eq!(place(store, "blob").await, Some(at("u3/a")));
    push(store, &app, "elsewhere").await;
    assert_eq!(place(store, "elsewhere").await, None);
    // Pushed again to where its digest says, it lies there, and nobody knows of the other place any more.
    push(store, &app, "blob").await;
    assert_eq!(place(store, "blob").await, None);
    assert_eq!(store.place_unheld(&[at("u3/a")]).await.expect("a read succeeds"), [at("u3/a")]);
}

/// `blob_link`: without sums the place must be the one that is known; else `ContentMissing`, and nothing is written.
pub async fn a_blob_is_mounted_only_from_where_it_lies(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    let mount = async |place: &str| {
        let link = BlobLink { place: Some(at(place)), ..sample::blob("blob") };
        store.blob_link(&other, &link, AT, &Along::NOTHING).await
    };
    let is_refused = async || match mount("u1/a").await {
        Err(RegistryStoreError::ContentMissing { missing }) => {
            assert_eq!(missing, [digest("blob")]);
            assert_eq!(
                store.blob_size(&other, &digest("blob")).await.expect("a read succeeds").map(|it| it.size),
                None
            );
        }
        answer => panic!("it does not lie there, but the answer was {answer:?}"),
    };
    is_refused().await;
    push_to(store, &app, "blob", "u2/a").await;
    is_refused().await;
    mount("u2/a").await.expect("it lies there");
    assert_eq!(store.blob_size(&other, &digest("blob")).await.expect("a read succeeds").map(|it| it.size), Some(4));
    for name in [&app, &other] {
        store.blob_unlink(name, &digest("blob")).await.expect("a write succeeds");
    }
    assert!(
        matches!(mount("u2/a").await, Err(RegistryStoreError::ContentMissing { .. })),
        "it went with the last link"
    );
}

/// `blob_link`: what is one blob's place is no other's; it is refused with `ContentMissing`, and nothing is written.
pub async fn a_place_is_one_blobs(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    push_to(store, &app, "blob", "u1/a").await;
    push_to(store, &app, "second", "u2/a").await;
    for (word, before) in [("other", None), ("second", Some(at("u2/a")))] {
        let taken = BlobLink { place: Some(at("u1/a")), sums: Some(sample::sums(word)), ..sample::blob(word) };
        match store.blob_link(&app, &taken, AT, &Along::NOTHING).await {
            Err(RegistryStoreError::ContentMissing { missing }) => assert_eq!(missing, [digest(word)]),
            answer => panic!("another blob lies there, but the answer was {answer:?}"),
        }
        assert_eq!((place(store, word).await, place(store, "blob").await), (before, Some(at("u1/a"))));
    }
    assert_eq!(store.blob_size(&app, &digest("other")).await.expect("a read succeeds"), None);
    assert_eq!(push_to(store, &app, "blob", "u1/a").await, None, "again is no error");
}

/// `blob_unlink`, `repository_delete`, `repository_vacate`: where a blob lies is told to whoever takes its last link away, and
/// is forgotten.
pub async fn the_place_of_a_blob_goes_with_its_last_link(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    push_to(store, &app, "blob", "u1/a").await;
    link(store, &other, "blob").await;
    let unlink = async |name| store.blob_unlink(name, &digest("blob")).await.expect("a write succeeds");
    assert_eq!(unlink(&app).await, Some(BlobLeft::Elsewhere));
    assert_eq!(unlink(&other).await, Some(BlobLeft::Nowhere { place: Some(at("u1/a")) }));
    assert_eq!(place(store, "blob").await, None);
    assert_eq!(store.place_unheld(&[at("u1/a")]).await.expect("a read succeeds"), [at("u1/a")]);

    for (number, vacates) in [(2, false), (3, true)] {
        let third = repository(store, "team/third").await;
        let (mine, shared) = (format!("u{number}/mine"), format!("u{number}/shared"));
        push_to(store, &third, "mine", &mine).await;
        push_to(store, &third, "shared", &shared).await;
        link(store, &app, "shared").await;
        let left = match vacates {
            true => store.repository_vacate(&third).await,
            false => store.repository_delete(&third, false).await,
        };
        assert_eq!(left.expect("it is there"), [freed("mine", Some(mine.as_str()))]);
        assert_eq!((place(store, "mine").await, place(store, "shared").await), (None, Some(at(&shared))));
    }
}

/// `blob_link`, `blob_unlink`: of a mount and the last unlink at once, either the mount comes first and the place stays, or it
/// is refused.
pub async fn a_mount_and_the_last_unlink_never_both_win(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    for round in 0..20 {
        let text = format!("u{round}/a");
        push_to(store, &app, "blob", &text).await;
        let mount = BlobLink { place: Some(at(&text)), ..sample::blob("blob") };
        let blob = digest("blob");
        let (mounted, left) =
            join(store.blob_link(&other, &mount, AT, &Along::NOTHING), store.blob_unlink(&app, &blob)).await;
        match (mounted, left.expect("a write succeeds")) {
            (Ok(_), Some(BlobLeft::Elsewhere)) => {
                assert_eq!(place(store, "blob").await, Some(at(&text)));
                store.blob_unlink(&other, &blob).await.expect("a write succeeds");
            }
            (Err(RegistryStoreError::ContentMissing { .. }), Some(BlobLeft::Nowhere { place: told })) => {
                assert_eq!((told, place(store, "blob").await), (Some(at(&text)), None));
            }
            (mounted, left) => panic!("{mounted:?} and {left:?}"),
        }
    }
}
