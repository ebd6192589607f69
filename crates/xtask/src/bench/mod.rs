//! What must be reached on one machine, measured: `cargo xtask bench`.
//!
//! Each row starts instances of its own, in temporary directories and on free ports, and removes all that they made by its
//! label, after a failure too. What a killed bench leaves behind the next one removes.
//!
//! The registry is no row, nor are an instance on AWS and building: each is measured by itself, when it is asked for by name
//! ([`registry`], [`aws`], [`build`]).
//!
//! It links nothing of what it measures: it runs `l0` as it is handed out ([`crate::release`]), the Docker client, nginx and wrk, and speaks
//! HTTP by itself.

mod aws;
mod build;
pub(crate) mod client;
mod docker;
mod filled;
mod guestbook;
mod http;
pub(crate) mod instance;
mod load;
pub(crate) mod machine;
mod nginx;
mod registry;
mod report;
mod rows;
pub(crate) mod stats;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use self::docker::Docker;
use self::guestbook::run as run_command;
use self::instance::Instance;
use self::report::{Measured, Results};
use crate::project::Project;
use crate::release;

/// What a row came to.
struct Outcome {
    /// For the table.
    figure: String,
    /// Whether the bound is kept.
    met: bool,
    /// How it was measured and what else was seen, a sentence each, without its full stop.
    notes: Vec<String>,
}

/// One row of the table.
struct Row {
    name: &'static str,
    what: &'static str,
    bound: &'static str,
    measure: fn(&Bench) -> Result<Outcome>,
}

/// The rows, in the order of the specification (issue 2, section 5).
const ROWS: &[Row] = &[
    Row {
        name: "create",
        what: "`l0 service create` to healthy, image present, over the same `docker run` and one health-check pass",
        bound: "≤ 1.3×",
        measure: rows::create::measure,
    },
    Row {
        name: "rollout",
        what: "failed requests in rolling updates of 4 copies under 200 requests/s through the load balancer",
        bound: "0",
        measure: rows::rollout::measure,
    },
    Row {
        name: "crash",
        what: "crash of a container to its replacement started",
        bound: "≤ 1 s",
        measure: rows::crash::measure,
    },
    Row {
        name: "balancer",
        what: "load balancer, small responses, 64 connections, over nginx `proxy_pass` to the same backend",
        bound: "≥ 0.9× requests/s, p99 ≤ 1.2×",
        measure: rows::balancer::measure,
    },
    Row {
        name: "list",
        what: "`service list` with 10,000 services in the store",
        bound: "p99 ≤ 20 ms, 0 engine calls",
        measure: rows::list::measure,
    },
    Row {
        name: "idle",
        what: "idle server with 100 services: memory, processor",
        bound: "≤ 64 MiB RSS, ≤ 1 % of a core",
        measure: rows::idle::measure,
    },
    Row {
        name: "start",
        what: "start to first answer, with 10,000 services in the store",
        bound: "≤ 150 ms",
        measure: rows::start::measure,
    },
    Row {
        name: "restart",
        what: "restart after `kill -9` with 50 running services until all are adopted; how many were restarted",
        bound: "≤ 3 s, 0",
        measure: rows::restart::measure,
    },
];

/// What all rows share.
struct Bench {
    root: PathBuf,
    l0: PathBuf,
    /// What `l0` was built from.
    source: String,
    docker: Docker,
    notes: PathBuf,
    filled: RefCell<Option<Instance>>,
}

impl Bench {
    fn instance(&self) -> Result<Instance> {
        Instance::new(&self.l0, &self.notes, &self.docker)
    }

    /// An instance with many services in its store, stopped; made by the first who asks. To be given back.
    fn filled(&self) -> Result<Instance> {
        if let Some(instance) = self.filled.take() {
            return Ok(instance);
        }
        println!("      filling a store with {} services", filled::SERVICES);
        let mut instance = self.instance()?;
        filled::fill(&mut instance)?;
        Ok(instance)
    }

    fn give_back(&self, instance: Instance) {
        self.filled.replace(Some(instance));
    }
}

/// What the registry's own bench is asked for by.
const REGISTRY: &str = "registry";

/// What the bench of an instance on AWS is asked for by.
const AWS: &str = "aws";

/// What the time to build is asked for by.
const BUILD: &str = "build";

/// A bench with options and a section of its own.
type Alone = fn(&Project, &[&str]) -> Result<bool>;

/// The `l0` that is measured: as it is handed out.
struct L0 {
    path: PathBuf,
    /// What it was built from.
    source: String,
    /// By what, as far as it is known.
    how: &'static str,
}

