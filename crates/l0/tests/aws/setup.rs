//! `l0 setup` from a fresh directory: an instance comes, its servers answer out of the image that this program made of itself, a
//! service runs on it, it changes and goes, and nothing is left.
//!
//! The servers are real containers of the emulator. They reach it as tasks reach AWS: by the address that the emulator tells them,
//! and their credentials by the address that ECS gives every task. Both lead to the emulator, and so does the load balancer's name,
//! in a mount namespace of the programs that are run and nowhere else.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use serde_json::{Value, json};

use crate::common::archive::archive;
use crate::common::http::{Connection, get};
use crate::common::run::{Said, run};
use crate::emulator::{emulator, json_call, repository_create, stacks};

/// The host on Docker's bridge, as the emulator's containers know it.
const HOST: &str = "172.17.0.1";
/// Where every task of ECS asks for its credentials ("Task IAM role").
const CREDENTIALS: &str = "169.254.170.2";

/// The program, linked statically (`scripts/aws.sh`).
fn program() -> PathBuf {
    std::env::var_os("LAYER0_TEST_STATIC_L0").expect("LAYER0_TEST_STATIC_L0 is set by scripts/aws.sh").into()
}

/// Takes what comes to an address elsewhere, for as long as the test runs.
#[track_caller]
fn lead(from: &str, mut to: impl FnMut() -> Option<String> + Send + 'static) {
    let listener = TcpListener::bind(from).unwrap_or_else(|why| panic!("{from}: {why}"));
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Some(far) = to().and_then(|to| TcpStream::connect(to).ok()) else { continue };
            let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { continue };
            thread::spawn(move || carry(near, far));
            thread::spawn(move || carry(far_too, near_too));
        }
    });
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    drop(to.shutdown(std::net::Shutdown::Write));
}

/// Does what the load balancer does, whose name the emulator's own `/health` would hide: one of the servers that run and say that
/// they are well, in turn.
fn balanced(image: String) -> impl FnMut() -> Option<String> + Send {
    let mut turn = 0;
    move || {
        turn += 1;
        let mut servers = containers(&image);
        let count = servers.len().max(1);
        servers.rotate_left(turn % count);
        servers.iter().map(|id| address(id)).find(|server| get(server, "/health").is_ok_and(|seen| seen.status == 200))
    }
}

fn address(id: &str) -> String {
    let format = "{{.NetworkSettings.IPAddress}}";
    let said = run(Command::new("docker").args(["inspect", "--format", format, id]), b"");
    format!("{}:9090", said.out.trim())
}

/// The containers that run of an image, by id.
fn containers(image: &str) -> Vec<String> {
    let said = run(Command::new("docker").args(["ps", "--no-trunc", "--format", "{{.ID}} {{.Image}}"]), b"").ok();
    let lines = said.out.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(_, of)| of.starts_with(image)).map(|(id, _)| id.to_owned()).collect()
}

/// A fresh directory, and an account.
struct Desk {
    directory: tempfile::TempDir,
    /// Where the load balancer's name leads.
    door: String,
    name: String,
}

impl Desk {
    fn new() -> Self {
        let (id, directory) = (std::process::id(), tempfile::tempdir().expect("a directory for the test"));
        let door = format!("127.{}.{}.{}", 128 + (id >> 16) % 64, (id >> 8) & 0xff, id & 0xff);
        let port = emulator().rsplit(':').next().expect("a port").to_owned();
        let name = format!("s{:05x}", id & 0xf_ffff);
        lead(&format!("{HOST}:{port}"), || Some(emulator()));
        lead(&format!("{door}:80"), balanced(format!("{}/l0-{name}-server", emulator())));
        let there = run(Command::new("ip").args(["addr", "show", "dev", "lo"]), b"").ok();
        if !there.out.contains(CREDENTIALS) {
            run(Command::new("ip").args(["addr", "add", &format!("{CREDENTIALS}/32"), "dev", "lo"]), b"").ok();
        }
        lead(&format!("{CREDENTIALS}:80"), || Some(emulator()));
        std::fs::copy("/etc/hosts", directory.path().join("hosts")).expect("this machine has one");
        Self { directory, door, name }
    }

