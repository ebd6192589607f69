//! As much of an HTTP/1.1 client as the bench needs: one kept connection, JSON bodies, whole answers. Written here so that
//! what is measured is the server, and not a library's pool.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long one answer may take. Longer than any the bench waits for.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection over which one request follows the other.
pub(crate) struct Http<S> {
    reader: BufReader<S>,
    /// Header lines that every request gets, each with its line end.
    headers: String,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// Whether the connection can be used again.
    pub(crate) kept: bool,
}

impl Answer {
    /// The body, for people.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).trim().to_owned()
    }
}

impl Http<TcpStream> {
    /// Connects over TCP.
    pub(crate) fn tcp(address: SocketAddr, headers: &str, limit: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(Self { reader: BufReader::new(stream), headers: format!("host: {address}\r\n{headers}") })
    }
}

impl Http<UnixStream> {
    /// Connects to a socket in the file system.
    pub(crate) fn unix(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Self { reader: BufReader::new(stream), headers: "host: docker\r\n".to_owned() })
    }
}

impl<S: Read + Write> Http<S> {
    /// One request and its answer. After an error the connection is of no more use.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> io::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.1\r\n{}", self.headers);
        if let Some(body) = body {
            request
                .push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        } else {
            request.push_str("\r\n");
        }
        self.reader.get_mut().write_all(request.as_bytes())?;
        self.answer()
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    fn answer(&mut self) -> io::Result<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or_else(|| odd(&first))?;
        let (mut length, mut chunked, mut kept) = (None, false, true);
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| odd(&line))?;
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.parse::<usize>().map_err(|_| odd(&line))?),
                "transfer-encoding" => chunked = value.eq_ignore_ascii_case("chunked"),
                "connection" => kept = !value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let line = self.line()?;
                let size = usize::from_str_radix(&line, 16).map_err(|_| odd(&line))?;
                let start = body.len();
                body.resize(start + size, 0);
                self.reader.read_exact(&mut body[start..])?;
                self.line()?;
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = length {
            body.resize(length, 0);
            self.reader.read_exact(&mut body)?;
        } else if status != 204 && status != 304 {
            self.reader.read_to_end(&mut body)?;
            kept = false;
        }
        Ok(Answer { status, body, kept })
    }
}

fn odd(line: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("no HTTP: {line:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers with what it was given, whatever is asked.
    struct Canned(io::Cursor<Vec<u8>>);

    impl Read for Canned {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Canned {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn canned(text: &str) -> Http<Canned> {
        Http { reader: BufReader::new(Canned(io::Cursor::new(text.into()))), headers: String::new() }
    }

    #[test]
    fn one_answer_ends_where_the_next_begins() {
        let mut http = canned(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\
             HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n\
             HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        );
        let mut next = || http.ask("GET", "/", None).map(|it| (it.status, it.text(), it.kept)).expect("an answer");
        assert_eq!(next(), (200, "ok".to_owned(), true));
        assert_eq!(next(), (404, "abcd".to_owned(), true));
        assert_eq!(next(), (204, String::new(), false));
    }

    #[test]
    fn an_answer_that_breaks_off_is_an_error() {
        assert!(canned("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").ask("GET", "/", None).is_err());
        assert!(canned("").ask("GET", "/", None).is_err());
    }
}
