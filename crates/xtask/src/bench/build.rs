//! How long `l0` takes to build from nothing: `cargo xtask bench build`. What is downloaded is there beforehand; everything is
//! compiled.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use super::guestbook::run as run_command;
use super::report::Results;
use super::{checked_out, machine};
use crate::project::Project;

/// The builds, with their bounds (issue 4, section 5).
const BUILDS: &[Build] = &[
    Build { name: "`l0` as `make demo` builds it", features: &[], bound_s: 5 * 60 },
    Build { name: "`l0` with AWS", features: &["--features", "aws"], bound_s: 12 * 60 },
];

/// How it is built for that: as `make release` has it, linked once.
const PLAIN: &str = "`cargo build --release`";

struct Build {
    name: &'static str,
    features: &'static [&'static str],
    bound_s: u64,
}

/// What the builds came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Measured {
    builds: Vec<Built>,
    at: String,
    source: String,
    busy_percent: f64,
    load: String,
    machine: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Built {
    name: String,
    bound_s: u64,
    seconds: u64,
    packages: usize,
    mib: u64,
}

impl Built {
    fn is_met(&self) -> bool {
        self.seconds <= self.bound_s
    }
}

/// Builds, and with `--write` writes `docs/benchmarks.md`. `Ok(false)` when a bound is missed.
pub(super) fn run(project: &Project, words: &[&str]) -> Result<bool> {
    if let Some(other) = words.iter().find(|word| **word != "--write") {
        bail!("`build` is measured alone, with --write or nothing, and not with `{other}`");
    }
    run_command(project.command(env!("CARGO")).args(["fetch", "--locked", "--quiet"]))?;
    let busy_percent = machine::quiet()?;
    let at = run_command(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]))?;
    let builds = BUILDS.iter().map(|build| built(project, build)).collect::<Result<Vec<_>>>()?;
    let load = machine::load_average()?;
    let measured =
        Measured { builds, at, source: checked_out(project)?, busy_percent, load, machine: machine::own_facts(PLAIN)? };
    print!("{}", section(Some(&measured)));
    let good = measured.builds.iter().all(Built::is_met);
    let mut results = Results::load(&project.root);
    results.put_build(&project.root, measured)?;
    if words.contains(&"--write") {
        results.write(&project.root, None)?;
        println!("written: docs/benchmarks.md");
    }
    Ok(good)
}

fn built(project: &Project, build: &Build) -> Result<Built> {
    let target = project.root.join("target/bench/build");
    if target.exists() {
        fs::remove_dir_all(&target).with_context(|| format!("removing {}", target.display()))?;
    }
    println!("building {} from nothing", build.name);
    let since = Instant::now();
    let mut command = project.command(env!("CARGO"));
    command.args(["build", "--release", "--quiet", "--locked", "--package", "l0", "--bin", "l0", "--target-dir"]);
    run_command(command.arg(&target).args(build.features))?;
    let seconds = since.elapsed().as_secs();
    let mib = fs::metadata(target.join("release/l0")).context("what was built")?.len() / (1024 * 1024);
    let packages = packages(&target)?;
    fs::remove_dir_all(&target).with_context(|| format!("removing {}", target.display()))?;
    Ok(Built { name: build.name.to_owned(), bound_s: build.bound_s, seconds, packages, mib })
}

/// How many packages were compiled: Cargo notes each in a directory of its own, `NAME-HASH`, of which a package with a build
/// script has several.
fn packages(target: &Path) -> Result<usize> {
    let names: std::io::Result<std::collections::BTreeSet<String>> = fs::read_dir(target.join("release/.fingerprint"))?
        .map(|entry| {
            Ok(entry?.file_name().to_string_lossy().rsplit_once('-').map_or_else(String::new, |it| it.0.to_owned()))
        })
        .collect();
    Ok(names?.len())
}

/// The section of the page.
pub(super) fn section(measured: Option<&Measured>) -> String {
    let mut text = String::from(INTRODUCTION);
    let Some(it) = measured else {
        text.push_str("\nNot measured yet.\n");
        return text;
    };
    text.push_str(&format!(
        "\n{} UTC, {}; right before, others kept {:.0} % of the machine busy; load average at the end: {}. On {}.\n",
        it.at,
        it.source,
        it.busy_percent,
        it.load,
        it.machine.join("; ")
    ));
    text.push_str("\n| what | bound | measured | | packages | executable |\n|---|---|---|---|---|---|\n");
    for built in &it.builds {
        let verdict = if built.is_met() { "met" } else { "**missed**" };
        text.push_str(&format!(
            "| {} | ≤ {} min | {} s | {verdict} | {} | {} MiB |\n",
            built.name,
            built.bound_s / 60,
            built.seconds,
            built.packages,
            built.mib
        ));
    }
    text
}

const INTRODUCTION: &str = "
## Building

`cargo xtask bench build`: the release build of `l0` from nothing, with the sources of what it needs downloaded before.
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_that_takes_too_long_is_shown_as_missed() {
        let built = |seconds| Built { name: "`l0`".to_owned(), bound_s: 300, seconds, packages: 2, mib: 20 };
        let mut measured = Measured {
            builds: vec![built(300)],
            at: "2026-01-01 00:00".to_owned(),
            source: "commit 0".to_owned(),
            busy_percent: 0.4,
            load: "2.0".to_owned(),
            machine: vec!["2 cores".to_owned()],
        };
        assert!(section(Some(&measured)).contains("| `l0` | ≤ 5 min | 300 s | met | 2 | 20 MiB |\n"));
        measured.builds = vec![built(301)];
        assert!(section(Some(&measured)).contains("| 301 s | **missed** |"));
        assert!(section(None).contains("Not measured yet"));
    }
}
