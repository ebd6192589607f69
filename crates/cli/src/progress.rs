//! The steps of an operation as they happen: a line each, the last one alive on a terminal. And how much of something long
//! is done.
//!
//! Times are those of the server's events, since the operation's first one, so that whoever follows late sees the same. JSON
//! mode without a terminal shows no steps: its stderr is a stream of JSON values.

use std::time::{Duration, Instant};

use layer0_api::types::OperationEvent;

use crate::app::App;
use crate::host::Terminal;
use crate::settings::Output;

/// Back to the start of the line, and the rest of it erased.
const ERASE: &str = "\r\x1b[2K";
/// A line longer than the terminal is cut while it is redrawn; wrapped it could not be.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Live,
    Lines,
    Silent,
}

/// Shows one operation.
pub(crate) struct Progress<'a> {
    app: &'a App,
    style: Style,
    /// When the first event was.
    start: Option<jiff::Timestamp>,
    /// The step that lasts: its text, its time since the start, and when we heard of it.
    current: Option<(String, Duration, Instant)>,
    lost: bool,
}

impl Style {
    fn of(app: &App) -> Self {
        match (app.terminal, app.settings.output) {
            (Terminal::Live, _) => Style::Live,
            (Terminal::Plain, Output::Text) => Style::Lines,
            (Terminal::Plain, Output::Json) => Style::Silent,
        }
    }
}

impl<'a> Progress<'a> {
    pub(crate) fn new(app: &'a App) -> Self {
        let style = Style::of(app);
        Self { app, style, start: None, current: None, lost: false }
    }

    /// A new step; the one before is over.
    pub(crate) fn step(&mut self, event: &OperationEvent) {
        let since = match (event.at.parse::<jiff::Timestamp>(), self.start) {
            (Ok(at), Some(start)) => Duration::try_from(at.duration_since(start)).unwrap_or_default(),
            (Ok(at), None) => {
                self.start = Some(at);
                Duration::ZERO
            }
            (Err(_), _) => Duration::ZERO,
        };
        let text = printable(&event.message);
        self.lost = false;
        match self.style {
            Style::Live => {
                self.commit();
                self.current = Some((text, since, Instant::now()));
                self.tick();
            }
            Style::Lines => self.app.printer.talk(&format!("{}  {text}\n", clock(since))),
            Style::Silent => {}
        }
    }

    /// The server went away; the operation did not.
    pub(crate) fn lost(&mut self) {
        if self.lost {
            return;
        }
        self.lost = true;
        match self.style {
            Style::Live => self.tick(),
            Style::Lines => self.app.printer.talk("         connection lost, trying again\n"),
            Style::Silent => {}
        }
    }

    /// Draws the live line anew.
    pub(crate) fn tick(&mut self) {
        if self.style != Style::Live {
            return;
        }
        if let Some((text, since, heard)) = &self.current {
            let now = *since + heard.elapsed();
            let lost = if self.lost { " (connection lost, trying again)" } else { "" };
            self.app.printer.talk(&format!("{WRAP_OFF}{ERASE}{}  {text}{lost}{WRAP_ON}", clock(now)));
        }
    }

    /// Ends the live line where its step began.
    fn commit(&mut self) {
        if let Some((text, since, _)) = self.current.take() {
            self.app.printer.talk(&format!("{ERASE}{}  {text}\n", clock(since)));
        }
    }

    /// Leaves the terminal at the start of a fresh line.
    pub(crate) fn close(&mut self) {
        self.commit();
    }
}

impl Drop for Progress<'_> {
    /// Ctrl-C and `--timeout` end a command in the middle of a line.
    fn drop(&mut self) {
        self.close();
    }
}

/// Shows how much of something is done: one line that is redrawn, or without a terminal a line for each tenth.
pub(crate) struct Share<'a> {
    app: &'a App,
    style: Style,
    /// The tenth that was said last.
    said: Option<u64>,
    drawn: bool,
    lost: bool,
}

impl<'a> Share<'a> {
    pub(crate) fn new(app: &'a App) -> Self {
        Self { app, style: Style::of(app), said: None, drawn: false, lost: false }
    }

    /// So much of so much is done.
    pub(crate) fn show(&mut self, done: u64, of: u64, text: &str) {
        let percent = u64::try_from(u128::from(done) * 100 / u128::from(of.max(1))).unwrap_or(100).min(100);
        let text = printable(text);
        self.lost = false;
        match self.style {
            Style::Live => {
                self.app.printer.talk(&format!("{WRAP_OFF}{ERASE}{percent:>3}%  {text}{WRAP_ON}"));
                self.drawn = true;
            }
            Style::Lines if self.said != Some(percent / 10) => {
                self.app.printer.talk(&format!("{percent:>3}%  {text}\n"));
                self.said = Some(percent / 10);
            }
            Style::Lines | Style::Silent => {}
        }
    }

    /// The server went away, and what was done with it.
    pub(crate) fn lost(&mut self) {
        self.clear();
        self.said = None;
        if !std::mem::replace(&mut self.lost, true) && self.style != Style::Silent {
            self.app.printer.talk("connection lost, trying again\n");
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.app.printer.talk(ERASE);
        }
    }
}

impl Drop for Share<'_> {
    /// The line was for whoever waited.
    fn drop(&mut self) {
        self.clear();
    }
}

fn clock(since: Duration) -> String {
    let tenths = since.as_millis() / 100;
    format!("{:>6}s", format!("{}.{}", tenths / 10, tenths % 10))
}

/// A step's text holds what containers are called and what engines say: nothing of it may drive the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_aligned() {
        assert_eq!(clock(Duration::from_millis(840)), "   0.8s");
        assert_eq!(clock(Duration::from_secs(754)), " 754.0s");
    }

    #[test]
    fn a_step_cannot_drive_the_terminal() {
        assert_eq!(printable("a\r\n\u{1b}[2Jb"), "a   [2Jb");
    }
}
