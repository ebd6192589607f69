//! Ages as people write them: `12h`, `30d`.

use std::fmt;

/// The most that the server takes (`HOURS_MAX` of its retention rules): ten years.
const HOURS_MAX: u32 = 87_600;

/// A number of hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hours(pub(crate) u32);

impl Hours {
    /// Reads `12h` or `30d`, as far as the server takes it: ten years.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no age: write hours or days, such as 12h or 30d");
        let (number, unit) = match (text.strip_suffix('h'), text.strip_suffix('d')) {
            (Some(hours), _) => (hours, 1),
            (None, Some(days)) => (days, 24),
            (None, None) => return Err(wrong()),
        };
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let hours = number.checked_mul(unit).filter(|hours| (1..=HOURS_MAX).contains(hours));
        hours.map(Self).ok_or_else(|| format!("it must be from 1h to {}d", HOURS_MAX / 24))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            hours if hours > 0 && hours.is_multiple_of(24) => write!(f, "{}d", hours / 24),
            hours => write!(f, "{hours}h"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_read_as_it_is_shown() {
        for (text, hours) in [("12h", 12), ("1d", 24), ("30d", 720), ("3650d", 87_600)] {
            assert_eq!(Hours::parse(text), Ok(Hours(hours)), "{text}");
            assert_eq!(Hours(hours).to_string(), text);
        }
        for bad in ["", "12", "h", "d", "-1d", "1w", "1.5d"] {
            assert!(Hours::parse(bad).is_err(), "{bad}");
        }
        for far in ["0h", "0d", "3651d", "4294967295d"] {
            assert_eq!(Hours::parse(far), Err("it must be from 1h to 3650d".to_owned()), "{far}");
        }
    }
}
