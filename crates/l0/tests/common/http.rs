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
    pub(crate) body: String,
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

    /// Sends a request and reads the whole answer.
    pub(crate) fn request(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Answer, String> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n{headers}\r\n", self.host, body.len());
        let told = |why: std::io::Error| why.to_string();
        self.stream.get_mut().write_all(&[head.as_bytes(), body].concat()).map_err(told)?;
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(told)?;
        let status = line.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or(format!("no status in `{line}`"))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            line.clear();
            self.stream.read_line(&mut line).map_err(told)?;
            let field = line.trim_end().to_ascii_lowercase();
            match field.split_once(": ") {
                None if field.is_empty() => break,
                Some(("content-length", value)) => length = value.parse().map_err(|_| format!("bad length `{value}`"))?,
                Some(("transfer-encoding", value)) => chunked = value == "chunked",
                _ => {}
            }
        }
        let mut body = Vec::new();
        while chunked {
            line.clear();
            self.stream.read_line(&mut line).map_err(told)?;
            length = usize::from_str_radix(line.trim(), 16).map_err(|_| format!("bad chunk `{line}`"))?;
            let mut chunk = vec![0; length + 2];
            self.stream.read_exact(&mut chunk).map_err(told)?;
            body.extend_from_slice(&chunk[..length]);
            if length == 0 {
                return Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() });
            }
        }
        body.resize(length, 0);
        self.stream.read_exact(&mut body).map_err(told)?;
        Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
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
