//! An instance of its own: directories, port, server, and the command line connected to it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use super::http;
use super::port::free_port;
use super::run::{Said, run, signal};
use super::until::until;

/// The program under test.
pub(crate) const L0: &str = env!("CARGO_BIN_EXE_l0");

static INSTANCES: AtomicU32 = AtomicU32::new(0);

/// An instance. Dropping it ends its server and, when the test failed, shows the end of the server's log.
pub(crate) struct Instance {
    /// Its name, which no other instance on this machine has: everything it puts on an engine bears it.
    pub(crate) name: String,
    /// Where API and registry listen.
    pub(crate) port: u16,
    root: TempDir,
    data: PathBuf,
    flags: Vec<String>,
    variables: Vec<(String, String)>,
    server: Option<Child>,
    credential: String,
}

impl Instance {
    /// Starts a server with these flags, and connects to it.
    #[track_caller]
    pub(crate) fn start(flags: &[&str]) -> Self {
        let mut it = Self::prepared(flags);
        it.server_start();
        it
    }

    /// Directories and a port, and no server yet.
    pub(crate) fn prepared(flags: &[&str]) -> Self {
        let root = TempDir::new().expect("a directory for the test");
        for part in ["home", "config", "docker"] {
            std::fs::create_dir(root.path().join(part)).expect("a directory of our own");
        }
        // 8 characters: a longer name is cut in the label.
        let number = INSTANCES.fetch_add(1, Ordering::Relaxed) % 100;
        let name = format!("e{:05x}{number:02}", std::process::id() & 0xf_ffff);
        let data = root.path().join("data");
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let variables = Vec::new();
        Self { name, port: free_port(), root, data, flags, variables, server: None, credential: String::new() }
    }

    /// More flags for its server.
    pub(crate) fn flags_add(&mut self, flags: &[String]) {
        self.flags.extend_from_slice(flags);
    }

