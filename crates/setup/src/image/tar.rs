//! A tar archive in the POSIX format (`ustar`, POSIX.1-1988, "Extended tar Format"), as far as a layer needs it: directories
//! and files with short names. The same entries give the same bytes.

/// The unit of an archive.
const BLOCK: usize = 512;
/// The most bytes of a name in a header.
const NAME_MAX: usize = 100;

/// What an archive holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Its path, without a `/` before it.
    pub(super) path: &'a str,
    /// Its permissions.
    pub(super) mode: u32,
    /// Whose it is, user and group.
    pub(super) owner: u32,
    /// A file's bytes; `None` for a directory.
    pub(super) content: Option<&'a [u8]>,
}

/// The archive of these, in their order.
pub(super) fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    let size = entries.iter().map(|entry| 2 * BLOCK + entry.content.map_or(0, <[u8]>::len)).sum::<usize>();
    let mut bytes = Vec::with_capacity(size + 2 * BLOCK);
    for entry in entries {
        bytes.extend_from_slice(&header(entry));
        if let Some(content) = entry.content {
            bytes.extend_from_slice(content);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
    }
    // Two blocks of zeros end an archive.
    bytes.resize(bytes.len() + 2 * BLOCK, 0);
    bytes
}

fn header(entry: &Entry<'_>) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    debug_assert!(entry.path.len() <= NAME_MAX, "{}", entry.path);
    let size = entry.content.map_or(0, <[u8]>::len);
    put(0, entry.path);
    put(100, &format!("{:07o}", entry.mode));
    put(108, &format!("{:07o}", entry.owner));
    put(116, &format!("{:07o}", entry.owner));
    put(124, &format!("{size:011o}"));
    // The beginning of time: the same bytes whenever they are made.
    put(136, &format!("{:011o}", 0));
    put(156, if entry.content.is_some() { "0" } else { "5" });
    put(257, "ustar");
    put(263, "00");
    // The sum is made with spaces in its own place.
    put(148, "        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn tar_reads_what_was_written() {
        let content = vec![7; BLOCK + 1];
        let entries = [
            Entry { path: "data/", mode: 0o700, owner: 10001, content: None },
            Entry { path: "l0", mode: 0o755, owner: 0, content: Some(&content) },
            Entry { path: "empty", mode: 0o644, owner: 0, content: Some(b"") },
        ];
        let bytes = archive(&entries);
        assert_eq!(bytes.len() % BLOCK, 0);
        assert_eq!(bytes, archive(&entries), "the same each time");
        let mut tar = Command::new("tar");
        tar.args(["--list", "--verbose", "--numeric-owner", "--utc"]);
        let mut tar = tar.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tar is there");
        tar.stdin.take().expect("a pipe").write_all(&bytes).expect("it reads");
        let said = tar.wait_with_output().expect("it ends");
        assert!(said.status.success());
        let text = String::from_utf8(said.stdout).expect("text");
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["drwx------", "10001/10001", "0", "1970-01-01", "00:00", "data/"]);
        assert_eq!(lines[1], ["-rwxr-xr-x", "0/0", "513", "1970-01-01", "00:00", "l0"]);
        assert_eq!(lines[2], ["-rw-r--r--", "0/0", "0", "1970-01-01", "00:00", "empty"]);
    }
}
