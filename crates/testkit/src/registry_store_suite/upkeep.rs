//! What those read who look after the content: what is held, and who needs it.

use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::registry::{ChildManifest, Manifest};
use layer0_domain::port::registry_store::{Along, BlobLink, ContentUser, HeldBlob, RegistryStore};

use super::sample::{self, AT, digest, link, manifest, manifest_with, name, push, push_to, put, repository};

fn sorted<const N: usize>(words: [&str; N]) -> Vec<Digest> {
    let mut all: Vec<Digest> = words.into_iter().map(digest).collect();
    all.sort_by_key(Digest::to_string);
    all
}

/// `blob_list`: each blob once, whoever holds it, in byte order of the digests, page by page; damaged ones are marked.
pub async fn blobs_are_listed_once_in_order_by_page(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    assert_eq!(store.blob_list(None, 10).await.expect("a read succeeds"), []);
    let words = ["a", "bb", "ccc", "dddd"];
    for word in words {
        push(store, &app, word).await;
    }
    link(store, &other, "bb").await;
    let long = BlobLink { digest: Algorithm::Sha512.digest_of(b"a"), size: 1, sums: None, place: None };
    store.blob_link(&other, &long, AT, &Along::NOTHING).await.expect("the repository is there");
    store.blob_condemn(&digest("ccc"), AT).await.expect("a write succeeds");

    let mut expected: Vec<HeldBlob> = words
        .into_iter()
        .map(|word| HeldBlob { digest: digest(word), size: word.len() as u64, damaged: word == "ccc" })
        .collect();
    expected.sort_by_key(|held| held.digest.to_string());
    // `sha512:` comes after `sha256:`.
    expected.push(HeldBlob { digest: long.digest.clone(), size: 1, damaged: false });
    assert_eq!(store.blob_list(None, 10).await.expect("a read succeeds"), expected);
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = store.blob_list(after.as_ref(), 2).await.expect("a read succeeds");
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.digest.clone());
        paged.extend(page);
    }
    assert_eq!(paged, expected);
}

/// `blob_unheld`: of these digests, those that no repository holds, or holds elsewhere than they say; a manifest of that digest is no
/// blob.
pub async fn blobs_that_nobody_holds_are_told_apart(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    link(store, &app, "held").await;
    push_to(store, &app, "elsewhere", "u1/a").await;
    put(store, &app, &manifest("manifest"), &[]).await;
    let asked = ["nobody's", "held", "elsewhere", "manifest"].map(digest);
    let unheld = store.blob_unheld(&asked).await.expect("a read succeeds");
    assert_eq!(unheld, [digest("nobody's"), digest("elsewhere"), digest("manifest")]);
    assert_eq!(store.blob_unheld(&[]).await.expect("a read succeeds"), []);
}

/// `manifest_list`: the manifests of one repository, in byte order, page by page.
pub async fn manifests_are_listed_in_order_by_page(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    for word in ["one", "two", "three"] {
        put(store, &app, &manifest(word), &["latest"]).await;
    }
    put(store, &other, &manifest("elsewhere"), &[]).await;
    let expected = sorted(["one", "two", "three"]);
    assert_eq!(store.manifest_list(&app, None, 10).await.expect("a read succeeds"), expected);
    assert_eq!(store.manifest_list(&app, None, 2).await.expect("a read succeeds"), expected[..2]);
    assert_eq!(store.manifest_list(&app, Some(&expected[1]), 2).await.expect("a read succeeds"), expected[2..]);
    assert_eq!(store.manifest_list(&name("team/unknown"), None, 10).await.expect("a read succeeds"), []);
}

/// `blob_users`, `manifest_users`: the manifests that need something, through indexes too, and the tags that point to them.
pub async fn users_are_found_up_to_their_tags(store: &dyn RegistryStore) {
    let app = repository(store, "team/app").await;
    let other = repository(store, "team/other").await;
    let third = repository(store, "a-team/third").await;
    for repository in [&app, &other, &third] {
        push(store, repository, "base").await;
    }
    push(store, &app, "top").await;
    put(store, &app, &manifest_with("old", &["base"]), &["1", "1.0"]).await;
    // The base twice, as an image with an empty layer has it.
    put(store, &app, &manifest_with("new", &["base", "top", "base"]), &[]).await;
    put(store, &app, &manifest("unconcerned"), &["x"]).await;
    let child = |word| ChildManifest { digest: digest(word), platform: None };
    let index = Manifest { children: vec![child("new"), child("unconcerned")], ..manifest("index") };
    put(store, &app, &index, &["2"]).await;
    let nested = Manifest { children: vec![child("index")], ..manifest("nested") };
    put(store, &app, &nested, &["all"]).await;
    // The same manifest elsewhere, where it is needed by other tags.
    put(store, &other, &manifest_with("old", &["base"]), &["old"]).await;

    let user = |repository: &layer0_domain::model::image::RepositoryName, manifests: Vec<Digest>, tags: &[&str]| {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        ContentUser { repository: repository.clone(), manifests, tags }
    };
    let users = store.blob_users(&digest("base")).await.expect("a read succeeds");
    let expected = [
        user(&third, vec![], &[]),
        user(&app, sorted(["old", "new", "index", "nested"]), &["1", "1.0", "2", "all"]),
        user(&other, sorted(["old"]), &["old"]),
    ];
    assert_eq!(users, expected);
    let users = store.blob_users(&digest("top")).await.expect("a read succeeds");
    assert_eq!(users, [user(&app, sorted(["new", "index", "nested"]), &["2", "all"])]);
    assert_eq!(store.blob_users(&digest("nobody's")).await.expect("a read succeeds"), []);

    let of = async |repository, word| store.manifest_users(repository, &digest(word)).await.expect("a read succeeds");
    assert_eq!(of(&app, "old").await, Some(user(&app, sorted(["old"]), &["1", "1.0"])));
    assert_eq!(of(&app, "new").await, Some(user(&app, sorted(["new", "index", "nested"]), &["2", "all"])));
    assert_eq!(of(&other, "old").await, Some(user(&other, sorted(["old"]), &["old"])));
    assert_eq!(of(&other, "new").await, None);
    assert_eq!(of(&sample::name("team/unknown"), "old").await, None);
}
