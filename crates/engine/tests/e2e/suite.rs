//! The contract of the port `Engine`, on Docker.

use std::sync::Arc;

use layer0_domain::model::image::ImageRef;
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::port::engine::Engine;
use layer0_testkit::engine_suite::{CONTAINER, Role, Subject, TALK};
use serde_json::json;

use crate::support::{Instance, definition, tool, tool_with};

async fn subject() -> Subject {
    let instance = Arc::new(Instance::new());
    let engine: Arc<dyn Engine> = Arc::new(instance.connected().await);
    let reconnect = Box::new(move || {
        let instance = Arc::clone(&instance);
        Box::pin(async move {
            let engine: Arc<dyn Engine> = Arc::new(instance.connected().await);
            engine
        }) as _
    });
    let missing = ImageRef::parse("127.0.0.1:1/team/app:1").expect("a legal reference");
    Subject::new(engine, reconnect, Box::new(definition_of), missing)
}

fn definition_of(role: Role) -> TaskDefinition {
    let container = match role {
        Role::Serves => tool(CONTAINER, &["serve", "80"]),
        Role::ExitsZero => tool(CONTAINER, &["exit", "0"]),
        Role::ExitsThree => tool(CONTAINER, &["exit", "3"]),
        Role::NeverHealthy => {
            let check = json!({ "command": ["CMD", "/tool", "exit", "1"], "interval": 5, "timeout": 2, "retries": 1 });
            tool_with(CONTAINER, &["serve", "80"], json!({ "healthCheck": check }))
        }
        Role::CannotStart => tool_with(CONTAINER, &[], json!({ "entryPoint": ["/no-such-program"] })),
        Role::Talks => {
            let talk: Vec<&str> = std::iter::once("print").chain(TALK).collect();
            tool(CONTAINER, &talk)
        }
    };
    definition(json!([container]))
}

layer0_testkit::engine_suite!(subject);
