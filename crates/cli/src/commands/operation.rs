//! `l0 operation`, and `l0 job`, its name of old.

use futures_util::future::try_join;
use layer0_api::types::{LogFile, Operation as Entity, OperationEvent};

use super::logs;
use crate::app::App;
use crate::args::operation::{Job, Operation};
use crate::error::CliError;
use crate::follow;
use crate::printer::{lines, rows};

pub(crate) async fn run(app: &App, verb: Operation) -> Result<(), CliError> {
    match verb {
        Operation::List => list(app).await,
        Operation::Get { id } => get(app, &id).await,
        Operation::Follow { id } => {
            let end = follow::follow(app, &id).await?;
            if end.state == "succeeded" { print(app, &end) } else { Err(CliError::operation(&end)) }
        }
    }
}

pub(crate) async fn job(app: &App, verb: Job) -> Result<(), CliError> {
    match verb {
        Job::List => list(app).await,
        Job::Get { id } => get(app, &id).await,
        Job::Delete { id } => {
            app.client.operation_get(&id).await.map_err(|why| app.error(why))?;
            app.printer.note("operations are kept as a record; nothing was deleted");
            Ok(())
        }
        Job::Logs { id, window } => {
            let query = logs::query(&window)?;
            let events = app.client.operation_events(&id).await.map_err(|why| app.error(why))?;
            let within = |event: &&OperationEvent| {
                let at = event.at.replace('T', " ");
                let minute = at.get(..MINUTE).unwrap_or_default();
                query.start.as_deref().is_none_or(|start| minute >= start)
                    && query.end.as_deref().is_none_or(|end| minute < end)
            };
            for (flag, time) in [("--start", &query.start), ("--end", &query.end)] {
                if let Some(time) = time.as_deref().filter(|time| !is_minute(time)) {
                    return Err(CliError::usage(format!("{flag}: '{time}' is no time: write YYYY-MM-DD HH:MM")));
                }
            }
            let events: Vec<OperationEvent> = events.iter().filter(within).cloned().collect();
            let mut lines = lines::events(&events);
            if let Some(tail) = query.tail.and_then(|tail| tail.parse::<usize>().ok()) {
                lines.drain(..lines.len().saturating_sub(tail));
            }
            logs::print(app, &[LogFile { container_name: id, lines }])
        }
    }
}

/// The length of `YYYY-MM-DD HH:MM`.
const MINUTE: usize = 16;

/// Whether a text is a minute as it is written everywhere: `YYYY-MM-DD HH:MM`.
fn is_minute(text: &str) -> bool {
    let form = "0000-00-00 00:00";
    let fits = |(wanted, found): (u8, u8)| if wanted == b'0' { found.is_ascii_digit() } else { found == wanted };
    text.len() == MINUTE && form.bytes().zip(text.bytes()).all(fits)
}

async fn list(app: &App) -> Result<(), CliError> {
    let all = app.client.operation_list().await.map_err(|why| app.error(why))?;
    app.printer.result(&all[..], rows::operation_table)
}

async fn get(app: &App, id: &str) -> Result<(), CliError> {
    let (operation, events) =
        try_join(app.client.operation_get(id), app.client.operation_events(id)).await.map_err(|why| app.error(why))?;
    app.printer.result(&[operation][..], |operations| {
        let mut out = rows::operation_table(operations);
        if !events.is_empty() {
            out.push_str(&format!("\n{}\n", lines::events(&events).join("\n")));
        }
        for cause in operations.iter().filter_map(|operation| operation.cause.as_ref()) {
            out.push_str(&lines::cause(cause));
        }
        out
    })
}

fn print(app: &App, operation: &Entity) -> Result<(), CliError> {
    app.printer.result(std::slice::from_ref(operation), rows::operation_table)
}