    fn command(&self, line: &str) -> Command {
        let hosts = self.directory.path().join("hosts");
        let script = format!("mount --bind {} /etc/hosts && exec {} {line}", hosts.display(), program().display());
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script]).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.directory.path());
        command.env("AWS_ENDPOINT_URL", format!("http://{}", emulator())).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        command.env("AWS_EC2_METADATA_DISABLED", "true").current_dir(self.directory.path());
        command
    }

    /// Runs a command; `NAME` stands for the instance's.
    #[track_caller]
    fn l0(&self, line: &str) -> Said {
        run(&mut self.command(&line.replace("NAME", &self.name)), b"")
    }

    /// Runs a command against the instance's servers.
    #[track_caller]
    fn there(&self, connection: &Value, line: &str) -> Said {
        let mut command = self.command(line);
        for (name, value) in connection.as_object().expect("an object") {
            command.env(name, value.as_str().expect("a text"));
        }
        run(&mut command, b"")
    }

    /// Lets the load balancer's name lead to the emulator.
    #[track_caller]
    fn door_open(&self, endpoint: &str) {
        let host = endpoint.trim_start_matches("http://").trim_end_matches('/');
        let hosts = self.directory.path().join("hosts");
        let before = std::fs::read_to_string(&hosts).expect("it can be read");
        std::fs::write(&hosts, format!("{before}\n{} {host}\n", self.door)).expect("it can be written");
    }

    /// What in the account bears the instance's name or tag, as AWS's own lists tell it.
    fn left(&self) -> Vec<String> {
        let mine = format!("l0-{}", self.name);
        let mut left: Vec<String> = stacks().into_iter().filter(|name| name.starts_with(&mine)).collect();
        let mut add = |what: Value, key: &str| {
            let names = what[key].as_array().cloned().unwrap_or_default();
            left.extend(names.iter().map(ToString::to_string).filter(|name| name.contains(&mine)));
        };
        add(json_call("dynamodb", "DynamoDB_20120810.ListTables", &json!({})), "TableNames");
        add(json_call("ecr", "AmazonEC2ContainerRegistry_V20150921.DescribeRepositories", &json!({})), "repositories");
        add(json_call("logs", "Logs_20140328.DescribeLogGroups", &json!({})), "logGroups");
        add(json_call("secretsmanager", "secretsmanager.ListSecrets", &json!({})), "SecretList");
        add(json_call("ssm", "AmazonSSM.DescribeParameters", &json!({})), "Parameters");
        add(json_call("ecs", "AmazonEC2ContainerServiceV20141113.ListClusters", &json!({})), "clusterArns");
        // ECS has lists of its own; the one of all tags remembers there what is gone.
        for status in ["ACTIVE", "INACTIVE"] {
            let asked = json!({ "familyPrefix": mine, "status": status });
            let target = "AmazonEC2ContainerServiceV20141113.ListTaskDefinitions";
            add(json_call("ecs", target, &asked), "taskDefinitionArns");
        }
        let tagged = json!({ "TagFilters": [{ "Key": "layer0.setup", "Values": [self.name] }] });
        let tagged = json_call("tagging", "ResourceGroupsTaggingAPI_20170126.GetResources", &tagged);
        let tagged = tagged["ResourceTagMappingList"].as_array().cloned().unwrap_or_default();
        left.extend(tagged.iter().map(|it| it["ResourceARN"].to_string()).filter(|arn| !arn.contains(":ecs:")));
        left
    }
}

