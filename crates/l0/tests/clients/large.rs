//! A blob of 10 GiB goes in and out through a server whose memory stays small. Nobody keeps it but the server, on disk.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::common::instance::Instance;
use crate::layout::hex;
use crate::place::noise;

const SIZE: u64 = 10 << 30;
const PIECE: usize = 1 << 20;

/// How much memory the server may ever have had, in KiB: its program, a few batches a request, and nothing of the blob.
const PEAK_MAX_KIB: u64 = 64 << 10;

/// How much of it may be the blob's, in KiB. What is there before is mostly the program's code, of which a debug build has much.
const ADDED_MAX_KIB: u64 = 20 << 10;

/// How long the server may take for a step: the last one waits for the disk.
const LIMIT: Duration = Duration::from_secs(180);

/// The blob's pieces: noise, with the piece's number at its beginning, so that no two are equal.
struct Pieces {
    piece: Vec<u8>,
}

impl Pieces {
    fn new() -> Self {
        Self { piece: noise(3, PIECE) }
    }

    fn number(&mut self, number: u64) -> &[u8] {
        self.piece[..8].copy_from_slice(&number.to_le_bytes());
        &self.piece
    }
}

/// An answer of which the body is still to be read.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: BufReader<TcpStream>,
}

impl Answer {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}", self.headers);
        self
    }

    #[track_caller]
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
    }

    fn bytes(mut self) -> Vec<u8> {
        let length = self.header("content-length").parse().expect("a number");
        let mut bytes = vec![0; length];
        self.body.read_exact(&mut bytes).expect("the whole body");
        bytes
    }
}

/// Sends a request over a connection of its own, with a body that is made as it goes out.
fn ask(
    instance: &Instance,
    method: &str,
    path: &str,
    more: &str,
    body: impl FnOnce(&mut TcpStream) -> std::io::Result<()>,
) -> Answer {
    let mut stream = TcpStream::connect(instance.address()).expect("the server takes connections");
    stream.set_read_timeout(Some(LIMIT)).and_then(|()| stream.set_write_timeout(Some(LIMIT))).expect("a limit above 0");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Basic {}\r\n{more}\r\n",
        instance.address(),
        instance.credential()
    );
    stream.write_all(head.as_bytes()).and_then(|()| body(&mut stream)).expect("the server takes it all");
    let mut body = BufReader::with_capacity(PIECE, stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        body.read_line(&mut line).expect("an answer in time");
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines.first().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status line");
    let headers =
        lines.iter().filter_map(|line| line.split_once(": ")).map(|(key, value)| (key.to_owned(), value.to_owned()));
    Answer { status, headers: headers.collect(), body }
}

fn nothing(_: &mut TcpStream) -> std::io::Result<()> {
    Ok(())
}

/// The most memory that a process has had, in KiB.
fn peak_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
#[expect(clippy::print_stderr, reason = "the figures are worth reading in a log")]
fn a_blob_of_10_gib_passes_through_little_memory() {
    // Beside the build, since the directory for temporary files may be memory.
    let data = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory of our own");
    let mut instance =
        Instance::prepared(&["--engine", "fake", "--registry-challenge", "basic"]).with_data(data.path());
    instance.server_start();
    instance.l0(&["repository", "create", "demo/app"]).ok();
    let idle = peak_kib(instance.server_id());

    let since = Instant::now();
    let begun = ask(&instance, "POST", "/v2/demo/app/blobs/uploads/", "Content-Length: 0\r\n", nothing).expect(202);
    let upload = begun.header("location").to_owned();
    let (mut pieces, mut hash) = (Pieces::new(), Sha256::new());
    let pieces_count = SIZE / u64::try_from(PIECE).expect("it is small");
    ask(&instance, "PATCH", &upload, &format!("Content-Length: {SIZE}\r\n"), |stream| {
        (0..pieces_count).try_for_each(|number| {
            let piece = pieces.number(number);
            hash.update(piece);
            stream.write_all(piece)
        })
    })
    .expect(202);
    let digest = hex(&hash.finalize());
    ask(&instance, "PUT", &format!("{upload}?digest={digest}"), "Content-Length: 0\r\n", nothing).expect(201);
    let (pushed, push_peak) = (since.elapsed(), peak_kib(instance.server_id()));

    let since = Instant::now();
    let blob = format!("/v2/demo/app/blobs/{digest}");
    let head = ask(&instance, "HEAD", &blob, "", nothing).expect(200);
    assert_eq!(head.header("content-length"), SIZE.to_string());
    let mut whole = ask(&instance, "GET", &blob, "", nothing).expect(200);
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    for number in 0..pieces_count {
        whole.body.read_exact(&mut piece).unwrap_or_else(|why| panic!("piece {number}: {why}"));
        hash.update(&piece);
    }
    assert_eq!(hex(&hash.finalize()), digest);
    let pulled = since.elapsed();

    // Where 32 bits end, and at the end.
    for number in [4096, pieces_count - 1] {
        let first = number * u64::try_from(PIECE).expect("it is small");
        let range = format!("Range: bytes={first}-{}\r\n", first + 99);
        let part = ask(&instance, "GET", &blob, &range, nothing).expect(206);
        assert_eq!(part.header("content-range"), format!("bytes {first}-{}/{SIZE}", first + 99));
        assert_eq!(part.bytes(), pieces.number(number)[..100]);
    }

    let peak = peak_kib(instance.server_id());
    eprintln!(
        "10 GiB: pushed in {pushed:.1?}, pulled in {pulled:.1?}; the server's memory: {idle} KiB idle, {push_peak} KiB after the push, {peak} KiB at most"
    );
    assert!(peak <= PEAK_MAX_KIB, "the server had {peak} KiB of memory, {idle} before it saw the blob");
    assert!(peak - idle <= ADDED_MAX_KIB, "the blob took {} KiB of memory", peak - idle);
    ask(&instance, "DELETE", &blob, "", nothing).expect(202);
}
