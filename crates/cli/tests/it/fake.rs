//! A loopback server with canned replies, and a way to run a command line against it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use layer0_cli::{Host, Terminal};
use serde_json::{Value, json};

/// What the server answers once.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status and a JSON body.
    Json(u16, Value),
    /// Server-sent events, to the proper end of the stream.
    Events(String),
    /// Server-sent events, then the connection breaks.
    Broken(String),
    /// Server-sent events, then nothing: the stream stays open.
    Open(String),
    /// The connection closes without an answer.
    Nothing,
    /// Status 200 and a JSON body, once a request with this line has its answer.
    After(&'static str, Value),
    /// A body that is not of this API.
    Foreign(u16, &'static str),
}

/// One request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) authorization: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct State {
    replies: HashMap<String, VecDeque<Reply>>,
    requests: Vec<Request>,
    /// Lines of requests that have their answer.
    answered: Vec<String>,
    /// Streams that stay open until the server is dropped.
    open: Vec<TcpStream>,
}

/// The server. Serves until the test process ends; each test has its own.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

/// The state, and a bell for its changes.
type Shared = (Mutex<State>, Condvar);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fake {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&serving);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, shared }
    }

    /// Answers `METHOD /path?query` with these replies, one after the other; the last one stays.
    pub(crate) fn on(&self, line: &str, replies: impl IntoIterator<Item = Reply>) -> &Self {
        lock(&self.shared.0).replies.insert(line.to_owned(), replies.into_iter().collect());
        self
    }

    /// Answers with status 200 and this body.
    pub(crate) fn json(&self, line: &str, body: Value) -> &Self {
        self.on(line, [Reply::Json(200, body)])
    }

    /// Answers the look-up of a target with entities: id, name, environment id, version.
    pub(crate) fn found(&self, query: &str, all: &[(&str, &str, &str, &str)]) -> &Self {
        let kind = query.split(['=', '&']).nth(1).unwrap_or_default().to_owned();
        let mut tags = Vec::new();
        for (id, name, environment, version) in all {
            for (key, value) in [("name", name), ("environment_id", environment), ("version", version)] {
                if !value.is_empty() {
                    tags.push(json!({ "entity_id": id, "entity_type": kind, "key": key, "value": value }));
                }
            }
        }
        self.json(&format!("GET /tag?{query}"), Value::Array(tags))
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        lock(&self.shared.0).requests.clone()
    }

    /// Method and path of every request.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.line).collect()
    }

    /// The body of the only request with this line.
    pub(crate) fn body(&self, line: &str) -> Value {
        let all: Vec<Request> = self.requests().into_iter().filter(|request| request.line == line).collect();
        assert_eq!(all.len(), 1, "{line} among {:?}", self.lines());
        all[0].body.clone()
    }

    /// Runs a command line against this server.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(args, &self.env())
    }

    /// Runs a command line that reads standard input against this server.
    pub(crate) fn run_with(&self, args: &[&str], stdin: Stdin) -> Ran {
        run_with(args, &self.env(), Terminal::Plain, stdin)
    }

    /// The environment that connects to this server.
    pub(crate) fn env(&self) -> BTreeMap<String, String> {
        env(&[
            ("LAYER0_API_ENDPOINT", &format!("http://{}/", self.address)),
            ("LAYER0_AUTH_TOKEN", "YWRtaW46aHVudGVyMg=="),
            ("LAYER0_SKIP_VERSION_VERIFY", "1"),
        ])
    }
}

fn serve(stream: TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(&stream);
    let mut first = String::new();
    let (mut length, mut authorization) = (0_usize, String::new());
    if reader.read_line(&mut first).is_err() || first.is_empty() {
        return;
    }
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => authorization = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let line = first.rsplit_once(' ').map_or("", |(line, _)| line).to_owned();
    let reply = {
        let mut state = lock(&shared.0);
        state.requests.push(Request {
            line: line.clone(),
            authorization,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        });
        match state.replies.get_mut(&line) {
            Some(queue) if queue.len() > 1 => queue.pop_front(),
            Some(queue) => queue.front().cloned(),
            None => None,
        }
    };
    let reply = reply.unwrap_or_else(|| error(404, "RouteDoesNotExist", &format!("no reply is prepared for `{line}`")));
    answer(stream, &reply, shared);
    lock(&shared.0).answered.push(line);
    shared.1.notify_all();
}

/// Waits until a request has its answer; gives up after a time that no machine needs.
fn wait_for(line: &str, (state, changed): &Shared) {
    let missing = |state: &mut State| !state.answered.iter().any(|answered| answered == line);
    drop(changed.wait_timeout_while(lock(state), Duration::from_secs(20), missing));
}

