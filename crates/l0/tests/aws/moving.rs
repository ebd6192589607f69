//! A repository that moves between ECR and the embedded registry while a real docker pulls from it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::cloud::Cloud;
use crate::common::archive::archive;
use crate::common::run::{Said, run};
use crate::common::until::until_within;
use crate::emulator::{emulator, json_call};

fn docker(cloud: &Cloud, arguments: &[&str]) -> Said {
    run(cloud.command("docker").args(arguments), b"")
}

/// Makes an image of its own for a version, and pushes it.
fn push(cloud: &Cloud, version: &str) -> String {
    let image = format!("{}/team/app:{version}", cloud.address());
    let mut import = cloud.command("docker");
    import.args([
        "import",
        "--change",
        "ENTRYPOINT [\"/tool\"]",
        "--change",
        &format!("ENV OF={}.{version}", cloud.name),
    ]);
    run(import.arg(archive()).arg(&image), b"").ok();
    docker(cloud, &["push", "--quiet", &image]).ok();
    image
}

/// The digest of a version, as the instance says.
fn digest(cloud: &Cloud, version: &str) -> String {
    let found = cloud.one(&["image", "get", &format!("team/app:{version}")]);
    found["digest"].as_str().expect("a digest").to_owned()
}

/// The digest of a version, as ECR says.
fn digest_in_ecr(cloud: &Cloud, version: &str) -> String {
    let target = "AmazonEC2ContainerRegistry_V20150921.DescribeImages";
    let input = json!({ "repositoryName": format!("{}/team/app", cloud.name), "imageIds": [{ "imageTag": version }] });
    let answer = json_call("ecr", target, &input);
    answer["imageDetails"][0]["imageDigest"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn state(cloud: &Cloud) -> String {
    cloud.one(&["repository", "migration", "get", "team/app"])["state"].as_str().expect("a state").to_owned()
}

/// An instance with a repository that lies in ECR, and a docker that has signed in.
fn stage() -> Cloud {
    let cloud = Cloud::with_registry("team/app");
    let (user, secret) = cloud.user_and_secret();
    let mut login = cloud.command("docker");
    run(login.args(["login", "--username", &user, "--password-stdin", &cloud.address()]), secret.as_bytes()).ok();
    cloud.l0(&["repository", "create", "team/app"]).ok();
    cloud
}

#[test]
fn a_repository_moves_there_and_back_and_no_pull_fails() {
    let cloud = stage();
    let v1 = push(&cloud, "v1");
    let before = digest(&cloud, "v1");
    assert_eq!(digest_in_ecr(&cloud, "v1"), before);

    let (stop, pulls) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let pulling = scope.spawn(|| {
            let mut failed = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                drop(docker(&cloud, &["rmi", "--force", &v1]));
                let said = docker(&cloud, &["pull", "--quiet", &v1]);
                pulls.fetch_add(1, Ordering::SeqCst);
                if said.code != Some(0) {
                    failed.push(said.all());
                }
            }
            failed
        });
        let some = |more: u32| {
            let from = pulls.load(Ordering::SeqCst);
            until_within(Duration::from_secs(120), "pulls go on", || match pulls.load(Ordering::SeqCst) {
                now if now >= from + more => Ok(()),
                now => Err(format!("{now} pulls")),
            });
        };
        some(1);
        cloud.l0(&["repository", "migrate", "team/app", "--to", "local"]).ok().says("moved");
        some(2);
        let got = cloud.one(&["repository", "get", "team/app"]);
        assert!(!got["backing_uri"].as_str().expect("a URI").contains(&emulator()), "{got}");
        assert_eq!(digest(&cloud, "v1"), before);
        // What is pushed meanwhile comes back along.
        push(&cloud, "v2");
        cloud.l0(&["repository", "migrate", "team/app", "--to", "ecr"]).ok().says("moved");
        some(2);
        stop.store(true, Ordering::SeqCst);
        assert_eq!(pulling.join().expect("it ends"), [] as [String; 0], "no pull failed");
    });
    for version in ["v1", "v2"] {
        assert_eq!(digest_in_ecr(&cloud, version), digest(&cloud, version));
    }
    // By the backing URI it is the same image.
    let direct = format!("{}/{}/team/app:v2", emulator(), cloud.name);
    docker(&cloud, &["pull", "--quiet", &direct]).ok();

    let refused = cloud.l0(&["repository", "delete", "team/app", "--force"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
    refused.says("migration delete-source team/app");
    cloud.l0(&["repository", "migration", "delete-source", "team/app", "--no-wait"]).ok().says("clearing");
    assert_eq!(state(&cloud), "clearing");
    cloud.l0(&["repository", "migration", "list"]).ok().says("team/app");
    for image in [v1, format!("{}/team/app:v2", cloud.address()), direct] {
        drop(docker(&cloud, &["rmi", "--force", &image]));
    }
}

#[test]
fn a_server_that_is_killed_in_the_middle_goes_on() {
    let mut cloud = stage();
    let images: Vec<String> = (0..6).map(|number| push(&cloud, &format!("v{number}"))).collect();
    let before: Vec<String> = (0..6).map(|number| digest(&cloud, &format!("v{number}"))).collect();
    cloud.l0(&["repository", "migrate", "team/app", "--to", "local", "--no-wait"]).ok();
    for _ in 0..3 {
        cloud.server_kill();
        cloud.server_start();
    }
    until_within(Duration::from_secs(120), "it has moved", || match state(&cloud) {
        state if state == "moved" => Ok(()),
        state => Err(state),
    });
    let after: Vec<String> = (0..6).map(|number| digest(&cloud, &format!("v{number}"))).collect();
    assert_eq!(after, before);
    docker(&cloud, &["pull", "--quiet", &images[0]]).ok();
    for image in images {
        drop(docker(&cloud, &["rmi", "--force", &image]));
    }
}
