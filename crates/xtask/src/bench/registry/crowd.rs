//! How much memory the server takes while a thousand clients push or pull at once, of ours alone.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::guestbook::run as run_command;
use super::super::instance::{Engine, Instance};
use super::super::rows::idle::mib;

/// How many there are.
const CLIENTS: usize = 1000;

/// Where: the script's section `catalog` has made it.
const REPOSITORY: &str = "bench/catalog-seed";

/// How much each of them brings or takes.
const BYTES: usize = 1 << 20;

/// Whoever is told nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures, and stops the instance again.
pub(super) fn measure(instance: &mut Instance) -> Result<Value> {
    let mut figures = json!({ "clients": CLIENTS, "errors": 0 });
    for (name, is_push) in [("pulls_peak_mib", false), ("pushes_peak_mib", true)] {
        // A process that has just started: what another load has left behind is not this one's.
        instance.start(Engine::Fake)?;
        let digest = instance.dir.join("crowd.blob");
        std::fs::write(&digest, vec![b'x'; BYTES])?;
        let said = run_command(Command::new("sha256sum").arg(&digest))?;
        let digest = said.split_whitespace().next().context("sha256sum says a digest")?.to_owned();
        let crowd = Crowd { address: instance.address, token: instance.token()? };
        let blob = format!("/v2/{REPOSITORY}/blobs/uploads/?digest=sha256:{digest}");
        ensure!(crowd.ask("POST", &blob, &[b'x'; BYTES])?.starts_with(b"HTTP/1.1 201"), "the blob is not taken");
        let failed = crowd.at_once(|| {
            if is_push {
                // A chunk is written and hashed, and stays what it is: no digest has to be known for it.
                let begun = crowd.ask("POST", &format!("/v2/{REPOSITORY}/blobs/uploads/"), b"")?;
                let begun = String::from_utf8_lossy(&begun).into_owned();
                let line = begun.lines().find_map(|line| line.strip_prefix("location: "));
                let answer = crowd.ask("PATCH", line.context("an upload has an address")?.trim(), &[b'y'; BYTES])?;
                ensure!(answer.starts_with(b"HTTP/1.1 202"), "a chunk is not taken");
            } else {
                let answer = crowd.ask("GET", &format!("/v2/{REPOSITORY}/blobs/sha256:{digest}"), b"")?;
                ensure!(answer.starts_with(b"HTTP/1.1 200") && answer.len() > BYTES, "a blob does not come");
            }
            Ok(())
        })?;
        figures[name] = json!(mib(instance.pid()?, "status", "VmHWM:")?);
        figures["errors"] = json!(figures["errors"].as_u64().unwrap_or(0) + failed);
        instance.stop()?;
    }
    Ok(figures)
}

struct Crowd {
    address: SocketAddr,
    token: String,
}

impl Crowd {
    /// Lets each of them do it, all at the same moment; answers how many could not.
    fn at_once(&self, act: impl Fn() -> Result<()> + Sync) -> Result<u64> {
        let (barrier, failed) = (Barrier::new(CLIENTS), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let (barrier, failed, act) = (&barrier, &failed, &act);
                thread::Builder::new().stack_size(256 << 10).spawn_scoped(scope, move || {
                    barrier.wait();
                    if act().is_err() {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                })?;
            }
            Ok::<_, std::io::Error>(())
        })?;
        Ok(failed.load(Ordering::Relaxed))
    }

    /// Asks over a connection of its own; gives the answer as it came.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (host, token, length) = (self.address, &self.token, body.len());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {token}\r\nContent-Length: {length}\r\n\
             Content-Type: application/octet-stream\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    }
}
