//! Running a client and reading what it says.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use layer0_testkit::until::LIMIT;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::common::{Doors, TestRegistry};

/// What a client said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) success: bool,
    /// Standard output.
    pub(crate) out: String,
    /// Both, for messages.
    pub(crate) all: String,
}

impl Said {
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.success, "{}", self.all);
        self
    }

    #[track_caller]
    pub(crate) fn fails(self) -> Self {
        assert!(!self.success, "{}", self.all);
        self
    }
}

/// Runs a program to its end, with `input` on its standard input.
pub(crate) async fn run(program: &str, arguments: &[&str], input: &str) -> Said {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program} is needed for this test: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.ok();
    // Three times as long as anything in here may wait.
    let limit: Duration = LIMIT * 3;
    let Output { status, stdout, stderr } = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("{program} {arguments:?} did not end"))
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr));
    Said { success: status.success(), all: format!("{program} {arguments:?}\n{out}{err}"), out }
}

/// A registry, and a place for a client's files.
pub(crate) async fn set_up(doors: Doors) -> (TestRegistry, tempfile::TempDir) {
    (TestRegistry::with(doors, |_| {}).await, tempfile::tempdir().unwrap())
}

/// Files for an image: a text that is the test's own, so that no other test has the same image, and bytes that do not
/// compress.
pub(crate) fn context(directory: &Path, text: &str) {
    let noise: Vec<u8> = (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(directory.join("noise"), noise).unwrap();
    std::fs::write(directory.join("text"), text).unwrap();
    std::fs::write(directory.join("Dockerfile"), "FROM scratch\nCOPY text /text\nCOPY noise /noise\nCMD [\"/text\"]\n")
        .unwrap();
}

/// A path as an argument.
pub(crate) fn path(directory: &Path) -> &str {
    directory.to_str().unwrap()
}
