//! An instance on AWS with many services: `cargo xtask bench aws`.
//!
//! `l0` as it is handed out, as a process of its own, on the fake AWS of the testkit, as another one, with
//! the latency and the throttles of the real one as far as they are known. Everything goes through the API: what is made,
//! what is rolled out, what is seen.
//!
//! It is asked for by name, since it takes five minutes. `--kept` writes the page from what was measured last. `--small` runs the same with a handful of services, to see that it
//! works; its numbers are not kept.

mod arithmetic;
mod cloud;
mod phases;
mod section;
mod server;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::cloud::Cloud;
use self::phases::Simulation;
pub(crate) use self::section::section;
use self::server::Server;
use super::guestbook::run as run_command;
use super::report::Results;
use super::{built_earlier, checked_out, machine, stats};
use crate::project::Project;
use crate::release;

/// After a start copies count as healthy when they have been seen to run for ten seconds; until then they are looked at often.
const SETTLED: Duration = Duration::from_secs(15);

/// How much there is.
#[derive(Debug, Clone, Copy)]
struct Size {
    environments: usize,
    services_each: usize,
    copies: usize,
    rollouts: usize,
    /// Crashes in rest; half as many while others are rolled out.
    crashes: usize,
    /// Over which time they are spread.
    crash_span: Duration,
    /// How long is watched while nothing happens.
    rest: Duration,
    /// From the creation of a task to RUNNING, in milliseconds.
    task_start_ms: u64,
    /// From the wish to stop a task to STOPPED, in milliseconds.
    task_stop_ms: u64,
    /// How long CloudFormation takes for one resource, in milliseconds.
    stack_resource_ms: u64,
    /// While everything is made, AWS's limits and our own rates are so many times as high as they are by default: at those it
    /// would take the better part of an hour.
    hurry: f64,
}

/// The size of the specification (issue 4, section 4).
const FULL: Size = Size {
    environments: 20,
    services_each: 50,
    copies: 10,
    rollouts: 50,
    crashes: 100,
    crash_span: Duration::from_secs(30),
    rest: Duration::from_secs(60),
    task_start_ms: 30_000,
    task_stop_ms: 5_000,
    stack_resource_ms: 2_000,
    hurry: 20.0,
};

const SMALL: Size = Size {
    environments: 2,
    services_each: 6,
    copies: 3,
    rollouts: 2,
    crashes: 4,
    crash_span: Duration::from_secs(2),
    rest: Duration::from_secs(10),
    task_start_ms: 10_000,
    task_stop_ms: 500,
    stack_resource_ms: 50,
    hurry: 20.0,
};

impl Size {
    fn services(self) -> usize {
        self.environments * self.services_each
    }
}

/// What was seen of crashes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Seconds from the crash until the API showed it, for each that it showed.
    seconds: Vec<f64>,
    /// Those that it never showed: ECS had put another copy in the place before anyone looked.
    missed: usize,
}

/// The numbers. Kept between runs, so its fields may only be added to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) environments: usize,
    pub(crate) services: usize,
    pub(crate) copies: usize,
    pub(crate) rollouts: usize,
    /// How many times as high AWS's limits were while everything was made.
    pub(crate) hurry: f64,
    pub(crate) fill_s: f64,
    /// Calls while everything was made: what, how many, how many of them refused as too many.
    pub(crate) fill_calls: Vec<(String, u64, u64)>,
    /// The limit that held it up longest and for how many seconds, at the higher limits.
    pub(crate) fill_bound: Option<(String, f64)>,
    pub(crate) fill_peak_mib: f64,
    /// Memory before anything was made.
    pub(crate) empty_mib: f64,
    /// From the start of a server until it shows every service as it is.
    pub(crate) adopt_s: f64,
    pub(crate) adopt_calls: Vec<(String, u64, u64)>,
    pub(crate) rest_s: f64,
    pub(crate) rest_calls: Vec<(String, u64, u64)>,
    pub(crate) rest_cpu_percent: f64,
    pub(crate) rest_mib: f64,
    pub(crate) crashes_in_rest: Seen,
    pub(crate) rollout_s: f64,
    pub(crate) rollout_calls: Vec<(String, u64, u64)>,
    pub(crate) crashes_in_rollout: Seen,
    pub(crate) peak_mib: f64,
    pub(crate) store_bytes: u64,
}

/// What it came to, and what it was measured on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) figures: Figures,
    /// What was not as it must be; none when all is well.
    pub(crate) faults: Vec<String>,
    /// When it began, in UTC.
    pub(crate) at: String,
    /// What `l0` was built from.
    pub(crate) source: String,
    /// Which part of the machine others used right before, in per cent.
    pub(crate) busy_percent: f64,
    /// The load average when it ended, what was measured included.
    pub(crate) load: String,
    /// The machine.
    pub(crate) machine: Vec<String>,
}

