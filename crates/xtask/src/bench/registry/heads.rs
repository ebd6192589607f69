//! HEADs, by the client of the script: wrk waits for the body that an answer to HEAD announces.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use super::wrk::{Load, Seen};

/// What drives the script's client.
const PROGRAM: &str = include_str!("heads.py");

/// The client, which ends when it is dropped.
pub(super) struct Heads {
    child: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Heads {
    /// Starts it; `script` is the script that measures registries.
    pub(super) fn start(script: &Path) -> Result<Self> {
        let mut command = Command::new("python3");
        let mut child =
            command.args(["-c", PROGRAM]).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let asked = child.stdin.take().context("it has a standard input")?;
        let answers = BufReader::new(child.stdout.take().context("it has a standard output")?);
        Ok(Self { child, asked, answers })
    }

    /// Asks for the one path of a load, over and over.
    pub(super) fn run(&mut self, load: &Load) -> Result<Seen> {
        let [path] = load.paths else { bail!("HEADs ask for one path") };
        let (connections, seconds) = (load.connections, load.seconds);
        let line = json!({
            "url": format!("http://{}", load.address), "credential": load.credential, "path": path,
            "connections": connections, "seconds": seconds,
        });
        writeln!(self.asked, "{line}").context("asking the script's client for HEADs")?;
        let mut said = String::new();
        ensure!(self.answers.read_line(&mut said)? > 0, "the script's client of HEADs ended early");
        serde_json::from_str(&said).with_context(|| format!("reading what HEADs came to: {said}"))
    }
}

impl Drop for Heads {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
