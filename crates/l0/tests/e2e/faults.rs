//! The server is killed at any moment, and nothing is lost or done twice.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::until::until;
use crate::recorder::Recorder;
use crate::stage::{Stage, container};

const SERVE: [&str; 3] = ["serve", "8080", "sleep"];

/// The moments of a killing, after the change was accepted; a whole create or update takes about a second.
const MOMENTS_MS: [u64; 12] = [0, 20, 40, 80, 130, 200, 300, 420, 560, 720, 900, 1_200];

/// How containers are, for messages.
fn states(copies: &BTreeMap<String, Value>) -> String {
    let lines = copies.iter().map(|(id, one)| {
        format!("{} of {}: {}", &id[..12], one["Config"]["Labels"]["layer0.deployment"], one["State"])
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Accepts the change, kills the server that long after, starts it again, and follows the change to its end.
fn killed_during(stage: &mut Stage, moment: Duration, change: &[&str]) -> Value {
    stage.l0(&[&["--no-wait"], change].concat()).ok();
    let accepted = Instant::now();
    let newest = stage.json(&["operation", "list"])[0].clone();
    let id = newest["operation_id"].as_str().expect("an id").to_owned();
    // The command line that follows must not notice more than a pause.
    let mut follower = stage.l0_command(&["operation", "follow", &id]);
    let mut follower = follower.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program");
    until("the moment", || if accepted.elapsed() >= moment { Ok(()) } else { Err("not yet".to_owned()) });
    stage.server_kill();
    stage.server_start();
    let end = until("the operation to end", || {
        let operation = stage.one(&["operation", "get", &id]);
        match operation["state"].as_str() {
            Some("running" | "pending" | "parked") => Err(operation.to_string()),
            _ => Ok(operation),
        }
    });
    let status =
        until("the follower to end", || follower.try_wait().expect("our child").ok_or("it follows".to_owned()));
    assert!(status.success(), "the follower ended with {status} after a kill at {moment:?}: {end:#}");
    end
}

#[test]
fn killed_at_every_step_of_create_and_update() {
    let mut stage = Stage::with_versions(&["v1", "v2"]);
    stage.l0(&["environment", "create", "dev"]).ok();
    stage.deploy("app", "v1", &SERVE, &json!({}));
    stage.deploy("app", "v2", &SERVE, &json!({}));
    // One that stands by, and must not be touched by any of it.
    stage.l0(&["service", "create", "dev", "other", "app:1"]).ok();
    let recorder = Recorder::start(&stage);
    let bystander = stage.started("other");
    assert_eq!(bystander.len(), 1);

    for moment in MOMENTS_MS {
        let moment = Duration::from_millis(moment);
        let name = format!("app{}", moment.as_millis());
        stage.balancer("dev", &name, &[]);

        let balancer = format!("dev:{name}");
        let end = killed_during(
            &mut stage,
            moment,
            &["service", "create", "dev", &name, "app:1", "--scale", "2", "--loadbalancer", &balancer],
        );
        assert_eq!(end["state"], "succeeded", "killed {moment:?} into a create: {end:#}");
        stage.settled(&name, 2);
        let starts = recorder.counted("start", &name, 2);
        assert_eq!(starts.len(), 2, "killed {moment:?} into a create: copies were started twice: {starts:?}");
        assert_eq!(stage.copies(&name).len(), 2, "killed {moment:?} into a create: a container was left over");
        assert!(stage.page(&name).starts_with("v1"));

        let old = stage.started(&name);
        let end = killed_during(&mut stage, moment, &["service", "update", &name, "app:2"]);
        assert_eq!(end["state"], "succeeded", "killed {moment:?} into an update: {end:#}");
        until("the old copies to go", || {
            let left = stage.copies(&name);
            if left.keys().all(|id| !old.contains_key(id)) { Ok(()) } else { Err(states(&left)) }
        });
        stage.settled(&name, 2);
        let starts = recorder.counted("start", &name, 4);
        assert_eq!(starts.len(), 4, "killed {moment:?} into an update: copies were started twice: {starts:?}");
        assert_eq!(stage.copies(&name).len(), 2, "killed {moment:?} into an update: a container was left over");
        assert!(stage.page(&name).starts_with("v2"));

        assert_eq!(
            stage.started("other"),
            bystander,
            "killed at {moment:?}: a service that nobody changed was restarted"
        );
        stage.l0(&["--no-wait", "service", "delete", &name]).ok();
    }
}

#[test]
fn killed_with_services_running_adopts_them_all() {
    let mut stage = Stage::with_versions(&["v1"]);
    stage.l0(&["environment", "create", "dev"]).ok();
    stage.deploy("app", "v1", &SERVE, &json!({}));
    let beside = container("beside", "v1", &["sleep"], &json!({ "portMappings": [] }));
    stage.deploy_of("two", json!({ "containerDefinitions": [container("app", "v1", &SERVE, &json!({})), beside] }));
    stage.balancer("dev", "web", &[]);
    stage.l0(&["service", "create", "dev", "web", "app:1", "--scale", "3", "--loadbalancer", "web"]).ok();
    for name in ["one", "another"] {
        stage.l0(&["service", "create", "dev", name, "app:1"]).ok();
    }
    stage.l0(&["service", "create", "dev", "pair", "two:1", "--scale", "2"]).ok();
    stage.deploy("job", "v1", &["sleep"], &json!({}));
    stage.l0(&["--no-wait", "task", "create", "dev", "job", "job:1"]).ok();
    until("the task to run", || if stage.started("job").len() == 1 { Ok(()) } else { Err("not yet".to_owned()) });
    let all = |stage: &Stage| -> Vec<(String, String)> {
        let times = stage.containers().into_iter().map(|(id, one)| (id, one["State"]["StartedAt"].to_string()));
        times.collect()
    };
    let before = all(&stage);
    assert!(before.len() > 3 + 2 + 4, "{before:?}");

    for graceful in [false, true] {
        if graceful {
            stage.server_stop()
        } else {
            stage.server_kill()
        }
        stage.server_start();
        assert!(stage.page("web").starts_with("v1"));
        for (name, count) in [("web", 3), ("one", 1), ("another", 1), ("pair", 2)] {
            let service = until("the counts", || {
                let service = stage.service(name);
                if service["running_count"] == count { Ok(service) } else { Err(service.to_string()) }
            });
            assert_eq!(service["deployments"][0]["state"], "healthy", "{service:#}");
        }
        assert_eq!(stage.one(&["task", "get", "job"])["status"], "RUNNING");
        assert_eq!(all(&stage), before, "containers were changed by a restart (graceful: {graceful})");
    }
    stage.l0(&["task", "stop", "job"]).ok();
}

#[test]
fn strays_go_and_what_is_not_ours_stays() {
    let mut stage = Stage::with_versions(&["v1"]);
    stage.l0(&["environment", "create", "dev"]).ok();
    stage.deploy("app", "v1", &SERVE, &json!({}));
    stage.l0(&["service", "create", "dev", "app", "app:1"]).ok();
    let running = stage.started("app");
    let label = stage.label().expect("a label");
    let image = stage.any_image();
    let make = |stage: &Stage, name: &str, labels: &[&str]| {
        let name = format!("{}-{name}", stage.name);
        let labels: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
        let said = stage.docker(
            &[&["run", "--detach", "--network", "none", "--name", &name], &labels[..], &[&image, "sleep"]].concat(),
        );
        said.ok().out.trim().to_owned()
    };
    stage.server_kill();
    let mine = format!("layer0.instance={label}");
    let kind = [
        "layer0.kind=service",
        "layer0.entity=gone-0123456789",
        "layer0.name=gone",
        "layer0.role=app",
        "layer0.copy=gone-0123456789-1",
    ];
    let stray = make(
        &stage,
        "stray",
        &[&[mine.as_str(), "layer0.environment=dev-0123456789", "layer0.container=app", "layer0.size=1"], &kind[..]]
            .concat(),
    );
    let neighbour = make(&stage, "neighbour", &[&["layer0.instance=another-0123456789"], &kind[..]].concat());
    let foreign = make(&stage, "foreign", &[]);
    stage.server_start();
    until("the stray to go", || {
        if stage.containers().contains_key(&stray) { Err("it is there".to_owned()) } else { Ok(()) }
    });
    for (what, id) in [("another instance's container", &neighbour), ("a foreign container", &foreign)] {
        let said = stage.docker(&["inspect", "--format", "{{.State.Running}}", id]);
        stage.docker(&["rm", "--force", id]);
        assert_eq!(said.out.trim(), "true", "{what} was touched: {}", said.all());
    }
    assert_eq!(stage.started("app"), running);
}

#[test]
#[expect(clippy::print_stdout, reason = "the measured time is part of what the test shows")]
fn a_crashed_copy_is_replaced_at_once() {
    let stage = Stage::with_versions(&["v1"]);
    stage.l0(&["environment", "create", "dev"]).ok();
    stage.deploy("app", "v1", &SERVE, &json!({}));
    stage.l0(&["service", "create", "dev", "app", "app:1"]).ok();
    let recorder = Recorder::start(&stage);
    let dead = stage.started("app").into_keys().next().expect("a copy");
    stage.docker(&["kill", &dead]).ok();
    let started =
        until("a start after the end", || recorder.times("start", "app").first().cloned().ok_or("none yet".to_owned()));
    let died = recorder.times("die", "app");
    let took = Duration::from_nanos(u64::try_from(started.1 - died[0].1).expect("the start comes after the end"));
    println!("a crashed copy's replacement was started after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    stage.settled("app", 1);
}
