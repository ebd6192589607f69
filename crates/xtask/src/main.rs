//! The project's own tools, run as `cargo xtask COMMAND`.
//!
//! | command | does |
//! |---|---|
//! | `check [NAME...]` | every rule that a change must keep, or only the named ones; `check --list` names them |
//! | `generate [--check]` | writes `openapi/layer0.json` and `docs/configuration.md` from the server's code, or says that they are out of date; `openapi` is the same |
//! | `release [--dev] [CARGO OPTIONS]` | builds the executable that is handed out: with AWS, static, its functions in the order of their use |
//! | `bench [--write] [--no-build] [ROW...]` | measures what must be reached, or only the named rows; `bench --list` names them |
//! | `bench registry [--write] [--no-build] [--quick] [--script PATH]` | measures the registry beside docker-registry and the machine's limits |
//! | `bench build [--write]` | measures how long building from nothing takes |
//! | `bench aws [--write] [--no-build] [--small] [--kept]` | measures an instance with 1,000 services on a fake AWS |
//!
//! It depends on no other crate of the workspace, so that it still builds, and says what is wrong, when they do not.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal: what it prints is what it is for"
)]

mod bench;
mod check;
mod generate;
mod project;
mod release;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::project::Project;

const USAGE: &str = "usage: cargo xtask check [--list | NAME...]
       cargo xtask generate [--check]
       cargo xtask release [--dev] [CARGO OPTIONS]
       cargo xtask bench [--list | [--write] [--no-build] [ROW...]]
       cargo xtask bench registry [--write] [--no-build] [--quick] [--script PATH]
       cargo xtask bench aws [--write] [--no-build] [--small] [--kept]
       cargo xtask bench build [--write]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// `Ok(false)` when a rule is broken, which has been said by then.
fn run(words: &[&str]) -> Result<bool> {
    match words {
        ["check", "--list"] => {
            check::list();
            Ok(true)
        }
        ["check", names @ ..] => check::run(&Project::load()?, names),
        ["generate" | "openapi"] => generate::write(&Project::load()?).map(|()| true),
        ["generate" | "openapi", "--check"] => check::run(&Project::load()?, &["generated"]),
        ["release", words @ ..] => release::run(&Project::load()?, words),
        ["bench", "--list"] => {
            bench::list();
            Ok(true)
        }
        ["bench", words @ ..] => bench::run(&Project::load()?, words),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(true)
        }
        _ => bail!("{USAGE}"),
    }
}
