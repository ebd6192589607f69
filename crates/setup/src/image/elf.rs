//! What an executable needs of the system that it runs on (System V ABI, "Program Header").

use super::Architecture;

/// What it was built for, and whether it stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Executable {
    pub(super) architecture: Architecture,
    /// Whether it needs no program interpreter, and so no libraries.
    pub(super) is_static: bool,
}

/// The type of the segment that names the interpreter.
const PT_INTERP: u32 = 3;

/// Reads the headers; `None` for what is no 64-bit little-endian executable of a machine that Fargate has.
pub(super) fn read(bytes: &[u8]) -> Option<Executable> {
    let number = |at: usize, length: usize| -> Option<u64> {
        let part = bytes.get(at..at.checked_add(length)?)?;
        Some(part.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    };
    if bytes.get(..6)? != [0x7f, b'E', b'L', b'F', 2, 1] {
        return None;
    }
    let architecture = match number(18, 2)? {
        62 => Architecture::Amd64,
        183 => Architecture::Arm64,
        _ => return None,
    };
    let (first, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let mut is_static = true;
    for at in 0..count {
        let header = usize::try_from(first.checked_add(at.checked_mul(size)?)?).ok()?;
        is_static &= number(header, 4)? != u64::from(PT_INTERP);
    }
    Some(Executable { architecture, is_static })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_program_is_one_that_needs_libraries_unless_it_was_linked_with_them() {
        let own = std::fs::read(std::env::current_exe().expect("a path")).expect("it can be read");
        let executable = read(&own).expect("an executable");
        assert_eq!(executable.is_static, cfg!(target_feature = "crt-static"));
        let cut: Vec<_> = [0, 5, 40, 63].into_iter().map(|length| read(&own[..length])).collect();
        assert_eq!(cut, [None; 4]);
        assert_eq!(read(b"#!/bin/sh\n"), None);
    }
}
