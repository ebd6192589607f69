//! A Docker engine that is absent, hangs or goes away for a while: a loopback proxy in front of the real one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use layer0_domain::model::image::ImageRef;
use layer0_domain::port::engine::{CopyState, Engine, EngineError, Scope, Want};
use layer0_domain::port::pull::{AnsweredBy, PullQuestion};
use layer0_testkit::until::until;
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::support::{Instance, Stage, environment, run, tool};

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
}

impl Door {
    fn open(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("layer0-test-{}-{name}.sock", std::process::id()));
        let (mode, seen) = watch::channel(Mode::Pass);
        let listener = UnixListener::bind(&path).expect("a socket of our own");
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, seen.clone()));
            }
        });
        Self { path, mode }
    }

    fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

async fn carry(client: UnixStream, mut mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Cut {
        return;
    }
    let Ok(docker) = UnixStream::connect("/var/run/docker.sock").await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_docker, mut to_docker) = docker.into_split();
    let both = async {
        tokio::select! {
            _ = tokio::io::copy(&mut from_client, &mut to_docker) => {
                // The request was sent whole; the answer may still come.
            }
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
