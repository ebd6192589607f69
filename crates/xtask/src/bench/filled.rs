//! A store with ten thousand services: made once a run through the API, with the fake engine, for the rows that need it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::instance::{Engine, Instance};
use super::stats::{in_parallel, until};

/// How many services there are.
pub(crate) const SERVICES: usize = 10_000;

/// Connections that fill the store.
const WRITERS: usize = 8;

/// Fills an instance that does not run; it does not run afterwards either.
///
/// The services are of no copies: nothing runs, whichever engine is told of them later.
pub(crate) fn fill(instance: &mut Instance) -> Result<()> {
    instance.start(Engine::Fake)?;
    let mut api = instance.api()?;
    let environment = api.environment("many")?;
    let image = json!({ "name": "web", "image": "example.com/team/web:v1", "memory": 64 });
    let deploy = api.deploy("web", &image)?;
    let (first, instance_ref) = (AtomicUsize::new(0), &*instance);
    in_parallel(WRITERS, WRITERS, |_| {
        let mut api = instance_ref.api()?;
        loop {
            let number = first.fetch_add(1, Ordering::Relaxed);
            if number >= SERVICES {
                return Ok(());
            }
            let body = json!({
                "service_name": format!("service-{number:05}"), "environment_id": environment, "deploy_id": deploy,
                "scale": 0,
            });
            api.create("/service", &body)?;
        }
    })?;
    // The newest operations are the last to end.
    until(Duration::from_secs(120), "the operations to end", || {
        let all = api.get("/operation")?;
        let running = all.as_array().is_some_and(|all| all.iter().any(|it| it["state"] == "running"));
        Ok((!running).then_some(()))
    })?;
    instance.stop()
}
