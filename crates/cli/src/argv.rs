//! Turns an argument list in the syntax of Go's `flag` package into one that the parser takes.
//!
//! The predecessor's scripts write `-x v`, `--x v`, `-x=v` and `--x=v` alike, long names with one dash
//! (`-healthcheck-path /x`), and `--flag=false`. A value may begin with a dash (`--start -1` is a value there). Here each
//! flag is looked up in the command it stands in and written as `--long=value`; global flags move to the front, so that they
//! mean the same before and after the command, and the last one wins. What is unknown passes through with two dashes, for
//! the parser to refuse with a suggestion. Pure: knows nothing but the command tree and the list.
//!
//! Clusters of short flags (`-rd`) are not read: Go has none, and `-tail` would be one.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command};

use crate::error::CliError;
use crate::value::parse_bool;

/// Rewrites `args` (the program's name first). `root` need not be built: what building adds to each command (the global flags,
/// `help`) is looked for where it comes from.
///
/// # Errors
/// When a boolean flag is given a value that is no boolean.
pub(crate) fn normalise(root: &Command, args: impl IntoIterator<Item = OsString>) -> Result<Vec<OsString>, CliError> {
    let mut input = args.into_iter();
    let program = input.next().unwrap_or_else(|| OsString::from("l0"));
    let mut globals: Vec<OsString> = Vec::new();
    let mut rest: Vec<OsString> = Vec::new();
    let mut command = root;
    let mut top = true;

    while let Some(token) = input.next() {
        let Some(text) = token.to_str() else {
            rest.push(token);
            continue;
        };
        if text == "--" {
            rest.push(token);
            rest.extend(input.by_ref());
            break;
        }
        let Some((name, inline)) = flag_of(text) else {
            // `h` was the predecessor's short name of `help`.
            let word = if top && text == "h" { "help" } else { text };
            if word == "help" && command.has_subcommands() {
                rest.push(OsString::from(word));
                rest.extend(input.by_ref());
                break;
            }
            match command.find_subcommand(word) {
                Some(next) => {
                    rest.push(OsString::from(next.get_name()));
                    command = next;
                    top = false;
                }
                None => rest.push(token),
            }
            continue;
        };
        let global = || flag_find(root, name).filter(|arg| arg.is_global_set());
        let Some(arg) = flag_find(command, name).or_else(global) else {
            rest.push(OsString::from(unknown(text, name)));
            continue;
        };
        let target = if arg.is_global_set() { &mut globals } else { &mut rest };
        let written = spelled(arg);
        match arg.get_action() {
            ArgAction::SetTrue => {
                let on = inline.map_or(Ok(true), |value| boolean(name, value))?;
                target.retain(|known| *known != *written);
                if on {
                    target.push(OsString::from(written));
                }
            }
            ArgAction::Set | ArgAction::Append => {
                let optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
                let value = match inline {
                    Some(value) if optional => Some(OsString::from(boolean(name, value)?.to_string())),
                    Some(value) => Some(OsString::from(value)),
                    None if optional => Some(OsString::from("true")),
                    None => input.next(),
                };
                target.push(match value {
                    Some(value) => joined(&written, &value),
                    None => OsString::from(written),
                });
            }
            _ => target.push(OsString::from(written)),
        }
    }

    let mut out = Vec::with_capacity(1 + globals.len() + rest.len());
    out.push(program);
    out.append(&mut globals);
    out.append(&mut rest);
    Ok(out)
}

/// Name and inline value of a token that is a flag. `-`, and `-1` with other numbers, are words.
fn flag_of(text: &str) -> Option<(&str, Option<&str>)> {
    let body = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
    let first = body.chars().next()?;
    if first.is_ascii_digit() || first == '-' || first == '=' {
        return None;
    }
    Some(match body.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (body, None),
    })
}

fn flag_find<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    let mut chars = name.chars();
    let short = match (chars.next(), chars.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    };
    command.get_arguments().find(|arg| {
        !arg.is_positional()
            && (arg.get_long() == Some(name)
                || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
                || short.is_some_and(|short| {
                    arg.get_short() == Some(short)
                        || arg.get_all_short_aliases().is_some_and(|aliases| aliases.contains(&short))
                }))
    })
}

fn spelled(arg: &Arg) -> String {
    match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => String::new(),
    }
}

fn boolean(name: &str, value: &str) -> Result<bool, CliError> {
    parse_bool(value)
        .map_err(|_| CliError::usage(format!("invalid boolean value '{value}' for --{name} (true or false)")))
}

fn joined(flag: &str, value: &OsStr) -> OsString {
    let mut out = OsString::from(flag);
    out.push("=");
    out.push(value);
    out
}

