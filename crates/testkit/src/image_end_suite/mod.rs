//! The contract of the port `ImageEnd`, one function for each behaviour. Whatever fulfils the port runs them all:
//!
//! ```ignore
//! layer0_testkit::image_end_suite::run_all(async || Box::new(MyStage::new())).await;
//! ```
//!
//! Each behaviour is shown on a repository of its own, which isn't there when it begins.

pub mod sample;

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::image_end::{EndError, Entry, ImageEnd};

use self::sample::{content, foreign, image, index, referrer};

/// A repository that can be made.
#[async_trait]
pub trait Stage: Send + Sync {
    /// The port.
    fn end(&self) -> &dyn ImageEnd;
}

/// One behaviour.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// What is promised.
    pub name: &'static str,
    /// Shows it; panics when the promise is broken.
    pub show: for<'a> fn(&'a dyn ImageEnd) -> BoxFuture<'a, ()>,
}

macro_rules! behaviours {
    ($($name:ident),+ $(,)?) => {
        &[$(Behaviour { name: stringify!($name), show: |end| Box::pin($name(end)) }),+]
    };
}

/// All behaviours.
pub const ALL: &[Behaviour] = behaviours![
    a_repository_is_made_once_and_goes,
    all_that_is_written_is_listed_and_read,
    a_blob_comes_as_it_was_written,
    content_that_is_not_what_it_says_is_not_kept,
    content_that_breaks_off_is_not_kept,
    a_manifest_needs_what_it_names,
    writes_may_be_repeated,
    a_tag_moves_and_goes,
    what_an_index_names_goes_after_it,
    what_is_not_there_is_none,
];

/// Shows every behaviour, each on a stage that `fresh` makes.
pub async fn run_all(fresh: impl AsyncFn() -> Box<dyn Stage>) {
    for behaviour in ALL {
        let stage = fresh().await;
        (behaviour.show)(stage.end()).await;
    }
}

async fn made(end: &dyn ImageEnd) {
    assert!(end.prepare(Visibility::Private).await.expect("it is made"));
}

/// All entries, from page to page.
pub async fn entries(end: &dyn ImageEnd) -> BTreeSet<Entry> {
    let (mut all, mut next) = (BTreeSet::new(), None::<String>);
    loop {
        let page = end.entries(next.as_deref()).await.expect("it is listed");
        all.extend(page.entries);
        next = page.next;
        if next.is_none() {
            return all;
        }
    }
}

