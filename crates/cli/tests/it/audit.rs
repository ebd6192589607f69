//! The audit log, printed and followed.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, env, error, run};

fn entry(sequence: u64, who: &str, action: &str) -> Value {
    json!({
        "sequence": sequence, "at": format!("2026-01-02T03:04:{:02}.123Z", sequence % 60), "who": who, "from": "10.0.0.1", "action": action,
        "target": "team/app:v1", "status": 201,
    })
}

fn frame(entry: &Value) -> String {
    format!("event: entry\nid: {}\ndata: {entry}\n\n", entry["sequence"])
}

#[test]
fn the_newest_entries_are_a_table() {
    let fake = Fake::start();
    let all = json!([entry(7, "alice", "repository_create"), entry(9, "team+ci", "manifest_push")]);
    fake.json("GET /admin/audit", all.clone())
        .json("GET /admin/audit?limit=1&end=2026-01-03+00%3A00&who=team%2Bci", json!([]));
    assert_snapshot!("audit", fake.run(&["admin", "audit"]).text());
    let args = ["admin", "audit", "--tail", "1", "--who", "team+ci", "--end", "2026-01-03 00:00"];
    assert_snapshot!("audit_none", fake.run(&args).text());
    // The one list that is no array in JSON: an object a line, with its fields as they came.
    let ran = fake.run(&["admin", "audit", "-o", "json"]);
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!(Value::Array(lines), all);
    assert!(ran.stdout.starts_with("{\"sequence\":7,\"at\":"), "{}", ran.stdout);
}

#[test]
fn from_a_moment_on_all_pages_are_printed() {
    let fake = Fake::start();
    let page = |from: u64, to: u64| Value::Array((from..=to).map(|at| entry(at, "alice", "token_create")).collect());
    let line = |after: u64| format!("GET /admin/audit?after={after}&limit=1000&start=2026-01-01+00%3A00");
    fake.json(&line(0), page(1, 1000)).json(&line(1000), page(1001, 2000)).json(&line(2000), page(2001, 2003));
    let ran = fake.run(&["admin", "audit", "--start", "2026-01-01 00:00", "-o", "json"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 2003));
    let ran = fake.run(&["admin", "audit", "--start", "2026-01-01 00:00"]);
    assert_eq!(ran.stdout.matches("WHO").count(), 1, "one header");
    assert_eq!(ran.stdout.lines().count(), 2004);

    fake.json("GET /admin/audit?limit=5&start=2026-01-01+00%3A00", page(3, 7));
    let ran = fake.run(&["admin", "audit", "--start", "2026-01-01 00:00", "--tail", "5"]);
    assert_eq!(ran.stdout.lines().count(), 6);
}

#[test]
fn a_followed_log_goes_on_over_a_restart_and_ends_when_the_right_does() {
    let fake = Fake::start();
    let [seven, eight, nine] = [7, 8, 9].map(|at| entry(at, "alice", "service_create"));
    fake.json("GET /admin/audit?limit=1", json!([seven]))
        .on("GET /admin/audit?after=7&limit=1&follow=true", [Reply::Broken(frame(&eight))])
        .on(
            "GET /admin/audit?after=8&limit=1&follow=true",
            [
                Reply::Nothing,
                error(503, "Stopping", "the server is stopping"),
                Reply::Events(frame(&eight) + &frame(&nine)),
            ],
        )
        .on("GET /admin/audit?after=9&limit=1&follow=true", [error(403, "Forbidden", "you are no admin")]);
    assert_snapshot!("audit_follow", fake.run(&["admin", "audit", "-f", "--tail", "1"]).text());
}

#[test]
fn a_log_that_is_empty_is_followed_from_its_start() {
    let fake = Fake::start();
    fake.json("GET /admin/audit?who=bob", json!([]))
        .on("GET /admin/audit?who=bob&follow=true", [Reply::Open(frame(&entry(3, "bob", "deploy_create")))]);
    let ran = fake.run(&["admin", "audit", "--follow", "--who", "bob", "-o=json", "-t", "300ms"]);
    assert_eq!((ran.code, ran.stdout), (6, format!("{}\n", ordered(3))));
}

/// The third entry as a line, its fields in the order of the API.
fn ordered(sequence: u64) -> String {
    format!(
        "{{\"sequence\":{sequence},\"at\":\"2026-01-02T03:04:03.123Z\",\"who\":\"bob\",\"from\":\"10.0.0.1\",\"action\":\"deploy_create\",\"target\":\"team/app:v1\",\"status\":201}}"
    )
}

#[test]
fn a_wrong_number_or_window_is_refused() {
    let vars = env(&[("LAYER0_API_ENDPOINT", "http://127.0.0.1:1"), ("LAYER0_AUTH_TOKEN", "x")]);
    for (args, why) in [
        (&["--tail", "many"][..], "error: --tail: 'many' is not a number of entries\n"),
        (&["--tail", "0"], "error: --tail must be at least 1\n"),
        (&["--tail", "10001"], "error: --tail may be 10000 at most\nhint: --start TIME without --tail"),
        (
            &["--follow", "--end", "2026-01-03 00:00"],
            "error: the argument '--follow' cannot be used with '--end <TIME>'\n",
        ),
    ] {
        let ran = run(&[&["admin", "audit"], args].concat(), &vars);
        assert_eq!(ran.code, 2, "{args:?}");
        assert!(ran.stderr.starts_with(why), "{}", ran.stderr);
    }
}