impl L0 {
    /// Builds it, or takes what was built last, and sets a copy aside.
    fn prepare(project: &Project, no_build: bool) -> Result<Self> {
        let built = if no_build {
            project.root.join("target/release/l0")
        } else {
            println!("building l0 (release)");
            release::build(project, release::Profile::Release, &[])?
        };
        // A copy, so that a build that goes on beside the bench changes nothing in the middle of it.
        let path = project.root.join("target/bench/l0");
        std::fs::create_dir_all(project.root.join("target/bench"))?;
        drop(std::fs::remove_file(&path));
        std::fs::copy(&built, &path).with_context(|| format!("copying {}", built.display()))?;
        let source = if no_build { built_earlier(&path)? } else { checked_out(project)? };
        Ok(Self { path, source, how: if no_build { machine::EARLIER } else { machine::RELEASE } })
    }
}

/// Prints the rows.
pub(crate) fn list() {
    for row in ROWS {
        println!("{:<10}{:<32}{}", row.name, row.bound, row.what);
    }
    println!("{AWS:<10}{:<32}1,000 services on a fake AWS; only when it is named", "all as it must be");
    println!("{BUILD:<10}{:<32}building from nothing; only when it is named", "≤ 5 min, with AWS ≤ 12 min");
    println!("{REGISTRY:<10}{:<32}the registry beside docker-registry and the machine; only when it is named", "clean");
}

/// Measures the named rows, or all, and with `--write` writes `docs/benchmarks.md`; with `--no-build` the `l0` that was built
/// last. `Ok(false)` when a bound is missed or a row could not be measured. `registry`, `aws` and `build` have
/// options of their own.
pub(crate) fn run(project: &Project, words: &[&str]) -> Result<bool> {
    let alone: [(&str, Alone); 3] = [(REGISTRY, registry::run), (AWS, aws::run), (BUILD, build::run)];
    for (name, run) in alone {
        if words.contains(&name) {
            let words: Vec<&str> = words.iter().copied().filter(|word| *word != name).collect();
            return run(project, &words);
        }
    }
    let (options, names): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.starts_with('-'));
    if let Some(unknown) = options.iter().find(|option| !["--write", "--no-build"].contains(*option)) {
        bail!("there is no option `{unknown}`; there are --list, --write and --no-build");
    }
    if let Some(unknown) = names.iter().find(|name| !ROWS.iter().any(|row| row.name == **name)) {
        bail!("there is no row `{unknown}`; `cargo xtask bench --list` names them");
    }
    if let Some(missing) = machine::missing(machine::NEEDED) {
        bail!("{missing}");
    }
    let docker = Docker::find()?;
    let notes = project.root.join("target/bench/instances");
    instance::sweep_leftovers(&notes, &docker)?;
    let L0 { path: l0, source, how } = L0::prepare(project, options.contains(&"--no-build"))?;
    let bench = Bench { root: project.root.clone(), l0, source, docker, notes, filled: RefCell::default() };

    let mut results = Results::load(&project.root);
    let mut good = true;
    for row in ROWS.iter().filter(|row| names.is_empty() || names.contains(&row.name)) {
        good &= measure(&bench, row, &mut results)?;
    }
    if options.contains(&"--write") {
        results.write(&project.root, Some(&machine::facts(&bench.docker, how)?))?;
        println!("written: docs/benchmarks.md");
    }
    Ok(good)
}

fn measure(bench: &Bench, row: &Row, results: &mut Results) -> Result<bool> {
    let busy_percent = machine::quiet()?;
    let since = Instant::now();
    let outcome = match (row.measure)(bench) {
        Ok(outcome) => outcome,
        Err(why) => {
            println!("bench {:<10}FAILED  {:>6.1} s  {why:#}", row.name, since.elapsed().as_secs_f64());
            return Ok(false);
        }
    };
    let verdict = if outcome.met { "met" } else { "MISSED" };
    println!(
        "bench {:<10}{verdict:<8}{:>6.1} s  {} (bound: {})",
        row.name,
        since.elapsed().as_secs_f64(),
        outcome.figure,
        row.bound
    );
    let load = machine::load_average()?;
    println!("      others kept {busy_percent:.0} % of the machine busy right before; load average at the end {load}");
    for note in &outcome.notes {
        println!("      {note}");
    }
    let met = outcome.met;
    let measured = Measured {
        figure: outcome.figure,
        met,
        notes: outcome.notes,
        at: run_command(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]))?,
        source: bench.source.clone(),
        busy_percent,
        load,
    };
    results.put(&bench.root, row, measured)?;
    Ok(met)
}

/// The commit that was just built.
fn checked_out(project: &Project) -> Result<String> {
    let git = |words: &[&str]| run_command(project.command("git").args(words));
    let commit = git(&["rev-parse", "--short", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--", "crates", "Cargo.lock"])?.is_empty();
    Ok(format!("commit {commit}{}", if changed { " with changes" } else { "" }))
}

/// What was built before may be of any commit, so it is named by what it is.
fn built_earlier(l0: &Path) -> Result<String> {
    let sum = run_command(Command::new("sha256sum").arg(l0))?;
    Ok(format!("an `l0` that was built earlier (SHA-256 {}…)", sum.get(..12).unwrap_or(&sum)))
}
