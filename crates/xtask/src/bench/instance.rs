//! An instance of Layer0 for one row: its own directory, port and label, and nothing of it left at the end.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::docker::Docker;
use super::http::{Answer, Http};
use super::stats;

/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long an operation may take before the bench gives up.
const OPERATION_LIMIT: Duration = Duration::from_secs(180);

/// What runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Docker,
    Fake,
}

/// A server with its data directory; both go when it is dropped.
pub(crate) struct Instance {
    /// Begins its label and the names of what the bench adds to it.
    pub(crate) stem: String,
    pub(crate) dir: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) docker: Docker,
    pub(crate) l0: PathBuf,
    note: PathBuf,
    server: Option<Child>,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

impl Instance {
    /// Prepares an instance; nothing runs yet. `notes` is where it is written down until it is removed.
    pub(crate) fn new(l0: &Path, notes: &Path, docker: &Docker) -> Result<Self> {
        let stem = stem(std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("layer0-bench-{stem}"));
        fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        fs::create_dir_all(notes)?;
        let note = notes.join(&stem);
        fs::write(&note, format!("{}\n{}\n", std::process::id(), dir.display()))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        Ok(Self { stem, dir, address, docker: docker.clone(), l0: l0.to_owned(), note, server: None })
    }

    /// Starts the server, which must not run, and says how long it took from there to the first answer to a request
    /// with a token.
    pub(crate) fn start(&mut self, engine: Engine) -> Result<Duration> {
        self.start_told(engine, &[])
    }

    /// The same, with settings in its environment.
    pub(crate) fn start_told(&mut self, engine: Engine, settings: &[(&str, &str)]) -> Result<Duration> {
        self.started(engine, &self.docker.socket.clone(), settings)
    }

    /// The same, with the engine's socket named.
    pub(crate) fn start_with(&mut self, engine: Engine, socket: &Path) -> Result<Duration> {
        self.started(engine, socket, &[])
    }

    fn started(&mut self, engine: Engine, socket: &Path, settings: &[(&str, &str)]) -> Result<Duration> {
        let log = File::options().create(true).append(true).open(self.dir.join("server.log"))?;
        let mut command = Command::new(&self.l0);
        command
            .args(["server", "--instance", &self.stem, "--listen", &self.address.to_string()])
            .args(["--engine", if engine == Engine::Fake { "fake" } else { "docker" }])
            .arg("--docker-host")
            .arg(format!("unix://{}", socket.display()))
            .arg("--data-dir")
            .arg(self.data_dir())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        self.own_settings(&mut command);
        command.envs(settings.iter().copied());
        let since = Instant::now();
        self.server = Some(command.spawn().with_context(|| format!("starting {}", self.l0.display()))?);
        while !self.answers() {
            if let Some(status) = self.server.as_mut().and_then(|child| child.try_wait().transpose()) {
                bail!("the server ended at its start ({}): {}", status?, self.log_tail());
            }
            if since.elapsed() > START_LIMIT {
                bail!("the server did not answer within {} s: {}", START_LIMIT.as_secs(), self.log_tail());
            }
            stats::pause(Duration::from_micros(500));
        }
        Ok(since.elapsed())
    }

    fn answers(&self) -> bool {
        let Ok(mut api) = self.api() else { return false };
        api.ask("GET", "/environment", None).is_ok_and(|answer| answer.status == 200)
    }

    /// Nothing of the user's own settings may play a part.
    pub(crate) fn own_settings(&self, command: &mut Command) {
        own_settings(command, &self.dir);
    }

    /// Where the server keeps what it has.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The last lines that the server wrote.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.dir.join("server.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// The server's process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.server.as_ref().map(Child::id).context("the server does not run")
    }

    /// Ends the server with SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut server) = self.server.take() {
            server.kill()?;
            server.wait()?;
        }
        Ok(())
    }

    /// Asks the server to stop and waits until it has.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let pid = self.pid()?;
        Command::new("kill").arg(pid.to_string()).status()?;
        let server = self.server.as_mut().context("the server does not run")?;
        stats::until(START_LIMIT, "the server to stop", || Ok(server.try_wait()?))?;
        self.server = None;
        Ok(())
    }

    /// What stands behind `Basic ` in a request of the admin.
    pub(crate) fn token(&self) -> Result<String> {
        Ok(fs::read_to_string(self.data_dir().join("admin-token"))?.trim().to_owned())
    }

    /// A connection to the API, signed in.
    pub(crate) fn api(&self) -> Result<Api> {
        Api::connect(self.address, &self.token()?)
    }

    /// A command of the CLI, connected to this instance.
    pub(crate) fn cli(&self, words: &[&str]) -> Result<Command> {
        let mut command = Command::new(&self.l0);
        command.args(words).stdin(Stdio::null());
        self.own_settings(&mut command);
        command.env("LAYER0_API_ENDPOINT", format!("http://{}/", self.address));
        command.env("LAYER0_AUTH_TOKEN", self.token()?);
        Ok(command)
    }

    /// Runs a command to its end and says how long that took.
    pub(crate) fn timed(&self, mut command: Command) -> Result<Duration> {
        let since = Instant::now();
        let output = command.output()?;
        let took = since.elapsed();
        if !output.status.success() {
            let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
            bail!("`{}` failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(took)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // At the end of a failure as well, so each part is tried whatever became of the one before.
        drop(self.kill());
        let swept = self.docker.sweep(&self.stem);
        let removed = fs::remove_dir_all(&self.dir);
        if swept.is_ok() && removed.is_ok() {
            drop(fs::remove_file(&self.note));
        }
    }
}

/// Leaves nothing of the user's own settings to a command; what is left of them is in `dir`.
pub(crate) fn own_settings(command: &mut Command, dir: &Path) {
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("LAYER0_") || name_text.starts_with("AWS_") {
            command.env_remove(&name);
        }
    }
    command.env("XDG_CONFIG_HOME", dir.join("config")).env("DOCKER_CONFIG", dir.join("docker"));
}

