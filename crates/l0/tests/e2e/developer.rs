//! A developer's machine: `l0 login`, `l0 registry login`, and docker, skopeo and podman with nothing else.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use serde_json::{Value, json};

use crate::common::instance::L0;
use crate::common::run::{Said, run};
use crate::stage::Stage;

const ECR: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";
/// A second helper, for another host: it knows one user with one secret.
const OTHER: &str = "#!/bin/sh\n[ \"$1\" = get ] || exit 1\ncat > /dev/null\nprintf '{\"Username\": \"%s\", \"Secret\": \"%s\"}\\n' rita \"$OTHER_SECRET\"\n";

struct Machine {
    stage: Stage,
    /// What the second helper gives.
    other_secret: String,
}

impl Machine {
    /// An instance with alice, who writes to `team`, and rita, who reads; and a machine with the second helper.
    fn new(challenge: &str) -> Self {
        let stage = Stage::bare(&["--registry-challenge", challenge]);
        let bin = stage.path("bin");
        std::fs::create_dir(&bin).expect("a directory of our own");
        symlink(L0, bin.join("docker-credential-layer0")).expect("a link");
        let other = bin.join("docker-credential-other");
        std::fs::write(&other, OTHER).expect("written");
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).expect("set");
        stage.l0(&["owner", "create", "team"]).ok();
        stage.l0(&["repository", "create", "team/app"]).ok();
        let mut alice = stage.l0_command(&["user", "create", "alice", "--password-stdin"]);
        run(&mut alice, b"correct horse\n").ok();
        stage.l0(&["user", "create", "rita"]).ok();
        stage.l0(&["member", "add", "team", "alice", "--role", "writer"]).ok();
        stage.l0(&["member", "add", "team", "rita", "--role", "reader"]).ok();
        let made = stage.one(&["token", "create", "other", "--user", "rita"]);
        let other_secret = made["secret"].as_str().expect("a secret").to_owned();
        Self { stage, other_secret }
    }

    fn command(&self, mut command: Command) -> Command {
        let path = std::env::var("PATH").expect("a PATH");
        command.env("PATH", format!("{}:{path}", self.stage.path("bin").display()));
        command.env("OTHER_SECRET", &self.other_secret).env("XDG_RUNTIME_DIR", self.stage.path("home"));
        command
    }

    /// `l0` as the developer runs it: connected by nothing but the login.
    fn l0(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = self.command(self.stage.command(L0));
        run(command.args(arguments), input.as_bytes())
    }

    fn docker(&self, arguments: &[&str]) -> Said {
        run(&mut self.command(self.stage.docker_command(arguments)), b"")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Said {
        run(self.command(self.stage.command(program)).args(arguments), b"")
    }

    fn docker_config(&self) -> Value {
        let text = std::fs::read_to_string(self.stage.path("docker/config.json")).expect("the file is there");
        assert!(!text.contains("\"auth\"") && !text.contains("l0_"), "there is no secret in docker's file:\n{text}");
        serde_json::from_str(&text).expect("JSON")
    }
}

fn refused(said: Said, words: &str) {
    assert_ne!(said.code, Some(0), "{}", said.all());
    said.says(words);
}

fn develop(challenge: &str) {
    let machine = Machine::new(challenge);
    let host = machine.stage.address();
    let other_host = format!("127.0.0.1:{}", machine.stage.port);
    let image = machine.stage.import("team/app", "v1");
    let helpers = json!({ "credHelpers": { ECR: "ecr-login", &other_host: "other" }, "detachKeys": "ctrl-e,e" });
    std::fs::write(machine.stage.path("docker/config.json"), helpers.to_string()).expect("written");
    assert_ne!(machine.docker(&["push", &image]).code, Some(0), "nobody has signed in");

    refused(
        machine.l0(&["login", &host, "--user", "alice", "--password-stdin"], "wrong horse\n"),
        "name or the secret is wrong",
    );
    machine
        .l0(&["login", &host, "--user", "alice", "--password-stdin"], "correct horse\n")
        .ok()
        .says("Signed in to http://");
    machine.l0(&["whoami"], "").ok().says("alice");
    machine.l0(&["registry", "login"], "").ok().says(&format!("docker and podman sign in to {host}"));
    let mut wanted = helpers.clone();
    wanted["credHelpers"][&host] = "layer0".into();
    assert_eq!(machine.docker_config(), wanted);

    // docker, with no `docker login`.
    machine.docker(&["push", &image]).ok();
    machine.docker(&["rmi", &image]).ok();
    machine.docker(&["pull", &image]).ok();
    // The other host is asked about by its own helper, and its user reads only.
    let theirs = image.replace(&host, &other_host);
    let pulled = machine.docker(&["pull", &theirs]);
    let pushed = machine.docker(&["push", &theirs]);
    machine.docker(&["rmi", &theirs]);
    pulled.ok();
    refused(pushed, "rita may not push to team/app");
    assert_eq!(machine.docker_config(), wanted);

    // skopeo and podman read docker's file.
    let there = format!("docker://{image}");
    machine.run("skopeo", &["inspect", "--tls-verify=false", &there]).ok().says("sha256:");
    let copy = format!("docker://{host}/team/app:skopeo");
    let both = ["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", &there, &copy];
    machine.run("skopeo", &both).ok();
    let (storage, running) = (machine.stage.path("podman"), machine.stage.path("podman-run"));
    let storage = ["--root", storage.to_str().expect("text"), "--runroot", running.to_str().expect("text")];
    let podman =
        |arguments: &[&str]| machine.run("podman", &[&storage[..], &["--storage-driver", "vfs"], arguments].concat());
    podman(&["pull", "--tls-verify=false", &image]).ok();
    let pushed = format!("{host}/team/app:podman");
    podman(&["tag", &image, &pushed]).ok();
    podman(&["push", "--tls-verify=false", &pushed]).ok();
    let log = machine.stage.l0(&["admin", "audit", "--tail", "1000"]).ok();
    for line in ["team/app:v1", "team/app:skopeo", "team/app:podman"] {
        let found = log.out.lines().find(|it| it.contains("manifest_push") && it.contains(line));
        assert!(found.is_some_and(|it| it.contains("alice")), "{line} in\n{}", log.all());
    }

    // A login that was revoked says so, though docker itself hides what a helper answers.
    let tokens = machine.stage.json(&["token", "list"]);
    let mine =
        tokens.as_array().expect("a list").iter().find(|it| it["name"] == "l0-login").expect("the login's token");
    machine.stage.l0(&["token", "revoke", mine["token_id"].as_str().expect("an id")]).ok();
    refused(machine.docker(&["pull", &image]), "has expired or was revoked: `l0 login http://localhost:");
    refused(machine.run("skopeo", &["inspect", "--tls-verify=false", &there]), "has expired or was revoked");
    machine.l0(&["login", &host, "--user", "alice", "--password-stdin"], "correct horse\n").ok();
    machine.docker(&["pull", &image]).ok();

    machine.l0(&["registry", "logout"], "").ok();
    assert_eq!(machine.docker_config(), helpers);
    machine.l0(&["logout"], "").ok().says("Signed out of http://");
    assert_ne!(machine.docker(&["push", &image]).code, Some(0), "nobody is signed in any more");
    let tokens = machine.stage.json(&["token", "list"]);
    assert!(tokens.as_array().expect("a list").iter().all(|it| it["name"] != "l0-login"), "{tokens}");
}

#[test]
fn docker_skopeo_and_podman_work_by_the_login_with_basic() {
    develop("basic");
}

#[test]
fn docker_skopeo_and_podman_work_by_the_login_with_bearer() {
    develop("bearer");
}
