//! What can go wrong in a request, and the one place where it becomes a status and a code of the distribution
//! specification (spec.md, "Error Codes").

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONNECTION, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::BoxError;
use layer0_domain::port::registry_store::RegistryStoreError;
use rustix::io::Errno;
use serde_json::json;

/// At most so many `MANIFEST_BLOB_UNKNOWN` entries in one answer: a manifest can name 37,000 blobs, and nobody reads
/// that.
pub(crate) const MISSING_SHOWN: usize = 100;

/// At most so many characters in one message. Some repeat what the client wrote, which can be all of a manifest: whatever it
/// was, the answer stays short.
const MESSAGE_SHOWN: usize = 400;

/// Why a request was not done. Messages are for the person at the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("{}", if *.tried {
        "this user and password or token are not good here, or have expired"
    } else {
        "sign in first: docker login, or a token that covers this repository"
    })]
    Unauthorized {
        challenge: HeaderValue,
        /// Whether the client tried to sign in.
        tried: bool,
    },
    /// The sentence that says what may not be done; docker prints it whole.
    #[error("{0}")]
    Denied(String),
    #[error("too many wrong credentials: wait {after_s} s before the next one")]
    Throttled { after_s: u64 },
    #[error("your right to this has ended while the content was on its way")]
    Ended { challenge: Option<HeaderValue> },
    #[error("the server can't look up who you are at the moment; try again")]
    Unavailable,
    #[error("{0}")]
    NameInvalid(String),
    #[error("repository {0} does not exist")]
    NameUnknown(RepositoryName),
    /// The sentence that tells what to do. Docker prints it whole and gives up at once for this code; for most others
    /// it tries five times, for 50 seconds, before it says anything.
    #[error("repository {0} does not exist; create it: l0 repository create {0}")]
    NotCreated(RepositoryName),
    /// The specification allows a name of one component, but no repository here can have one. So it is not invalid, it
    /// is unknown (and docker says so at once, see above).
    #[error("{0}")]
    NoOwner(String),
    #[error("blob {0} is not in this repository")]
    BlobUnknown(Digest),
    #[error("manifest {0} is not in this repository")]
    ManifestUnknown(String),
    /// Not in the repository, as far as clients are concerned, so that they push it again; but they are told why.
    #[error("blob {0} is damaged where the registry keeps it: push an image with it again")]
    BlobDamaged(Digest),
    #[error("manifest {0} is damaged in the registry's store: push the image again")]
    ManifestDamaged(Digest),
    #[error("blob {0} could not be read now; try again")]
    Unsteady(Digest),
    #[error("there is no such upload: it was finished, cancelled, or has expired")]
    UploadUnknown,
    #[error("another request is writing to this upload; wait for it to end, then ask for the upload's status")]
    UploadBusy,
    #[error("the chunk does not begin where the upload ends")]
    OutOfOrder { location: String, range: String },
    #[error("the blob has {size} bytes, none of them is in the range")]
    RangeUnsatisfiable { size: u64 },
    #[error("{0}")]
    DigestInvalid(String),
    #[error("the content has the digest {found}, not {wanted}")]
    DigestMismatch { wanted: Digest, found: Digest },
    #[error("{0}")]
    SizeInvalid(String),
    #[error("the manifest has more than {most} bytes")]
    ManifestTooLarge { most: usize },
    #[error("{0}")]
    ManifestInvalid(String),
    #[error("the manifest names content that the repository does not hold")]
    ContentMissing(Vec<Digest>),
    #[error("{0}")]
    PageInvalid(String),
    #[error("{0}")]
    BadRequest(String),
    #[error("there is nothing at this path of the registry")]
    PathUnknown,
    #[error("this path does not take that method")]
    Method { allow: &'static str },
    #[error("the client sent nothing for too long")]
    TooSlow,
    #[error("the request's body ended before its time")]
    BodyBroken,
    #[error("{0} is being moved to another registry: try again in a minute")]
    Moving(RepositoryName),
    #[error("the registry's disk is full: free some space or delete images, then push again")]
    Full,
    /// What the registry behind this one refuses, in its words.
    #[cfg(feature = "ecr")]
    #[error("{message}")]
    Behind { status: StatusCode, code: &'static str, message: String },
    /// What the upstream of a mirror answered, as what it is.
    #[error("{message}")]
    Upstream { status: StatusCode, code: &'static str, message: String, retry_after: Option<HeaderValue> },
    /// The registry behind this one, or the bucket, does not answer, is busy, or does not let this server in. Nothing that a
    /// client could do otherwise; trying again may help.
    #[error("the registry can't reach where its images lie; try again")]
    Away {
        #[source]
        source: BoxError,
    },
    #[error("the registry failed; its log says why")]
    Failed {
        #[source]
        source: BoxError,
    },
}

/// Whether there was no file descriptor left, in this process or in the system: that passes, and what was opened for is as it was.
fn is_short_of_files(error: &std::io::Error) -> bool {
    let known = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(known, Some(Errno::MFILE | Errno::NFILE))
}

/// Whether what was said of bytes that could not be read passes: there was no answer, no right, or nothing left to open them with. It
/// says nothing about the bytes, which may be read when the same is tried later.
#[must_use]
pub fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    let kinds = [
        ErrorKind::TimedOut,
        ErrorKind::WouldBlock,
        ErrorKind::ConnectionReset,
        ErrorKind::PermissionDenied,
        ErrorKind::OutOfMemory,
    ];
    kinds.contains(&error.kind()) || is_short_of_files(error)
}

impl RegistryError {
    /// A failure of where bytes lie; a full disk and what could not be reached told apart.
    pub(crate) fn from_io(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
            ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::ConnectionReset => {
                Self::Away { source: error.into() }
            }
            _ if is_short_of_files(&error) => Self::Away { source: error.into() },
            _ => Self::Failed { source: error.into() },
        }
    }

    /// Whether it says that something isn't there.
    pub(crate) fn is_missing(&self) -> bool {
        self.status_and_code().0 == StatusCode::NOT_FOUND
    }

    /// Whether it says that a manifest needs what is not there.
    pub(crate) fn is_content_missing(&self) -> bool {
        match self {
            Self::ContentMissing(_) => true,
            #[cfg(feature = "ecr")]
            Self::Behind { code, .. } => matches!(*code, "MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_INVALID"),
            _ => false,
        }
    }

    /// In the words of the store, for callers that are no clients of the registry.
    pub(crate) fn outside(self) -> RegistryStoreError {
        match self {
            Self::Full => RegistryStoreError::Full,
            Self::Failed { source } => RegistryStoreError::Failed { source },
            Self::Away { source } => RegistryStoreError::Failed { source },
            error => RegistryStoreError::Failed { source: error.into() },
        }
    }

    /// Why what somebody asked for is not done, for the log; `None` where it is not for what was asked. Where the words for the client
    /// repeat what it wrote, the code of the specification alone. It is one line.
    pub(crate) fn refusal(&self) -> Option<String> {
        let (status, code) = self.status_and_code();
        match self {
            Self::TooSlow | Self::BodyBroken => None,
            _ if !status.is_client_error() => None,
            Self::Denied(_)
            | Self::Ended { .. }
            | Self::NameUnknown(_)
            | Self::NotCreated(_)
            | Self::BlobUnknown(_)
            | Self::UploadUnknown
            | Self::UploadBusy
            | Self::OutOfOrder { .. }
            | Self::DigestMismatch { .. }
            | Self::ManifestTooLarge { .. }
            | Self::ContentMissing(_) => Some(self.to_string().replace(char::is_control, " ")),
            _ => Some(code.to_owned()),
        }
    }

    /// The only place that knows statuses and codes.
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized { .. } => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::Denied(_) => (StatusCode::FORBIDDEN, "DENIED"),
            Self::Ended { .. } => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Self::Throttled { .. } => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            // Not in the specification's list; the code that the distribution project uses for it.
            Self::Unavailable | Self::Unsteady(_) | Self::Moving(_) => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
            Self::NameInvalid(_) => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Self::NameUnknown(_) | Self::NotCreated(_) | Self::NoOwner(_) => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            Self::BlobUnknown(_) | Self::BlobDamaged(_) => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::ManifestUnknown(_) | Self::ManifestDamaged(_) => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Self::UploadUnknown => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
            Self::UploadBusy => (StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            Self::OutOfOrder { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            Self::RangeUnsatisfiable { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID"),
            Self::DigestInvalid(_) | Self::DigestMismatch { .. } => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Self::SizeInvalid(_) => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
            Self::ManifestTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            Self::ManifestInvalid(_) => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            Self::ContentMissing(_) => (StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
            // Not in the specification's list; the code that the distribution project uses for it.
            Self::PageInvalid(_) => (StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "UNSUPPORTED"),
            Self::PathUnknown => (StatusCode::NOT_FOUND, "UNSUPPORTED"),
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "BLOB_UPLOAD_INVALID"),
            // Docker shows no text of a 5xx, only the status line: "507 Insufficient Storage" says it.
            Self::Full => (StatusCode::INSUFFICIENT_STORAGE, "UNKNOWN"),
            #[cfg(feature = "ecr")]
            Self::Behind { status, code, .. } => (*status, code),
            Self::Upstream { status, code, .. } => (*status, code),
            Self::Away { .. } => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
            Self::Failed { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
        }
    }

    /// Headers that belong to the answer.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut text = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        match self {
            Self::Unauthorized { challenge, .. } => {
                headers.insert(WWW_AUTHENTICATE, challenge.clone());
            }
            Self::OutOfOrder { location, range } => {
                text(LOCATION, location);
                text(RANGE, range);
            }
            Self::RangeUnsatisfiable { size } => text(CONTENT_RANGE, &format!("bytes */{size}")),
            Self::Method { allow } => text(ALLOW, allow),
            Self::Throttled { after_s } => text(RETRY_AFTER, &after_s.to_string()),
            Self::Upstream { retry_after: Some(after), .. } => {
                headers.insert(RETRY_AFTER, after.clone());
            }
            // What still comes is not wanted, and may come for hours.
            Self::Ended { challenge } => {
                text(CONNECTION, "close");
                if let Some(challenge) = challenge {
                    headers.insert(WWW_AUTHENTICATE, challenge.clone());
                }
            }
            _ => {}
        }
        headers
    }
}

