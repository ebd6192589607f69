//! Images in ECR behind the registry of the instance: pushed by the friendly name with the instance's own token, run from where
//! they really lie.

use std::process::Command;

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::common::archive::archive;
use crate::common::run::{Said, run};
use crate::emulator::{emulator, json_call, repository_create};
use crate::faults::{Proxy, broken, lost, throttled};

#[track_caller]
fn refused(said: Said, why: &str) {
    assert_ne!(said.code, Some(0), "{said:?}");
    said.says(why);
}

/// The policy of a repository, as ECR has it.
#[track_caller]
pub(crate) fn policy_of(repository: &str) -> String {
    let target = "AmazonEC2ContainerRegistry_V20150921.GetRepositoryPolicy";
    let answer = json_call("ecr", target, &serde_json::json!({ "repositoryName": repository }));
    answer["policyText"].as_str().expect("it has a policy").to_owned()
}

#[test]
fn pushed_by_the_friendly_name_and_run_by_the_backing_uri() {
    let cloud = Cloud::with_registry("team/app");
    let greeting = cloud.instance.log();
    assert!(greeting.contains(&format!("its images lie in {}/{}", emulator(), cloud.name)), "{greeting}");
    let there = format!("{}/{}/team/app", emulator(), cloud.name);
    let friendly = format!("{}/team/app:v1", cloud.address());
    let push = |image: &str| run(cloud.command("docker").args(["push", "--quiet", image]), b"");

    let mut import = cloud.command("docker");
    import.args(["import", "--change", "ENTRYPOINT [\"/tool\"]", "--change", &format!("ENV OF={}", cloud.name)]);
    run(import.arg(archive()).arg(&friendly), b"").ok();
    // Nobody pushes without a token, nor into a repository that is not there.
    refused(push(&friendly), "");
    let (user, secret) = cloud.user_and_secret();
    let mut login = cloud.command("docker");
    run(login.args(["login", "--username", &user, "--password-stdin", &cloud.address()]), secret.as_bytes()).ok();
    refused(push(&friendly), "l0 repository create team/app");

    cloud.l0(&["account", "grant", "210987654321"]).ok();
    cloud.l0(&["repository", "create", "team/app"]).ok().says(&there);
    let policy = policy_of(&format!("{}/team/app", cloud.name));
    assert!(policy.contains("210987654321"), "the policy is part of the making: {policy}");
    // A creation whose answer was lost is made again.
    cloud.l0(&["repository", "create", "team/app"]).ok().says(&there);
    push(&friendly).ok();
    cloud.l0(&["repository", "list"]).ok().says("team/app");
    cloud.l0(&["image", "list", "team/app"]).ok().says("v1");
    cloud.l0(&["image", "get", "team/app:v1"]).ok().says("linux/amd64");

    cloud.l0(&["environment", "create", "dev"]).ok();
    let container = serde_json::json!({
        "name": "app",
        "image": "registry.layer0.test/team/app:v1",
        "command": ["print", "here I am", "sleep"],
    });
    let document = serde_json::json!({ "AWSEBDockerrunVersion": 2, "containerDefinitions": [container] });
    let file = cloud.file("app.json", document.to_string());
    let made = cloud.l0(&["deploy", "create", &file, "app"]).ok();
    made.says(&format!("registry.layer0.test/team/app:v1 -> {there}:v1"));
    cloud.l0(&["image", "check", "registry.layer0.test/team/app:v1", "--environment", "dev"]).ok().says(&there);
    cloud.l0(&["service", "create", "dev", "app", "app:latest"]).ok().says("1 copy runs and is healthy");
    assert_eq!(cloud.containers().len(), 1, "it was pulled from where it lies");
    cloud.l0(&["service", "logs", "app"]).ok().says("here I am");
    // What runs keeps its repository.
    refused(cloud.l0(&["repository", "delete", "team/app", "--force"]), "app");

    // The other way round: pulled by the friendly name what was pushed to the backing URI.
    let direct = format!("{there}:v2");
    run(Command::new("docker").args(["tag", &friendly, &direct]), b"").ok();
    run(cloud.command("docker").args(["push", "--quiet", &direct]), b"").ok();
    cloud.l0(&["image", "list", "team/app"]).ok().says("v1").says("v2");
    let second = format!("{}/team/app:v2", cloud.address());
    run(cloud.command("docker").args(["pull", "--quiet", &second]), b"").ok();

    cloud.l0(&["service", "delete", "app"]).ok();
    cloud.l0(&["environment", "delete", "dev"]).ok();
    refused(cloud.l0(&["repository", "delete", "team/app"]), "--force");
    cloud.l0(&["repository", "delete", "team/app", "--force"]).ok();
    for image in [&friendly, &second, &direct] {
        drop(run(Command::new("docker").args(["rmi", "--force", image]), b""));
    }
}

/// A rule for requests of the front to ECR's registry, which bear its name; with a media type for those that bring such content.
fn on_registry(content: Option<&str>, mut effect: Value) -> Value {
    let mut headers = json!({ "User-Agent": "layer0/" });
    if let Some(content) = content {
        headers["Content-Type"] = json!(content);
    }
    effect["headers"] = headers;
    effect
}

