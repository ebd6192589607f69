//! Logs of all nouns: files at once, or lines as they are written.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use layer0_api::client::ClientError;
use layer0_api::types::{LogFile, LogLine, LogQuery};

use crate::app::App;
use crate::args::LogWindow;
use crate::error::CliError;
use crate::follow::{Pause, passing};
use crate::printer::lines;
use crate::settings::Output;

/// The window as the API takes it.
///
/// # Errors
/// When `--tail` is no number. Times are the server's to judge: it knows their format.
pub(crate) fn query(window: &LogWindow) -> Result<LogQuery, CliError> {
    if let Some(tail) = &window.tail
        && tail.parse::<u64>().is_err()
    {
        return Err(CliError::usage(format!("--tail: '{tail}' is not a number of lines")));
    }
    Ok(LogQuery { tail: window.tail.clone(), start: window.start.clone(), end: window.end.clone(), follow: None })
}

/// Prints log files.
pub(crate) fn print(app: &App, files: &[LogFile]) -> Result<(), CliError> {
    app.printer.result(files, lines::log_files)
}

/// Whose log is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followed {
    /// Its log goes on until it is deleted.
    Service,
    /// Its log goes on until it has stopped.
    Task,
    /// Its log goes on until it is deleted.
    Environment,
    /// The instance itself, whose log goes on for ever.
    Instance,
}

/// Prints lines as they are written, until there can't be more. A stream that ends before that (the server restarts, no copy
/// runs yet) is opened again: the last line of each container tells what was printed already. What was written while nobody
/// listened may be missing, and that is said.
pub(crate) async fn follow(app: &App, whose: Followed, id: &str, mut query: LogQuery) -> Result<(), CliError> {
    let open = async |query: &LogQuery| match whose {
        Followed::Service => app.client.log_follow("service", id, query).await,
        Followed::Task => app.client.log_follow("task", id, query).await,
        Followed::Environment => app.client.log_follow("environment", id, query).await,
        Followed::Instance => app.client.admin_log_follow(query).await,
    };
    let mut pause = Pause::new();
    let mut begun = false;
    // Whether lines may have been written that nobody saw, and whether that was said.
    let (mut missed, mut is_said) = (false, false);
    let mut printed: HashMap<String, String> = HashMap::new();
    loop {
        let mut replayed = printed.clone();
        let broken = match open(&query).await {
            Ok(mut stream) => {
                if std::mem::take(&mut missed) && !is_said {
                    app.printer.warn("the server was away; lines may be missing");
                }
                is_said = false;
                begun = true;
                loop {
                    match stream.next().await {
                        Some(Ok(line)) => {
                            if replayed.remove(&line.container_name).is_some_and(|last| last == line.line) {
                                continue;
                            }
                            pause.reset();
                            print_line(app, &line)?;
                            printed.insert(line.container_name, line.line);
                        }
                        Some(Err(why)) if passing(&why) => break true,
                        Some(Err(why)) => return Err(app.error(why)),
                        // A log that has an end comes to it.
                        None if query.end.is_some() => return Ok(()),
                        None => break false,
                    }
                }
            }
            Err(why) if begun && passing(&why) => {
                missed = true;
                false
            }
            Err(ClientError::Refused { status: 404, .. }) if begun => return Ok(()),
            Err(why) => return Err(app.error(why)),
        };
        if over(app, whose, id).await? {
            return Ok(());
        }
        if broken {
            app.printer.warn("connection lost, trying again; lines may be missing");
            is_said = true;
        }
        if !printed.is_empty() {
            query.tail = Some("1".to_owned());
            query.start = None;
        }
        pause.wait().await;
    }
}

/// Whether a log can't go on. A server that is away does not say so.
async fn over(app: &App, whose: Followed, id: &str) -> Result<bool, CliError> {
    let ended = match whose {
        Followed::Service => app.client.service_get(id).await.map(|_| false),
        Followed::Task => app.client.task_get(id).await.map(|task| task.status == "STOPPED"),
        Followed::Environment => app.client.environment_get(id).await.map(|_| false),
        Followed::Instance => Ok(false),
    };
    match ended {
        Ok(ended) => Ok(ended),
        Err(ClientError::Refused { status: 404, .. }) => Ok(true),
        Err(why) if passing(&why) => Ok(false),
        Err(why) => Err(app.error(why)),
    }
}

fn print_line(app: &App, line: &LogLine) -> Result<(), CliError> {
    match app.printer.output() {
        Output::Text => app.printer.data(&format!("{} | {}\n", line.container_name, line.line)),
        // A line for each, so that a program reads them as they come.
        Output::Json => app.printer.data(&format!("{}\n", serde_json::json!(line))),
    }
}
