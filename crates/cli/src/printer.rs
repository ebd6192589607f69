//! Where everything that is printed goes through: stdout is data, stderr is talk.
//!
//! A reader that closes stdout early (`l0 … | head -1`) is no failure: what prints without end ends with success, and a result that
//! nobody reads leaves the verdict about it as it is. Talk that can't be written is lost, never a failure.

use std::cell::{Cell, RefCell};
use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{CliError, Exit};
use crate::settings::Output;

pub(crate) mod access_rows;
pub(crate) mod account_rows;
pub(crate) mod lines;
pub(crate) mod migration_rows;
pub(crate) mod rows;
pub(crate) mod table;

/// Prints results and talk in the format that was asked for.
pub(crate) struct Printer {
    output: Cell<Output>,
    debug: Cell<bool>,
    stdout: RefCell<Box<dyn Write>>,
    stderr: RefCell<Box<dyn Write>>,
}

impl Printer {
    pub(crate) fn new(stdout: Box<dyn Write>, stderr: Box<dyn Write>) -> Self {
        Self {
            output: Cell::new(Output::Text),
            debug: Cell::new(false),
            stdout: RefCell::new(stdout),
            stderr: RefCell::new(stderr),
        }
    }

    /// Sets the format and whether [`Printer::debug`] says anything.
    pub(crate) fn configure(&self, output: Output, debug: bool) {
        self.output.set(output);
        self.debug.set(debug);
    }

    /// The format of results.
    pub(crate) fn output(&self) -> Output {
        self.output.get()
    }

    /// Writes text to stdout as it is.
    pub(crate) fn data(&self, text: &str) -> Result<(), CliError> {
        let mut stdout = self.stdout.borrow_mut();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|why| unwritable(&why))
    }

    /// Prints a result: in text what `text` makes of it, in JSON the value itself. That nobody reads it is no error here: what the command
    /// found out still decides how it ends.
    pub(crate) fn result<T: Serialize + ?Sized>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        let printed = match self.output.get() {
            Output::Text => self.data(&text(value)),
            Output::Json => self.data(&pretty(value)),
        };
        printed.or_else(|why| if why.exit == Exit::Success { Ok(()) } else { Err(why) })
    }

    /// Prints one value of a stream of results as a line of JSON.
    pub(crate) fn json_line<T: Serialize + ?Sized>(&self, value: &T) -> Result<(), CliError> {
        // As in `pretty`, only what has no JSON could fail.
        let line = serde_json::to_string(value).unwrap_or_else(|why| Value::String(why.to_string()).to_string());
        self.data(&format!("{line}\n"))
    }

    /// Prints a plain message as a result.
    pub(crate) fn message(&self, message: &str) -> Result<(), CliError> {
        match self.output.get() {
            Output::Text => self.data(&format!("{message}\n")),
            Output::Json => self.data(&pretty(&json!({ "Message": message }))),
        }
    }

    /// Writes text to stderr as it is.
    pub(crate) fn talk(&self, text: &str) {
        let mut stderr = self.stderr.borrow_mut();
        let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }

    /// Says something that is no result.
    pub(crate) fn note(&self, message: &str) {
        match self.output.get() {
            Output::Text => self.talk(&format!("{message}\n")),
            Output::Json => self.talk(&pretty(&json!({ "Message": message }))),
        }
    }

    /// Says what the user should know.
    pub(crate) fn warn(&self, message: &str) {
        match self.output.get() {
            Output::Text => self.talk(&format!("warning: {message}\n")),
            Output::Json => self.talk(&pretty(&json!({ "Warning": message }))),
        }
    }

    /// Says what helps to find a fault.
    pub(crate) fn debug(&self, message: impl FnOnce() -> String) {
        if self.debug.get() {
            self.talk(&format!("debug: {}\n", message()));
        }
    }

    /// Says why the command ended.
    pub(crate) fn error(&self, error: &CliError) {
        if error.exit == Exit::Success {
            return;
        }
        match self.output.get() {
            Output::Text => self.talk(&error.text()),
            Output::Json => self.talk(&pretty(&error.json())),
        }
    }
}

fn unwritable(why: &io::Error) -> CliError {
    if why.kind() == io::ErrorKind::BrokenPipe {
        CliError::closed()
    } else {
        CliError::new(Exit::Other, format!("the result can't be written: {why}"))
    }
}

/// JSON with four spaces of indent and a newline.
pub(crate) fn pretty<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    match value.serialize(&mut serializer) {
        Ok(()) => {}
        // The wire types have string keys only and no fallible parts; this keeps the function total.
        Err(why) => out = Value::String(why.to_string()).to_string().into_bytes(),
    }
    out.push(b'\n');
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_reader_is_success_and_a_full_disk_is_not() {
        let printer = Printer::new(Box::new(Closed), Box::new(Closed));
        assert_eq!(printer.message("x").expect_err("closed").exit, Exit::Success);
        assert!(printer.result("x", str::to_owned).is_ok(), "what was found out still decides how the command ends");
        printer.warn("talk that nobody hears");
        let printer = Printer::new(Box::new(Full), Box::new(Full));
        assert_eq!(printer.message("x").expect_err("full").exit, Exit::Other);
        assert_eq!(printer.result("x", str::to_owned).expect_err("full").exit, Exit::Other);
    }

    #[test]
    fn json_has_four_spaces_of_indent() {
        assert_eq!(pretty(&json!([{ "a": 1 }])), "[\n    {\n        \"a\": 1\n    }\n]\n");
        assert_eq!(pretty(&json!([])), "[]\n");
    }
}
