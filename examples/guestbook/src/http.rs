//! As much of HTTP/1.1 (RFC 9112) as a form needs: requests with a `Content-Length` body, kept-alive connections.

use std::io::{self, BufRead, Read, Write};

/// Longest request head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Longest request body, in bytes: far more than the longest entry, percent-encoded.
const MAX_BODY: usize = 64 * 1024;

/// One request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The method as sent.
    pub method: String,
    /// The target without its query.
    pub path: String,
    /// The body; empty without one.
    pub body: Vec<u8>,
    /// Whether the client wants to send more on this connection.
    pub keep_alive: bool,
}

/// Why no request could be read.
#[derive(Debug)]
pub enum ReadError {
    /// The client closed the connection between two requests: the normal end.
    Closed,
    /// The client sent something that gets this status and then the end of the connection.
    Bad(u16),
    /// The connection broke or went silent.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What the head says.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    method: String,
    path: String,
    length: usize,
    keep_alive: bool,
    expects_continue: bool,
}

/// Reads one request. `writer` gets the interim `100 Continue` when the client waits for it.
pub fn read_request(reader: &mut impl BufRead, writer: &mut impl Write) -> Result<Request, ReadError> {
    let head = parse_head(&read_head(reader)?).map_err(ReadError::Bad)?;
    if head.length > MAX_BODY {
        return Err(ReadError::Bad(413));
    }
    if head.expects_continue && head.length > 0 {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut body = vec![0; head.length];
    reader.read_exact(&mut body)?;
    Ok(Request { method: head.method, path: head.path, body, keep_alive: head.keep_alive })
}

/// The bytes up to and with the empty line.
fn read_head(reader: &mut impl BufRead) -> Result<Vec<u8>, ReadError> {
    let mut head = Vec::new();
    loop {
        let start = head.len();
        let room = u64::try_from(MAX_HEAD - start).map_err(|_| ReadError::Bad(431))?;
        let read = reader.by_ref().take(room).read_until(b'\n', &mut head)?;
        if read == 0 && head.is_empty() {
            return Err(ReadError::Closed);
        }
        if read == 0 || !head.ends_with(b"\n") {
            return Err(ReadError::Bad(if head.len() >= MAX_HEAD { 431 } else { 400 }));
        }
        match &head[start..] {
            // An empty line before the request line is let pass (RFC 9112, 2.2).
            b"\r\n" | b"\n" if start == 0 => head.clear(),
            b"\r\n" | b"\n" => return Ok(head),
            _ => {}
        }
    }
}

/// Reads the request line and the fields that matter here; `Err` is the status to answer with.
fn parse_head(head: &[u8]) -> Result<Head, u16> {
    let text = std::str::from_utf8(head).map_err(|_| 400_u16)?;
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(400);
    };
    let http_1_1 = match version {
        "HTTP/1.1" => true,
        "HTTP/1.0" => false,
        _ => return Err(505),
    };
    if method.is_empty() || !target.starts_with('/') {
        return Err(400);
    }
    let (mut length, mut keep_alive, mut expects_continue) = (None, http_1_1, false);
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(400_u16)?;
        // A blank before the colon, or a folded line, is how one server is made to see another request than the next.
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(400);
        }
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(400);
            }
            let value: usize = value.parse().map_err(|_| 413_u16)?;
            if length.is_some_and(|earlier| earlier != value) {
                return Err(400);
            }
            length = Some(value);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(411);
        } else if name.eq_ignore_ascii_case("connection") {
            for option in value.split(',').map(str::trim) {
                if option.eq_ignore_ascii_case("close") {
                    keep_alive = false;
                } else if option.eq_ignore_ascii_case("keep-alive") && !http_1_1 {
                    keep_alive = true;
                }
            }
        } else if name.eq_ignore_ascii_case("expect") {
            expects_continue = value.eq_ignore_ascii_case("100-continue");
        }
    }
    Ok(Head {
        method: method.to_owned(),
        path: target.split('?').next().unwrap_or_default().to_owned(),
        length: length.unwrap_or(0),
        keep_alive,
        expects_continue,
    })
}

/// One answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
    /// The methods to name in `Allow`, for a 405.
    pub allow: Option<&'static str>,
}

