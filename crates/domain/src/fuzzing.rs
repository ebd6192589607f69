//! What must hold for any bytes that somebody sends, as functions that panic where it does not. Fuzz targets call them with
//! what they invent (`fuzz/`), the tests below with what is kept in `fuzz/corpus`. Only with the feature `fuzzing`.

use std::fmt::Display;

use crate::model::digest::Digest;
use crate::model::image::{ImageRef, RepositoryName};
use crate::model::image_map::ImageMap;
use crate::model::task_definition::Document;

/// The most that an error may say, in bytes, whatever it is about. Escapes of a cut text make up most of it.
const SAID_MAX: usize = 2_000;

/// The most that an error of a document may say: a line for each problem that is told.
const ALL_SAID_MAX: usize = 200_000;

/// Does nothing with text that is no UTF-8: nobody can send one to what takes a `&str`.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[track_caller]
fn is_short(error: &impl Display, most: usize) {
    let said = error.to_string();
    assert!(!said.is_empty() && said.len() <= most, "an error of {} bytes", said.len());
}

/// Image references and repository names. What is read prints as it was written; names and tags that one grammar takes, the
/// other takes as well.
pub fn image(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match ImageRef::parse(text) {
        Ok(image) => {
            assert_eq!(image.to_string(), text);
            assert!(image.repository().len() <= crate::model::image::NAME_MAX);
            let pinned = image.with_digest(Digest::sha256_of(bytes));
            assert_eq!(ImageRef::parse(&pinned.to_string()).as_ref(), Ok(&pinned));
            if let Some(tag) = image.tag() {
                assert_eq!(pinned.with_tag(tag).map(|tagged| tagged.repository()), Ok(image.repository()));
            }
            let same = ImageRef::parse(&image.canonical_key()).map(|same| same.canonical_key());
            // The canonical form spells the host and the tag out, which can make a long name too long.
            assert!(same.as_ref() == Ok(&image.canonical_key()) || image.canonical_key().len() > 255, "{text}");
        }
        Err(error) => is_short(&error, SAID_MAX),
    }
    match RepositoryName::parse(text) {
        Ok(name) => {
            assert_eq!(name.as_str(), text);
            assert_eq!(format!("{}/{}", name.owner(), name.name()), text);
            let image = ImageRef::parse(&format!("h.example/{name}"));
            assert!(image.is_ok_and(|image| image.path() == text) || text.len() + 10 > 255, "{text}");
        }
        Err(error) => is_short(&error, SAID_MAX),
    }
}

/// The rules of an image map in the first line, an image in the second. What the map made of an image, it leaves alone.
pub fn image_map(bytes: &[u8]) {
    let Some((rules, image)) = text(bytes).and_then(|text| text.split_once('\n')) else { return };
    let map = match ImageMap::parse_list(rules) {
        Ok(map) => map,
        Err(error) => return is_short(&error, SAID_MAX),
    };
    assert_eq!(ImageMap::parse_list(&map.to_string()).as_ref(), Ok(&map), "{rules}");
    let Ok(image) = ImageRef::parse(image) else { return };
    match map.apply(&image) {
        Ok(mapped) => {
            assert_eq!((mapped.backing.tag(), mapped.backing.digest()), (image.tag(), image.digest()));
            let again = map.apply(&mapped.backing).map(|again| again.backing);
            assert_eq!(again.as_ref(), Ok(&mapped.backing), "{rules} {image}");
        }
        Err(error) => is_short(&error, SAID_MAX),
    }
}

/// Digests. What is read prints as it was written and holds nothing that means something in a path.
pub fn digest(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    match Digest::parse(text) {
        Ok(digest) => {
            assert_eq!(digest.to_string(), text);
            assert_eq!(digest.hex().len(), digest.algorithm().hex_len());
            assert!(digest.hex().bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
        Err(error) => is_short(&error, SAID_MAX),
    }
}

/// Task definitions. What is taken is taken again in its canonical form and in the predecessor's, and its containers have an
/// order in which they can be started.
pub fn task_definition(bytes: &[u8]) {
    match Document::parse(bytes) {
        Ok(document) => {
            let again = Document::from_canonical(document.canonical().clone());
            assert_eq!(again.as_ref(), Ok(&document));
            assert!(Document::parse(document.canonical().to_string().as_bytes()).is_ok());
            assert!(Document::from_canonical(document.pascal_case()).is_ok());
            let definition = document.definition();
            assert_eq!(definition.start_order().len(), definition.containers.len());
        }
        Err(error) => is_short(&error, ALL_SAID_MAX),
    }
}

#[cfg(test)]
mod tests {
    use layer0_testkit::corpus::replay;

    #[test]
    fn the_corpus_holds() {
        replay("image", super::image);
        replay("image_map", super::image_map);
        replay("digest", super::digest);
        replay("task_definition", super::task_definition);
    }
}
