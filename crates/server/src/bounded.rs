//! An engine whose questions end: what a request waits for is answered in time, or answered for by "it does not answer".
//!
//! Only the questions that requests ask are bounded here. What the reconciler does may take longer, and it has its own limit.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::Failure;
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::port::engine::{
    Capabilities, Engine, EngineError, LogQuery, LogStream, Observed, Removed, Scope, Want,
};
use layer0_domain::port::pull::{AnsweredBy, Launch, PullEvidence, PullQuestion};
use layer0_domain::port::thing::Thing;
use layer0_domain::port::trail::{Trail, TrailQuery};

/// How long an engine on the same machine may take, which takes milliseconds.
const ENGINE_MAX: Duration = Duration::from_secs(2);

/// How long an engine far away may take: some calls of a second or two, one after the other, and a wait for its pace.
const REMOTE_MAX: Duration = Duration::from_secs(25);

/// How long an engine on the same machine may take to list all that it has: ten thousand containers take it seconds.
const INVENTORY_MAX: Duration = Duration::from_secs(20);

/// How long that may take an engine far away: a page of a hundred after another, each in its turn.
const REMOTE_INVENTORY_MAX: Duration = Duration::from_secs(120);

/// How long an engine that answers may take to ask a registry out there; longer than the engines' own limits.
const REGISTRY_MAX: Duration = Duration::from_secs(25);

/// An engine whose questions end.
pub(crate) struct Bounded {
    inner: Arc<dyn Engine>,
}

impl Bounded {
    /// Puts the limits around an engine.
    pub(crate) fn new(inner: Arc<dyn Engine>) -> Self {
        Self { inner }
    }

    fn engine_max(&self) -> Duration {
        if self.inner.capabilities().is_remote { REMOTE_MAX } else { ENGINE_MAX }
    }

    async fn within<T>(
        &self,
        limit: Duration,
        ask: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        match tokio::time::timeout(limit, ask).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(EngineError::Unavailable {
                engine: format!("the {} engine", self.inner.capabilities().name),
                source: format!("no answer in {} seconds: {elapsed}", limit.as_secs()).into(),
            }),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Engine for Bounded {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn ensure(&self, want: Want) -> Result<(), EngineError> {
        self.inner.ensure(want).await
    }

    async fn remove(&self, entity: &EntityRef) -> Result<Removed, EngineError> {
        self.inner.remove(entity).await
    }

    async fn observe(&self, scope: Scope) -> Result<Observed, EngineError> {
        self.inner.observe(scope).await
    }

    async fn inventory(&self) -> Result<Vec<Thing>, EngineError> {
        let limit = if self.inner.capabilities().is_remote { REMOTE_INVENTORY_MAX } else { INVENTORY_MAX };
        self.within(limit, self.inner.inventory()).await
    }

    async fn logs(&self, of: &EntityRef, query: LogQuery) -> Result<LogStream, EngineError> {
        self.within(self.engine_max(), self.inner.logs(of, query)).await
    }

    async fn trail(&self, query: &TrailQuery) -> Result<Trail, EngineError> {
        self.within(self.engine_max(), self.inner.trail(query)).await
    }

    /// An image from elsewhere is looked for on the engine first: one that hangs is told from a registry that is slow.
    async fn pull_evidence(&self, question: &PullQuestion) -> Result<PullEvidence, EngineError> {
        // One that is not on this machine is itself asked over the network, in many questions.
        if self.inner.capabilities().is_remote {
            return self.within(REGISTRY_MAX, self.inner.pull_evidence(question)).await;
        }
        let here = PullQuestion { registry: AnsweredBy::Us, ..question.clone() };
        let here = self.within(ENGINE_MAX, self.inner.pull_evidence(&here)).await?;
        match question.registry {
            AnsweredBy::Us => Ok(here),
            AnsweredBy::Registry => self.within(REGISTRY_MAX, self.inner.pull_evidence(question)).await,
        }
    }

    fn host_reach(&self, definition: &TaskDefinition) -> Vec<&'static str> {
        self.inner.host_reach(definition)
    }

    fn refusal(&self, definition: &TaskDefinition, launch: Launch) -> Option<Failure> {
        self.inner.refusal(definition, launch)
    }

    fn warnings(&self, definition: &TaskDefinition, launch: Option<Launch>) -> Vec<String> {
        self.inner.warnings(definition, launch)
    }

    async fn changed(&self) {
        self.inner.changed().await;
    }

    async fn stop(&self, limit: Duration) {
        self.inner.stop(limit).await;
    }
}
