//! Heads on the wire: writing a request's, reading a response's.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version, request};

use super::ExchangeError;

/// A response head longer than this is refused.
const MOST_HEAD: usize = 64 * 1024;

/// A response with more fields than this is refused; it is what hyper allows a request.
const MOST_FIELDS: usize = 100;

/// What a request says of the client and the listener it came through.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The client's address, as text.
    pub(crate) peer: String,
    /// The port that the client connected to.
    pub(crate) port: u16,
    /// The address that the client connected to, for the host of a client that names none (HTTP/1.0).
    pub(crate) local: SocketAddr,
}

/// How long a request body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is none.
    None,
    /// This many bytes.
    Known(u64),
    /// Unknown: sent in chunks.
    Chunked,
}

/// A request that cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadRequest {
    /// HTTP/1.1 wants exactly one `Host` (RFC 9112, 3.2).
    Host,
}

/// Writes the head of a request for a target: end-to-end fields as they are, hop-by-hop fields left out, who asked added.
/// Body framing is written from `length` alone, whatever the client's fields say, so that both ends agree where the body ends.
pub(crate) fn write_request(
    out: &mut BytesMut,
    parts: &request::Parts,
    origin: &Origin,
    length: Length,
    upgrade: Option<&HeaderValue>,
) -> Result<(), BadRequest> {
    let named = connection_options(&parts.headers);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    out.reserve(512);
    put(out, &[parts.method.as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1\r\n"]);
    write_host(out, parts, origin)?;
    for (name, value) in &parts.headers {
        let replaced =
            name == header::HOST || name == header::CONTENT_LENGTH || name == header::EXPECT || is_forwarded(name);
        if replaced || is_hop_by_hop(name) || named.iter().any(|option| name.as_str().eq_ignore_ascii_case(option)) {
            continue;
        }
        put(out, &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }
    out.put_slice(b"x-forwarded-for: ");
    for earlier in parts.headers.get_all(X_FORWARDED_FOR) {
        put(out, &[earlier.as_bytes(), b", "]);
    }
    let mut digits = Digits::default();
    put(
        out,
        &[
            origin.peer.as_bytes(),
            b"\r\nx-forwarded-proto: http\r\nx-forwarded-port: ",
            digits.of(origin.port.into()),
            b"\r\n",
        ],
    );
    match length {
        Length::Known(bytes) => put(out, &[b"content-length: ", digits.of(bytes), b"\r\n"]),
        Length::Chunked => out.put_slice(b"transfer-encoding: chunked\r\n"),
        // Some servers answer 411 to a POST that says nothing of its length (RFC 9110, 8.6: a sender should say 0).
        Length::None if matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) => {
            out.put_slice(b"content-length: 0\r\n")
        }
        Length::None => {}
    }
    if let Some(protocol) = upgrade {
        put(out, &[b"connection: upgrade\r\nupgrade: ", protocol.as_bytes(), b"\r\n"]);
    }
    out.put_slice(b"\r\n");
    Ok(())
}

/// The host goes first, as RFC 9110 (7.2) asks of a client. The target URI's authority, where there is one, outranks the field.
fn write_host(out: &mut BytesMut, parts: &request::Parts, origin: &Origin) -> Result<(), BadRequest> {
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(BadRequest::Host);
    }
    match (parts.uri.authority(), field) {
        (Some(authority), _) => {
            // A user name in the authority is nothing that a host field may carry.
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            put(out, &[b"host: ", host.as_bytes(), b"\r\n"]);
        }
        (None, Some(field)) => put(out, &[b"host: ", field.as_bytes(), b"\r\n"]),
        (None, None) if parts.version < Version::HTTP_11 => {
            put(out, &[b"host: ", origin.local.to_string().as_bytes(), b"\r\n"])
        }
        (None, None) => return Err(BadRequest::Host),
    }
    Ok(())
}

fn put(out: &mut BytesMut, pieces: &[&[u8]]) {
    for piece in pieces {
        out.put_slice(piece);
    }
}

/// Decimal digits without an allocation.
#[derive(Debug, Default)]
pub(crate) struct Digits([u8; 20]);

impl Digits {
    pub(crate) fn of(&mut self, mut number: u64) -> &[u8] {
        let mut at = self.0.len();
        loop {
            at -= 1;
            self.0[at] = b'0' + u8::try_from(number % 10).unwrap_or_default();
            number /= 10;
            if number == 0 {
                return &self.0[at..];
            }
        }
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

fn is_forwarded(name: &HeaderName) -> bool {
    *name == X_FORWARDED_FOR || *name == X_FORWARDED_PROTO || *name == X_FORWARDED_PORT
}

/// Fields that speak of one connection only (RFC 9110, 7.6.1), and the leftovers of an HTTP/2 upgrade that we do not take.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::TE
        || *name == header::UPGRADE
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
        || *name == HTTP2_SETTINGS
}

/// The fields that `Connection` says are hop-by-hop too, in lower case. What we write ourselves cannot be named away.
fn connection_options(headers: &HeaderMap) -> Vec<&str> {
    if !headers.contains_key(header::CONNECTION) {
        return Vec::new();
    }
    tokens(headers, header::CONNECTION).filter(|token| !token.is_empty()).collect()
}

/// The comma-separated tokens of all lines of a field.
pub(crate) fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// A response's head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// As received, hop-by-hop fields left out.
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    /// Whether the target keeps the connection open after this response.
    pub(crate) keep_alive: bool,
    /// What it switches to, with status 101.
    pub(crate) upgrade: Option<HeaderValue>,
}

/// Where a response body ends (RFC 9112, 6.3), before the request method is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After this many bytes.
    Length(u64),
    /// As its chunks say.
    Chunked,
    /// With the connection.
    Close,
}

