//! The little HTTP that the tests speak: one request a connection, and connections that are held.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Its header fields, names in lower case.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// A header field's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A connection that several requests go over.
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Connection {
    /// Connects to `host:port`.
    pub(crate) fn open(host: &str) -> Result<Self, String> {
        let address = host.to_socket_addrs().map_err(|why| why.to_string())?.next().ok_or("no address")?;
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(3)).map_err(|why| why.to_string())?;
        stream.set_read_timeout(Some(LIMIT)).expect("a limit above 0");
        Ok(Self { stream: BufReader::new(stream), host: host.to_owned() })
    }

    /// Connects to `host:port` and asks for another name there.
    pub(crate) fn open_as(host: &str, name: &str) -> Result<Self, String> {
        Ok(Self { host: name.to_owned(), ..Self::open(host)? })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Answer, String> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n{headers}\r\n",
            self.host,
            body.len()
        );
        let told = |why: std::io::Error| why.to_string();
        // A server may answer before it has read all of a body, and read no further.
        let written = self.stream.get_mut().write_all(&[head.as_bytes(), body].concat());
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(|why| written.err().unwrap_or(why)).map_err(told)?;
        let status =
            line.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or(format!("no status in `{line}`"))?;
        let mut headers = Vec::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line).map_err(told)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut answer = Answer { status, headers, body: String::new() };
        let mut all = Vec::new();
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                line.clear();
                self.stream.read_line(&mut line).map_err(told)?;
                let length = usize::from_str_radix(line.trim(), 16).map_err(|_| format!("bad chunk `{line}`"))?;
                let mut chunk = vec![0; length + 2];
                self.stream.read_exact(&mut chunk).map_err(told)?;
                all.extend_from_slice(&chunk[..length]);
                if length == 0 {
                    break;
                }
            }
        } else {
            let length = answer.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            all.resize(length, 0);
            self.stream.read_exact(&mut all).map_err(told)?;
        }
        answer.body = String::from_utf8_lossy(&all).into_owned();
        Ok(answer)
    }

    /// Asks for a page.
    pub(crate) fn get(&mut self, path: &str) -> Result<Answer, String> {
        self.request("GET", path, "", b"")
    }
}

/// Asks `host:port` for a page over a connection of its own.
pub(crate) fn get(host: &str, path: &str) -> Result<Answer, String> {
    Connection::open(host)?.request("GET", path, "Connection: close\r\n", b"")
}