impl From<RegistryStoreError> for RegistryError {
    fn from(error: RegistryStoreError) -> Self {
        match error {
            RegistryStoreError::RepositoryMissing(name) => Self::NameUnknown(name),
            RegistryStoreError::ContentMissing { missing } => Self::ContentMissing(missing),
            RegistryStoreError::Full => Self::Full,
            error @ (RegistryStoreError::QuotaExceeded { .. }
            | RegistryStoreError::TagImmutable { .. }
            | RegistryStoreError::Refused { .. }) => Self::Denied(error.to_string()),
            // These two answer calls that no request of this crate's routes makes without handling them.
            error @ (RegistryStoreError::RepositoryExists(_)
            | RegistryStoreError::RepositoryNotEmpty { .. }
            | RegistryStoreError::Failed { .. }) => Self::Failed { source: error.into() },
        }
    }
}

/// Logs what the operator must know; everything else is the client's business.
fn log(error: &RegistryError) {
    match error {
        RegistryError::Failed { source } => {
            let text = chain(source.as_ref());
            tracing::error!(error = text, "a registry request failed: {text}");
        }
        RegistryError::Away { source } => {
            let text = chain(source.as_ref());
            tracing::error!(error = text, "a registry request could not be passed on: {text}");
        }
        RegistryError::Full => tracing::error!("a push was refused: the disk is full"),
        _ => {}
    }
}

