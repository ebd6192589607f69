//! Walks over the whole command tree, and over the predecessor's command set.

use std::ffi::OsString;

use clap::{Command, FromArgMatches as _};

use super::*;
use crate::argv::normalise;

fn parsed(line: &[&str]) -> Result<String, String> {
    let mut root = command();
    let args = std::iter::once("l0").chain(line.iter().copied()).map(OsString::from);
    let args = normalise(&root, args).map_err(|why| why.message)?;
    let matches = root.try_get_matches_from_mut(args).map_err(|why| why.render().to_string())?;
    let cli = Cli::from_arg_matches(&matches).map_err(|why| why.render().to_string())?;
    Ok(format!("{:?} {:?}", cli.globals, cli.noun))
}

/// Flags and a value for each; none for those that take none.
type Flags = &'static [(&'static str, &'static str)];

/// The predecessor's commands: the words, the positionals, and every flag with a value.
const COMMANDS: &[(&str, &[&str], Flags)] = &[
    ("admin debug", &[], &[]),
    ("admin logs", &[], &[("tail", "5"), ("start", "2026-01-01 00:00"), ("end", "2026-01-02 00:00")]),
    ("deploy create", &["./Dockerrun.aws.json", "app"], &[]),
    ("deploy delete", &["app:1"], &[]),
    ("deploy get", &["app*"], &[]),
    ("deploy list", &[], &[("all", "")]),
    (
        "environment create",
        &["dev"],
        &[("type", "m3.medium"), ("scale", "2"), ("user-data", "./script"), ("os", "linux"), ("ami", "ami-1")],
    ),
    ("environment delete", &["dev"], &[("recursive", "")]),
    ("environment delete", &["dev"], &[("r", "")]),
    ("environment list", &[], &[]),
    ("environment get", &["dev"], &[]),
    ("environment logs", &["dev"], &[("tail", "5"), ("start", "2026-01-01 00:00"), ("end", "2026-01-02 00:00")]),
    ("environment scale", &["dev", "2"], &[]),
    ("environment link", &["dev", "shared"], &[("bi-directional", "")]),
    ("environment unlink", &["dev", "shared"], &[("bi-directional", "")]),
    ("loadbalancer addport", &["web", "8000:80/http"], &[("certificate", "arn:aws:iam::1:x/y")]),
    (
        "loadbalancer create",
        &["dev", "web"],
        &[
            ("port", "80:80/tcp"),
            ("port", "443:80/https"),
            ("certificate", "arn:aws:iam::1:x/y"),
            ("private", ""),
            ("healthcheck-target", "HTTP:80/x"),
            ("healthcheck-path", "/x"),
            ("healthcheck-interval", "10"),
            ("healthcheck-timeout", "3"),
            ("healthcheck-healthy-threshold", "4"),
            ("healthcheck-unhealthy-threshold", "5"),
            ("idle-timeout", "90"),
            ("type", "classic"),
        ],
    ),
    ("loadbalancer delete", &["web"], &[]),
    ("loadbalancer get", &["dev:web"], &[]),
    ("loadbalancer list", &[], &[]),
    ("loadbalancer dropport", &["web", "8000"], &[]),
    (
        "loadbalancer healthcheck",
        &["web"],
        &[
            ("healthcheck-target", "HTTP:80/x"),
            ("healthcheck-path", "/x"),
            ("healthcheck-interval", "10"),
            ("healthcheck-timeout", "3"),
            ("healthy-threshold", "4"),
            ("unhealthy-threshold", "5"),
        ],
    ),
    ("loadbalancer idletimeout", &["web", "90"], &[]),
    ("service create", &["dev", "web", "app:latest"], &[("loadbalancer", "dev:web"), ("stateful", ""), ("scale", "3")]),
    ("service delete", &["web"], &[]),
    ("service get", &["dev:*"], &[]),
    ("service list", &[], &[]),
    ("service logs", &["web"], &[("tail", "5"), ("start", "2026-01-01 00:00"), ("end", "2026-01-02 00:00")]),
    ("service scale", &["web", "3"], &[]),
    ("service update", &["web", "app:2"], &[]),
    ("task create", &["dev", "job", "app:1"], &[("env", "app:A=1,2"), ("env", "app:B=x=y:z"), ("stateful", "")]),
    ("task delete", &["job"], &[]),
    ("task get", &["job"], &[]),
    ("task list", &[], &[]),
    ("task logs", &["job"], &[("tail", "5"), ("start", "2026-01-01 00:00"), ("end", "2026-01-02 00:00")]),
];

/// The flags in one of Go's four spellings.
fn spelled(flags: &[(&str, &str)], dashes: &str, equals: bool) -> Vec<String> {
    let mut out = Vec::new();
    for (name, value) in flags {
        match (value.is_empty(), equals) {
            (true, false) => out.push(format!("{dashes}{name}")),
            (true, true) => out.push(format!("{dashes}{name}=true")),
            (false, false) => out.extend([format!("{dashes}{name}"), (*value).to_owned()]),
            (false, true) => out.push(format!("{dashes}{name}={value}")),
        }
    }
    out
}

