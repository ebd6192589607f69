//! Ages as people write them: `12h`, `30d`.

use std::fmt;

/// A number of hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hours(pub(crate) u32);

impl Hours {
    /// Reads `12h` or `30d`. Which are allowed, the server says.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no age: write hours or days, such as 12h or 30d");
        let (number, unit) = match (text.strip_suffix('h'), text.strip_suffix('d')) {
            (Some(hours), _) => (hours, 1),
            (None, Some(days)) => (days, 24),
            (None, None) => return Err(wrong()),
        };
        let number: u32 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(unit).map(Self).ok_or_else(wrong)
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
        for (text, hours) in [("12h", 12), ("1d", 24), ("30d", 720), ("0h", 0)] {
            assert_eq!(Hours::parse(text), Ok(Hours(hours)), "{text}");
            assert_eq!(Hours(hours).to_string(), text);
        }
        for bad in ["", "12", "h", "d", "-1d", "1w", "1.5d", "4294967295d"] {
            assert!(Hours::parse(bad).is_err(), "{bad}");
        }
    }
}
