//! GETs and HEADs of ours and of nginx, which has the same bytes as files, in turns: a machine that is shared is another one half a minute later,
//! so that two figures which were taken one after the other say little about each other.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::slice;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use super::super::client::{Body, Client};
use super::super::guestbook::run as run_command;
use super::super::instance::{Engine, Instance};
use super::super::machine::TICKS_PER_SECOND;
use super::super::nginx::Nginx;
use super::super::rows::idle::cpu_ticks;
use super::super::stats::{median, paired};
use super::heads::Heads;
use super::wrk::{Load, Seen};

/// Where: the script's section `catalog` has made it, with this tag.
const REPOSITORY: &str = "bench/catalog-seed";
const TAG: &str = "seed";

/// How many blobs of one MiB there are, as those of the script.
const SMALL: usize = 64;
/// How much the big one has, in MiB, as that of the script.
const BIG: usize = 512;
pub(super) const MIB: usize = 1 << 20;

/// How often each has its turn, and for how long.
const ROUNDS: usize = 7;
const SECONDS: u32 = 3;

/// As the script's loads.
pub(super) const CONNECTIONS: u32 = 64;

/// What nginx is told beside where it listens: what the script's own is told.
pub(super) const FILES: &str = "sendfile on; tcp_nopush on; open_file_cache max=1000 inactive=60s;";

/// Who answers.
#[derive(Clone, Copy)]
enum Subject<'a> {
    Nginx(&'a Nginx),
    Ours(&'a Instance),
}

impl Subject<'_> {
    fn ticks(self) -> Result<u64> {
        match self {
            Self::Nginx(nginx) => nginx.ticks(),
            Self::Ours(instance) => cpu_ticks(instance.pid()?),
        }
    }
}

/// What loads have in common.
struct Loads<'a> {
    instance: &'a Instance,
    rounds: usize,
    seconds: u32,
    /// Of all loads.
    errors: u64,
}

impl Loads<'_> {
    /// Each subject with what is asked of it, by its name: so many rounds, in each of which another one has the first turn.
    fn run(
        &mut self,
        client: &mut dyn FnMut(&Load) -> Result<Seen>,
        subjects: &[(&str, Subject, &[String])],
    ) -> Result<Map<String, Value>> {
        let seconds = self.seconds;
        let mut turns: Vec<Turns> = subjects.iter().map(|_| Turns::default()).collect();
        for turn in 0..self.rounds * subjects.len() {
            let at = (turn + turn / subjects.len()) % subjects.len();
            let (_, subject, paths) = subjects[at];
            let address = match subject {
                Subject::Nginx(nginx) => nginx.address,
                Subject::Ours(instance) => instance.address,
            };
            let before = subject.ticks()?;
            let load = Load { address, credential: &self.instance.token()?, paths, connections: CONNECTIONS, seconds };
            let seen = client(&load)?;
            self.errors += seen.errors;
            turns[at].rates.push(seen.req_s);
            turns[at].seconds.push(seconds_of(subject.ticks()? - before) / (seen.req_s * f64::from(seconds)));
        }
        let first = &turns[0];
        let told = |(name, _, _): &(&str, Subject, &[String]), turns: &Turns| {
            let cpu_us = median(&turns.seconds) * 1e6;
            ((*name).to_owned(), json!({ "req_s": paired(&turns.rates, &first.rates), "cpu_us": cpu_us }))
        };
        Ok(subjects.iter().zip(&turns).map(|(subject, turns)| told(subject, turns)).collect())
    }
}

/// Rates of a subject, and the processor time of each request or blob.
#[derive(Default)]
struct Turns {
    rates: Vec<f64>,
    seconds: Vec<f64>,
}

/// Measures, and stops the instance again.
pub(super) fn measure(instance: &mut Instance, script: &Path, is_quick: bool) -> Result<Value> {
    instance.start(Engine::Fake)?;
    let measured = in_turns(instance, script, is_quick)?;
    instance.stop()?;
    Ok(measured)
}

