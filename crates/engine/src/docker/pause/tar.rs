//! Writing a small tar archive (POSIX.1-1988 `ustar`), enough for a layer with a few files.

/// An archive of files: path, mode, content. Paths are shorter than 100 bytes.
pub(super) fn archive(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut all = Vec::new();
    for (path, mode, content) in files {
        all.extend(header(path, *mode, content.len()));
        all.extend(*content);
        all.resize(all.len().next_multiple_of(512), 0);
    }
    // Two empty blocks end the archive.
    all.resize(all.len() + 1024, 0);
    all
}

fn header(path: &str, mode: u32, size: usize) -> [u8; 512] {
    let mut block = [0_u8; 512];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, path);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000"); // owner
    put(116, "0000000"); // group
    put(124, &format!("{size:011o}"));
    put(136, "00000000000"); // time: always the same bytes
    put(148, "        "); // counts as blanks in its own sum
    put(156, "0"); // a file
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    block[148..156].copy_from_slice(sum.as_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_whole_blocks_with_a_right_sum() {
        let archive = archive(&[("pause", 0o755, b"hello")]);
        assert_eq!(archive.len(), 512 * 4);
        assert_eq!(&archive[..5], b"pause");
        assert_eq!(&archive[512..517], b"hello");
        let written = std::str::from_utf8(&archive[148..154]).expect("octal digits");
        let mut header = archive[..512].to_vec();
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(u32::from_str_radix(written, 8).expect("octal digits"), sum);
    }
}
