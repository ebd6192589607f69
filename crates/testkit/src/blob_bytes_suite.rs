//! The contract of the port `BlobBytes`, one function for each behaviour. Whatever fulfils the port runs them all:
//!
//! ```ignore
//! layer0_testkit::blob_bytes_suite::run_all(async || Arc::new(MyBytes::empty())).await;
//! ```
//!
//! Each behaviour is shown on bytes of its own, where nothing lies when it begins. It runs on a thread that may block.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::port::blob_bytes::{BlobBytes, Look, Naming, Reach, Seen, Settling, Source};

/// One behaviour.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// What is promised.
    pub name: &'static str,
    /// Shows it; panics when the promise is broken. Blocks.
    pub show: fn(&dyn BlobBytes),
}

macro_rules! behaviours {
    ($($name:ident),+ $(,)?) => {
        &[$(Behaviour { name: stringify!($name), show: $name }),+]
    };
}

/// All behaviours.
pub const ALL: &[Behaviour] = behaviours![
    an_upload_becomes_a_blob,
    any_part_can_be_read,
    a_private_upload_becomes_a_blob,
    what_was_settled_is_found,
    what_was_settled_as_a_whole_is_completed,
    what_is_taken_back_is_gone,
    an_upload_can_be_read_again_before_it_is_a_blob,
    a_discarded_upload_is_gone,
    what_was_kept_is_not_discarded,
    uploads_are_listed,
    blobs_are_listed,
    a_removed_blob_is_gone,
    nothing_is_where_nothing_was_kept,
    places_are_named_by_who_says_so,
    an_upload_that_went_on_elsewhere_is_refreshed,
];

/// Shows every behaviour, each on bytes that `fresh` makes.
///
/// # Panics
/// When a promise is broken.
pub async fn run_all(fresh: impl AsyncFn() -> Arc<dyn BlobBytes>) {
    for behaviour in ALL {
        let bytes = fresh().await;
        let shown = tokio::task::spawn_blocking(move || (behaviour.show)(bytes.as_ref())).await;
        shown.unwrap_or_else(|_| panic!("{}", behaviour.name));
    }
}

/// More than a part of any that has parts.
const LARGE: usize = (9 << 20) + 17;

