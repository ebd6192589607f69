//! No engine: what stands in an engine's place where the server runs the registry only (`--engine none`).
//!
//! Nothing of an engine's is served there and nothing reconciles, so hardly anybody asks. Who does is told that it can't be
//! answered: an engine that said "nothing runs" would say something of containers that another start of the same instance
//! left running.

use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::Failure;
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::port::engine::{
    Capabilities, Engine, EngineError, LogQuery, LogStream, Observed, Removed, Scope, Want,
};
use layer0_domain::port::pull::{Launch, PullEvidence, PullQuestion};
use layer0_domain::port::thing::Thing;
use layer0_domain::port::trail::{Trail, TrailQuery};

/// No engine.
pub(crate) struct NoEngine;

fn none<T>() -> Result<T, EngineError> {
    Err(EngineError::Unavailable {
        engine: "the engine".to_owned(),
        source: "there is none: this server runs the registry only (--engine none)".into(),
    })
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Engine for NoEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities::one_machine("none")
    }

    async fn ensure(&self, _: Want) -> Result<(), EngineError> {
        none()
    }

    async fn remove(&self, _: &EntityRef) -> Result<Removed, EngineError> {
        none()
    }

    async fn observe(&self, _: Scope) -> Result<Observed, EngineError> {
        none()
    }

    async fn inventory(&self) -> Result<Vec<Thing>, EngineError> {
        none()
    }

    async fn logs(&self, _: &EntityRef, _: LogQuery) -> Result<LogStream, EngineError> {
        none()
    }

    /// There is no platform that would have written anything down.
    async fn trail(&self, _: &TrailQuery) -> Result<Trail, EngineError> {
        Ok(Trail::default())
    }

    async fn pull_evidence(&self, _: &PullQuestion) -> Result<PullEvidence, EngineError> {
        none()
    }

    fn host_reach(&self, _: &TaskDefinition) -> Vec<&'static str> {
        Vec::new()
    }

    fn refusal(&self, _: &TaskDefinition, _: Launch) -> Option<Failure> {
        None
    }

    fn warnings(&self, _: &TaskDefinition, _: Option<Launch>) -> Vec<String> {
        vec![]
    }

    /// Nothing ever changes; the port allows half a minute.
    async fn changed(&self) {
        tokio::time::sleep(Duration::from_secs(30)).await;
    }

    async fn stop(&self, _: Duration) {}
}
