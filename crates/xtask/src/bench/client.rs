//! Requests of the bench's own clients, by the distribution specification's routes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::instance::Instance;

/// Whoever is told nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// How much of a body is sent at once when its length is not told.
const PIECE: usize = 1 << 20;

const PAGE: usize = 4096;

/// What is sent behind a head.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    /// With its length.
    Whole(&'a [u8]),
    /// The same, of this media type.
    Manifest(&'a str, &'a [u8]),
    /// Piece by piece, and its length is not told (RFC 9112, section 7.1).
    Stream(&'a [u8]),
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    Close,
    Stay,
}

/// What a server said.
pub(crate) struct Answer(Vec<u8>);

impl Answer {
    /// All that came, head and body.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Without its head.
    pub(crate) fn body(&self) -> Result<&[u8]> {
        let head = self.0.windows(4).position(|four| four == b"\r\n\r\n").context("a head has an end")?;
        Ok(&self.0[head + 4..])
    }

    /// Refuses every other status.
    pub(crate) fn expect(self, status: u16) -> Result<Self> {
        let first =
            String::from_utf8_lossy(self.0.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
        ensure!(first.starts_with(&format!("HTTP/1.1 {status} ")), "{status} was expected, and this came: {first}");
        Ok(self)
    }

    /// Where it says that one goes on.
    pub(crate) fn location(&self) -> Result<String> {
        let text = String::from_utf8_lossy(&self.0);
        let line = text.lines().find_map(|line| line.strip_prefix("location: "));
        Ok(line.context("an upload has an address")?.trim().to_owned())
    }
}

/// Somebody who may do everything.
pub(crate) struct Client {
    address: SocketAddr,
    token: String,
}

impl Client {
    pub(crate) fn of(instance: &Instance) -> Result<Self> {
        Ok(Self::new(instance.address, instance.token()?))
    }

    /// `token` is what stands behind `Basic `.
    pub(crate) fn new(address: SocketAddr, token: String) -> Self {
        Self { address, token }
    }

    /// The same, who asks somebody else.
    pub(crate) fn elsewhere(&self, address: SocketAddr) -> Self {
        Self { address, token: self.token.clone() }
    }

    /// Asks over a connection of its own, and reads the answer to its end.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Body) -> Result<Answer> {
        let mut answer = Vec::new();
        let mut stream = self.connect()?;
        self.send(&mut stream, method, path, body, Afterwards::Close)?;
        stream.read_to_end(&mut answer)?;
        Ok(Answer(answer))
    }

    /// Asks for something large and keeps none of it; answers how many bytes came, with the head.
    pub(crate) fn drain(&self, path: &str) -> Result<usize> {
        let mut stream = self.connect()?;
        self.send(&mut stream, "GET", path, Body::Whole(b""), Afterwards::Close)?;
        let (mut room, mut came) = (vec![0; PIECE + PAGE], 0);
        // Some processors copy many times slower to memory that begins a few bytes into a page, as large pieces from the allocator do.
        let begin = room.as_ptr().align_offset(PAGE).min(PAGE);
        loop {
            match stream.read(&mut room[begin..][..PIECE])? {
                0 => return Ok(came),
                read => came += read,
            }
        }
    }

    /// A connection, for [`Client::ask_on`].
    pub(crate) fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    /// Asks over a connection that stays, for what is answered without a body.
    pub(crate) fn ask_on(&self, stream: &mut TcpStream, method: &str, path: &str, body: Body) -> Result<Answer> {
        self.send(stream, method, path, body, Afterwards::Stay)?;
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut piece)?;
            ensure!(read > 0, "the connection ended before its answer");
            answer.extend_from_slice(&piece[..read]);
        }
        Ok(Answer(answer))
    }

    fn send(&self, stream: &mut TcpStream, method: &str, path: &str, body: Body, then: Afterwards) -> Result<()> {
        let (host, token) = (self.address, &self.token);
        let length = match body {
            Body::Whole(bytes) | Body::Manifest(_, bytes) => format!("Content-Length: {}", bytes.len()),
            Body::Stream(_) => "Transfer-Encoding: chunked".to_owned(),
        };
        let media_type = if let Body::Manifest(media_type, _) = body { media_type } else { "application/octet-stream" };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {token}\r\n{length}\r\n\
             Content-Type: {media_type}\r\nConnection: {}\r\n\r\n",
            if then == Afterwards::Close { "close" } else { "keep-alive" }
        );
        stream.write_all(head.as_bytes())?;
        match body {
            Body::Whole(bytes) | Body::Manifest(_, bytes) => stream.write_all(bytes)?,
            Body::Stream(bytes) => {
                for piece in bytes.chunks(PIECE) {
                    stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
                    stream.write_all(piece)?;
                    stream.write_all(b"\r\n")?;
                }
                stream.write_all(b"0\r\n\r\n")?;
            }
        }
        Ok(())
    }

    /// Begins an upload; answers where it goes on.
    pub(crate) fn begin(&self, repository: &str) -> Result<String> {
        self.ask("POST", &format!("/v2/{repository}/blobs/uploads/"), Body::Whole(b""))?.expect(202)?.location()
    }
}
