//! Bytes in a bucket of S3: the port `BlobBytes` for several servers at once (docs/decisions/0020-registry-in-s3.md).
//!
//! | object | what |
//! |---|---|
//! | `PREFIXblobs/<upload>/<chance>` | the bytes of a blob, when the store names it; else an upload on its way in, or a stray |
//! | `PREFIXblobs/<upload>/tail-<n>` | what a chunk has left after n parts, until the next one comes |
//! | `PREFIXowner` | the name of the store whose links lead here |
//!
//! ```text
//!   POST            CreateMultipartUpload           one that nobody learns the name of needs none before it has a part
//!   PATCH           UploadPart for each 8 MiB       and for the rest, or for the rest of a chunk PutObject as `tail-<n>`
//!   PUT ?digest=    UploadPart for the rest, CompleteMultipartUpload; then the store names the object
//! ```
//! - An object is written under its last key, and never copied. No key is used twice, so what a key holds never changes once it
//!   is complete.
//! - An upload is what S3 has of it: its parts are listed where it is found again. What a server has in memory is the beginning of
//!   the next part, which S3 takes only when it is a part's size or the last one.
//! - S3 compares a CRC-32C of each part and object with what came; what it hands out is compared here, as from a disk.
//! - Ages are reckoned by the clock of S3, which dates what is there: a machine whose clock is wrong takes nothing young for a stray.
//! - Every call may be repeated, and none of them decides what is stored: the store's unit of work does, when all is there.

mod bucket;
mod content;
mod upload;

use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use aws_sdk_s3::Client as S3Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig};
use aws_types::SdkConfig;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::port::blob_bytes::{
    BlobBytes, BlobContent, Look, Naming, PlacePage, Reach, Seen, Source, UploadBytes, UploadList, UploadSeen,
};
use tokio::runtime::Handle;

use self::bucket::Bucket;
use self::content::S3Content;
use self::upload::{S3Upload, Waiting};

/// How long one try of a call may take, but for the one that completes an upload: 8 MiB at 280 KB/s.
const TRY_MAX: Duration = Duration::from_secs(30);
/// How long a call may take with all its tries.
const CALL_MAX: Duration = Duration::from_secs(90);
/// How long a connection may take to come about.
const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Tries of one call.
const TRIES: u32 = 4;
/// How long an upload may go on. It must be less than the age at which the sweep takes what nobody names for a stray, by as much
/// as an end can take: S3 dates an object by when its upload began.
const UPLOAD_LIFE: Duration = Duration::from_secs(6 * 24 * 60 * 60);
/// An upload that was begun so recently is not asked for its parts, to see when the last one came.
const YOUNG: Duration = Duration::from_secs(60 * 60);

/// A client for a bucket. `path_style` puts the bucket's name into the path, as emulators want it.
#[must_use]
pub fn client(sdk: &SdkConfig, path_style: bool) -> S3Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .operation_attempt_timeout(TRY_MAX)
        .operation_timeout(CALL_MAX)
        .build();
    let config = aws_sdk_s3::config::Builder::from(sdk)
        .force_path_style(path_style)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
        // Ours are CRC-32C, reckoned with the crate that is here anyway; what comes back is checked piece by piece.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        // Whoever pulls may be slow, and a verification pauses.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    S3Client::from_conf(config)
}

/// Whose a bucket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is this store's, from now on or since earlier.
    Ours,
    /// It is another store's.
    Others,
}

/// The bytes in a bucket. Clones are the same.
#[derive(Clone)]
pub struct S3Bytes {
    bucket: Bucket,
    /// The object that says whose it is.
    owner: String,
    waiting: Arc<Waiting>,
}

