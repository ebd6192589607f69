//! Pulling from a registry: with a credential for each pull, once for several copies, and refused in every way.
//!
//! The registry is a few lines of HTTP on a free port of the loopback, which Docker speaks to without TLS.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use layer0_domain::model::access::Secret;
use layer0_domain::model::backing::BackingPlace;
use layer0_domain::model::digest::Algorithm;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::FailureClass;
use layer0_domain::model::image::{ImageRef, RepositoryName};
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::engine::{Engine, TaskRun, Want};
use layer0_domain::port::image_source::{ImageSource, ImageSourceError, PullCredential, SourceAnswer};
use layer0_domain::port::pull::{AnsweredBy, PullQuestion, RemoteImage};
use layer0_testkit::until::until;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::{Instance, Stage, definition, image, run, tool_with};

/// Gives out the credential that the registry asks for.
struct Source {
    asked: AtomicU32,
    password: &'static str,
}

#[async_trait]
impl ImageSource for Source {
    async fn describe(&self, _: &ImageRef) -> Result<SourceAnswer, ImageSourceError> {
        Ok(SourceAnswer::NotOurs)
    }

    async fn visibility_of(&self, _: &RepositoryName) -> Result<Visibility, ImageSourceError> {
        Ok(Visibility::Private)
    }

    async fn place_of(&self, _: &RepositoryName) -> Result<Option<BackingPlace>, ImageSourceError> {
        Ok(None)
    }

    async fn credential(&self, image: &ImageRef) -> Result<Option<PullCredential>, ImageSourceError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let ours = image.host().is_some_and(|host| host.starts_with("127.0.0.1"));
        Ok(ours.then(|| PullCredential { username: "pull".into(), password: Secret::new(self.password) }))
    }
}

/// Base64 of it has both characters in which the two alphabets differ, wherever it stands in the JSON.
const PASSWORD: &str = "?>?>?>~~~~ÿÿÿ";

/// What the registry answers to a path.
type Answers = HashMap<String, (u16, &'static str, Vec<u8>)>;

struct Registry {
    address: SocketAddr,
    answers: Arc<Mutex<Answers>>,
    seen: Arc<Mutex<Vec<String>>>,
    password: &'static str,
    /// While it is set, layers are not given out.
    held: watch::Sender<bool>,
}

impl Registry {
    async fn start(password: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let registry = Self {
            address: listener.local_addr().expect("a bound socket"),
            answers: Arc::default(),
            seen: Arc::default(),
            password,
            held: watch::Sender::new(false),
        };
        let held = registry.held.subscribe();
        let (answers, seen) = (Arc::clone(&registry.answers), Arc::clone(&registry.seen));
        let expected = format!("authorization: basic {}", base64(&format!("pull:{password}"))).to_ascii_lowercase();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&seen), held.clone(), expected.clone()));
            }
        });
        registry
    }

    fn put(&self, path: &str, status: u16, media_type: &'static str, body: impl Into<Vec<u8>>) {
        self.answers.lock().expect("no test panics with it").insert(path.to_owned(), (status, media_type, body.into()));
    }

    fn count(&self, part: &str) -> usize {
        self.seen.lock().expect("no test panics with it").iter().filter(|request| request.contains(part)).count()
    }

    /// Puts the test image into it, its program marked as one for `architecture`; gives the reference by digest.
    fn publish(&self, repository: &str, architecture: &str) -> String {
        let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("push-{}", self.address.port()));
        std::fs::create_dir_all(&directory).expect("a directory of our own");
        let path = directory.to_str().expect("text");
        run("docker", &["save", "-o", &format!("{path}/image.tar"), image()]);
        run("tar", &["-C", path, "-xf", &format!("{path}/image.tar")]);
        let layer = run("sh", &["-c", &format!("find {path} -name layer.tar")]);
        let mut layer = std::fs::read(layer.lines().next().expect("one layer")).expect("a layer");
        // The kernel goes by the machine in the ELF header (two bytes at 18), not by what the image says.
        let program = layer.windows(4).position(|four| four == b"\x7fELF").expect("the program");
        layer[program + 18] = if architecture == "arm64" { 183 } else { 62 };
        std::fs::remove_dir_all(&directory).expect("our own directory");
        let diff = Algorithm::Sha256.digest_of(&layer).to_string();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": { "Entrypoint": ["/tool"], "Labels": { "port": self.address.port().to_string() } },
            "rootfs": { "type": "layers", "diff_ids": [diff] },
        })
        .to_string();
        let config_digest = Algorithm::Sha256.digest_of(config.as_bytes()).to_string();
        let manifest_type = "application/vnd.docker.distribution.manifest.v2+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": manifest_type,
            "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": config_digest },
            "layers": [{ "mediaType": "application/vnd.docker.image.rootfs.diff.tar", "size": layer.len(), "digest": diff }],
        })
        .to_string();
        let digest = Algorithm::Sha256.digest_of(manifest.as_bytes()).to_string();
        self.put(&format!("/v2/{repository}/blobs/{diff}"), 200, "application/octet-stream", layer);
        self.put(&format!("/v2/{repository}/blobs/{config_digest}"), 200, "application/octet-stream", config);
        self.put(&format!("/v2/{repository}/manifests/{digest}"), 200, manifest_type, manifest.clone());
        self.put(&format!("/v2/{repository}/manifests/latest"), 200, manifest_type, manifest);
        format!("{}/{repository}@{digest}", self.address)
    }
}

