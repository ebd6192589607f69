//! What the tests share: the test image, engines with instances of their own, and the proof that no litter is left.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use futures_util::StreamExt;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::environment::Environment;
use layer0_domain::model::failure::LogLine;
use layer0_domain::model::id::{DeploymentId, ServiceId, TaskId};
use layer0_domain::model::load_balancer::{LoadBalancer, Port, Protocol};
use layer0_domain::model::name::Name;
use layer0_domain::model::task_definition::{Document, TaskDefinition};
use layer0_domain::model::time::Generation;
use layer0_domain::port::engine::{
    Capacity, CopyState, Engine, LogQuery, Removed, Revision, Scope, ServiceMode, ServiceSeen, ServiceSpec, TaskRun,
    TaskSeen, TaskSpec, Want,
};
use layer0_domain::port::image_source::ImageSource;
use layer0_domain::port::pull::Launch;
use layer0_engine::docker::{DockerConfig, DockerEngine};
use layer0_testkit::clock::RunningClock;
use layer0_testkit::image_source::NoSource;
use layer0_testkit::sample;
use layer0_testkit::until::until;
use serde_json::{Value, json};

/// The image of the test program; it stays on the engine, so that the next run has it.
const IMAGE: &str = "layer0-test/tool";

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
        run(
            "rustc",
            &[
                "--edition",
                "2024",
                "-O",
                "-C",
                "target-feature=+crt-static",
                "-C",
                "strip=symbols",
                "-o",
                &program,
                source,
            ],
        );
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
    source: Arc<dyn ImageSource>,
}

static INSTANCES: AtomicU32 = AtomicU32::new(1);

impl Instance {
    pub(crate) fn new() -> Self {
        let id = format!("test-{}-{}", std::process::id(), INSTANCES.fetch_add(1, Ordering::Relaxed));
        let mut config = DockerConfig::new(id.clone());
        config.drain_timeout = std::time::Duration::from_secs(5);
        Self { id, config, source: Arc::new(NoSource) }
    }

    /// With registries of ours.
    pub(crate) fn source(mut self, source: Arc<dyn ImageSource>) -> Self {
        self.source = source;
        self
    }

    /// With a configuration that was changed.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut DockerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// An engine, as after a start of the server; not connected yet.
    pub(crate) fn start(&self) -> DockerEngine {
        let clock = Arc::new(RunningClock::default());
        DockerEngine::start(self.config.clone(), Arc::clone(&self.source), clock)
            .expect("threads for the load balancer")
    }

