//! A Docker engine that is absent, hangs or goes away for a while: a loopback proxy in front of the real one.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use layer0_domain::model::environment::Environment;
use layer0_domain::model::id::CopyId;
use layer0_domain::model::image::ImageRef;
use layer0_domain::port::engine::{CopyState, Engine, EngineError, Scope, Want};
use layer0_domain::port::pull::{AnsweredBy, PullQuestion};
use layer0_testkit::until::{until, until_true};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::support::{Instance, Stage, environment, run, tool, tool_with};

/// What the proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pass,
    /// Takes them and says nothing; open ones say nothing more.
    Hang,
    /// Cuts them.
    Cut,
}

/// A socket in front of Docker's.
struct Door {
    path: PathBuf,
    mode: watch::Sender<Mode>,
    requests: Arc<Requests>,
}

/// What the proxy does with single requests.
#[derive(Default)]
struct Requests {
    /// Requests with this in their head are held back.
    held: watch::Sender<Option<&'static str>>,
    /// How many are.
    waiting: AtomicUsize,
    /// The next request with this in its head is answered by cutting the connection.
    cut_once: Mutex<Option<&'static str>>,
}

impl Requests {
    /// Carries what a client says until it has said all, or is to be cut off.
    async fn carry(&self, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) {
        let mut held = self.held.subscribe();
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let head = String::from_utf8_lossy(&buffer[..count]);
            let cut = self.cut_once.lock().expect("no test panics with it").take_if(|text| head.contains(*text));
            if cut.is_some() {
                return;
            }
            self.waiting.fetch_add(1, Ordering::SeqCst);
            let let_on = held.wait_for(|text| text.is_none_or(|text| !head.contains(text))).await.is_ok();
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            if !let_on || to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }
}