/// Bytes of which no two pieces are alike.
#[must_use]
pub fn content(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

const NAME: &str = "0123456789abcdef-01";

/// Pushes content in one go.
fn push(bytes: &dyn BlobBytes, upload: &str, content: &[u8]) -> BlobPlace {
    let mut upload = bytes.upload_begin(upload, Reach::Named).expect("it begins");
    for batch in content.chunks(1 << 20) {
        upload.append(batch).expect("it is taken");
    }
    upload.complete().expect("it is complete");
    upload.keep(&Digest::sha256_of(content)).expect("it is kept")
}

/// Reads all from an offset on.
fn read(bytes: &dyn BlobBytes, place: &BlobPlace, offset: u64, until: u64, most: usize) -> Vec<u8> {
    let open = bytes.open(place, Source::Any).expect("it can be opened").expect("it is there");
    let mut all = Vec::new();
    while offset + (all.len() as u64) < until {
        let room = usize::try_from(until - offset).unwrap_or(usize::MAX).saturating_sub(all.len());
        let at = offset + all.len() as u64;
        if open.read(&mut all, most.min(room), at, until).expect("it can be read") == 0 {
            break;
        }
    }
    all
}

fn is_gone(bytes: &dyn BlobBytes, place: &BlobPlace) -> bool {
    let read = match bytes.open(place, Source::Any).expect("a look") {
        None => true,
        Some(open) => {
            let read = open.read(&mut Vec::new(), 1, 0, 1);
            read.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        }
    };
    assert_eq!(read, bytes.look(place, Look::Closely).expect("a look") == Seen::Gone);
    read
}

fn places(bytes: &dyn BlobBytes) -> BTreeSet<BlobPlace> {
    let (mut all, mut next) = (BTreeSet::new(), None::<String>);
    loop {
        let page = bytes.list(next.as_deref()).expect("a list");
        for place in page.places {
            assert!(all.insert(place.clone()), "{place} is listed twice");
        }
        next = page.next;
        if next.is_none() {
            return all;
        }
    }
}

/// `append`, `complete`, `keep`, `open`: content of any length comes back as it was.
pub fn an_upload_becomes_a_blob(bytes: &dyn BlobBytes) {
    for (number, length) in [0, 1, 70_000, 8 << 20, LARGE].into_iter().enumerate() {
        let content = content(length);
        let place = push(bytes, &format!("{NAME}{number}"), &content);
        assert!(read(bytes, &place, 0, u64::MAX, 1 << 20) == content, "{length} bytes are others");
        match bytes.look(&place, Look::Closely).expect("a look") {
            Seen::There { length: Some(found), written: Some(_) } => assert_eq!(found, length as u64),
            seen => panic!("{seen:?}"),
        }
        assert_ne!(bytes.look(&place, Look::Glance).expect("a look"), Seen::Gone);
        let open = bytes.open(&place, Source::Medium).expect("it can be opened").expect("it is there");
        assert!(open.length().is_none_or(|found| found == length as u64));
        assert!(open.is_current().expect("a look"));
    }
}

/// `read`: from any offset, in any steps, back and forth.
pub fn any_part_can_be_read(bytes: &dyn BlobBytes) {
    let content = content(300_000);
    let place = push(bytes, NAME, &content);
    for (first, until, most) in [(0, 10, 3), (99_990, 100_010, 7), (299_999, 300_000, 5), (65_536, 262_144, 65_536)] {
        let found = read(bytes, &place, first, until, most);
        assert!(found == content[first as usize..until as usize], "{first}..{until} in steps of {most}");
    }
    let open = bytes.open(&place, Source::Any).expect("it can be opened").expect("it is there");
    for (offset, until) in [(100, u64::MAX), (50, 60), (50, 60), (200_000, u64::MAX), (299_998, 300_000)] {
        let mut found = Vec::new();
        let count = open.read(&mut found, 2, offset, until).expect("it can be read");
        assert!(count > 0 && found[..] == content[offset as usize..offset as usize + count], "at {offset}");
    }
    for offset in [300_000, 300_001, 1 << 40] {
        assert_eq!(open.read(&mut Vec::new(), 10, offset, u64::MAX).expect("the end is no error"), 0, "at {offset}");
    }
}

/// `upload_begin` for nobody else.
pub fn a_private_upload_becomes_a_blob(bytes: &dyn BlobBytes) {
    for (number, length) in [0, 100, LARGE].into_iter().enumerate() {
        let content = content(length);
        let mut upload = bytes.upload_begin(&format!("{NAME}{number}"), Reach::Private).expect("it begins");
        content.chunks(1 << 20).for_each(|batch| upload.append(batch).expect("it is taken"));
        assert_eq!(upload.length(), length as u64);
        upload.complete().expect("it is complete");
        let place = upload.keep(&Digest::sha256_of(&content)).expect("it is kept");
        assert!(read(bytes, &place, 0, u64::MAX, 1 << 20) == content, "{length} bytes are others");
    }
}

/// `settle`, `upload_find`: chunks are found, and gone on with, by whoever finds the upload.
pub fn what_was_settled_is_found(bytes: &dyn BlobBytes) {
    let content = content(LARGE + 1000);
    let mut upload = bytes.upload_begin(NAME, Reach::Named).expect("it begins");
    // Another process goes on with one that has nothing in it; a later one need not find it.
    if bytes.naming() == Naming::Store {
        assert_eq!(bytes.upload_find(NAME).expect("a look").expect("it is there").length(), 0);
    }
    let mut before = 0;
    for end in [1, 1000, 1001, 8 << 20, (8 << 20) + 5, LARGE] {
        upload.append(&content[before..end]).expect("it is taken");
        upload.settle(Settling::Chunk).expect("it is settled");
        upload.rest();
        drop(upload);
        upload = bytes.upload_find(NAME).expect("a look").expect("it is there");
        assert_eq!(upload.length(), end as u64);
        before = end;
    }
    upload.append(&content[LARGE..]).expect("it is taken");
    upload.complete().expect("it is complete");
    let place = upload.keep(&Digest::sha256_of(&content)).expect("it is kept");
    assert!(read(bytes, &place, 0, u64::MAX, 1 << 20) == content, "the bytes are others");
    assert!(bytes.upload_find(NAME).expect("a look").is_none(), "it is over");
}

/// `settle` as a whole, `upload_find`: what is completed where nothing was appended is all.
pub fn what_was_settled_as_a_whole_is_completed(bytes: &dyn BlobBytes) {
    for (number, length) in [100, LARGE].into_iter().enumerate() {
        let (name, content) = (format!("{NAME}{number}"), content(length));
        let mut upload = bytes.upload_begin(&name, Reach::Named).expect("it begins");
        content.chunks(1 << 20).for_each(|batch| upload.append(batch).expect("it is taken"));
        upload.settle(Settling::Whole).expect("it is settled");
        drop(upload);
        let mut found = bytes.upload_find(&name).expect("a look").expect("it is there");
        let counted = usize::try_from(found.length()).expect("it fits");
        assert!(counted <= length);
        found.complete().expect("it is complete");
        assert_eq!(found.length(), length as u64);
        let place = found.keep(&Digest::sha256_of(&content)).expect("it is kept");
        assert!(read(bytes, &place, 0, u64::MAX, 1 << 20) == content, "the bytes are others");

        // And where it is gone on with from what is counted, that is all as well.
        let name = format!("{name}a");
        let mut upload = bytes.upload_begin(&name, Reach::Named).expect("it begins");
        content.chunks(1 << 20).for_each(|batch| upload.append(batch).expect("it is taken"));
        upload.settle(Settling::Whole).expect("it is settled");
        let mut found = bytes.upload_find(&name).expect("a look").expect("it is there");
        found.append(&content[counted..]).expect("it is taken");
        found.complete().expect("it is complete");
        let place = found.keep(&Digest::sha256_of(&content)).expect("it is kept");
        assert!(read(bytes, &place, 0, u64::MAX, 1 << 20) == content, "the bytes are others");
    }
}

/// `truncate`.
pub fn what_is_taken_back_is_gone(bytes: &dyn BlobBytes) {
    let mut upload = bytes.upload_begin(NAME, Reach::Named).expect("it begins");
    upload.append(b"hello nobody").expect("it is taken");
    upload.settle(Settling::Chunk).expect("it is settled");
    upload.truncate(6).expect("it is taken back");
    assert_eq!(upload.length(), 6);
    upload.append(b"world").expect("it is taken");
    upload.settle(Settling::Chunk).expect("it is settled");
    drop(upload);
    let mut upload = bytes.upload_find(NAME).expect("a look").expect("it is there");
    upload.complete().expect("it is complete");
    let place = upload.keep(&Digest::sha256_of(b"hello world")).expect("it is kept");
    assert_eq!(read(bytes, &place, 0, u64::MAX, 100), b"hello world");
}

/// `reread`.
pub fn an_upload_can_be_read_again_before_it_is_a_blob(bytes: &dyn BlobBytes) {
    let mut upload = bytes.upload_begin(NAME, Reach::Named).expect("it begins");
    upload.append(b"hello world").expect("it is taken");
    upload.settle(Settling::Whole).expect("it is settled");
    let mut upload = bytes.upload_find(NAME).expect("a look").expect("it is there");
    let again = upload.reread().expect("it can be read");
    let mut found = Vec::new();
    loop {
        let at = found.len() as u64;
        if again.read(&mut found, 4, at, u64::MAX).expect("it can be read") == 0 {
            break;
        }
    }
    assert_eq!(found, b"hello world");
    upload.complete().expect("it is complete");
    let place = upload.keep(&Digest::sha256_of(b"hello world")).expect("it is kept");
    assert_eq!(read(bytes, &place, 0, u64::MAX, 100), b"hello world");
}

/// `discard`: at any time before it is kept; again is no error.
pub fn a_discarded_upload_is_gone(bytes: &dyn BlobBytes) {
    for step in 0..4 {
        let name = format!("{NAME}{step}");
        let mut upload = bytes.upload_begin(&name, Reach::Named).expect("it begins");
        if step > 0 {
            upload.append(&content(100)).expect("it is taken");
            upload.settle(if step == 1 { Settling::Chunk } else { Settling::Whole }).expect("it is settled");
        }
        if step > 2 {
            upload.complete().expect("it is complete");
        }
        for _ in 0..2 {
            upload.discard().expect("it goes");
        }
        assert!(bytes.upload_find(&name).expect("a look").is_none(), "after {step} steps");
        assert!(bytes.upload_list().expect("a list").uploads.is_empty(), "after {step} steps");
        assert!(places(bytes).is_empty(), "after {step} steps: {:?}", places(bytes));
    }
}

/// `discard` after `keep`.
pub fn what_was_kept_is_not_discarded(bytes: &dyn BlobBytes) {
    let mut upload = bytes.upload_begin(NAME, Reach::Named).expect("it begins");
    upload.append(b"kept").expect("it is taken");
    upload.complete().expect("it is complete");
    let place = upload.keep(&Digest::sha256_of(b"kept")).expect("it is kept");
    upload.discard().expect("nothing is left to do");
    assert_eq!(read(bytes, &place, 0, u64::MAX, 100), b"kept");
}

/// `upload_list`: each that is not over, with a time, and with its size where that is known.
pub fn uploads_are_listed(bytes: &dyn BlobBytes) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_millis();
    let names = ["00-aa", "00-bb", "00-cc"];
    for name in names {
        let mut upload = bytes.upload_begin(name, Reach::Named).expect("it begins");
        upload.append(b"some").expect("it is taken");
        upload.settle(Settling::Chunk).expect("it is settled");
    }
    bytes.upload_find("00-bb").expect("a look").expect("it is there").discard().expect("it goes");
    let listed = bytes.upload_list().expect("a list").uploads;
    let found: BTreeSet<&str> = listed.iter().map(|seen| seen.upload.as_str()).collect();
    assert_eq!(found, BTreeSet::from(["00-aa", "00-cc"]));
    for seen in &listed {
        let written = seen.written.expect("nobody takes it away").0;
        // Whole seconds are enough.
        assert!(written + 2_000 > i64::try_from(since).expect("it fits"), "{seen:?}");
        assert!(seen.bytes.is_none_or(|bytes| bytes == 4), "{seen:?}");
    }
}