/// Takes one response head off `read`; `None` until it is complete.
pub(crate) fn read_response(read: &mut BytesMut) -> Result<Option<Head>, ExchangeError> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    let length = match parsed.parse(read) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if read.len() > MOST_HEAD => {
            return Err(ExchangeError::Invalid("its head is too long"));
        }
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(ExchangeError::Invalid("its head is not HTTP/1")),
    };
    let invalid = ExchangeError::Invalid("its head is not HTTP/1");
    let (Some(code), Some(minor)) = (parsed.code, parsed.version) else { return Err(invalid) };
    let status = StatusCode::from_u16(code).map_err(|_| invalid)?;
    let start = read.as_ptr() as usize;
    let place = |text: &[u8]| {
        // An empty value may point anywhere.
        let from = if text.is_empty() { 0 } else { text.as_ptr() as usize - start };
        from..from + text.len()
    };
    // Only places are kept, so that the buffer can be cut and the values be slices of it instead of copies.
    let mut places = [const { (0..0, 0..0) }; MOST_FIELDS];
    let count = parsed.headers.len();
    for (slot, field) in places.iter_mut().zip(parsed.headers.iter()) {
        *slot = (place(field.name.as_bytes()), place(field.value));
    }
    let bytes = read.split_to(length).freeze();
    let mut builder = Builder {
        headers: HeaderMap::with_capacity(count),
        length: None,
        chunked: None,
        keep_alive: minor == 1,
        named: Vec::new(),
        upgrade: None,
    };
    for (name, value) in places.into_iter().take(count) {
        let name =
            HeaderName::from_bytes(&bytes[name]).map_err(|_| ExchangeError::Invalid("a field name is malformed"))?;
        builder.field(name, bytes.slice(value))?;
    }
    builder.build(status).map(Some)
}

struct Builder {
    headers: HeaderMap,
    length: Option<u64>,
    /// Whether there is a transfer coding, and the last one is `chunked`.
    chunked: Option<bool>,
    keep_alive: bool,
    named: Vec<HeaderName>,
    upgrade: Option<HeaderValue>,
}

impl Builder {
    fn field(&mut self, name: HeaderName, value: Bytes) -> Result<(), ExchangeError> {
        if name == header::CONTENT_LENGTH {
            let length = parse_length(&value).ok_or(ExchangeError::Invalid("its content-length is malformed"))?;
            if self.length.is_some_and(|earlier| earlier != length) {
                return Err(ExchangeError::Invalid("it has two content-lengths"));
            }
            if self.length.replace(length).is_some() {
                return Ok(());
            }
        } else if name == header::TRANSFER_ENCODING {
            let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
            self.chunked = Some(last.eq_ignore_ascii_case(b"chunked"));
        } else if name == header::CONNECTION {
            self.connection(&value);
        }
        if name == header::UPGRADE {
            self.upgrade = Some(field_value(value)?);
        } else if !is_hop_by_hop(&name) {
            self.headers.append(name, field_value(value)?);
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                self.keep_alive = false;
            } else if let Ok(name) = HeaderName::from_bytes(token)
                && !is_hop_by_hop(&name)
                && name != header::CONTENT_LENGTH
            {
                self.named.push(name);
            }
        }
    }

    fn build(mut self, status: StatusCode) -> Result<Head, ExchangeError> {
        for name in &self.named {
            self.headers.remove(name);
        }
        let framing = match (self.chunked, self.length) {
            (Some(chunked), length) => {
                // Both is how responses are smuggled; the coding wins, and the connection is not used again (RFC 9112, 6.3).
                self.keep_alive &= length.is_none() && chunked;
                self.headers.remove(header::CONTENT_LENGTH);
                if chunked { Framing::Chunked } else { Framing::Close }
            }
            (None, Some(length)) => Framing::Length(length),
            (None, None) => Framing::Close,
        };
        Ok(Head { status, headers: self.headers, framing, keep_alive: self.keep_alive, upgrade: self.upgrade })
    }
}

fn field_value(value: Bytes) -> Result<HeaderValue, ExchangeError> {
    HeaderValue::from_maybe_shared(value).map_err(|_| ExchangeError::Invalid("a field value is malformed"))
}

fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok()?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
