//! Conditions of statements.
//!
//! Rules of the IAM user guide ("IAM JSON policy elements: Condition operators", "Set operators for multivalued context
//! keys"): values of one key are alternatives, keys and operators must all hold; a missing key fails a test and passes a
//! negated one; `…IfExists` passes when the key is missing, which `ForAnyValue` overrules.

use std::cmp::Ordering;
use std::net::IpAddr;

use super::Truth;
use super::context::{Context, Key};
use super::pattern::{Case, Pattern};

/// One operator on one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Condition {
    operator: Option<Operator>,
    /// The operator as written, for when it is not understood.
    written: String,
    key: String,
    values: Vec<Pattern>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operator {
    over: Over,
    test: Test,
    negated: bool,
    if_exists: bool,
}

/// How a test is made of a key with several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// A key with one value; of several, one is enough, and for a negated test one is too many.
    Single,
    All,
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Text(Case),
    Like,
    Arn,
    Bool,
    Null,
    Ip,
    Number(Compare),
    Date(Compare),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Compare {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Compare::Equal => order == Ordering::Equal,
            Compare::Less => order == Ordering::Less,
            Compare::LessOrEqual => order != Ordering::Greater,
            Compare::Greater => order == Ordering::Greater,
            Compare::GreaterOrEqual => order != Ordering::Less,
        }
    }
}

impl Condition {
    pub(super) fn new(operator: &str, key: &str, values: Vec<Pattern>) -> Self {
        Self { operator: parse(operator), written: operator.to_owned(), key: key.to_owned(), values }
    }

    /// Whether it holds for a request.
    pub(super) fn holds(&self, context: &Context) -> Truth {
        let Some(operator) = self.operator else {
            return Truth::Unknown(format!("its condition operator {} is not one that Layer0 knows", self.written));
        };
        let key = context.get(&self.key);
        if key == Key::Unknown {
            return Truth::Unknown(format!("its condition on {} can't be told beforehand", self.key));
        }
        if operator.test == Test::Null {
            return Truth::any(self.values.iter().map(|value| {
                let wants_absent = value.equals("true", Case::Ignored, context);
                if key == Key::Absent { wants_absent } else { wants_absent.not() }
            }));
        }
        let values = match key {
            Key::Known(values) => values,
            Key::Begins(beginning) => {
                let unknown = || Truth::Unknown(format!("only the beginning of {} is known beforehand", self.key));
                let covered = self.values.iter().any(|pattern| match operator.test {
                    Test::Like => pattern.likes_all_that_begin(beginning, context),
                    Test::Arn => pattern.likes_all_arns_that_begin(beginning, context),
                    Test::Text(_) | Test::Bool | Test::Null | Test::Ip | Test::Number(_) | Test::Date(_) => false,
                });
                return match (covered, operator.negated) {
                    (true, negated) => Truth::of(!negated),
                    (false, _) => unknown(),
                };
            }
            Key::Absent | Key::Unknown => {
                return Truth::of(match operator.over {
                    Over::Any => false,
                    Over::All => true,
                    Over::Single => operator.negated || operator.if_exists,
                });
            }
        };
        let one = |value: &String| {
            Truth::any(self.values.iter().map(|pattern| operator.test.passes(value, pattern, context)))
        };
        let each = values.iter().map(|value| if operator.negated { one(value).not() } else { one(value) });
        match operator.over {
            Over::All => Truth::all(each),
            Over::Any => Truth::any(each),
            Over::Single if operator.negated => Truth::all(each),
            Over::Single => Truth::any(each),
        }
    }
}

impl Test {
    /// Whether one value of the request passes against one of the policy.
    fn passes(self, value: &str, pattern: &Pattern, context: &Context) -> Truth {
        match self {
            Test::Text(case) => pattern.equals(value, case, context),
            Test::Like => pattern.like(value, Case::Matters, context),
            Test::Arn => pattern.like_arn(value, context),
            Test::Bool | Test::Null => pattern.equals(value, Case::Ignored, context),
            Test::Ip => compared(pattern, context, |own| ip_within(value, own)),
            Test::Number(compare) => compared(pattern, context, |own| {
                let (value, own) = (value.trim().parse::<f64>().ok()?, own.trim().parse::<f64>().ok()?);
                value.partial_cmp(&own).map(|order| compare.holds(order))
            }),
            Test::Date(compare) => {
                compared(pattern, context, |own| Some(compare.holds(seconds(value)?.cmp(&seconds(own)?))))
            }
        }
    }
}