#[test]
fn an_instance_comes_serves_changes_and_goes_without_a_trace() {
    let desk = Desk::new();
    let (port, name) = (emulator().rsplit(':').next().expect("a port").to_owned(), desk.name.clone());
    // ECR's registry and the tasks' credentials are where the emulator has them.
    let more = format!(
        "--server-env LAYER0_ECR_HOST=127.0.0.1:{port} --server-env AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/v2/credentials/setup \
         --image-map 'registry.example.com|127.0.0.1:{port}'"
    );
    desk.l0(&format!("setup init NAME --yes --network public --allow 203.0.113.7/32 {more}"))
        .ok()
        .says("Next: l0 setup plan");
    desk.l0("setup plan NAME").ok().says("AWS::ECS::Service");
    desk.l0("setup apply NAME --yes --quick").ok().says("stands");
    let connection = desk.l0("setup endpoint NAME -o json").ok().json();
    desk.door_open(connection["LAYER0_API_ENDPOINT"].as_str().expect("an endpoint"));
    // It waits until the API answers, by the load balancer's name.
    desk.l0("setup apply NAME").ok().says("Nothing to change.");
    desk.l0("setup status NAME").ok().says("2 of 2 run");
    desk.l0("setup list").ok().says(&name);
    desk.l0("setup doctor NAME").ok();
    // An image, an environment, a deploy, a service.
    let repository = format!("{name}/app");
    repository_create(&repository);
    let image = format!("{}/{repository}:v1", emulator());
    run(Command::new("docker").args(["import", "--change", "ENTRYPOINT [\"/tool\"]"]).arg(archive()).arg(&image), b"")
        .ok();
    run(Command::new("docker").args(["push", "--quiet", &image]), b"").ok();
    let document = json!({ "AWSEBDockerrunVersion": 2, "containerDefinitions": [{
        "name": "app", "image": format!("registry.example.com/{repository}:v1"),
        "command": ["print", "here I am", "sleep"],
    }] });
    std::fs::write(desk.directory.path().join("app.json"), document.to_string()).expect("written");
    desk.there(&connection, "environment create dev").ok();
    desk.there(&connection, "deploy create app.json app").ok();
    desk.there(&connection, "service create dev app app:latest --skip-pull-check")
        .ok()
        .says("1 copy runs and is healthy");

    // Another version, made of this program: the API answers all the while.
    let bytes = std::fs::read(program()).expect("the program");
    let newer = desk.directory.path().join("l0-newer");
    std::fs::write(&newer, replaced(&bytes, env!("CARGO_PKG_VERSION"), "0.1.9")).expect("written");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let door = format!("{}:80", desk.door);
    let visitor = thread::spawn(move || {
        let mut answers = Vec::new();
        while stopped.recv_timeout(std::time::Duration::from_millis(100)).is_err() {
            let connection = Connection::open(&door);
            answers.push(connection.and_then(|mut it| it.request("GET", "/health", "Connection: close\r\n", b"")));
        }
        answers
    });
    desk.l0("setup upgrade NAME --executable ./l0-newer --yes").ok().says("-> 0.1.9");
    stop.send(()).expect("the visitor listens");
    let answers = visitor.join().expect("the visitor ends");
    let bad: Vec<_> = answers.iter().filter(|it| !matches!(it, Ok(answer) if answer.status == 200)).collect();
    assert!(answers.len() > 3 && bad.is_empty(), "{} of {}: {bad:?}", bad.len(), answers.len());
    desk.l0("setup status NAME").ok().says("version 0.1.9");
    desk.there(&connection, "service get app --skip-verify-version").ok().says("1/1");

    // Data stays unless it is said, and is taken in again; then nothing is left.
    desk.l0("setup destroy NAME --yes").ok().says(&format!("table l0-{name}"));
    desk.l0("setup destroy NAME --yes --with-data").ok().says("Nothing in the account bears its name");
    assert_eq!(desk.left(), [""; 0]);
    assert!(!desk.directory.path().join(".layer0").join(&name).exists());
}

/// The bytes with a version in place of another of the same length.
fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = bytes[at..].windows(from.len()).position(|window| window == from.as_bytes()) {
        at += found;
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

impl Drop for Desk {
    fn drop(&mut self) {
        let image = format!("{}/l0-{}-server", emulator(), self.name);
        let listed = run(Command::new("docker").args(["ps", "--all", "--format", "{{.ID}} {{.Image}}"]), b"");
        for (id, _) in
            listed.out.lines().filter_map(|line| line.split_once(' ')).filter(|(_, of)| of.starts_with(&image))
        {
            drop(run(Command::new("docker").args(["rm", "--force", id]), b""));
        }
        let format = "{{.Repository}}@{{.Digest}} {{.ID}}";
        let listed = run(Command::new("docker").args(["images", "--format", format]), b"");
        for (_, id) in
            listed.out.lines().filter_map(|line| line.split_once(' ')).filter(|(of, _)| of.starts_with(&image))
        {
            drop(run(Command::new("docker").args(["rmi", "--force", id]), b""));
        }
    }
}
