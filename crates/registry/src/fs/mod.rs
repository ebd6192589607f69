//! Bytes as files, in the data directory: the port `BlobBytes` on a disk. Synchronous; callers are on blocking threads.
//!
//! | what | where |
//! |---|---|
//! | blobs | `blobs/<algorithm>/<two hex digits>/<hex>` |
//! | small blobs | `packs/<number>`, many in each |
//! | uploads that are not finished | `uploads/<name>` |
//! | that the names of these directories are on the disk | `synced-2` |
//!
//! An upload is its staged file: what it has is the file's length. So it survives a restart, `kill -9` included, once there is
//! something in it; before, there is no file, and whoever has begun it begins anew. What is in a staged file was never promised to anybody but through that length, which is asked again after a restart; it is not synced
//! before the end.

mod blobs;
mod content;
mod packs;
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
use self::packs::{PackPlace, Packs};
use self::upload::{FileUpload, Whereto};
use crate::disk::{Disk, found};

/// The mark of a start that has waited for the names of all directories that there are now. With another directory it gets another name.
const SYNCED: &str = "synced-2";

/// The largest blob that goes into a pack: what costs more to name than to write.
const PACKED_MAX: u64 = 256 << 10;

/// Pages of a list before those of the packs: the directories that files are spread over, of both algorithms.
const FANS: u64 = 2 * 256;

/// The bytes in a data directory. One process at a time may have one open.
pub struct FileBytes {
    uploads: PathBuf,
    to: Arc<Whereto>,
}

impl FileBytes {
    /// Whether there is one in this data directory already, whole: opening it makes nothing.
    #[must_use]
    pub fn is_in(data_dir: &Path) -> bool {
        let is_there = |directory: &str| data_dir.join("registry").join(directory).is_dir();
        is_there("uploads") && is_there("packs") && BlobFiles::are_in(&data_dir.join("registry/blobs"))
    }

    /// Opens `registry/` in a data directory, which is there, making what is missing.
    ///
    /// # Errors
    /// It can't be made or written to.
    pub fn open(data_dir: &Path, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let root = data_dir.join("registry");
        let (blobs, uploads, synced) = (root.join("blobs"), root.join("uploads"), root.join(SYNCED));
        let packs = root.join("packs");
        // That a directory is there does not say that its name is on the disk: the process that made it may have ended before. The
        // mark says so, and need not be on the disk itself: where it is missing all is synced once more.
        if disk.file_metadata(&synced).is_err() || !Self::is_in(data_dir) {
            disk.directory_make(&root)?;
            disk.directory_sync(data_dir)?;
            disk.directory_make(&blobs)?;
            disk.directory_make(&packs)?;
            disk.directory_make(&uploads)?;
            disk.directory_sync(&root)?;
            BlobFiles::make(&blobs, &*disk)?;
            // Without it, on a disk that is full, the next start only takes a little longer.
            disk.file_make(&synced).ok();
        }
        let blobs = Arc::new(BlobFiles::new(blobs, Arc::clone(&disk)));
        let packs = Arc::new(Packs::new(packs, Arc::clone(&disk)));
        Ok(Self { uploads, to: Arc::new(Whereto { disk, blobs, packs, packed_max: Some(PACKED_MAX) }) })
    }

    /// As [`FileBytes::open`], with each blob that comes from now on in a file of its own, as small as it may be.
    ///
    /// # Errors
    /// As [`FileBytes::open`].
    pub fn open_unpacked(data_dir: &Path, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let Self { uploads, to } = Self::open(data_dir, disk)?;
        let (disk, blobs, packs) = (Arc::clone(&to.disk), Arc::clone(&to.blobs), Arc::clone(&to.packs));
        Ok(Self { uploads, to: Arc::new(Whereto { disk, blobs, packs, packed_max: None }) })
    }

    /// Bytes of one page of a list: a directory's, or a pack's.
    fn page(&self, page: u64) -> io::Result<Vec<BlobPlace>> {
        if let Ok(fan) = u8::try_from(page) {
            return self.files(Algorithm::Sha256, fan);
        }
        match u8::try_from(page - FANS / 2) {
            Ok(fan) => self.files(Algorithm::Sha512, fan),
            Err(_) => {
                let number = u32::try_from(page - FANS).map_err(io::Error::other)?;
                Ok(self.to.packs.list(number)?.into_iter().map(PackPlace::words).collect())
            }
        }
    }

    fn files(&self, algorithm: Algorithm, fan: u8) -> io::Result<Vec<BlobPlace>> {
        Ok(self.to.blobs.list(algorithm, fan)?.iter().map(|it| BlobPlace::new(it.to_string())).collect())
    }
}

/// Where a place is.
enum At {
    File(Digest),
    Pack(PackPlace),
}

