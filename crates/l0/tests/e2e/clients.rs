//! docker, skopeo, podman and buildah sign in, push and pull against a whole server, asked with Basic and with Bearer.

use crate::common::instance::split_credential;
use crate::common::run::{Said, run};
use crate::stage::Stage;

/// The sentence that a push to a missing repository ends with.
const CREATE_IT: &str = "l0 repository create demo/new";

fn skopeo(stage: &Stage, credentials: &str, from: &str, to: &str) -> Said {
    let mut command = stage.command("skopeo");
    command.args(["--insecure-policy", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]);
    for (side, place) in [("--src-creds", from), ("--dest-creds", to)] {
        if place.starts_with("docker://") {
            command.args([side, credentials]);
        }
    }
    run(command.args([from, to]), b"")
}

/// podman or buildah, which take the same options, with a storage of its own.
fn with_storage(program: &str, stage: &Stage, arguments: &[&str], input: &str) -> Said {
    let mut command = stage.command(program);
    for (flag, name) in [("--root", "storage"), ("--runroot", "storage-run")] {
        command.arg(flag).arg(stage.path(&format!("{program}-{name}")));
    }
    command.args(["--storage-driver", "vfs", arguments[0]]);
    if ["push", "pull", "login"].contains(&arguments[0]) {
        command.arg("--tls-verify=false").arg("--authfile").arg(stage.path(&format!("{program}-auth.json")));
    }
    command.args(&arguments[1..]);
    run(&mut command, input.as_bytes())
}

fn push_and_pull(challenge: &str) {
    let stage = Stage::bare(&["--registry-challenge", challenge]);
    let host = stage.address();
    stage.l0(&["repository", "create", "demo/app"]).ok();
    let (user, secret) = stage.user_and_secret();
    let image = stage.import("demo/app", "v1");

    // docker: not without signing in, not with a wrong secret.
    let refused = stage.docker(&["push", &image]);
    assert_ne!(refused.code, Some(0), "a push without signing in: {}", refused.all());
    let wrong = run(stage.docker_command(&["login", "--username", &user, "--password-stdin"]).arg(&host), b"wrong");
    assert_ne!(wrong.code, Some(0), "{}", wrong.all());
    stage.login().ok();
    stage.docker(&["push", &image]).ok();
    stage.docker(&["rmi", &image]).ok();
    stage.docker(&["pull", &image]).ok();
    let missing = format!("{host}/demo/new:v1");
    stage.docker(&["tag", &image, &missing]).ok();
    let refused = stage.docker(&["push", &missing]);
    assert_ne!(refused.code, Some(0), "{}", refused.all());
    refused.says(CREATE_IT);

    // skopeo: from here to there, and back.
    let credentials = format!("{user}:{secret}");
    let there = format!("docker://{image}");
    let directory = format!("oci:{}:1", stage.path("layout").display());
    skopeo(&stage, &credentials, &there, &format!("docker://{host}/demo/app:copied")).ok();
    skopeo(&stage, &credentials, &there, &directory).ok();
    let refused = skopeo(&stage, &credentials, &there, &format!("docker://{missing}"));
    assert_ne!(refused.code, Some(0), "{}", refused.all());
    refused.says(CREATE_IT);
    stage.l0(&["image", "list", "demo/app"]).ok().says("demo/app:copied").says("demo/app:v1");

    for program in ["podman", "buildah"] {
        let act = |arguments: &[&str], input: &str| with_storage(program, &stage, arguments, input);
        let wrong = act(&["login", "--username", &user, "--password-stdin", &host], "wrong");
        assert_ne!(wrong.code, Some(0), "{}", wrong.all());
        act(&["login", "--username", &user, "--password-stdin", &host], &secret).ok();
        act(&["pull", &image], "").ok();
        let pushed = format!("{host}/demo/app:{program}");
        act(&["tag", &image, &pushed], "").ok();
        act(&["push", &pushed], "").ok();
        stage.l0(&["image", "get", &format!("demo/app:{program}")]).ok().says("sha256:");
        act(&["tag", &image, &missing], "").ok();
        let refused = act(&["push", &missing], "");
        assert_ne!(refused.code, Some(0), "{}", refused.all());
        refused.says(CREATE_IT);
    }

    // A token that is revoked pulls nothing any more, at once.
    let token = stage.one(&["token", "create", "soon-gone"]);
    let (name, secret) = split_credential(token["token"].as_str().expect("a token"));
    let credentials = format!("{name}:{secret}");
    skopeo(&stage, &credentials, &there, &format!("oci:{}:2", stage.path("layout").display())).ok();
    let mut login = stage.docker_command(&["login", "--username", &name, "--password-stdin", &host]);
    run(&mut login, secret.as_bytes()).ok();
    stage.l0(&["token", "revoke", token["token_id"].as_str().expect("an id")]).ok();
    let refused = skopeo(&stage, &credentials, &there, &format!("oci:{}:3", stage.path("layout").display()));
    assert_ne!(refused.code, Some(0), "a revoked token pulls: {}", refused.all());
    for tag in ["v1", "copied"] {
        let refused = stage.docker(&["pull", &format!("{host}/demo/app:{tag}")]);
        assert_ne!(refused.code, Some(0), "a revoked token pulls: {}", refused.all());
    }
}

#[test]
fn push_and_pull_with_basic() {
    push_and_pull("basic");
}

#[test]
fn push_and_pull_with_bearer() {
    push_and_pull("bearer");
}

#[test]
fn a_push_makes_the_repository_when_the_server_is_told_so() {
    let stage = Stage::bare(&["--create-on-push"]);
    stage.login().ok();
    let image = stage.import("demo/new", "v1");
    stage.docker(&["push", &image]).ok();
    stage.l0(&["repository", "get", "demo/new"]).ok().says(&format!("{}/demo/new", stage.address()));
}

#[test]
fn no_registry_credential_leaves_the_server() {
    let stage = Stage::with_versions(&["v1"]);
    // Nobody on this machine is signed in; the engine pulls all the same.
    run(&mut stage.docker_command(&["logout", &stage.address()]), b"").ok();
    let (_, secret) = stage.user_and_secret();
    stage.l0(&["environment", "create", "dev"]).ok();
    stage.deploy("app", "v1", &["serve", "8080", "sleep"], &serde_json::json!({}));
    stage.l0(&["service", "create", "dev", "app", "app:1"]).ok();
    let mut seen = format!("{:?}", stage.containers());
    for line in [
        &["deploy", "get", "app:1"][..],
        &["service", "get", "app"],
        &["service", "logs", "app"],
        &["operation", "list"],
        &["admin", "logs"],
        &["admin", "debug"],
    ] {
        seen += &stage.l0(&[&["-o", "json"], line].concat()).ok().all();
    }
    seen += &stage.docker(&["images", "--digests"]).ok().out;
    // The log of the first start prints the first token, once and on purpose; what comes after that must not.
    let log = stage.log();
    let (_, after) = log.split_once("readable only for you").expect("the end of the first words");
    seen += after;
    // The secret itself, the credential of the API's form, and how every signed pull credential begins.
    for hidden in [secret.as_str(), stage.credential(), "eyJ1c2VyIj", "X-Registry-Auth"] {
        assert!(!seen.contains(hidden), "`{hidden}` is readable");
    }
    let config = std::fs::read_to_string(stage.path("docker").join("config.json")).unwrap_or_default();
    assert!(!config.contains("auth\""), "the docker client was signed in: {config}");
}
