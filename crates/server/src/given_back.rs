//! Memory that only the start needed.
//!
//! The system maps a file's pages sixteen at a time around each that is touched, and what a start runs through once is scattered over
//! the executable: two thirds of its code are mapped when the server begins to listen, and most of it is not run again. They are
//! pages of the file, which the system may take back by itself when it needs room; until then they are counted as ours.

use std::fs;

/// Has the system forget which pages of the executable's code are mapped. What is run again is mapped again, out of the file, which
/// is in memory. Where the system does not say where the code lies, nothing is done.
pub(crate) fn code_of_the_start() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    let here = code_of_the_start as fn() as usize;
    let Some(range) = maps.lines().filter_map(code).find(|range| range.contains(&here)) else { return };
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    #[expect(unsafe_code, reason = "there is no safe call for it")]
    // SAFETY: the range is one mapping of a file, private, and may be read and run but not written, so that each page is as it is in the
    // file, and what is mapped anew has the same bytes: an executable that runs can't be written to.
    let forgotten = unsafe { rustix::mm::madvise(start, range.len(), rustix::mm::Advice::LinuxDontNeed) };
    if let Err(why) = forgotten {
        tracing::debug!(error = %why, "the code of the start stays mapped");
    }
}

/// The range of a line of `/proc/self/maps` that is code out of a file: `55d0-55f0 r-xp 0076d000 fe:00 1234  /usr/bin/l0`.
fn code(line: &str) -> Option<std::ops::Range<usize>> {
    let mut words = line.split_ascii_whitespace();
    let (range, rights, path) = (words.next()?, words.next()?, words.nth(3)?);
    if rights != "r-xp" || !path.starts_with('/') {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_out_of_a_file_is_code() {
        assert_eq!(code("1000-3000 r-xp 0076d000 fe:00 1234        /usr/bin/l0"), Some(0x1000..0x3000));
        for other in [
            "1000-3000 r--p 00000000 fe:00 1234        /usr/bin/l0",
            "1000-3000 rwxp 00000000 fe:00 1234        /usr/bin/l0",
            "1000-3000 r-xp 00000000 00:00 0",
            "1000-3000 r-xp 00000000 00:00 0           [vdso]",
            "",
        ] {
            assert_eq!(code(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_forgotten_runs_on() {
        code_of_the_start();
        code_of_the_start();
        assert_eq!("still".len() + "here".len(), 9);
    }
}
