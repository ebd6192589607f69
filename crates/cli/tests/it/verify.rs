//! `l0 admin verify`.

use insta::assert_snapshot;
use layer0_cli::Terminal;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, error, run_on};

fn frame(event: &str, data: &Value) -> String {
    format!("event: {event}\ndata: {data}\n\n")
}

fn progress(blobs: u64, mib: u64) -> String {
    let data = json!({
        "mib_per_s": 64, "blobs_total": 4, "bytes_total": 4 << 20, "blobs": blobs, "bytes": mib << 20, "manifests": 0,
    });
    frame("progress", &data)
}

fn finding(kind: &str, digest: &str, problem: &str, users: &[(&str, &[&str])]) -> String {
    let users: Vec<Value> = users
        .iter()
        .map(|(repository, tags)| json!({ "repository": repository, "manifests": ["sha256:77"], "tags": tags }))
        .collect();
    frame("finding", &json!({ "kind": kind, "digest": digest, "problem": problem, "users": users }))
}

fn report(findings: u64, strays: u64) -> Value {
    json!({
        "blobs": 4, "bytes": 4 << 20, "manifests": 3, "findings": findings, "strays": strays, "stray_bytes": strays * 1000,
    })
}

const VERIFY: &str = "POST /admin/verify";

#[test]
fn all_is_well() {
    let fake = Fake::start();
    let events = [progress(0, 0), progress(1, 1), progress(2, 1), progress(4, 4), frame("end", &report(0, 2))].concat();
    fake.on(VERIFY, [Reply::Events(events)]);
    assert_snapshot!("verify_well", fake.run(&["admin", "verify"]).text());
    assert_eq!(fake.body(VERIFY), json!({}));
    let ran = fake.run(&["admin", "verify", "--rate", "200", "-o", "json"]);
    assert_eq!((ran.code, ran.json()), (0, json!({ "findings": [], "report": report(0, 2) })));
    assert_eq!(fake.requests()[1].body, json!({ "mib_per_s": 200 }));
    assert_eq!(fake.run(&["admin", "verify", "--rate", "0"]).code, 2);
}

/// Silence about them would be taken for their health.
#[test]
fn registries_that_are_not_read_are_named() {
    let fake = Fake::start();
    let mut end = report(0, 0);
    end["not_read"] = json!(["ecr", "eu"]);
    fake.on(VERIFY, [Reply::Events([progress(4, 4), frame("end", &end)].concat())]);
    assert_snapshot!("verify_not_read", fake.run(&["admin", "verify"]).text());
    let ran = fake.run(&["admin", "verify", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["report"].clone()), (0, end));
}

fn damaged() -> String {
    [
        progress(2, 2),
        finding("blob", "sha256:01", "damaged", &[("team/app", &["1", "latest"]), ("team/other", &[])]),
        finding("blob", "sha256:02", "missing", &[("team/app", &["a", "b", "c", "d", "e", "f", "g", "h", "i"])]),
        finding("blob", "sha256:03", "unreadable", &[("team/third", &["3"])]),
        finding("manifest", "sha256:04", "damaged", &[("team/app", &["1"])]),
        frame("end", &report(4, 0)),
    ]
    .concat()
}

#[test]
fn what_is_damaged_is_named_with_the_next_step() {
    let fake = Fake::start();
    fake.on(VERIFY, [Reply::Events(damaged())]);
    assert_snapshot!("verify_damaged", fake.run(&["admin", "verify"]).text());
    let ran = fake.run(&["admin", "verify", "-o=json"]);
    assert_eq!((ran.code, ran.json()["findings"].as_array().map(Vec::len)), (5, Some(4)));
    assert_snapshot!("verify_damaged_json", ran.stderr);
}

#[test]
fn a_run_is_joined_again_after_a_break_and_nothing_is_told_twice() {
    let fake = Fake::start();
    let first = [progress(1, 1), finding("blob", "sha256:01", "damaged", &[("team/app", &["1"])])].concat();
    let again = [first.clone(), progress(4, 4), frame("end", &report(1, 0))].concat();
    fake.on(VERIFY, [Reply::Broken(first), Reply::Nothing, Reply::Events(again)]);
    assert_snapshot!("verify_reconnected", fake.run(&["admin", "verify"]).text());
}

#[test]
fn a_run_that_comes_to_no_end_says_so() {
    let fake = Fake::start();
    let mut end = report(0, 0);
    end["error"] = json!("the server is stopping");
    fake.on(VERIFY, [Reply::Events(frame("end", &end))]);
    assert_snapshot!("verify_unfinished", fake.run(&["admin", "verify"]).text());
    fake.on(VERIFY, [error(422, "InvalidValue", "mib_per_s must be 1 to 100000 MiB a second, not 200000")]);
    assert_eq!(fake.run(&["admin", "verify", "--rate=200000"]).code, 4);
}

#[test]
fn on_a_terminal_one_line_is_redrawn_and_then_gone() {
    let fake = Fake::start();
    fake.on(VERIFY, [Reply::Events([progress(1, 1), progress(2, 3), frame("end", &report(0, 0))].concat())]);
    let ran = run_on(&["admin", "verify"], &fake.env(), Terminal::Live);
    assert_eq!(ran.code, 0);
    assert_eq!(
        ran.stderr,
        "\x1b[?7l\r\x1b[2K 25%  1 of 4 blobs, 1.0 MiB of 4.0 MiB, 0 findings\x1b[?7h\
         \x1b[?7l\r\x1b[2K 75%  2 of 4 blobs, 3.0 MiB of 4.0 MiB, 0 findings\x1b[?7h\
         \r\x1b[2KRead 4 blobs (4.0 MiB) and 3 manifests.\n"
    );
}
