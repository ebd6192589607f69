//! From push to running, as a user goes: push, deploy by the friendly name, serve, update, scale, read, fail.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use serde_json::json;

use crate::common::http;
use crate::common::run::{run, signal};
use crate::common::until::until;
use crate::stage::Stage;

const SERVE: [&str; 5] = ["print", "here I am", "serve", "8080", "sleep"];

/// Pushes v2 with skopeo, from an archive that docker saved.
fn push_with_skopeo(stage: &Stage, version: &str) {
    let image = stage.import("demo/app", version);
    let archive = stage.path("image.tar");
    let archive = archive.to_str().expect("text");
    stage.docker(&["save", "--output", archive, &image]).ok();
    stage.docker(&["rmi", &image]).ok();
    let (user, secret) = stage.user_and_secret();
    let mut skopeo = stage.command("skopeo");
    skopeo.args(["--insecure-policy", "copy", "--dest-tls-verify=false", "--dest-creds", &format!("{user}:{secret}")]);
    skopeo.args([&format!("docker-archive:{archive}"), &format!("docker://{image}")]);
    run(&mut skopeo, b"").ok();
}

#[test]
fn from_push_to_running_and_on() {
    let stage = Stage::with_versions(&["v1", "v3"]);
    push_with_skopeo(&stage, "v2");
    stage.l0(&["environment", "create", "dev"]).ok();
    let port = stage.balancer("dev", "web", &[]);

    // The friendly name all along: what it became is said at once.
    let made =
        stage.deploy("app", "v1", &SERVE, &json!({ "environment": [{ "name": "ANSWER", "value": "from dev" }] }));
    made.says(&format!("registry.layer0.test/demo/app:v1 -> {}/demo/app:v1", stage.address()));
    stage.deploy("app", "v2", &SERVE, &json!({ "environment": [{ "name": "ANSWER", "value": "from dev" }] }));
    let created =
        stage.l0(&["service", "create", "dev", "app", "app:1", "--loadbalancer", "dev:web", "--scale", "2"]).ok();
    created.says("2 copies run and are healthy").says("2/2").says("app:1 healthy");

    // The page, from this machine by name and by URL, and from inside a container.
    assert_eq!(http::get(&format!("localhost:{port}"), "/").expect("an answer").body, "v1 from dev");
    assert_eq!(stage.page("web"), "v1 from dev");
    stage.deploy("look", "v1", &["fetch", &stage.host_of("web")], &json!({}));
    stage.l0(&["task", "create", "dev", "look", "look:latest"]).ok();
    stage.l0(&["task", "logs", "look"]).ok().says("v1 from dev");

    // Pinned: what runs is the digest that the tag had.
    let digest = stage.one(&["image", "get", "demo/app:v1"])["digest"].as_str().expect("a digest").to_owned();
    stage.l0(&["service", "get", "dev:app"]).ok().says(&format!("{}/demo/app@{digest}", stage.address()));
    assert!(stage.copies("app").values().all(|one| one["State"]["Running"] == true));

    update_under_load(&stage, port);
    scales(&stage);
    reads_logs(&stage);
    rolls_back(&stage);

    stage.l0(&["environment", "delete", "--recursive", "dev"]).ok();
    assert_eq!(stage.label(), None, "something of the instance is left on the engine");
}

/// v1 to v2 while requests come in all the time: none fails.
fn update_under_load(stage: &Stage, port: u16) {
    let (stop, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    let failed = thread::scope(|scope| {
        let visitors: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = Vec::new();
                    let mut held = None;
                    while !stop.load(Ordering::SeqCst) {
                        // A connection for three requests, as browsers do, then another one.
                        let count = asked.fetch_add(1, Ordering::SeqCst);
                        let mut connection =
                            held.take().map_or_else(|| http::Connection::open(&format!("localhost:{port}")), Ok);
                        let answer = connection.as_mut().map_err(|why| why.clone()).and_then(|open| open.get("/"));
                        match answer {
                            Ok(answer) if answer.status == 200 => held = connection.ok().filter(|_| count % 3 != 2),
                            other => failed.push(format!("{other:?}")),
                        }
                    }
                    failed
                })
            })
            .collect();
        let updated = stage.l0(&["service", "update", "app", "app:2"]);
        until("the old copies to go", || match stage.copies("app").len() {
            2 => Ok(()),
            count => Err(format!("{count} containers")),
        });
        stop.store(true, Ordering::SeqCst);
        updated.ok().says("2 copies run and are healthy");
        visitors.into_iter().flat_map(|visitor| visitor.join().expect("no panic")).collect::<Vec<_>>()
    });
    let asked = asked.load(Ordering::SeqCst);
    assert!(asked > 50, "only {asked} requests were made");
    assert!(failed.is_empty(), "{} of {asked} requests failed: {:?}", failed.len(), failed.first());
    assert_eq!(stage.page("web"), "v2 from dev");
}

