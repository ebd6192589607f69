//! The compiler's own tools: rustfmt, Clippy, rustdoc. Their output goes to the terminal as it is.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::Findings;
use crate::project::Project;

/// The example is a package of its own: what is checked in the workspace is checked there too.
const EXAMPLE: &[&str] = &["--manifest-path", "examples/guestbook/Cargo.toml"];
/// Where the example is built: the same place as the scripts use, so that nothing is built twice.
const EXAMPLE_TARGET: &[&str] = &["--target-dir", "examples/guestbook/target"];

/// The fuzz targets are one too. Only their form is checked here: to lint them is to build the server once more, and
/// `make fuzz` builds them anyway.
const FUZZ: &[&str] = &["--manifest-path", "fuzz/Cargo.toml"];

/// `cargo fmt --check`.
pub(crate) fn fmt(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    // `-l`: the names of the files are enough here; `cargo fmt` mends them.
    run(&mut findings, cargo(project).args(["fmt", "--all", "--check", "--", "-l"]))?;
    run(&mut findings, cargo(project).args(["fmt", "--check"]).args(EXAMPLE).args(["--", "-l"]))?;
    run(&mut findings, cargo(project).args(["fmt", "--check"]).args(FUZZ).args(["--", "-l"]))?;
    Ok(findings)
}

/// `cargo clippy`, every target, every feature.
pub(crate) fn clippy(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    let deny = ["--", "-D", "warnings"];
    let lint = ["clippy", "--quiet", "--locked"];
    // `--all-targets` leaves out the tests that run by name only; naming all tests leaves out the rest.
    for targets in [&["--all-targets"][..], &["--test", "*"]] {
        run(&mut findings, cargo(project).args(lint).args(["--workspace", "--all-features"]).args(targets).args(deny))?;
    }
    run(&mut findings, cargo(project).args(lint).arg("--all-targets").args(EXAMPLE).args(EXAMPLE_TARGET).args(deny))?;
    Ok(findings)
}

/// `cargo doc`. Private items too: module docs are written for whoever changes the code. With all features and with the examples,
/// since then Cargo takes from others what Clippy has looked through already.
pub(crate) fn doc(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    let what = ["--lib", "--bins", "--examples", "--no-deps", "--document-private-items"];
    run(
        &mut findings,
        cargo(project)
            .env("RUSTDOCFLAGS", "-Dwarnings")
            .args(["doc", "--quiet", "--locked", "--workspace", "--all-features"])
            .args(what),
    )?;
    Ok(findings)
}

/// `cargo check` of the executable for itself, as a user builds it. All else builds the whole workspace at once, where a feature that
/// one crate forgot to ask for is there because another one did.
pub(crate) fn alone(project: &Project) -> Result<Findings> {
    let mut findings = Findings::default();
    run(&mut findings, cargo(project).args(["check", "--quiet", "--locked", "--package", "l0"]))?;
    Ok(findings)
}

fn cargo(project: &Project) -> Command {
    project.command(env!("CARGO"))
}

fn run(findings: &mut Findings, command: &mut Command) -> Result<()> {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let status = command.status().with_context(|| format!("running cargo {}", words.join(" ")))?;
    if !status.success() {
        findings.broken(format!("cargo {} ({status}); its output is above", words.join(" ")));
    }
    Ok(())
}
