//! ECS: the suite that every engine has to pass, on the fake AWS of the testkit.

use std::sync::Arc;

use layer0_domain::model::image::ImageRef;
use layer0_domain::model::task_definition::{Document, TaskDefinition};
use layer0_testkit::aws::{Behaviour, FakeAws, FakeAwsConfig};
use layer0_testkit::engine_suite::{CONTAINER, Role, Subject, TALK};

mod balancers;
mod budget;
mod classic;
mod faults;
mod going_back;
mod histories;
mod links;
mod machines;
mod pull_check;
mod removal;
mod role;
mod rollouts;
mod same_deployment;
mod spot;
mod stacks;
mod stage;
mod sweep;
mod tasks;
mod trail;

use stage::engine;

/// Each test has a world of its own.
async fn world() -> Arc<FakeAws> {
    let aws = FakeAws::start(FakeAwsConfig { task_start_ms: 20, task_stop_ms: 10, ..FakeAwsConfig::default() }).await;
    aws.behave("suite:serves", Behaviour::Serves);
    aws.behave("suite:exits-zero", Behaviour::Exits { code: 0, after_ms: 0 });
    aws.behave("suite:exits-three", Behaviour::Exits { code: 3, after_ms: 0 });
    aws.behave("suite:never-healthy", Behaviour::NeverHealthy);
    let reason = "exec: \"appp\": executable file not found in $PATH".to_owned();
    aws.behave("suite:cannot-start", Behaviour::CannotStart { reason });
    let lines = TALK.iter().map(|line| (*line).to_owned()).collect();
    aws.behave("suite:talks", Behaviour::Talks { lines, then_code: Some(0) });
    Arc::new(aws)
}

async fn subject() -> Subject {
    let aws = world().await;
    let first = engine(&aws).await;
    let reconnect = Box::new(move || {
        let aws = aws.clone();
        Box::pin(async move { engine(&aws).await }) as _
    });
    let missing = ImageRef::parse("123456789012.dkr.ecr.us-east-1.amazonaws.com/team/none:1").expect("a reference");
    Subject::new(first, reconnect, Box::new(definition), missing)
}

fn definition(role: Role) -> TaskDefinition {
    let tag = match role {
        Role::Serves => "serves",
        Role::ExitsZero => "exits-zero",
        Role::ExitsThree => "exits-three",
        Role::NeverHealthy => "never-healthy",
        Role::CannotStart => "cannot-start",
        Role::Talks => "talks",
    };
    let mut container = serde_json::json!({
        "name": CONTAINER,
        "image": format!("123456789012.dkr.ecr.us-east-1.amazonaws.com/suite:{tag}"),
        "essential": true,
        "portMappings": [{ "containerPort": 80 }],
    });
    // Without a check ECS takes a copy for healthy as soon as it runs, and lets the old ones go.
    if matches!(role, Role::NeverHealthy | Role::Serves) {
        container["healthCheck"] = serde_json::json!({ "command": ["CMD", "check"], "interval": 5, "retries": 1 });
    }
    let document = serde_json::json!({ "cpu": "256", "memory": "512", "containerDefinitions": [container] });
    Document::from_canonical(document).expect("a legal document").definition_with_document()
}

layer0_testkit::engine_suite!(subject);
