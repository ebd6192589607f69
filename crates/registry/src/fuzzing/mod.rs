//! What must hold for any bytes that a client sends, as functions that panic where it does not. Fuzz targets call them with
//! what they invent (`fuzz/`), the tests below with what is kept in `fuzz/corpus`. Only with the feature `fuzzing`.

mod answer;
mod request;
mod script;

use std::path::{Component, Path};

use axum::response::IntoResponse;
use futures_util::FutureExt;
use http::Method;
use http_body_util::BodyExt;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::{ImageRef, RepositoryName};

use self::answer::Answer;
use crate::error::RegistryError;
use crate::manifest::document::{Document, Kind};
use crate::path::Target;
use crate::range::{Wanted, chunk, wanted};
use crate::routes;
use crate::uploads::UploadId;

pub use self::request::World;

/// Paths under `/v2/`. What a path names and the grammars take leads nowhere but to itself.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some(target) = Target::parse(text) else { return };
    let (name, written) = match &target {
        Target::Base | Target::Catalog => return,
        Target::Uploads { name } => (name, "/blobs/uploads/".to_owned()),
        Target::Tags { name } => (name, "/tags/list".to_owned()),
        Target::Blob { name, digest } => match Digest::parse(digest) {
            Ok(digest) => (name, format!("/blobs/{digest}")),
            Err(_) => return,
        },
        Target::Referrers { name, digest } => match Digest::parse(digest) {
            Ok(digest) => (name, format!("/referrers/{digest}")),
            Err(_) => return,
        },
        Target::Manifest { name, reference } => match routes::reference(reference) {
            Ok(_) => {
                // The other grammar of tags, in the domain, takes the same.
                let separator = if reference.contains(':') { '@' } else { ':' };
                assert!(ImageRef::parse(&format!("a{separator}{reference}")).is_ok(), "{reference}");
                (name, format!("/manifests/{reference}"))
            }
            Err(error) => return is_short(error),
        },
        Target::Upload { name, id } => match UploadId::parse_any(id) {
            Some(id) => (name, format!("/blobs/uploads/{}", is_plain(id.as_str()))),
            None => return,
        },
    };
    match RepositoryName::parse(name) {
        Ok(name) => assert_eq!(Target::parse(&format!("/v2/{name}{written}")), Some(target)),
        Err(error) => assert!(error.to_string().len() < 4_000),
    }
}

/// A name that is one file in its directory, whatever the file system makes of names.
fn is_plain(name: &str) -> &str {
    let components: Vec<Component<'_>> = Path::new(name).components().collect();
    assert!(matches!(components.as_slice(), [Component::Normal(_)]), "{name}");
    name
}

/// A blob's size in the first line, the `Range` header of its download in the second. What is sent lies in the blob.
pub fn range(bytes: &[u8]) {
    let Some((size, header)) = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once('\n')) else { return };
    let Ok(size) = size.parse::<u64>() else { return };
    if let Wanted::Part { first, last } = wanted(header, size) {
        assert!(first <= last && last < size, "{first}-{last} of {size}");
    }
}

/// The `Content-Range` of an upload's chunk. What is read has bytes, and reads the same in both forms.
pub fn content_range(bytes: &[u8]) {
    let Ok(header) = std::str::from_utf8(bytes) else { return };
    let Some((first, last)) = chunk(header) else { return };
    assert!(first <= last);
    assert_eq!(chunk(&format!("{first}-{last}")), Some((first, last)));
    assert_eq!(chunk(&format!("bytes {first}-{last}/*")), Some((first, last)));
}

/// A manifest's `Content-Type` in the first line (empty: none), the manifest after it. What is taken is of a known kind,
/// names nothing twice, no size that a client can't hold, and is read the same again, as the store's copy is.
pub fn manifest(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (content_type, document) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let Ok(content_type) = std::str::from_utf8(content_type) else { return };
    let read = match Document::parse(document, Some(content_type).filter(|text| !text.is_empty())) {
        Ok(read) => read,
        Err(error) => return is_short(error),
    };
    assert!(Kind::of(&read.media_type).is_some());
    for list in [&read.blobs, &read.children] {
        let mut digests: Vec<&Digest> = list.iter().map(|descriptor| &descriptor.digest).collect();
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), list.len());
        assert!(list.iter().all(|descriptor| i64::try_from(descriptor.size).is_ok()));
    }
    let again = Document::parse(document, Some(&read.media_type)).expect("what was read once is read again");
    assert_eq!(format!("{read:?}"), format!("{again:?}"));
}

/// An error is one of the client's, and what is said of it does not grow with what was sent.
fn is_short(error: RegistryError) {
    let (parts, body) = error.into_response().into_parts();
    assert!(parts.status.is_client_error(), "{}", parts.status);
    let body = body.collect().now_or_never().expect("an error's body is there at once");
    let body = body.expect("an error's body is plain bytes").to_bytes();
    Answer { status: parts.status, headers: parts.headers, body }.judge_error(&Method::GET, "");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use layer0_store::SqliteStore;
    use layer0_testkit::corpus::replay;

    use super::*;

    #[test]
    fn the_corpus_of_the_parsers_holds() {
        replay("path", path);
        replay("range", range);
        replay("content_range", content_range);
        replay("manifest", manifest);
    }

    #[test]
    fn the_corpus_of_requests_holds() {
        let directory = tempfile::tempdir().expect("a directory");
        let world = World::new(Arc::new(SqliteStore::in_memory()), directory.path());
        replay("request", |script| world.run(script));
    }
}
