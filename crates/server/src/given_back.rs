//! Memory that only the start needed.
//!
//! The system maps a file's pages sixteen or more at a time around each that is touched, and what a start runs through once is scattered
//! over the executable: two thirds of its code are mapped when the server begins to listen, and most of it is not run again. They are
//! pages of the file, which the system may take back by itself when it needs room; until then they are counted as ours.

use std::fs;
use std::ops::Range;

/// Has the system forget which pages of code and constants are mapped. What is needed again is mapped again, out of the file, which
/// is in memory. Where the system does not say what lies where, nothing is done.
pub(crate) fn mapped_at_the_start() {
    let Ok(maps) = fs::read_to_string("/proc/self/maps") else { return };
    for range in never_written(&maps, mapped_at_the_start as fn() as usize) {
        let start = std::ptr::with_exposed_provenance_mut(range.start);
        #[expect(unsafe_code, reason = "there is no safe call for it")]
        // SAFETY: the range is one private mapping of a file that may not be written and never was, so that each page is as it is in
        // the file, and what is mapped anew has the same bytes: the files of a process that runs can't be written to.
        let forgotten = unsafe { rustix::mm::madvise(start, range.len(), rustix::mm::Advice::LinuxDontNeed) };
        if let Err(why) = forgotten {
            tracing::debug!(error = %why, "what only the start needed stays mapped");
        }
    }
}

/// A line of `/proc/self/maps`: `55d0-55f0 r-xp 0076d000 fe:00 1234  /usr/bin/l0`.
struct Mapping<'a> {
    range: Range<usize>,
    rights: &'a str,
    offset: &'a str,
    path: &'a str,
}

impl<'a> Mapping<'a> {
    /// `None` for what is no file.
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (range, rights, offset, path) = (words.next()?, words.next()?, words.next()?, words.nth(2)?);
        let (start, end) = range.split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        path.starts_with('/').then_some(Self { range, rights, offset, path })
    }
}

/// What was mapped out of files and is as it is there: code, and the constants of the executable, in which `here` lies. They are where
/// its file begins; what is read-only further behind was written by the loader before it became so.
fn never_written(maps: &str, here: usize) -> Vec<Range<usize>> {
    let all: Vec<Mapping<'_>> = maps.lines().filter_map(Mapping::parse).collect();
    let Some(own) = all.iter().find(|it| it.rights == "r-xp" && it.range.contains(&here)) else { return vec![] };
    let constants =
        |it: &Mapping<'_>| it.rights == "r--p" && it.path == own.path && it.offset.bytes().all(|b| b == b'0');
    all.iter().filter(|it| it.rights == "r-xp" || constants(it)).map(|it| it.range.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
1000-2000 r--p 00000000 fe:00 1234        /usr/bin/l0
2000-4000 r-xp 00001000 fe:00 1234        /usr/bin/l0
4000-5000 r--p 00003000 fe:00 1234        /usr/bin/l0
5000-6000 rw-p 00004000 fe:00 1234        /usr/bin/l0
6000-7000 rw-p 00000000 00:00 0           [heap]
8000-9000 r--p 00000000 fe:00 99          /usr/lib/libc.so.6
9000-a000 r-xp 00001000 fe:00 99          /usr/lib/libc.so.6
a000-b000 rwxp 00002000 fe:00 99          /usr/lib/libc.so.6
b000-c000 r-xp 00000000 00:00 0           [vdso]
";

    #[test]
    fn only_what_is_as_in_the_file_is_forgotten() {
        assert_eq!(never_written(MAPS, 0x3000), [0x1000..0x2000, 0x2000..0x4000, 0x9000..0xa000]);
        assert_eq!(never_written(MAPS, 0x6800), [], "nothing is done where the code is not found");
        assert_eq!(never_written("what is this", 0x3000), []);
    }

    #[test]
    fn what_is_forgotten_is_there_when_it_is_needed() {
        let maps = fs::read_to_string("/proc/self/maps").expect("this is Linux");
        assert!(never_written(&maps, mapped_at_the_start as fn() as usize).len() >= 2);
        mapped_at_the_start();
        mapped_at_the_start();
        assert_eq!(format!("{:?}", [1.5, 2.0]), "[1.5, 2.0]");
    }
}
