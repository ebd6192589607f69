//! Command lines that can't be read, help, and suggestions.

use insta::assert_snapshot;

use crate::fake::{env, run};

fn text(args: &[&str]) -> String {
    run(args, &env(&[])).text()
}

#[test]
fn a_missing_argument_is_named() {
    for (args, label) in [
        (&["service", "get"][..], "SERVICE_NAME"),
        (&["service", "scale", "web"], "COUNT"),
        (&["service", "create"], "ENVIRONMENT"),
        (&["service", "create", "dev"], "SERVICE_NAME"),
        (&["service", "create", "dev", "web", "--scale", "2"], "DEPLOY"),
        (&["environment", "delete"], "NAME"),
        (&["environment", "link", "a"], "DESTINATION_ENVIRONMENT_NAME"),
        (&["loadbalancer", "addport", "web"], "PORT"),
        (&["loadbalancer", "create"], "ENVIRONMENT_TARGET"),
        (&["deploy", "create"], "PATH"),
        (&["task", "create", "dev", "job"], "DEPLOY"),
        (&["operation", "follow"], "ID"),
        (&["image", "resolve"], "IMAGE"),
        (&["member", "add", "team"], "USER"),
        (&["user", "create"], "NAME"),
        (&["owner", "update", "team"], "--quota <SIZE>"),
        (&["repository", "immutable", "add"], "REPOSITORIES"),
        (&["token", "rotate"], "ID"),
    ] {
        let ran = run(args, &env(&[]));
        assert_eq!(ran.code, 2, "{args:?}");
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.starts_with(&format!("error: Argument {label} is required\n")), "{args:?}: {}", ran.stderr);
    }
}

#[test]
fn what_is_unknown_gets_the_closest_suggestion() {
    assert_snapshot!("unknown_command", text(&["servcie", "list"]));
    assert_snapshot!("unknown_verb", text(&["service", "updat", "web"]));
    assert_snapshot!("unknown_flag", text(&["service", "logs", "-tial", "5", "web"]));
    assert_snapshot!("unknown_flag_json", text(&["service", "logs", "--tial", "5", "web", "-o", "json"]));
}

#[test]
fn what_is_too_much_or_of_the_wrong_kind_is_refused() {
    assert_snapshot!("extra_argument", text(&["service", "get", "web", "api"]));
    assert_snapshot!("bad_integer", text(&["service", "create", "--scale", "two", "dev", "web", "app"]));
    assert_snapshot!("bad_boolean", text(&["deploy", "list", "--all=maybe"]));
    assert_snapshot!("missing_value", text(&["service", "logs", "web", "--tail"]));
    assert_snapshot!("bad_output", text(&["-o", "yaml", "service", "list"]));
    assert_snapshot!("bad_timeout", text(&["-t", "5", "service", "list"]));
}

#[test]
fn programs_get_no_help_text_where_a_command_is_missing() {
    for args in [&["-o", "json"][..], &["-o", "json", "service"]] {
        let ran = run(args, &env(&[]));
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{args:?}");
        let said: serde_json::Value = serde_json::from_str(&ran.stderr).expect("one JSON value");
        assert_eq!(said["Code"], 2, "{args:?}");
    }
}

#[test]
fn help_is_data_and_a_missing_command_is_not() {
    let ran = run(&["help", "service", "create"], &env(&[]));
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stderr, "");
    assert_eq!(run(&["service", "create", "-h"], &env(&[])).code, 0);
    assert_eq!(run(&["h", "service", "create"], &env(&[])), ran);
    assert_snapshot!("help_service_create", run(&["service", "create", "--help"], &env(&[])).text());
    assert_snapshot!("help_token_create", run(&["token", "create", "--help"], &env(&[])).text());
    assert_snapshot!("help_member_add", run(&["member", "add", "--help"], &env(&[])).text());
    assert_snapshot!("help_admin_audit", run(&["admin", "audit", "--help"], &env(&[])).text());
    assert_snapshot!("help", run(&["--help"], &env(&[])).text());

    let ran = run(&["service"], &env(&[]));
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    assert!(ran.stderr.contains("Usage: l0 service"), "{}", ran.stderr);
}

#[test]
fn the_version_is_printed() {
    let version = env!("CARGO_PKG_VERSION");
    for args in [&["-v"][..], &["--version"], &["-V"]] {
        let ran = run(args, &env(&[]));
        assert_eq!((ran.code, ran.stdout), (0, format!("l0 {version}\n")));
    }
    assert_eq!(run(&["version"], &env(&[])).stdout, format!("{version}\n"));
    assert_eq!(run(&["version", "-o", "json"], &env(&[])).json()["Message"], version);
}
