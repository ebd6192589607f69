//! Docker's times: RFC 3339 with up to nine digits of a second, always with a zone.

use layer0_domain::model::time::Timestamp;

/// Milliseconds since 1970 of a time as Docker writes it; `None` for text that is none and for Go's zero time
/// (`0001-01-01T00:00:00Z`), with which Docker says "never".
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let (date, rest) = text.split_once('T')?;
    let mut date = date.splitn(3, '-');
    let year: i64 = date.next()?.parse().ok()?;
    let month: i64 = date.next()?.parse().ok()?;
    let day: i64 = date.next()?.parse().ok()?;
    if year <= 1 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone_at = rest.find(['Z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone_at);
    let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut time = time.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let millis: i64 = match fraction.get(..3) {
        Some(three) => three.parse().ok()?,
        None if fraction.is_empty() => 0,
        None => format!("{fraction:0<3}").parse().ok()?,
    };
    let offset_min = match zone.split_at_checked(1)? {
        ("Z", _) => 0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
            if sign == "-" { -minutes } else { minutes }
        }
    };
    let seconds = days_from_epoch(year, month, day) * 86_400 + hour * 3_600 + (minute - offset_min) * 60 + second;
    Some(Timestamp(seconds * 1_000 + millis))
}

/// Days from 1970-01-01 in the Gregorian calendar: years begin in March, so that the leap day is the last.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_times_are_read() {
        assert_eq!(parse("1970-01-01T00:00:01Z"), Some(Timestamp(1_000)));
        assert_eq!(parse("2024-02-29T12:30:15.123456789Z"), Some(Timestamp(1_709_209_815_123)));
        assert_eq!(parse("2024-02-29T14:30:15.5+02:00"), Some(Timestamp(1_709_209_815_500)));
        assert_eq!(parse("2000-03-01T00:00:00Z"), Some(Timestamp(951_868_800_000)));
    }

    #[test]
    fn never_and_nonsense_are_no_times() {
        for text in ["0001-01-01T00:00:00Z", "", "hello", "2024-13-01T00:00:00Z", "2024-01-01"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
