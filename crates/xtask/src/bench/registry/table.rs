//! What the script's figures come to, side by side: pure, from its JSON to numbers, verdicts and the lines of a document.
//!
//! A figure of speed that misses its bound is said, and no fault. What a registry may never do is one: to serve other
//! bytes than it was asked for, to lose what it acknowledged, to accept what does not fit its digest. Of ours a figure that
//! is not there counts as a fault too, so that a section that was left out is not taken for one that went well.

mod asked;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::asked::{Bound, CHECKS, Limit, MEASURES, Must, judged};

/// The sections that a registry is measured with. The pull-through cache is ours alone: docker-registry is either that or a
/// registry.
pub(super) const SECTIONS: &[&str] =
    &["coldstart", "manifest", "blobget", "push", "tags", "catalog", "proxy", "integrity", "crash"];

/// What the runs came to. Kept between runs, so its fields may only be added to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Comparison {
    measures: Vec<Measure>,
    checks: Vec<Check>,
    /// What ours did that a registry may not do, or what of it was not measured; none when all is clean.
    pub(crate) faults: Vec<String>,
    /// About these runs, a sentence each, without its full stop.
    pub(crate) notes: Vec<String>,
}

/// A line of the first table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Measure {
    what: String,
    limit: Option<f64>,
    theirs: Option<f64>,
    ours: Option<f64>,
    /// What ours must reach, in words.
    #[serde(default)]
    bound: String,
    /// Whether it does; `None` where nothing is asked for.
    #[serde(default)]
    met: Option<bool>,
    /// Where it does not: what the bound comes to at this machine's pace, when that is kept.
    #[serde(default)]
    met_at_pace: Option<f64>,
}

/// A line of the second one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Check {
    what: String,
    theirs: Seen,
    ours: Seen,
}

/// What a check saw, and whether that is as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    value: String,
    clean: bool,
}

impl Comparison {
    /// From what the script wrote for the machine's limits, for docker-registry and for ours.
    pub(crate) fn of(limits: &Value, theirs: &Value, ours: &Value) -> Self {
        let figure = |document, path: &str| at(document, path).and_then(Value::as_f64);
        let of = |limit: Limit| match limit {
            Limit::None => None,
            Limit::Machine(path) => figure(limits, &format!("limits.{path}")),
            Limit::Beside(path) => figure(ours, path),
            Limit::Theirs(path) => figure(theirs, path),
        };
        let measures = MEASURES.iter().map(|(what, path, limit, bound)| {
            let (limit, measured) = (of(*limit), figure(ours, path));
            let (words, met) = judged(*bound, measured, limit);
            let met_at_pace = match bound {
                Bound::AtPace(most, pace) if met == Some(false) => {
                    let here = of(pace.figure).map(|figure| most * pace.slower(figure));
                    here.filter(|here| measured.is_some_and(|ours| ours <= *here))
                }
                _ => None,
            };
            let theirs = figure(theirs, path);
            Measure { what: (*what).to_owned(), limit, theirs, ours: measured, bound: words, met, met_at_pace }
        });
        let mut checks = vec![Check {
            what: "answers other than 200 and broken connections under load".to_owned(),
            theirs: seen(errors(theirs).map(Value::from).as_ref(), Must::BeZero),
            ours: seen(errors(ours).map(Value::from).as_ref(), Must::BeZero),
        }];
        checks.extend(CHECKS.iter().map(|(what, path, must)| Check {
            what: (*what).to_owned(),
            theirs: seen(at(theirs, path), *must),
            ours: seen(at(ours, path), *must),
        }));
        let mut notes = settings(ours);
        notes.extend(others(&[("the limits", limits), ("docker-registry", theirs), ("Layer0", ours)]));
        Self { measures: measures.collect(), faults: faults(&checks, ours), checks, notes }
    }

    /// Both tables.
    pub(crate) fn tables(&self) -> String {
        let mut text = String::from(
            "| measure | limit | docker-registry | Layer0 | over docker-registry | over the limit | bound | |\n\
             |---|---:|---:|---:|---:|---:|---:|---|\n",
        );
        for line in &self.measures {
            let cells = [
                line.limit.map_or_else(String::new, number),
                line.theirs.map_or_else(String::new, number),
                line.ours.map_or_else(|| "not measured".to_owned(), number),
                ratio(line.ours, line.theirs),
                ratio(line.ours, line.limit),
                line.bound.clone(),
                match (line.met, line.met_at_pace) {
                    (None, _) => String::new(),
                    (Some(true), _) => "met".to_owned(),
                    (Some(false), None) => "**missed**".to_owned(),
                    (Some(false), Some(here)) => format!("**missed**; ≤ {} at this pace: met", number(here)),
                },
            ];
            text.push_str(&format!("| {} | {} |\n", line.what, cells.join(" | ")));
        }
        text.push_str("\n| check | docker-registry | Layer0 |\n|---|---|---|\n");
        for line in &self.checks {
            text.push_str(&format!("| {} | {} | {} |\n", line.what, line.theirs.cell(), line.ours.cell()));
        }
        text
    }
}

impl Seen {
    fn cell(&self) -> String {
        if self.clean { self.value.clone() } else { format!("**{}**", self.value) }
    }
}

