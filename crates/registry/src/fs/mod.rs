//! Bytes as files, in the data directory: the port `BlobBytes` on a disk. Synchronous; callers are on blocking threads.
//!
//! | what | where |
//! |---|---|
//! | blobs | `blobs/<algorithm>/<two hex digits>/<hex>` |
//! | uploads that are not finished | `uploads/<name>` |
//! | that the names of these directories are on the disk | `synced` |
//!
//! An upload is its staged file: what it has is the file's length. So it survives a restart, `kill -9` included. What is in a
//! staged file was never promised to anybody but through that length, which is asked again after a restart; it is not synced
//! before the end.

mod blobs;
mod content;
mod upload;

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use layer0_domain::model::digest::{Algorithm, Digest};
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::{
    BlobBytes, BlobContent, Look, Naming, PlacePage, Reach, Seen, Source, UploadBytes, UploadList, UploadSeen,
};

use self::blobs::BlobFiles;
use self::content::FileContent;
use self::upload::FileUpload;
use crate::disk::{Disk, found};

/// The bytes in a data directory. One process at a time may have one open.
pub struct FileBytes {
    disk: Arc<dyn Disk>,
    uploads: PathBuf,
    blobs: Arc<BlobFiles>,
}

impl FileBytes {
    /// Whether there is one in this data directory already, whole: opening it makes nothing.
    #[must_use]
    pub fn is_in(data_dir: &Path) -> bool {
        data_dir.join("registry/uploads").is_dir() && BlobFiles::are_in(&data_dir.join("registry/blobs"))
    }

    /// Opens `registry/` in a data directory, which is there, making what is missing.
    ///
    /// # Errors
    /// It can't be made or written to.
    pub fn open(data_dir: &Path, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let root = data_dir.join("registry");
        let (blobs, uploads, synced) = (root.join("blobs"), root.join("uploads"), root.join("synced"));
        // That a directory is there does not say that its name is on the disk: the process that made it may have ended before. The
        // mark says so, and need not be on the disk itself: where it is missing all is synced once more.
        if disk.file_metadata(&synced).is_err() || !Self::is_in(data_dir) {
            disk.directory_make(&root)?;
            disk.directory_sync(data_dir)?;
            disk.directory_make(&blobs)?;
            disk.directory_make(&uploads)?;
            disk.directory_sync(&root)?;
            BlobFiles::make(&blobs, &*disk)?;
            // Without it, on a disk that is full, the next start only takes a little longer.
            disk.file_make(&synced).ok();
        }
        let blobs = Arc::new(BlobFiles::new(blobs, Arc::clone(&disk)));
        Ok(Self { disk, uploads, blobs })
    }

    fn upload(&self, upload: &str, length: u64) -> Box<dyn UploadBytes> {
        let (disk, blobs) = (Arc::clone(&self.disk), Arc::clone(&self.blobs));
        Box::new(FileUpload::new(disk, blobs, self.uploads.join(upload), length))
    }
}

/// The digest that a place is.
fn digest(place: &BlobPlace) -> io::Result<Digest> {
    Digest::parse(place.as_str()).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

/// When a file was last written to.
fn modified(metadata: &Metadata) -> io::Result<Timestamp> {
    let since = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
}

fn seen(metadata: &Metadata) -> io::Result<Seen> {
    Ok(Seen::There { length: Some(metadata.len()), written: Some(modified(metadata)?) })
}

impl BlobBytes for FileBytes {
    fn naming(&self) -> Naming {
        Naming::Digest
    }

    fn place_of(&self, digest: &Digest) -> Option<BlobPlace> {
        Some(BlobPlace::new(digest.to_string()))
    }

    fn upload_begin(&self, upload: &str, _reach: Reach) -> io::Result<Box<dyn UploadBytes>> {
        self.disk.file_make(&self.uploads.join(upload))?;
        Ok(self.upload(upload, 0))
    }

    fn upload_find(&self, upload: &str) -> io::Result<Option<Box<dyn UploadBytes>>> {
        let metadata = found(self.disk.file_metadata(&self.uploads.join(upload)))?;
        Ok(metadata.map(|metadata| self.upload(upload, metadata.len())))
    }

    fn upload_list(&self) -> io::Result<UploadList> {
        let mut seen = Vec::new();
        for entry in fs::read_dir(&self.uploads)? {
            let entry = entry?;
            let Ok(upload) = entry.file_name().into_string() else { continue };
            let written = fs::metadata(entry.path()).and_then(|metadata| modified(&metadata)).ok();
            seen.push(UploadSeen { upload, written });
        }
        Ok(UploadList { uploads: seen, now: None })
    }

    fn open(&self, place: &BlobPlace, source: Source) -> io::Result<Option<Box<dyn BlobContent>>> {
        let digest = digest(place)?;
        let Some((file, length)) = self.blobs.open_blob(&digest)? else { return Ok(None) };
        if source == Source::Medium {
            file.forget();
        }
        Ok(Some(Box::new(FileContent::blob(file, length, Arc::clone(&self.blobs), digest))))
    }

    fn open_ready(&self, place: &BlobPlace) -> Option<Box<dyn BlobContent>> {
        let digest = digest(place).ok()?;
        let (file, length) = self.blobs.open_ready(&digest)?;
        Some(Box::new(FileContent::blob(file, length, Arc::clone(&self.blobs), digest)))
    }

    fn look(&self, place: &BlobPlace, _look: Look) -> io::Result<Seen> {
        match self.blobs.metadata(&digest(place)?)? {
            None => Ok(Seen::Gone),
            Some(metadata) => seen(&metadata),
        }
    }

    fn look_ready(&self, place: &BlobPlace) -> Option<Seen> {
        seen(&self.blobs.metadata_ready(&digest(place).ok()?)?).ok()
    }

    fn remove(&self, place: &BlobPlace) -> io::Result<()> {
        self.blobs.remove(&digest(place)?)
    }

    /// A page is one of the directories that an algorithm's blobs are spread over.
    fn list(&self, next: Option<&str>) -> io::Result<PlacePage> {
        let page = next.and_then(|next| next.parse().ok()).unwrap_or(0_u16);
        let [half, fan] = page.to_be_bytes();
        let algorithm = if half == 0 { Algorithm::Sha256 } else { Algorithm::Sha512 };
        let places = self.blobs.list(algorithm, fan)?.iter().map(|it| BlobPlace::new(it.to_string())).collect();
        let last = u16::from_be_bytes([1, u8::MAX]);
        Ok(PlacePage { places, next: (page < last).then(|| (page + 1).to_string()), now: None })
    }

    fn address(&self, _place: &BlobPlace, _valid: Duration) -> io::Result<Option<String>> {
        Ok(None)
    }
}
