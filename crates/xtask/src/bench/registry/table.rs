//! What the script's figures come to, side by side: pure, from its JSON to numbers, verdicts and the lines of a document.
//!
//! A figure of speed that misses its bound is said, and no fault. What a registry may never do is one: to serve other
//! bytes than it was asked for, to lose what it acknowledged, to accept what does not fit its digest. Of ours a figure that
//! is not there counts as a fault too, so that a section that was left out is not taken for one that went well.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the limit of a measure stands.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// Nothing on this machine is comparable.
    None,
    /// In the section `limits`.
    Machine(&'static str),
    /// Beside the figure itself, because it changes from minute to minute: the disk's.
    Beside(&'static str),
}

use Limit::{Beside, Machine};

/// What ours must reach.
#[derive(Debug, Clone, Copy)]
enum Bound {
    /// Nothing is asked for.
    Free,
    /// At least so much of the limit.
    OfLimit(f64),
    /// At most so much of the limit.
    AtMostOfLimit(f64),
    /// At least so much of another figure of ours.
    Of(&'static str, f64),
    /// At most this.
    AtMost(f64),
}

use Bound::{AtMost, AtMostOfLimit, Free, Of, OfLimit};

const DISK: Limit = Beside("push.raw_write_fsync_mib_s");

/// Each measure: what it is, where it stands under `results`, its limit, and its bound.
const MEASURES: &[(&str, &str, Limit, Bound)] = &[
    (
        "GET of a manifest by tag, requests/s",
        "manifest.get_by_tag.req_s",
        Machine("nginx_get_small.req_s"),
        OfLimit(0.7),
    ),
    ("— p99, ms", "manifest.get_by_tag.p99_ms", Machine("nginx_get_small.p99_ms"), AtMost(6.0)),
    ("— median on one connection, ms", "manifest.get_by_tag.c1_p50_ms", Machine("nginx_get_small.c1_p50_ms"), Free),
    (
        "— server's processor time per request, µs",
        "manifest.get_by_tag.server_cpu_us_per_req",
        Machine("nginx_get_small.server_cpu_us_per_req"),
        AtMost(20.0),
    ),
    (
        "GET of a manifest by digest, requests/s",
        "manifest.get_by_digest.req_s",
        Machine("nginx_get_small.req_s"),
        OfLimit(0.7),
    ),
    ("— p99, ms", "manifest.get_by_digest.p99_ms", Machine("nginx_get_small.p99_ms"), AtMost(6.0)),
    (
        "HEAD of a manifest by tag, requests/s",
        "manifest.head_by_tag.req_s",
        Machine("nginx_head_small.req_s"),
        OfLimit(0.7),
    ),
    ("HEAD of a blob, requests/s", "manifest.head_blob.req_s", Machine("nginx_head_small.req_s"), OfLimit(0.7)),
    (
        "GET of manifests by many tags, requests/s",
        "tags.get_by_tag_after.req_s",
        Machine("nginx_get_small.req_s"),
        Free,
    ),
    (
        "GET of a manifest with a password in every request, requests/s",
        "pulls.password.req_s",
        Beside("pulls.password.token_req_s"),
        OfLimit(0.9),
    ),
    (
        "GET of a manifest while all repositories are collected, p99, ms",
        "pulls.collecting.p99_ms",
        Beside("pulls.collecting.quiet_p99_ms"),
        AtMostOfLimit(1.2),
    ),
    ("— answers other than 200 meanwhile", "pulls.collecting.errors", Limit::None, AtMost(0.0)),
    ("— how long a collection takes, s", "pulls.collecting.collection_s", Limit::None, Free),
    ("GET of a big blob, MiB/s", "blobget.big.mib_s", Machine("nginx_get_big_mib_s"), OfLimit(0.9)),
    (
        "— server's processor time, s/GiB",
        "blobget.big.server_cpu_s_per_gib",
        Machine("nginx_get_big_cpu_s_per_gib"),
        AtMost(0.4),
    ),
    ("GET of blobs of 1 MiB, MiB/s", "blobget.small_64x1mib.mib_s", Machine("nginx_get_64x1mib_mib_s"), OfLimit(0.85)),
    ("— p99, ms", "blobget.small_64x1mib.p99_ms", Machine("nginx_get_64x1mib_p99_ms"), Free),
    ("— memory (RSS), the most, MiB", "blobget.small_64x1mib.server_peak_rss_mib", Limit::None, AtMost(48.0)),
    ("push of a big blob in one request, MiB/s", "push.monolithic.mib_s", DISK, OfLimit(0.6)),
    ("— server's processor time, s/GiB", "push.monolithic.server_cpu_s_per_gib", Limit::None, Free),
    (
        "push of a big blob in chunks of 16 MiB, MiB/s",
        "push.chunked_16mib.mib_s",
        DISK,
        Of("push.monolithic.mib_s", 0.95),
    ),
    ("push of a big blob as one stream, MiB/s", "push.streamed.mib_s", DISK, Of("push.monolithic.mib_s", 0.95)),
    ("push of small images, images/s", "push.small_images.images_s", Machine("client_ceiling_images_s"), OfLimit(0.32)),
    ("— p99 of one image, ms", "push.small_images.image_p99_ms", Limit::None, AtMost(60.0)),
    ("PUT of a manifest under a new tag, 1/s", "tags.tag_put_s", Machine("client_ceiling_put_s"), OfLimit(0.35)),
    ("list of all tags, ms", "tags.full_ms", Limit::None, Free),
    ("page of 100 tags, ms", "tags.page100_ms", Limit::None, AtMost(0.3)),
    ("new repositories (mount and PUT), 1/s", "catalog.repo_create_s", Machine("client_ceiling_put_s"), OfLimit(0.174)),
    ("page of 100 repositories, ms", "catalog.page100_ms", Limit::None, AtMost(0.3)),
    ("all repositories in pages of 1000, ms", "catalog.walk1000_ms", Limit::None, AtMost(10.0)),
    ("start to first answer, empty store, ms", "coldstart.median_ms", Limit::None, AtMost(15.0)),
    ("start to first answer, filled store, ms", "coldstart_filled.median_ms", Limit::None, AtMost(15.0)),
    (
        "— of the registry alone (`--engine none`), filled store, ms",
        "registry_only.coldstart.median_ms",
        Limit::None,
        AtMost(8.0),
    ),
    ("start to first answer after `kill -9`, ms", "crash.restart_ms_median", Limit::None, Free),
    (
        "64 clients on one cold blob of a mirror, s",
        "proxy.cold_wall_s",
        Beside("proxy.ideal_cold_wall_s"),
        AtMostOfLimit(1.2),
    ),
    ("— bytes from the upstream per byte of the blob", "proxy.upstream_bytes_over_blob", Limit::None, AtMost(1.0)),
    ("memory (RSS) after the start, filled store, MiB", "coldstart_filled.idle_rss_mib", Limit::None, AtMost(30.0)),
    ("— of the registry alone, MiB", "registry_only.coldstart.idle_rss_mib", Limit::None, AtMost(14.0)),
    ("memory (RSS), the most, 1,000 clients pull at once, MiB", "crowd.pulls_peak_mib", Limit::None, AtMost(96.0)),
    ("memory (RSS), the most, 1,000 clients push at once, MiB", "crowd.pushes_peak_mib", Limit::None, AtMost(160.0)),
    ("— clients that failed", "crowd.errors", Limit::None, AtMost(0.0)),
    ("memory (RSS), the most, MiB", "peak_rss_mib", Machine("nginx_peak_rss_mib"), Free),
];

/// What a check must say.
#[derive(Debug, Clone, Copy)]
enum Must {
    /// A status of 400 to 499.
    Refuse,
    /// That there is nothing, or the right bytes.
    BeHarmless,
    /// 0.
    BeZero,
    /// At least 1: without it the checks after it show nothing.
    BeSome,
    /// `true`.
    BeTrue,
}

/// Each check: what it is, where it stands under `results`, and what is demanded.
const CHECKS: &[(&str, &str, Must)] = &[
    ("big blob comes back with its own digest", "blobget.big.digest_ok", Must::BeTrue),
    ("list of tags is complete", "tags.full_complete", Must::BeTrue),
    ("list of repositories is complete", "catalog.complete", Must::BeTrue),
    ("upload that is closed with a wrong digest: status", "integrity.wrong_digest_status", Must::Refuse),
    ("— what that digest gives then", "integrity.wrong_digest_then_get", Must::BeHarmless),
    ("client goes away in the middle: what the digest gives then", "integrity.client_gone_then_get", Must::BeHarmless),
    ("half an upload that is closed as if whole: status", "integrity.finish_half_upload_status", Must::Refuse),
    ("— what that digest gives then", "integrity.finish_half_upload_then_get", Must::BeHarmless),
    ("chunk out of order: status", "integrity.out_of_order_chunk_status", Must::Refuse),
    ("manifest that names a missing blob: status", "integrity.manifest_with_missing_blob_status", Must::Refuse),
    ("crashes (`kill -9`) in the middle of uploads", "crash.rounds", Must::BeSome),
    ("— blobs acknowledged before", "crash.acked_blobs", Must::BeSome),
    ("— acknowledged blobs lost", "crash.acked_lost", Must::BeZero),
    ("— corrupt blobs served", "crash.corrupt_served", Must::BeZero),
    ("— blobs that give neither 200 nor 404", "crash.other_status", Must::BeZero),
    ("— acknowledged tags lost", "crash.tag_lost", Must::BeZero),
    ("— tags that went back to an older manifest", "crash.tag_stale", Must::BeZero),
    ("— tags broken, or with a layer missing", "crash.tag_broken", Must::BeZero),
    ("— lists of tags that fail", "crash.tags_list_bad", Must::BeZero),
    ("— pushes after the restart that fail", "crash.repush_failed", Must::BeZero),
];

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
        let measures = MEASURES.iter().map(|(what, path, limit, bound)| {
            let figure = |document, path: &str| at(document, path).and_then(Value::as_f64);
            let limit = match limit {
                Limit::None => None,
                Machine(path) => figure(limits, &format!("limits.{path}")),
                Beside(path) => figure(ours, path),
            };
            let measured = figure(ours, path);
            let (bound, met) = judged(*bound, measured, limit, |path| figure(ours, path));
            Measure { what: (*what).to_owned(), limit, theirs: figure(theirs, path), ours: measured, bound, met }
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
                match line.met {
                    None => String::new(),
                    Some(true) => "met".to_owned(),
                    Some(false) => "**missed**".to_owned(),
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

/// A bound in words, and whether a figure keeps it; one that was not measured does not.
fn judged(
    bound: Bound,
    measured: Option<f64>,
    limit: Option<f64>,
    figure: impl Fn(&str) -> Option<f64>,
) -> (String, Option<bool>) {
    let share = |of: Option<f64>, least: f64| measured.zip(of).is_some_and(|(ours, of)| ours >= least * of);
    match bound {
        Free => (String::new(), None),
        OfLimit(least) => (format!("≥ {least:.2}× limit"), Some(share(limit, least))),
        AtMostOfLimit(most) => {
            let keeps = measured.zip(limit).is_some_and(|(ours, limit)| ours <= most * limit);
            (format!("≤ {most:.2}× limit"), Some(keeps))
        }
        Of(path, least) => (format!("≥ {least:.2}× in one request"), Some(share(figure(path), least))),
        AtMost(most) => (format!("≤ {most}"), Some(measured.is_some_and(|ours| ours <= most))),
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