#[test]
fn every_command_of_the_predecessor_means_the_same_wherever_its_flags_stand() {
    for (words, positionals, flags) in COMMANDS {
        let words: Vec<&str> = words.split(' ').collect();
        let mut meanings = Vec::new();
        for dashes in ["-", "--"] {
            for equals in [false, true] {
                let flags = spelled(flags, dashes, equals);
                let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
                let globals = ["-o", "json", "-timeout=90s"];
                let half = positionals.len() / 2;
                let orders: [Vec<&[&str]>; 4] = [
                    vec![&globals, &words, &flags, positionals],
                    vec![&globals, &words, positionals, &flags],
                    vec![&words, &positionals[..half], &flags, &positionals[half..], &globals],
                    vec![&words, &globals, &flags, positionals],
                ];
                for order in orders {
                    let line = order.concat();
                    meanings.push(parsed(&line).unwrap_or_else(|why| panic!("{line:?}: {why}")));
                }
            }
        }
        assert_eq!(meanings.len(), 16);
        meanings.dedup();
        assert_eq!(meanings.len(), 1, "{words:?} means: {meanings:#?}");
        assert!(meanings[0].contains("json"), "{words:?}");
    }
}

#[test]
fn defaults_are_the_contracts() {
    insta::assert_debug_snapshot!(
        "defaults",
        [
            &["environment", "create", "dev"][..],
            &["environment", "link", "a", "b"],
            &["loadbalancer", "create", "dev", "web"],
            &["service", "create", "dev", "web", "app"],
            &["task", "create", "dev", "job", "app"],
            &["service", "logs", "web"],
        ]
        .map(|line| parsed(line).expect("a command").split_once("} ").map(|(_, noun)| noun.to_owned()))
    );
}

#[test]
fn names_of_the_older_line_mean_the_same() {
    for (old, new) in [
        ("environment create --size x --min-count 2 e", "environment create --type x --scale 2 e"),
        ("environment setmincount e 2", "environment scale e 2"),
        (
            "loadbalancer healthcheck --set-target a --set-interval 1 --set-timeout 2 --set-healthy-threshold 3 --set-unhealthy-threshold 4 l",
            "loadbalancer healthcheck --healthcheck-target a --healthcheck-interval 1 --healthcheck-timeout 2 --healthy-threshold 3 --unhealthy-threshold 4 l",
        ),
    ] {
        let words = |line: &'static str| parsed(&line.split(' ').collect::<Vec<_>>()).expect(line);
        assert_eq!(words(old), words(new));
    }
    for line in [
        "service create --wait e s d",
        "environment delete --wait e",
        "loadbalancer delete l --wait",
        "task create --copies 3 e t d",
        "task list --all",
        "loadbalancer create --disable-cross-zone e l",
        "loadbalancer cross-zone l --enable",
        "loadbalancer cross-zone l --disable",
        "job list",
        "job get j",
        "job delete j",
        "job logs j --tail 3",
        "admin version",
    ] {
        parsed(&line.split(' ').collect::<Vec<_>>()).expect(line);
    }
    assert!(parsed(&["loadbalancer", "cross-zone", "l", "--enable", "--disable"]).is_err());
}

#[test]
fn the_last_of_two_values_wins() {
    let once = parsed(&["service", "logs", "--tail", "5", "web"]);
    assert_eq!(parsed(&["service", "logs", "--tail", "3", "web", "-tail=5"]), once);
    assert_eq!(parsed(&["-o", "text", "deploy", "list", "-o", "json"]), parsed(&["-o", "json", "deploy", "list"]));
    let both = parsed(&["task", "create", "--env", "a:A=1", "--env", "a:B=2", "e", "t", "d"]).expect("a command");
    assert!(both.contains("a:A=1") && both.contains("a:B=2"), "{both}");
}

fn walk(command: &Command, path: &str, visit: &mut impl FnMut(&str, &Command)) {
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let path = format!("{path} {}", sub.get_name());
        visit(&path, sub);
        walk(sub, &path, visit);
    }
}

#[test]
fn the_tree_is_sound() {
    Cli::command().debug_assert();
}

/// Cuts a line into words as a shell does: what stands in single quotes is one.
fn words_of(line: &str) -> Vec<&str> {
    let quoted = line.split('\'').enumerate();
    quoted.flat_map(|(at, part)| if at % 2 == 1 { vec![part] } else { part.split_whitespace().collect() }).collect()
}

#[test]
fn every_command_has_an_example_that_the_parser_takes() {
    let mut seen = 0;
    walk(&command(), "l0", &mut |path, command| {
        seen += 1;
        let help = command.clone().render_long_help().to_string();
        let (_, examples) = help.split_once("Example:\n").unwrap_or_else(|| panic!("`{path} --help` has no example"));
        let mut own = 0;
        for example in examples.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let line = example.strip_prefix("eval \"$(").map_or(example, |inner| inner.trim_end_matches(")\""));
            assert!(line.starts_with(path), "the example of `{path}` is of another command: {example}");
            own += 1;
            let line = line.split(" > ").next().unwrap_or_default();
            let line = line.split(" < ").next().unwrap_or_default();
            let words = words_of(line);
            parsed(&words[1..]).unwrap_or_else(|why| panic!("{example}: {why}"));
        }
        assert!(own > 0, "{path}");
        assert!(command.get_about().is_some(), "`{path}` does not say what it does");
    });
    assert!(seen > 85, "{seen} commands only");
}

#[test]
fn every_argument_says_what_it_is_for() {
    let mut root = command();
    // With the global flags and `help` in each command.
    root.build();
    walk(&root, "l0", &mut |path, command| {
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "`{path}`: {} has no help", arg.get_id());
        }
    });
}
