//! `l0 admin verify`.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use layer0_api::client::Verified;
use layer0_api::types::{VerifyFinding, VerifyReport, VerifyRequest};
use serde::Serialize;

use crate::app::App;
use crate::error::{CliError, Exit};
use crate::follow::{Pause, passing};
use crate::printer::rows;
use crate::progress::Share;
use crate::size::rounded;

/// How many images a hint names.
const NAMED: usize = 5;

/// The result as programs get it.
#[derive(Serialize)]
struct Outcome {
    findings: Vec<VerifyFinding>,
    report: VerifyReport,
}

pub(crate) async fn run(app: &App, rate: Option<i64>) -> Result<(), CliError> {
    if rate.is_some_and(|rate| rate < 1) {
        return Err(CliError::usage("--rate must be at least 1"));
    }
    app.rest.replace(Some("the server reads on; `l0 admin verify` follows it again".to_owned()));
    let outcome = follow(app, &VerifyRequest { mib_per_s: rate }).await?;
    app.printer.result(&outcome, |outcome| rows::finding_table(&outcome.findings))?;
    app.printer.note(&summary(&outcome.report));
    judge(&outcome)
}

/// Follows the run to its end. A server that comes back after a break has begun anew, or goes on and tells all findings
/// again: both ways they are gathered anew.
async fn follow(app: &App, request: &VerifyRequest) -> Result<Outcome, CliError> {
    let mut share = Share::new(app);
    let mut pause = Pause::new();
    let mut begun = false;
    loop {
        let mut findings = Vec::new();
        match app.client.admin_verify(request).await {
            Ok(mut events) => {
                begun = true;
                loop {
                    match events.next().await {
                        Some(Ok(Verified::Progress(it))) => {
                            pause.reset();
                            let (read, all) = (rounded(it.bytes), rounded(it.bytes_total));
                            let found = match findings.len() {
                                1 => "1 finding".to_owned(),
                                count => format!("{count} findings"),
                            };
                            let said = format!("{} of {} blobs, {read} of {all}, {found}", it.blobs, it.blobs_total);
                            share.show(it.bytes, it.bytes_total, &said);
                        }
                        Some(Ok(Verified::Finding(finding))) => findings.push(finding),
                        Some(Ok(Verified::End(report))) => return Ok(Outcome { findings, report }),
                        Some(Err(why)) if !passing(&why) => return Err(app.error(why)),
                        Some(Err(_)) | None => break,
                    }
                }
            }
            Err(why) if begun && passing(&why) => app.printer.debug(|| why.to_string()),
            Err(why) => return Err(app.error(why)),
        }
        share.lost();
        pause.wait().await;
    }
}

fn summary(report: &VerifyReport) -> String {
    let mut text =
        format!("Read {} blobs ({}) and {} manifests.", report.blobs, rounded(report.bytes), report.manifests);
    if report.strays > 0 {
        text.push_str(&format!(
            " {} files ({}) are in no repository, or on their way into one; what nobody names goes by itself, a day old on a disk, a week in a bucket.",
            report.strays,
            rounded(report.stray_bytes)
        ));
    }
    if !report.not_read.is_empty() {
        let names = report.not_read.join(", ");
        text.push_str(&format!(" What lies in ECR ({names}) was not read: AWS compares it with its digests."));
    }
    text
}

/// How the command ends.
fn judge(outcome: &Outcome) -> Result<(), CliError> {
    if let Some(why) = &outcome.report.error {
        return Err(CliError::new(Exit::Other, format!("not everything was read: {why}")));
    }
    if outcome.findings.is_empty() {
        return Ok(());
    }
    let count = outcome.findings.len();
    let what = if count == 1 { "1 part".to_owned() } else { format!("{count} parts") };
    let mut error = CliError::new(Exit::Failed, format!("{what} of the registry can't be pulled"));
    let (unreadable, lost): (Vec<_>, Vec<_>) = outcome.findings.iter().partition(|it| it.problem == "unreadable");
    let users = || lost.iter().flat_map(|finding| &finding.users);
    let images: BTreeSet<String> =
        users().flat_map(|user| user.tags.iter().map(|tag| format!("{}:{tag}", user.repository))).collect();
    if !images.is_empty() {
        error = error.hint(format!("push {} again; a push brings what is missing", listed(&images)));
    }
    let untagged: BTreeSet<String> = lost
        .iter()
        .flat_map(|finding| {
            let users = finding.users.iter().filter(|user| user.tags.is_empty());
            users.map(|user| format!("{}@{}", user.repository, finding.digest))
        })
        .collect();
    if !untagged.is_empty() {
        error = error.hint(format!("no tag needs {}: push what it belongs to again; or delete that image, if it is there, and it goes with a collection after the grace", listed(&untagged)));
    }
    if !unreadable.is_empty() {
        error = error.hint("the server's log says why some files can't be read");
    }
    Err(error)
}

/// The first few of them.
fn listed(all: &BTreeSet<String>) -> String {
    let mut text = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if all.len() > NAMED {
        text.push_str(&format!(" and {} more", all.len() - NAMED));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut() {
        let all = |count: u32| (0..count).map(|number| number.to_string()).collect::<BTreeSet<_>>();
        assert_eq!(listed(&all(2)), "0, 1");
        assert_eq!(listed(&all(8)), "0, 1, 2, 3, 4 and 3 more");
    }
}