/// Adds the numbers of another run to those of all before it, field by field.
pub(super) fn add(all: &mut Value, more: &Value) {
    match (all, more) {
        (Value::Object(all), Value::Object(more)) => {
            for (name, value) in more {
                add(all.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(all), Value::Array(more)) => all.extend(more.iter().cloned()),
        (all @ Value::Number(_), Value::Number(more)) => {
            *all = match (all.as_u64(), more.as_u64()) {
                (Some(all), Some(more)) => Value::from(all + more),
                _ => Value::from(all.as_f64().unwrap_or_default() + more.as_f64().unwrap_or_default()),
            };
        }
        (all, more) => *all = more.clone(),
    }
}

/// What came of kills alone, in words, and whether nothing was lost or corrupt.
pub(super) fn kills(document: &Value) -> (String, bool) {
    let checks = CHECKS.iter().filter(|(_, path, _)| path.starts_with("crash."));
    let checks: Vec<_> = checks.map(|(what, path, must)| (*what, seen(at(document, path), *must))).collect();
    let line = checks.iter().map(|(what, seen)| format!("{}: {}", what.trim_start_matches("— "), seen.cell()));
    (line.collect::<Vec<_>>().join("; "), checks.iter().all(|(_, seen)| seen.clean))
}

/// What stands under `results` at a path with dots.
fn at<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(document.get("results")?, |value, name| value.get(name))
}

fn seen(value: Option<&Value>, must: Must) -> Seen {
    let Some(value) = value else { return Seen { value: "not measured".to_owned(), clean: false } };
    let clean = match must {
        Must::Refuse => value.as_u64().is_some_and(|status| (400..500).contains(&status)),
        Must::BeHarmless => matches!(value.as_str(), Some("absent" | "ok")),
        Must::BeZero => value.as_u64() == Some(0),
        Must::BeSome => value.as_u64().is_some_and(|count| count > 0),
        Must::BeTrue => value.as_bool() == Some(true),
    };
    let value = match value {
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Seen { value, clean }
}

/// The `errors` of all loads together; none when there was no load.
fn errors(document: &Value) -> Option<u64> {
    fn below(value: &Value) -> Option<u64> {
        let fields = value.as_object()?;
        let own = fields.get("errors").and_then(Value::as_u64);
        fields.values().filter_map(below).chain(own).reduce(|a, b| a + b)
    }
    below(document.get("results")?)
}

fn faults(checks: &[Check], ours: &Value) -> Vec<String> {
    let mut faults: Vec<String> = Vec::new();
    for section in SECTIONS {
        match at(ours, section) {
            None => faults.push(format!("section {section}: not measured")),
            Some(section_of) => {
                let why = section_of.get("skipped").and_then(Value::as_str);
                faults.extend(why.map(|why| format!("section {section}: left out: {why}")));
            }
        }
    }
    // A line that begins with a dash goes on with what the last one without it said.
    let mut about = "";
    for check in checks {
        let what = check.what.strip_prefix("— ");
        if what.is_none() {
            about = &check.what;
        }
        if !check.ours.clean {
            let what = what.map_or_else(|| about.to_owned(), |what| format!("{about}; {what}"));
            faults.push(format!("{what}: {}", check.ours.value));
        }
    }
    let samples = at(ours, "crash.samples").and_then(Value::as_array);
    faults.extend(samples.into_iter().flatten().filter_map(Value::as_str).map(|sample| format!("crash: {sample}")));
    faults
}

/// How large the runs were.
fn settings(document: &Value) -> Vec<String> {
    let Some(settings) = document.get("settings") else { return Vec::new() };
    let of = |name: &str| settings.get(name).map_or_else(|| "?".to_owned(), Value::to_string);
    vec![format!(
        "loads of {} s over {} connections; medians of {} transfers of a blob of {} MiB, and of as many times {} small images \
         from {} clients; {} tags in one repository, {} repositories; {} times `kill -9`",
        of("seconds"),
        of("conns"),
        of("reps"),
        of("blob_mib"),
        of("images"),
        of("concurrency"),
        of("tags"),
        of("repos"),
        of("crash_rounds"),
    )]
}

/// What else ran on the machine in the busiest section of each run.
fn others(runs: &[(&str, &Value)]) -> Option<String> {
    let worst = |(name, document): &(&str, &Value)| {
        let sections = document.get("results")?.as_object()?;
        let shares = sections.iter().filter_map(|(section, of)| Some((section, of.get("other_cpu_share")?.as_f64()?)));
        let (section, share) = shares.max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(format!("{name} {:.0} % (`{section}`)", share * 100.0))
    };
    let parts: Vec<String> = runs.iter().filter_map(worst).collect();
    (!parts.is_empty()).then(|| {
        format!("others kept the machine busy while it was measured, at most in one section: {}", parts.join(", "))
    })
}

/// About three digits that count, or all before the point.
fn number(value: f64) -> String {
    let places = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        small if small >= 0.1 || small == 0.0 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

fn ratio(ours: Option<f64>, other: Option<f64>) -> String {
    match (ours, other) {
        (Some(ours), Some(other)) if other > 0.0 => format!("{}×", number(ours / other)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
