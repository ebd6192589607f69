//! A blob that a mirror does not have yet, for many at once, in turns with nginx, which has as much as a file. The script asks for it with
//! clients that take longer than any server; these take little.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::client::Client;
use super::super::instance::{Engine, Instance};
use super::super::nginx::Nginx;
use super::super::stats::{in_parallel, median, pause};
use super::gets::{CONNECTIONS, FILES, MIB, digest_of, random};

/// Where the mirror has it.
const REPOSITORY: &str = "bench/mirrored";

/// As the script's: how large it is, and how much of it the upstream sends in a second.
const SIZE: usize = 32 * MIB;
const RATE: f64 = (64 * MIB) as f64;

/// How often each has its turn.
const ROUNDS: usize = 7;

/// How much the upstream sends at once.
const PIECE: usize = 256 << 10;

/// An upstream with a narrow link, which ends when it is dropped.
struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    /// What it has, by digest.
    blobs: Mutex<HashMap<String, Arc<Vec<u8>>>>,
    ends: AtomicBool,
}

impl Upstream {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (address, state) = (listener.local_addr()?, Arc::new(State::default()));
        let shared = Arc::clone(&state);
        let thread = thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if shared.ends.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&shared);
                // One that breaks off is seen by whoever waits for the blob.
                thread::spawn(move || drop(state.serve(&stream)));
            }
        });
        Ok(Self { address, state, thread: Some(thread) })
    }

    fn put(&self, digest: String, bytes: Vec<u8>) {
        self.state.blobs.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, Arc::new(bytes));
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.ends.store(true, Ordering::Relaxed);
        // It looks when somebody comes.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl State {
    /// Answers what a connection asks for, one after the other.
    fn serve(&self, stream: &TcpStream) -> Result<()> {
        let (mut lines, mut out) = (BufReader::new(stream), stream);
        loop {
            let mut first = String::new();
            if lines.read_line(&mut first)? == 0 {
                return Ok(());
            }
            let mut line = String::new();
            while lines.read_line(&mut line)? > 2 {
                line.clear();
            }
            let path = first.split(' ').nth(1).context("a request has a path")?;
            let digest = path.rsplit('/').next().unwrap_or_default();
            let blob = self.blobs.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
            let Some(blob) = blob else {
                out.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
                continue;
            };
            out.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", blob.len()).as_bytes())?;
            if first.starts_with("GET ") {
                sent_slowly(out, &blob)?;
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "some million")]
fn sent_slowly(mut out: &TcpStream, bytes: &[u8]) -> Result<()> {
    let begun = Instant::now();
    for (number, piece) in bytes.chunks(PIECE).enumerate() {
        let due = Duration::from_secs_f64((number * PIECE + piece.len()) as f64 / RATE);
        pause(due.saturating_sub(begun.elapsed()));
        out.write_all(piece)?;
    }
    Ok(())
}

/// Measures, and stops the instance again.
pub(super) fn measure(instance: &mut Instance, is_quick: bool) -> Result<Value> {
    let upstream = Upstream::start()?;
    let rule = format!("{REPOSITORY}=http://{}/{REPOSITORY}", upstream.address);
    instance.start_told(Engine::Fake, &[("LAYER0_REGISTRY_MIRRORS", &rule)])?;
    let measured = in_turns(instance, &upstream, if is_quick { 1 } else { ROUNDS })?;
    instance.stop()?;
    Ok(measured)
}

#[expect(clippy::cast_precision_loss, reason = "some million")]
fn in_turns(instance: &Instance, upstream: &Upstream, rounds: usize) -> Result<Value> {
    let home = instance.dir.join("mirrored");
    fs::create_dir_all(&home)?;
    let nginx = Nginx::start(&home.join("nginx"), |port| {
        format!("{FILES} server {{ listen 127.0.0.1:{port}; root {}; }}", home.display())
    })?;
    let ours = Client::of(instance)?;
    let theirs = ours.elsewhere(nginx.address);
    let (mut cold, mut filed) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Nobody has asked for this one yet.
        let name = format!("blob{round}");
        let file = home.join(&name);
        let bytes = random(&file, SIZE)?;
        let digest = digest_of(&file)?;
        upstream.put(digest.clone(), bytes);
        let turns =
            [(&ours, format!("/v2/{REPOSITORY}/blobs/{digest}"), &mut cold), (&theirs, format!("/{name}"), &mut filed)];
        for (client, path, seen) in turns {
            seen.push(for_all(client, &path)?);
        }
    }
    // Nobody can have it before the upstream has sent it, nor faster than this machine brings as much to as many.
    let ideal = SIZE as f64 / RATE;
    Ok(json!({ "cold_s": median(&cold), "limit_s": median(&filed).max(ideal) }))
}

/// How long it takes until all have it, in seconds.
fn for_all(client: &Client, path: &str) -> Result<f64> {
    let begun = Instant::now();
    in_parallel(CONNECTIONS as usize, CONNECTIONS as usize, |_| {
        ensure!(client.drain(path)? > SIZE, "a blob does not come");
        Ok(())
    })?;
    Ok(begun.elapsed().as_secs_f64())
}
