//! `l0 admin gc`.

use layer0_api::types::{GcQuery, GcReport};

use crate::app::App;
use crate::error::CliError;
use crate::printer::rows;
use crate::size::rounded;

pub(crate) async fn run(app: &App, now: bool, trust_clock: bool) -> Result<(), CliError> {
    let query = GcQuery { trust_clock: trust_clock.then(|| "true".to_owned()) };
    if now {
        app.rest.replace(Some("the server goes on; what is left is found by the next run".to_owned()));
    }
    let asked = if now { app.client.admin_gc(&query).await } else { app.client.admin_gc_plan(&query).await };
    let report = asked.map_err(|why| app.error(why))?;
    app.printer.result(&report, |report| {
        let tables = [
            (report.retention.is_empty(), rows::retired_table(&report.retention)),
            (report.held.is_empty(), rows::held_table(&report.held)),
            (false, rows::gc_table(&report.repositories)),
        ];
        let shown = tables.into_iter().filter(|(empty, _)| !empty).map(|(_, table)| table);
        shown.collect::<Vec<_>>().join("\n")
    })?;
    if !report.retention.is_empty() {
        app.printer.note(&retired(&report, now));
    }
    app.printer.note(&said(&report, now));
    for line in [backed_up(&report), left(&report, now), waiting(&report)].into_iter().flatten() {
        app.printer.note(&line);
    }
    Ok(())
}

fn retired(report: &GcReport, now: bool) -> String {
    let tags = report.retention.iter().filter(|it| it.tag.is_some()).count();
    let manifests = report.retention.len() - tags;
    let what = format!("{}, {} without a tag", of(tags as u64, "tag"), of(manifests as u64, "image"));
    // Else the operator of a full disk waits for bytes that no rule lets go of.
    let goes_later = manifests > 0 || report.retention.iter().any(|it| it.rule.contains(" untagged "));
    let stay = if goes_later { "" } else { " Images that lose their tags stay: a rule with --untagged is for them." };
    match now {
        true => format!("By the retention rules: {what}, taken away.{stay}"),
        false => format!("By the retention rules: {what}. Their bytes are counted when they are gone.{stay}"),
    }
}

fn said(report: &GcReport, now: bool) -> String {
    let blobs = of(report.blobs, "blob");
    let freed = rounded(report.freed_bytes);
    match (report.blobs, now) {
        (0, false) if !report.retention.is_empty() => "Nothing was changed; `l0 admin gc --now` does it.".to_owned(),
        (0, _) => "Nothing to collect: all blobs belong to an image, or are younger than the grace.".to_owned(),
        (_, true) => format!("{blobs} taken away; {freed} came back."),
        (_, false) => format!("{blobs}, {freed}. Nothing was changed; `l0 admin gc --now` takes them away."),
    }
}

/// What keeps bytes for a while.
fn backed_up(report: &GcReport) -> Option<String> {
    let goes_on = match report.backups {
        0 => return None,
        1 => "A backup goes on",
        _ => "Backups go on",
    };
    let any = report.blobs > 0 || !report.retention.is_empty();
    any.then(|| {
        format!("{goes_on}: bytes that it needs come back when it has ended, or five minutes after it was left.")
    })
}

/// Uploads that nobody goes on with.
fn left(report: &GcReport, now: bool) -> Option<String> {
    let sum = sum(report.uploads, "unfinished upload", report.upload_bytes)?;
    let hours = hours(report.upload_seconds);
    Some(match now {
        true => format!("{sum}, which nobody has gone on with for {hours}: ended."),
        false => format!("{sum}, which nobody has gone on with for {hours}: `l0 admin gc --now` ends that."),
    })
}

/// What is not old enough.
fn waiting(report: &GcReport) -> Option<String> {
    let blobs = sum(report.waiting_blobs, "blob", report.waiting_bytes).map(|sum| {
        format!("{sum}, which no image of their repository needs, for a grace of {}", hours(report.grace_seconds))
    });
    let uploads = sum(report.open_uploads, "unfinished upload", report.open_upload_bytes)
        .map(|sum| format!("{sum}, for {} after the last byte", hours(report.upload_seconds)));
    let parts: Vec<String> = blobs.into_iter().chain(uploads).collect();
    (!parts.is_empty()).then(|| format!("Kept: {}.", parts.join("; ")))
}

fn sum(count: u64, word: &str, bytes: u64) -> Option<String> {
    match (count, bytes) {
        (0, _) => None,
        (_, 0) => Some(of(count, word)),
        _ => Some(format!("{} ({})", of(count, word), rounded(bytes))),
    }
}

fn of(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

fn hours(seconds: u64) -> String {
    of(seconds / 3600, "hour")
}