fn answer(mut stream: TcpStream, reply: &Reply, shared: &Shared) {
    const STREAM: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let plain = |status: u16, body: &str| {
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let chunk = |text: &str| if text.is_empty() { String::new() } else { format!("{:x}\r\n{text}\r\n", text.len()) };
    let bytes = match reply {
        Reply::Json(status, body) => plain(*status, &body.to_string()),
        Reply::After(line, body) => {
            wait_for(line, shared);
            plain(200, &body.to_string())
        }
        Reply::Foreign(status, body) => plain(*status, body),
        Reply::Events(text) => format!("{STREAM}{}0\r\n\r\n", chunk(text)),
        Reply::Broken(text) | Reply::Open(text) => format!("{STREAM}{}", chunk(text)),
        Reply::Nothing => String::new(),
    };
    // A client that has gone is its own affair.
    let _ = stream.write_all(bytes.as_bytes()).and_then(|()| stream.flush());
    if matches!(reply, Reply::Open(_)) {
        lock(&shared.0).open.push(stream);
    }
}

/// An error of the API.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::Json(status, json!({ "error_code": code, "message": message }))
}

/// The frame of one step of an operation.
pub(crate) fn step(sequence: u64, at: &str, message: &str) -> String {
    format!("event: event\ndata: {}\n\n", json!({ "sequence": sequence, "at": at, "message": message }))
}

/// The frame of an operation's end.
pub(crate) fn end(operation: &Value) -> String {
    format!("event: end\ndata: {operation}\n\n")
}

/// An operation on the wire.
pub(crate) fn operation(id: &str, state: &str, cause: Option<Value>) -> Value {
    let mut operation = json!({
        "operation_id": id, "verb": "create", "entity_type": "service", "entity_id": "web1", "entity_name": "web",
        "environment_id": "dev1", "state": state, "created": "2026-01-02T03:04:05Z", "ended": "2026-01-02T03:04:09Z",
    });
    if let Some(cause) = cause {
        operation["cause"] = cause;
    }
    operation
}

/// How a command line ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// As it is compared with a snapshot.
    pub(crate) fn text(&self) -> String {
        format!("exit code {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }

    /// stdout as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|why| panic!("{why}: {self:?}"))
    }
}

pub(crate) fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Runs a command line.
pub(crate) fn run(args: &[&str], env: &BTreeMap<String, String>) -> Ran {
    run_on(args, env, Terminal::Plain)
}

/// Runs a command line on this kind of terminal.
pub(crate) fn run_on(args: &[&str], env: &BTreeMap<String, String>, terminal: Terminal) -> Ran {
    run_with(args, env, terminal, Stdin::Piped(b""))
}

/// What a command line reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stdin {
    /// From a file or a pipe.
    Piped(&'static [u8]),
    /// As it is typed.
    Typed(&'static [u8]),
}

/// Runs a command line that reads standard input.
pub(crate) fn run_with(args: &[&str], env: &BTreeMap<String, String>, terminal: Terminal, stdin: Stdin) -> Ran {
    let (stdin, stdin_is_terminal) = match stdin {
        Stdin::Piped(bytes) => (bytes, false),
        Stdin::Typed(bytes) => (bytes, true),
    };
    let args: Vec<&str> = std::iter::once("l0").chain(args.iter().copied()).collect();
    hosted(layer0_cli::run_on, &args, env, |host| Host { stdin: Box::new(stdin), stdin_is_terminal, terminal, ..host })
}

/// Calls Docker's credential helper.
pub(crate) fn helper(args: &[&str], env: &BTreeMap<String, String>, stdin: &str) -> Ran {
    let args: Vec<&str> = std::iter::once(layer0_cli::CREDENTIAL_HELPER).chain(args.iter().copied()).collect();
    let stdin = std::io::Cursor::new(stdin.to_owned());
    hosted(layer0_cli::credential_helper_on, &args, env, |host| Host { stdin: Box::new(stdin), ..host })
}

/// Runs a command line of a program that is this file.
pub(crate) fn run_as(executable: &std::path::Path, args: &[&str], env: &BTreeMap<String, String>) -> Ran {
    let args: Vec<&str> = std::iter::once("l0").chain(args.iter().copied()).collect();
    hosted(layer0_cli::run_on, &args, env, |host| Host { executable: Some(executable.to_owned()), ..host })
}

fn hosted(
    program: impl FnOnce(Host) -> u8,
    args: &[&str],
    env: &BTreeMap<String, String>,
    change: impl FnOnce(Host) -> Host,
) -> Ran {
    let (stdout, stderr) = (Captured::default(), Captured::default());
    let code = program(change(Host {
        args: args.iter().map(Into::into).collect(),
        executable: None,
        env: env.clone(),
        stdin: Box::new(&b""[..]),
        stdin_is_terminal: false,
        stdout: Box::new(stdout.clone()),
        stderr: Box::new(stderr.clone()),
        terminal: Terminal::Plain,
        stdout_is_terminal: false,
    }));
    Ran { code, stdout: stdout.text(), stderr: stderr.text() }
}

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).expect("output is text")
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