fn unknown(text: &str, name: &str) -> String {
    // The same help for both (the parser has a shorter one for one letter), whatever it is set to.
    if matches!(name, "h" | "help") {
        return "--help".to_owned();
    }
    if text.starts_with("--") || name.chars().count() == 1 { text.to_owned() } else { format!("-{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args;

    fn run(line: &[&str]) -> String {
        let root = args::command();
        let args = std::iter::once("l0").chain(line.iter().copied()).map(OsString::from);
        let out = normalise(&root, args).expect("a list that can be rewritten");
        let words: Vec<String> = out.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn the_four_spellings_are_one() {
        for flag in [&["-tail", "5"][..], &["--tail", "5"], &["-tail=5"], &["--tail=5"]] {
            let mut before = vec!["service", "logs"];
            before.extend(flag);
            before.push("web");
            let mut after = vec!["service", "logs", "web"];
            after.extend(flag);
            assert_eq!(run(&before), "l0 service logs --tail=5 web");
            assert_eq!(run(&after), "l0 service logs web --tail=5");
        }
    }

    #[test]
    fn globals_move_to_the_front_from_anywhere() {
        let want = "l0 --output=json --timeout=5m service list";
        assert_eq!(run(&["-o", "json", "-t", "5m", "service", "list"]), want);
        assert_eq!(run(&["service", "list", "-o", "json", "-timeout=5m"]), want);
        assert_eq!(run(&["service", "--output", "json", "list", "--timeout", "5m"]), want);
    }

    #[test]
    fn booleans_take_a_value_behind_an_equals_sign_only() {
        assert_eq!(run(&["deploy", "list", "--all=false"]), "l0 deploy list");
        assert_eq!(run(&["deploy", "list", "-all=T"]), "l0 deploy list --all");
        assert_eq!(run(&["deploy", "list", "--all", "--all=0"]), "l0 deploy list");
        assert_eq!(
            run(&["environment", "link", "-bi-directional=false", "a", "b"]),
            "l0 environment link --bi-directional=false a b"
        );
        assert_eq!(
            run(&["environment", "link", "--bi-directional", "a", "b"]),
            "l0 environment link --bi-directional=true a b"
        );
        assert_eq!(run(&["--debug", "service", "list"]), "l0 --debug=true service list");
        let error = normalise(&args::command(), ["l0", "deploy", "list", "--all=maybe"].map(OsString::from))
            .expect_err("no boolean");
        assert_eq!(error.message, "invalid boolean value 'maybe' for --all (true or false)");
    }

    #[test]
    fn a_value_may_begin_with_a_dash_hold_commas_or_be_empty() {
        assert_eq!(run(&["service", "logs", "--start", "-x", "web"]), "l0 service logs --start=-x web");
        assert_eq!(run(&["task", "create", "--env", "a:B=c,d", "e", "t", "d"]), "l0 task create --env=a:B=c,d e t d");
        assert_eq!(run(&["environment", "create", "--ami=", "e"]), "l0 environment create --ami= e");
        assert_eq!(
            run(&["loadbalancer", "create", "-port", "80:80/tcp", "--port=81:81/tcp", "e", "l"]),
            "l0 loadbalancer create --port=80:80/tcp --port=81:81/tcp e l"
        );
    }

    #[test]
    fn aliases_become_the_name_itself() {
        assert_eq!(
            run(&["environment", "create", "--size", "m3.medium", "--min-count", "2", "e"]),
            "l0 environment create --type=m3.medium --scale=2 e"
        );
        assert_eq!(run(&["environment", "setmincount", "e", "3"]), "l0 environment scale e 3");
        assert_eq!(
            run(&["loadbalancer", "healthcheck", "--set-target", "TCP:81", "l"]),
            "l0 loadbalancer healthcheck --healthcheck-target=TCP:81 l"
        );
    }

    #[test]
    fn words_stay_words() {
        assert_eq!(run(&["service", "get", "--", "-odd"]), "l0 service get -- -odd");
        assert_eq!(run(&["service", "scale", "web", "-1"]), "l0 service scale web -1");
        assert_eq!(run(&["service", "get", "env:web*"]), "l0 service get env:web*");
        // A name that is also a command's.
        assert_eq!(run(&["service", "get", "service"]), "l0 service get service");
        assert_eq!(run(&["deploy", "create", "-", "app"]), "l0 deploy create - app");
    }

    #[test]
    fn the_unknown_passes_with_two_dashes() {
        assert_eq!(run(&["service", "logs", "-tial", "5"]), "l0 service logs --tial 5");
        assert_eq!(run(&["servcie", "list"]), "l0 servcie list");
        assert_eq!(run(&["service", "logs", "-z"]), "l0 service logs -z");
    }

    #[test]
    fn help_takes_the_rest() {
        assert_eq!(run(&["help", "service", "create"]), "l0 help service create");
        assert_eq!(run(&["h", "service"]), "l0 help service");
        for help in ["-h", "-help", "--help", "--help=true"] {
            assert_eq!(run(&["service", "create", help]), "l0 service create --help");
        }
    }

    #[test]
    fn a_missing_value_is_left_to_the_parser() {
        assert_eq!(run(&["service", "logs", "web", "--tail"]), "l0 service logs web --tail");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_need_not_be_text() {
        use std::os::unix::ffi::OsStringExt as _;
        let odd = OsString::from_vec(vec![b'/', 0xff]);
        let list = [OsString::from("l0"), "deploy".into(), "create".into(), odd.clone(), "app".into()];
        let out = normalise(&args::command(), list).expect("a list that can be rewritten");
        assert_eq!(out[3], odd);
    }
}