/// A comparison of texts that may not be what they should be; then nothing is known.
fn compared(pattern: &Pattern, context: &Context, holds: impl Fn(&str) -> Option<bool>) -> Truth {
    match pattern.text(context) {
        Ok(own) => holds(&own).map_or_else(|| Truth::Unknown(format!("its value {own:?} can't be read")), Truth::of),
        Err(why) => Truth::Unknown(why),
    }
}

fn parse(written: &str) -> Option<Operator> {
    let (over, rest) = match written.split_once(':') {
        Some(("ForAllValues", rest)) => (Over::All, rest),
        Some(("ForAnyValue", rest)) => (Over::Any, rest),
        Some(_) => return None,
        None => (Over::Single, written),
    };
    let (rest, if_exists) = match rest.strip_suffix("IfExists") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let (test, negated) = match rest {
        "StringEquals" => (Test::Text(Case::Matters), false),
        "StringNotEquals" => (Test::Text(Case::Matters), true),
        "StringEqualsIgnoreCase" => (Test::Text(Case::Ignored), false),
        "StringNotEqualsIgnoreCase" => (Test::Text(Case::Ignored), true),
        "StringLike" => (Test::Like, false),
        "StringNotLike" => (Test::Like, true),
        "ArnEquals" | "ArnLike" => (Test::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Test::Arn, true),
        "Bool" => (Test::Bool, false),
        "Null" if !if_exists && over == Over::Single => (Test::Null, false),
        "IpAddress" => (Test::Ip, false),
        "NotIpAddress" => (Test::Ip, true),
        "NumericEquals" => (Test::Number(Compare::Equal), false),
        "NumericNotEquals" => (Test::Number(Compare::Equal), true),
        "NumericLessThan" => (Test::Number(Compare::Less), false),
        "NumericLessThanEquals" => (Test::Number(Compare::LessOrEqual), false),
        "NumericGreaterThan" => (Test::Number(Compare::Greater), false),
        "NumericGreaterThanEquals" => (Test::Number(Compare::GreaterOrEqual), false),
        "DateEquals" => (Test::Date(Compare::Equal), false),
        "DateNotEquals" => (Test::Date(Compare::Equal), true),
        "DateLessThan" => (Test::Date(Compare::Less), false),
        "DateLessThanEquals" => (Test::Date(Compare::LessOrEqual), false),
        "DateGreaterThan" => (Test::Date(Compare::Greater), false),
        "DateGreaterThanEquals" => (Test::Date(Compare::GreaterOrEqual), false),
        _ => return None,
    };
    Some(Operator { over, test, negated, if_exists })
}

/// Whether an address lies in a range such as `203.0.113.0/24`, or is the one that is written; `None` when one can't be
/// read. Addresses of different families never match.
fn ip_within(address: &str, range: &str) -> Option<bool> {
    let address: IpAddr = address.trim().parse().ok()?;
    let (base, length) = match range.split_once('/') {
        Some((base, length)) => (base, Some(length.parse::<u32>().ok()?)),
        None => (range, None),
    };
    let base: IpAddr = base.trim().parse().ok()?;
    let (address, base, width) = match (address, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(a.to_bits()), u128::from(b.to_bits()), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits(), b.to_bits(), 128),
        _ => return Some(false),
    };
    let length = length.unwrap_or(width);
    if length > width {
        return None;
    }
    let shift = width - length;
    Some(address.checked_shr(shift).unwrap_or(0) == base.checked_shr(shift).unwrap_or(0))
}

/// Seconds since 1970 of `2030-01-31T23:59:59Z`, `2030-01-31` or a plain number; `None` for another form.
fn seconds(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number);
    }
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let numbers = |text: &str, by: char| {
        text.split(by).map(|part| part.split('.').next()?.parse::<i64>().ok()).collect::<Option<Vec<_>>>()
    };
    let [year, month, day]: [i64; 3] = numbers(date, '-')?.try_into().ok()?;
    let [hour, minute, second]: [i64; 3] = numbers(time, ':')?.try_into().ok()?;
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days before a date in a calendar whose years begin in March, so that the leap day is the last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1;
    /// The same count for 1970-01-01.
    const EPOCH: i64 = 719_468;
    Some((days - EPOCH) * 86_400 + hour * 3_600 + minute * 60 + second)
}
