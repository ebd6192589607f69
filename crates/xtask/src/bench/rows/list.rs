//! `service list` with ten thousand services in the store.

use std::io::{Read, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::bench::filled::SERVICES;
use crate::bench::instance::Engine;
use crate::bench::machine::TICKS_PER_SECOND;
use crate::bench::rows::idle::cpu_ticks;
use crate::bench::stats::{median, ms, pause, percentile, until};
use crate::bench::{Bench, Outcome};

const REQUESTS: usize = 500;

/// How long after one of the server's own looks at the engine there is surely no other; they come every 15 s.
const UNDISTURBED: Duration = Duration::from_secs(10);

pub(in crate::bench) fn measure(bench: &Bench) -> Result<Outcome> {
    let mut filled = bench.filled()?;
    let counter = Counter::listen(filled.dir.join("docker.sock"), &bench.docker.socket)?;
    filled.start_with(Engine::Docker, &counter.path)?;
    let told = counter.quiet()?;

    let mut api = filled.api()?;
    let mut ask = || -> Result<(f64, Vec<u8>)> {
        let since = Instant::now();
        let answer = api.ask("GET", "/service", None)?;
        let took = ms(since.elapsed());
        ensure!(answer.status == 200, "GET /service answers {}", answer.status);
        Ok((took, answer.body))
    };
    // The first ones fill caches, the processor's and others.
    for _ in 0..20 {
        ask()?;
    }
    let (_, body) = ask()?;
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&body)?;
    ensure!(listed.len() == SERVICES, "{} services are listed", listed.len());

    let (mut took, mut calls, mut ticks) = (Vec::new(), 0, 0);
    let pid = filled.pid()?;
    while took.len() < REQUESTS {
        let before = counter.just_looked()?;
        let ticks_before = cpu_ticks(pid)?;
        let since = Instant::now();
        while took.len() < REQUESTS && since.elapsed() < UNDISTURBED {
            took.push(ask()?.0);
        }
        calls += counter.messages() - before;
        ticks += cpu_ticks(pid)? - ticks_before;
    }
    let p99 = percentile(&took, 99.0);
    filled.stop()?;
    bench.give_back(filled);
    Ok(Outcome {
        figure: format!("p99 {p99:.1} ms, {calls} engine calls"),
        met: p99 <= 20.0 && calls == 0,
        notes: vec![
            format!(
                "{REQUESTS} times `GET /service`, one after the other on a kept connection, from sending to the last byte: \
                 median {:.1} ms, p90 {:.1} ms, longest {:.1} ms, of which the server's processor time is {:.1} ms on average; \
                 {:.2} MB each, all {SERVICES} services",
                median(&took),
                percentile(&took, 90.0),
                percentile(&took, 100.0),
                cpu_ms(ticks),
                megabytes(body.len()),
            ),
            format!(
                "engine calls are what the server sent to the Docker engine while it was asked, counted on a socket between both \
                 ({told} at the start); by itself it looks at all containers every 15 s, and the requests are sent in between \
                 those looks"
            ),
        ],
    })
}

/// Milliseconds of processor time for each request.
#[expect(clippy::cast_precision_loss, reason = "some hundred ticks")]
fn cpu_ms(ticks: u64) -> f64 {
    ticks as f64 / TICKS_PER_SECOND * 1000.0 / REQUESTS as f64
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// A socket in front of the Docker engine's that counts what is sent to it.
struct Counter {
    path: PathBuf,
    messages: Arc<AtomicU64>,
}

impl Counter {
    /// Listens until the program ends; the socket goes with the directory that it is in.
    fn listen(path: PathBuf, target: &Path) -> Result<Self> {
        drop(std::fs::remove_file(&path));
        let listener = UnixListener::bind(&path)?;
        let messages = Arc::new(AtomicU64::new(0));
        let (counted, target) = (Arc::clone(&messages), target.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(engine) = UnixStream::connect(&target) else { continue };
                let (Ok(back_from), Ok(back_to)) = (engine.try_clone(), client.try_clone()) else { continue };
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || {
                    carry(client, engine, |_| {
                        counted.fetch_add(1, Ordering::Relaxed);
                    });
                });
                std::thread::spawn(move || carry(back_from, back_to, |_| {}));
            }
        });
        Ok(Self { path, messages })
    }

    fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Waits until nothing was sent for two seconds; gives the count.
    fn quiet(&self) -> Result<u64> {
        self.steady(Duration::from_secs(2))
    }

    /// Waits until the server has looked at the engine by itself, and has ended that; gives the count.
    fn just_looked(&self) -> Result<u64> {
        let before = self.messages();
        until(Duration::from_secs(60), "the server's own look at the engine", || {
            Ok((self.messages() > before).then_some(()))
        })?;
        self.steady(Duration::from_millis(300))
    }

    fn steady(&self, gap: Duration) -> Result<u64> {
        let since = Instant::now();
        let mut count = self.messages();
        loop {
            pause(gap);
            let now = self.messages();
            if now == count {
                return Ok(now);
            }
            count = now;
            ensure!(since.elapsed() < Duration::from_secs(120), "the server goes on talking to the Docker engine");
        }
    }
}

fn carry(mut from: UnixStream, mut to: UnixStream, seen: impl Fn(usize)) {
    let mut buffer = vec![0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        seen(count);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    drop(to.shutdown(std::net::Shutdown::Write));
}
