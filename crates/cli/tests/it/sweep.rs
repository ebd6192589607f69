//! `l0 admin sweep`.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::fake::{Fake, Reply, error};

const PLAN: &str = "GET /admin/sweep";
const SWEEP: &str = "POST /admin/sweep";

fn frame(event: &str, data: &Value) -> String {
    format!("event: {event}\ndata: {data}\n\n")
}

fn thing(what: &str, name: &str, state: &str) -> Value {
    json!({ "what": what, "name": name, "state": state })
}

fn stray(kind: &str, id: &str, things: &[Value], outcome: &str) -> Value {
    json!({ "entity_type": kind, "entity_id": id, "things": things, "outcome": outcome })
}

fn service(outcome: &str) -> Value {
    let things = [
        thing("service", "l0-prod-web-1", "ACTIVE, 2 running"),
        thing("task definition", "l0-prod-web-1_app-1", "ACTIVE"),
    ];
    stray("service", "web-1", &things, outcome)
}

fn balancer(outcome: &str) -> Value {
    let mut stack = thing("stack", "l0-prod-lb-1", "DELETE_FAILED");
    stack["hindrance"] = json!("AWS::EC2::SecurityGroup: sg-1 has a dependent object");
    let mut balancer = stray("load_balancer", "lb-1", &[stack], outcome);
    if outcome == "left" {
        balancer["cause"] = json!("AWS::EC2::SecurityGroup: sg-1 has a dependent object");
    }
    balancer
}

fn report(gone: u64, left: u64) -> Value {
    json!({ "gone": gone, "left": left, "unclear": [] })
}

#[test]
fn without_yes_it_is_shown_and_nothing_is_asked_for() {
    let fake = Fake::start();
    let plan = json!({
        "strays": [service("found"), balancer("found")], "unclear": [thing("volume", "odd", "")],
    });
    fake.on(PLAN, [Reply::Json(200, plan.clone())]);
    let ran = fake.run(&["admin", "sweep"]);
    assert_snapshot!("sweep_plan", ran.text());
    let ran = fake.run(&["admin", "sweep", "-o", "json"]);
    assert_eq!((ran.code, ran.json()), (0, plan));
    assert!(fake.requests().iter().all(|request| request.line == PLAN), "{:?}", fake.requests());
    fake.on(PLAN, [Reply::Json(200, json!({ "strays": [], "unclear": [] }))]);
    assert_snapshot!("sweep_plan_empty", fake.run(&["admin", "sweep"]).text());
}

#[test]
fn with_yes_strays_go_and_it_is_said() {
    let fake = Fake::start();
    let events = [
        frame("progress", &json!({ "ended": 0 })),
        frame(
            "progress",
            &json!({ "strays": 1, "ended": 0, "waiting_for": "service `web-1`: waiting for 2 copies to stop" }),
        ),
        frame("stray", &service("gone")),
        frame("progress", &json!({ "strays": 1, "ended": 1 })),
        frame("end", &report(1, 0)),
    ]
    .concat();
    fake.on(SWEEP, [Reply::Events(events)]);
    assert_snapshot!("sweep_gone", fake.run(&["admin", "sweep", "--yes"]).text());
    let ran = fake.run(&["admin", "sweep", "-y", "-o", "json"]);
    assert_eq!((ran.code, ran.json()), (0, json!({ "strays": [service("gone")], "report": report(1, 0) })));
}

#[test]
fn what_is_left_is_named_with_its_cause_and_the_exit_code_says_so() {
    let fake = Fake::start();
    let events = [
        frame("stray", &balancer("left")),
        frame("stray", &service("gone")),
        frame("progress", &json!({ "strays": 2, "ended": 2 })),
        frame("end", &report(1, 1)),
    ]
    .concat();
    fake.on(SWEEP, [Reply::Events(events)]);
    assert_snapshot!("sweep_left", fake.run(&["admin", "sweep", "--yes"]).text());
    let ran = fake.run(&["admin", "sweep", "--yes", "-o=json"]);
    assert_eq!((ran.code, ran.json()["report"].clone()), (5, report(1, 1)));
}

/// The run after a break finds only what is left: what the first one took away is still told.
#[test]
fn a_sweep_goes_on_after_a_break_and_tells_all_of_it() {
    let fake = Fake::start();
    let first = [frame("progress", &json!({ "strays": 2, "ended": 0 })), frame("stray", &service("gone"))].concat();
    let mut freed = balancer("gone");
    freed["things"][0].as_object_mut().expect("an object").remove("hindrance");
    let second = [frame("stray", &freed), frame("end", &report(1, 0))].concat();
    fake.on(SWEEP, [Reply::Broken(first), Reply::Nothing, Reply::Events(second)]);
    let ran = fake.run(&["admin", "sweep", "--yes", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["report"].clone()), (0, report(2, 0)));
    assert_eq!(ran.json()["strays"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_sweep_that_comes_to_no_end_says_so() {
    let fake = Fake::start();
    let mut end = report(0, 0);
    end["error"] = json!("the docker engine does not answer");
    fake.on(SWEEP, [Reply::Events(frame("end", &end))]);
    assert_snapshot!("sweep_unfinished", fake.run(&["admin", "sweep", "--yes"]).text());
    fake.on(PLAN, [error(403, "Forbidden", "guest may not administer the instance")]);
    assert_eq!(fake.run(&["admin", "sweep"]).code, 4);
}
