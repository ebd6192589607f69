//! What an idle server with a hundred services takes.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::bench::guestbook::Guestbook;
use crate::bench::machine::{self, mib};
use crate::bench::stats::pause;
use crate::bench::{Bench, Outcome};

const SERVICES: usize = 100;
const BALANCERS: usize = 50;
const WATCHED: Duration = Duration::from_secs(60);

pub(in crate::bench) fn measure(bench: &Bench) -> Result<Outcome> {
    let mut book = Guestbook::start(bench)?;
    let mut balancers = Vec::new();
    for number in 0..BALANCERS {
        balancers.push(book.api.load_balancer(&book.environment, &format!("lb{number}"), &Value::Null)?.0);
    }
    book.services(SERVICES, &balancers)?;
    ensure!(book.running()?.len() == SERVICES, "not every service runs");
    // What is left to do after the last operation is not idleness.
    pause(Duration::from_secs(10));

    let pid = book.instance.pid()?;
    let (before, since) = (cpu_ticks(pid)?, Instant::now());
    pause(WATCHED);
    let (after, elapsed) = (cpu_ticks(pid)?, since.elapsed());
    #[expect(clippy::cast_precision_loss, reason = "a few ticks")]
    let cpu = (after - before) as f64 / machine::TICKS_PER_SECOND / elapsed.as_secs_f64() * 100.0;
    let rss = mib(pid, "smaps_rollup", "Rss:")?;
    let most = mib(pid, "status", "VmHWM:")?;
    ensure!(book.running()?.len() == SERVICES, "not every service still runs");
    Ok(Outcome {
        figure: format!("{rss:.0} MiB, {cpu:.2} %"),
        met: rss <= 64.0 && cpu <= 1.0,
        notes: vec![format!(
            "{SERVICES} services of one running container each, {BALANCERS} of them behind a load balancer with the default \
             health check (every 30 s); no requests; resident memory at the end of {} s (the most it ever had, while the services \
             were made: {most:.0} MiB) and processor time over them, in parts of one core",
            WATCHED.as_secs(),
        )],
    })
}

/// Processor time so far, in user and system mode: fields 14 and 15 of `/proc/PID/stat`.
pub(in crate::bench) fn cpu_ticks(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name in parentheses, which may hold anything.
    let rest = text.rsplit_once(')').context("a stat line")?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
    Ok(field(14).context("user time")? + field(15).context("system time")?)
}
