//! The start of a server: who may have the data directory, what is shown once, and who may read what is written.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The built binary with nothing of our own environment that could reach it.
fn l0(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_l0"));
    command.env_clear().env("HOME", home).env("XDG_CONFIG_HOME", home.join("config")).current_dir(home);
    command.stdin(Stdio::null());
    command
}

/// A server that has said that it listens.
struct Server {
    child: Child,
    /// What it said until it was ready.
    greeting: String,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the binary runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut greeting = String::new();
        // The greeting is written in one piece; its line about connecting is there every time, what is shown once follows.
        while !greeting.contains("  connect ") {
            assert!(stdout.read_line(&mut greeting).expect("text") > 0, "it ended instead of listening: {greeting}");
        }
        let reader = std::thread::spawn(move || {
            let mut rest = String::new();
            stdout.read_to_string(&mut rest).expect("text");
            rest
        });
        let id = child.id().to_string();
        let stopped = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
        assert!(stopped.success(), "it could be told to stop");
        greeting.push_str(&reader.join().expect("the reader does not panic"));
        Self { child, greeting }
    }

    /// Waits for the graceful stop; answers what it said.
    fn stopped(mut self) -> String {
        let status = self.child.wait().expect("our own child");
        assert!(status.success(), "{status}");
        self.greeting
    }
}

fn server(home: &Path, data: &Path) -> Command {
    let mut command = l0(home);
    command.args(["server", "--engine", "fake", "--listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    command
}

fn mode(path: &Path) -> u32 {
    let found = std::fs::metadata(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    found.permissions().mode() & 0o777
}

/// Every file below a directory.
fn files(below: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(below).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn the_first_token_is_shown_once_and_kept_for_its_owner() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let first = Server::start(server(home.path(), &data)).stopped();
    let token = first.lines().find_map(|line| line.trim().strip_prefix("admin token")).expect("it is shown").trim();
    let kept = std::fs::read_to_string(data.join("admin-token")).expect("it is kept");
    assert_eq!(kept.trim(), token);
    let second = Server::start(server(home.path(), &data)).stopped();
    assert!(!second.contains("admin token") && !second.contains(token), "{second}");

    assert_eq!(mode(&data), 0o700, "nobody else gets into the data directory");
    for name in ["admin-token", "layer0.db"] {
        assert_eq!(mode(&data.join(name)), 0o600, "{name}");
    }
    // XDG_CONFIG_HOME is where it says.
    let known = home.path().join("config/layer0/credentials.json");
    assert_eq!(mode(&known), 0o600);
    assert!(std::fs::read_to_string(&known).expect("it is there").contains(token));
    assert!(!home.path().join(".config").exists(), "and nowhere else");
    let holders: Vec<_> = files(home.path())
        .into_iter()
        .filter(|path| {
            let bytes = std::fs::read(path).expect("a file of ours");
            bytes.windows(token.len()).any(|window| window == token.as_bytes())
        })
        .collect();
    assert_eq!(holders.len(), 2, "no other file has the token: {holders:?}");
}

#[test]
fn without_xdg_config_home_the_home_directory_is_used() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let mut command = server(home.path(), &data);
    command.env_remove("XDG_CONFIG_HOME");
    Server::start(command).stopped();
    assert_eq!(mode(&home.path().join(".config/layer0/credentials.json")), 0o600);
}

#[test]
fn a_server_whose_directory_keeps_no_token_says_how_to_connect() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    Server::start(server(home.path(), &data)).stopped();
    // As a restored instance is: its tokens are known to people, and to no file.
    std::fs::remove_file(data.join("admin-token")).expect("it was kept");
    let said = Server::start(server(home.path(), &data)).stopped();
    assert!(said.contains("  connect      l0 login http://localhost:"), "{said}");
    assert!(said.contains("--new-admin-token") && !said.contains("l0 endpoint"), "{said}");
}

#[test]
fn the_shell_is_connected_right_after_the_server_was_started() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    for _ in 0..2 {
        let mut started = server(home.path(), &data);
        let mut started = started.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        let connected = l0(home.path()).args(["endpoint", "--data-dir"]).arg(&data).output().expect("it runs");
        let lines = String::from_utf8(connected.stdout).expect("text");
        let endpoint = std::fs::read_to_string(data.join("endpoint")).expect("the server says where it is");
        let lock = std::fs::read_to_string(data.join("lock")).expect("it is held");
        started.kill().and_then(|()| started.wait()).expect("our own child");
        assert!(connected.status.success(), "{}", String::from_utf8_lossy(&connected.stderr));
        assert!(lines.contains(endpoint.trim()), "{lines} of {endpoint}");
        assert!(lock.contains(&format!("process {},", started.id())), "{lock}");
    }
}

#[test]
fn a_second_server_on_the_directory_is_told_who_has_it() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path().join("data");
    let mut first = server(home.path(), &data).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    let mut lines = BufReader::new(first.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("l0 endpoint")), "it listens");
    let second = server(home.path(), &data).output().expect("it runs");
    let endpoint = std::fs::read_to_string(data.join("endpoint")).expect("the first says where it is");
    let id = first.id();
    first.kill().and_then(|()| first.wait()).expect("our own child");
    let said = String::from_utf8(second.stderr).expect("text");
    assert_eq!(second.status.code(), Some(1), "{said}");
    let port = endpoint.trim().trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    let holder = format!("held by another server: l0 server, process {id}, listening on 127.0.0.1:{port}");
    assert!(said.contains(&holder), "{said}");
    // The dead hold nothing.
    Server::start(server(home.path(), &data)).stopped();
}

#[test]
fn a_wrong_flag_is_answered_with_the_closest_one() {
    let home = tempfile::tempdir().expect("a directory");
    let ran = l0(home.path()).args(["server", "--data-dri", "x"]).output().expect("it runs");
    let said = String::from_utf8(ran.stderr).expect("text");
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.contains("--data-dir"), "{said}");
}
