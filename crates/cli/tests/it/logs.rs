//! Logs, whole and followed.

use insta::assert_snapshot;
use serde_json::json;

use crate::fake::{Fake, Reply, error};

fn line(container: &str, text: &str) -> String {
    format!("event: line\ndata: {}\n\n", json!({ "container_name": container, "line": text }))
}

#[test]
fn the_window_is_passed_on() {
    let fake = Fake::start();
    fake.found("type=service&fuzz=web", &[("web1", "web", "dev1", "")]).json(
        "GET /service/web1/logs?tail=5&start=2026-01-01+00%3A00&end=2026-01-02+00%3A00",
        json!([{ "container_name": "app", "lines": ["one", "two"] }]),
    );
    let args = ["service", "logs", "-tail", "5", "web", "--start=2026-01-01 00:00", "--end", "2026-01-02 00:00"];
    assert_snapshot!("service_logs", fake.run(&args).text());
    let ran = fake.run(&[&args[..], &["-o", "json"]].concat());
    assert_eq!(ran.json(), json!([{ "container_name": "app", "lines": ["one", "two"] }]));
    assert_eq!(fake.run(&["service", "logs", "web", "--tail", "many"]).code, 2);
}

#[test]
fn a_followed_log_goes_on_over_a_broken_connection_without_repeating_itself() {
    let fake = Fake::start();
    fake.found("type=task&fuzz=job", &[("job1", "job", "dev1", "")])
        .on("GET /task/job1/logs?follow=true", [Reply::Broken(line("app", "one") + &line("app", "two"))])
        .on(
            "GET /task/job1/logs?tail=1&follow=true",
            [Reply::Nothing, Reply::Events(line("app", "two") + &line("app", "three"))],
        )
        .on("GET /task/job1", [Reply::Nothing, Reply::Nothing, Reply::Json(200, task("STOPPED"))]);
    assert_snapshot!("task_logs_follow", fake.run(&["task", "logs", "-f", "job"]).text());
}

#[test]
fn what_the_server_refuses_in_the_middle_ends_a_followed_log() {
    let fake = Fake::start();
    let refused =
        json!({ "error_code": "InvalidValue", "message": "access denied to logs:FilterLogEvents", "hint": "allow it" });
    let events = line("app", "one") + &format!("event: error\ndata: {refused}\n\n");
    fake.found("type=service&fuzz=web", &[("web1", "web", "dev1", "")])
        .on("GET /service/web1/logs?follow=true", [Reply::Events(events)]);
    let ran = fake.run(&["service", "logs", "-f", "web"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stdout.contains("one") && ran.stderr.contains("logs:FilterLogEvents"), "{ran:?}");
}

#[test]
fn a_followed_log_with_an_end_comes_to_it() {
    let fake = Fake::start();
    fake.found("type=service&fuzz=web", &[("web1", "web", "dev1", "")])
        .on("GET /service/web1/logs?end=2026-01-02+03%3A04&follow=true", [Reply::Events(line("app", "one"))]);
    let ran = fake.run(&["service", "logs", "-f", "web", "--end", "2026-01-02 03:04"]);
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn each_line_is_one_json_value() {
    let fake = Fake::start();
    fake.found("type=service&fuzz=web", &[("web1", "web", "dev1", "")])
        .on("GET /service/web1/logs?tail=2&follow=true", [Reply::Events(line("app", "one") + &line("app", "two"))])
        .on("GET /service/web1", [error(404, "ServiceDoesNotExist", "gone")]);
    let ran = fake.run(&["service", "logs", "--follow", "web", "--tail=2", "-o", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.stdout,
        "{\"container_name\":\"app\",\"line\":\"one\"}\n{\"container_name\":\"app\",\"line\":\"two\"}\n"
    );
}

#[test]
fn a_timeout_that_was_asked_for_ends_a_followed_log() {
    let fake = Fake::start();
    fake.found("type=service&fuzz=web", &[("web1", "web", "dev1", "")])
        .on("GET /service/web1/logs?follow=true", [Reply::Open(line("app", "one"))]);
    let ran = fake.run(&["service", "logs", "-f", "web", "-t", "300ms"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (6, "app | one\n"));
}

fn task(status: &str) -> serde_json::Value {
    json!({
        "containers": [], "deploy_id": "app.1", "deploy_name": "app", "deploy_version": "1", "environment_id": "dev1",
        "environment_name": "dev", "status": status, "task_id": "job1", "task_name": "job", "stateful": false,
    })
}
