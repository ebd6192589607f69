//! `l0 admin sweep`.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use layer0_api::client::Swept;
use layer0_api::types::{SweepPlan, SweepReport, SweepStray};
use serde::Serialize;

use crate::app::App;
use crate::error::{CliError, Exit};
use crate::follow::{Pause, passing};
use crate::printer::rows;
use crate::progress::Share;

/// The result as programs get it.
#[derive(Serialize)]
struct Outcome {
    strays: Vec<SweepStray>,
    report: SweepReport,
}

pub(crate) async fn run(app: &App, yes: bool) -> Result<(), CliError> {
    if !yes {
        let plan = app.client.admin_sweep_plan().await.map_err(|why| app.error(why))?;
        app.printer.result(&plan, |plan| rows::stray_table(&plan.strays, &plan.unclear))?;
        app.printer.note(&planned(&plan));
        return Ok(());
    }
    let outcome = follow(app).await?;
    app.printer.result(&outcome, |outcome| rows::stray_table(&outcome.strays, &outcome.report.unclear))?;
    app.printer.note(&format!("{} taken away, {} left.", strays(outcome.report.gone), outcome.report.left));
    judge(&outcome)
}

/// Follows the run to its end. After a break another run may begin, which does not find what the first one took away: what is
/// known of each stray is kept, the newest of it.
async fn follow(app: &App) -> Result<Outcome, CliError> {
    let mut share = Share::new(app);
    let mut pause = Pause::new();
    let mut begun = false;
    let mut known: BTreeMap<(String, String), SweepStray> = BTreeMap::new();
    loop {
        match app.client.admin_sweep().await {
            Ok(mut events) => {
                begun = true;
                loop {
                    match events.next().await {
                        Some(Ok(Swept::Progress(it))) => {
                            pause.reset();
                            let said = match (it.strays, it.waiting_for) {
                                (None, _) => "looking for strays".to_owned(),
                                (Some(all), Some(what)) if it.ended < all => {
                                    format!("{} of {} done; {what}", it.ended, strays(all))
                                }
                                (Some(all), _) => format!("{} of {} done", it.ended, strays(all)),
                            };
                            share.show(it.ended, it.strays.unwrap_or(1), &said);
                        }
                        Some(Ok(Swept::Stray(stray))) => {
                            known.insert((stray.entity_type.clone(), stray.entity_id.clone()), stray);
                        }
                        Some(Ok(Swept::End(report))) => return Ok(whole(known, report)),
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

/// The end of all runs together.
fn whole(known: BTreeMap<(String, String), SweepStray>, report: SweepReport) -> Outcome {
    let mut strays: Vec<SweepStray> = known.into_values().collect();
    // What needs somebody stands last, nearest to the error.
    strays.sort_by_key(|stray| stray.outcome != "gone");
    let gone = strays.iter().filter(|stray| stray.outcome == "gone").count();
    let report = SweepReport { gone: gone as u64, left: (strays.len() - gone) as u64, ..report };
    Outcome { strays, report }
}

fn strays(count: u64) -> String {
    if count == 1 { "1 stray".to_owned() } else { format!("{count} strays") }
}

/// What a dry run says beside its table.
fn planned(plan: &SweepPlan) -> String {
    let hindered = plan.strays.iter().flat_map(|stray| &stray.things).filter_map(|thing| {
        let why = thing.hindrance.as_deref()?;
        Some(format!("{} `{}` could not go before: {why}", thing.what, thing.name))
    });
    let mut said: Vec<String> = hindered.collect();
    said.push(match plan.strays.len() {
        0 => "No strays.".to_owned(),
        count => format!("{}. Nothing was changed; `l0 admin sweep --yes` takes them away.", strays(count as u64)),
    });
    said.join("\n")
}

/// How the command ends.
fn judge(outcome: &Outcome) -> Result<(), CliError> {
    if let Some(why) = &outcome.report.error {
        return Err(CliError::new(Exit::Other, format!("not all strays were tried: {why}")).hint("run it again"));
    }
    if outcome.report.left == 0 {
        return Ok(());
    }
    let mut error = CliError::new(Exit::Failed, format!("{} could not be taken away", strays(outcome.report.left)));
    for stray in outcome.strays.iter().filter(|stray| stray.outcome == "left") {
        let (kind, id) = (stray.entity_type.replace('_', " "), &stray.entity_id);
        error = error.hint(format!("{kind} `{id}`: {}", stray.cause.as_deref().unwrap_or("no cause was given")));
    }
    Err(error.hint("take away what hinders, and run it again"))
}
