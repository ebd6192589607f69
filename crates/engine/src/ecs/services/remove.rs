//! Taking a service away: its tasks are drained and stopped by ECS, then its task definitions and logs go.

use std::time::Duration;

use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::id::ServiceId;
use layer0_domain::port::engine::{EngineError, Removed};
use tokio::time::Instant;

use super::super::aws::{AwsError, Families, TaskFilter};
use super::super::names::Names;
use super::super::state::Shared;

/// For how long log streams are taken away in one step, each by a call of its own: a service that was rolled out for years has
/// thousands, and whoever waits wants to see that it goes on.
const STREAMS_A_STEP: Duration = Duration::from_secs(5);

impl Shared {
    /// Takes a service away, or goes on with that.
    pub(in crate::ecs) async fn service_remove(&self, id: &ServiceId) -> Result<Removed, EngineError> {
        let _turn = self.turn(&EntityRef::Service(id.clone())).await;
        self.state().services.entry(id.clone()).or_default().removing = true;
        let removed = self.service_remove_step(id).await?;
        if removed == Removed::Gone {
            self.state().services.remove(id);
            self.turn_forget(&EntityRef::Service(id.clone()));
        }
        self.changed();
        Ok(removed)
    }

    async fn service_remove_step(&self, id: &ServiceId) -> Result<Removed, AwsError> {
        let name = self.names.service(id);
        for cluster in self.service_clusters(id).await? {
            let found = self.aws.services_describe(&cluster, std::slice::from_ref(&name)).await?;
            match found.into_iter().next() {
                Some(seen) if seen.is_active() => {
                    self.aws.service_delete(&cluster, &name).await?;
                    let left = seen.running + seen.pending;
                    return Ok(Removed::Going { waiting_for: copies(left) });
                }
                Some(seen) if !seen.is_gone() => {
                    return Ok(Removed::Going { waiting_for: copies(seen.running + seen.pending) });
                }
                _ => {}
            }
            let running = self.aws.tasks_list(&cluster, TaskFilter::Service(&name), true).await;
            // ECS answers for a service that it does not know any more with an error of its own.
            if let Ok(running) = running
                && !running.is_empty()
            {
                let left = u32::try_from(running.len()).unwrap_or(u32::MAX);
                return Ok(Removed::Going { waiting_for: copies(left) });
            }
            if !self.streams_delete(&cluster, id.as_str()).await? {
                return Ok(Removed::Going { waiting_for: "its logs to be taken away".to_owned() });
            }
        }
        for family in self.aws.definition_families(&self.names.service_families(id), Families::All).await? {
            self.aws.definition_family_delete(&family).await?;
        }
        Ok(Removed::Gone)
    }

    /// The clusters that a service may be in: its own where we were told, else all of ours.
    async fn service_clusters(&self, id: &ServiceId) -> Result<Vec<String>, AwsError> {
        let told = self.state().services.get(id).and_then(|it| it.spec.as_ref().map(|spec| spec.environment.clone()));
        match told {
            Some(environment) => Ok(vec![self.names.environment(&environment)]),
            None => self.clusters().await,
        }
    }

    /// Takes some of an entity's log streams away, page by page: what is gone is not listed any more. `true` when none is left.
    pub(in crate::ecs) async fn streams_delete(&self, group: &str, entity: &str) -> Result<bool, AwsError> {
        let (prefix, end) = (Names::streams(entity), Instant::now() + STREAMS_A_STEP);
        loop {
            let streams = self.aws.log_streams_some(group, &prefix).await?;
            if streams.is_empty() {
                return Ok(true);
            }
            for stream in streams {
                self.aws.log_stream_delete(group, &stream.name).await?;
                if Instant::now() >= end {
                    return Ok(false);
                }
            }
        }
    }
}

fn copies(left: u32) -> String {
    match left {
        1 => "1 copy to finish its requests and stop".to_owned(),
        n => format!("{n} copies to finish their requests and stop"),
    }
}
