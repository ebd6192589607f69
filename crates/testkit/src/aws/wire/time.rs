//! Times on the wire: seconds with fractions in JSON, ISO 8601 in XML.

use serde_json::Value;

/// Milliseconds since 1970 as JSON services give them: seconds.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of this era are far below 2^53")]
pub(crate) fn seconds(ms: i64) -> Value {
    Value::from(ms as f64 / 1000.0)
}

/// The same for a time that may not have come; `null` then.
pub(crate) fn seconds_of(ms: Option<i64>) -> Value {
    ms.map_or(Value::Null, seconds)
}

/// Milliseconds since 1970 as XML services give them: `2026-01-02T03:04:05.678Z`.
pub(crate) fn iso(ms: i64) -> String {
    let (days, in_day) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Howard Hinnant's civil_from_days: years that begin in March, eras of 400 of them.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", in_day % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso(1_704_067_199_999), "2023-12-31T23:59:59.999Z");
        assert_eq!(seconds(1500), serde_json::json!(1.5));
    }
}