    /// A variable in the environment of its server, in place of what it was.
    pub(crate) fn variable_set(&mut self, name: &str, value: &str) {
        self.variables.retain(|(known, _)| known != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Another place for the data directory.
    pub(crate) fn with_data(mut self, data: &Path) -> Self {
        self.data = data.to_owned();
        self
    }

    /// A file of the test's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// `host:port` of the server.
    pub(crate) fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// User and secret of the first token.
    pub(crate) fn credential(&self) -> &str {
        &self.credential
    }

    /// The first token, apart.
    #[track_caller]
    pub(crate) fn user_and_secret(&self) -> (String, String) {
        split_credential(self.credential())
    }

    /// The server's process.
    pub(crate) fn server_id(&self) -> u32 {
        self.server.as_ref().expect("a running server").id()
    }

    /// A command in the instance's own surroundings: nothing of this user's configuration, nothing of this shell's.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let own = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for name in
            own.filter(|name| name.starts_with("LAYER0_") || ["ECR_BACKED_REPO", "output"].contains(&name.as_str()))
        {
            command.env_remove(name);
        }
        command
            .env("HOME", self.path("home"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("DOCKER_CONFIG", self.path("docker"));
        command.current_dir(self.root.path());
        command
    }

    /// Starts the server and waits until it answers.
    #[track_caller]
    pub(crate) fn server_start(&mut self) {
        self.server_up();
        let lines = run(self.command(L0).args(["endpoint", "--data-dir"]).arg(&self.data), b"").ok();
        let token =
            lines.out.lines().find_map(|line| line.strip_prefix("export LAYER0_AUTH_TOKEN=")).expect("a token line");
        self.credential = token.trim_matches('"').to_owned();
    }

    /// As [`server_start`](Self::server_start), for one that shares its state with others: it makes no token of its own.
    #[track_caller]
    pub(crate) fn server_start_with(&mut self, credential: &str) {
        self.server_up();
        credential.clone_into(&mut self.credential);
    }

    #[track_caller]
    fn server_up(&mut self) {
        self.server_spawn();
        until("the server to answer", || {
            if let Some(status) = self.server.as_mut().expect("just spawned").try_wait().expect("our own child") {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            http::get(&self.address(), "/health")
                .and_then(|answer| if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) })
        });
    }

    /// Starts the server and does not wait.
    pub(crate) fn server_spawn(&mut self) {
        assert!(self.server.is_none(), "one server at a time");
        let log = File::options().create(true).append(true).open(self.path("server.log")).expect("a log file");
        let mut command = self.command(L0);
        command.args([
            "server",
            "--listen",
            &format!("127.0.0.1:{}", self.port),
            "--instance",
            &self.name,
            "--data-dir",
        ]);
        command.arg(&self.data).args(&self.flags).stdin(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdout(log.try_clone().expect("a descriptor")).stderr(log);
        self.server = Some(command.spawn().expect("the built program"));
    }

    /// `kill -9`, at once.
    pub(crate) fn server_kill(&mut self) {
        let mut server = self.server.take().expect("a running server");
        server.kill().expect("our own child");
        server.wait().expect("our own child");
    }

    /// Ends the server, if one runs.
    pub(crate) fn server_end(&mut self) {
        if let Some(mut server) = self.server.take() {
            drop(server.kill());
            drop(server.wait());
        }
    }

    /// The graceful stop.
    #[track_caller]
    pub(crate) fn server_stop(&mut self) {
        let mut server = self.server.take().expect("a running server");
        signal(server.id(), "TERM");
        let status =
            until("the server to stop", || server.try_wait().expect("our own child").ok_or("it runs".to_owned()));
        assert!(status.success(), "{status}:\n{}", self.log());
    }

    /// Waits until the server has ended by itself, and gives its exit code.
    #[track_caller]
    pub(crate) fn server_ended(&mut self) -> Option<i32> {
        let mut server = self.server.take().expect("a running server");
        until("the server to end", || server.try_wait().expect("our own child").ok_or("it runs".to_owned())).code()
    }

    /// What the server wrote.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path("server.log")).unwrap_or_default()
    }

    /// `l0`, connected to this server.
    pub(crate) fn l0_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(L0);
        command
            .env("LAYER0_API_ENDPOINT", format!("http://{}/", self.address()))
            .env("LAYER0_AUTH_TOKEN", &self.credential);
        command.args(arguments);
        command
    }

    /// Runs `l0`, connected to this server.
    #[track_caller]
    pub(crate) fn l0(&self, arguments: &[&str]) -> Said {
        run(&mut self.l0_command(arguments), b"")
    }

    /// Runs `l0 -o json` and takes the only entity out of its answer.
    #[track_caller]
    pub(crate) fn one(&self, arguments: &[&str]) -> Value {
        self.l0(&[&["-o", "json"], arguments].concat()).ok().one()
    }

    /// Runs `l0 -o json` and takes all of its answer.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.l0(&[&["-o", "json"], arguments].concat()).ok().json()
    }

    /// Asks the API itself: status and body.
    pub(crate) fn api(&self, method: &str, path: &str, body: &[u8]) -> Result<http::Answer, String> {
        let headers = format!(
            "Authorization: Basic {}\r\nContent-Type: application/json\r\nConnection: close\r\n",
            self.credential
        );
        http::Connection::open(&self.address())?.request(method, path, &headers, body)
    }

    /// Writes a file of the test's own and gives its path.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file of our own");
        path.to_str().expect("a path in text").to_owned()
    }
}

/// User and secret of a token in the API's form.
#[track_caller]
pub(crate) fn split_credential(credential: &str) -> (String, String) {
    let said = run(Command::new("base64").arg("--decode"), credential.as_bytes()).ok();
    let (user, secret) = said.out.split_once(':').expect("user:secret");
    (user.to_owned(), secret.to_owned())
}

impl Drop for Instance {
    #[expect(clippy::print_stderr, reason = "what the server said belongs to a failed test's output")]
    fn drop(&mut self) {
        self.server_end();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let from = lines.len().saturating_sub(40);
            eprintln!("--- the end of the server's log\n{}\n---", lines[from..].join("\n"));
        }
    }
}
