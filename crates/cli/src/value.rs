//! Values as Go programs read them: booleans and durations. Scripts written for the predecessor use them.

use std::time::Duration;

/// Reads a boolean as Go's `strconv.ParseBool` does.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("'{text}' is not a boolean (true or false)")),
    }
}

/// The longest that the server lets a token live: ten years.
const DAYS_MAX: i64 = 3650;

/// Reads the days until a token ends. 0 means "never" to the API; whoever wants that says so.
pub(crate) fn days(text: &str) -> Result<i64, String> {
    match text.trim().parse() {
        Ok(days) if (1..=DAYS_MAX).contains(&days) => Ok(days),
        _ => Err(format!("it must be a number of days from 1 to {DAYS_MAX}")),
    }
}

/// The units of Go's `time.ParseDuration`, in nanoseconds.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Reads a duration as Go's `time.ParseDuration` does (`15m`, `1h30m`, `1.5s`), but never a negative one.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let unfit = || format!("'{text}' is not a duration (examples: 90s, 15m, 1h30m)");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(unfit());
    }
    let mut nanos = 0.0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(unfit)?;
        let number: f64 = rest[..end].parse().map_err(|_| unfit())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = &rest[..end];
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(unfit)?;
        nanos += number * factor;
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(nanos / 1e9).map_err(|_| unfit())
}

/// Prints a duration as Go does: `15m0s`, `1h0m0s`, `1.5s`, `250ms`.
pub(crate) fn duration_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration < Duration::from_secs(1) {
        return format!("{}ms", duration.as_millis());
    }
    let fraction = duration.subsec_millis();
    let last = if fraction == 0 {
        format!("{}s", seconds % 60)
    } else {
        format!("{}s", f64::from(u32::try_from(seconds % 60).unwrap_or(0)) + f64::from(fraction) / 1000.0)
    };
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => last,
        (0, minutes) => format!("{minutes}m{last}"),
        (hours, minutes) => format!("{hours}h{minutes}m{last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("15m", 900_000),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            (".5s", 500),
            ("100ms", 100),
            ("2h45m30.5s", 9_930_500),
            ("0", 0),
            ("0s", 0),
            ("+3s", 3_000),
        ] {
            assert_eq!(parse_duration(text).expect(text), Duration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_examples() {
        for text in ["", "15", "m", "1x", "-5s", "1m 3s", "s1", "1..2s", "fifteen", "999999999999999999999h"] {
            let error = parse_duration(text).expect_err(text);
            assert!(error.contains("90s"), "{error}");
        }
    }

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        for (text, words) in [
            ("15m", "15m0s"),
            ("90s", "1m30s"),
            ("1h", "1h0m0s"),
            ("250ms", "250ms"),
            ("1500ms", "1.5s"),
            ("61.5s", "1m1.5s"),
        ] {
            assert_eq!(duration_words(parse_duration(text).expect(text)), words);
        }
    }

    #[test]
    fn the_days_of_a_token_are_bounded_in_days() {
        assert_eq!((days("1"), days("3650")), (Ok(1), Ok(3650)));
        for text in ["0", "-1", "3651", "soon", ""] {
            assert!(days(text).is_err_and(|why| why.contains("from 1 to 3650")), "{text}");
        }
    }

    #[test]
    fn booleans_are_read_as_go_reads_them() {
        for text in ["1", "t", "T", "TRUE", "true", "True"] {
            assert_eq!(parse_bool(text), Ok(true));
        }
        for text in ["0", "f", "F", "FALSE", "false", "False"] {
            assert_eq!(parse_bool(text), Ok(false));
        }
        for text in ["", "yes", "tRUE", "2"] {
            assert!(parse_bool(text).is_err(), "{text}");
        }
    }
}
