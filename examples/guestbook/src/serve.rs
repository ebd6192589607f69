//! Connections: a thread for each, at most [`MAX_CONNECTIONS`], and the orderly end of them all.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::book::{Book, Entry};
use crate::http::{self, Body, Connection, ReadError, Request, Response};
use crate::page::{self, About, Notice};

/// Connections at a time; another waits in the listener's queue until one ends.
const MAX_CONNECTIONS: usize = 512;
/// How long a connection may be silent between two requests.
const IDLE_LIMIT: Duration = Duration::from_secs(75);
/// How long one request may take to arrive, and its answer to be taken.
const REQUEST_LIMIT: Duration = Duration::from_secs(10);
/// How often a silent connection looks whether the program stops.
const TICK: Duration = Duration::from_millis(100);
/// How long a silent connection is still answered after the signal: a proxy may have just sent a request on it.
const LINGER: Duration = Duration::from_millis(500);

/// The guest book as a server.
#[derive(Debug)]
pub struct Server {
    about: About,
    book: Mutex<Book>,
    stopping: AtomicBool,
    connections: Mutex<usize>,
    connection_ended: Condvar,
}

impl Server {
    /// A server with an empty book.
    pub fn new(about: About) -> Self {
        Self {
            about,
            book: Mutex::default(),
            stopping: AtomicBool::new(false),
            connections: Mutex::new(0),
            connection_ended: Condvar::new(),
        }
    }

    /// What this server says of itself.
    pub const fn about(&self) -> &About {
        &self.about
    }

