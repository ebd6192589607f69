//! A developer's machine with two credential helpers: ours for the friendly name, Amazon's (`amazon-ecr-credential-helper`) for the
//! backing URI. Each is asked about its own registry, and both give the same image.
//!
//! Amazon's helper takes no other address of ECR than the real one. So its names lead here, in a mount namespace of the programs
//! that are run and nowhere else, to an address of this machine where TLS stands before the emulator.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};

use crate::common::archive::archive;
use crate::common::instance::{Instance, L0};
use crate::common::run::{Said, run};
use crate::emulator::emulator;

/// The registry of the emulator's account, as ECR names it.
const REGISTRY: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

/// The name of ECR's API.
const API: &str = "api.ecr.us-east-1.amazonaws.com";

/// Writes down what a helper is asked, and asks it.
fn listening(helper: &str, log: &str) -> String {
    format!("#!/bin/sh\ninput=$(cat)\necho \"{helper} $1 $input\" >> {log}\nprintf %s \"$input\" | {helper} \"$1\"\n")
}

/// TLS on port 443 of an address that no other test on this machine has.
struct Front {
    address: String,
    child: Child,
    _input: ChildStdin,
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Front {
    fn start(certificate: &str, key: &str) -> Self {
        let id = std::process::id();
        let address = format!("127.{}.{}.{}", 64 + (id >> 16) % 64, (id >> 8) & 0xff, id & 0xff);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/aws/tls_front.py");
        let (host, port) =
            emulator().split_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).expect("a port");
        let mut command = Command::new("python3");
        command.args([script, &address, "443", certificate, key, &host, &port]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("it says something");
        assert_eq!(line, "ready\n", "port 443 needs root");
        let input = child.stdin.take().expect("a pipe");
        Self { address, child, _input: input }
    }
}

struct Machine {
    instance: Instance,
    _front: Front,
    certificate: String,
}

impl Machine {
    fn new() -> Self {
        let mut instance = Instance::prepared(&["--engine", "fake", "--aws-region", "us-east-1"]);
        let endpoint = format!("http://{}", emulator());
        let more = ["--endpoint-url", &endpoint, "--registry-backing", "ecr", "--ecr-prefix", &instance.name.clone()];
        instance.flags_add(&more.map(str::to_owned));
        instance.flags_add(&["--account-grants", "off"].map(str::to_owned));
        instance.server_start();

        let text = |name: &str| instance.path(name).to_str().expect("text").to_owned();
        let (certificate, key) = (text("tls.crt"), text("tls.key"));
        let names = format!("subjectAltName=DNS:{REGISTRY},DNS:{API}");
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=an emulator"]);
        run(openssl.args(["-addext", &names, "-out", &certificate, "-keyout", &key]), b"").ok();
        let front = Front::start(&certificate, &key);
        let hosts = std::fs::read_to_string("/etc/hosts").expect("this machine has one");
        instance.file("hosts", format!("{hosts}\n{} {REGISTRY} {API}\n", front.address));

        let bin = instance.path("bin");
        std::fs::create_dir_all(bin.join("real")).expect("a directory of our own");
        symlink(L0, bin.join("real/docker-credential-layer0")).expect("a link");
        for (name, real) in [
            ("docker-credential-layer0", text("bin/real/docker-credential-layer0")),
            ("docker-credential-ecr-login", "/usr/bin/docker-credential-ecr-login".to_owned()),
        ] {
            std::fs::write(bin.join(name), listening(&real, &text("asked"))).expect("written");
            std::fs::set_permissions(bin.join(name), std::fs::Permissions::from_mode(0o755)).expect("set");
        }
        Self { instance, _front: front, certificate }
    }

    /// A program that sees Amazon's names here.
    fn run(&self, words: &[&str]) -> Said {
        let path = std::env::var("PATH").expect("a PATH");
        let mut command = self.instance.command("unshare");
        command.args(["--mount", "sh", "-c", "mount --bind \"$HOSTS\" /etc/hosts && exec \"$@\"", "sh"]).args(words);
        command.env("HOSTS", self.instance.path("hosts")).env("AWS_CA_BUNDLE", &self.certificate);
        command.env("SSL_CERT_FILE", &self.certificate).env("AWS_ECR_DISABLE_CACHE", "true");
        command.env("XDG_RUNTIME_DIR", self.instance.path("home"));
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command.env("PATH", format!("{}:{path}", self.instance.path("bin").display()));
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"] {
            command.env_remove(name);
        }
        run(&mut command, b"")
    }

