//! Times as text: RFC 3339 on the wire, `YYYY-MM-DD HH:MM` in log queries.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use layer0_domain::model::time::Timestamp;

/// RFC 3339 in UTC with milliseconds: `2026-11-23T10:00:00.000Z`.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(at.0) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => String::new(),
    }
}

/// RFC 3339, or nothing for no time.
pub(crate) fn rfc3339_or_empty(at: Option<Timestamp>) -> String {
    at.map(rfc3339).unwrap_or_default()
}

/// Reads `YYYY-MM-DD HH:MM` as UTC, the form of log queries.
pub(crate) fn minute(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%Y-%m-%d %H:%M", text).ok()?;
    let time = time.to_zoned(TimeZone::UTC).ok()?;
    Some(Timestamp(time.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same_time() {
        let at = minute("2026-11-23 10:08").expect("a legal time");
        assert_eq!(rfc3339(at), "2026-11-23T10:08:00.000Z");
        for bad in ["2026-11-23", "yesterday", "2026-13-01 00:00", "2026-11-23 10:08:01"] {
            assert_eq!(minute(bad), None, "{bad}");
        }
    }
}
