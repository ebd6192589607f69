//! Several requests as text, so that a person can write and read an input, and a fuzzer that knows nothing of digests can
//! still name content:
//!
//! ```text
//! PATCH /v2/team/app/blobs/uploads/$ID pieces
//! content-range: 0-4
//!
//! hello
//! ----
//! PUT /v2/team/app/blobs/uploads/$ID?digest=$BODY
//! ```
//! Any bytes are a script; what is no request in it is left out.

use http::{HeaderName, HeaderValue, Method, Uri};

/// Between two requests.
const SEPARATOR: &[u8] = b"\n----\n";
/// No more are made of one script: each costs a millisecond.
const REQUESTS_MAX: usize = 12;

/// How a request's body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// With its length, all at once.
    Whole,
    /// Without a length, in pieces.
    Pieces,
    /// With its length, of which the second half never comes.
    Broken,
}

/// One request of a script, its words not yet replaced.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) method: Method,
    pub(super) path: &'a [u8],
    pub(super) delivery: Delivery,
    pub(super) headers: Vec<(HeaderName, &'a [u8])>,
    pub(super) body: &'a [u8],
}

/// The requests of a script.
pub(super) fn requests(script: &[u8]) -> Vec<Line<'_>> {
    split(script, SEPARATOR).take(REQUESTS_MAX).filter_map(request).collect()
}

fn request(text: &[u8]) -> Option<Line<'_>> {
    let (head, body) = split_once(text, b"\n\n").unwrap_or((text, b""));
    let mut lines = split(head, b"\n");
    let mut words = lines.next()?.splitn(3, |byte| *byte == b' ');
    let method = Method::from_bytes(words.next()?).ok()?;
    let path = words.next()?;
    let delivery = match words.next() {
        Some(b"pieces") => Delivery::Pieces,
        Some(b"broken") => Delivery::Broken,
        _ => Delivery::Whole,
    };
    let headers = lines
        .filter_map(|line| split_once(line, b": "))
        .filter_map(|(name, value)| Some((HeaderName::from_bytes(name).ok()?, value)))
        .collect();
    Some(Line { method, path, delivery, headers, body })
}

/// Puts values in the place of words. One pass: a value is not looked at again.
pub(super) fn fill(text: &[u8], words: &[(&str, String)]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let word = words.iter().find_map(|(word, value)| Some((rest.strip_prefix(word.as_bytes())?, value)));
        match word {
            Some((tail, value)) => {
                filled.extend_from_slice(value.as_bytes());
                rest = tail;
            }
            None => {
                filled.push(*first);
                rest = tail;
            }
        }
    }
    filled
}

pub(super) fn uri(path: &[u8]) -> Option<Uri> {
    let uri = Uri::try_from(path).ok()?;
    // All others are another router's.
    (uri.path() == "/v2" || uri.path().starts_with("/v2/")).then_some(uri)
}

pub(super) fn value(bytes: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(bytes).ok()
}

fn split_once<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start = text.windows(at.len()).position(|window| window == at)?;
    Some((&text[..start], &text[start + at.len()..]))
}

fn split<'a>(text: &'a [u8], at: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        match split_once(text, at) {
            Some((part, tail)) => {
                rest = Some(tail);
                Some(part)
            }
            None => rest.take(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_as_it_is_documented() {
        let script = b"PATCH /v2/a/b/$ID pieces\ncontent-range: 0-4\n\nhello\n\nworld\n----\n\x00\n----\nGET /v2/";
        let requests = requests(script);
        assert_eq!(requests.len(), 2);
        assert_eq!((&requests[0].method, requests[0].path), (&Method::PATCH, &b"/v2/a/b/$ID"[..]));
        assert_eq!((requests[0].delivery, requests[0].body), (Delivery::Pieces, &b"hello\n\nworld"[..]));
        assert_eq!(requests[0].headers, [(HeaderName::from_static("content-range"), &b"0-4"[..])]);
        assert_eq!((requests[1].path, requests[1].body), (&b"/v2/"[..], &b""[..]));
    }

    #[test]
    fn words_are_replaced_once() {
        let words = [("$A", "$B".to_owned()), ("$B", "x".to_owned())];
        assert_eq!(fill(b"1$A2$B3$", &words), b"1$B2x3$");
    }
}
