//! Images in a bucket behind the registry of an instance: pushed and pulled by docker, run by the Docker engine, and an upload
//! that outlives its server.

use std::process::Command;

use crate::common::archive::archive;
use crate::common::http::Connection;
use crate::common::instance::{Instance, L0};
use crate::common::run::{Said, run};
use crate::emulator::emulator;

/// An instance whose images lie in a bucket of the emulator's.
fn instance(more: &[&str]) -> Instance {
    prepared(Instance::prepared(&[]), more)
}

fn prepared(mut instance: Instance, more: &[&str]) -> Instance {
    let bucket = format!("images-{}", instance.name);
    let made = Connection::open(&emulator()).and_then(|mut s3| s3.request("PUT", &format!("/{bucket}"), "", b""));
    assert_eq!(made.expect("the emulator answers").status, 200);
    let endpoint = format!("http://{}", emulator());
    let flags = ["--registry-backing", "s3", "--s3-bucket", &bucket, "--s3-prefix", "l0/images"];
    let flags = [&flags[..], &["--endpoint-url", &endpoint, "--aws-region", "us-east-1"], more].concat();
    instance.flags_add(&flags.into_iter().map(str::to_owned).collect::<Vec<_>>());
    instance.server_start();
    instance
}

#[track_caller]
fn docker(instance: &Instance, arguments: &[&str]) -> Said {
    run(instance.command("docker").args(arguments), b"").ok()
}

#[test]
fn docker_pushes_pulls_and_runs_what_lies_in_a_bucket() {
    let mut instance = instance(&[]);
    assert!(instance.log().contains("its images lie in the bucket images-"), "{}", instance.log());
    instance.l0(&["repository", "create", "team/app"]).ok();
    let (user, secret) = instance.user_and_secret();
    let mut login = instance.command("docker");
    run(login.args(["login", "--username", &user, "--password-stdin", &instance.address()]), secret.as_bytes()).ok();
    let (small, large) =
        (format!("{}/team/app:small", instance.address()), format!("{}/team/app:large", instance.address()));
    let mut import = instance.command("docker");
    import.args(["import", "--change", "ENTRYPOINT [\"/tool\"]", "--change", &format!("ENV OF={}", instance.name)]);
    run(import.arg(archive()).arg(&small), b"").ok();
    // A layer of several parts, which no compression makes one of.
    let mut noise = vec![0_u8; 20 << 20];
    let mut state = 88_172_645_463_325_252_u64;
    for bytes in noise.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.copy_from_slice(&state.to_le_bytes()[..bytes.len()]);
    }
    instance.file("noise", &noise);
    instance.file("Dockerfile", format!("FROM {small}\nCOPY noise /noise\n"));
    docker(&instance, &["build", "--quiet", "--tag", &large, "."]);
    for image in [&small, &large] {
        docker(&instance, &["push", "--quiet", image]);
        docker(&instance, &["rmi", "--force", image]);
        docker(&instance, &["pull", "--quiet", image]);
    }
    instance.l0(&["image", "get", "team/app:large"]).ok().says("linux/amd64");
    instance.l0(&["admin", "verify"]).ok();

    // The engine on this machine pulls it as from the disk.
    docker(&instance, &["rmi", "--force", &small]);
    instance.l0(&["environment", "create", "dev"]).ok();
    let container = serde_json::json!({
        "name": "app",
        "image": "registry.layer0.test/team/app:small",
        "command": ["print", "here I am", "sleep"],
    });
    let document = serde_json::json!({ "AWSEBDockerrunVersion": 2, "containerDefinitions": [container] });
    let file = instance.file("app.json", document.to_string());
    instance.l0(&["deploy", "create", &file, "app"]).ok();
    instance.l0(&["service", "create", "dev", "app", "app:latest"]).ok().says("1 copy runs");
    instance.l0(&["service", "logs", "app"]).ok().says("here I am");
    instance.l0(&["service", "delete", "app"]).ok();
    instance.l0(&["environment", "delete", "dev"]).ok();

    // What is gone from the registry is gone from the bucket.
    instance.l0(&["repository", "delete", "team/app", "--force"]).ok();
    let list = format!("/images-{}?list-type=2&prefix=l0/images/blobs/", instance.name);
    let left = Connection::open(&emulator()).and_then(|mut s3| s3.get(&list)).expect("the emulator answers");
    assert!(!left.body.contains("<Key>"), "{}", left.body);
    instance.server_stop();
    for image in [&small, &large] {
        drop(run(Command::new("docker").args(["rmi", "--force", image]), b""));
    }
}

