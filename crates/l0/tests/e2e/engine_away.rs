//! The Docker engine is absent, restarts or hangs: requests answer, operations wait and say so, and all of it comes back.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::common::http;
use crate::common::instance::Instance;
use crate::common::run::Said;
use crate::common::until::until;
use crate::second_engine::SecondEngine;
use crate::stage::Stage;

/// A request must have its answer by then, whatever the engine does.
const PROMPT: Duration = Duration::from_secs(3);

#[track_caller]
fn prompt(said: Said) -> Said {
    assert!(said.took < PROMPT, "took too long:\n{}", said.all());
    said.ok()
}

/// All that reads answers while the engine does not.
#[track_caller]
fn reads(stage: &Stage) {
    for line in [
        &["service", "list"][..],
        &["service", "get", "app"],
        &["loadbalancer", "get", "web"],
        &["environment", "get", "dev"],
        &["deploy", "list"],
        &["task", "list"],
        &["repository", "list"],
        &["image", "list", "demo/app"],
        &["operation", "list"],
        &["admin", "debug"],
    ] {
        prompt(stage.l0(line));
    }
    let since = Instant::now();
    assert_eq!(http::get(&stage.address(), "/health").expect("an answer").status, 200);
    assert!(since.elapsed() < PROMPT, "{:?}", since.elapsed());
}

/// What needs the engine says in time that it is away; else what it said.
fn logs_complaint(stage: &Stage) -> Option<String> {
    let logs = stage.l0(&["service", "logs", "app"]);
    let good = logs.took < PROMPT && (logs.code == Some(0) || logs.err.contains("does not answer"));
    (!good).then(|| logs.all())
}

/// The engine and the instance on it. What the instance left is taken away by an engine that goes on.
struct Away {
    stage: Stage,
    engine: SecondEngine,
}

impl Drop for Away {
    fn drop(&mut self) {
        self.engine.go_on();
    }
}

/// Asks for another scale and waits until the operation says what it waits for.
#[track_caller]
fn scale_waits(stage: &Stage, count: &str) -> String {
    prompt(stage.l0(&["--no-wait", "service", "scale", "app", count]));
    let id = stage.json(&["operation", "list"])[0]["operation_id"].as_str().expect("an id").to_owned();
    until("the operation to say that it waits for the engine", || {
        let said = stage.l0(&["operation", "get", &id]).ok();
        if said.out.contains("engine") { Ok(()) } else { Err(said.all()) }
    });
    id
}

#[track_caller]
fn succeeds(stage: &Stage, id: &str) {
    until("the operation to succeed", || {
        let operation = stage.one(&["operation", "get", id]);
        if operation["state"] == "succeeded" { Ok(()) } else { Err(operation.to_string()) }
    });
}

#[test]
fn the_engine_is_absent_restarts_and_hangs() {
    let engine = SecondEngine::prepared();
    let host = engine.host();
    // Absent from the start.
    let stage = Stage::around(Instance::start(&["--docker-host", &host]), Some(&host));
    let mut away = Away { stage, engine };
    let Away { stage, engine } = &mut away;
    prompt(stage.l0(&["--no-wait", "environment", "create", "dev"]));
    let created = stage.json(&["operation", "list"])[0]["operation_id"].as_str().expect("an id").to_owned();
    until("the environment to say that it waits for the engine", || {
        let said = stage.l0(&["operation", "get", &created]).ok();
        if said.out.contains("engine") { Ok(()) } else { Err(said.all()) }
    });
    engine.start();
    succeeds(stage, &created);

    stage.fill(&["v1"]);
    stage.deploy("app", "v1", &["serve", "8080", "sleep"], &json!({}));
    stage.balancer("dev", "web", &[]);
    stage.l0(&["service", "create", "dev", "app", "app:1", "--scale", "2", "--loadbalancer", "web"]).ok();
    assert!(stage.page("web").starts_with("v1"));

    // It hangs: it takes connections, and says nothing.
    engine.hang();
    reads(stage);
    let hanging = logs_complaint(stage);
    // The load balancer needs no engine.
    assert!(stage.page("web").starts_with("v1"));
    let scaled = scale_waits(stage, "3");
    engine.go_on();
    succeeds(stage, &scaled);
    stage.settled("app", 3);

    // It restarts, and its containers stop with it.
    engine.stop();
    reads(stage);
    let stopped = logs_complaint(stage);
    let scaled = scale_waits(stage, "2");
    engine.start();
    succeeds(stage, &scaled);
    stage.settled("app", 2);
    assert!(stage.page("web").starts_with("v1"));
    stage.l0(&["environment", "delete", "-r", "dev"]).ok();
    assert_eq!(stage.label(), None);
    assert_eq!((hanging, stopped), (None, None), "logs of an engine that hangs, and of one that is stopped");
}
