//! An instance in a directory of its own, and its command line.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The built binary with nothing of our own environment that could reach it.
pub(crate) fn l0(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_l0"));
    command.env_clear().env("HOME", home).env("XDG_CONFIG_HOME", home.join("config")).current_dir(home);
    command.stdin(Stdio::null());
    command
}

/// A server with the fake engine.
pub(crate) struct Instance {
    home: TempDir,
    listen: String,
    child: Option<Child>,
}

/// How a command line ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Instance {
    /// Starts one on a free port.
    pub(crate) fn start() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut instance = Self { home, listen: "127.0.0.1:0".to_owned(), child: None };
        instance.up();
        let url = std::fs::read_to_string(instance.data_dir().join("endpoint")).expect("the server tells where it is");
        let port = url.trim().trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
        instance.listen = format!("127.0.0.1:{port}");
        instance
    }

    /// Starts the server and returns once it says that it listens.
    pub(crate) fn up(&mut self) {
        let log = std::fs::File::create(self.home.path().join("server.log")).expect("a file");
        let mut child = l0(self.home.path())
            .args(["server", "--engine", "fake", "--listen", &self.listen, "--data-dir"])
            .arg(self.data_dir())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut lines = stdout.lines().map_while(Result::ok);
        let listens = lines.any(|line| line.contains("listens on"));
        // Goes on reading, so that the server never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
        assert!(listens, "{}", std::fs::read_to_string(self.home.path().join("server.log")).unwrap_or_default());
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().and_then(|()| child.wait()).expect("our own child");
        }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Runs a command line.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Ran {
        let out = l0(self.home()).args(args).output().expect("the binary runs");
        Ran {
            code: out.status.code(),
            stdout: String::from_utf8(out.stdout).expect("text"),
            stderr: String::from_utf8(out.stderr).expect("text"),
        }
    }

    /// Runs a command line, its words separated by spaces, that must succeed.
    pub(crate) fn ok(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = self.run(&words);
        assert_eq!(ran.code, Some(0), "l0 {line}: {ran:?}");
        ran.stdout
    }

    /// As [`Instance::ok`], with JSON output.
    pub(crate) fn json(&self, line: &str) -> Value {
        let text = self.ok(&format!("{line} -o json"));
        serde_json::from_str(&text).unwrap_or_else(|why| panic!("l0 {line}: {why}: {text}"))
    }

    /// Runs a command line that must end with this exit code, and returns what it said.
    pub(crate) fn refused(&self, code: i32, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        let ran = self.run(&words);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "l0 {line}: {ran:?}");
        ran.stderr
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}