/// An error with what it came from.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// A message as it is sent: cut where it is too long.
fn shown(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_SHOWN) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

impl IntoResponse for RegistryError {
    fn into_response(self) -> Response {
        log(&self);
        let (status, code) = self.status_and_code();
        let errors = match &self {
            Self::ContentMissing(missing) => missing
                .iter()
                .take(MISSING_SHOWN)
                .map(|digest| json!({ "code": code, "message": format!("{self}: {digest}"), "detail": { "digest": digest.to_string() } }))
                .collect(),
            _ => vec![json!({ "code": code, "message": shown(&self.to_string()) })],
        };
        let mut response = (status, json!({ "errors": errors }).to_string()).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers());
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_have_no_descriptor_left_passes() {
        for errno in [Errno::MFILE, Errno::NFILE] {
            let error = RegistryError::from_io(errno.into());
            assert!(matches!(error, RegistryError::Away { .. }), "{error:?}");
        }
        assert!(matches!(RegistryError::from_io(Errno::IO.into()), RegistryError::Failed { .. }));
    }

    #[test]
    fn what_passes_is_told_from_what_was_lost() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::TIMEDOUT, Errno::AGAIN, Errno::CONNRESET, Errno::ACCESS] {
            assert!(is_passing(&errno.into()), "{errno:?}");
        }
        for errno in [Errno::IO, Errno::BADMSG, Errno::NOENT] {
            assert!(!is_passing(&errno.into()), "{errno:?}");
        }
    }

    #[test]
    fn a_refusal_repeats_nothing_that_the_client_wrote() {
        let said = |error: RegistryError| error.refusal();
        let words = "expected value at `hunter2`".to_owned();
        assert_eq!(said(RegistryError::ManifestInvalid(words)).as_deref(), Some("MANIFEST_INVALID"));
        assert_eq!(said(RegistryError::Denied("it is immutable".to_owned())).as_deref(), Some("it is immutable"));
        for fault in
            [RegistryError::Full, RegistryError::Unavailable, RegistryError::BodyBroken, RegistryError::TooSlow]
        {
            assert_eq!(fault.refusal(), None, "{fault}");
        }
    }

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(shown("short"), "short");
        let long = "é".repeat(MESSAGE_SHOWN);
        assert_eq!(shown(&long), long);
        assert_eq!(shown(&format!("{long}x")), format!("{long}…"));
    }
}
