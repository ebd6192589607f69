//! The rules that a change must keep. Each is a module with one `check` function, which knows nothing of the others;
//! here is only the list of them, and how their findings are told.

mod arrows;
mod domain;
mod duplicates;
mod generated;
mod length;
mod licences;
mod links;
mod suites;
mod tools;
mod words;

use std::time::Instant;

use anyhow::{Result, bail};

use crate::project::Project;

/// What a rule found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// What is wrong and where, one line each.
    broken: Vec<String>,
    /// What deserves a look but stops nobody.
    warnings: Vec<String>,
}

impl Findings {
    /// Notes something that must be mended.
    pub(crate) fn broken(&mut self, what: impl Into<String>) {
        self.broken.push(what.into());
    }

    /// Notes something that deserves a look.
    pub(crate) fn warn(&mut self, what: impl Into<String>) {
        self.warnings.push(what.into());
    }
}

/// One rule.
struct Rule {
    name: &'static str,
    about: &'static str,
    /// What to do about a finding.
    mend: &'static str,
    check: fn(&Project) -> Result<Findings>,
}

/// The rules, the quick ones first.
const RULES: &[Rule] = &[
    Rule {
        name: "arrows",
        about: "which crate may depend on which",
        mend: "Move the code to the side of the arrow it belongs on; the arrows are in crates/xtask/src/check/arrows.rs.",
        check: arrows::check,
    },
    Rule {
        name: "domain",
        about: "the domain touches no clock, randomness, environment, file or socket",
        mend: "Take the value as an argument, or ask for it through a port.",
        check: domain::check,
    },
    Rule {
        name: "duplicates",
        about: "one version of each crate",
        mend: "Bring the versions together (`cargo tree --duplicates` shows who asks for which), \
               or give the reason in crates/xtask/src/check/duplicates.rs.",
        check: duplicates::check,
    },
    Rule {
        name: "licences",
        about: "every dependency's licence is one of the allowed",
        mend: "Choose another crate; the allowed licences are in crates/xtask/src/check/licences.rs.",
        check: licences::check,
    },
    Rule {
        name: "length",
        about: "source files stay short (warns)",
        mend: "Split the file by noun.",
        check: length::check,
    },
    Rule {
        name: "words",
        about: "no word that belongs to one workplace, no host of a package registry",
        mend: "Say it so that it is true for every reader, wherever they work.",
        check: words::check,
    },
    Rule {
        name: "links",
        about: "links between the documents lead somewhere",
        mend: "Mend the path (it is relative to the document), or write the file it names.",
        check: links::check,
    },
    Rule {
        name: "suites",
        about: "tests that need a Docker engine run only when asked for",
        mend: "docs/testing.md says what the crate's Cargo.toml needs.",
        check: suites::check,
    },
    Rule {
        name: "fmt",
        about: "the code is formatted",
        mend: "Run `cargo fmt --all`, and `cargo fmt --manifest-path` with examples/guestbook/Cargo.toml and fuzz/Cargo.toml.",
        check: tools::fmt,
    },
    Rule {
        name: "clippy",
        about: "no warning from the compiler or Clippy, in any target with any feature",
        mend: "Follow the lint, or `#[expect(lint, reason = \"...\")]` where it is wrong.",
        check: tools::clippy,
    },
    Rule {
        name: "doc",
        about: "the documentation builds without a warning",
        mend: "Run `RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --all-features --no-deps` and mend what it names.",
        check: tools::doc,
    },
    Rule {
        name: "alone",
        about: "the executable builds with what its crates ask for themselves",
        mend: "Name the missing feature in the Cargo.toml of the crate that needs it.",
        check: tools::alone,
    },
    Rule {
        name: "generated",
        about: "generated files are what their source makes of them",
        mend: "Run `cargo xtask generate` and commit what it wrote.",
        check: generated::check,
    },
];

/// Prints the rules.
pub(crate) fn list() {
    for rule in RULES {
        println!("{:<12}{}", rule.name, rule.about);
    }
}

/// Checks the named rules, or all of them. `Ok(false)` when one is broken; the rest is checked all the same.
pub(crate) fn run(project: &Project, names: &[&str]) -> Result<bool> {
    if let Some(unknown) = names.iter().find(|name| !RULES.iter().any(|rule| rule.name == **name)) {
        bail!("there is no check `{unknown}`; `cargo xtask check --list` names them");
    }
    let mut broken = Vec::new();
    for rule in RULES.iter().filter(|rule| names.is_empty() || names.contains(&rule.name)) {
        let since = Instant::now();
        let findings = (rule.check)(project)?;
        let verdict = if findings.broken.is_empty() { "ok" } else { "BROKEN" };
        println!("check {:<12}{verdict:<8}{:>6.1} s  {}", rule.name, since.elapsed().as_secs_f64(), rule.about);
        for line in &findings.warnings {
            println!("  warning: {line}");
        }
        for line in &findings.broken {
            println!("  {line}");
        }
        if !findings.broken.is_empty() {
            println!("  => {}", rule.mend);
            broken.push(rule.name);
        }
    }
    if broken.is_empty() {
        println!("check: all rules are kept");
    } else {
        println!("check: broken: {}", broken.join(", "));
    }
    Ok(broken.is_empty())
}
