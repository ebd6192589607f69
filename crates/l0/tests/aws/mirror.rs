//! A prefix that mirrors ECR: docker pulls by the name of the instance what only ECR has, and the server signs in there as its own role.

use std::process::Command;

use crate::cloud::{Cloud, flags};
use crate::common::run::run;
use crate::emulator::{emulator, json_call};

#[test]
fn docker_pulls_through_the_instance_what_lies_in_ecr() {
    let directory = tempfile::tempdir().expect("a directory for the test");
    let file = directory.path().join("layer0.toml");
    let table =
        format!("[[mirror]]\nprefix = \"cloud\"\nupstream = \"http://{}\"\necr_region = \"us-east-1\"\n", emulator());
    std::fs::write(&file, table).expect("it is written");
    let config = ["--config".to_owned(), file.to_str().expect("a path in UTF-8").to_owned()];
    let cloud = Cloud::with_flags(&["v1"], |table| [flags(table), config.to_vec()].concat());

    let image = format!("{}/cloud/{}/app:v1", cloud.address(), cloud.name);
    let pull = || run(cloud.command("docker").args(["pull", "--quiet", &image]), b"");
    assert_ne!(pull().code, Some(0), "nobody pulls without a token");
    let (user, secret) = cloud.user_and_secret();
    let mut login = cloud.command("docker");
    run(login.args(["login", "--username", &user, "--password-stdin", &cloud.address()]), secret.as_bytes()).ok();
    let id = |image: &str| run(Command::new("docker").args(["inspect", "--format", "{{.Id}}", image]), b"").ok().out;
    let rmi = |image: &str| drop(run(Command::new("docker").args(["rmi", "--force", image]), b""));
    // Nothing of it is on the engine any more, so that all of it is pulled.
    let pushed = id(&cloud.image("v1"));
    rmi(&cloud.image("v1"));
    pull().ok();
    assert_eq!(id(&image), pushed, "what came is what was pushed to ECR");

    // It is here now, whatever becomes of ECR.
    let repository = format!("{}/app", cloud.name);
    let target = "AmazonEC2ContainerRegistry_V20150921.DeleteRepository";
    json_call("ecr", target, &serde_json::json!({ "repositoryName": repository, "force": true }));
    rmi(&image);
    pull().ok();
    assert_eq!(id(&image), pushed);
    cloud.l0(&["image", "list", &format!("cloud/{repository}")]).ok().says("v1");
    rmi(&image);
}
