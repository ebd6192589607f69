//! What ends a command: a message for people, an exit code for scripts.

use std::error::Error as _;
use std::time::Duration;

use layer0_api::client::ClientError;
use layer0_api::types::{Failure, Operation};
use serde_json::{Map, Value, json};

use crate::value::duration_words;

/// The exit codes. Each says what a script can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Success,
    /// None of the others: a defect, a full disk, a file that can't be read.
    Other,
    /// The command line is wrong: correct it.
    Usage,
    /// What was named does not exist.
    NotFound,
    /// The server understood and said no.
    Refused,
    /// It was begun and did not come to a good end.
    Failed,
    /// It took longer than `--timeout`.
    Timeout,
    /// The server can't be reached.
    Connection,
    /// Ctrl-C: 128 + SIGINT, as shells count.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Success => 0,
            Exit::Other => 1,
            Exit::Usage => 2,
            Exit::NotFound => 3,
            Exit::Refused => 4,
            Exit::Failed => 5,
            Exit::Timeout => 6,
            Exit::Connection => 7,
            Exit::Interrupted => 130,
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            404 => Exit::NotFound,
            400..=499 => Exit::Refused,
            _ => Exit::Other,
        }
    }
}

/// The end of a command that did not do what was asked.
#[derive(Debug)]
pub(crate) struct CliError {
    /// For the shell.
    pub(crate) exit: Exit,
    /// One sentence; more lines where a list belongs to it.
    pub(crate) message: String,
    /// Lines below the message: holders, problems, the last output of a failed copy.
    pub(crate) details: Vec<String>,
    /// What to do next.
    pub(crate) hints: Vec<String>,
    /// Further fields in JSON mode.
    pub(crate) fields: Map<String, Value>,
}

impl CliError {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), details: Vec::new(), hints: Vec::new(), fields: Map::new() }
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Standard output was closed by its reader (`l0 … | head -1`), which is no failure.
    pub(crate) fn closed() -> Self {
        Self::new(Exit::Success, "")
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    pub(crate) fn field(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }

    /// `--timeout` has passed.
    pub(crate) fn timeout(limit: Duration) -> Self {
        Self::new(Exit::Timeout, format!("Timeout after {}", duration_words(limit)))
    }

    /// An operation came to an end that was not asked for.
    pub(crate) fn operation(operation: &Operation) -> Self {
        let what =
            format!("{} of {} `{}`", operation.verb, operation.entity_type.replace('_', " "), operation.entity_name);
        let end = match operation.state.as_str() {
            "rolled_back" => "was rolled back",
            "superseded" => "was superseded by a newer change",
            _ => "failed",
        };
        let mut error = match &operation.cause {
            Some(cause) => Self::failure(Exit::Failed, &format!("{what} {end}"), cause),
            None => Self::new(Exit::Failed, format!("{what} {end}")),
        };
        error.fields.insert("OperationID".to_owned(), json!(operation.operation_id));
        error.fields.insert("State".to_owned(), json!(operation.state));
        error
    }

    /// A failure with its class, its cause, the last log lines and the next step.
    pub(crate) fn failure(exit: Exit, what: &str, cause: &Failure) -> Self {
        let mut error = Self::new(exit, format!("{what}: {}: {}", cause.class, cause.message));
        error.fields.insert("Class".to_owned(), json!(cause.class));
        if !cause.log_tail.is_empty() {
            error.details.push("the last lines of the failed copy:".to_owned());
            for line in &cause.log_tail {
                error.details.push(format!("  {} | {}", line.container_name, line.line));
            }
            error.fields.insert("LogTail".to_owned(), json!(cause.log_tail));
        }
        if let Some(hint) = &cause.hint {
            error = error.hint(hint);
        }
        error
    }

    /// What the server, or the way to it, said.
    pub(crate) fn client(error: ClientError, endpoint_given: bool) -> Self {
        match error {
            ClientError::Refused { status, body } => {
                let mut out = Self::new(Exit::of_status(status), body.message.clone())
                    .field("ErrorCode", body.error_code.clone())
                    .field("Status", status);
                for holder in &body.holders {
                    out.details.push(format!(
                        "  held by {} `{}` ({})",
                        holder.entity_type.replace('_', " "),
                        holder.name,
                        holder.entity_id
                    ));
                }
                // Some messages are made of the problems: nothing is said twice.
                let unsaid = body.problems.iter().filter(|problem| !body.message.contains(problem.as_str()));
                out.details.extend(unsaid.map(|problem| format!("  - {problem}")));
                if !body.holders.is_empty() {
                    out = out.field("Holders", json!(body.holders));
                }
                if !body.problems.is_empty() {
                    out = out.field("Problems", json!(body.problems));
                }
                if let Some(hint) = &body.hint {
                    out = out.hint(hint);
                } else if status == 401 {
                    out = out.hint(CONNECT_HINT);
                }
                out
            }
            ClientError::Connection { ref endpoint, ref source } => {
                let mut out = Self::new(
                    Exit::Connection,
                    format!("Unable to connect to API with error: {endpoint}: {}", root_of(source)),
                );
                if endpoint_given {
                    out = out.hint(format!("is the server at {endpoint} running?"));
                } else {
                    out = out.hint("It appears you may not have set your LAYER0_API_ENDPOINT environment variable; `eval \"$(l0 endpoint --data-dir DIR)\"` sets it");
                    out = out.hint("is the server running? `l0 server --data-dir DIR` starts it");
                }
                // What rustls says of an answer that is no TLS.
                if endpoint.starts_with("https://") && root_of(source).contains("InvalidContentType") {
                    out = out.hint("it does not speak TLS there: name it with http://");
                } else if endpoint.starts_with("https://") {
                    out = out.hint(
                        "if its certificate is not one that this machine trusts, LAYER0_SKIP_SSL_VERIFY=1 accepts it",
                    );
                }
                out
            }
            ClientError::Timeout { .. } => Self::new(Exit::Timeout, error.to_string()),
            ClientError::Endpoint { .. } => {
                Self::usage(error.to_string()).hint("an endpoint looks like http://localhost:9090/")
            }
            ClientError::Foreign { .. } => Self::new(Exit::Connection, error.to_string()),
        }
    }

    /// As it is printed for people.
    pub(crate) fn text(&self) -> String {
        let mut out = format!("error: {}\n", self.message);
        for line in &self.details {
            out.push_str(line);
            out.push('\n');
        }
        for hint in &self.hints {
            out.push_str("hint: ");
            out.push_str(hint);
            out.push('\n');
        }
        out
    }

    /// As it is printed for programs.
    pub(crate) fn json(&self) -> Value {
        let mut out = Map::new();
        out.insert("Code".to_owned(), json!(self.exit.code()));
        out.insert("Message".to_owned(), json!(self.message));
        if !self.hints.is_empty() {
            out.insert("Hint".to_owned(), json!(self.hints.join("\n")));
        }
        out.extend(self.fields.clone());
        Value::Object(out)
    }
}

