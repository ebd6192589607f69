//! A Docker engine of the test's own, which it may stop and hang as it likes.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::common::run::{run, signal};
use crate::common::until::{until, until_within};

/// The engine. It leaves the machine's packet filter alone, and the machine's own engine does not know of it.
pub(crate) struct SecondEngine {
    root: TempDir,
    child: Option<Child>,
}

impl SecondEngine {
    /// Its place, and it does not run yet.
    pub(crate) fn prepared() -> Self {
        Self { root: TempDir::new().expect("a directory for the engine"), child: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Where it listens.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// A bridge for its default network, which it would else share with the machine's engine: that engine makes one for us.
    fn bridge(&self) -> String {
        let name = format!("l0t{}", std::process::id());
        let option = format!("com.docker.network.bridge.name={name}");
        let made = run(Command::new("docker").args(["network", "create", "--opt", &option, &name]), b"");
        let there = made.code == Some(0) || made.all().contains("already exists");
        assert!(there, "no bridge for the second Docker engine: {}", made.all());
        name
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.path("log")).expect("a log file");
        let mut command = Command::new("dockerd");
        for (flag, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid")] {
            command.arg(flag).arg(self.path(name));
        }
        // A `containerd` that both engines use keeps their things apart by namespace.
        command.args([
            "--containerd-namespace",
            "layer0-test",
            "--containerd-plugins-namespace",
            "layer0-test-plugins",
        ]);
        // Not `--bridge none`: an engine without a default bridge deletes `docker0`, the other engine's.
        let bridge = self.bridge();
        command.args(["--host", &self.host(), "--bridge", &bridge, "--iptables=false", "--ip6tables=false"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a descriptor")).stderr(log);
        self.child = Some(command.spawn().expect("dockerd is needed for this test"));
        until("the second Docker engine to answer", || {
            let said = run(Command::new("docker").args(["--host", &self.host(), "version"]), b"");
            if said.code == Some(0) {
                return Ok(());
            }
            let ended = self.child.as_mut().expect("just spawned").try_wait().expect("our own child");
            let log = || std::fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(ended.is_none(), "the second Docker engine ended; this test needs to be root:\n{}", log());
            Err(said.all())
        });
    }

    /// Stops it in the orderly way, and its containers with it.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        let mut child = self.child.take().expect("a running engine");
        signal(child.id(), "TERM");
        until("the second Docker engine to stop", || {
            child.try_wait().expect("our own child").ok_or("it runs".to_owned())
        });
    }

    /// Lets it hang: it takes connections and says nothing.
    pub(crate) fn hang(&self) {
        signal(self.child.as_ref().expect("a running engine").id(), "STOP");
    }

    /// Lets it go on, if it hangs.
    pub(crate) fn go_on(&self) {
        if let Some(child) = &self.child {
            signal(child.id(), "CONT");
        }
    }
}

impl Drop for SecondEngine {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().to_string();
        for name in ["-CONT", "-TERM"] {
            drop(Command::new("kill").args([name, &pid]).status());
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let ended = until_within(std::time::Duration::from_secs(60), "the end", || match child.try_wait() {
            Ok(None) if std::time::Instant::now() < deadline => Err("it runs".to_owned()),
            Ok(None) => Ok(false),
            _ => Ok(true),
        });
        if !ended {
            drop(child.kill());
            drop(child.wait());
        }
        let bridge = format!("l0t{}", std::process::id());
        drop(
            Command::new("docker")
                .args(["network", "rm", &bridge])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status(),
        );
        // Whatever it has mounted would keep the directory.
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let own = self.root.path().display().to_string();
        for place in mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|place| place.starts_with(&own)) {
            drop(Command::new("umount").args(["--lazy", place]).status());
        }
    }
}
