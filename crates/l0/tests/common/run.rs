//! Running a program to its end, and what it said.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::until::until_within;

/// How long any program may run before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(180);

/// What a program said.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    /// The command line, for messages.
    pub(crate) line: String,
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
    /// How long it ran.
    pub(crate) took: Duration,
}

impl Said {
    /// All of it, for messages.
    pub(crate) fn all(&self) -> String {
        format!("$ {}\nexit {:?} after {:?}\n{}{}", self.line, self.code, self.took, self.out, self.err)
    }

    /// It ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.exits(0)
    }

    /// It ended with this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.all());
        self
    }

    /// It said this, on either stream.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.out.contains(text) || self.err.contains(text), "nothing of `{text}` in:\n{}", self.all());
        self
    }

    /// It did not say this.
    #[track_caller]
    pub(crate) fn keeps_quiet_about(self, text: &str) -> Self {
        assert!(!self.out.contains(text) && !self.err.contains(text), "`{text}` is in:\n{}", self.all());
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|why| panic!("{why}:\n{}", self.all()))
    }

    /// The only entity of a JSON answer, which is a list even for one.
    #[track_caller]
    pub(crate) fn one(&self) -> Value {
        let json = self.json();
        match json.as_array().map(Vec::as_slice) {
            Some([one]) => one.clone(),
            _ => panic!("not a list of one:\n{}", self.all()),
        }
    }
}

impl Said {
    /// What a program says until its end that was started elsewhere, with its standard output piped.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub(crate) fn gathered(line: &str, mut child: Child, err: impl Read + Send + 'static) -> Self {
        let since = Instant::now();
        let out = gather(child.stdout.take().expect("piped"));
        let err = gather(err);
        let Some(status) = wait(&mut child) else {
            drop(child.kill());
            drop(child.wait());
            panic!("{line}: has not ended after {LIMIT:?}");
        };
        let (out, err) = (out.recv().expect("the reader ends"), err.recv().expect("the reader ends"));
        Self { line: line.to_owned(), code: status.code(), out, err, took: since.elapsed() }
    }
}

/// Runs a program to its end.
///
/// # Panics
/// When it can't be started, or does not end in time.
#[track_caller]
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Said {
    let line = line_of(command);
    let since = Instant::now();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|why| panic!("this test needs the program: {line}: {why}"));
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    thread::spawn(move || drop(stdin.write_all(&input)));
    let out = gather(child.stdout.take().expect("piped"));
    let err = gather(child.stderr.take().expect("piped"));
    let Some(status) = wait(&mut child) else {
        drop(child.kill());
        drop(child.wait());
        panic!("{line}: has not ended after {LIMIT:?}\n{}", err.recv().unwrap_or_default());
    };
    Said {
        line,
        code: status.code(),
        out: out.recv().expect("the reader ends with the pipe"),
        err: err.recv().expect("the reader ends with the pipe"),
        took: since.elapsed(),
    }
}

fn wait(child: &mut Child) -> Option<std::process::ExitStatus> {
    let since = Instant::now();
    until_within(LIMIT * 2, "a program to end", || match child.try_wait().expect("our own child") {
        Some(status) => Ok(Some(status)),
        None if since.elapsed() > LIMIT => Ok(None),
        None => Err("it runs".to_owned()),
    })
}

fn gather(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut all = Vec::new();
        drop(pipe.read_to_end(&mut all));
        drop(send.send(String::from_utf8_lossy(&all).into_owned()));
    });
    receive
}

fn line_of(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// Sends a signal to a process that this test started.
#[track_caller]
pub(crate) fn signal(pid: u32, name: &str) {
    run(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]), b"").ok();
}
