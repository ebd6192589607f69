//! Numbers of bytes as people write and read them: `500MB` is a power of 1000, `10GiB` one of 1024. Pure.

/// The units and their bytes.
const DECIMAL: [(&str, u64); 6] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("PB", 1_000_000_000_000_000),
];
/// As [`DECIMAL`], in powers of 1024.
const BINARY: [(&str, u64); 5] =
    [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("PiB", 1 << 50)];

/// The most digits behind the point that are read: more would be below a byte in the largest unit.
const FRACTION_MAX: usize = 15;

/// Reads `SIZE`: a whole number of bytes, or a number and a unit in any case. `10G` is refused: some programs mean 1000 by
/// it and some 1024, and a quota is no place to guess.
///
/// # Errors
/// What is wrong, with examples.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    const EXAMPLES: &str = "examples: 500MB, 10GiB, 2TB, or a number of bytes";
    let unfit = |why: &str| format!("{why} ({EXAMPLES})");
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim_start());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(fraction) || fraction.len() > FRACTION_MAX || number.ends_with('.') {
        return Err(unfit("not a size"));
    }
    let factor = if unit.is_empty() {
        1
    } else {
        let known = DECIMAL.iter().chain(&BINARY).find(|(name, _)| name.eq_ignore_ascii_case(unit));
        match known {
            Some((_, factor)) => *factor,
            None if matches!(unit, "k" | "K" | "m" | "M" | "g" | "G" | "t" | "T" | "p" | "P") => {
                let letter = unit.to_uppercase();
                return Err(format!("say {letter}B for powers of 1000 or {letter}iB for powers of 1024"));
            }
            None => return Err(unfit(&format!("`{unit}` is no unit"))),
        }
    };
    if factor == 1 && !fraction.is_empty() {
        return Err(unfit("bytes are whole"));
    }
    let too_large = || unfit("too large");
    let whole: u128 = whole.parse().map_err(|_| too_large())?;
    let below = fraction.bytes().fold(0_u128, |sum, digit| sum * 10 + u128::from(digit - b'0'));
    let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let bytes = whole
        .checked_mul(u128::from(factor))
        .and_then(|bytes| bytes.checked_add(below * u128::from(factor) / scale))
        .ok_or_else(too_large)?;
    i64::try_from(bytes).map_err(|_| too_large())
}

/// What a quota is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quota {
    /// As much as the disk takes.
    None,
    /// At most so many bytes.
    Bytes(i64),
}

impl Quota {
    /// Reads `SIZE` or `none`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(Quota::None) } else { parse(text).map(Quota::Bytes) }
    }
}

/// Bytes to a tenth, cut off, in powers of 1024.
pub(crate) fn rounded(bytes: u64) -> String {
    match BINARY.iter().rev().find(|(_, factor)| *factor <= bytes) {
        None => format!("{bytes} B"),
        // In tenths as a whole, since ten times the rest of a large one is beyond 64 bits.
        Some((unit, factor)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*factor);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

/// Bytes as somebody will have written them: in the largest unit of either kind that fits without a rest, else rounded.
pub(crate) fn exact(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| (2..=bytes).contains(factor) && bytes.is_multiple_of(*factor);
    let largest = |units: &'static [(&'static str, u64)]| units.iter().rev().find(fits);
    match largest(&DECIMAL).or_else(|| largest(&BINARY)) {
        Some((unit, factor)) => format!("{} {unit}", bytes / factor),
        None => rounded(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_both_kinds_of_units() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("7B", 7),
            ("500MB", 500_000_000),
            ("500mb", 500_000_000),
            ("10GiB", 10 << 30),
            ("10 GiB", 10 << 30),
            ("2TB", 2_000_000_000_000),
            ("1.5TB", 1_500_000_000_000),
            ("0.5KiB", 512),
            ("3kB", 3_000),
            ("8PiB", 8 << 50),
            ("9223372036854775807", i64::MAX),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_would_be() {
        for text in [
            "", "MB", "-5MB", "+5MB", "5XB", "1,5GB", "1.GB", ".5GB", "1.2.3GB", "5 M B", "1.5", "1.5B", "none",
            "five", "5٣MB",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("500MB"), "{text}: {error}");
        }
        for text in
            ["9223372036854775808", "8192PiB", "99999999999999999999999999999999999999999GB", "1.0000000000000001PB"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("10G").expect_err("either"), "say GB for powers of 1000 or GiB for powers of 1024");
    }

    #[test]
    fn a_quota_may_be_none() {
        assert_eq!(Quota::parse("none"), Ok(Quota::None));
        assert_eq!(Quota::parse("1kB"), Ok(Quota::Bytes(1000)));
        assert!(Quota::parse("None of it").is_err());
    }

    #[test]
    fn sizes_are_readable() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_600_000, "1.5 MiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(rounded(bytes), text);
        }
    }

    #[test]
    fn what_was_written_is_printed_again() {
        for text in ["0 B", "999 B", "500 MB", "10 GiB", "2 TB", "1 KiB", "3 kB", "512 MiB", "1500 MB", "2560 KiB"] {
            let bytes = u64::try_from(parse(text).expect(text)).expect("not negative");
            assert_eq!(exact(bytes), text);
        }
        assert_eq!(exact(1_537), "1.5 KiB");
        assert_eq!(exact(10_737_418_241), "10.0 GiB");
    }
}
