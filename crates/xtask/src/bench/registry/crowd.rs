//! How much memory the server takes while a thousand clients push or pull at once, of ours alone.

use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::client::{Body, Client};
use super::super::guestbook::run as run_command;
use super::super::instance::{Engine, Instance};
use super::super::machine::mib;

/// How many there are.
const CLIENTS: usize = 1000;

/// Where: the script's section `catalog` has made it.
const REPOSITORY: &str = "bench/catalog-seed";

/// How much each of them brings or takes.
const BYTES: usize = 1 << 20;

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
        let client = Client::of(instance)?;
        let blob = format!("/v2/{REPOSITORY}/blobs/uploads/?digest=sha256:{digest}");
        client.ask("POST", &blob, Body::Whole(&[b'x'; BYTES]))?.expect(201)?;
        let failed = at_once(|| {
            if is_push {
                // A chunk is written and hashed, and stays what it is: no digest has to be known for it.
                client.ask("PATCH", &client.begin(REPOSITORY)?, Body::Whole(&[b'y'; BYTES]))?.expect(202)?;
            } else {
                let blob = format!("/v2/{REPOSITORY}/blobs/sha256:{digest}");
                let answer = client.ask("GET", &blob, Body::Whole(b""))?.expect(200)?;
                ensure!(answer.bytes().len() > BYTES, "a blob does not come");
            }
            Ok(())
        })?;
        figures[name] = json!(mib(instance.pid()?, "status", "VmHWM:")?);
        figures["errors"] = json!(figures["errors"].as_u64().unwrap_or(0) + failed);
        instance.stop()?;
    }
    Ok(figures)
}

/// Lets each of them do it, all at the same moment; answers how many could not.
fn at_once(act: impl Fn() -> Result<()> + Sync) -> Result<u64> {
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
