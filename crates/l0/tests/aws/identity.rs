//! A build that has an AWS identity and no secret of ours, on an emulator that lets in nobody whose signature is wrong: it signs in,
//! and docker pushes.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::common::archive::archive;
use crate::common::instance::{Instance, L0};
use crate::common::run::{Said, run};
use crate::emulator::{element, query_call_at};

/// `host:port` of the emulator that checks signatures.
fn guarded() -> String {
    let url = std::env::var("LAYER0_TEST_GUARDED").expect("LAYER0_TEST_GUARDED is set by scripts/aws.sh");
    url.trim_start_matches("http://").trim_end_matches('/').to_owned()
}

/// Keys of the emulator: id, secret, and where they are a session's its token.
struct Keys {
    id: String,
    secret: String,
    session: String,
}

fn iam(action: &str, input: &[(&str, &str)]) -> String {
    query_call_at(&guarded(), "iam", "2010-05-08", action, input)
}

/// A user of the emulator with a key.
fn user(name: &str) -> Keys {
    iam("CreateUser", &[("UserName", name)]);
    let made = iam("CreateAccessKey", &[("UserName", name)]);
    let text = |element_name: &str| element(&made, element_name).to_owned();
    Keys { id: text("AccessKeyId"), secret: text("SecretAccessKey"), session: String::new() }
}

/// A session of a role of the emulator.
fn session(role: &str) -> Keys {
    let trust = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}"#;
    iam("CreateRole", &[("RoleName", role), ("AssumeRolePolicyDocument", trust)]);
    let arn = format!("arn:aws:iam::123456789012:role/{role}");
    let input = [("RoleArn", arn.as_str()), ("RoleSessionName", "build-7")];
    let made = query_call_at(&guarded(), "sts", "2011-06-15", "AssumeRole", &input);
    let text = |element_name: &str| element(&made, element_name).to_owned();
    Keys { id: text("AccessKeyId"), secret: text("SecretAccessKey"), session: text("SessionToken") }
}

struct Build {
    instance: Instance,
}

impl Build {
    fn new() -> Self {
        let instance = Instance::start(&["--engine", "fake", "--endpoint-url", &format!("http://{}", guarded())]);
        std::fs::create_dir(instance.path("bin")).expect("a directory of our own");
        symlink(L0, instance.path("bin").join("docker-credential-layer0")).expect("a link");
        instance.l0(&["repository", "create", "team/app"]).ok();
        Self { instance }
    }

    /// A program of the build, which knows where the server is, and its own keys. Each has a home of its own.
    fn run(&self, keys: &Keys, home: &str, program: &str, arguments: &[&str], env: &[(&str, &str)]) -> Said {
        let home = self.instance.path(home);
        std::fs::create_dir_all(home.join("docker")).expect("a directory of our own");
        let path = std::env::var("PATH").expect("a PATH");
        let mut command: Command = self.instance.command(program);
        command.env("HOME", &home).env("XDG_CONFIG_HOME", &home).env("DOCKER_CONFIG", home.join("docker"));
        command.env("PATH", format!("{}:{path}", self.instance.path("bin").display()));
        command.env("LAYER0_API_ENDPOINT", format!("http://{}", self.instance.address()));
        command.env("AWS_ACCESS_KEY_ID", &keys.id).env("AWS_SECRET_ACCESS_KEY", &keys.secret);
        command.env("AWS_REGION", "us-east-1").env("AWS_ENDPOINT_URL_STS", format!("http://{}", guarded()));
        if !keys.session.is_empty() {
            command.env("AWS_SESSION_TOKEN", &keys.session);
        }
        run(command.args(arguments).envs(env.iter().copied()), b"")
    }
}

#[test]
fn a_build_signs_in_with_its_aws_identity_and_docker_pushes() {
    let build = Build::new();
    let name = &build.instance.name;
    let (user_name, role) = (format!("ci-{name}"), format!("build-{name}"));
    let (alice, job) = (user(&user_name), session(&role));
    let principal = format!("arn:aws:iam::123456789012:role/{role}");
    let scope = ["--scope", "pull,push:team/*"];
    build.instance.l0(&[&["trust", "create", "team", "build", "--aws", &principal][..], &scope].concat()).ok();
    let login = |keys: &Keys, home: &str, env: &[(&str, &str)]| build.run(keys, home, L0, &["login", "--aws"], env);

    let said = login(&job, "job", &[]).ok().says("as team+build; the token is in");
    for secret in [&job.secret, &job.session] {
        said.clone().keeps_quiet_about(secret);
        assert!(!build.instance.log().contains(secret.as_str()));
    }
    build.run(&job, "job", L0, &["image", "list", "team/app"], &[]).ok();
    // A user is no role, however he is called; for him there is a trust of his own.
    login(&alice, "alice", &[]).exits(4).says("no trust lets arn:aws:iam::123456789012:user/");
    let principal = format!("arn:aws:iam::123456789012:user/{user_name}");
    build.instance.l0(&[&["trust", "create", "team", "people", "--aws", &principal][..], &scope].concat()).ok();
    login(&alice, "alice", &[]).ok().says("as team+people");

    let forged = Keys { id: alice.id.clone(), secret: "not-the-secret-of-this-key".to_owned(), session: String::new() };
    login(&forged, "forged", &[]).exits(4).says("AWS does not take the signature");
    let elsewhere = [("LAYER0_AUDIENCE", "https://other.example.com")];
    login(&job, "elsewhere", &elsewhere).exits(4).says("made for https://other.example.com, and not for this server");

    // The build itself: no login, and no secret in docker's file.
    let identity = [("LAYER0_IDENTITY", "aws")];
    build.run(&job, "build", L0, &["registry", "login"], &identity).ok().keeps_quiet_about("not signed in");
    let image = format!("{}/team/app:v1", build.instance.address());
    run(build.instance.command("docker").arg("import").arg(archive()).arg(&image), b"").ok();
    build.run(&job, "build", "docker", &["push", "--quiet", &image], &identity).ok();
    build.instance.l0(&["image", "list", "team/app"]).ok().says("v1");
    let config = std::fs::read_to_string(build.instance.path("build/docker/config.json")).expect("the file is there");
    assert!(!config.contains("\"auth\"") && !config.contains("l0_"), "{config}");
    let audit = build.instance.l0(&["admin", "audit"]).ok();
    audit.says("token_exchange").says(&format!("for arn:aws:sts::123456789012:assumed-role/{role}/build-7"));
    run(build.instance.command("docker").args(["image", "rm", &image]), b"").ok();
    build.instance.l0(&["trust", "delete", "team", "build"]).ok();
    build.run(&job, "build", L0, &["whoami"], &[]).exits(4);
}
