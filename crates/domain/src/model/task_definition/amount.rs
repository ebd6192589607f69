//! CPU and memory as users write them.

use serde_json::Value;

use super::{CPU_UNITS_PER_VCPU, MIN_MEMORY_MIB};
use crate::model::digest::shorten;

/// Largest CPU of a task on ECS: 192 vCPUs.
const MAX_CPU_UNITS: u32 = 192 * CPU_UNITS_PER_VCPU;

/// Bound on memory that keeps every sum of bytes far from overflow: 64 TiB, more than any machine of either engine has.
const MAX_MEMORY_MIB: u32 = 64 * 1024 * 1024;

/// CPU units from `256`, `"256"`, `"1 vCPU"` or `".25 vcpu"`.
pub(super) fn cpu_units(value: &Value) -> Result<u32, String> {
    let units = amount(value, "vcpu", CPU_UNITS_PER_VCPU)
        .map_err(|error| error.describe("CPU units", "256 or \"0.25 vCPU\""))?;
    if units > u64::from(MAX_CPU_UNITS) {
        return Err(format!("{units} CPU units are more than {MAX_CPU_UNITS} (192 vCPUs)"));
    }
    u32::try_from(units).map_err(|_| "too many CPU units".to_owned())
}

/// MiB from `512`, `"512"`, `"0.5GB"` or `"1 GB"`.
pub(super) fn memory_mib(value: &Value) -> Result<u32, String> {
    let mib = amount(value, "gb", 1024).map_err(|error| error.describe("MiB of memory", "512 or \"0.5GB\""))?;
    if mib < u64::from(MIN_MEMORY_MIB) {
        return Err(format!("{mib} MiB of memory are too few; at least {MIN_MEMORY_MIB} are needed"));
    }
    if mib > u64::from(MAX_MEMORY_MIB) {
        return Err(format!("{mib} MiB of memory are more than {MAX_MEMORY_MIB}"));
    }
    u32::try_from(mib).map_err(|_| "too much memory".to_owned())
}

/// Why an amount could not be read.
enum AmountError {
    /// Not a number with an optional unit.
    Form(String),
    /// Not a whole number of the small unit.
    Fraction(String),
}

impl AmountError {
    fn describe(self, what: &str, example: &str) -> String {
        match self {
            Self::Form(text) => format!("{text} is not a number of {what}; write {example}"),
            Self::Fraction(text) => {
                format!("{text} is not a whole number of {what}; write {example}")
            }
        }
    }
}

fn amount(value: &Value, unit: &str, units_each: u32) -> Result<u64, AmountError> {
    match value {
        Value::Number(_) => {
            whole(value).and_then(|number| u64::try_from(number).ok()).ok_or_else(|| match value.as_f64() {
                Some(number) if number > 0.0 => AmountError::Fraction(value.to_string()),
                _ => AmountError::Form(value.to_string()),
            })
        }
        Value::String(text) => text_amount(text, unit, units_each),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(AmountError::Form("this".to_owned())),
    }
}

fn text_amount(text: &str, unit: &str, units_each: u32) -> Result<u64, AmountError> {
    let shown = || format!("{:?}", shorten(text));
    let lower = text.trim().to_ascii_lowercase();
    let (digits, factor) = match lower.strip_suffix(unit) {
        Some(number) => (number.trim_end(), f64::from(units_each)),
        None => (lower.as_str(), 1.0),
    };
    // Longer numbers are out of every range, and f64 is exact well beyond this length's useful part.
    let plain = digits.len() <= 15
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !plain {
        return Err(AmountError::Form(shown()));
    }
    // Rust reads `.25` and `1.` as people mean them.
    let number: f64 = digits.parse().map_err(|_| AmountError::Form(shown()))?;
    whole_f64(number * factor)
        .and_then(|number| u64::try_from(number).ok())
        .ok_or_else(|| AmountError::Fraction(shown()))
}

/// The whole number that a JSON number is, `256.0` included.
pub(super) fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().and_then(whole_f64))
}

fn whole_f64(number: f64) -> Option<i64> {
    /// Up to here every whole number has its own f64.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range, checked by the condition")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cpu_is_read_in_every_form() {
        for (value, expected) in [
            (json!(256), 256),
            (json!(256.0), 256),
            (json!("256"), 256),
            (json!(" 512 "), 512),
            (json!("1 vCPU"), 1024),
            (json!("1vcpu"), 1024),
            (json!(".25 vCPU"), 256),
            (json!("0.5 VCPU"), 512),
            (json!("16 vCPU"), 16384),
            (json!(0), 0),
        ] {
            assert_eq!(cpu_units(&value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn memory_is_read_in_every_form() {
        for (value, expected) in [
            (json!(4), 4),
            (json!("512"), 512),
            (json!("0.5GB"), 512),
            (json!("1 GB"), 1024),
            (json!("1gb"), 1024),
            (json!("30 Gb"), 30720),
        ] {
            assert_eq!(memory_mib(&value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_an_example() {
        for value in [
            json!(""),
            json!("a lot"),
            json!("-1"),
            json!(-1),
            json!("."),
            json!("1.2.3"),
            json!("1e3"),
            json!("0x10"),
            json!("512MB"),
            json!("inf"),
            json!("99999999999999999999999"),
            json!(true),
            json!([1]),
        ] {
            let error = memory_mib(&value).expect_err("refused");
            assert!(error.contains("write 512 or"), "{value}: {error}");
            assert!(cpu_units(&value).is_err(), "{value}");
        }
        let error = cpu_units(&json!("0.3 vCPU")).expect_err("307.2 units");
        assert!(error.contains("whole number"), "{error}");
        let error = cpu_units(&json!("0.5")).expect_err("no unit");
        assert!(error.contains("0.25 vCPU"), "{error}");
    }

    #[test]
    fn ranges_are_kept() {
        assert!(memory_mib(&json!(3)).is_err());
        assert!(memory_mib(&json!(0)).is_err());
        assert!(memory_mib(&json!(u64::MAX)).is_err());
        assert!(cpu_units(&json!(196_608)).is_ok());
        assert!(cpu_units(&json!(196_609)).is_err());
    }
}
