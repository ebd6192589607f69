//! The fake: the suite that every engine has to pass, and its scripting.

use std::sync::Arc;

use layer0_domain::model::image::ImageRef;
use layer0_domain::model::task_definition::{Document, TaskDefinition};
use layer0_domain::port::engine::Engine;
use layer0_engine::fake::{FakeEngine, Pace};
use layer0_testkit::clock::RunningClock;
use layer0_testkit::engine_suite::{CONTAINER, Role, Subject, TALK};

mod scripted;

/// Slow enough that a roll-out can be looked at in the middle, fast enough for many tests.
const PACE: Pace = Pace {
    pull_ms: 5,
    healthy_after_ms: 30,
    drain_ms: 20,
    task_ms: 10,
    health_limit_ms: 40,
    backoff_first_ms: 10,
    backoff_max_ms: 50,
};

async fn subject() -> Subject {
    let fake = FakeEngine::with_pace(Arc::new(RunningClock::default()), PACE);
    let world = fake.clone();
    let reconnect = Box::new(move || {
        let next: Arc<dyn Engine> = Arc::new(world.restart_view());
        Box::pin(async move { next }) as _
    });
    let missing = ImageRef::parse("registry.invalid/team/app:1").expect("a legal reference");
    Subject::new(Arc::new(fake), reconnect, Box::new(definition), missing)
}

/// What a user of `--engine fake` writes to get each role.
fn definition(role: Role) -> TaskDefinition {
    let talk = TALK.join("\n");
    let environment: &[(&str, &str)] = match role {
        Role::Serves => &[("FAKE_EXIT", "never")],
        Role::ExitsZero => &[("FAKE_EXIT", "0")],
        Role::ExitsThree => &[("FAKE_EXIT", "3")],
        Role::NeverHealthy => &[("FAKE_UNHEALTHY", "1")],
        Role::CannotStart => &[("FAKE_CANNOT_START", "no such command: `appp`")],
        Role::Talks => &[("FAKE_EXIT", "0"), ("FAKE_LOG", &talk)],
    };
    scripted_definition(environment)
}

/// A definition of one container with these environment variables.
fn scripted_definition(environment: &[(&str, &str)]) -> TaskDefinition {
    let environment: Vec<_> =
        environment.iter().map(|(name, value)| serde_json::json!({ "name": name, "value": value })).collect();
    let document = serde_json::json!({
        "containerDefinitions": [
            { "name": CONTAINER, "image": "team/app:1", "memory": 64, "essential": true, "environment": environment }
        ]
    });
    Document::from_canonical(document).expect("a legal document").definition().clone()
}

layer0_testkit::engine_suite!(subject);