fn in_turns(instance: &Instance, script: &Path, is_quick: bool) -> Result<Value> {
    let (big, rounds, seconds) = if is_quick { (BIG / 8, 1, 1) } else { (BIG, ROUNDS, SECONDS) };
    let (client, home) = (Client::of(instance)?, instance.dir.join("gets"));
    let files = home.join("files");
    fs::create_dir_all(&files)?;
    let by_tag = format!("/v2/{REPOSITORY}/manifests/{TAG}");
    let manifest = client.ask("GET", &by_tag, Body::Whole(b""))?.expect(200)?;
    fs::write(files.join("manifest"), manifest.body()?)?;
    let by_digest = format!("/v2/{REPOSITORY}/manifests/{}", digest_of(&files.join("manifest"))?);
    let mut pieces = (Vec::new(), Vec::new());
    for piece in 0..SMALL {
        let name = format!("m{piece}");
        pieces.1.push(pushed(&client, &files.join(&name), MIB)?);
        pieces.0.push(format!("/{name}"));
    }
    let big_path = pushed(&client, &files.join("big"), big * MIB)?;
    run_command(&mut Command::new("sync"))?;

    let nginx = Nginx::start(&home.join("nginx"), |port| {
        format!("{FILES} server {{ listen 127.0.0.1:{port}; root {}; }}", files.display())
    })?;
    let (theirs, ours) = (Subject::Nginx(&nginx), Subject::Ours(instance));
    let mut loads = Loads { instance, rounds, seconds, errors: 0 };
    let mut wrk = |load: &Load| load.run(&instance.dir);
    let mut measured = loads.run(
        &mut wrk,
        &[
            ("nginx_manifest", theirs, &["/manifest".to_owned()]),
            ("by_tag", ours, slice::from_ref(&by_tag)),
            ("by_digest", ours, &[by_digest]),
        ],
    )?;
    // A request for a MiB is one.
    measured.extend(loads.run(&mut wrk, &[("nginx_pieces", theirs, &pieces.0), ("pieces", ours, &pieces.1)])?);
    let mut heads = Heads::start(script)?;
    measured.extend(loads.run(
        &mut |load| heads.run(load),
        &[
            ("nginx_head", theirs, &["/manifest".to_owned()]),
            ("head_by_tag", ours, &[by_tag]),
            ("head_blob", ours, &pieces.1[..1]),
        ],
    )?);
    measured.insert("errors".to_owned(), json!(loads.errors));

    let mut turns = [Turns::default(), Turns::default()];
    for turn in 0..rounds * turns.len() {
        let at = (turn + turn / turns.len()) % turns.len();
        let (subject, asking, path) = match at {
            0 => (theirs, client.elsewhere(nginx.address), "/big"),
            _ => (ours, client.elsewhere(instance.address), big_path.as_str()),
        };
        let (before, begun) = (subject.ticks()?, Instant::now());
        let came = asking.drain(path)?;
        turns[at].rates.push(big as f64 / begun.elapsed().as_secs_f64());
        turns[at].seconds.push(seconds_of(subject.ticks()? - before));
        ensure!(came > big * MIB, "a big blob does not come");
    }
    let first = &turns[0];
    for (name, turns) in ["nginx_big", "big"].into_iter().zip(&turns) {
        let cpu = median(&turns.seconds) * 1024.0 / big as f64;
        measured.insert(name.to_owned(), json!({ "mib_s": paired(&turns.rates, &first.rates), "cpu_s_per_gib": cpu }));
    }
    Ok(Value::Object(measured))
}

/// Writes a file of random bytes and pushes it; answers its blob's path.
fn pushed(client: &Client, file: &Path, bytes: usize) -> Result<String> {
    let content = random(file, bytes)?;
    let digest = digest_of(file)?;
    let upload = format!("/v2/{REPOSITORY}/blobs/uploads/?digest={digest}");
    client.ask("POST", &upload, Body::Whole(&content))?.expect(201)?;
    Ok(format!("/v2/{REPOSITORY}/blobs/{digest}"))
}

/// Writes a file of so many random bytes.
pub(super) fn random(file: &Path, bytes: usize) -> Result<Vec<u8>> {
    let mut content = vec![0; bytes];
    fs::File::open("/dev/urandom")?.read_exact(&mut content)?;
    fs::write(file, &content)?;
    Ok(content)
}

pub(super) fn digest_of(file: &Path) -> Result<String> {
    let said = run_command(Command::new("sha256sum").arg(file))?;
    Ok(format!("sha256:{}", said.split_whitespace().next().context("sha256sum says a digest")?))
}

#[expect(clippy::cast_precision_loss, reason = "some thousands")]
fn seconds_of(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND
}
