//! What an executable is for, done once under callgrind: a registry starts; images come and go; commands are given.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::order::Order;
use crate::bench::client::{Body, Client};
use crate::bench::instance::{free_port, own_settings};
use crate::bench::machine::mib;
use crate::bench::stats;
use crate::project::output;

/// How long a server may take to begin, or to end: under Valgrind, and not optimised, fifty times as long as else.
const PATIENCE: Duration = Duration::from_secs(180);

const REPOSITORY: &str = "team/app";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What people ask for most.
const COMMANDS: &[&[&str]] = &[
    &["environment", "create", "demo"],
    &["environment", "list"],
    &["service", "list"],
    &["repository", "list"],
    &["image", "list", REPOSITORY],
    &["whoami"],
    &["help"],
];

/// The functions that all of it takes: first those of a start, which every server has in memory.
pub(super) fn order(l0: &Path, directory: &Path) -> Result<Order> {
    let command_name = |number: usize| format!("command-{number}");
    // The start that is looked at is one of many, not the first.
    let server = Server::start(l0, directory, "fake", Some("work"))?;
    images(&server.client, directory)?;
    for (number, words) in COMMANDS.iter().enumerate() {
        command(l0, directory, &server, words, &command_name(number))?;
    }
    server.stop()?;
    Server::start(l0, directory, "none", Some("start"))?.stop()?;

    let mut order = Order::default();
    let commands = (0..COMMANDS.len()).map(command_name);
    for name in ["start".to_owned(), "work".to_owned()].into_iter().chain(commands) {
        let file = directory.join(format!("{name}.callgrind"));
        order.add(&fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?);
    }
    Ok(order)
}

/// What a registry alone has in memory when it has given its first answer.
pub(super) fn resident_mib(l0: &Path, directory: &Path) -> Result<f64> {
    let server = Server::start(l0, directory, "none", None)?;
    let resident = mib(server.process.0.id(), "status", "VmRSS:")?;
    server.stop()?;
    Ok(resident)
}

/// A server that answers.
struct Server {
    process: Running,
    client: Client,
    address: SocketAddr,
    token: String,
}

impl Server {
    /// Starts one, and waits for its first answer to somebody it knows.
    fn start(l0: &Path, directory: &Path, engine: &str, profile: Option<&str>) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let (data, log) = (directory.join("data"), directory.join("server.log"));
        let mut command = observed(l0, directory, profile);
        command.args(["server", "--instance", "release", "--engine", engine, "--create-on-push"]);
        command.args(["--listen", &address.to_string(), "--data-dir"]).arg(&data);
        // Nobody is asked there: that there is somebody to ask is part of a start.
        command.args(["--registry-mirrors", "mirror=http://127.0.0.1:9/mirror"]);
        let file = File::options().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut process = Running(command.spawn().context("starting the server")?);
        let first = || {
            if let Some(status) = process.0.try_wait()? {
                bail!("the server ended at its start ({status}): see {}", log.display());
            }
            let Ok(token) = fs::read_to_string(data.join("admin-token")) else { return Ok(None) };
            let client = Client::new(address, token.trim().to_owned());
            let answer = client.ask("GET", "/v2/", Body::Whole(b"")).and_then(|answer| answer.expect(200));
            Ok(answer.ok().map(|_| (client, token.trim().to_owned())))
        };
        let (client, token) = stats::until(PATIENCE, "the server's first answer", first)?;
        Ok(Self { process, client, address, token })
    }

    /// Ends it as an operator does.
    fn stop(mut self) -> Result<()> {
        let child = &mut self.process.0;
        // The shell's own: a small machine has no other.
        output(Command::new("sh").args(["-c", "kill \"$1\"", "sh", &child.id().to_string()]))?;
        let status = stats::until(PATIENCE, "the server to end", || Ok(child.try_wait()?))?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}

/// A process that does not outlive this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended is left alone.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The executable, with nothing of the user's own settings; under callgrind when it is told what to call what it writes.
fn observed(l0: &Path, directory: &Path, profile: Option<&str>) -> Command {
    let mut command = match profile {
        None => Command::new(l0),
        Some(profile) => {
            let mut command = Command::new("sh");
            // Valgrind keeps some files of its own above all that a process may have, and fails where that is without end.
            command.args(["-c", "ulimit -Sn 4096; exec \"$@\"", "sh", "valgrind"]);
            command.args(["--quiet", "--vgdb=no", "--tool=callgrind", "--demangle=no"]);
            command.arg(format!("--callgrind-out-file={profile}.callgrind")).arg(l0);
            command
        }
    };
    own_settings(&mut command, directory);
    command.current_dir(directory).env("HOME", directory).env_remove("VALGRIND_OPTS");
    command
}