/// How to get a credential.
pub(crate) const CONNECT_HINT: &str = "`l0 login URL` signs in to a server; `eval \"$(l0 endpoint --data-dir DIR)\"` connects this shell to the instance in DIR; \
     scripts set LAYER0_API_ENDPOINT and LAYER0_AUTH_TOKEN";

fn root_of(error: &(dyn std::error::Error + 'static)) -> String {
    let mut root = error;
    while let Some(deeper) = root.source() {
        root = deeper;
    }
    root.to_string()
}

/// The whole chain below an error, for `--debug`.
pub(crate) fn chain_of(error: &ClientError) -> Vec<String> {
    let mut out = Vec::new();
    let mut next = error.source();
    while let Some(error) = next {
        out.push(error.to_string());
        next = error.source();
    }
    out
}

#[cfg(test)]
mod tests {
    use layer0_api::error::{ErrorBody, Holder};

    use super::*;

    #[test]
    fn holders_are_listed_and_the_hint_comes_last() {
        let body = ErrorBody {
            error_code: "DependencyError".to_owned(),
            message: "environment `dev` is in use".to_owned(),
            hint: Some("delete them first, or use -r".to_owned()),
            holders: vec![Holder {
                entity_type: "load_balancer".to_owned(),
                entity_id: "lb1".to_owned(),
                name: "web".to_owned(),
            }],
            problems: Vec::new(),
        };
        let error = CliError::client(ClientError::Refused { status: 409, body: Box::new(body) }, true);
        assert_eq!(error.exit.code(), 4);
        assert_eq!(
            error.text(),
            "error: environment `dev` is in use\n  held by load balancer `web` (lb1)\nhint: delete them first, or use -r\n"
        );
        assert_eq!(error.json()["ErrorCode"], "DependencyError");
        assert_eq!(error.json()["Code"], 4);
    }

    #[test]
    fn a_problem_that_the_message_has_is_not_said_twice() {
        let body = ErrorBody {
            error_code: "InvalidValue".to_owned(),
            message: "it can't be used: no memory; no image".to_owned(),
            hint: None,
            holders: Vec::new(),
            problems: vec!["no memory".to_owned(), "no image".to_owned(), "no name".to_owned()],
        };
        let error = CliError::client(ClientError::Refused { status: 422, body: Box::new(body) }, true);
        assert_eq!(error.text(), "error: it can't be used: no memory; no image\n  - no name\n");
        assert_eq!(error.json()["Problems"].as_array().map(Vec::len), Some(3), "programs get all");
    }

    #[test]
    fn a_status_becomes_its_exit_code() {
        for (status, code) in
            [(404, 3), (400, 4), (401, 4), (403, 4), (409, 4), (413, 4), (422, 4), (429, 4), (500, 1), (503, 1)]
        {
            assert_eq!(Exit::of_status(status).code(), code, "{status}");
        }
    }
}