    /// An engine that has found Docker.
    pub(crate) async fn connected(&self) -> DockerEngine {
        let engine = self.start();
        until("the engine to find Docker", || async {
            engine.observe(Scope::All).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
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
        kinds
            .iter()
            .flat_map(|arguments| run("docker", arguments).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
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
                drop(
                    Command::new("docker").args(&remove).args(ids).stdout(Stdio::null()).stderr(Stdio::null()).status(),
                );
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

/// A small world to test in: an engine with one environment, whose wishes a test changes.
pub(crate) struct Stage {
    // First, so that it is gone before what a failed test left is taken away.
    pub(crate) engine: DockerEngine,
    pub(crate) instance: Instance,
    pub(crate) environment: Environment,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::of(Instance::new()).await
    }

    pub(crate) async fn of(instance: Instance) -> Self {
        let engine = instance.connected().await;
        let environment = environment(&instance, "one");
        let stage = Self { instance, engine, environment };
        stage.ensure(Want::Environment { environment: stage.environment.clone(), reachable_from: Vec::new() }).await;
        stage
    }

    /// As after a restart of the server: an engine that knows nothing.
    pub(crate) async fn restart(&mut self) {
        // The old one is gone before anything is asked of the new one; its ports are free a moment later.
        self.engine = self.instance.start();
        until("the engine to find Docker", || async { self.engine.observe(Scope::All).await.map(drop) }).await;
    }

    pub(crate) async fn ensure(&self, want: Want) {
        let entity = want.entity();
        self.engine.ensure(want).await.unwrap_or_else(|error| panic!("ensure of {entity}: {error}"));
    }

    pub(crate) async fn service(&self, spec: &ServiceSpec) {
        self.ensure(Want::Service(spec.clone())).await;
    }

    pub(crate) fn service_wanted(&self, name: &str, desired_count: u32, containers: Value) -> ServiceSpec {
        ServiceSpec {
            id: ServiceId::parse(&format!("{name}-{}", self.instance.id)).expect("an id"),
            name: Name::parse(name).expect("a name"),
            environment: self.environment.id.clone(),
            desired_count,
            revision: revision(&format!("{name}-1"), definition(containers)),
            mode: ServiceMode::Run,
            load_balancer: None,
            launch: Launch::Fargate,
            generation: Generation(1),
        }
    }

    pub(crate) fn task_wanted(&self, name: &str, copies: u32, definition: TaskDefinition) -> TaskSpec {
        TaskSpec {
            id: TaskId::parse(&format!("{name}-{}", self.instance.id)).expect("an id"),
            name: Name::parse(name).expect("a name"),
            environment: self.environment.id.clone(),
            copies,
            definition,
            run: TaskRun::Once,
            launch: Launch::Fargate,
            capacity: Capacity::Regular,
            generation: Generation(1),
        }
    }

    pub(crate) fn balancer_wanted(&self, name: &str, host_port: u16, container_port: u16) -> LoadBalancer {
        {
            let id = format!("{name}-{}", self.instance.id);
            let mut wanted = sample::load_balancer(&id, name, self.environment.id.clone());
            wanted.ports = vec![Port::forward(host_port, container_port, Protocol::Http)];
            wanted.health_check.target = format!("TCP:{container_port}");
            wanted
        }
    }

    pub(crate) async fn balancer(&self, wanted: &LoadBalancer, reachable_from: &[&Environment]) -> String {
        let reachable_from = reachable_from.iter().map(|environment| environment.id.clone()).collect();
        let want = Want::LoadBalancer { load_balancer: wanted.clone(), reachable_from };
        until("the port", || async { self.engine.ensure(want.clone()).await.map_err(|error| error.to_string()) }).await;
        let scope = Scope::One(EntityRef::LoadBalancer(wanted.id.clone()));
        let seen = self.engine.observe(scope).await.expect("Docker answers").load_balancers.remove(0);
        assert_eq!(seen.problem, None);
        seen.address
    }

    pub(crate) async fn service_seen(&self, id: &ServiceId) -> ServiceSeen {
        let seen = self.engine.observe(Scope::One(EntityRef::Service(id.clone()))).await.expect("it was ensured");
        seen.services.into_iter().next().expect("it was ensured")
    }

    pub(crate) async fn service_until(
        &self,
        what: &str,
        id: &ServiceId,
        holds: impl Fn(&ServiceSeen) -> bool,
    ) -> ServiceSeen {
        until(what, || async {
            let seen = self.service_seen(id).await;
            if holds(&seen) { Ok(seen) } else { Err(format!("{seen:#?}")) }
        })
        .await
    }

    /// Waits until all copies of the wanted revision are healthy and no others are left.
    pub(crate) async fn steady(&self, spec: &ServiceSpec) -> ServiceSeen {
        self.service_until("the service to be steady", &spec.id, |seen| {
            let live: Vec<_> = seen.copies.iter().filter(|copy| copy.state != CopyState::Stopped).collect();
            live.len() == spec.desired_count as usize
                && live.iter().all(|copy| {
                    copy.state == CopyState::Healthy && copy.deployment.as_ref() == Some(&spec.revision.deployment)
                })
        })
        .await
    }

    /// Runs a task to its end; gives its exit codes by container and its lines.
    pub(crate) async fn run_task(
        &self,
        name: &str,
        definition: TaskDefinition,
    ) -> (BTreeMap<String, Option<i64>>, Vec<LogLine>) {
        let spec = self.task_wanted(name, 1, definition);
        self.ensure(Want::Task(spec.clone())).await;
        let seen = self.task_ended(&spec).await;
        assert_eq!(seen.failure, None);
        let codes = seen.copies[0].containers.iter().map(|container| {
            (container.name.clone(), container.outcome.as_ref().and_then(|outcome| outcome.exit_code))
        });
        let codes = codes.collect();
        let entity = EntityRef::Task(spec.id.clone());
        let lines = self.lines(&entity).await;
        self.remove(&entity).await;
        (codes, lines)
    }

    pub(crate) async fn task_seen(&self, id: &TaskId) -> TaskSeen {
        let seen = self.engine.observe(Scope::One(EntityRef::Task(id.clone()))).await.expect("it was ensured");
        seen.tasks.into_iter().next().expect("it was ensured")
    }

    pub(crate) async fn task_ended(&self, spec: &TaskSpec) -> TaskSeen {
        until("the task to end", || async {
            let seen = self.task_seen(&spec.id).await;
            let over = |copy: &layer0_domain::port::engine::CopySeen| {
                copy.state == CopyState::Stopped
                    && copy.containers.iter().all(|container| container.status != "RUNNING")
            };
            let ended = seen.copies.iter().all(over);
            if ended { Ok(seen) } else { Err(format!("{seen:#?}")) }
        })
        .await
    }

    pub(crate) async fn lines(&self, of: &EntityRef) -> Vec<LogLine> {
        let stream = self.engine.logs(of, LogQuery::default()).await.expect("it has a log");
        stream.map(|line| line.expect("a line")).collect().await
    }

    pub(crate) async fn remove(&self, entity: &EntityRef) {
        until(format!("{entity} to be gone"), || async {
            match self.engine.remove(entity).await {
                Ok(Removed::Gone) => Ok(()),
                Ok(Removed::Going { waiting_for }) => Err(waiting_for),
                Ok(Removed::Hindered { waiting_for, why }) => Err(format!("{waiting_for} ({why})")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// Takes all away and proves that nothing is left.
    pub(crate) async fn leave(self) {
        let all = self.engine.observe(Scope::All).await.expect("Docker answers");
        for seen in all.load_balancers {
            self.remove(&EntityRef::LoadBalancer(seen.id)).await;
        }
        for seen in all.services {
            self.remove(&EntityRef::Service(seen.id)).await;
        }
        for seen in all.tasks {
            self.remove(&EntityRef::Task(seen.id)).await;
        }
        for seen in all.environments {
            self.remove(&EntityRef::Environment(seen.id)).await;
        }
        self.instance.assert_clean();
    }
}

/// An environment that is not made yet.
pub(crate) fn environment(instance: &Instance, name: &str) -> Environment {
    sample::environment(&format!("{name}-{}", instance.id), name)
}

/// A revision of a service.
pub(crate) fn revision(deployment: &str, definition: TaskDefinition) -> Revision {
    let id = DeploymentId::parse(deployment).expect("an id");
    Revision { deployment: id, label: deployment.to_owned(), definition }
}

/// A host port that nobody holds right now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a machine has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// What an HTTP server answers to `GET`: the status and the body; `None` when it does not.
pub(crate) async fn get(address: &str, path: &str) -> Option<(u16, String)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let limit = std::time::Duration::from_secs(10);
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    };
    tokio::time::timeout(limit, ask).await.ok().flatten()
}
