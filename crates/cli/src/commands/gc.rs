//! `l0 admin gc`.

use layer0_api::types::{GcQuery, GcReport};

use super::verify::size;
use crate::app::App;
use crate::error::CliError;
use crate::printer::rows;

pub(crate) async fn run(app: &App, now: bool, trust_clock: bool) -> Result<(), CliError> {
    let query = GcQuery { trust_clock: trust_clock.then(|| "true".to_owned()) };
    let asked = if now { app.client.admin_gc(&query).await } else { app.client.admin_gc_plan(&query).await };
    let report = asked.map_err(|why| app.error(why))?;
    app.printer.result(&report, |report| {
        let tables = [
            (report.retention.is_empty(), rows::retired_table(&report.retention)),
            (report.held.is_empty(), rows::held_table(&report.held)),
            (false, rows::gc_table(&report.repositories, size)),
        ];
        let shown = tables.into_iter().filter(|(empty, _)| !empty).map(|(_, table)| table);
        shown.collect::<Vec<_>>().join("\n")
    })?;
    if !report.retention.is_empty() {
        app.printer.note(&retired(&report, now));
    }
    app.printer.note(&said(&report, now));
    Ok(())
}

fn retired(report: &GcReport, now: bool) -> String {
    let tags = report.retention.iter().filter(|it| it.tag.is_some()).count();
    let manifests = report.retention.len() - tags;
    let of = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let what = format!("{}, {} without a tag", of(tags, "tag"), of(manifests, "image"));
    match now {
        true => format!("By the retention rules: {what}, taken away."),
        false => format!("By the retention rules: {what}. Their bytes are counted when they are gone."),
    }
}

fn said(report: &GcReport, now: bool) -> String {
    let blobs = if report.blobs == 1 { "1 blob".to_owned() } else { format!("{} blobs", report.blobs) };
    let freed = size(report.freed_bytes);
    match (report.blobs, now) {
        (0, false) if !report.retention.is_empty() => "Nothing was changed; `l0 admin gc --now` does it.".to_owned(),
        (0, _) => "Nothing to collect: all blobs belong to an image, or are younger than the grace.".to_owned(),
        (_, true) => format!("{blobs} taken away; {freed} came back."),
        (_, false) => format!("{blobs}, {freed}. Nothing was changed; `l0 admin gc --now` takes them away."),
    }
}
