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

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use self::order::Order;
use crate::bench::machine;
use crate::project::{Project, output};

/// The C library from which on a static executable understands relocations in the packed form (DT_RELR).
const PACKED_SINCE: (u32, u32) = (2, 36);

/// Programs that it takes, and the Debian packages they are in.
pub(crate) const NEEDED: &[(&str, &str)] = &[("valgrind", "valgrind")];

/// What LLVM's linker writes into all that it links.
const LLVM_LINKER: &[u8] = b"Linker: LLD ";

/// Fewer functions than any start runs through: the executable that was looked at has no names.
const FEW: usize = 1000;

/// So much less memory is the least that an order which works brings. 0.4 was measured.
const LESS: f64 = 0.75;

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

    /// Where it has what comes up on the way, below `target`.
    fn directory(self) -> &'static str {
        match self {
            Self::Release => "release-order",
            Self::Dev => "debug-order",
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
    if let Some(missing) = machine::missing(NEEDED) {
        bail!("{missing}");
    }
    let (directory, _alone) = directory(project, profile)?;
    let mut link = vec!["-Ctarget-feature=+crt-static"];
    if is_packed_understood(&output(Command::new("getconf").arg("GNU_LIBC_VERSION")).unwrap_or_default()) {
        link.push("-Clink-arg=-Wl,-z,pack-relative-relocs");
    } else {
        say(&format!("relocations stay as they are: packed ones need glibc {}.{}", PACKED_SINCE.0, PACKED_SINCE.1));
    }
    let built = linked(project, profile, more, &[&link[..], &["-Cstrip=none"]].concat())?;
    if let Some(why) = no_order(&fs::read(&built)?, &fs::read("/proc/self/exe")?) {
        say(&format!("functions stay where they are: {why}"));
        return linked(project, profile, more, &link);
    }
    // Where the finished one will be, nobody finds one that is not.
    let named = directory.join("l0-named");
    fs::rename(&built, &named).with_context(|| format!("moving {} to {}", built.display(), named.display()))?;

    say("what it is for, under Valgrind, to see which functions that takes");
    let seen = |l0: &Path| train::resident_mib(l0, &directory).with_context(|| failed(&directory));
    let order = train::order(&named, &directory).with_context(|| failed(&directory))?;
    ensure!(order.len() >= FEW, "{} functions are too few: does RUSTFLAGS strip names?", order.len());
    let before = seen(&named)?;
    let l0 = ordered(project, profile, more, (&link, &order, &directory))?;
    let after = seen(&l0)?;
    ensure!(
        after < LESS * before,
        "{} has {after:.1} MiB in memory at its first answer, and {before:.1} before its functions were in order: that is \
         no order. It is left there, and works",
        l0.display()
    );
    say(&format!(
        "{} functions lie in the order of their use; a registry has {after:.1} MiB in memory at its first answer, \
         {before:.1} before",
        order.len()
    ));
    Ok(l0)
}

/// Links once more, with the functions in order.
fn ordered(
    project: &Project,
    profile: Profile,
    more: &[&str],
    (link, order, directory): (&[&str], &Order, &Path),
) -> Result<PathBuf> {
    let told = format!("-Clink-arg=--symbol-ordering-file={}", order.write(directory)?.display());
    // Names that only the linker knows have no place that could be given to them.
    let quiet = "-Clink-arg=-Wl,--no-warn-symbol-ordering";
    let l0 = linked(project, profile, more, &[link, &["-Clink-arg=-Xlinker", &told, quiet]].concat())?;
    if profile == Profile::Release {
        forget_others(&l0)?;
    }
    Ok(l0)
}

