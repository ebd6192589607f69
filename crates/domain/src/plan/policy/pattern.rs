//! Texts of a policy with wildcards (`*`, `?`) and policy variables (`${aws:PrincipalAccount}`).

use super::Truth;
use super::context::{Context, Key};

/// Whether `${…}` means anything: only in documents of version 2012-10-17 (IAM user guide, "Version").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Variables {
    Replaced,
    PlainText,
}

/// Whether upper and lower case differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Matters,
    Ignored,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Char(char),
    AnyRun,
    AnyOne,
    Variable { key: String, default: Option<String> },
}

/// One text of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
}

/// A pattern with its variables replaced. Wildcards in what a variable stands for are plain characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Char(char),
    AnyRun,
    AnyOne,
}

impl Pattern {
    pub(super) fn parse(text: &str, variables: Variables) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            if variables == Variables::Replaced
                && let Some(inner) = rest.strip_prefix("${")
                && let Some((name, behind)) = inner.split_once('}')
            {
                pieces.push(variable(name));
                rest = behind;
                continue;
            }
            pieces.push(match next {
                '*' => Piece::AnyRun,
                '?' => Piece::AnyOne,
                other => Piece::Char(other),
            });
            rest = &rest[next.len_utf8()..];
        }
        Self { pieces }
    }

    /// The pattern for this request.
    ///
    /// # Errors
    /// Why a variable in it has no known value.
    pub(super) fn units(&self, context: &Context) -> Result<Vec<Unit>, String> {
        let mut units = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            match piece {
                Piece::Char(c) => units.push(Unit::Char(*c)),
                Piece::AnyRun => units.push(Unit::AnyRun),
                Piece::AnyOne => units.push(Unit::AnyOne),
                Piece::Variable { key, default } => match (context.get(key), default) {
                    (Key::Known([only]), _) => units.extend(only.chars().map(Unit::Char)),
                    (Key::Absent, Some(default)) => units.extend(default.chars().map(Unit::Char)),
                    _ => return Err(format!("what `${{{key}}}` stands for is not known")),
                },
            }
        }
        Ok(units)
    }

    /// Whether it matches a text, wildcards and all.
    pub(super) fn like(&self, text: &str, case: Case, context: &Context) -> Truth {
        match self.units(context) {
            Ok(units) => Truth::of(matches(&units, &text.chars().collect::<Vec<_>>(), case)),
            Err(why) => Truth::Unknown(why),
        }
    }

    /// Whether it is a text, wildcards being plain characters.
    pub(super) fn equals(&self, text: &str, case: Case, context: &Context) -> Truth {
        match self.text(context) {
            Ok(own) => Truth::of(match case {
                Case::Matters => own == text,
                Case::Ignored => own.to_lowercase() == text.to_lowercase(),
            }),
            Err(why) => Truth::Unknown(why),
        }
    }

    /// Whether it matches an ARN, part by part: a wildcard does not reach over a colon of the first five (IAM user guide,
    /// "Amazon Resource Name (ARN) condition operators").
    pub(super) fn like_arn(&self, arn: &str, context: &Context) -> Truth {
        let units = match self.units(context) {
            Ok(units) => units,
            Err(why) => return Truth::Unknown(why),
        };
        let pattern: Vec<&[Unit]> = units.splitn(6, |unit| *unit == Unit::Char(':')).collect();
        let chars: Vec<char> = arn.chars().collect();
        let parts: Vec<&[char]> = chars.splitn(6, |c| *c == ':').collect();
        if pattern.len() != parts.len() {
            // The one pattern that is no ARN and matches one all the same.
            return Truth::of(units == [Unit::AnyRun]);
        }
        Truth::of(pattern.iter().zip(parts).all(|(pattern, part)| matches(pattern, part, Case::Matters)))
    }

    /// Whether it is certain to match every text that begins so: when it ends with a run, and what is before that matches a
    /// part of the beginning.
    pub(super) fn likes_all_that_begin(&self, beginning: &str, context: &Context) -> bool {
        let Ok(units) = self.units(context) else { return false };
        let Some((Unit::AnyRun, head)) = units.split_last() else { return false };
        let chars: Vec<char> = beginning.chars().collect();
        (0..=chars.len()).any(|end| matches(head, &chars[..end], Case::Matters))
    }

    /// The same of ARNs of which all but the last part is known.
    pub(super) fn likes_all_arns_that_begin(&self, beginning: &str, context: &Context) -> bool {
        let Ok(units) = self.units(context) else { return false };
        if units == [Unit::AnyRun] {
            return true;
        }
        let pattern: Vec<&[Unit]> = units.splitn(6, |unit| *unit == Unit::Char(':')).collect();
        let known: Vec<&str> = beginning.splitn(6, ':').collect();
        let (Some((last, front)), Some((&"", known))) = (pattern.split_last(), known.split_last()) else {
            return false;
        };
        let same =
            |(pattern, part): (&&[Unit], &&str)| matches(pattern, &part.chars().collect::<Vec<_>>(), Case::Matters);
        **last == [Unit::AnyRun] && front.len() == known.len() && front.iter().zip(known).all(same)
    }

    /// The text with its variables replaced, wildcards being plain characters.
    ///
    /// # Errors
    /// Why a variable in it has no known value.
    pub(super) fn text(&self, context: &Context) -> Result<String, String> {
        let plain = |unit| match unit {
            Unit::Char(c) => c,
            Unit::AnyRun => '*',
            Unit::AnyOne => '?',
        };
        Ok(self.units(context)?.into_iter().map(plain).collect())
    }
}

/// `${*}`, `${?}` and `${$}` are those characters; `${key, 'default'}` has a value for when the key is missing.
fn variable(name: &str) -> Piece {
    match name.trim() {
        "*" => Piece::Char('*'),
        "?" => Piece::Char('?'),
        "$" => Piece::Char('$'),
        other => {
            let (key, default) = match other.split_once(',') {
                Some((key, default)) => (key.trim(), Some(default.trim().trim_matches('\'').to_owned())),
                None => (other, None),
            };
            Piece::Variable { key: key.to_owned(), default }
        }
    }
}

/// Whether a pattern matches a text from end to end. At most as many steps as the product of both lengths: on a mismatch
/// only the last run grows.
pub(super) fn matches(pattern: &[Unit], text: &[char], case: Case) -> bool {
    let same = |a: char, b: char| match case {
        Case::Matters => a == b,
        Case::Ignored => a.eq_ignore_ascii_case(&b),
    };
    let (mut at, mut here) = (0, 0);
    let mut run: Option<(usize, usize)> = None;
    while here < text.len() {
        match pattern.get(at) {
            Some(Unit::AnyRun) => {
                run = Some((at, here));
                at += 1;
            }
            Some(Unit::AnyOne) => (at, here) = (at + 1, here + 1),
            Some(Unit::Char(c)) if same(*c, text[here]) => (at, here) = (at + 1, here + 1),
            _ => match run {
                Some((star, begun)) => {
                    run = Some((star, begun + 1));
                    (at, here) = (star + 1, begun + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|unit| *unit == Unit::AnyRun)
}