    /// What the helpers were asked since the last look.
    fn asked(&self) -> Vec<String> {
        let file = self.instance.path("asked");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        drop(std::fs::remove_file(file));
        let short = |line: &str| line.rsplit_once("docker-credential-").map_or(line, |(_, rest)| rest).to_owned();
        text.lines().map(short).collect()
    }

    /// Copies an image into a directory; answers its manifest.
    fn pull(&self, image: &str, directory: &str, flags: &[&str]) -> Value {
        let (from, to) = (format!("docker://{image}"), format!("dir:{}", self.instance.path(directory).display()));
        self.run(&[&["skopeo", "copy", "--quiet"], flags, &[&from, &to]].concat()).ok();
        let manifest = std::fs::read(self.instance.path(directory).join("manifest.json")).expect("it was pulled");
        serde_json::from_slice(&manifest).expect("JSON")
    }
}

#[test]
fn each_registry_is_signed_in_to_by_its_own_helper() {
    let machine = Machine::new();
    let (instance, friendly) = (&machine.instance, machine.instance.address());
    // Amazon's was there first.
    instance.file("docker/config.json", json!({ "credHelpers": { REGISTRY: "ecr-login" } }).to_string());
    let (user, secret) = instance.user_and_secret();
    let mut login = instance.command(L0);
    run(login.args(["login", &format!("http://{friendly}"), "--user", &user, "--token-stdin"]), secret.as_bytes()).ok();
    run(machine.instance.command(L0).args(["registry", "login"]), b"").ok();
    let config = std::fs::read_to_string(instance.path("docker/config.json")).expect("the file is there");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!(config["credHelpers"], json!({ REGISTRY: "ecr-login", friendly.clone(): "layer0" }));

    // Both helpers alone, as docker calls them.
    for (helper, host, user) in
        [("docker-credential-layer0", friendly.as_str(), "admin"), ("docker-credential-ecr-login", REGISTRY, "AWS")]
    {
        let said = machine.run(&["sh", "-c", &format!("echo {host} | {helper} get")]).ok().json();
        assert_eq!(said["Username"], user, "{helper}");
        assert!(said["Secret"].as_str().is_some_and(|secret| !secret.is_empty()), "{helper}");
    }
    machine.asked();

    let made = instance.one(&["repository", "create", "team/app"]);
    let backing = made["backing_uri"].as_str().expect("text").to_owned();
    assert_eq!(backing, format!("{REGISTRY}/{}/team/app", instance.name));
    let image = format!("{friendly}/team/app:v1");
    run(instance.command("docker").arg("import").arg(archive()).arg(&image), b"").ok();
    let local = format!("docker-daemon:{image}");
    let plain = ["--dest-tls-verify=false"];
    machine.run(&[&["skopeo", "copy", "--quiet"], &plain[..], &[&local, &format!("docker://{image}")]].concat()).ok();
    let by_name = |line: &String| *line == format!("layer0 get {friendly}");
    let pushed = machine.asked();
    assert!(!pushed.is_empty() && pushed.iter().all(by_name), "{pushed:?}");

    let ours = machine.pull(&image, "ours", &["--src-tls-verify=false"]);
    let asked = machine.asked();
    assert!(!asked.is_empty() && asked.iter().all(by_name), "{asked:?}");
    let theirs = machine.pull(&format!("{backing}:v1"), "theirs", &[]);
    let asked = machine.asked();
    assert!(!asked.is_empty() && asked.iter().all(|line| *line == format!("ecr-login get {REGISTRY}")), "{asked:?}");
    assert_eq!(ours, theirs, "one image under both names");

    // The other way round: what goes straight to ECR is there under the friendly name.
    let direct = format!("docker://{backing}:v2");
    machine.run(&["skopeo", "copy", "--quiet", &format!("dir:{}", instance.path("theirs").display()), &direct]).ok();
    assert_eq!(machine.pull(&format!("{friendly}/team/app:v2"), "again", &["--src-tls-verify=false"]), ours);
    instance.l0(&["image", "list", "team/app"]).ok().says("v2");
    let asked = machine.asked();
    assert!(asked.iter().any(by_name) && asked.iter().any(|line| line.starts_with("ecr-login get")), "{asked:?}");

    instance.l0(&["repository", "delete", "team/app", "--force"]).ok();
    run(instance.command("docker").args(["image", "rm", &image]), b"").ok();
}