/// Removes what Cargo keeps of other releases: for each order it makes a new file of 60 MB.
fn forget_others(l0: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let deps = l0.with_file_name("deps");
    let kept = fs::metadata(l0)?.ino();
    for entry in fs::read_dir(&deps).with_context(|| format!("reading {}", deps.display()))? {
        let entry = entry?;
        if is_l0(&entry.file_name().to_string_lossy()) && entry.metadata()?.ino() != kept {
            fs::remove_file(entry.path()).with_context(|| format!("removing {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// Whether Cargo calls an executable `l0` so: `l0-`, and its hash.
fn is_l0(name: &str) -> bool {
    let hash = name.strip_prefix("l0-").unwrap_or_default();
    hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Has Cargo build the executable and link it in this way, and says where it is.
fn linked(project: &Project, profile: Profile, more: &[&str], link: &[&str]) -> Result<PathBuf> {
    let mut command = project.command(env!("CARGO"));
    command.args(["rustc", "--locked", "--package", "l0", "--bin", "l0", "--message-format=json-render-diagnostics"]);
    command.args(profile.options()).args(more).arg("--").args(link);
    // How far it is and what is wrong goes to stderr as ever.
    let out = command.stderr(Stdio::inherit()).output().context("running cargo")?;
    if !out.status.success() {
        bail!("`cargo rustc` ended with {}", out.status);
    }
    let said = String::from_utf8_lossy(&out.stdout);
    executable(&said).with_context(|| format!("`cargo rustc {}` built nothing", more.join(" ")))
}

/// The last executable that Cargo's messages name.
fn executable(messages: &str) -> Option<PathBuf> {
    let named = |line: &str| Some(serde_json::from_str::<Value>(line).ok()?.get("executable")?.as_str()?.into());
    messages.lines().rev().find_map(named)
}

/// Why this executable's functions can't be put in order here, by its content and that of one that runs here.
fn no_order(l0: &[u8], ours: &[u8]) -> Option<&'static str> {
    // Which processor an ELF file is for: `e_machine`.
    const MACHINE: std::ops::Range<usize> = 18..20;
    if l0.get(MACHINE) != ours.get(MACHINE) {
        return Some("it is for another processor, and can't show here what it needs");
    }
    let is_linked_so = l0.windows(LLVM_LINKER.len()).any(|bytes| bytes == LLVM_LINKER);
    (!is_linked_so).then_some("only LLVM's linker takes their order, and Rust links with another one here")
}

/// Whether this C library, as `getconf` names it, reads packed relocations.
fn is_packed_understood(said: &str) -> bool {
    let version = said.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let parsed = version.and_then(|(major, minor)| Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?)));
    parsed.is_some_and(|version: (u32, u32)| version >= PACKED_SINCE)
}

/// An empty directory for what comes up on the way, and the right to it. It stays, so that one can look.
fn directory(project: &Project, profile: Profile) -> Result<(PathBuf, File)> {
    let directory = project.root.join("target").join(profile.directory());
    fs::create_dir_all(&directory).with_context(|| format!("making {}", directory.display()))?;
    let alone = File::create(directory.with_extension("lock"))?;
    alone.try_lock().with_context(|| format!("another one is at work in {}", directory.display()))?;
    fs::remove_dir_all(&directory).with_context(|| format!("removing {}", directory.display()))?;
    fs::create_dir_all(&directory)?;
    Ok((directory, alone))
}

fn failed(directory: &Path) -> String {
    format!("showing what it needs; its servers' log is {}", directory.join("server.log").display())
}

/// How far it is, for whoever watches; what it is about goes to stdout.
fn say(what: &str) {
    eprintln!("release: {what}");
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

    #[test]
    fn what_another_linker_made_or_another_processor_runs_has_no_order() {
        let elf = |machine: u8, comment: &[u8]| [&[0; 18][..], &[machine, 0], b"rustc\0", comment].concat();
        let ours = elf(62, b"");
        assert_eq!(no_order(&elf(62, b"Linker: LLD 22.1.2\0"), &ours), None);
        assert!(no_order(&elf(62, b"mold 2.30"), &ours).is_some_and(|why| why.contains("linker")));
        assert!(no_order(&elf(183, b"Linker: LLD 22.1.2\0"), &ours).is_some_and(|why| why.contains("processor")));
        assert!(no_order(b"", &ours).is_some());
    }

    #[test]
    fn only_executables_of_earlier_releases_are_removed() {
        assert!(is_l0("l0-0123456789abcdef"));
        for other in
            ["l0-0123456789abcdef.d", "l0", "l0-0123", "liblayer0_api-0123456789abcdef.rlib", "l0-0123456789abcdeg"]
        {
            assert!(!is_l0(other), "{other}");
        }
    }
}
