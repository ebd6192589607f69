//! The name of an upload.

use std::fmt;

use layer0_domain::model::digest::Digest;
use layer0_domain::model::image::RepositoryName;

/// Hex digits of chance: 128 bits, so that nobody can guess somebody else's upload.
const RANDOM: usize = 32;
/// Hex digits of the repository's mark.
const MARK: usize = 16;

/// The name of an upload, `<random>-<mark of the repository>`, and of its staged file.
///
/// The mark is the start of the SHA-256 of the repository's name. It binds the upload to its repository without any
/// other record, so that an upload survives a restart and a right to push to one repository opens no upload of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct UploadId(String);

impl UploadId {
    /// A new name out of random bytes.
    pub(crate) fn new(random: [u8; 32], repository: &RepositoryName) -> Self {
        let mut text: String = random.iter().take(RANDOM / 2).map(|byte| format!("{byte:02x}")).collect();
        text.push('-');
        text.push_str(&mark(repository));
        Self(text)
    }

    /// Reads a name that stands in an upload's path; `None` when it is none of this repository.
    pub(crate) fn parse(text: &str, repository: &RepositoryName) -> Option<Self> {
        let id = Self::parse_any(text)?;
        (text[RANDOM + 1..] == mark(repository)).then_some(id)
    }

    /// Reads the name of a staged file.
    pub(crate) fn parse_any(text: &str) -> Option<Self> {
        let (random, mark) = text.split_once('-')?;
        let hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        (hex(random, RANDOM) && hex(mark, MARK)).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn mark(repository: &RepositoryName) -> String {
    Digest::sha256_of(repository.as_str().as_bytes()).hex()[..MARK].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).expect("a legal name")
    }

    #[test]
    fn an_upload_belongs_to_one_repository() {
        let id = UploadId::new([7; 32], &name("team/app"));
        assert_eq!(UploadId::parse(id.as_str(), &name("team/app")), Some(id.clone()));
        assert_eq!(UploadId::parse(id.as_str(), &name("team/other")), None);
    }

    #[test]
    fn nothing_else_is_a_name() {
        for text in
            ["", "-", "../../etc/passwd", "0123", &"0".repeat(49), &format!("{}-{}", "G".repeat(32), "0".repeat(16))]
        {
            assert_eq!(UploadId::parse_any(text), None, "{text}");
        }
    }
}