impl S3Bytes {
    /// In this bucket, under keys that begin with `prefix`. Its calls wait on `runtime`, and must be made outside of it.
    #[must_use]
    pub fn new(client: S3Client, bucket: impl Into<String>, prefix: &str, runtime: Handle) -> Self {
        let prefix = match prefix.trim_end_matches('/') {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        let root = format!("{prefix}blobs/");
        let bucket = Bucket { client, name: bucket.into(), root, runtime, is_alone: false };
        Self { bucket, owner: format!("{prefix}owner"), waiting: Arc::default() }
    }

    /// The same where no other server uses the bucket: what an upload has become is nobody else's, and goes at once when it is refused.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.bucket.is_alone = true;
        self
    }

    /// Takes the bucket, from this prefix on, for the store of this name: what no link of it leads to is a stray, so two stores must
    /// never share one.
    ///
    /// # Errors
    /// It is not to be reached, or this server may not use it.
    pub fn claim(&self, store: &str) -> io::Result<Claim> {
        let owner = self.bucket.claim(&self.owner, store)?;
        Ok(if owner == store { Claim::Ours } else { Claim::Others })
    }

    /// Asks for the bucket once, so that a server that can't use it ends with a reason.
    ///
    /// # Errors
    /// It is not there, or not to be reached, or this server may not use it.
    pub fn check(&self) -> io::Result<()> {
        self.bucket.check()
    }
}

impl BlobBytes for S3Bytes {
    fn naming(&self) -> Naming {
        Naming::Store
    }

    fn place_of(&self, _digest: &Digest) -> Option<BlobPlace> {
        None
    }

    fn is_place(&self, _place: &BlobPlace) -> bool {
        true
    }

    fn upload_begin(&self, upload: &str, reach: Reach) -> io::Result<Box<dyn UploadBytes>> {
        let begun = S3Upload::begin(self.bucket.clone(), Arc::clone(&self.waiting), upload, reach)?;
        Ok(Box::new(begun))
    }

    fn upload_find(&self, upload: &str) -> io::Result<Option<Box<dyn UploadBytes>>> {
        let found = S3Upload::find(self.bucket.clone(), Arc::clone(&self.waiting), upload)?;
        Ok(found.map(|found| -> Box<dyn UploadBytes> { Box::new(found) }))
    }

    fn upload_list(&self) -> io::Result<UploadList> {
        let (all, date) = self.bucket.uploads("")?;
        let now = date.unwrap_or_else(bucket::now);
        let mut seen = Vec::new();
        for multipart in all {
            let Some((upload, _)) = multipart.place.split_once('/') else { continue };
            let young = now.0.saturating_sub(multipart.begun.0) < YOUNG.as_millis() as i64;
            let written = match young {
                true => Some(multipart.begun),
                false => match self.bucket.parts(&multipart.place, &multipart.id) {
                    Ok(parts) => Some(parts.iter().map(|part| part.written).max().unwrap_or(multipart.begun)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                    // One that can't be looked at hides no other.
                    Err(error) => {
                        tracing::warn!(error = %error, "the parts of old upload {upload} could not be listed");
                        None
                    }
                },
            };
            seen.push(UploadSeen { upload: upload.to_owned(), written, bytes: None });
        }
        Ok(UploadList { uploads: seen, now: date })
    }

    fn open(&self, place: &BlobPlace, _source: Source) -> io::Result<Option<Box<dyn BlobContent>>> {
        Ok(Some(Box::new(S3Content::new(self.bucket.clone(), place.as_str()))))
    }

    fn look(&self, place: &BlobPlace, look: Look) -> io::Result<Seen> {
        match look {
            Look::Glance => Ok(Seen::There { length: None, written: None }),
            Look::Closely => self.bucket.head(place.as_str()),
        }
    }

    fn remove(&self, place: &BlobPlace) -> io::Result<()> {
        self.bucket.delete(place.as_str())
    }

    fn list(&self, next: Option<&str>) -> io::Result<PlacePage> {
        self.bucket.list(next)
    }

    fn address(&self, place: &BlobPlace, valid: Duration) -> io::Result<Option<String>> {
        self.bucket.address(place.as_str(), valid).map(Some)
    }
}