    /// Takes connections until [`Server::stop`].
    pub fn accept(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            self.wait_for_room();
            let accepted = listener.accept();
            if self.is_stopping() {
                return;
            }
            match accepted {
                Ok((stream, peer)) => {
                    *lock(&self.connections) += 1;
                    let slot = Slot(Arc::clone(self));
                    let spawned = thread::Builder::new().spawn(move || slot.0.converse(&stream, peer));
                    if let Err(error) = spawned {
                        eprintln!("no thread for a connection from {peer}: {error}");
                    }
                }
                Err(error) => {
                    // Out of file descriptors, most likely: give a connection the time to end.
                    eprintln!("no connection taken: {error}");
                    thread::park_timeout(TICK);
                }
            }
        }
    }

    /// Ends [`Server::accept`]: says so, then wakes it with a connection of our own.
    pub fn stop(&self, listener: &TcpListener) -> io::Result<()> {
        self.stopping.store(true, Ordering::SeqCst);
        self.connection_ended.notify_all();
        let port = listener.local_addr()?.port();
        drop(TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        Ok(())
    }

    /// Waits until no connection is left; `false` when `limit` came first.
    pub fn drain(&self, limit: Duration) -> bool {
        let (_left, waited) = self
            .connection_ended
            .wait_timeout_while(lock(&self.connections), limit, |open| *open > 0)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }

    fn wait_for_room(&self) {
        let _open = self
            .connection_ended
            .wait_while(lock(&self.connections), |open| *open >= MAX_CONNECTIONS && !self.is_stopping())
            .unwrap_or_else(PoisonError::into_inner);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// One connection from its first request to its end.
    fn converse(&self, stream: &TcpStream, peer: SocketAddr) {
        if let Err(error) = self.converse_until_end(stream, peer) {
            eprintln!("{peer}: {error}");
        }
    }

    fn converse_until_end(&self, stream: &TcpStream, peer: SocketAddr) -> io::Result<()> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(REQUEST_LIMIT))?;
        let mut reader = BufReader::new(stream);
        let mut writer = stream;
        while self.request_is_coming(&mut reader)? {
            let started = Instant::now();
            reader.get_ref().set_read_timeout(Some(REQUEST_LIMIT))?;
            let request = match http::read_request(&mut reader, &mut writer) {
                Ok(request) => request,
                Err(ReadError::Closed) => return Ok(()),
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Bad(status)) => {
                    let response = plain(status, http::reason(status));
                    println!("{peer} refused {status}");
                    return http::write_response(&mut writer, &response, Body::Sent, Connection::Closed);
                }
            };
            let response = self.answer(&request);
            let connection =
                if request.keep_alive && !self.is_stopping() { Connection::KeptAlive } else { Connection::Closed };
            let body = if request.method == "HEAD" { Body::LeftOut } else { Body::Sent };
            http::write_response(&mut writer, &response, body, connection)?;
            println!(
                "{peer} {} {} {} {} us",
                printable(&request.method),
                printable(&request.path),
                response.status,
                started.elapsed().as_micros()
            );
            if connection == Connection::Closed {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Waits for the first byte of a request; `false` when the client closed, stayed silent for too long, or the
    /// program stops and nothing came within [`LINGER`].
    fn request_is_coming(&self, reader: &mut BufReader<&TcpStream>) -> io::Result<bool> {
        reader.get_ref().set_read_timeout(Some(TICK))?;
        let silent_since = Instant::now();
        let mut stopping_since = None;
        loop {
            match reader.fill_buf() {
                Ok(bytes) => return Ok(!bytes.is_empty()),
                Err(error) if is_timeout(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            }
            if self.is_stopping() {
                let since = *stopping_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= LINGER {
                    return Ok(false);
                }
            } else if silent_since.elapsed() >= IDLE_LIMIT {
                return Ok(false);
            }
        }
    }

    /// What a request gets. Knows nothing of connections.
    fn answer(&self, request: &Request) -> Response {
        match (request.path.as_str(), request.method.as_str()) {
            ("/", "GET" | "HEAD") => self.page(200, Notice::None),
            ("/", "POST") => match Entry::from_form(&request.body) {
                Ok(entry) => {
                    lock(&self.book).sign(entry.clone());
                    self.page(200, Notice::Signed(&entry))
                }
                Err(refusal) => self.page(422, Notice::Refused(refusal)),
            },
            ("/health", "GET" | "HEAD") => plain(200, "ok"),
            ("/version", "GET" | "HEAD") => plain(200, self.about.version),
            ("/", _) => not_allowed("GET, HEAD, POST"),
            ("/health" | "/version", _) => not_allowed("GET, HEAD"),
            _ => plain(404, "no such page"),
        }
    }

    fn page(&self, status: u16, notice: Notice<'_>) -> Response {
        let entries = lock(&self.book).entries();
        Response {
            status,
            content_type: "text/html; charset=utf-8",
            body: page::render(&self.about, &entries, notice),
            allow: None,
        }
    }
}

/// A connection's place among [`MAX_CONNECTIONS`]; given back when it is dropped, whatever happened to the thread.
struct Slot(Arc<Server>);

impl Drop for Slot {
    fn drop(&mut self) {
        *lock(&self.0.connections) -= 1;
        self.0.connection_ended.notify_all();
    }
}

/// A panic elsewhere leaves these values whole (a count, a list), so a poisoned lock is taken all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Text from a client as one line of the log, at most 200 characters.
fn printable(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_default).collect()
}

fn plain(status: u16, text: &str) -> Response {
    Response { status, content_type: "text/plain; charset=utf-8", body: format!("{text}\n"), allow: None }
}

fn not_allowed(methods: &'static str) -> Response {
    Response { allow: Some(methods), ..plain(405, "method not allowed") }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    struct Running {
        server: Arc<Server>,
        listener: TcpListener,
        accepting: thread::JoinHandle<()>,
    }

    fn start() -> Running {
        let server =
            Arc::new(Server::new(About { version: "v1", copy: "here".to_owned(), greeting: "Hello".to_owned() }));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let accepting = {
            let (server, listener) = (Arc::clone(&server), listener.try_clone().expect("a descriptor"));
            thread::spawn(move || server.accept(&listener))
        };
        Running { server, listener, accepting }
    }

    impl Running {
        fn connect(&self) -> TcpStream {
            let address = self.listener.local_addr().expect("bound");
            TcpStream::connect(address).expect("it listens")
        }

        fn ask(&self, request: &str) -> String {
            let mut stream = self.connect();
            stream.write_all(request.as_bytes()).expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("answered");
            answer
        }

        fn stop(self) {
            self.server.stop(&self.listener).expect("bound");
            self.accepting.join().expect("no panic");
            assert!(self.server.drain(DRAIN));
        }
    }

    const DRAIN: Duration = Duration::from_secs(20);

    #[test]
    fn signing_shows_the_entry_escaped() {
        let running = start();
        let body = "name=A%3Cb%3E&message=hi";
        let answer = running.ask(&format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("<strong>A&lt;b&gt;</strong>: hi"), "{answer}");
        let page = running.ask("GET / HTTP/1.0\r\n\r\n");
        assert!(page.contains("<strong>A&lt;b&gt;</strong>: hi"), "{page}");
        running.stop();
    }

    #[test]
    fn statuses_are_the_right_ones() {
        let running = start();
        for (request, status) in [
            ("GET /health HTTP/1.0\r\n\r\n", "200 OK"),
            ("HEAD /version HTTP/1.0\r\n\r\n", "200 OK"),
            ("GET /nowhere HTTP/1.0\r\n\r\n", "404 Not Found"),
            ("DELETE / HTTP/1.0\r\n\r\n", "405 Method Not Allowed"),
            ("POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n", "422 Unprocessable Content"),
            ("nonsense\r\n\r\n", "400 Bad Request"),
        ] {
            let answer = running.ask(request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request}: {answer}");
        }
        let head = running.ask("HEAD / HTTP/1.0\r\n\r\n");
        assert!(head.ends_with("\r\n\r\n"), "HEAD has no body: {head}");
        running.stop();
    }

    #[test]
    fn a_request_already_begun_is_finished_after_the_signal() {
        let running = start();
        let mut stream = running.connect();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("answered");
        assert_eq!(&first, b"HTTP/1.1 200");
        stream.write_all(b"GET /version HTTP/1.1\r\n").expect("half a request");
        running.server.stop(&running.listener).expect("bound");
        running.accepting.join().expect("no panic");
        stream.write_all(b"Host: x\r\n\r\n").expect("the other half");
        let mut rest = String::new();
        stream.read_to_string(&mut rest).expect("answered, then closed");
        assert!(rest.contains("Connection: close\r\n"), "{rest}");
        assert!(rest.ends_with("v1\n"), "{rest}");
        assert!(running.server.drain(DRAIN));
    }

    #[test]
    fn an_idle_connection_does_not_hold_the_end_up() {
        let running = start();
        let mut stream = running.connect();
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
        let mut first = [0; 12];
        stream.read_exact(&mut first).expect("answered");
        running.stop();
    }
}
