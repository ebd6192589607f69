//! What people are asked for on standard input, and what programs send there.

use std::io::{BufRead, Read as _};

use crate::app::Input;
use crate::error::{CliError, Exit};
use crate::printer::Printer;
use crate::settings::Secret;

/// The longest line that is read: servers refuse much shorter passwords, and this keeps `/dev/zero` out of memory.
const LINE_MAX: u64 = 64 * 1024;

/// One line of standard input, without its line break. A command line is in the shell's history and in everybody's list of
/// processes, so no secret is ever an argument. `example` is a command line that has it right.
pub(crate) fn line(input: &Input, what: &str, example: &str) -> Result<String, CliError> {
    let mut line = Vec::new();
    let mut stdin = input.stdin.borrow_mut();
    stdin
        .by_ref()
        .take(LINE_MAX)
        .read_until(b'\n', &mut line)
        .map_err(|why| CliError::usage(format!("standard input can't be read: {why}")))?;
    text_of(&line, what, example)
}

fn text_of(line: &[u8], what: &str, example: &str) -> Result<String, CliError> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(CliError::usage(format!("there is no {what} on standard input"))
            .hint(format!("it is the first line there, as in `{example}`")));
    }
    let text = std::str::from_utf8(line).map_err(|_| CliError::usage(format!("the {what} is not UTF-8 text")))?;
    Ok(text.to_owned())
}

/// Asks for a line that may be seen.
pub(crate) fn ask(printer: &Printer, input: &Input, what: &str, example: &str) -> Result<String, CliError> {
    printer.talk(&format!("{}: ", capital(what)));
    line(input, what, example)
}

/// Asks for a line that nobody shall see. Where the terminal can't hide it, that is said first.
pub(crate) fn ask_hidden(printer: &Printer, input: &Input, what: &str, example: &str) -> Result<Secret, CliError> {
    let hidden = terminal::Hidden::new();
    if hidden.is_none() {
        printer.note(&format!("reading the {what} from standard input; what is typed is shown"));
    }
    printer.talk(&format!("{}: ", capital(what)));
    let read = match &hidden {
        Some(_) => typed(&mut **input.stdin.borrow_mut()).and_then(|line| text_of(&line, what, example)),
        None => line(input, what, example),
    };
    drop(hidden);
    printer.talk("\n");
    read.map(Secret::new)
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A line of a terminal that hands over each key: what the terminal would do with the keys that correct a line and end it.
fn typed(stdin: &mut dyn BufRead) -> Result<Vec<u8>, CliError> {
    let mut line = Vec::new();
    for key in stdin.take(LINE_MAX).bytes() {
        match key.map_err(|why| CliError::usage(format!("standard input can't be read: {why}")))? {
            b'\r' | b'\n' | 0x04 => break,
            0x03 => return Err(CliError::new(Exit::Interrupted, "interrupted")),
            0x08 | 0x7f => {
                // A character has one byte that does not go on from another (RFC 3629).
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            0x15 => line.clear(),
            key => line.push(key),
        }
    }
    Ok(line)
}

#[cfg(unix)]
mod terminal {
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The terminal shows nothing that is typed and hands over each key, until this is dropped. Keys that end a program are
    /// handed over too, so that the terminal is never left like this.
    pub(super) struct Hidden(Termios);

    impl Hidden {
        /// `None` when standard input is no terminal.
        pub(super) fn new() -> Option<Self> {
            let before = tcgetattr(std::io::stdin()).ok()?;
            let mut modes = before.clone();
            modes.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
            tcsetattr(std::io::stdin(), OptionalActions::Flush, &modes).ok()?;
            Some(Self(before))
        }
    }

    impl Drop for Hidden {
        fn drop(&mut self) {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
        }
    }
}

#[cfg(not(unix))]
mod terminal {
    /// A terminal whose modes we can't set.
    pub(super) enum Hidden {}

    impl Hidden {
        pub(super) fn new() -> Option<Self> {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_correct_the_line_and_end_it() {
        let read = |keys: &[u8]| typed(&mut &*keys).map(|line| String::from_utf8(line).expect("text"));
        assert_eq!(read(b"horse\r\nmore").expect("a line"), "horse");
        assert_eq!(read(b"horses\x7f\x08e\n").expect("a line"), "horse");
        assert_eq!(read("h\u{e4}\u{20ac}\x7f\x7forse\n".as_bytes()).expect("a line"), "horse");
        assert_eq!(read(b"\x7f\x7fwrong\x15right\x04").expect("a line"), "right");
        assert_eq!(read(b"hor\x03se\n").expect_err("interrupted").exit.code(), 130);
    }
}
