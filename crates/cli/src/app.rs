//! What every command that speaks to a server has at hand.

use std::cell::RefCell;
use std::io::BufRead;
use std::rc::Rc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use layer0_api::client::{Client, ClientError};
use layer0_api::types::CreateEntityResponse;

use crate::error::{CliError, chain_of};
use crate::follow;
use crate::host::Terminal;
use crate::printer::Printer;
use crate::settings::Settings;

/// How many entities are read at a time; more would only queue at the server.
const READS_AT_A_TIME: usize = 16;

/// Standard input.
pub(crate) struct Input {
    pub(crate) stdin: RefCell<Box<dyn BufRead>>,
    /// Whether people type it.
    pub(crate) is_terminal: bool,
}

/// One command's surroundings.
pub(crate) struct App {
    pub(crate) client: Client,
    pub(crate) endpoint_given: bool,
    pub(crate) settings: Settings,
    pub(crate) printer: Rc<Printer>,
    pub(crate) terminal: Terminal,
    pub(crate) input: Input,
    /// The operation that is followed now: whoever ends the command early says how to follow it on.
    pub(crate) watching: RefCell<Option<String>>,
    /// What the command would do once that operation has ended, in words: nobody does when it ends early.
    pub(crate) rest: RefCell<Option<String>>,
    /// The backup that the server keeps ready now: whoever ends the command early ends it too.
    pub(crate) backing_up: RefCell<Option<String>>,
}

/// Whether a change is at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Settled {
    /// It is.
    Done,
    /// It goes on as this operation; nobody waited.
    Left(String),
}

impl App {
    /// Turns what the client says into how the command ends.
    pub(crate) fn error(&self, error: ClientError) -> CliError {
        for cause in chain_of(&error) {
            self.printer.debug(|| cause);
        }
        CliError::client(error, self.endpoint_given)
    }

    /// Shows a change's warnings and follows it to its end, or says that it goes on.
    pub(crate) async fn settle(&self, change: &CreateEntityResponse) -> Result<Settled, CliError> {
        for warning in &change.warnings {
            self.printer.warn(warning);
        }
        for image in &change.images {
            if let Some(warning) = &image.warning {
                self.printer.warn(&format!("container `{}`: {warning}", image.container_name));
            }
        }
        match &change.operation_id {
            Some(operation) if self.settings.no_wait => Ok(Settled::Left(operation.clone())),
            _ => self.settle_waiting(change).await.map(|()| Settled::Done),
        }
    }

    /// Follows a change to its end, whatever `--no-wait` says.
    pub(crate) async fn settle_waiting(&self, change: &CreateEntityResponse) -> Result<(), CliError> {
        let Some(operation) = &change.operation_id else { return Ok(()) };
        let end = follow::follow(self, operation).await?;
        if end.state == "succeeded" { Ok(()) } else { Err(CliError::operation(&end)) }
    }

    /// As [`App::settle`], for a change whose result is printed afterwards.
    pub(crate) async fn settle_then_print(&self, change: &CreateEntityResponse) -> Result<(), CliError> {
        if let Settled::Left(operation) = self.settle(change).await? {
            self.printer.note(&running_as(&operation));
        }
        Ok(())
    }

    /// As [`App::settle`], for a change that has no result of its own.
    pub(crate) async fn settle_silently(&self, change: &CreateEntityResponse) -> Result<(), CliError> {
        match self.settle(change).await? {
            Settled::Done => Ok(()),
            Settled::Left(operation) => self.printer.message(&running_as(&operation)),
        }
    }

    /// Reads entities by id, several at a time, in the order of the ids. One that is gone meanwhile is left out.
    pub(crate) async fn read_all<T, F>(
        &self,
        ids: Vec<String>,
        read: impl Fn(Client, String) -> F,
    ) -> Result<Vec<T>, CliError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let all: Vec<Option<T>> = stream::iter(ids)
            .map(|id| {
                let reading = read(self.client.clone(), id);
                async move {
                    match reading.await {
                        Ok(entity) => Ok(Some(entity)),
                        Err(ClientError::Refused { status: 404, .. }) => Ok(None),
                        Err(why) => Err(self.error(why)),
                    }
                }
            })
            .buffered(READS_AT_A_TIME)
            .try_collect()
            .await?;
        Ok(all.into_iter().flatten().collect())
    }
}

/// What is said of an operation that nobody waits for.
pub(crate) fn running_as(operation: &str) -> String {
    format!("This operation is running as a job. Run `l0 operation follow {operation}` to see progress")
}
