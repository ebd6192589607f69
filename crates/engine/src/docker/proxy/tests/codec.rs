//! What targets may send, and what not.

use bytes::BytesMut;

use crate::docker::proxy::upstream::ExchangeError;
use crate::docker::proxy::upstream::body::Decoder;
use crate::docker::proxy::upstream::head::{Digits, Framing, read_response};

#[test]
fn a_head_is_read_only_when_it_is_whole() {
    let text =
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nX-Empty:\r\n\r\nabc";
    for cut in 0..text.len() - 4 {
        assert!(read_response(&mut BytesMut::from(&text[..cut])).unwrap().is_none(), "{cut}");
    }
    let mut read = BytesMut::from(text);
    let head = read_response(&mut read).unwrap().unwrap();
    assert_eq!((head.status.as_u16(), head.framing, head.keep_alive), (200, Framing::Length(3), true));
    assert_eq!(head.headers.len(), 2, "{:?}", head.headers);
    assert_eq!(&read[..], b"abc");
}

#[test]
fn where_a_body_ends_follows_the_rules() {
    let framing = |fields: &str| {
        let mut read = BytesMut::from(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_str());
        read_response(&mut read).map(|head| head.map(|head| (head.framing, head.keep_alive)))
    };
    assert_eq!(framing("").unwrap(), Some((Framing::Close, true)));
    assert_eq!(framing("transfer-encoding: gzip, chunked\r\n").unwrap(), Some((Framing::Chunked, true)));
    assert_eq!(framing("transfer-encoding: gzip\r\n").unwrap(), Some((Framing::Close, false)));
    assert_eq!(
        framing("content-length: 5\r\ntransfer-encoding: chunked\r\n").unwrap(),
        Some((Framing::Chunked, false))
    );
    assert_eq!(
        framing("content-length: 5\r\ncontent-length: 5\r\nconnection: close\r\n").unwrap(),
        Some((Framing::Length(5), false))
    );
    for wrong in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "content-length: +5\r\n",
        "content-length:\r\n",
        "content-length: 5, 5\r\n",
        "bad name: x\r\n",
    ] {
        assert!(matches!(framing(wrong), Err(ExchangeError::Invalid(_))), "{wrong}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(70_000));
    assert!(read_response(&mut BytesMut::from(endless.as_str())).is_err());
}

/// Feeds a decoder in pieces of every size; the data, and what is left behind its end.
fn decode(text: &str, step: usize) -> Result<(String, String), ExchangeError> {
    let (mut decoder, mut read, mut data) = (Decoder::chunked(), BytesMut::new(), Vec::new());
    for piece in text.as_bytes().chunks(step) {
        read.extend_from_slice(piece);
        while let Some(bytes) = decoder.decode(&mut read)? {
            data.extend_from_slice(&bytes);
        }
    }
    assert!(decoder.is_done());
    Ok((String::from_utf8(data).unwrap(), String::from_utf8(read.to_vec()).unwrap()))
}

#[test]
fn chunks_are_joined_however_they_arrive() {
    let text = "5\r\nhello\r\n0A;name=\"v\"\r\n, world\r\n!\r\n000\r\nTrailer: x\r\n\r\n";
    for step in 1..text.len() {
        assert_eq!(decode(text, step).unwrap(), ("hello, world\r\n!".to_owned(), String::new()), "step {step}");
    }
    assert_eq!(decode("0\r\n\r\nnext", 100).unwrap(), (String::new(), "next".to_owned()));
}

#[test]
fn malformed_chunks_are_refused() {
    let long = format!("5;{}\r\n", "x".repeat(2000));
    let trailers = format!("0\r\n{}", "a: b\r\n".repeat(5000));
    for wrong in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "+5\r\nhello\r\n",
        "5\nhello\r\n",
        "11111111111111111\r\n",
        "3\r\nabcd\r\n",
        &long,
        &trailers,
    ] {
        assert!(matches!(decode(wrong, wrong.len()), Err(ExchangeError::Invalid(_))), "{wrong:?}");
    }
}

#[test]
fn digits_are_the_number() {
    for number in [0, 7, 10, 4096, u64::MAX] {
        assert_eq!(Digits::default().of(number), number.to_string().as_bytes());
    }
}
