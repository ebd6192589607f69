//! The version that a program is, read from its bytes: one that is made into an image may be for another machine, and is not run.

/// What stands before the version in every `l0`. It ends in a byte that no text has, so that this very constant, which every `l0`
/// has too, is no version.
pub const MARK: &str = "layer0 executable of version ";

/// The longest version.
const VERSION_MAX: usize = 64;

/// The version of a program; `None` for one that is no `l0`.
#[must_use]
pub fn version_of(executable: &[u8]) -> Option<String> {
    let mark = MARK.as_bytes();
    let mut rest = executable;
    while let Some(at) = memchr(rest, mark) {
        rest = &rest[at + mark.len()..];
        let end = rest.iter().take(VERSION_MAX).position(|byte| *byte == b'\n');
        let version = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok());
        if let Some(version) = version.filter(|text| is_version(text)) {
            return Some(version.to_owned());
        }
    }
    None
}

/// Where a text begins in bytes.
fn memchr(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let first = *text.first()?;
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == first) {
        at += found;
        if bytes[at..].starts_with(text) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// "1.2.3", with a pre-release or build (Semantic Versioning 2.0.0).
fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_among_other_bytes() {
        let program =
            |text: &str| [b"\x7fELF\0l", MARK.as_bytes(), b"\0\xff", MARK.as_bytes(), text.as_bytes()].concat();
        assert_eq!(version_of(&program("1.20.3\n\0rest")).as_deref(), Some("1.20.3"));
        assert_eq!(version_of(&program("1.2.3-rc.1+4\n")).as_deref(), Some("1.2.3-rc.1+4"));
        for text in ["1.2\n", "1.2.x\n", "1.2.3", "\n", "1.2.3 4\n"] {
            assert_eq!(version_of(&program(text)), None, "{text:?}");
        }
        assert_eq!(version_of(b""), None);
    }
}
