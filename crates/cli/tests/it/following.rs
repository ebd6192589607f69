//! Changes that take time.

use insta::assert_snapshot;
use layer0_cli::Terminal;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, end, error, operation, run_on, step};

fn service() -> Value {
    json!({
        "deployments": [{
            "created": "", "deploy_id": "app.2", "deploy_name": "app", "deploy_version": "2", "desired_count": 1, "pending_count": 0,
            "running_count": 1, "status": "PRIMARY", "updated": "", "deployment_id": "d2", "state": "healthy",
            "images": [{ "container_name": "app", "image": "reg.test/team/app:1", "resolved": "localhost:9090/team/app@sha256:ab" }],
        }],
        "desired_count": 1, "environment_id": "dev1", "environment_name": "dev", "load_balancer_id": "", "load_balancer_name": "",
        "pending_count": 0, "running_count": 1, "service_id": "web1", "service_name": "web", "stateful": false,
    })
}

/// A server on which `service create dev web app:latest` is operation `op1`.
fn creating() -> Fake {
    let fake = Fake::start();
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .found("type=deploy&fuzz=app", &[("app.1", "app", "", "1"), ("app.2", "app", "", "2")])
        .on("POST /service", [Reply::Json(202, json!({ "entity_id": "web1", "operation_id": "op1", "warnings": ["container `app`: `links` is not honoured"] }))])
        .json("GET /service/web1", service());
    fake
}

const CREATE: [&str; 5] = ["service", "create", "dev", "web", "app:latest"];

fn steps() -> [String; 3] {
    [
        step(1, "2026-01-02T03:04:05.000Z", "accepted"),
        step(2, "2026-01-02T03:04:05.840Z", "copy 1 starts"),
        step(3, "2026-01-02T03:04:17.000Z", "copy 1 is healthy"),
    ]
}

#[test]
fn a_create_is_followed_and_then_printed() {
    let fake = creating();
    let events = steps().concat() + &end(&operation("op1", "succeeded", None));
    fake.on("GET /operation/op1/events?after=0", [Reply::Events(events)]);
    assert_snapshot!("create_followed", fake.run(&CREATE).text());
    assert_eq!(
        fake.body("POST /service"),
        json!({ "deploy_id": "app.2", "environment_id": "dev1", "load_balancer_id": "", "scale": 1, "service_name": "web", "stateful": false })
    );
    let ran = fake.run(&[&CREATE[..], &["-o", "json"]].concat());
    assert_eq!((ran.code, &ran.json()[0]["service_id"]), (0, &json!("web1")));
    let warning: Value = serde_json::from_str(&ran.stderr).expect("stderr is a stream of JSON values");
    assert!(warning["Warning"].as_str().expect("a text").contains("links"));
}

#[test]
fn no_wait_says_how_to_follow() {
    let fake = creating();
    assert_snapshot!("create_no_wait", fake.run(&[&CREATE[..], &["--no-wait"]].concat()).text());
    fake.found("type=service&fuzz=web", &[("web1", "web", "dev1", "")])
        .on("DELETE /service/web1", [Reply::Json(202, json!({ "entity_id": "web1", "operation_id": "op2" }))]);
    assert_snapshot!("delete_no_wait", fake.run(&["--no-wait", "service", "delete", "web"]).text());
    let ran = fake.run(&["service", "delete", "web", "-o", "json", "--wait=false"]);
    assert!(ran.json()["Message"].as_str().expect("a text").contains("l0 operation follow op2"));
}

#[test]
fn a_failure_prints_its_cause_the_last_lines_and_the_hint() {
    let fake = creating();
    let cause = json!({
        "class": "exited", "message": "container `app` ended with exit code 1 three times", "hint": "the log lines above are the last the container wrote",
        "log_tail": [{ "container_name": "app", "line": "listening on 80" }, { "container_name": "app", "line": "panic: no database" }],
    });
    let events = steps().concat() + &end(&operation("op1", "rolled_back", Some(cause)));
    fake.on("GET /operation/op1/events?after=0", [Reply::Events(events)]);
    assert_snapshot!("create_rolled_back", fake.run(&CREATE).text());
    assert_snapshot!("create_rolled_back_json", fake.run(&[&["-o=json"], &CREATE[..]].concat()).text());

    fake.on("GET /operation/op1/events?after=0", [Reply::Events(end(&operation("op1", "superseded", None)))]);
    let ran = fake.run(&CREATE);
    assert_eq!(ran.code, 5);
    assert!(ran.stderr.contains("create of service `web` was superseded by a newer change"), "{}", ran.stderr);
}

