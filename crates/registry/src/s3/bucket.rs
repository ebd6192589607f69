//! The calls of S3 that are made, and what their errors mean.

use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Config, ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::{ByteStream, DateTime, DateTimeFormat};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::base64;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use bytes::Bytes;
use layer0_domain::model::registry::BlobPlace;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::blob_bytes::{PlacePage, Seen};
use tokio::runtime::Handle;

/// How long one try of `CompleteMultipartUpload` may take: "several minutes", says the S3 API reference of it. What takes the limit
/// of other calls would be given up while S3 is still at work.
const COMPLETE_MAX: Duration = Duration::from_secs(10 * 60);

/// A bucket, and the way to it.
#[derive(Clone)]
pub(super) struct Bucket {
    pub(super) client: Client,
    pub(super) name: String,
    /// What all keys begin with; a place is what follows.
    pub(super) root: String,
    /// Where calls wait.
    pub(super) runtime: Handle,
    /// Whether no other server uses it.
    pub(super) is_alone: bool,
}

/// A part that S3 has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) number: i32,
    pub(super) tag: String,
    pub(super) size: u64,
    /// CRC-32C, as S3 has it.
    pub(super) sum: Option<String>,
    pub(super) written: Timestamp,
}

/// An upload that S3 has.
#[derive(Debug, Clone)]
pub(super) struct Multipart {
    pub(super) place: String,
    pub(super) id: String,
    pub(super) begun: Timestamp,
}

/// The time by this machine's clock.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn time(at: Option<&DateTime>) -> Timestamp {
    at.and_then(|at| at.to_millis().ok()).map_or(Timestamp(0), Timestamp)
}

/// When a call was answered, by the clock of S3: the `Date` of its answer, which the SDK does not hand out. Of several answers the
/// first one's.
#[derive(Debug, Clone, Default)]
struct AnswerDate(Arc<OnceLock<Timestamp>>);

impl AnswerDate {
    /// `None` when there was no such header, or none that can be read.
    fn get(&self) -> Option<Timestamp> {
        self.0.get().copied()
    }
}

#[dyn_dispatch_hint]
impl Intercept for AnswerDate {
    fn name(&self) -> &'static str {
        "AnswerDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let date = date.and_then(|date| DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?.to_millis().ok());
        if let Some(date) = date {
            self.0.get_or_init(|| Timestamp(date));
        }
        Ok(())
    }
}

/// CRC-32C as S3 writes it: base64 of its bytes, the highest first.
fn sum(bytes: &[u8]) -> String {
    base64::encode(crc32c::crc32c(bytes).to_be_bytes())
}

/// Codes by which S3 says that a call may succeed later (S3 API reference, "Error responses").
const LATER: [&str; 6] =
    ["SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted", "RequestLimitExceeded"];
/// Codes by which it says that something is not there.
const MISSING: [&str; 3] = ["NoSuchKey", "NoSuchUpload", "NotFound"];

/// Codes by which it says, with a status that others have too, that this caller gets nothing now, whatever is there.
const DENIED: [&str; 5] =
    ["ExpiredToken", "InvalidToken", "TokenRefreshRequired", "AuthorizationHeaderMalformed", "NoSuchBucket"];
/// What the codes begin with by which the key management service refuses what an object is encrypted with.
const KEYS: &str = "KMS.";

/// An error by what a caller can do.
fn fault<E>(op: &'static str, error: SdkError<E, HttpResponse>) -> io::Error
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let kind = match &error {
        SdkError::ServiceError(context) => {
            let (code, status) = (context.err().code().unwrap_or_default(), context.raw().status().as_u16());
            if MISSING.contains(&code) || (code.is_empty() && status == 404) {
                io::ErrorKind::NotFound
            } else if LATER.contains(&code) || status >= 500 || status == 429 {
                io::ErrorKind::TimedOut
            } else if status == 403 || DENIED.contains(&code) || code.starts_with(KEYS) {
                io::ErrorKind::PermissionDenied
            } else if status == 416 {
                io::ErrorKind::UnexpectedEof
            } else {
                io::ErrorKind::Other
            }
        }
        SdkError::ConstructionFailure(_) => io::ErrorKind::Other,
        // It did not answer, or not to the end.
        _ => io::ErrorKind::TimedOut,
    };
    io::Error::new(kind, format!("{op} of S3: {}", words(&error)))
}

/// What S3 said, or why it said nothing. Not the SDK's own text, which shows requests and answers whole.
fn words<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    if let SdkError::ServiceError(context) = error {
        let (status, code) = (context.raw().status().as_u16(), context.err().code().unwrap_or("no code"));
        return match context.err().message() {
            Some(message) => format!("{status} {code}: {message}"),
            None => format!("{status} {code}"),
        };
    }
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn incomplete(op: &str, what: &str) -> io::Error {
    io::Error::other(format!("{op} of S3: the answer has no {what}"))
}

