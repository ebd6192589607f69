//! Where a registry keeps a blob on its disk, found from outside: for tests that damage it, or want it gone.

use std::fs;
use std::path::{Path, PathBuf};

use layer0_domain::model::digest::Digest;

/// Where records of a pack begin.
const BLOCK: usize = 4096;
/// What stands before the bytes of one.
const HEADER: usize = 64;

/// Where a blob's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// In this file.
    pub path: PathBuf,
    /// From here on.
    pub begin: usize,
    /// So many.
    pub length: usize,
}

impl Kept {
    /// Turns a byte in the middle into another one.
    ///
    /// # Panics
    /// The file is gone.
    pub fn rot(&self) {
        let mut bytes = fs::read(&self.path).expect("it is there");
        let at = self.begin + self.length / 2;
        bytes[at] = !bytes[at];
        // Into the same file: a server may have it open.
        let file = fs::File::options().write(true).open(&self.path).expect("it is ours");
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes[at..=at], at as u64).expect("it is written");
    }
}

/// Where a blob is below a data directory: in a file of its own, or in a pack.
///
/// # Panics
/// The digest is none, or a file can't be read.
#[must_use]
pub fn kept(data_dir: &Path, digest: &str) -> Option<Kept> {
    let digest = Digest::parse(digest).expect("a digest");
    let registry = data_dir.join("registry");
    let own = registry.join("blobs").join(digest.algorithm().as_str()).join(&digest.hex()[..2]).join(digest.hex());
    if let Ok(metadata) = fs::metadata(&own) {
        let length = usize::try_from(metadata.len()).expect("it is small");
        return Some(Kept { path: own, begin: 0, length });
    }
    let packs = fs::read_dir(registry.join("packs")).ok()?;
    packs.map(|pack| pack.expect("an entry").path()).find_map(|path| {
        // What is written while it is read here is found at the next look.
        let bytes = fs::read(&path).unwrap_or_default();
        let (begin, length) = in_pack(&bytes, &digest)?;
        Some(Kept { path, begin, length })
    })
}

fn in_pack(bytes: &[u8], digest: &Digest) -> Option<(usize, usize)> {
    let number = |at: usize| {
        let eight = bytes.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_le_bytes(eight)).ok()
    };
    let mut at = BLOCK;
    while at < bytes.len() {
        let begin = at + HEADER;
        let said = number(at + 16).filter(|offset| *offset == at).and_then(|_| number(at + 24));
        let blob = said.and_then(|length| bytes.get(begin..begin.checked_add(length)?));
        if blob.is_some_and(|blob| digest.algorithm().digest_of(blob) == *digest) {
            return Some((begin, blob?.len()));
        }
        at = (begin + blob.map_or(0, <[u8]>::len)).next_multiple_of(BLOCK);
    }
    None
}
