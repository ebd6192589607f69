//! What only a process of its own shows: signals, closed pipes, and a server that goes away.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use crate::support::{Instance, l0};

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let home = tempfile::tempdir().expect("a directory");
    for args in [&["completion", "bash"][..], &["--help"], &["version"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let out = l0(home.path()).args(args).stdout(writer).stderr(Stdio::piped()).output().expect("the binary runs");
        assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn completions_know_every_flag_of_the_server() {
    let home = tempfile::tempdir().expect("a directory");
    let text = |args: &[&str]| {
        let out = l0(home.path()).args(args).output().expect("the binary runs");
        assert!(out.status.success(), "{args:?}: {out:?}");
        String::from_utf8(out.stdout).expect("text")
    };
    let (help, script) = (text(&["server", "--help"]), text(&["completion", "fish"]));
    let flags: Vec<&str> = help
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("-h, ").trim_start_matches("-V, ").strip_prefix("--"))
        .filter_map(|line| line.split([' ', '[', '=', ',']).next())
        .collect();
    // Help and version are the parser's own, not the server's.
    let flags: Vec<&str> = flags.into_iter().filter(|flag| !matches!(*flag, "help" | "version")).collect();
    assert!(flags.len() > 10, "{help}");
    let known = script.lines().filter(|line| line.contains("using_subcommand server\""));
    let known: Vec<&str> = known.collect();
    for flag in flags {
        assert!(
            known.iter().any(|line| line.contains(&format!("-l {flag} "))),
            "no completion for `l0 server --{flag}`"
        );
    }
}

#[test]
fn ctrl_c_leaves_the_operation_and_says_how_to_follow_it() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    // One request, one step, and a stream that stays open until the client has gone.
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("the client connects");
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut line = String::new();
        while reader.read_line(&mut line).expect("a request") > 2 {
            line.clear();
        }
        let frame = "event: event\ndata: {\"sequence\":1,\"at\":\"2026-01-02T03:04:05Z\",\"message\":\"waiting for the engine\"}\n\n";
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}{:x}\r\n{frame}\r\n", frame.len()).as_bytes()).expect("the client reads");
        // Ends when the client closes.
        let _ = reader.read(&mut [0]);
    });
    let home = tempfile::tempdir().expect("a directory");
    let mut child = l0(home.path())
        .args(["operation", "follow", "op1", "--skip-verify-version", "--token", "x", "--endpoint"])
        .arg(format!("http://{address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a step");
    assert_eq!(line, "   0.0s  waiting for the engine\n");
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(signal.success());
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "error: interrupted\nhint: the operation goes on; `l0 operation follow op1` follows it\n");
    assert_eq!(child.wait().expect("our own child").code(), Some(130));
    server.join().expect("the server does not panic");
}

#[test]
fn a_server_that_is_killed_and_comes_back_is_followed_on() {
    let mut instance = Instance::start();
    instance.ok("environment create dev");
    let document = r#"{"containerDefinitions":[{"name":"app","image":"nginx:1","memory":64}]}"#;
    std::fs::write(instance.home().join("d.json"), document).expect("a file");
    instance.ok("deploy create d.json app");
    let mut child = l0(instance.home())
        .args(["service", "create", "dev", "web", "app:latest"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut seen = String::new();
    said.read_line(&mut seen).expect("a step");
    instance.kill();
    while !seen.contains("connection lost, trying again") {
        assert!(said.read_line(&mut seen).expect("a line") > 0, "{seen}");
    }
    instance.up();
    let mut rest = String::new();
    said.read_to_string(&mut rest).expect("text");
    let out = child.wait_with_output().expect("our own child");
    assert_eq!(out.status.code(), Some(0), "{seen}{rest}");
    assert!(String::from_utf8_lossy(&out.stdout).contains("1/1"), "{rest}");
}
