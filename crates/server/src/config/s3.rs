//! The bucket that images lie in.

use super::{ConfigError, Given};

/// A bucket of S3 for the bytes of the embedded registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct S3Config {
    /// Its name.
    pub(crate) bucket: String,
    /// What stands before all keys; empty for nothing.
    pub(crate) prefix: String,
    /// Whether clients are sent to S3 for blobs.
    pub(crate) redirect: bool,
}

impl S3Config {
    /// The one of the flags, which say that there is one.
    pub(super) fn load(find: &dyn Fn(&str, &[&str]) -> Option<Given>, asked: &Given) -> Result<Self, ConfigError> {
        if !cfg!(feature = "aws") {
            return Err(asked.wrong("is not built into this executable: build it with `--features aws`"));
        }
        let bucket = match find("s3_bucket", &["LAYER0_S3_BUCKET"]) {
            Some(given) if is_bucket(&given.text) => given.text,
            Some(given) => {
                return Err(given.wrong("is no bucket's name: 3 to 63 lower-case letters, digits, `-` and `.`"));
            }
            None => return Err(asked.wrong("has to know a bucket: `--s3-bucket NAME`")),
        };
        let prefix = match find("s3_prefix", &["LAYER0_S3_PREFIX"]) {
            Some(given) if !is_prefix(&given.text) => {
                return Err(given.wrong("is no beginning of keys: letters, digits, `-`, `_`, `.` and `/` between them"));
            }
            given => given.map(|given| given.text).unwrap_or_default(),
        };
        let redirect = match find("s3_redirect", &["LAYER0_S3_REDIRECT"]) {
            Some(given) => given.boolean()?,
            None => false,
        };
        Ok(Self { bucket, prefix, redirect })
    }
}

/// "Bucket naming rules" of the S3 User Guide, as far as a mistake shows.
fn is_bucket(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    (3..=63).contains(&text.len())
        && text.bytes().all(legal)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
        && !text.contains("..")
}

/// Characters that S3 calls safe in keys, in parts that are not empty.
fn is_prefix(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let text = text.strip_suffix('/').unwrap_or(text);
    text.is_empty()
        || text.split('/').all(|part| !part.is_empty() && part.bytes().all(legal) && part != ".." && part != ".")
}
