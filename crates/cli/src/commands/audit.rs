//! `l0 admin audit`: the newest entries, all since some moment, or one after the other as they are written.

use futures_util::StreamExt as _;
use layer0_api::types::{AuditEntry, AuditQuery};

use crate::app::App;
use crate::error::CliError;
use crate::follow::{Pause, passing};
use crate::printer::access_rows as rows;
use crate::printer::table::Running;
use crate::settings::Output;

/// The most entries that the server puts into one answer (`AuditQuery::limit`).
const TAIL_MAX: u64 = 10_000;

/// How many entries are asked for at a time when all are wanted: a good many, and far from what the server cuts off.
const PAGE: usize = 1_000;

/// Which entries, as the flags say it.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) tail: Option<String>,
    pub(crate) who: Option<String>,
    pub(crate) start: Option<String>,
    pub(crate) end: Option<String>,
}

/// Prints entries, and with `follow` goes on until somebody ends it.
///
/// # Errors
/// When `--tail` is no number, and what the server refuses: times are its to judge.
pub(crate) async fn run(app: &App, wanted: Wanted, follow: bool) -> Result<(), CliError> {
    if let Some(tail) = &wanted.tail {
        match tail.parse::<u64>() {
            Ok(1..=TAIL_MAX) => {}
            Ok(0) => return Err(CliError::usage("--tail must be at least 1")),
            Ok(_) => {
                return Err(CliError::usage(format!("--tail may be {TAIL_MAX} at most"))
                    .hint("--start TIME without --tail prints all entries since then"));
            }
            Err(_) => return Err(CliError::usage(format!("--tail: '{tail}' is not a number of entries"))),
        }
    }
    let all = wanted.tail.is_none() && wanted.start.is_some();
    let query = AuditQuery {
        after: None,
        limit: wanted.tail,
        start: wanted.start,
        end: wanted.end,
        who: wanted.who,
        follow: None,
    };
    let table = rows::audit_table();
    let table = if follow { table.at_least(&rows::AUDIT_FOLLOWED) } else { table };
    let mut sheet = Sheet { app, table, last: None };
    if all {
        print_all(app, &query, &mut sheet).await?;
    } else {
        sheet.print(&app.client.admin_audit(&query).await.map_err(|why| app.error(why))?)?;
    }
    if follow { go_on(app, query, &mut sheet).await } else { Ok(()) }
}

/// Prints all that the query fits, page by page.
async fn print_all(app: &App, query: &AuditQuery, sheet: &mut Sheet<'_>) -> Result<(), CliError> {
    loop {
        let page = AuditQuery {
            after: Some(sheet.last.unwrap_or(0).to_string()),
            limit: Some(PAGE.to_string()),
            ..query.clone()
        };
        let entries = app.client.admin_audit(&page).await.map_err(|why| app.error(why))?;
        sheet.print(&entries)?;
        if entries.len() < PAGE {
            return Ok(());
        }
    }
}

/// Prints entries as they are written. A stream that ends (the server restarts) is opened again behind the last entry seen:
/// none is lost and none printed twice.
async fn go_on(app: &App, mut query: AuditQuery, sheet: &mut Sheet<'_>) -> Result<(), CliError> {
    let mut pause = Pause::new();
    let mut begun = false;
    loop {
        query.after = sheet.last.map(|last| last.to_string());
        match app.client.audit_follow(&query).await {
            Ok(mut stream) => {
                begun = true;
                loop {
                    match stream.next().await {
                        Some(Ok(entry)) => {
                            pause.reset();
                            sheet.print(&[entry])?;
                        }
                        Some(Err(why)) if !passing(&why) => return Err(app.error(why)),
                        Some(Err(_)) | None => break,
                    }
                }
            }
            Err(why) if begun && passing(&why) => app.printer.debug(|| why.to_string()),
            Err(why) => return Err(app.error(why)),
        }
        pause.wait().await;
    }
}

/// What is printed so far.
struct Sheet<'a> {
    app: &'a App,
    table: Running,
    /// The sequence of the last entry.
    last: Option<u64>,
}

impl Sheet<'_> {
    /// Prints those of the entries that were not printed yet.
    fn print(&mut self, entries: &[AuditEntry]) -> Result<(), CliError> {
        let last = self.last;
        let fresh: Vec<&AuditEntry> =
            entries.iter().filter(|entry| last.is_none_or(|last| entry.sequence > last)).collect();
        self.last = fresh.last().map(|entry| entry.sequence).or(last);
        match self.app.printer.output() {
            Output::Text => self.app.printer.data(&self.table.rows(fresh.into_iter().map(rows::audit_row))),
            Output::Json => fresh.into_iter().try_for_each(|entry| self.app.printer.json_line(entry)),
        }
    }
}