impl At {
    fn of(place: &BlobPlace) -> io::Result<Self> {
        match PackPlace::of(place) {
            Some(place) => Ok(Self::Pack(place)),
            None => digest(place).map(Self::File),
        }
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

    fn is_place(&self, place: &BlobPlace) -> bool {
        At::of(place).is_ok()
    }

    fn upload_begin(&self, upload: &str, _reach: Reach) -> io::Result<Box<dyn UploadBytes>> {
        Ok(Box::new(FileUpload::begun(Arc::clone(&self.to), self.uploads.join(upload))))
    }

    fn upload_begin_ready(&self, upload: &str) -> Option<Box<dyn UploadBytes>> {
        self.upload_begin(upload, Reach::Named).ok()
    }

    fn upload_find(&self, upload: &str) -> io::Result<Option<Box<dyn UploadBytes>>> {
        let path = self.uploads.join(upload);
        let Some(metadata) = found(self.to.disk.file_metadata(&path))? else { return Ok(None) };
        Ok(Some(Box::new(FileUpload::found(Arc::clone(&self.to), path, metadata.len()))))
    }

    fn upload_list(&self) -> io::Result<UploadList> {
        let mut seen = Vec::new();
        for entry in fs::read_dir(&self.uploads)? {
            let entry = entry?;
            let Ok(upload) = entry.file_name().into_string() else { continue };
            let metadata = fs::metadata(entry.path()).ok();
            let written = metadata.as_ref().and_then(|metadata| modified(metadata).ok());
            seen.push(UploadSeen { upload, written, bytes: metadata.map(|metadata| metadata.len()) });
        }
        Ok(UploadList { uploads: seen, now: None })
    }

    fn open(&self, place: &BlobPlace, source: Source) -> io::Result<Option<Box<dyn BlobContent>>> {
        match At::of(place)? {
            At::File(digest) => {
                let Some((file, length)) = self.to.blobs.open_blob(&digest)? else { return Ok(None) };
                if source == Source::Medium {
                    file.forget(0, None);
                }
                Ok(Some(Box::new(FileContent::blob(file, length, Arc::clone(&self.to.blobs), digest))))
            }
            At::Pack(place) => {
                let Some(content) = self.to.packs.open(place)? else { return Ok(None) };
                if source == Source::Medium {
                    content.forget();
                }
                Ok(Some(Box::new(content)))
            }
        }
    }

    fn open_ready(&self, place: &BlobPlace) -> Option<Box<dyn BlobContent>> {
        match At::of(place).ok()? {
            At::File(digest) => {
                let (file, length) = self.to.blobs.open_ready(&digest)?;
                Some(Box::new(FileContent::blob(file, length, Arc::clone(&self.to.blobs), digest)))
            }
            At::Pack(place) => Some(Box::new(self.to.packs.open_ready(place)?)),
        }
    }

    fn look(&self, place: &BlobPlace, look: Look) -> io::Result<Seen> {
        match At::of(place)? {
            At::File(digest) => self.to.blobs.metadata(&digest)?.map_or(Ok(Seen::Gone), |it| seen(&it)),
            At::Pack(place) => {
                let Some((length, metadata)) = self.to.packs.glance(place)? else { return Ok(Seen::Gone) };
                match look {
                    Look::Glance => Ok(Seen::There { length: Some(length), written: Some(modified(&metadata)?) }),
                    Look::Closely => Ok(match self.to.packs.written(place)? {
                        Some(written) => Seen::There { length: Some(length), written: Some(written) },
                        None => Seen::Gone,
                    }),
                }
            }
        }
    }

    fn look_ready(&self, place: &BlobPlace) -> Option<Seen> {
        match At::of(place).ok()? {
            At::File(digest) => seen(&self.to.blobs.metadata_ready(&digest)?).ok(),
            At::Pack(place) => {
                let (length, metadata) = self.to.packs.glance_ready(place)?;
                Some(Seen::There { length: Some(length), written: Some(modified(&metadata).ok()?) })
            }
        }
    }

    fn remove(&self, place: &BlobPlace) -> io::Result<()> {
        match At::of(place)? {
            At::File(digest) => self.to.blobs.remove(&digest),
            At::Pack(place) => self.to.packs.remove(place),
        }
    }

    /// A page is one of the directories that an algorithm's blobs are spread over, or a pack.
    fn list(&self, next: Option<&str>) -> io::Result<PlacePage> {
        let page = next.and_then(|next| next.parse().ok()).unwrap_or(0_u64);
        let places = self.page(page)?;
        let next = if page + 1 < FANS {
            Some(page + 1)
        } else {
            let packs = self.to.packs.numbers()?.into_iter().map(|number| FANS + u64::from(number));
            packs.into_iter().find(|pack| *pack > page)
        };
        Ok(PlacePage { places, next: next.map(|next| next.to_string()), now: None })
    }

    fn address(&self, _place: &BlobPlace, _valid: Duration) -> io::Result<Option<String>> {
        Ok(None)
    }
}
