//! Small writes of ours, in turns with a server that says yes to everything: so with what the clients can send at most. The clients are
//! the script's own, since the bounds are parts of what those can send. Small images have their files alone in turns too: what the disk
//! and the system ask for with nobody who sends, checks and remembers.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::super::instance::{Engine, Instance};
use super::super::nginx::Nginx;

/// What drives the script's clients, for `python3 -`.
const PROGRAM: &str = include_str!("writes.py");

/// As the script's own nginx, which the limits are taken from.
const YES: &str = "if ($request_method = POST) { add_header Location /v2/x/blobs/uploads/1 always; return 202; } \
                   if ($request_method = PUT) { return 201; }";

/// How much is written in each round, and how many rounds there are.
const FULL: &[&str] = &["--rounds", "5", "--images", "200", "--tags", "4000", "--repos", "2000"];
const QUICK: &[&str] = &["--rounds", "1", "--images", "32", "--tags", "400", "--repos", "200"];

/// Measures, and stops the instance again.
pub(super) fn measure(instance: &mut Instance, script: &Path, is_quick: bool) -> Result<Value> {
    instance.start_told(Engine::Fake, &[("LAYER0_CREATE_ON_PUSH", "true")])?;
    let nginx = Nginx::start(&instance.dir.join("yes"), |port| {
        format!(
            "client_max_body_size 4g; client_body_buffer_size 128k; \
             server {{ listen 127.0.0.1:{port}; location / {{ {YES} }} }}"
        )
    })?;
    let files = instance.dir.join("files-alone");
    fs::create_dir_all(&files).with_context(|| format!("making {}", files.display()))?;
    let mut command = Command::new("python3");
    command.arg("-").arg(script).arg(format!("http://{}", nginx.address)).arg(format!("http://{}", instance.address));
    command.arg(instance.token()?).arg(&files).args(if is_quick { QUICK } else { FULL });
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("running python3")?;
    child.stdin.take().context("it has a standard input")?.write_all(PROGRAM.as_bytes())?;
    let said = child.wait_with_output()?;
    ensure!(said.status.success(), "the writes in turns ended early ({}); {}", said.status, instance.log_tail());
    instance.stop()?;
    serde_json::from_slice(&said.stdout).context("reading what the writes in turns came to")
}