/// `list`: each place once, page by page.
pub fn blobs_are_listed(bytes: &dyn BlobBytes) {
    assert!(places(bytes).is_empty());
    let kept: BTreeSet<BlobPlace> =
        (0..120).map(|number| push(bytes, &format!("{NAME}{number}"), format!("blob {number}").as_bytes())).collect();
    assert_eq!(places(bytes), kept);
}

/// `remove`; again is no error.
pub fn a_removed_blob_is_gone(bytes: &dyn BlobBytes) {
    let (gone, stays) = (push(bytes, "00-aa", b"gone"), push(bytes, "00-bb", b"stays"));
    for _ in 0..2 {
        bytes.remove(&gone).expect("it goes");
    }
    assert!(is_gone(bytes, &gone));
    assert_eq!(read(bytes, &stays, 0, u64::MAX, 100), b"stays");
    assert_eq!(places(bytes), BTreeSet::from([stays]));
}

/// `open`, `look`, `upload_find`: nothing is nothing.
pub fn nothing_is_where_nothing_was_kept(bytes: &dyn BlobBytes) {
    let place = push(bytes, NAME, b"gone");
    bytes.remove(&place).expect("it goes");
    assert!(is_gone(bytes, &place));
    assert!(bytes.upload_find("00-unknown").expect("a look").is_none());
    assert!(bytes.upload_list().expect("a list").uploads.is_empty());
}