#[test]
fn a_broken_stream_is_opened_again_after_the_last_event() {
    let fake = creating();
    let [one, two, three] = steps();
    // The connection breaks; then the server is away, then on its way in; then it sends an event twice.
    fake.on("GET /operation/op1/events?after=0", [Reply::Broken(one)])
        .on(
            "GET /operation/op1/events?after=1",
            [Reply::Nothing, error(503, "Stopping", "the server is stopping"), Reply::Events(two.clone())],
        )
        .on(
            "GET /operation/op1/events?after=2",
            [Reply::Events(two + &three + &end(&operation("op1", "succeeded", None)))],
        );
    assert_snapshot!("create_reconnected", fake.run(&CREATE).text());
    assert_eq!(fake.lines().iter().filter(|line| line.contains("/events")).count(), 5);
}

#[test]
fn an_operation_that_does_not_exist_is_not_waited_for() {
    let fake = Fake::start();
    fake.on(
        "GET /operation/op9/events?after=0",
        [error(404, "OperationDoesNotExist", "operation `op9` does not exist")],
    );
    assert_snapshot!("follow_missing", fake.run(&["operation", "follow", "op9"]).text());
}

#[test]
fn a_terminal_gets_one_live_line_for_each_step() {
    let fake = creating();
    let events = steps().concat() + &end(&operation("op1", "succeeded", None));
    fake.on("GET /operation/op1/events?after=0", [Reply::Events(events)]);
    let ran = run_on(&CREATE, &fake.env(), Terminal::Live);
    assert_eq!(ran.code, 0);
    for line in ["   0.0s  accepted\n", "   0.8s  copy 1 starts\n", "  12.0s  copy 1 is healthy\n"] {
        assert!(ran.stderr.contains(&format!("\r\u{1b}[2K{line}")), "{:?}", ran.stderr);
    }
    assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
    assert_eq!(ran.stderr.matches("\u{1b}[?7l").count(), ran.stderr.matches("\u{1b}[?7h").count());
}

#[test]
fn a_timeout_leaves_the_terminal_at_the_start_of_a_line() {
    let fake = Fake::start();
    fake.on(
        "GET /operation/op1/events?after=0",
        [Reply::Open(step(1, "2026-01-02T03:04:05Z", "waiting for the engine"))],
    );
    let ran = run_on(&["-t=300ms", "operation", "follow", "op1"], &fake.env(), Terminal::Live);
    assert_eq!(ran.code, 6);
    assert!(ran.stderr.contains("  waiting for the engine\nerror: Timeout after 300ms\n"), "{:?}", ran.stderr);
}

#[test]
fn operations_are_listed_and_shown_under_both_names() {
    let fake = Fake::start();
    let cause = json!({ "class": "timeout", "message": "no copy became healthy", "hint": "look at the logs" });
    let failed = operation("op1", "failed", Some(cause));
    fake.json("GET /operation", json!([failed, operation("op2", "succeeded", None)]))
        .json("GET /operation/op1", failed)
        .json(
            "GET /operation/op1/log",
            json!([
                { "sequence": 1, "at": "2026-01-02T03:04:05.000Z", "message": "accepted" },
                { "sequence": 2, "at": "2026-01-02T03:04:06.000Z", "message": "copy 1 starts" },
            ]),
        );
    assert_snapshot!("operation_list", fake.run(&["operation", "list"]).text());
    assert_eq!(fake.run(&["job", "list"]), fake.run(&["operation", "list"]));
    assert_snapshot!("operation_get", fake.run(&["operation", "get", "op1"]).text());
    assert_eq!(fake.run(&["job", "get", "op1"]), fake.run(&["operation", "get", "op1"]));
    assert_snapshot!("job_logs", fake.run(&["job", "logs", "op1", "--tail", "1"]).text());
    assert_snapshot!("job_delete", fake.run(&["job", "delete", "op1"]).text());
}

#[test]
fn a_recursive_delete_that_ends_early_says_what_is_left_to_do() {
    let fake = Fake::start();
    let service =
        json!({ "service_id": "s1", "service_name": "s1", "environment_id": "dev1", "environment_name": "dev" });
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .json("GET /service", json!([service]))
        .json("GET /task", json!([]))
        .on("DELETE /environment/dev1", [error(409, "DependencyError", "environment `dev` is in use")])
        .on("DELETE /service/s1", [Reply::Json(202, json!({ "entity_id": "s1", "operation_id": "op1" }))])
        .on("GET /operation/op1/events?after=0", [Reply::Open(String::new())]);
    assert_snapshot!("delete_recursive_early", fake.run(&["-t=300ms", "environment", "delete", "-r", "dev"]).text());
}

