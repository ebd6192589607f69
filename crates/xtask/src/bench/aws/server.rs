//! The server that is measured: `l0` as it is handed out, on the fake AWS.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::super::instance::{Api, free_port, own_settings};
use super::super::stats;

/// How long a server may take until it answers, or ends.
const LIMIT: Duration = Duration::from_secs(60);

/// The instance's name; it begins the names of all that it makes.
pub(super) const INSTANCE: &str = "bench";

/// A server with its data directory; both go when it is dropped.
pub(super) struct Server {
    l0: PathBuf,
    dir: PathBuf,
    address: SocketAddr,
    process: Option<Child>,
}

impl Server {
    /// Prepares one; nothing runs yet.
    pub(super) fn new(l0: &Path) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("layer0-bench-aws-{}", std::process::id()));
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        Ok(Self { l0: l0.to_owned(), dir, address, process: None })
    }

    /// Starts it. `rate`: how many times as fast as usual it may call AWS.
    pub(super) fn start(&mut self, endpoint: &str, rate: f64) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.dir.join("server.log"))?;
        let mut command = Command::new(&self.l0);
        own_settings(&mut command, &self.dir);
        command
            .args(["server", "--instance", INSTANCE, "--engine", "ecs", "--aws-region", "us-east-1"])
            .args(["--endpoint-url", endpoint, "--aws-rate", &rate.to_string()])
            .args(["--aws-vpc", "vpc-main", "--aws-private-subnets", "subnet-private-a,subnet-private-b"])
            .args(["--aws-public-subnets", "subnet-public-a,subnet-public-b"])
            .args(["--aws-execution-role", "arn:aws:iam::123456789012:role/l0-execution"])
            .args(["--listen", &self.address.to_string(), "--data-dir"])
            .arg(self.dir.join("data"))
            // The fake looks at no signature, but the SDK sends no request without one.
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.process = Some(command.spawn().with_context(|| format!("starting {}", self.l0.display()))?);
        stats::until(LIMIT, "the server to answer", || {
            if let Some(status) = self.process.as_mut().and_then(|process| process.try_wait().transpose()) {
                bail!("the server ended at its start ({}): {}", status?, self.log_tail());
            }
            let answers = self.api().and_then(|mut api| api.ask("GET", "/environment", None));
            Ok(answers.is_ok_and(|answer| answer.status == 200).then_some(()))
        })
    }

    /// Asks it to stop and waits until it has.
    pub(super) fn stop(&mut self) -> Result<()> {
        Command::new("kill").arg(self.pid()?.to_string()).status()?;
        let process = self.process.as_mut().context("the server does not run")?;
        stats::until(LIMIT, "the server to stop", || Ok(process.try_wait()?))?;
        self.process = None;
        Ok(())
    }

    /// A connection to its API, signed in as the admin.
    pub(super) fn api(&self) -> Result<Api> {
        let token = fs::read_to_string(self.dir.join("data/admin-token"))?;
        Api::connect(self.address, token.trim())
    }

    /// Where it keeps what it has.
    pub(super) fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Its process.
    pub(super) fn pid(&self) -> Result<u32> {
        self.process.as_ref().map(Child::id).context("the server does not run")
    }

    /// The last lines that it wrote.
    pub(super) fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.kill());
            drop(process.wait());
        }
        drop(fs::remove_dir_all(&self.dir));
    }
}
