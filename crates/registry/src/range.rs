//! The two range headers: `Range` of a download (RFC 9110, section 14.2) and `Content-Range` of an upload's chunk
//! (distribution specification, "Pushing a blob in chunks", where it has no unit).

/// Which bytes of a blob a download gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All.
    Whole,
    /// From the first to the last of these, both included.
    Part { first: u64, last: u64 },
    /// What was asked for is not there.
    Unsatisfiable,
}

/// Reads a `Range` header for content of `size` bytes. A unit other than bytes, or several ranges, get the whole
/// content, which the standard leaves to us; a malformed range of bytes is refused as unsatisfiable (RFC 9110, 14.1.1
/// allows it, the conformance suite wants it).
pub(crate) fn wanted(header: &str, size: u64) -> Wanted {
    let Some((unit, set)) = header.split_once('=') else { return Wanted::Unsatisfiable };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Wanted::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Wanted::Unsatisfiable };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last && first < size => Wanted::Part { first, last: last.min(size - 1) },
        (Some(first), None) if last.is_empty() && first < size => Wanted::Part { first, last: size - 1 },
        (None, Some(count)) if first.is_empty() && count > 0 && size > 0 => {
            Wanted::Part { first: size.saturating_sub(count), last: size - 1 }
        }
        _ => Wanted::Unsatisfiable,
    }
}

/// Reads a chunk's `Content-Range`: `first-last`, or the standard's `bytes first-last/total`. `None` when it is
/// neither.
pub(crate) fn chunk(header: &str) -> Option<(u64, u64)> {
    let header = header.trim();
    let header = header.strip_prefix("bytes").map_or(header, |rest| rest.trim_start_matches([' ', '=']));
    let range = header.split_once('/').map_or(header, |(range, _)| range);
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

/// Digits only: `parse` alone would take a `+`. Numbers past `u64` are as good as its end for a range.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn download_ranges() {
        let part = |first, last| Wanted::Part { first, last };
        for (header, size, want) in [
            ("bytes=500-1499", 2048, part(500, 1499)),
            ("bytes=500-", 2048, part(500, 2047)),
            ("bytes=-500", 2048, part(1548, 2047)),
            ("bytes=-5000", 2048, part(0, 2047)),
            ("bytes=2000-5000", 2048, part(2000, 2047)),
            ("bytes=0-0", 1, part(0, 0)),
            ("Bytes=0-99999999999999999999999", 10, part(0, 9)),
            ("bytes=500-0", 2048, Wanted::Unsatisfiable),
            ("bytes=5000-10000", 2048, Wanted::Unsatisfiable),
            ("bytes=2048-", 2048, Wanted::Unsatisfiable),
            ("bytes=-0", 2048, Wanted::Unsatisfiable),
            ("bytes=-5", 0, Wanted::Unsatisfiable),
            ("bytes=0-", 0, Wanted::Unsatisfiable),
            ("bytes=-", 9, Wanted::Unsatisfiable),
            ("bytes=+1-2", 9, Wanted::Unsatisfiable),
            ("bytes=a-b", 9, Wanted::Unsatisfiable),
            ("nonsense", 9, Wanted::Unsatisfiable),
            ("items=0-1", 9, Wanted::Whole),
            ("bytes=0-1,3-4", 9, Wanted::Whole),
        ] {
            assert_eq!(wanted(header, size), want, "{header} of {size}");
        }
    }

    #[test]
    fn chunk_ranges() {
        for (header, want) in [
            ("0-99", Some((0, 99))),
            ("bytes 100-199/1000", Some((100, 199))),
            ("bytes=5-6", Some((5, 6))),
            ("9-0", None),
            ("5", None),
            ("-5", None),
            ("5-", None),
            ("", None),
            ("x-y", None),
        ] {
            assert_eq!(chunk(header), want, "{header}");
        }
    }
}