async fn serve(
    mut stream: TcpStream,
    answers: Arc<Mutex<Answers>>,
    seen: Arc<Mutex<Vec<String>>>,
    mut held: watch::Receiver<bool>,
    expected: String,
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            // Docker tries TLS first (a record of type 22); a server without TLS says no at once.
            Ok(1) if head.is_empty() && byte[0] == 22 => return,
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let allowed = head.to_ascii_lowercase().contains(&expected);
    seen.lock().expect("no test panics with it").push(format!("{method} {path} {allowed}"));
    if path.contains("/blobs/") && held.wait_for(|held| !held).await.is_err() {
        return;
    }
    let (status, media_type, body) = if !allowed {
        (
            401,
            "application/json",
            br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#.to_vec(),
        )
    } else if path == "/v2/" {
        (200, "application/json", b"{}".to_vec())
    } else {
        let known = answers.lock().expect("no test panics with it").get(&path).cloned();
        known.unwrap_or_else(|| {
            (
                404,
                "application/json",
                br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#.to_vec(),
            )
        })
    };
    let digest = Algorithm::Sha256.digest_of(&body);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\nDocker-Content-Digest: {digest}\r\n\
         Docker-Distribution-Api-Version: registry/2.0\r\nWWW-Authenticate: Basic realm=\"test\"\r\nConnection: close\r\n\r\n"
    );
    if stream.write_all(head.as_bytes()).await.is_ok() && method != "HEAD" {
        // A client that has heard enough may close before the end.
        drop(stream.write_all(&body).await);
    }
    drop(stream.shutdown().await);
}

fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let sextet = (bits >> (18 - 6 * at)) & 63;
            out.push(if at <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    out
}