fn scales(stage: &Stage) {
    let before = stage.started("app");
    stage.l0(&["service", "scale", "app", "3"]).ok().says("3/3");
    let up = stage.started("app");
    assert!(
        before.iter().all(|(id, at)| up.get(id) == Some(at)),
        "scaling up touched a running copy: {before:?} {up:?}"
    );
    stage.l0(&["service", "scale", "app", "1"]).ok();
    stage.settled("app", 1);
    stage.l0(&["service", "scale", "app", "0"]).ok();
    stage.settled("app", 0);
    let host = stage.host_of("web");
    let answer = http::get(&host, "/").expect("the load balancer itself answers");
    assert_eq!(answer.status, 503, "{answer:?}");
    stage.l0(&["service", "scale", "app", "2"]).ok().says("2/2");
    assert_eq!(stage.page("web"), "v2 from dev");
}

fn reads_logs(stage: &Stage) {
    let tail = stage.l0(&["service", "logs", "app", "--tail", "1"]).ok();
    assert_eq!(tail.out.matches("serving 8080").count(), 2, "{}", tail.all());
    tail.keeps_quiet_about("here I am");

    // Follow: lines of all copies, those of a copy that comes later too.
    stage.deploy("app", "v2", &["tick", "200", "serve", "8080", "sleep"], &json!({}));
    let mut command = stage.l0_command(&["service", "logs", "--follow", "dev:app"]);
    let out = std::fs::File::create(stage.path("followed")).expect("a file");
    let mut follower = command.stdout(out).stderr(Stdio::null()).spawn().expect("the program");
    stage.l0(&["service", "update", "app", "app:latest"]).ok();
    until("ticks of both new copies", || {
        let text = std::fs::read_to_string(stage.path("followed")).unwrap_or_default();
        let mut who: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("tick "))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        who.sort_unstable();
        who.dedup();
        if who.len() == 2 { Ok(()) } else { Err(text) }
    });
    signal(follower.id(), "INT");
    let status =
        until("the follower to end", || follower.try_wait().expect("our child").ok_or("it follows".to_owned()));
    assert_eq!(status.code(), Some(130));
}

/// Three ways a new version is no good. Each is rolled back, the old one serves on, and the cause is told.
fn rolls_back(stage: &Stage) {
    let good = stage.service("app")["deployments"][0]["deploy_id"].clone();
    let sick = json!({ "environment": [{ "name": "SICK", "value": "1" }] });
    let nowhere = json!({ "entryPoint": ["/nowhere"] });
    for (steps, more, cause, line) in [
        (&["print", "no database", "exit", "3"][..], &json!({}), "exit code 3", "no database"),
        (&["print", "feeling sick", "serve", "8080", "sleep"], &sick, "health", "feeling sick"),
        (&["sleep"], &nowhere, "/nowhere", ""),
    ] {
        stage.deploy("app", "v3", steps, more);
        let update = stage.l0(&["service", "update", "app", "app:latest"]).exits(5).says("rolled back").says(cause);
        assert!(
            line.is_empty() || update.err.contains(line),
            "the failed copy's last lines are not told:\n{}",
            update.all()
        );
        let told = stage.l0(&["service", "get", "app"]).ok().says("rolled back").says(cause);
        assert!(line.is_empty() || told.out.contains(line), "{}", told.all());
        let service = stage.service("app");
        let primary = service["deployments"].as_array().expect("a list").iter().find(|one| one["status"] == "PRIMARY");
        assert_eq!(primary.expect("one")["deploy_id"], good, "{service:#}");
        stage.settled("app", 2);
        assert!(stage.page("web").starts_with("v2"));
    }
    let failed = stage.l0(&["-o", "json", "service", "update", "app", "app:latest"]).exits(5);
    let error: serde_json::Value =
        serde_json::from_str(failed.err.trim()).unwrap_or_else(|why| panic!("{why}: {}", failed.all()));
    assert_eq!((error["Code"].as_i64(), error["State"].as_str()), (Some(5), Some("rolled_back")), "{error:#}");
}
