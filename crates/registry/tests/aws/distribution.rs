//! A registry that is none of ours behind ECR's guard: CNCF Distribution (Debian's docker-registry), which the test kit's ECR passes on
//! to what bears a token that is good. Pushed and pulled with docker, while tokens end.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use http::Method;
use layer0_domain::model::digest::Digest;
use layer0_domain::model::time::Timestamp;
use layer0_domain::port::clock::Clock;
use layer0_testkit::clock::{FixedClock, RunningClock};
use layer0_testkit::until::until;

use crate::client::noise;
use crate::on_aws::OnAws;
use crate::run::{path, run};

/// A clock that goes on whenever somebody looks: every token is old when the next request comes.
#[derive(Debug)]
struct Hasty {
    start: Timestamp,
    looks: AtomicI64,
    random: RunningClock,
}

/// How far. A refusal is laid to a token that is older than ten seconds.
const STEP_MS: i64 = 15_000;

impl Clock for Hasty {
    fn now(&self) -> Timestamp {
        self.start.plus_ms(self.looks.fetch_add(1, Ordering::Relaxed) * STEP_MS)
    }

    fn random(&self) -> [u8; 32] {
        self.random.random()
    }
}

/// The registry, on a port of its own. Ends when dropped.
struct Distribution {
    address: String,
    child: Child,
    directory: tempfile::TempDir,
}

impl Drop for Distribution {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Distribution {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = directory.path().join("config.yml");
        let data = directory.path().join("data");
        let text = format!(
            "version: 0.1\nlog: {{ level: warn }}\nstorage: {{ filesystem: {{ rootdirectory: '{}' }} }}\nhttp: {{ addr: '{free}' }}\n",
            data.display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("docker-registry is needed for this test: {error}"));
        let this = Self { address: free.to_string(), child, directory };
        until("docker-registry to listen", || async { tokio::net::TcpStream::connect(free).await.map(drop) }).await;
        this
    }

    /// The repositories that it has.
    fn repositories(&self) -> Vec<String> {
        let root = self.directory.path().join("data/docker/registry/v2/repositories/team");
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        entries.filter_map(|it| it.file_name().into_string().ok()).collect()
    }
}

/// Removes what the test put on the engine, also when it has failed.
struct Images(Vec<String>);

impl Drop for Images {
    fn drop(&mut self) {
        Command::new("docker").args(["rmi", "--force"]).args(&self.0).output().ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn docker_pushes_and_pulls_while_every_token_ends_after_one_request() {
    let behind = Distribution::start().await;
    let start = RunningClock::default().now();
    let hasty = Hasty { start, looks: AtomicI64::new(0), random: RunningClock::default() };
    let stage = OnAws::with(Arc::new(FixedClock::at(start)), Arc::new(hasty), |ecr| ecr).await;
    stage.aws.registry_behind(&behind.address);
    // One layer: those of several go at the same time, and one request would end the token of another before it was used.
    stage.aws.registry_tokens_once(true);
    let work = tempfile::tempdir().unwrap();
    // Less than what is kept of a body: of more, docker would have to send all again.
    let mut content = noise(900_000);
    content.extend(stage.address.to_string().bytes());
    std::fs::write(work.path().join("noise"), content).unwrap();
    std::fs::write(work.path().join("Dockerfile"), "FROM scratch\nCOPY noise /noise\nCMD [\"/noise\"]\n").unwrap();
    let image = format!("{}/team/app:1", stage.address);
    let images = Images(vec![image.clone()]);
    run("docker", &["build", "--quiet", "--no-cache", "--tag", &image, path(work.path())], "").await.ok();
    let pushed = run("docker", &["push", &image], "").await;
    assert!(pushed.success, "{}\n{:#?}", pushed.all, stage.aws.registry_calls());
    stage.aws.registry_tokens_once(false);
    stage.aws.registry_tokens_expire();
    let id = run("docker", &["inspect", "--format", "{{.Id}}", &image], "").await.ok().out;
    run("docker", &["rmi", "--force", &image], "").await.ok();
    run("docker", &["pull", &image], "").await.ok();
    assert_eq!(run("docker", &["inspect", "--format", "{{.Id}}", &image], "").await.ok().out, id);
    assert_eq!(behind.repositories(), ["app"], "it came to lie there");
    let calls = stage.aws.registry_calls();
    let refused = calls.iter().filter(|it| it.status == 403).count();
    assert!(refused >= 8, "each request found its token ended: {calls:?}");
    assert!(calls.iter().all(|it| it.status < 500 && it.status != 401), "{calls:?}");
    drop(images);
}

#[tokio::test]
async fn a_wrong_token_reaches_nobody() {
    let behind = Distribution::start().await;
    let stage = OnAws::start().await;
    stage.aws.registry_behind(&behind.address);
    let direct = stage.direct();
    let digest = Digest::sha256_of(b"content");
    let upload = format!("/v2/team/secret/blobs/uploads/?digest={digest}");
    let with = async |authorization: &str| {
        let headers = [("authorization", authorization)];
        direct.client.ask(Method::POST, &upload, &headers, "content").await.status.as_u16()
    };
    assert_eq!(with("Basic QVdTOndyb25n").await, 401);
    assert_eq!(with("").await, 401);
    stage.aws.registry_tokens_expire();
    assert_eq!(with(&direct.authorization).await, 403, "ECR denies what has expired");
    assert_eq!(behind.repositories(), Vec::<String>::new());
    // The server's own way is open: its token is renewed.
    stage.advance_ms(60_000);
    stage.client.push("team/app", "content").await;
    assert_eq!(behind.repositories(), ["app"]);
}
