//! No command and no flag of the built program goes without a run on AWS: what its own help names must be in a script.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::common::instance::L0;
use crate::common::run::run;
use crate::{line_r, machines};

/// Commands that are in no script, and where they are run instead.
const ELSEWHERE: [(&str, &str); 18] = [
    ("server", "every instance of these tests is one"),
    ("login", DEVELOPER),
    ("logout", DEVELOPER),
    ("registry login", DEVELOPER),
    ("registry logout", DEVELOPER),
    ("setup init", SETUP),
    ("setup plan", SETUP),
    ("setup apply", SETUP),
    ("setup upgrade", SETUP),
    ("setup destroy", SETUP),
    ("setup list", SETUP),
    ("setup endpoint", SETUP),
    ("setup set", SETUP),
    ("setup unset", SETUP),
    ("setup push", SETUP),
    ("setup pull", SETUP),
    ("setup status", SETUP),
    ("setup doctor", SETUP),
];

/// They read a secret from standard input and change files of docker and podman; no part of AWS is asked.
const DEVELOPER: &str = "tests/e2e/developer.rs, with the real docker, skopeo and podman; tests/it/pipeline.rs and identity.rs, in pipelines; tests/it/sign_in.rs and clients/oidc.rs, at a provider";

/// They speak to no server.
const SETUP: &str =
    "setup.rs, on the emulator; every flag and fault over an account in memory in layer0-cli and layer0-setup";

/// The nouns of the predecessor's line R, of which every flag is run as well.
const LINE_R: [&str; 6] = ["admin", "deploy", "environment", "loadbalancer", "service", "task"];

/// What the help of a command names.
#[derive(Debug, Default)]
struct Named {
    commands: Vec<String>,
    flags: BTreeSet<String>,
}

/// Reads the help of a command, as a user would.
fn help(command: &str) -> Named {
    let said = run(Command::new(L0).args(command.split_whitespace()).arg("--help"), b"").ok();
    let mut named = Named::default();
    let mut section = "";
    for line in said.out.lines() {
        let word = line.split_whitespace().next().unwrap_or_default();
        match line.strip_prefix("  ") {
            None if line.is_empty() => {}
            None => section = line,
            // A command's line is not further in; the text of one that is long goes on there.
            Some(rest) if section == "Commands:" && !rest.starts_with(' ') && word != "help" => {
                named.commands.push(format!("{command} {word}").trim().to_owned());
            }
            Some(rest) if section == "Options:" && rest.trim_start().starts_with('-') => {
                let flags = rest.split_whitespace().map(|word| word.split(['[', '=', ',']).next().unwrap_or_default());
                named.flags.extend(flags.take(2).filter(|flag| flag.starts_with("--")).map(str::to_owned));
            }
            Some(_) => {}
        }
    }
    named.flags.remove("--help");
    named
}

/// Every command that has no others under it, with its flags.
fn known() -> BTreeMap<String, BTreeSet<String>> {
    let mut left = vec![String::new()];
    let mut known = BTreeMap::new();
    while let Some(command) = left.pop() {
        let named = help(&command);
        if named.commands.is_empty() {
            known.insert(command, named.flags);
        } else {
            left.extend(named.commands);
        }
    }
    known
}

/// All lines of all scripts.
fn lines() -> Vec<&'static str> {
    line_r::SCRIPT.iter().map(|step| step.line).chain(machines::SCRIPT.iter().map(|step| step.line)).collect()
}

#[test]
fn what_the_help_names_is_run_on_aws() {
    let (known, lines) = (known(), lines());
    assert!(known.len() > 70, "the help can't be read any more: {known:?}");
    let mut missing = Vec::new();
    for (command, flags) in &known {
        let runs: Vec<&&str> =
            lines.iter().filter(|line| format!("{line} ").starts_with(&format!("{command} "))).collect();
        if runs.is_empty() {
            if !ELSEWHERE.iter().any(|(elsewhere, _)| elsewhere == command) {
                missing.push(format!("l0 {command}"));
            }
            continue;
        }
        if !LINE_R.iter().any(|noun| command.starts_with(noun)) {
            continue;
        }
        for flag in flags {
            let is_run = runs.iter().any(|line| line.split([' ', '=']).any(|word| word == flag));
            if !is_run {
                missing.push(format!("l0 {command} {flag}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "no script of tests/aws runs these (add a step to `line_r.rs`):\n{}",
        missing.join("\n")
    );
    for (command, _) in ELSEWHERE {
        assert!(known.contains_key(command), "`{command}` is no command any more");
    }
}
