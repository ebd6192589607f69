//! Which blob is in which repository.

use futures_util::future::join_all;
use layer0_domain::model::digest::Algorithm;
use layer0_domain::port::registry_store::{Along, BlobLeft, BlobLink, RegistryStore, RegistryStoreError};

use super::sample::{self, AT, digest, link, name, repository};

/// `blob_link`, `blob_size`, `blob_holders`: a blob is where it was linked, with its size; linking again is no error.
pub async fn a_blob_is_in_the_repositories_it_was_linked_to(store: &dyn RegistryStore) {
    let first = repository(store, "team/first").await;
    let second = repository(store, "team/second").await;
    let blob = digest("blob");
    assert_eq!(store.blob_size(&first, &blob).await.expect("a read succeeds").map(|it| it.size), None);
    assert_eq!(store.blob_holders(&blob).await.expect("a read succeeds"), []);
    let large = BlobLink { digest: blob.clone(), size: 5_000_000_000, sums: None, place: None };
    for _ in 0..2 {
        store.blob_link(&first, &large, AT, &Along::NOTHING).await.expect("the repository is there");
    }
    assert_eq!(store.blob_size(&first, &blob).await.expect("a read succeeds").map(|it| it.size), Some(5_000_000_000));
    assert_eq!(store.blob_size(&second, &blob).await.expect("a read succeeds").map(|it| it.size), None);
    assert_eq!(store.blob_size(&name("team/unknown"), &blob).await.expect("a read succeeds").map(|it| it.size), None);
    assert_eq!(store.blob_holders(&blob).await.expect("a read succeeds"), [(first, 5_000_000_000)]);
    assert_eq!(store.blob_holders(&digest("other")).await.expect("a read succeeds"), []);
}

/// `blob_link`: `RepositoryMissing`.
pub async fn a_blob_is_linked_to_no_repository_that_is_not_there(store: &dyn RegistryStore) {
    let unknown = name("team/unknown");
    let answer = store.blob_link(&unknown, &sample::blob("blob"), AT, &Along::NOTHING).await;
    assert!(matches!(&answer, Err(RegistryStoreError::RepositoryMissing(name)) if *name == unknown), "{answer:?}");
    assert_eq!(store.blob_holders(&digest("blob")).await.expect("a read succeeds"), []);
}

/// `blob_unlink`: `None` when it was not there, else whether another repository holds it.
pub async fn the_last_to_unlink_a_blob_is_told(store: &dyn RegistryStore) {
    let first = repository(store, "team/first").await;
    let second = repository(store, "team/second").await;
    for repository in [&first, &second] {
        link(store, repository, "blob").await;
        link(store, repository, "stays").await;
    }
    let blob = digest("blob");
    for (repository, answer) in [
        (&name("team/unknown"), None),
        (&first, Some(BlobLeft::Elsewhere)),
        (&first, None),
        (&second, Some(BlobLeft::Nowhere { place: None })),
        (&second, None),
    ] {
        assert_eq!(store.blob_unlink(repository, &blob).await.expect("a write succeeds"), answer);
    }
    assert_eq!(store.blob_size(&second, &blob).await.expect("a read succeeds").map(|it| it.size), None);
    assert_eq!(store.blob_holders(&digest("stays")).await.expect("a read succeeds").len(), 2);
}

/// `blob_holders`: byte order, at most 100; `blob_holders_count`: all.
pub async fn holders_are_listed_in_byte_order_up_to_a_hundred(store: &dyn RegistryStore) {
    let mut names = Vec::new();
    for number in (0..110).rev() {
        let name = repository(store, &format!("team/r{number}")).await;
        link(store, &name, "blob").await;
        names.push((name, 4));
    }
    names.sort();
    names.truncate(100);
    assert_eq!(store.blob_holders(&digest("blob")).await.expect("a read succeeds"), names);
    for (word, count) in [("blob", 110), ("other", 0)] {
        assert_eq!(store.blob_holders_count(&digest(word)).await.expect("a read succeeds"), count);
    }
}

/// Digests carry their algorithm; the same bytes under two algorithms are two things.
pub async fn the_same_bytes_under_two_algorithms_are_two_blobs(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    link(store, &app, "blob").await;
    let other = Algorithm::Sha512.digest_of(b"blob");
    assert_eq!(store.blob_size(&app, &other).await.expect("a read succeeds").map(|it| it.size), None);
    store
        .blob_link(&app, &BlobLink { digest: other.clone(), ..sample::blob("blob") }, AT, &Along::NOTHING)
        .await
        .expect("it is there");
    let left = store.blob_unlink(&app, &digest("blob")).await.expect("a write succeeds");
    assert_eq!(left, Some(BlobLeft::Nowhere { place: None }));
    assert_eq!(store.blob_size(&app, &other).await.expect("a read succeeds").map(|it| it.size), Some(4));
}

/// `blob_unlink`: of many that unlink one blob at once, exactly one hears that nobody is left.
pub async fn of_many_unlinks_one_is_told_that_nobody_is_left(store: &dyn RegistryStore) {
    let mut names = Vec::new();
    for number in 0..20 {
        let name = repository(store, &format!("team/r{number}")).await;
        link(store, &name, "blob").await;
        names.push(name);
    }
    let blob = digest("blob");
    let answers = join_all(names.iter().map(|name| store.blob_unlink(name, &blob))).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("a write succeeds")).collect();
    let count = |wanted| answers.iter().filter(|answer| answer.as_ref() == Some(&wanted)).count();
    assert_eq!((count(BlobLeft::Elsewhere), count(BlobLeft::Nowhere { place: None })), (19, 1));
}
