//! What the command line takes from the process it runs in. A test makes one of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::PathBuf;

/// Whether people watch, and what their terminal can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// stderr is a file, a pipe or a terminal that can't go back in its line: plain lines.
    Plain,
    /// stderr can redraw its last line.
    Live,
}

/// Arguments, environment, the input and the two outputs.
pub struct Host {
    /// The program's name first.
    pub args: Vec<OsString>,
    /// The file that this program is, where that can be known.
    pub executable: Option<PathBuf>,
    /// The environment variables that are text.
    pub env: BTreeMap<String, String>,
    /// Where a password comes from.
    pub stdin: Box<dyn BufRead>,
    /// Whether stdin is typed by people.
    pub stdin_is_terminal: bool,
    /// Where results go.
    pub stdout: Box<dyn Write>,
    /// Where talk goes.
    pub stderr: Box<dyn Write>,
    /// What stderr is.
    pub terminal: Terminal,
    /// Whether stdout is read by people.
    pub stdout_is_terminal: bool,
}

impl Host {
    /// The process that we are.
    #[must_use]
    pub fn of_process(args: Vec<OsString>) -> Self {
        let env: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let dumb = env.get("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
        let terminal = if io::stderr().is_terminal() && !dumb { Terminal::Live } else { Terminal::Plain };
        Self {
            args,
            executable: std::env::current_exe().ok(),
            env,
            // Not its lock: who reads a task definition from `-` takes that.
            stdin: Box::new(io::BufReader::new(io::stdin())),
            stdin_is_terminal: io::stdin().is_terminal(),
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
            terminal,
            stdout_is_terminal: io::stdout().is_terminal(),
        }
    }
}