#[test]
fn what_goes_wrong_between_the_front_and_ecr_ends_well() {
    let proxy = Proxy::turn();
    let cloud = Cloud::with_registry_by(&proxy.way(), "team/app");
    let (user, secret) = cloud.user_and_secret();
    let mut login = cloud.command("docker");
    run(login.args(["login", "--username", &user, "--password-stdin", &cloud.address()]), secret.as_bytes()).ok();
    let image = format!("{}/team/app:v1", cloud.address());
    let mut import = cloud.command("docker");
    import.args(["import", "--change", "ENTRYPOINT [\"/tool\"]", "--change", &format!("ENV OF={}", cloud.name)]);
    run(import.arg(archive()).arg(&image), b"").ok();
    let id = || run(Command::new("docker").args(["inspect", "--format", "{{.Id}}", &image]), b"").ok().out;
    let pushed = id();

    let (blob, manifest) = (Some("application/octet-stream"), Some("application/vnd."));
    let rules = proxy.rules(&[
        throttled("ecr", "CreateRepository", "ThrottlingException"),
        broken("ecr", "CreateRepository", "ServerException"),
        lost("ecr", "CreateRepository", 1),
        on_registry(None, json!({ "times": 1, "error": { "code": "TooManyRequests", "status": 429 } })),
        on_registry(None, json!({ "times": 1, "error": { "code": "ServiceUnavailable", "status": 503 } })),
        on_registry(None, json!({ "times": 1, "error": { "code": "InternalError", "status": 500 } })),
        on_registry(None, json!({ "times": 5, "latency": 300 })),
        // Done there, and nobody hears of it: a layer is docker's to send again, a manifest ours.
        on_registry(blob, json!({ "times": 1, "response": { "abort_bytes": 0 } })),
        on_registry(manifest, json!({ "times": 1, "error": { "code": "InternalError", "status": 500 } })),
        on_registry(manifest, json!({ "times": 1, "response": { "abort_bytes": 0 } })),
    ]);
    cloud.l0(&["repository", "create", "team/app"]).ok();
    run(cloud.command("docker").args(["push", "--quiet", &image]), b"").ok();
    assert_eq!(rules.idle(), Vec::<&Value>::new(), "a fault that never comes shows nothing");
    drop(rules);

    run(Command::new("docker").args(["rmi", "--force", &image]), b"").ok();
    let rules = proxy.rules(&[
        on_registry(None, json!({ "times": 2, "error": { "code": "TooManyRequests", "status": 429 } })),
        on_registry(None, json!({ "times": 2, "response": { "truncate_frac": 0.5 } })),
        on_registry(None, json!({ "times": 1, "response": { "abort_frac": 0.3 } })),
    ]);
    run(cloud.command("docker").args(["pull", "--quiet", &image]), b"").ok();
    assert_eq!(id(), pushed, "what came is what was pushed");
    assert_eq!(rules.idle(), Vec::<&Value>::new(), "a fault that never comes shows nothing");
    drop(rules);
    cloud.l0(&["repository", "delete", "team/app", "--force"]).ok();
    drop(run(Command::new("docker").args(["rmi", "--force", &image]), b""));
}

/// The tags of a repository, as ECR has them.
#[track_caller]
fn tags_of(repository: &str) -> Vec<String> {
    let service = "AmazonEC2ContainerRegistry_V20150921";
    let named = serde_json::json!({ "repositoryNames": [repository] });
    let found = json_call("ecr", &format!("{service}.DescribeRepositories"), &named);
    let of = serde_json::json!({ "resourceArn": found["repositories"][0]["repositoryArn"] });
    let answer = json_call("ecr", &format!("{service}.ListTagsForResource"), &of);
    let all = answer["tags"].as_array().expect("a list").iter();
    all.filter_map(|tag| Some(format!("{}={}", tag["Key"].as_str()?, tag["Value"].as_str()?))).collect()
}

#[test]
fn a_repository_that_was_in_ecr_before_is_adopted() {
    let cloud = Cloud::with_registry("team/app");
    let there = format!("{}/team/old", cloud.name);
    repository_create(&there);
    // It can be used as it is, and is deleted by nobody.
    cloud.l0(&["repository", "get", "team/old"]).ok().says(&there);
    refused(cloud.l0(&["repository", "delete", "team/old", "--force"]), "was not made by this instance");
    cloud.l0(&["repository", "import", &there, "--dry-run"]).ok().says("would change").says("layer0.adopted");
    assert!(tags_of(&there).is_empty());
    cloud.l0(&["repository", "import", &there, "team/old"]).ok().says("changed");
    assert!(matches!(&tags_of(&there)[..], [tag] if tag.starts_with("layer0.adopted=")), "{:?}", tags_of(&there));
    cloud.l0(&["repository", "import", &there]).ok().says("nothing to change");
    refused(cloud.l0(&["repository", "import", "elsewhere/team/old"]), "can't be renamed");
    refused(cloud.l0(&["repository", "delete", "team/old"]), "--force");
    cloud.l0(&["repository", "delete", "team/old", "--force"]).ok();
    refused(cloud.l0(&["repository", "get", "team/old"]), "does not exist");
}