/// Removes what a bench left behind that was killed.
pub(crate) fn sweep_leftovers(notes: &Path, docker: &Docker) -> Result<()> {
    let Ok(entries) = fs::read_dir(notes) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?;
        let Some((pid, dir)) = text.trim().split_once('\n') else { continue };
        if Path::new("/proc").join(pid).exists() {
            continue;
        }
        docker.sweep(&entry.file_name().to_string_lossy())?;
        drop(fs::remove_dir_all(dir));
        fs::remove_file(entry.path())?;
    }
    Ok(())
}

/// Eight letters and digits, which is what an instance's label keeps of its name.
fn stem(pid: u32, counter: u32) -> String {
    let mut text = String::from("b");
    for place in [4, 3, 2, 1, 0] {
        text.push(digit(pid / 36_u32.pow(place) % 36));
    }
    text.push(digit(counter / 36 % 36));
    text.push(digit(counter % 36));
    text
}

fn digit(value: u32) -> char {
    char::from_digit(value, 36).unwrap_or('0')
}

/// A port that nothing listens on, most likely for a while yet.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?.local_addr()?.port())
}

/// A connection to the API.
pub(crate) struct Api {
    http: Http<std::net::TcpStream>,
}

impl Api {
    /// Connects; `token` is what stands behind `Basic `.
    pub(crate) fn connect(address: SocketAddr, token: &str) -> Result<Self> {
        let headers = format!("authorization: Basic {token}\r\n");
        Ok(Self { http: Http::tcp(address, &headers, Duration::from_secs(30))? })
    }

    /// A request, whatever comes of it.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> Result<Answer> {
        self.http.ask(method, path, body).with_context(|| format!("{method} {path}"))
    }

    fn json(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.ask(method, path, body.map(Value::to_string).as_deref())?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path} answers {}: {}", answer.status, answer.text());
        }
        serde_json::from_slice(&answer.body).with_context(|| format!("reading {method} {path}"))
    }

    /// What a path holds.
    pub(crate) fn get(&mut self, path: &str) -> Result<Value> {
        self.json("GET", path, None)
    }

    /// Makes something; gives its id and the operation that is under way, if any.
    pub(crate) fn create(&mut self, path: &str, body: &Value) -> Result<(String, Option<String>)> {
        let answer = self.json("POST", path, Some(body))?;
        let id = answer["entity_id"].as_str().with_context(|| format!("POST {path} gives an id"))?;
        Ok((id.to_owned(), answer["operation_id"].as_str().map(str::to_owned)))
    }

    /// Changes or removes something, and waits until that is done.
    pub(crate) fn change(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<()> {
        let answer = self.json(method, path, body)?;
        match answer["operation_id"].as_str() {
            Some(operation) => self.succeeded(operation),
            None => Ok(()),
        }
    }

    /// Makes something and waits until it is as wanted.
    pub(crate) fn created(&mut self, path: &str, body: &Value) -> Result<String> {
        let (id, operation) = self.create(path, body)?;
        if let Some(operation) = operation {
            self.succeeded(&operation)?;
        }
        Ok(id)
    }

    /// Waits until an operation has succeeded.
    pub(crate) fn succeeded(&mut self, operation: &str) -> Result<()> {
        let path = format!("/operation/{operation}");
        stats::until(OPERATION_LIMIT, &format!("operation {operation}"), || {
            let seen = self.get(&path)?;
            match seen["state"].as_str() {
                Some("running") => Ok(None),
                Some("succeeded") => Ok(Some(())),
                other => bail!("operation {operation} ended as {}: {}", other.unwrap_or("?"), seen["cause"]),
            }
        })
    }

    /// An environment.
    pub(crate) fn environment(&mut self, name: &str) -> Result<String> {
        self.created("/environment", &json!({ "environment_name": name, "operating_system": "linux" }))
    }

    /// A deploy of one container.
    pub(crate) fn deploy(&mut self, name: &str, container: &Value) -> Result<String> {
        let document = json!({ "containerDefinitions": [container] }).to_string();
        let body = json!({ "deploy_name": name, "deploy_file": base64(document.as_bytes()) });
        self.created("/deploy", &body)
    }

    /// A load balancer with one HTTP listener, and the port of it on this machine.
    pub(crate) fn load_balancer(&mut self, environment: &str, name: &str, check: &Value) -> Result<(String, u16)> {
        let port = free_port()?;
        let id = self.created(
            "/loadbalancer",
            &json!({
                "load_balancer_name": name, "load_balancer_type": "application", "environment_id": environment,
                "is_public": true, "health_check": check,
                "ports": [{ "container_port": 8080, "host_port": port, "protocol": "http" }],
            }),
        )?;
        Ok((id, port))
    }
}

/// The alphabet of RFC 4648, section 4.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, section 4.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let three = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

/// The other way round; none when it is no base64.
pub(crate) fn base64_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let place = LETTERS.iter().position(|it| *it == letter)?;
        bits = bits << 6 | u32::try_from(place).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        let vectors = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in vectors {
            assert_eq!(base64(plain.as_bytes()), encoded);
            assert_eq!(base64_decoded(encoded).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(base64_decoded("Zm 9v"), None);
    }

    #[test]
    fn a_stem_is_a_legal_instance_name_that_its_label_keeps_whole() {
        assert_eq!(stem(0, 0), "b0000000");
        assert_eq!(stem(4_194_304, 37), "b2hwcg11");
        assert_ne!(stem(1, 2), stem(2, 1));
    }
}