/// As on Fargate: a server that is gone has left nothing but what is in the bucket and the table.
#[test]
fn images_outlive_a_server_that_loses_its_disk() {
    let bare = Instance::prepared(&[]);
    let table = format!("layer0-{}", bare.name);
    let mut instance = prepared(bare, &["--table", &table]);
    instance.l0(&["repository", "create", "team/app"]).ok();
    let (user, secret) = instance.user_and_secret();
    let mut login = instance.command("docker");
    run(login.args(["login", "--username", &user, "--password-stdin", &instance.address()]), secret.as_bytes()).ok();
    let image = format!("{}/team/app:v1", instance.address());
    let mut import = instance.command("docker");
    import.args(["import", "--change", "ENTRYPOINT [\"/tool\"]", "--change", &format!("ENV OF={}", instance.name)]);
    run(import.arg(archive()).arg(&image), b"").ok();
    docker(&instance, &["push", "--quiet", &image]);
    docker(&instance, &["rmi", "--force", &image]);
    instance.server_kill();
    std::fs::remove_dir_all(instance.data()).expect("the data directory goes");
    let credential = instance.credential().to_owned();
    instance.server_start_with(&credential);
    docker(&instance, &["pull", "--quiet", &image]);
    docker(&instance, &["push", "--quiet", &image]);
    instance.l0(&["image", "get", "team/app:v1"]).ok().says("linux/amd64");
    instance.l0(&["owner", "get", "team"]).ok().says("1");
    instance.l0(&["admin", "verify"]).ok();
    instance.l0(&["repository", "delete", "team/app", "--force"]).ok();
    let list = format!("/images-{}?list-type=2&prefix=l0/images/blobs/", instance.name);
    let left = Connection::open(&emulator()).and_then(|mut s3| s3.get(&list)).expect("the emulator answers");
    assert!(!left.body.contains("<Key>"), "{}", left.body);
    instance.server_stop();
    drop(run(Command::new("docker").args(["rmi", "--force", &image]), b""));
}

#[test]
fn an_upload_goes_on_after_its_server_was_killed() {
    let mut instance = instance(&["--s3-redirect"]);
    instance.l0(&["repository", "create", "team/app"]).ok();
    let content: Vec<u8> = (0..20_000_000_u32).map(|at| b'a' + (at.wrapping_mul(2_654_435_761) >> 29) as u8).collect();
    instance.file("content", &content);
    let digest = run(instance.command("sha256sum").arg("content"), b"").ok();
    let digest = format!("sha256:{}", digest.out.split(' ').next().expect("a digest"));
    let auth = format!("Authorization: Basic {}\r\n", instance.credential());
    let ask = |instance: &Instance, method: &str, path: &str, headers: &str, body: &[u8]| {
        let answer = Connection::open(&instance.address())
            .and_then(|mut server| server.request(method, path, &format!("{auth}{headers}"), body));
        answer.expect("the server answers")
    };
    let begun = ask(&instance, "POST", "/v2/team/app/blobs/uploads/", "", b"");
    let upload = begun.header("location").expect("an address").to_owned();
    let half = 12_000_000;
    let range = format!("Content-Range: 0-{}\r\n", half - 1);
    assert_eq!(ask(&instance, "PATCH", &upload, &range, &content[..half]).status, 202);
    instance.server_kill();
    instance.server_start();
    let status = ask(&instance, "GET", &upload, "", b"");
    assert_eq!(status.header("range"), Some(&*format!("0-{}", half - 1)));
    let range = format!("Content-Range: {half}-{}\r\n", content.len() - 1);
    assert_eq!(ask(&instance, "PATCH", &upload, &range, &content[half..]).status, 202);
    assert_eq!(ask(&instance, "PUT", &format!("{upload}?digest={digest}"), "", b"").status, 201);
    let sent = ask(&instance, "GET", &format!("/v2/team/app/blobs/{digest}"), "", b"");
    assert_eq!(sent.status, 307);
    let address = sent.header("location").expect("an address").to_owned();
    let path = address.strip_prefix(&format!("http://{}", emulator())).expect("the emulator's own");
    let got = Connection::open(&emulator()).and_then(|mut s3| s3.get(path)).expect("the emulator answers");
    assert!(got.body.as_bytes() == content, "the bytes are others");

    // Another instance does not get the same place in the bucket.
    let other = Instance::prepared(&[]);
    let (bucket, endpoint) = (format!("images-{}", instance.name), format!("http://{}", emulator()));
    let flags = ["--registry-backing", "s3", "--s3-bucket", &bucket, "--s3-prefix", "l0/images"];
    let flags = [&flags[..], &["--endpoint-url", &endpoint, "--aws-region", "us-east-1"]].concat();
    let mut server = other.command(L0);
    let refused = run(server.args(["server", "--data-dir"]).arg(other.data()).args(flags), b"");
    assert_ne!(refused.code, Some(0), "{refused:?}");
    refused.says("another instance keeps its images there");
}