#[test]
fn a_recursive_delete_that_may_not_be_takes_nothing_away() {
    let fake = Fake::start();
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .on("DELETE /environment/dev1", [error(403, "Forbidden", "you may not delete it")]);
    let ran = fake.run(&["environment", "delete", "-r", "dev"]);
    assert_eq!(ran.code, 4, "{}", ran.text());
    let changes: Vec<String> = fake.lines().into_iter().filter(|line| !line.starts_with("GET")).collect();
    assert_eq!(changes, ["DELETE /environment/dev1"]);
}

#[test]
fn a_recursive_delete_empties_the_environment_in_order() {
    let fake = Fake::start();
    let linked = json!({
        "error_code": "DependencyError", "message": "environment `dev` is in use",
        "holders": [{ "entity_type": "environment", "entity_id": "shared1", "name": "shared" }],
    });
    let of = |environment: &str| json!({ "environment_id": environment, "environment_name": environment });
    let entity = |kind: &str, id: &str, environment: &str| {
        let mut entity = of(environment);
        entity[format!("{kind}_id")] = json!(id);
        entity[format!("{kind}_name")] = json!(id);
        entity["load_balancer_type"] = json!("application");
        entity
    };
    fake.found("type=environment&fuzz=dev", &[("dev1", "dev", "", "")])
        .json("GET /service", json!([entity("service", "s1", "dev1"), entity("service", "s2", "other")]))
        .json("GET /task", json!([entity("task", "t1", "dev1")]))
        .json(
            "GET /loadbalancer",
            json!([entity("load_balancer", "l1", "dev1"), entity("load_balancer", "l2", "other")]),
        )
        .on("DELETE /service/s1", [Reply::Json(202, json!({ "entity_id": "s1", "operation_id": "op1" }))])
        .on("DELETE /task/t1", [error(404, "TaskDoesNotExist", "gone meanwhile")])
        .on("DELETE /loadbalancer/l1", [Reply::Json(202, json!({ "entity_id": "l1", "operation_id": "op2" }))])
        .json("PATCH /environment/shared1", json!({ "entity_id": "shared1" }))
        .on(
            "DELETE /environment/dev1",
            [Reply::Json(409, linked), Reply::Json(202, json!({ "entity_id": "dev1", "operation_id": "op3" }))],
        );
    for id in ["op1", "op2", "op3"] {
        let events = step(1, "2026-01-02T03:04:05Z", "gone") + &end(&operation(id, "succeeded", None));
        fake.on(&format!("GET /operation/{id}/events?after=0"), [Reply::Events(events)]);
    }
    assert_snapshot!("delete_recursive", fake.run(&["environment", "delete", "-r", "dev"]).text());
    let order: Vec<String> =
        fake.lines().into_iter().filter(|line| !line.starts_with("GET") || line.contains("/events")).collect();
    assert_eq!(
        order,
        [
            "DELETE /environment/dev1",
            "PATCH /environment/shared1",
            "DELETE /service/s1",
            "DELETE /task/t1",
            "GET /operation/op1/events?after=0",
            "DELETE /loadbalancer/l1",
            "GET /operation/op2/events?after=0",
            "DELETE /environment/dev1",
            "GET /operation/op3/events?after=0",
        ]
    );
}

#[test]
fn a_roll_out_is_aborted_and_rolled_back() {
    let fake = creating();
    let accepted = |operation: &str, warnings: Value| {
        Reply::Json(202, json!({ "entity_id": "web1", "operation_id": operation, "warnings": warnings }))
    };
    fake.found("type=service&fuzz=web", &[("web1", "web", "dev1", "")])
        .on("POST /service/web1/abort", [accepted("op1", json!(["no deployment was healthy before"]))])
        .on("POST /service/web1/rollback", [accepted("op2", json!([]))]);
    for id in ["op1", "op2"] {
        let events = step(1, "2026-01-02T03:04:05Z", "the service is back") + &end(&operation(id, "succeeded", None));
        fake.on(&format!("GET /operation/{id}/events?after=0"), [Reply::Events(events)]);
    }
    assert_snapshot!("service_abort", fake.run(&["service", "abort", "web"]).text());
    assert_snapshot!("service_rollback", fake.run(&["service", "rollback", "--skip-pull-check", "web"]).text());
    assert_eq!(fake.body("POST /service/web1/abort"), json!({}));
    assert_eq!(fake.body("POST /service/web1/rollback"), json!({ "skip_pull_check": true }));
    let left = fake.run(&["service", "rollback", "web", "--no-wait"]);
    assert!(left.code == 0 && left.stderr.contains("l0 operation follow op2"), "{left:?}");
}