async fn stage(source: &Arc<Source>) -> Stage {
    let source: Arc<dyn ImageSource> = Arc::<Source>::clone(source);
    Stage::of(Instance::new().source(source)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_once_with_a_credential_of_its_own() {
    let registry = Registry::start(PASSWORD).await;
    let reference = registry.publish("team/app", host_architecture());
    let source = Arc::new(Source { asked: AtomicU32::new(0), password: registry.password });
    let stage = stage(&source).await;
    let container = tool_with("app", &["serve", "8080"], json!({ "image": reference }));
    let spec = stage.service_wanted("web", 3, json!([container]));
    stage.service(&spec).await;
    stage.steady(&spec).await;
    let manifest = format!("GET /v2/team/app/manifests/{}", reference.split('@').nth(1).expect("a digest"));
    assert_eq!(source.asked.load(Ordering::SeqCst), 1, "one pull for three copies");
    assert_eq!(registry.count(&format!("{manifest} true")), 1);
    // Here by its digest: no other pull, no other credential.
    let more =
        stage.service_wanted("more", 1, json!([tool_with("app", &["serve", "8080"], json!({ "image": reference }))]));
    stage.service(&more).await;
    stage.steady(&more).await;
    assert_eq!(source.asked.load(Ordering::SeqCst), 1);
    let evidence = stage
        .engine
        .pull_evidence(&PullQuestion::about(ImageRef::parse(&reference).expect("legal"), AnsweredBy::Us))
        .await
        .expect("Docker answers");
    let local = evidence.local.expect("it was pulled");
    assert!(local.repo_digests.iter().any(|digest| digest.to_string() == reference), "{local:?}");
    assert_eq!((local.platform.architecture.as_str(), evidence.remote), (host_architecture(), None));
    stage.leave().await;
    run("docker", &["rmi", &reference]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_stopped_or_removed_while_its_image_is_pulled_is_never_started() {
    let registry = Registry::start(PASSWORD).await;
    registry.held.send_replace(true);
    let reference = registry.publish("team/app", host_architecture());
    let source = Arc::new(Source { asked: AtomicU32::new(0), password: registry.password });
    let stage = stage(&source).await;
    let of_it = |command: &[&str]| definition(json!([tool_with("app", command, json!({ "image": reference }))]));
    let mut stopped = stage.task_wanted("stopped", 1, of_it(&["sleep"]));
    let removed = stage.task_wanted("removed", 1, of_it(&["sleep"]));
    for task in [&stopped, &removed] {
        stage.ensure(Want::Task(task.clone())).await;
        until("the pull", || async {
            let waits_for = stage.task_seen(&task.id).await.waiting_for.unwrap_or_default();
            if waits_for.contains("pulling") && registry.count("/blobs/") > 0 { Ok(()) } else { Err(waits_for) }
        })
        .await;
    }
    // Both are done with while the registry still holds the image back.
    stopped.run = TaskRun::Stop;
    stopped.generation = stopped.generation.next();
    stage.ensure(Want::Task(stopped.clone())).await;
    let seen = stage.task_ended(&stopped).await;
    assert_eq!(seen.failure.map(|failure| failure.class), Some(FailureClass::Stopped));
    stage.remove(&EntityRef::Task(removed.id.clone())).await;

    registry.held.send_replace(false);
    // A task with the same image that comes to its end shows that the others had their time.
    stage.run_task("other", of_it(&["print", "other"])).await;
    for task in [&stopped, &removed] {
        let made = run("docker", &["ps", "-aq", "--filter", &format!("label=layer0.entity={}", task.id)]);
        assert_eq!(made, "", "made for {}", task.id);
    }
    stage.leave().await;
    run("docker", &["rmi", &reference]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_pulls_are_told_apart() {
    let registry = Registry::start(PASSWORD).await;
    let published = registry.publish("team/other", if host_architecture() == "amd64" { "arm64" } else { "amd64" });
    let foreign = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
        "manifests": [{
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "size": 1000,
            "digest": published.split('@').nth(1), "platform": { "os": "linux", "architecture": "s390x" },
        }],
    })
    .to_string();
    let list = Algorithm::Sha256.digest_of(foreign.as_bytes()).to_string();
    registry.put(
        &format!("/v2/team/list/manifests/{list}"),
        200,
        "application/vnd.docker.distribution.manifest.list.v2+json",
        foreign,
    );
    registry.put(
        "/v2/team/denied/manifests/latest",
        403,
        "application/json",
        r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#,
    );
    registry.put(
        "/v2/team/nameless/manifests/latest",
        404,
        "application/json",
        r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#,
    );
    let wrong = Arc::new(Source { asked: AtomicU32::new(0), password: "wrong" });
    let right = Arc::new(Source { asked: AtomicU32::new(0), password: registry.password });
    let host = registry.address;
    let nowhere = format!("{host}/team/app@sha256:{}", "0".repeat(64));
    let cases = [
        (&right, nowhere, FailureClass::ImageNotFound),
        (&right, format!("{host}/team/app:none"), FailureClass::ImageNotFound),
        (&right, format!("{host}/team/nameless:latest"), FailureClass::ImageNotFound),
        (&right, format!("{host}/team/denied:latest"), FailureClass::PullDenied),
        (&wrong, published.clone(), FailureClass::PullDenied),
        (&right, format!("{host}/team/list@{list}"), FailureClass::WrongArchitecture),
    ];
    for (source, reference, class) in cases {
        let stage = stage(source).await;
        let spec = stage.task_wanted(
            "pull",
            1,
            definition(json!([tool_with("app", &["sleep"], json!({ "image": reference }))])),
        );
        stage.ensure(Want::Task(spec.clone())).await;
        let failure = until(format!("the failure of {reference}"), || async {
            let seen = stage.task_seen(&spec.id).await;
            seen.failure.clone().ok_or_else(|| format!("{seen:?}"))
        })
        .await;
        println!("{reference}: {:?}: {}", failure.class, failure.message);
        assert_eq!(failure.class, class, "{reference}: {}", failure.message);
        stage.leave().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_another_processor_is_told_as_such() {
    let registry = Registry::start(PASSWORD).await;
    let reference = registry.publish("team/other", if host_architecture() == "amd64" { "arm64" } else { "amd64" });
    let source = Arc::new(Source { asked: AtomicU32::new(0), password: registry.password });
    let stage = stage(&source).await;
    let spec =
        stage.task_wanted("pull", 1, definition(json!([tool_with("app", &["sleep"], json!({ "image": reference }))])));
    stage.ensure(Want::Task(spec.clone())).await;
    let failure = until("the failure", || async {
        let seen = stage.task_seen(&spec.id).await;
        seen.failure.clone().ok_or_else(|| format!("{seen:?}"))
    })
    .await;
    assert_eq!(failure.class, FailureClass::WrongArchitecture, "{}", failure.message);
    stage.leave().await;
    run("docker", &["rmi", &reference]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_registry_is_asked_by_docker() {
    // Docker asks without a credential here, so this registry lets everybody in that sends none.
    let registry = Registry::start(PASSWORD).await;
    let source = Arc::new(Source { asked: AtomicU32::new(0), password: registry.password });
    let stage = stage(&source).await;
    let denied = ImageRef::parse(&format!("{}/team/app:1", registry.address)).expect("legal");
    let evidence =
        stage.engine.pull_evidence(&PullQuestion::about(denied, AnsweredBy::Registry)).await.expect("Docker answers");
    assert_eq!((evidence.local, evidence.remote), (None, Some(RemoteImage::Denied)));
    let away = ImageRef::parse("127.0.0.1:1/team/app:1").expect("legal");
    let evidence =
        stage.engine.pull_evidence(&PullQuestion::about(away, AnsweredBy::Registry)).await.expect("Docker answers");
    assert!(matches!(evidence.remote, Some(RemoteImage::Unreachable { .. })), "{:?}", evidence.remote);
    stage.leave().await;
}

fn host_architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}