impl Door {
    fn open(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("layer0-test-{}-{name}.sock", std::process::id()));
        let (mode, seen) = watch::channel(Mode::Pass);
        let requests = Arc::new(Requests::default());
        let inside = Arc::clone(&requests);
        let listener = UnixListener::bind(&path).expect("a socket of our own");
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, seen.clone(), Arc::clone(&inside)));
            }
        });
        Self { path, mode, requests }
    }

    fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// Holds such a request back from now on.
    fn hold(&self, text: &'static str) {
        self.requests.held.send_replace(Some(text));
    }

    /// Waits until one is held back.
    async fn holds_one(&self) {
        until_true("a request to be held back", || async { self.requests.waiting.load(Ordering::SeqCst) > 0 }).await;
    }

    fn let_on(&self) {
        self.requests.held.send_replace(None);
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

async fn carry(client: UnixStream, mut mode: watch::Receiver<Mode>, requests: Arc<Requests>) {
    if *mode.borrow() == Mode::Cut {
        return;
    }
    let Ok(docker) = UnixStream::connect("/var/run/docker.sock").await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_docker, mut to_docker) = docker.into_split();
    let both = async {
        tokio::select! {
            () = requests.carry(&mut from_client, &mut to_docker) => {}
            _ = tokio::io::copy(&mut from_docker, &mut to_client) => {}
        }
    };
    let mut both = std::pin::pin!(both);
    loop {
        let now = *mode.borrow_and_update();
        tokio::select! {
            () = &mut both, if now == Mode::Pass => return,
            changed = mode.changed() => if changed.is_err() || *mode.borrow() == Mode::Cut { return },
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_docker_is_said_so_quickly_and_found_when_it_comes() {
    let name = "absent";
    let path = std::env::temp_dir().join(format!("layer0-test-{}-{name}.sock", std::process::id()));
    let instance = Instance::new().with(|config| config.host = format!("unix://{}", path.display()));
    let engine = instance.start();
    let environment = environment(&instance, "one");
    let began = Instant::now();
    let want = Want::Environment { environment, reachable_from: Vec::new() };
    let refused = engine.ensure(want.clone()).await.expect_err("there is no Docker");
    assert!(matches!(refused, EngineError::Unavailable { .. }), "{refused}");
    assert!(refused.to_string().contains(name), "{refused}");
    let image = ImageRef::parse("app:1").expect("legal");
    assert!(matches!(
        engine.pull_evidence(&PullQuestion::about(image.clone(), AnsweredBy::Us)).await,
        Err(EngineError::Unavailable { .. })
    ));
    assert!(matches!(engine.observe(Scope::All).await, Err(EngineError::Unavailable { .. })));
    assert!(began.elapsed() < Duration::from_secs(2));
    let door = Door::open(name);
    until("Docker to be found", || async { engine.ensure(want.clone()).await.map_err(|error| error.to_string()) })
        .await;
    let entity = want.entity();
    until("it to be gone", || async {
        match engine.remove(&entity).await {
            Ok(layer0_domain::port::engine::Removed::Gone) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    drop(door);
    instance.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_docker_that_hangs_hangs_nobody_and_work_goes_on_when_it_answers_again() {
    let door = Door::open("hang");
    let instance = Instance::new().with(|config| config.host = door.host());
    let stage = Stage::of(instance).await;
    let mut spec = stage.service_wanted("web", 1, json!([tool("web", &["sleep"])]));
    stage.service(&spec).await;
    stage.steady(&spec).await;

    door.mode.send_replace(Mode::Hang);
    spec.desired_count = 2;
    spec.generation = spec.generation.next();
    let began = Instant::now();
    stage.service(&spec).await;
    let image = ImageRef::parse("app:1").expect("legal");
    let refused = stage.engine.pull_evidence(&PullQuestion::about(image.clone(), AnsweredBy::Us)).await;
    assert!(matches!(refused, Err(EngineError::Unavailable { .. })), "{refused:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let seen = stage
        .service_until("the wait to be told", &spec.id, |seen| {
            seen.waiting_for.as_ref().is_some_and(|text| text.contains("the Docker engine"))
        })
        .await;
    assert_eq!(seen.copies[0].state, CopyState::Healthy, "what was known is still shown");
    let began = Instant::now();
    assert!(stage.engine.pull_evidence(&PullQuestion::about(image.clone(), AnsweredBy::Us)).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(1), "now it is known, so it is said at once");

    door.mode.send_replace(Mode::Cut);
    door.mode.send_replace(Mode::Pass);
    stage.steady(&spec).await;
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_died_while_docker_was_away_is_replaced() {
    let door = Arc::new(Door::open("away"));
    let instance = Instance::new().with(|config| config.host = door.host());
    let stage = Stage::of(instance).await;
    let spec = stage.service_wanted("web", 2, json!([tool("web", &["sleep"])]));
    stage.service(&spec).await;
    let before = stage.steady(&spec).await;
    door.mode.send_replace(Mode::Cut);
    for copy in &before.copies {
        run("docker", &["kill", &format!("l0-{}-web", copy.id)]);
    }
    door.mode.send_replace(Mode::Pass);
    let after = stage
        .service_until("two others", &spec.id, |seen| {
            let healthy = seen.copies.iter().filter(|copy| copy.state == CopyState::Healthy);
            healthy.filter(|copy| before.copies.iter().all(|old| old.id != copy.id)).count() == 2
        })
        .await;
    assert_eq!(after.failures, []);
    stage.leave().await;
}

/// Waits until nothing of a copy runs any more.
async fn nothing_runs(copy: &CopyId) {
    until(format!("all of {copy} to stop"), || async {
        let running =
            run("docker", &["ps", "--filter", &format!("label=layer0.copy={copy}"), "--format", "{{.Names}}"]);
        if running.is_empty() { Ok(()) } else { Err(running) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_copy_that_ended_is_stopped_though_docker_fails_or_the_server_was_away() {
    let door = Door::open("rest");
    let instance = Instance::new().with(|config| config.host = door.host());
    let mut stage = Stage::of(instance).await;
    let beside = tool_with("beside", &["sleep"], json!({ "essential": false }));
    let spec = stage.service_wanted("web", 1, json!([tool("web", &["sleep"]), beside]));
    stage.service(&spec).await;
    let first = stage.steady(&spec).await.copies[0].id.clone();

    *door.requests.cut_once.lock().expect("no test panics with it") = Some("/stop");
    run("docker", &["kill", &format!("l0-{first}-web")]);
    nothing_runs(&first).await;
    assert_eq!(*door.requests.cut_once.lock().expect("no test panics with it"), None, "Docker did not fail");
    let second = stage
        .service_until("another copy", &spec.id, |seen| {
            seen.copies.iter().any(|copy| copy.id != first && copy.state == CopyState::Healthy)
        })
        .await;
    let second = second.copies.into_iter().find(|copy| copy.id != first).expect("it was seen").id;

    door.mode.send_replace(Mode::Cut);
    run("docker", &["kill", &format!("l0-{second}-web")]);
    stage.engine = stage.instance.start();
    door.mode.send_replace(Mode::Pass);
    until("the engine to find Docker", || async { stage.engine.observe(Scope::All).await.map(drop) }).await;
    stage.ensure(Want::Environment { environment: stage.environment.clone(), reachable_from: Vec::new() }).await;
    stage.service(&spec).await;
    nothing_runs(&second).await;
    let seen = stage.steady(&spec).await;
    assert_eq!(seen.failures, []);
    stage.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_made_and_not_started_hears_of_links_that_come_and_go() {
    let door = Door::open("links");
    let instance = Instance::new().with(|config| config.host = door.host());
    let stage = Stage::of(instance).await;
    let other = environment(&stage.instance, "other");
    stage.ensure(Want::Environment { environment: other.clone(), reachable_from: Vec::new() }).await;
    let linked = |copy: &CopyId| {
        let template = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}";
        let owners = run("docker", &["ps", "-aq", "--filter", &format!("label=layer0.copy={copy}")]);
        let mut arguments = vec!["inspect", "-f", template];
        arguments.extend(owners.lines());
        let networks = run("docker", &arguments);
        if networks.contains("l0-link-") { Ok(()) } else { Err(networks) }
    };
    let alone = json!([tool("web", &["sleep"])]);
    // The pause container of such a copy is the one that is connected.
    let pair = json!([tool("web", &["sleep"]), tool("second", &["sleep"])]);
    for (name, containers) in [("alone", alone), ("pair", pair)] {
        let want = |linked: &[&Environment]| {
            let reachable_from = linked.iter().map(|environment| environment.id.clone()).collect();
            Want::Environment { environment: stage.environment.clone(), reachable_from }
        };
        door.hold("/start");
        let early = stage.service_wanted(&format!("early-{name}"), 1, containers.clone());
        stage.service(&early).await;
        door.holds_one().await;
        stage.ensure(want(&[&other])).await;
        door.let_on();
        let copy = stage.steady(&early).await.copies[0].id.clone();
        until("the link to be joined", || async { linked(&copy) }).await;

        door.hold("/start");
        let late = stage.service_wanted(&format!("late-{name}"), 1, containers);
        stage.service(&late).await;
        door.holds_one().await;
        let copy = CopyId::parse(&format!("{}-1", late.id)).expect("an id");
        linked(&copy).expect("it was made with the link");
        stage.ensure(want(&[])).await;
        door.let_on();
        let seen = stage.steady(&late).await;
        assert_eq!(seen.copies[0].id, copy, "it could not be started without the link");
    }
    stage.leave().await;
}
