//! The main path with the fake engine: environment, deploy, load balancer, service, task, and their ends.

use crate::common::instance::Instance;
use crate::common::port::free_port;
use crate::common::run::{run, signal};
use crate::common::until::until;

/// A task definition of one container that runs this image with these variables.
pub(crate) fn definition(image: &str, environment: &[(&str, &str)]) -> String {
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| serde_json::json!({ "name": name, "value": value })).collect();
    let app = serde_json::json!({ "name": "app", "image": image, "memory": 32, "environment": environment, "portMappings": [{ "containerPort": 80 }] });
    serde_json::json!({ "containerDefinitions": [app] }).to_string()
}

#[test]
fn the_main_path_runs_on_the_fake() {
    let instance = Instance::start(&["--engine", "fake"]);
    let ok = |arguments: &[&str]| instance.l0(arguments).ok();
    ok(&["environment", "create", "dev"]);
    let port = free_port();
    ok(&[
        "loadbalancer",
        "create",
        "dev",
        "web",
        "--port",
        &format!("{port}:80/http"),
        "--healthcheck-path",
        "/health",
    ]);
    let good = instance.file("good.json", definition("alpine:3", &[]));
    let bad = instance.file("bad.json", definition("alpine:3", &[("FAKE_EXIT", "3"), ("FAKE_LOG", "no database")]));
    ok(&["deploy", "create", &good, "app"]).says("app.1");
    ok(&["deploy", "create", &bad, "app"]).says("app.2");
    ok(&["service", "create", "--scale", "2", "dev", "app", "app:1", "--loadbalancer", "web"]).says("2/2");
    // A bad version is rolled back, and what it said last is told.
    instance
        .l0(&["service", "update", "app", "app:latest"])
        .exits(5)
        .says("rolled back")
        .says("exit code 3")
        .says("no database");
    ok(&["service", "get", "app"]).says("app:1");
    instance.l0(&["task", "create", "dev", "job", "app:2"]).exits(5).says("exit code 3");
    ok(&["task", "logs", "job"]).says("no database");
    ok(&["service", "scale", "app", "0"]);
    ok(&["environment", "delete", "dev", "-r"]);
    assert_eq!(instance.json(&["operation", "list"])[0]["state"], "succeeded");
}

#[test]
fn following_survives_a_restart_and_ends_with_ctrl_c() {
    let mut instance = Instance::start(&["--engine", "fake"]);
    instance.l0(&["environment", "create", "dev"]).ok();
    let endless = instance.file("endless.json", definition("alpine:3", &[("FAKE_EXIT", "never")]));
    instance.l0(&["deploy", "create", &endless, "endless"]).ok();
    let mut command = instance.l0_command(&["task", "create", "dev", "endless", "endless:1"]);
    let mut follower =
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().expect("the program");
    until("the task to run", || match instance.l0(&["-o", "json", "task", "get", "endless"]) {
        said if said.out.contains("RUNNING") => Ok(()),
        said => Err(said.all()),
    });
    instance.server_kill();
    instance.server_start();
    assert!(follower.try_wait().expect("our child").is_none(), "the follower gave up");
    signal(follower.id(), "INT");
    let status =
        until("the follower to end", || follower.try_wait().expect("our child").ok_or("it follows".to_owned()));
    assert_eq!(status.code(), Some(130));
    instance.l0(&["task", "stop", "endless"]).ok();
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let instance = Instance::start(&["--engine", "fake"]);
    let mut shell = instance.command("sh");
    shell
        .env("LAYER0_API_ENDPOINT", format!("http://{}/", instance.address()))
        .env("LAYER0_AUTH_TOKEN", instance.credential());
    let line = format!("set -e; '{}' --help | head -n 1", crate::common::instance::L0);
    run(shell.args(["-c", &line]), b"").ok();
}
