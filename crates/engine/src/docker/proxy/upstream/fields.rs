//! What changes in a head on its way through: hop-by-hop fields go, who asked is added.

use std::net::SocketAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Version, request, response};

use crate::docker::proxy::config::Forwarded;

/// What a request says of the client and the listener it came through.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The client's address.
    pub(crate) peer: HeaderValue,
    /// The port that the client connected to.
    pub(crate) port: HeaderValue,
    /// The address that the client connected to, for the host of a client that names none (HTTP/1.0).
    pub(crate) local: SocketAddr,
    /// Whether the client is a proxy that is believed.
    pub(crate) forwarded: Forwarded,
}

/// How long a request body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// There is none.
    None,
    /// As the body itself knows.
    Known,
    /// Unknown: sent in chunks.
    Chunked,
}

/// A request that cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadRequest {
    /// HTTP/1.1 wants exactly one `Host` (RFC 9112, 3.2).
    Host,
}

/// Makes one field of several with cookies, into which HTTP/2 may divide them (RFC 9113, 8.2.3).
fn cookies_join(headers: &mut HeaderMap) {
    let all: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if all.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}

/// Makes a client's request head one for a target: end-to-end fields stay, hop-by-hop fields go, who asked is added.
/// What is said of the body is said from `length` alone, whatever the client's fields say, so that both ends agree where it ends.
pub(crate) fn request(
    parts: &mut request::Parts,
    origin: &Origin,
    length: Length,
    upgrade: Option<HeaderValue>,
) -> Result<(), BadRequest> {
    let host = host(parts, origin)?;
    let forwarded_for = forwarded_for(&parts.headers, &origin.peer);
    // Trailers are asked for hop by hop (RFC 9110, 10.1.4); we pass them on.
    let trailers = tokens(&parts.headers, header::TE).any(|token| token.eq_ignore_ascii_case("trailers"));
    let headers = &mut parts.headers;
    strip(headers);
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::EXPECT);
    cookies_join(headers);
    // What we write ourselves comes last, so that `Connection` cannot name it away.
    headers.insert(header::HOST, host);
    headers.insert(X_FORWARDED_FOR, forwarded_for);
    for (name, ours) in [(X_FORWARDED_PROTO, HeaderValue::from_static("http")), (X_FORWARDED_PORT, origin.port.clone())]
    {
        if origin.forwarded == Forwarded::Written || !headers.contains_key(&name) {
            headers.insert(name, ours);
        }
    }
    match length {
        Length::Known => {}
        Length::Chunked => {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        // Some servers answer 411 to a POST that says nothing of its length (RFC 9110, 8.6: a sender should say 0).
        Length::None if matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Length::None => {}
    }
    if let Some(protocol) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, protocol);
    } else if trailers {
        headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    let path = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    Ok(())
}

/// The target URI's authority, where there is one, outranks the field (RFC 9112, 3.2.2).
fn host(parts: &request::Parts, origin: &Origin) -> Result<HeaderValue, BadRequest> {
    let mut fields = parts.headers.get_all(header::HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(BadRequest::Host);
    }
    match (parts.uri.authority(), field) {
        (Some(authority), _) => {
            // A user name in the authority is nothing that a host field may carry.
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            HeaderValue::from_str(host).map_err(|_| BadRequest::Host)
        }
        (None, Some(field)) => Ok(field.clone()),
        (None, None) if parts.version < Version::HTTP_11 => {
            HeaderValue::try_from(origin.local.to_string()).map_err(|_| BadRequest::Host)
        }
        (None, None) => Err(BadRequest::Host),
    }
}

/// Who asked before, if anybody says so, and who asks now.
fn forwarded_for(headers: &HeaderMap, peer: &HeaderValue) -> HeaderValue {
    if !headers.contains_key(X_FORWARDED_FOR) {
        return peer.clone();
    }
    let mut all: Vec<&[u8]> = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
    all.push(peer.as_bytes());
    HeaderValue::from_maybe_shared(bytes::Bytes::from(all.join(&b", "[..])))
        .expect("field values that are joined by a comma are a field value")
}

/// Whether an answer says twice where it ends. The coding wins, but so may answers be smuggled: the connection is not to be used again
/// (RFC 9112, 6.3).
pub(crate) fn is_ambiguous(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING) && headers.contains_key(header::CONTENT_LENGTH)
}

/// Makes a target's answer head one for the client.
pub(crate) fn response(parts: &mut response::Parts, method: &Method) {
    let headers = &mut parts.headers;
    strip(headers);
    // The body tells its length itself. Only an answer to HEAD announces one that does not come, and only once.
    match headers.remove(header::CONTENT_LENGTH) {
        Some(length) if *method == Method::HEAD && is_number(&length) => {
            headers.insert(header::CONTENT_LENGTH, length);
        }
        _ => {}
    }
    parts.version = Version::HTTP_11;
}

fn is_number(value: &HeaderValue) -> bool {
    !value.is_empty() && value.as_bytes().iter().all(u8::is_ascii_digit)
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Fields that speak of one connection only (RFC 9110, 7.6.1), and the leftovers of an HTTP/2 upgrade that we do not take.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::TE,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
];

/// Removes hop-by-hop fields, those that `Connection` names included.
fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = tokens(headers, header::CONNECTION)
            .filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
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