/// Whether the body goes out, or only its length (the answer to `HEAD`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Head and body.
    Sent,
    /// Head only.
    LeftOut,
}

/// What becomes of the connection after this answer; the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It may carry another request.
    KeptAlive,
    /// It ends.
    Closed,
}

/// Writes one answer, head and body in one write.
pub fn write_response(
    writer: &mut impl Write,
    response: &Response,
    body: Body,
    connection: Connection,
) -> io::Result<()> {
    let mut out = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\n",
        response.status,
        reason(response.status),
        response.content_type,
        response.body.len()
    );
    if let Some(methods) = response.allow {
        out.push_str("Allow: ");
        out.push_str(methods);
        out.push_str("\r\n");
    }
    if connection == Connection::Closed {
        out.push_str("Connection: close\r\n");
    }
    out.push_str("\r\n");
    if body == Body::Sent {
        out.push_str(&response.body);
    }
    writer.write_all(out.as_bytes())?;
    writer.flush()
}

/// The reason phrase of a status this program sends.
pub const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        411 => "Length Required",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Request, ReadError> {
        read_request(&mut &bytes[..], &mut Vec::new())
    }

    fn status_of(bytes: &[u8]) -> u16 {
        match read(bytes) {
            Err(ReadError::Bad(status)) => status,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn two_requests_on_one_connection_are_read_apart() {
        let bytes = b"POST /?a=b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /health HTTP/1.1\r\nconnection: Close\r\n\r\n";
        let mut reader = &bytes[..];
        let first = read_request(&mut reader, &mut Vec::new()).expect("the first is whole");
        assert_eq!(first.body, b"abc");
        assert_eq!(first.path, "/");
        assert!(first.keep_alive);
        let second = read_request(&mut reader, &mut Vec::new()).expect("the second is whole");
        assert_eq!(second.path, "/health");
        assert!(!second.keep_alive);
        assert!(matches!(read_request(&mut reader, &mut Vec::new()), Err(ReadError::Closed)));
    }

    #[test]
    fn version_1_0_closes_unless_asked_to_stay() {
        let closes = read(b"GET / HTTP/1.0\r\n\r\n").expect("valid");
        assert!(!closes.keep_alive);
        let stays = read(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").expect("valid");
        assert!(stays.keep_alive);
    }

    #[test]
    fn a_waiting_client_is_told_to_go_on() {
        let mut interim = Vec::new();
        let bytes = b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx".as_slice();
        read_request(&mut &bytes[..], &mut interim).expect("valid");
        assert_eq!(interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        assert_eq!(status_of(b"GET /\r\n\r\n"), 400);
        assert_eq!(status_of(b"GET / HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(status_of(b"GET http://x/ HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status_of(b"GET / HTTP/1.1\r\nContent-Length : 3\r\n\r\n"), 400);
        assert_eq!(status_of(b"GET / HTTP/1.1\r\nContent-Length: +3\r\n\r\n"), 400);
        assert_eq!(status_of(b"GET / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n"), 400);
        assert_eq!(status_of(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"), 411);
        assert_eq!(status_of(b"GET / HTTP/1.1\r\nnonsense\r\n\r\n"), 400);
        assert_eq!(status_of(b"GET / HTTP/1.1\r\nX: cut off"), 400);
    }

    #[test]
    fn limits_hold() {
        let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(MAX_HEAD));
        assert_eq!(status_of(head.as_bytes()), 431);
        let many = "X: y\r\n".repeat(MAX_HEAD / 6);
        assert_eq!(status_of(format!("GET / HTTP/1.1\r\n{many}\r\n").as_bytes()), 431);
        let body = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", MAX_BODY + 1);
        assert_eq!(status_of(body.as_bytes()), 413);
    }

    #[test]
    fn an_answer_says_its_length_and_whether_the_connection_ends() {
        let response = Response { status: 200, content_type: "text/plain", body: "h\u{f6}".to_owned(), allow: None };
        let mut out = Vec::new();
        write_response(&mut out, &response, Body::Sent, Connection::Closed).expect("a Vec");
        let text = String::from_utf8(out).expect("ASCII and the body");
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(text.contains("Content-Length: 3\r\n"));
        assert!(text.contains("Connection: close\r\n"));
        assert!(text.ends_with("\r\n\r\nh\u{f6}"));
    }
}
