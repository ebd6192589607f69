//! The fake AWS as a process of its own, for simulations: what is measured beside it has its memory and its processor time to
//! itself.
//!
//! It says where it is reached on its first line, then answers each line of its input with one of its output, both JSON, and
//! ends when its input does, so that it never outlives who started it:
//!
//! | line | answer |
//! |---|---|
//! | `{"ask": "calls"}` | the calls since the last time, as rows: service, operation, status, how many, whether throttled |
//! | `{"ask": "throttles", "factor": 1}` | takes the limits of the API reference, so many times as high, and says them as rows: service, operations, at once, a second |
//! | `{"ask": "running"}` | the tasks that run, by service |
//! | `{"ask": "services"}` | each service: name, status, desired count, the definitions of which tasks run |
//! | `{"ask": "crash", "tasks": ["…"]}` | their essential containers end with 1; `{}` |
//!
//! Its argument is how it is set up, JSON too: `task_start_ms`, `task_stop_ms`, `stack_resource_ms`, `seed`, and
//! `"latency": false` for answers at once.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that answers on its output")]

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::process::ExitCode;

use layer0_testkit::aws::throttle::{Throttle, documented};
use layer0_testkit::aws::{EXECUTION, FakeAws, FakeAwsConfig, FakeImage, Latency, Role};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("fake-aws: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let given = std::env::args().nth(1).unwrap_or_else(|| "{}".to_owned());
    let given: Value = serde_json::from_str(&given).map_err(|why| format!("the argument is no JSON: {why}"))?;
    let aws = FakeAws::start(config(&given)).await;
    aws.role("l0-execution", Role::for_tasks(&EXECUTION));
    // As this one the server asks.
    aws.role("layer0", Role::for_tasks(&["iam:PassRole"]));
    for tag in ["1", "2"] {
        aws.image("team/app", tag, FakeImage::default());
    }
    println!("{}", json!({ "endpoint": aws.endpoint() }));
    // Reading blocks, and has a thread to itself.
    let (lines, mut asked) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = asked.recv().await {
        let asked: Value = serde_json::from_str(&line).map_err(|why| format!("a line is no JSON: {why}"))?;
        println!("{}", answer(&aws, &asked)?);
    }
    Ok(())
}

fn config(given: &Value) -> FakeAwsConfig {
    let mut config = FakeAwsConfig {
        // A second of a health check is one.
        second_ms: 1000,
        scheduler_ms: 200,
        restart_backoff_ms: 1000,
        latency: if given["latency"] == false { Latency::default() } else { Latency::lifelike() },
        throttles: documented(),
        ..FakeAwsConfig::default()
    };
    let set = |to: &mut u64, key: &str| *to = given[key].as_u64().unwrap_or(*to);
    set(&mut config.task_start_ms, "task_start_ms");
    set(&mut config.task_stop_ms, "task_stop_ms");
    set(&mut config.stack_resource_ms, "stack_resource_ms");
    set(&mut config.seed, "seed");
    config
}

fn answer(aws: &FakeAws, asked: &Value) -> Result<Value, String> {
    Ok(match asked["ask"].as_str() {
        Some("calls") => calls(aws),
        Some("throttles") => throttles(aws, asked["factor"].as_f64().unwrap_or(1.0)),
        Some("running") => json!(aws.world().running()),
        Some("services") => aws.world().services().iter().map(service).collect(),
        Some("crash") => {
            for task in asked["tasks"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                aws.crash(task, 1);
            }
            json!({})
        }
        _ => return Err(format!("`{asked}` asks for nothing that is known")),
    })
}

/// The calls, counted, and forgotten.
fn calls(aws: &FakeAws) -> Value {
    let mut counts: BTreeMap<(&str, String, u16, bool), u64> = BTreeMap::new();
    for call in aws.calls_take() {
        let service = call.service.map_or("?", |service| service.name());
        let throttled = ["ThrottlingException", "Throttling", "RequestLimitExceeded"].contains(&call.code.as_str());
        *counts.entry((service, call.operation, call.status, throttled)).or_default() += 1;
    }
    let row = |((service, operation, status, throttled), count)| json!([service, operation, status, count, throttled]);
    counts.into_iter().map(row).collect()
}

fn throttles(aws: &FakeAws, factor: f64) -> Value {
    let times = |it: Throttle| Throttle { bucket: it.bucket * factor, per_second: it.per_second * factor, ..it };
    let throttles: Vec<Throttle> = documented().into_iter().map(times).collect();
    let row = |it: &Throttle| json!([it.service.name(), it.operations, it.bucket, it.per_second]);
    let rows = throttles.iter().map(row).collect();
    aws.throttles(throttles);
    rows
}

fn service(it: &Value) -> Value {
    let deployments = it["deployments"].as_array().into_iter().flatten();
    let running: Vec<&Value> = deployments
        .filter(|deployment| deployment["runningCount"].as_u64().is_some_and(|running| running > 0))
        .map(|deployment| &deployment["taskDefinition"])
        .collect();
    json!({ "name": it["serviceName"], "status": it["status"], "desired": it["desiredCount"], "running": running })
}