/// One command of the command line.
fn command(l0: &Path, directory: &Path, server: &Server, words: &[&str], profile: &str) -> Result<()> {
    let mut command = observed(l0, directory, Some(profile));
    command.args(words).env("LAYER0_API_ENDPOINT", format!("http://{}/", server.address));
    command.env("LAYER0_AUTH_TOKEN", &server.token).stdin(Stdio::null());
    output(&mut command).with_context(|| format!("l0 {}", words.join(" "))).map(drop)
}

/// An image with blobs of each size comes in each way, is looked for, and goes out.
fn images(client: &Client, directory: &Path) -> Result<()> {
    let sizes = [300, 64 << 10, 1 << 20, 6 << 20];
    let mut blobs = Vec::new();
    for (number, size) in sizes.into_iter().enumerate() {
        let content = vec![u8::try_from(number)?; size];
        let digest = digest(directory, &content)?;
        let way = if number % 2 == 1 { Way::Stream } else { Way::Once };
        push(client, &content, &digest, way).with_context(|| format!("pushing a blob of {size} bytes"))?;
        blobs.push((digest, content));
    }
    let described = |kind: &str, (digest, content): &(String, Vec<u8>)| {
        format!(r#"{{"mediaType":"{kind}","digest":"{digest}","size":{}}}"#, content.len())
    };
    let layers: Vec<String> = blobs[1..].iter().map(|blob| described(LAYER, blob)).collect();
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{},"layers":[{}]}}"#,
        described(CONFIG, &blobs[0]),
        layers.join(",")
    );
    let digest = digest(directory, manifest.as_bytes())?;
    let ask = |method: &str, path: &str, status: u16| {
        client.ask(method, path, Body::Whole(b""))?.expect(status).with_context(|| format!("{method} {path}")).map(drop)
    };
    for name in ["v1", "v2", &digest] {
        let path = format!("/v2/{REPOSITORY}/manifests/{name}");
        let put = client.ask("PUT", &path, Body::Manifest(MANIFEST, manifest.as_bytes()))?;
        put.expect(201).with_context(|| format!("PUT {path}"))?;
        ask("HEAD", &path, 200)?;
        ask("GET", &path, 200)?;
    }
    for (digest, _) in &blobs {
        ask("HEAD", &format!("/v2/{REPOSITORY}/blobs/{digest}"), 200)?;
        ask("GET", &format!("/v2/{REPOSITORY}/blobs/{digest}"), 200)?;
        ask("POST", &format!("/v2/team/other/blobs/uploads/?mount={digest}&from={REPOSITORY}"), 201)?;
    }
    ask("GET", &format!("/v2/{REPOSITORY}/tags/list?n=100"), 200)?;
    ask("GET", &format!("/v2/{REPOSITORY}/referrers/{digest}"), 200)?;
    ask("GET", "/v2/_catalog?n=100", 200)?;
    ask("GET", &format!("/v2/{REPOSITORY}/manifests/nothing"), 404)?;
    ask("DELETE", &format!("/v2/{REPOSITORY}/manifests/v2"), 202)
}

/// How a blob comes.
#[derive(Clone, Copy)]
enum Way {
    /// With the request that ends its upload.
    Once,
    /// Before that, with no word of its length.
    Stream,
}

fn push(client: &Client, content: &[u8], digest: &str, way: Way) -> Result<()> {
    let begun = client.begin(REPOSITORY)?;
    let (place, rest) = match way {
        Way::Once => (begun, content),
        Way::Stream => {
            (client.ask("PATCH", &begun, Body::Stream(content))?.expect(202)?.location()?, Default::default())
        }
    };
    let joined = if place.contains('?') { '&' } else { '?' };
    client.ask("PUT", &format!("{place}{joined}digest={digest}"), Body::Whole(rest))?.expect(201).map(drop)
}

fn digest(directory: &Path, content: &[u8]) -> Result<String> {
    let file: PathBuf = directory.join("content");
    File::create(&file)?.write_all(content)?;
    let said = output(Command::new("sha256sum").arg(&file))?;
    Ok(format!("sha256:{}", said.split_whitespace().next().context("sha256sum says a digest")?))
}