/// `naming`, `place_of`, `keep`.
pub fn places_are_named_by_who_says_so(bytes: &dyn BlobBytes) {
    let digest = Digest::sha256_of(b"blob");
    let (first, second) = (push(bytes, "00-aa", b"blob"), push(bytes, "00-bb", b"blob"));
    match bytes.naming() {
        Naming::Digest => {
            let said = bytes.place_of(&digest).expect("its digest says it");
            assert_ne!(bytes.place_of(&Digest::sha256_of(b"other")), Some(said.clone()));
            // What lies elsewhere lies there alone.
            assert_eq!(first == second, first == said);
            if first != said {
                bytes.remove(&first).expect("it goes");
            }
            assert_eq!(read(bytes, &second, 0, u64::MAX, 100), b"blob");
        }
        Naming::Store => {
            assert_eq!(bytes.place_of(&digest), None);
            assert_ne!(first, second);
            bytes.remove(&first).expect("it goes");
            assert_eq!(read(bytes, &second, 0, u64::MAX, 100), b"blob");
        }
    }
}

/// `refresh`: what another process has settled is seen; what only this one has stays.
pub fn an_upload_that_went_on_elsewhere_is_refreshed(bytes: &dyn BlobBytes) {
    if bytes.naming() == Naming::Digest {
        return;
    }
    let content = content(LARGE);
    let mut here = bytes.upload_begin(NAME, Reach::Named).expect("it begins");
    here.append(&content[..1000]).expect("it is taken");
    here.settle(Settling::Chunk).expect("it is settled");
    assert!(!here.refresh().expect("a look"), "nobody else wrote");
    let mut there = bytes.upload_find(NAME).expect("a look").expect("it is there");
    there.append(&content[1000..5000]).expect("it is taken");
    there.settle(Settling::Chunk).expect("it is settled");
    assert!(here.refresh().expect("a look"), "somebody wrote");
    assert_eq!(here.length(), 5000);
    here.append(&content[5000..]).expect("it is taken");
    here.settle(Settling::Chunk).expect("it is settled");
    assert!(there.refresh().expect("a look"), "somebody wrote");
    assert_eq!(there.length(), LARGE as u64);
    there.complete().expect("it is complete");
    let place = there.keep(&Digest::sha256_of(&content)).expect("it is kept");
    assert!(read(bytes, &place, 0, u64::MAX, 1 << 20) == content, "the bytes are others");
    let over = here.refresh();
    assert!(over.is_err_and(|error| error.kind() == io::ErrorKind::NotFound), "it is over");
}
