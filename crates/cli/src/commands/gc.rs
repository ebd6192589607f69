//! `l0 admin gc`.

use layer0_api::types::GcReport;

use super::verify::size;
use crate::app::App;
use crate::error::CliError;
use crate::printer::rows;

pub(crate) async fn run(app: &App, now: bool) -> Result<(), CliError> {
    let asked = if now { app.client.admin_gc().await } else { app.client.admin_gc_plan().await };
    let report = asked.map_err(|why| app.error(why))?;
    app.printer.result(&report, |report| rows::gc_table(&report.repositories, size))?;
    app.printer.note(&said(&report, now));
    Ok(())
}

fn said(report: &GcReport, now: bool) -> String {
    let blobs = if report.blobs == 1 { "1 blob".to_owned() } else { format!("{} blobs", report.blobs) };
    let freed = size(report.freed_bytes);
    match (report.blobs, now) {
        (0, _) => "Nothing to collect: all blobs belong to an image, or are younger than the grace.".to_owned(),
        (_, true) => format!("{blobs} taken away; {freed} came back."),
        (_, false) => format!("{blobs}, {freed}. Nothing was changed; `l0 admin gc --now` takes them away."),
    }
}
