//! Image references and repository names.
//!
//! The grammar is that of the distribution project's reference package: `[host/]path[:tag][@digest]`, where the first component is a
//! host when it holds a `.` or a `:` or is `localhost`, and something follows it. An [`ImageRef`] keeps what the user wrote; the
//! `canonical_*` methods answer whether two spellings mean the same image (`app`, `docker.io/library/app` and `index.docker.io/app`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::{Digest, DigestError, shorten};

pub(super) mod grammar;
mod repository;
#[cfg(test)]
mod tests;

pub(super) use grammar::{check_host, check_path, has_host_form};
pub use repository::{RepositoryName, RepositoryNameError};

/// Longest name (host and path together), in characters: `NameTotalLengthMax` of the reference grammar, and the limit of an ECS
/// container's `image` in its tag form.
pub const NAME_MAX: usize = 255;

/// The host that a reference without one means.
pub const DEFAULT_HOST: &str = "docker.io";

/// Where the default host keeps images whose name has one component only.
const OFFICIAL_OWNER: &str = "library";

/// The tag that is meant when neither tag nor digest is written.
const DEFAULT_TAG: &str = "latest";

/// An image reference as the user wrote it, known to be legal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageRef {
    host: Option<String>,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl ImageRef {
    /// Reads `[host/]path[:tag][@digest]`.
    ///
    /// # Errors
    /// [`ImageRefError`] names the part that is wrong and says what is legal there.
    pub fn parse(text: &str) -> Result<Self, ImageRefError> {
        if text.is_empty() {
            return Err(ImageRefError::Empty);
        }
        if let Some(bad) = text.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return Err(ImageRefError::WhiteSpace { image: shorten(text), character: bad });
        }
        if text.contains("://") {
            return Err(ImageRefError::Scheme(shorten(text)));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        if let Some(tag) = tag {
            grammar::check_tag(tag)?;
        }
        let (host, path) = split_host(name);
        if let Some(host) = host {
            check_host(host)?;
        }
        check_path(path)?;
        if name.len() > NAME_MAX {
            return Err(ImageRefError::TooLong { found: name.len() });
        }
        if host.is_none() && path.len() == 64 && path.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ImageRefError::ImageId);
        }
        Ok(Self { host: host.map(str::to_owned), path: path.to_owned(), tag: tag.map(str::to_owned), digest })
    }

    /// The host with its port as written; `None` means Docker Hub.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The path under the host, without tag and digest.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, when one was written.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, when one was written.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The tag to look up: the written one, or `latest` when there is neither tag nor digest.
    #[must_use]
    pub fn tag_or_default(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, Some(_)) => None,
            (None, None) => Some(DEFAULT_TAG),
        }
    }

    /// The same image pinned to `digest`: host and path stay, the tag goes.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { host: self.host.clone(), path: self.path.clone(), tag: None, digest: Some(digest) }
    }

    /// The same image at another registry host.
    ///
    /// # Errors
    /// [`ImageRefError`] when `host` is no host.
    pub fn with_host(&self, host: &str) -> Result<Self, ImageRefError> {
        let moved = Self { host: Some(host.to_owned()), ..self.clone() };
        let read = Self::parse(&moved.to_string())?;
        if read == moved {
            Ok(moved)
        } else {
            Err(ImageRefError::Host { host: host.to_owned(), reason: "it would not be read as a host" })
        }
    }

    /// The same tag and digest of another repository, given with its host.
    ///
    /// # Errors
    /// [`ImageRefError`] when that is no legal reference.
    pub fn with_repository(&self, repository: &str) -> Result<Self, ImageRefError> {
        let moved = Self::parse(repository)?;
        let moved = Self { tag: self.tag.clone(), digest: self.digest.clone(), ..moved };
        // A reference has a longest length, whatever it is put together from.
        Self::parse(&moved.to_string())
    }

    /// The same repository at `tag`: host and path stay, a digest goes.
    ///
    /// # Errors
    /// [`ImageRefError::Tag`] when `tag` is not a legal tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ImageRefError> {
        grammar::check_tag(tag)?;
        Ok(Self { host: self.host.clone(), path: self.path.clone(), tag: Some(tag.to_owned()), digest: None })
    }

    /// Host and path as written, without tag and digest.
    #[must_use]
    pub fn repository(&self) -> String {
        match &self.host {
            Some(host) => format!("{host}/{}", self.path),
            None => self.path.clone(),
        }
    }

    /// The host in its one spelling: lower case, and `docker.io` for every way to write Docker Hub.
    #[must_use]
    pub fn canonical_host(&self) -> String {
        canonical_host(self.host.as_deref())
    }

    /// The path in its one spelling: Docker Hub's one-component names get their `library/`.
    #[must_use]
    pub fn canonical_path(&self) -> String {
        if self.canonical_host() == DEFAULT_HOST && !self.path.contains('/') {
            format!("{OFFICIAL_OWNER}/{}", self.path)
        } else {
            self.path.clone()
        }
    }

    /// A key that is equal for two references exactly when they mean the same image: canonical host and path, the tag
    /// (`latest` when nothing is written) and the digest. For comparing, not for showing.
    #[must_use]
    pub fn canonical_key(&self) -> String {
        let mut key = format!("{}/{}", self.canonical_host(), self.canonical_path());
        if let Some(tag) = self.tag_or_default() {
            key.push(':');
            key.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            key.push('@');
            key.push_str(&digest.to_string());
        }
        key
    }
}