/// Measures, and with `--write` writes `docs/benchmarks.md`. `Ok(false)` when something was not as it must be.
pub(super) fn run(project: &Project, words: &[&str]) -> Result<bool> {
    for word in words {
        match *word {
            "--write" | "--no-build" | "--small" | "--kept" => {}
            other if other.starts_with('-') => {
                bail!("there is no option `{other}`; there are --write, --no-build, --small and --kept")
            }
            other => bail!("`aws` is measured alone, without `{other}`"),
        }
    }
    let given = |option: &str| words.contains(&option);
    if given("--write") && given("--small") {
        bail!("--small is for trying it out: its numbers are not kept, so there is nothing to --write");
    }
    if given("--kept") {
        Results::load(&project.root).write(&project.root, None)?;
        println!("written: docs/benchmarks.md, from what was measured last");
        return Ok(true);
    }
    let (l0, fake) = (project.root.join("target/bench/l0-aws"), project.root.join("target/bench/fake-aws"));
    prepare(project, given("--no-build"), (&l0, &fake))?;
    let how = if given("--no-build") { machine::EARLIER } else { machine::RELEASE };
    let source = if given("--no-build") { built_earlier(&l0)? } else { checked_out(project)? };
    let size = if given("--small") { SMALL } else { FULL };
    let busy_percent = if given("--small") { machine::busy_percent()? } else { machine::quiet()? };
    let at = run_command(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]))?;
    let setup = json!({
        "task_start_ms": size.task_start_ms, "task_stop_ms": size.task_stop_ms,
        "stack_resource_ms": size.stack_resource_ms, "seed": 4,
    });
    let simulation = Simulation::new(size, Cloud::start(&fake, &setup)?, Server::new(&l0)?);
    let (figures, faults) = measure(simulation)?;
    let load = machine::load_average()?;
    let measured = Measured { figures, faults, at, source, busy_percent, load, machine: machine::own_facts(how)? };
    print!("{}", section(Some(&measured)));
    for fault in &measured.faults {
        println!("bench aws  FAULT  {fault}");
    }
    let good = measured.faults.is_empty();
    if given("--small") {
        println!("      small numbers, for trying it out: not kept");
        return Ok(good);
    }
    let mut results = Results::load(&project.root);
    results.put_aws(&project.root, measured)?;
    if given("--write") {
        results.write(&project.root, None)?;
        println!("written: docs/benchmarks.md");
    }
    Ok(good)
}

/// Builds the programs, or takes those that were built last, and sets copies aside, so that a build that goes on beside the
/// bench changes nothing in the middle of it.
fn prepare(project: &Project, no_build: bool, (l0, fake): (&Path, &Path)) -> Result<()> {
    let target = project.root.join("target/release");
    let mut built = target.join("l0");
    if !no_build {
        println!("building l0, and the fake AWS (release)");
        let program = ["--package", "layer0-testkit", "--bin", "fake-aws"];
        let words = ["build", "--release", "--quiet", "--locked", "--features", "aws"];
        built = release::build(project, release::Profile::Release, &[])?;
        run_command(project.command(env!("CARGO")).args(words).args(program))?;
    }
    std::fs::create_dir_all(project.root.join("target/bench"))?;
    for (from, copy) in [(&built, l0), (&target.join("fake-aws"), fake)] {
        drop(std::fs::remove_file(copy));
        std::fs::copy(from, copy).with_context(|| format!("copying {}", from.display()))?;
    }
    Ok(())
}

/// All phases, one after the other.
fn measure(mut simulation: Simulation) -> Result<(Figures, Vec<String>)> {
    let size = simulation.size;
    let said = |phase: &str, seconds: f64| println!("bench aws  {phase:<12}{seconds:>7.1} s");
    let limits = simulation.cloud.get_mut().expect("nobody holds it").limits(size.hurry)?;
    let endpoint = simulation.cloud.get_mut().expect("nobody holds it").endpoint.clone();
    simulation.server.start(&endpoint, size.hurry)?;
    let empty_mib = simulation.peak_mib()?;
    let filled = simulation.fill(&limits)?;
    said("made", filled.seconds);
    simulation.server.stop()?;

    simulation.cloud.get_mut().expect("nobody holds it").limits(1.0)?;
    drop(simulation.calls()?);
    simulation.server.start(&endpoint, 1.0)?;
    let adopt_s = simulation.adopted()?;
    let adopt_calls = simulation.calls()?;
    said("adopted", adopt_s);
    stats::pause(SETTLED);
    let rest = simulation.rest()?;
    said("rest", rest.seconds);
    let crashes_in_rest = simulation.crashes_in_rest()?;
    said("crashes", stats::largest(&crashes_in_rest.seconds));
    let (crashes_in_rollout, rollout_s, rollout_calls) = simulation.rollout()?;
    said("rolled out", rollout_s);
    let faults = simulation.faults()?;
    let figures = Figures {
        environments: size.environments,
        services: size.services(),
        copies: size.copies,
        rollouts: size.rollouts,
        hurry: size.hurry,
        fill_s: filled.seconds,
        fill_calls: filled.calls.rows(),
        fill_bound: filled.bound,
        fill_peak_mib: filled.peak_mib,
        empty_mib,
        adopt_s,
        adopt_calls: adopt_calls.rows(),
        rest_s: rest.seconds,
        rest_calls: rest.calls.rows(),
        rest_cpu_percent: rest.cpu_percent,
        rest_mib: rest.rss_mib,
        crashes_in_rest,
        rollout_s,
        rollout_calls: rollout_calls.rows(),
        crashes_in_rollout,
        peak_mib: simulation.peak_mib()?,
        store_bytes: simulation.store_bytes()?,
    };
    let faults = [faults, figures.faults()].concat();
    Ok((figures, faults))
}