/// What is not there is no error.
pub(super) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    crate::disk::found(result)
}

impl Bucket {
    /// Waits for a call, on a thread that may.
    pub(super) fn wait<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    /// Waits before a further try.
    pub(super) fn pause(&self, tries: u32) {
        self.wait(tokio::time::sleep(Duration::from_millis(50) * 2_u32.pow(tries)));
    }

    fn key(&self, place: &str) -> String {
        format!("{}{place}", self.root)
    }

    /// Writes the object that says whose the bucket is, unless there is one; answers what it says then.
    pub(super) fn claim(&self, key: &str, index: &str) -> io::Result<String> {
        for _ in 0..2 {
            let call = self.client.get_object().bucket(&self.name).key(key).send();
            match found(self.wait(call).map_err(|error| fault("GetObject", error)))? {
                Some(answer) => {
                    let bytes = self.wait(answer.body.collect()).map_err(io::Error::other)?.into_bytes();
                    return String::from_utf8(bytes.to_vec()).map_err(io::Error::other);
                }
                None => {
                    let call = self.client.put_object().bucket(&self.name).key(key).if_none_match("*");
                    let call = call.body(ByteStream::from(index.as_bytes().to_vec())).send();
                    // Somebody else may have been quicker, or the answer was lost: what is there now counts.
                    if let Err(error) = self.wait(call).map_err(|error| fault("PutObject", error))
                        && error.kind() == io::ErrorKind::PermissionDenied
                    {
                        return Err(error);
                    }
                }
            }
        }
        Err(io::Error::other(format!("{key} of the bucket can't be written and read")))
    }

    pub(super) fn check(&self) -> io::Result<()> {
        let call = self.client.head_bucket().bucket(&self.name).send();
        self.wait(call).map(drop).map_err(|error| fault("HeadBucket", error))
    }

    /// Begins an upload. The SDK does not repeat it: an answer that is lost leaves an upload under this key, so whoever tries again
    /// takes another one.
    pub(super) fn begin(&self, place: &str) -> io::Result<String> {
        let call = self.client.create_multipart_upload().bucket(&self.name).key(self.key(place));
        let once = Config::builder().retry_config(RetryConfig::disabled());
        let call = call.checksum_algorithm(ChecksumAlgorithm::Crc32C).customize().config_override(once).send();
        let answer = self.wait(call).map_err(|error| fault("CreateMultipartUpload", error))?;
        answer.upload_id.ok_or_else(|| incomplete("CreateMultipartUpload", "id"))
    }

    pub(super) fn part(&self, place: &str, id: &str, number: i32, bytes: Bytes) -> io::Result<Part> {
        let (size, sum) = (bytes.len() as u64, sum(&bytes));
        let call = self.client.upload_part().bucket(&self.name).key(self.key(place)).upload_id(id).part_number(number);
        let call = call.checksum_crc32_c(&sum).body(ByteStream::from(bytes)).send();
        let answer = self.wait(call).map_err(|error| fault("UploadPart", error))?;
        let tag = answer.e_tag.ok_or_else(|| incomplete("UploadPart", "tag"))?;
        Ok(Part { number, tag, size, sum: Some(sum), written: now() })
    }

