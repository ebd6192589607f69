//! The executable that is handed out: `cargo xtask release`, which `make release` calls.
//!
//! It has AWS in it and is linked statically, so it needs no file of the machine that it runs on. And its functions lie in the order in
//! which they are needed. A linker puts them where their crates come, so that what a start runs through, a twentieth of the code, lies all
//! over it, and the system maps 64 KiB around each page that is touched: two thirds of the memory of an idle registry were code that never ran.
//! So the executable is built with its names, does what it is for under Valgrind, and is linked again (decision 31).
//!
//! ```text
//!   built, with names ──▶ works under callgrind ──▶ names in their order ──▶ linked again, stripped ──▶ takes less memory? ──▶ done
//! ```
//!
//! Rejected: a list of functions that is kept with the sources. Names hold hashes, which change with the compiler and with each crate.

mod order;
mod train;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::bench::machine;
use crate::project::{Project, output};

/// The C library from which on a static executable understands relocations in the packed form (DT_RELR).
const PACKED_SINCE: (u32, u32) = (2, 36);

/// Programs that it takes, and the Debian packages they are in.
const NEEDED: &[(&str, &str)] = &[("valgrind", "valgrind"), ("sha256sum", "coreutils")];

/// What is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// What is handed out.
    Release,
    /// Not optimised and without AWS: shows in a minute or two that all of this works.
    Dev,
}

impl Profile {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Release => &["--release", "--features", "aws"],
            Self::Dev => &[],
        }
    }
}

/// Runs it as a command: `--dev`, and whatever else Cargo is to be told.
pub(crate) fn run(project: &Project, words: &[&str]) -> Result<bool> {
    let (dev, more): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| **word == "--dev");
    let profile = if dev.is_empty() { Profile::Release } else { Profile::Dev };
    let l0 = build(project, profile, &more)?;
    println!("{}", l0.display());
    Ok(true)
}

/// Builds it and says where it is.
pub(crate) fn build(project: &Project, profile: Profile, more: &[&str]) -> Result<PathBuf> {
    let mut link = vec!["-Ctarget-feature=+crt-static".to_owned()];
    if !cfg!(target_arch = "x86_64") {
        println!("release: functions are put in order on x86-64 only, where Rust links with LLVM's linker");
        return linked(project, profile, more, &link);
    }
    if is_packed_understood(&output(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_default()) {
        link.push("-Clink-arg=-Wl,-z,pack-relative-relocs".to_owned());
    } else {
        println!("release: relocations stay as they are: packed ones need glibc {}.{}", PACKED_SINCE.0, PACKED_SINCE.1);
    }
    if let Some(missing) = machine::missing(NEEDED) {
        bail!("{missing}");
    }
    let named = linked(project, profile, more, &[&link[..], &["-Cstrip=none".to_owned()]].concat())?;
    let directory = tempdir(project)?;
    println!("release: what it is for, under Valgrind, to see which functions that takes");
    let order = train::order(&named, &directory)?;
    let before = train::resident_mib(&named, &directory)?;
    let file = order.write(&directory)?;
    let mut ordered = link;
    ordered.push(format!("-Clink-arg=-Wl,--symbol-ordering-file={}", file.display()));
    // What the linker itself made, or threw away, has no place to be given.
    ordered.push("-Clink-arg=-Wl,--no-warn-symbol-ordering".to_owned());
    let l0 = linked(project, profile, more, &ordered)?;
    let after = train::resident_mib(&l0, &directory)?;
    println!(
        "release: {} functions lie in the order of their use; a registry has {after:.1} MiB in memory at its first answer, {before:.1} before",
        order.len()
    );
    ensure!(after < before, "the order of functions changed nothing: does Rust link with LLVM's linker here?");
    Ok(l0)
}

/// Has Cargo build the executable and link it in this way, and says where it is.
fn linked(project: &Project, profile: Profile, more: &[&str], link: &[String]) -> Result<PathBuf> {
    let mut command = project.command(env!("CARGO"));
    command.args(["rustc", "--locked", "--package", "l0", "--bin", "l0", "--message-format=json-render-diagnostics"]);
    command.args(profile.options()).args(more).arg("--").args(link);
    // How far it is and what is wrong goes to stderr as ever.
    let out = command.stderr(Stdio::inherit()).output().context("running cargo")?;
    if !out.status.success() {
        bail!("cargo ended with {}", out.status);
    }
    executable(&String::from_utf8_lossy(&out.stdout)).context("cargo says where the executable is")
}

/// The last executable that Cargo's messages name.
fn executable(messages: &str) -> Option<PathBuf> {
    let named = |line: &str| Some(serde_json::from_str::<Value>(line).ok()?.get("executable")?.as_str()?.into());
    messages.lines().rev().find_map(named)
}

/// Whether this C library, as `getconf` names it, reads packed relocations.
fn is_packed_understood(said: &str) -> bool {
    let version = said.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let parsed = version.and_then(|(major, minor)| Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?)));
    parsed.is_some_and(|version: (u32, u32)| version >= PACKED_SINCE)
}

/// An empty directory for what comes up on the way. It stays, so that one can look.
fn tempdir(project: &Project) -> Result<PathBuf> {
    let directory = project.root.join("target/release-order");
    if directory.exists() {
        std::fs::remove_dir_all(&directory).with_context(|| format!("removing {}", directory.display()))?;
    }
    std::fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_the_last_that_cargo_names() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","executable":"/target/release/l0"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(executable(messages), Some("/target/release/l0".into()));
        assert_eq!(executable("no JSON\n"), None);
    }

    #[test]
    fn only_a_c_library_that_is_new_enough_reads_packed_relocations() {
        let understood = ["glibc 2.36\n", "glibc 2.41", "glibc 3.0", "glibc 2.36.9000"].map(is_packed_understood);
        assert_eq!(understood, [true; 4]);
        let not = ["glibc 2.35\n", "glibc 2.9", "", "musl 1.2.5", "glibc"].map(is_packed_understood);
        assert_eq!(not, [false; 5]);
    }
}