async fn tags(end: &dyn ImageEnd) -> Vec<(String, Digest)> {
    entries(end)
        .await
        .into_iter()
        .filter_map(|entry| Some((entry.tag?, entry.digest)))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

async fn manifests(end: &dyn ImageEnd) -> BTreeSet<Digest> {
    entries(end).await.into_iter().map(|entry| entry.digest).collect()
}

/// `prepare`, `remove`: once, and again is no error.
pub async fn a_repository_is_made_once_and_goes(end: &dyn ImageEnd) {
    let missing = end.entries(None).await;
    assert!(matches!(missing, Err(EndError::NoRepository)), "{missing:?}");
    made(end).await;
    assert!(!end.prepare(Visibility::Private).await.expect("it is there"));
    assert_eq!(entries(end).await.len(), 0);
    image("a").push(end, &["v1"]).await;
    for _ in 0..2 {
        end.remove().await.expect("it goes");
        let missing = end.entries(None).await;
        assert!(matches!(missing, Err(EndError::NoRepository)), "{missing:?}");
    }
    made(end).await;
    assert_eq!(entries(end).await.len(), 0, "nothing has come back");
}

/// `entries`, `manifest_read`: with and without tags, indexes over indexes, what refers to a manifest.
pub async fn all_that_is_written_is_listed_and_read(end: &dyn ImageEnd) {
    made(end).await;
    let (one, two, three) = (image("one"), image("two"), image("three"));
    let inner = index(&[&one, &two]);
    let outer = index(&[&inner, &three]);
    let signature = referrer(&outer, "signed");
    for sample in [&one, &two, &three, &inner, &signature] {
        sample.push(end, &[]).await;
    }
    outer.push(end, &["latest", "v1"]).await;
    let all = [&one, &two, &three, &inner, &outer, &signature];
    assert_eq!(manifests(end).await, all.iter().map(|sample| sample.digest()).collect());
    let want = [("latest".to_owned(), outer.digest()), ("v1".to_owned(), outer.digest())];
    assert_eq!(tags(end).await, want);
    for sample in all {
        let read = end.manifest_read(&sample.digest()).await.expect("it is read");
        assert_eq!(read.as_ref(), Some(&sample.manifest));
    }
    let referrers = end.referrers(&outer.digest()).await.expect("they are listed");
    assert!(referrers.is_empty() || referrers == [signature.digest()], "{referrers:?}");
}

/// `blob_write`, `blob_size`, `blob_read`.
pub async fn a_blob_comes_as_it_was_written(end: &dyn ImageEnd) {
    made(end).await;
    let sample = image("a");
    sample.push(end, &["v1"]).await;
    for bytes in &sample.blobs {
        let digest = Digest::sha256_of(bytes);
        assert_eq!(end.blob_size(&digest).await.expect("it is looked up"), Some(bytes.len() as u64));
        let content = end.blob_read(&digest).await.expect("it is read").expect("it is there");
        let pieces: Vec<Vec<u8>> = content.try_collect().await.expect("it comes to its end");
        assert_eq!(pieces.concat(), *bytes);
    }
}

/// `blob_write`: other bytes, or another length, than the digest and the size say.
pub async fn content_that_is_not_what_it_says_is_not_kept(end: &dyn ImageEnd) {
    made(end).await;
    let digest = Digest::sha256_of(b"right");
    for (wrong, size) in [(&b"wrong"[..], 5), (b"right and more", 14), (b"", 0)] {
        let refused = end.blob_write(&digest, size, content(wrong)).await;
        assert!(matches!(refused, Err(EndError::Damaged { .. } | EndError::Refused { .. })), "{refused:?}");
        assert_eq!(end.blob_size(&digest).await.expect("it is looked up"), None);
    }
    end.blob_write(&digest, 5, content(b"right")).await.expect("it is taken");
    assert_eq!(end.blob_size(&digest).await.expect("it is looked up"), Some(5));
}

/// `blob_write`: an error in the content.
pub async fn content_that_breaks_off_is_not_kept(end: &dyn ImageEnd) {
    made(end).await;
    let digest = Digest::sha256_of(b"some content");
    let broken = content(b"some con").chain(stream::iter([Err("it broke off".into())])).boxed();
    assert!(end.blob_write(&digest, 12, broken).await.is_err());
    assert_eq!(end.blob_size(&digest).await.expect("it is looked up"), None);
    end.blob_write(&digest, 12, content(b"some content")).await.expect("it is taken");
}

/// `manifest_write`: blobs and children first, but for foreign layers.
pub async fn a_manifest_needs_what_it_names(end: &dyn ImageEnd) {
    made(end).await;
    let one = image("one");
    let over = index(&[&one]);
    for sample in [&one, &over] {
        let refused = end.manifest_write(&sample.manifest, Some("v1"), None).await;
        assert!(matches!(refused, Err(EndError::Refused { .. })), "{refused:?}");
    }
    assert_eq!(entries(end).await.len(), 0);
    one.push(end, &[]).await;
    over.push(end, &["v1"]).await;
    foreign("layer").push(end, &["foreign"]).await;
    assert_eq!(manifests(end).await.len(), 3);
}

/// All writes: again with the same content changes nothing.
pub async fn writes_may_be_repeated(end: &dyn ImageEnd) {
    made(end).await;
    let one = image("one");
    for _ in 0..2 {
        one.push(end, &["v1"]).await;
    }
    assert_eq!(tags(end).await, [("v1".to_owned(), one.digest())]);
    assert_eq!(manifests(end).await.len(), 1);
}

/// `manifest_write`, `tag_delete`: of two tags of one image.
pub async fn a_tag_moves_and_goes(end: &dyn ImageEnd) {
    made(end).await;
    let (one, two) = (image("one"), image("two"));
    one.push(end, &["v1", "latest"]).await;
    two.push(end, &["latest"]).await;
    assert_eq!(tags(end).await, [("latest".to_owned(), two.digest()), ("v1".to_owned(), one.digest())]);
    two.push(end, &["other"]).await;
    for _ in 0..2 {
        end.tag_delete("latest").await.expect("it goes");
    }
    assert_eq!(tags(end).await, [("other".to_owned(), two.digest()), ("v1".to_owned(), one.digest())]);
}

/// `manifest_delete`: with its tags, and not before what names it.
pub async fn what_an_index_names_goes_after_it(end: &dyn ImageEnd) {
    made(end).await;
    let one = image("one");
    let over = index(&[&one]);
    one.push(end, &["one"]).await;
    over.push(end, &["over"]).await;
    // Some registries let it go all the same.
    if let Err(error) = end.manifest_delete(&one.digest()).await {
        assert!(matches!(error, EndError::Refused { .. }), "{error:?}");
    }
    for sample in [&over, &one, &one] {
        end.manifest_delete(&sample.digest()).await.expect("it goes");
    }
    assert_eq!(entries(end).await.len(), 0);
}

/// Reads: `None`.
pub async fn what_is_not_there_is_none(end: &dyn ImageEnd) {
    made(end).await;
    assert!(end.takes(Algorithm::Sha256));
    let nowhere = Digest::sha256_of(b"nowhere");
    assert_eq!(end.manifest_read(&nowhere).await.expect("it is looked up"), None);
    assert_eq!(end.blob_size(&nowhere).await.expect("it is looked up"), None);
    assert!(end.blob_read(&nowhere).await.expect("it is looked up").is_none());
    assert_eq!(end.referrers(&nowhere).await.expect("they are looked up"), []);
}
