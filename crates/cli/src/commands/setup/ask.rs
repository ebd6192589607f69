//! Questions to people: one line of help and a default each.

use std::io::{BufRead as _, Read as _};

use crate::app::Input;
use crate::error::CliError;
use crate::printer::Printer;

/// The longest answer.
const ANSWER_MAX: u64 = 8 * 1024;
/// How often a question is asked before it is given up.
const ASKED_MAX: u32 = 5;

/// Who asks, if anybody is there to answer.
pub(super) struct Asker<'a> {
    printer: &'a Printer,
    input: &'a Input,
    /// Nothing is asked: defaults are taken.
    is_silent: bool,
}

/// A question.
pub(super) struct Question<'a> {
    /// What is asked for.
    pub(super) what: &'a str,
    /// What it is about, and what can be answered.
    pub(super) help: &'a str,
    /// What an empty answer means.
    pub(super) default: &'a str,
}

impl<'a> Asker<'a> {
    pub(super) fn new(printer: &'a Printer, input: &'a Input, is_silent: bool) -> Self {
        Self { printer, input, is_silent }
    }

    /// The answer, which is a good one: one that is not is told why and asked for again.
    pub(super) fn ask<T>(
        &self,
        question: &Question<'_>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, CliError> {
        let refused = |why: String| CliError::usage(format!("{}: {why}", question.what));
        if self.is_silent {
            return read(question.default).map_err(refused);
        }
        self.printer.talk(&format!("\n{}\n", question.help));
        let default = if question.default.is_empty() { "none" } else { question.default };
        let mut tries = 0;
        loop {
            self.printer.talk(&format!("{} [{default}]: ", question.what));
            let line = self.line()?;
            let text = if line.is_empty() { question.default } else { line.as_str() };
            match read(text) {
                Ok(answer) => return Ok(answer),
                Err(why) if tries + 1 >= ASKED_MAX => return Err(refused(why)),
                Err(why) => self.printer.talk(&format!("  {why}\n")),
            }
            tries += 1;
        }
    }

    /// A text as it is; empty for none.
    pub(super) fn text(&self, question: &Question<'_>) -> Result<String, CliError> {
        self.ask(question, |text| Ok(text.to_owned()))
    }

    /// Whether what is shown shall be done. Nobody there to answer is no.
    pub(super) fn agrees(&self, question: &str) -> Result<bool, CliError> {
        self.printer.talk(&format!("{question} [y/N]: "));
        Ok(matches!(self.line()?.to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// A line; at the end of what is typed there is no answer that could be taken for one.
    pub(super) fn line(&self) -> Result<String, CliError> {
        let mut line = Vec::new();
        let mut stdin = self.input.stdin.borrow_mut();
        let unreadable = |why: std::io::Error| CliError::usage(format!("standard input can't be read: {why}"));
        stdin.by_ref().take(ANSWER_MAX).read_until(b'\n', &mut line).map_err(unreadable)?;
        if line.is_empty() {
            self.printer.talk("\n");
            return Err(CliError::usage("standard input ended before the question was answered")
                .hint("--yes takes the defaults and asks nothing"));
        }
        String::from_utf8(line)
            .map(|line| line.trim().to_owned())
            .map_err(|_| CliError::usage("the answer is not UTF-8 text"))
    }
}