    /// Makes an object of an upload. The SDK does not repeat it: whoever tries again must know whether an answer was lost before, since
    /// then it may be his own completion that he finds. Nor does it end it as soon as others: S3 may take minutes to put parts together,
    /// and sends white space meanwhile.
    pub(super) fn complete(&self, place: &str, id: &str, parts: &[&Part]) -> io::Result<()> {
        let completed = parts.iter().map(|part| {
            let completed = CompletedPart::builder().part_number(part.number).e_tag(&part.tag);
            completed.set_checksum_crc32_c(part.sum.clone()).build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(completed.collect())).build();
        let call = self.client.complete_multipart_upload().bucket(&self.name).key(self.key(place)).upload_id(id);
        let patient = TimeoutConfig::builder().operation_attempt_timeout(COMPLETE_MAX).operation_timeout(COMPLETE_MAX);
        let once = Config::builder().retry_config(RetryConfig::disabled()).timeout_config(patient.build());
        self.wait(call.multipart_upload(parts).customize().config_override(once).send())
            .map(drop)
            .map_err(|error| fault("CompleteMultipartUpload", error))
    }

    pub(super) fn abort(&self, place: &str, id: &str) -> io::Result<()> {
        let call = self.client.abort_multipart_upload().bucket(&self.name).key(self.key(place)).upload_id(id).send();
        found(self.wait(call).map_err(|error| fault("AbortMultipartUpload", error))).map(drop)
    }

    pub(super) fn put(&self, place: &str, bytes: Bytes) -> io::Result<()> {
        let call = self.client.put_object().bucket(&self.name).key(self.key(place)).checksum_crc32_c(sum(&bytes));
        self.wait(call.body(ByteStream::from(bytes)).send()).map(drop).map_err(|error| fault("PutObject", error))
    }

    pub(super) fn head(&self, place: &str) -> io::Result<Seen> {
        let call = self.client.head_object().bucket(&self.name).key(self.key(place)).send();
        let answer = found(self.wait(call).map_err(|error| fault("HeadObject", error)))?;
        Ok(match answer {
            None => Seen::Gone,
            Some(answer) => Seen::There {
                length: answer.content_length.and_then(|length| u64::try_from(length).ok()),
                written: answer.last_modified.as_ref().map(|at| time(Some(at))),
            },
        })
    }

    /// Begins to read at an offset, up to another one where that is known; `None` when there is nothing from there on.
    pub(super) async fn get(&self, place: &str, first: u64, until: u64) -> io::Result<Option<GetObjectOutput>> {
        let range = match until {
            u64::MAX => format!("bytes={first}-"),
            until => format!("bytes={first}-{}", until.saturating_sub(1)),
        };
        let call = self.client.get_object().bucket(&self.name).key(self.key(place)).range(range);
        match call.send().await.map_err(|error| fault("GetObject", error)) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn delete(&self, place: &str) -> io::Result<()> {
        let call = self.client.delete_object().bucket(&self.name).key(self.key(place)).send();
        found(self.wait(call).map_err(|error| fault("DeleteObject", error))).map(drop)
    }

    /// The uploads at places that begin so, and the time by S3's clock before they were listed.
    pub(super) fn uploads(&self, place: &str) -> io::Result<(Vec<Multipart>, Option<Timestamp>)> {
        let (mut all, mut key, mut id) = (Vec::new(), None, None);
        let date = AnswerDate::default();
        loop {
            let call = self.client.list_multipart_uploads().bucket(&self.name).prefix(self.key(place));
            let call = call.set_key_marker(key).set_upload_id_marker(id).customize().interceptor(date.clone()).send();
            let answer = self.wait(call).map_err(|error| fault("ListMultipartUploads", error))?;
            for upload in answer.uploads.unwrap_or_default() {
                let (Some(key), Some(id)) = (upload.key, upload.upload_id) else { continue };
                let Some(place) = key.strip_prefix(&self.root) else { continue };
                all.push(Multipart { place: place.to_owned(), id, begun: time(upload.initiated.as_ref()) });
            }
            (key, id) = (answer.next_key_marker, answer.next_upload_id_marker);
            if answer.is_truncated != Some(true) || key.is_none() {
                return Ok((all, date.get()));
            }
        }
    }

    /// The parts of an upload, in order.
    pub(super) fn parts(&self, place: &str, id: &str) -> io::Result<Vec<Part>> {
        let (mut all, mut marker) = (Vec::new(), None);
        loop {
            let call = self.client.list_parts().bucket(&self.name).key(self.key(place)).upload_id(id);
            let answer =
                self.wait(call.set_part_number_marker(marker).send()).map_err(|error| fault("ListParts", error))?;
            for part in answer.parts.unwrap_or_default() {
                let (Some(number), Some(tag), Some(size)) = (part.part_number, part.e_tag, part.size) else {
                    return Err(incomplete("ListParts", "number, tag or size of a part"));
                };
                let size = u64::try_from(size).unwrap_or_default();
                let written = time(part.last_modified.as_ref());
                all.push(Part { number, tag, size, sum: part.checksum_crc32_c, written });
            }
            marker = answer.next_part_number_marker;
            if answer.is_truncated != Some(true) || marker.is_none() {
                return Ok(all);
            }
        }
    }

    pub(super) fn list(&self, next: Option<&str>) -> io::Result<PlacePage> {
        let call = self.client.list_objects_v2().bucket(&self.name).prefix(&self.root);
        let date = AnswerDate::default();
        let call = call.set_continuation_token(next.map(str::to_owned)).customize().interceptor(date.clone()).send();
        let answer = self.wait(call).map_err(|error| fault("ListObjectsV2", error))?;
        let keys = answer.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
        let places = keys.filter_map(|key| key.strip_prefix(&self.root).map(BlobPlace::new)).collect();
        let next = answer.next_continuation_token.filter(|_| answer.is_truncated == Some(true));
        Ok(PlacePage { places, next, now: date.get() })
    }

    pub(super) fn address(&self, place: &str, valid: Duration) -> io::Result<String> {
        let valid = PresigningConfig::expires_in(valid).map_err(io::Error::other)?;
        let call = self.client.get_object().bucket(&self.name).key(self.key(place)).presigned(valid);
        let signed = self.wait(call).map_err(|error| fault("GetObject", error))?;
        Ok(signed.uri().to_owned())
    }
}