/// The one spelling of a host: see [`ImageRef::canonical_host`].
pub(super) fn canonical_host(host: Option<&str>) -> String {
    let Some(host) = host else {
        return DEFAULT_HOST.to_owned();
    };
    let host = host.to_ascii_lowercase();
    if host == "index.docker.io" {
        return DEFAULT_HOST.to_owned();
    }
    host
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        f.write_str(&self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageRef {
    type Err = ImageRefError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for ImageRef {
    type Error = ImageRefError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ImageRef> for String {
    fn from(image: ImageRef) -> Self {
        image.to_string()
    }
}

/// Splits the tag off: what follows the last `:` behind the last `/`.
fn split_tag(rest: &str) -> (&str, Option<&str>) {
    let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    match rest[name_start..].find(':') {
        Some(colon) => (&rest[..name_start + colon], Some(&rest[name_start + colon + 1..])),
        None => (rest, None),
    }
}

/// Splits the host off when the first of several components has the form of one.
fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, path)) if has_host_form(first) => (Some(first), path),
        _ => (None, name),
    }
}

/// Why a text is not an [`ImageRef`]. The texts are for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageRefError {
    /// Nothing was written.
    #[error("the image is empty; write [host/]path[:tag]")]
    Empty,
    /// There is a space, a line break or a control character.
    #[error("image {image:?} holds the character {character:?}; leave white space out")]
    WhiteSpace {
        /// What was written, shortened.
        image: String,
        /// The first such character.
        character: char,
    },
    /// It is a URL.
    #[error("image {0:?} is a URL; leave the part up to \"://\" out")]
    Scheme(String),
    /// The host is not a legal one.
    #[error("image host {host:?}: {reason}")]
    Host {
        /// The host as written.
        host: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The path holds upper-case letters.
    #[error("image path {path:?} must be lower case; write {suggestion:?}")]
    UpperCase {
        /// The path as written.
        path: String,
        /// The same in lower case.
        suggestion: String,
    },
    /// The path is not a legal one.
    #[error("image path {path:?}: {reason}")]
    Path {
        /// The path as written.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The tag is not a legal one.
    #[error(
        "image tag {0:?} is not legal: up to 128 letters, digits, underscores, periods and hyphens, the first no period or hyphen"
    )]
    Tag(String),
    /// The digest is not a legal one.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Host and path are too long together.
    #[error("image name has {found} characters; at most 255 are legal")]
    TooLong {
        /// Characters found.
        found: usize,
    },
    /// It looks like an image id, which no registry can serve.
    #[error("a name of 64 hex characters is an image id, not a name; write the image by name or by digest")]
    ImageId,
}
