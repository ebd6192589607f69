//! What the tests share: the test image, engines with instances of their own, and the proof that no litter is left.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::task_definition::{Document, TaskDefinition};
use layer0_domain::port::engine::{Engine, Scope};
use layer0_domain::port::image_source::{ImageSource, ImageSourceError, PullCredential, SourceAnswer};
use layer0_engine::docker::{DockerConfig, DockerEngine};
use layer0_testkit::clock::RunningClock;
use layer0_testkit::until::until;
use serde_json::{Value, json};

/// The image of the test program; it stays on the engine, so that the next run has it.
const IMAGE: &str = "layer0-test/tool";

/// No registry of ours.
pub(crate) struct NoSource;

#[async_trait]
impl ImageSource for NoSource {
    async fn describe(&self, _: &ImageRef) -> Result<SourceAnswer, ImageSourceError> {
        Ok(SourceAnswer::NotOurs)
    }

    async fn credential(&self, _: &ImageRef) -> Result<Option<PullCredential>, ImageSourceError> {
        Ok(None)
    }
}

/// Runs a command; panics with what it said when it fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// The test image's name; made on first use.
pub(crate) fn image() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/tool/main.rs");
        let text = std::fs::read_to_string(source).expect("the program's source");
        let name = format!("{IMAGE}:{:016x}", fingerprint(&text));
        let mut here = Command::new("docker");
        here.args(["image", "inspect", &name]).stdout(Stdio::null()).stderr(Stdio::null());
        if here.status().expect("the docker client").success() {
            return name;
        }
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tool-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory of our own");
        let path = directory.to_str().expect("cargo's path is text");
        let program = format!("{path}/tool");
        run("rustc", &["--edition", "2024", "-O", "-C", "target-feature=+crt-static", "-C", "strip=symbols", "-o", &program, source]);
        let archive = format!("{path}/layer.tar");
        run("tar", &["-C", path, "-cf", &archive, "tool"]);
        run("docker", &["import", "--change", "ENTRYPOINT [\"/tool\"]", &archive, &name]);
        std::fs::remove_dir_all(&directory).expect("our own directory");
        name
    })
}

/// FNV-1a: the image is made anew when its source changes.
fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// An instance of its own on the machine's Docker engine.
pub(crate) struct Instance {
    pub(crate) id: String,
    config: DockerConfig,
}

static INSTANCES: AtomicU32 = AtomicU32::new(1);

impl Instance {
    pub(crate) fn new() -> Self {
        let id = format!("test-{}-{}", std::process::id(), INSTANCES.fetch_add(1, Ordering::Relaxed));
        let mut config = DockerConfig::new(id.clone());
        config.drain_timeout = std::time::Duration::from_secs(5);
        Self { id, config }
    }

    /// With a configuration that was changed.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut DockerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// An engine, as after a start of the server; not connected yet.
    pub(crate) fn start(&self) -> Arc<DockerEngine> {
        let clock = Arc::new(RunningClock::default());
        Arc::new(DockerEngine::start(self.config.clone(), Arc::new(NoSource), clock).expect("threads for the load balancer"))
    }

    /// An engine that has found Docker.
    pub(crate) async fn connected(&self) -> Arc<DockerEngine> {
        let engine = self.start();
        until("the engine to find Docker", || async { engine.observe(Scope::All).await.map(drop).map_err(|error| error.to_string()) }).await;
        engine
    }

    /// What Docker has with the instance's label.
    pub(crate) fn litter(&self) -> Vec<String> {
        let label = format!("label=layer0.instance={}", self.id);
        let kinds: [&[&str]; 3] = [
            &["ps", "-aq", "--filter", &label, "--format", "container {{.Names}}"],
            &["network", "ls", "--filter", &label, "--format", "network {{.Name}}"],
            &["volume", "ls", "--filter", &label, "--format", "volume {{.Name}}"],
        ];
        kinds.iter().flat_map(|arguments| run("docker", arguments).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Proves that all was taken away.
    pub(crate) fn assert_clean(&self) {
        let left = self.litter();
        assert!(left.is_empty(), "left on the Docker engine: {left:?}");
    }
}

impl Drop for Instance {
    /// A test that failed leaves nothing either.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let label = format!("label=layer0.instance={}", self.id);
        for (list, remove) in [
            (vec!["ps", "-aq", "--filter", &label], vec!["rm", "-fv"]),
            (vec!["network", "ls", "-q", "--filter", &label], vec!["network", "rm"]),
            (vec!["volume", "ls", "-q", "--filter", &label], vec!["volume", "rm"]),
        ] {
            let Ok(output) = Command::new("docker").args(&list).output() else { continue };
            let ids = String::from_utf8_lossy(&output.stdout).into_owned();
            let ids: Vec<&str> = ids.split_whitespace().collect();
            if !ids.is_empty() {
                drop(Command::new("docker").args(&remove).args(ids).stdout(Stdio::null()).stderr(Stdio::null()).status());
            }
        }
    }
}

/// A definition of containers written as in a task definition document.
pub(crate) fn definition(containers: Value) -> TaskDefinition {
    document(json!({ "containerDefinitions": containers }))
}

/// A whole document.
pub(crate) fn document(document: Value) -> TaskDefinition {
    Document::from_canonical(document).expect("a legal document").definition().clone()
}

/// One container that does this.
pub(crate) fn tool(name: &str, command: &[&str]) -> Value {
    json!({ "name": name, "image": image(), "memory": 32, "essential": true, "command": command })
}

/// One container that does this, with more fields.
pub(crate) fn tool_with(name: &str, command: &[&str], more: Value) -> Value {
    let mut container = tool(name, command);
    let fields = container.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    container
}
