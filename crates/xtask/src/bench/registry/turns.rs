//! Pushes of a big blob in one request, in chunks and as one stream, of ours alone, in turns: the disk of a machine may change by a
//! factor of five within minutes, so that three figures that were taken one after the other say nothing about each other.

use std::fs::File;
use std::io::Read as _;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::super::client::{Body, Client};
use super::super::guestbook::run as run_command;
use super::super::instance::{Engine, Instance};
use super::super::stats::paired;

/// Where to: the script's section `catalog` has made it.
const REPOSITORY: &str = "bench/catalog-seed";

/// How much a blob has, as those of the script.
const MIB: usize = 512;

/// How much a chunk has, as those of the script.
const CHUNK: usize = 16 << 20;

/// How often each has its turn, at another place in the row each time.
const ROUNDS: usize = 9;

/// How a blob is pushed.
#[derive(Clone, Copy)]
enum Way {
    Once,
    Chunks,
    Stream,
}

const WAYS: [(Way, &str); 3] =
    [(Way::Once, "monolithic_mib_s"), (Way::Chunks, "chunked_mib_s"), (Way::Stream, "streamed_mib_s")];

/// Measures, and stops the instance again.
pub(super) fn measure(instance: &mut Instance, is_quick: bool) -> Result<Value> {
    instance.start(Engine::Fake)?;
    let (client, content) = (Client::of(instance)?, instance.dir.join("turns.blob"));
    let mut blob = vec![0; if is_quick { MIB / 8 } else { MIB } << 20];
    File::open("/dev/urandom")?.read_exact(&mut blob)?;
    let mut rates = [const { Vec::new() }; WAYS.len()];
    for turn in 0..if is_quick { 1 } else { ROUNDS } * WAYS.len() {
        let round = turn / WAYS.len();
        let at = (turn + round) % WAYS.len();
        // No blob twice.
        blob[..8].copy_from_slice(&turn.to_le_bytes());
        std::fs::write(&content, &blob)?;
        let said = run_command(Command::new("sha256sum").arg(&content))?;
        let digest = said.split_whitespace().next().context("sha256sum says a digest")?;
        std::fs::remove_file(&content)?;
        run_command(&mut Command::new("sync"))?;
        let begun = Instant::now();
        push(&client, WAYS[at].0, &blob, digest)?;
        rates[at].push((blob.len() >> 20) as f64 / begun.elapsed().as_secs_f64());
    }
    instance.stop()?;
    let first = &rates[0];
    Ok(WAYS.iter().zip(&rates).map(|((_, name), rates)| ((*name).to_owned(), json!(paired(rates, first)))).collect())
}

fn push(client: &Client, way: Way, blob: &[u8], digest: &str) -> Result<()> {
    let mut place = client.begin(REPOSITORY)?;
    let parts = match way {
        Way::Once => vec![],
        Way::Chunks => blob.chunks(CHUNK).map(Body::Whole).collect(),
        Way::Stream => vec![Body::Stream(blob)],
    };
    let rest = if parts.is_empty() { Body::Whole(blob) } else { Body::Whole(b"") };
    // Clients keep their connection.
    let mut line = client.connect()?;
    for part in parts {
        place = client.ask_on(&mut line, "PATCH", &place, part)?.expect(202)?.location()?;
    }
    let joined = if place.contains('?') { '&' } else { '?' };
    client.ask_on(&mut line, "PUT", &format!("{place}{joined}digest=sha256:{digest}"), rest)?.expect(201)?;
    Ok(())
}
