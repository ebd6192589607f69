//! Stopping and removing copies, and reading their last words before.

use std::sync::Arc;
use std::time::Duration;

use bollard::query_parameters::{
    ListVolumesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptionsBuilder, StopContainerOptions,
};
use futures_util::future::join_all;
use layer0_domain::model::failure::LogLine;

use crate::docker::Shared;
use crate::docker::client::{DockerError, LAYER_LIMIT};
use crate::docker::containers::copy::killed;
use crate::docker::labels::{self, OwnerKind};
use crate::docker::logs;
use crate::docker::watch::look;
use crate::docker::world::{Container, Run};

/// How many of a failed copy's last lines are kept with its failure.
pub(in crate::docker) const LAST_WORDS: u32 = 20;

/// How much longer than the container's own patience Docker may take to stop it: it kills then, and waits for the end of what
/// it killed.
const STOP_MARGIN: Duration = Duration::from_secs(20);

/// How long Docker may take to remove a volume: it deletes its files one by one.
const VOLUME_LIMIT: Duration = Duration::from_secs(60);

/// Tells all running containers of a copy to stop, each with its own patience, side by side; the pause container last.
pub(in crate::docker) async fn copy_stop(shared: &Shared, containers: &[Arc<Container>]) -> Result<(), DockerError> {
    let running = |container: &&Arc<Container>| container.run == Run::Running;
    let apps = containers.iter().filter(|container| !container.is_pause).filter(running);
    let stopped = join_all(apps.map(|container| stop(shared, container))).await;
    stopped.into_iter().collect::<Result<Vec<()>, DockerError>>()?;
    for pause in containers.iter().filter(|container| container.is_pause).filter(running) {
        // It knows no signal but the kill.
        remove(shared, pause).await?;
    }
    Ok(())
}

async fn stop(shared: &Shared, container: &Container) -> Result<(), DockerError> {
    let id = container.id.clone();
    // Without `t` Docker takes the patience that the container was made with.
    let asked = shared
        .client
        .call_patient(stop_limit(container), |docker| async move {
            docker.stop_container(&id, None::<StopContainerOptions>).await
        })
        .await;
    match asked {
        Ok(()) | Err(DockerError::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    look(&shared.client, &shared.world, &container.id).await?;
    Ok(())
}

fn stop_limit(container: &Container) -> Duration {
    Duration::from_secs(u64::from(container.stop_timeout_s)) + STOP_MARGIN
}

/// Takes a copy away with its volumes: what still runs is killed.
pub(in crate::docker) async fn copy_remove(
    shared: &Shared,
    kind: OwnerKind,
    entity: &str,
    number: u32,
) -> Result<(), DockerError> {
    let containers = shared.world.copy(kind, entity, number);
    // The pause container goes last: others live in its network.
    for container in containers.iter().filter(|container| !container.is_pause) {
        remove(shared, container).await?;
    }
    for container in containers.iter().filter(|container| container.is_pause) {
        remove(shared, container).await?;
    }
    volumes_remove(shared, &[(labels::ENTITY, entity), (labels::COPY, &format!("{entity}-{number}"))]).await
}

async fn remove(shared: &Shared, container: &Container) -> Result<(), DockerError> {
    let id = container.id.clone();
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    let asked = shared
        .client
        .call_patient(LAYER_LIMIT, |docker| async move { docker.remove_container(&id, Some(options)).await })
        .await;
    match asked {
        Ok(()) | Err(DockerError::NotFound(_)) => {
            let ticket = shared.world.ticket();
            shared.world.container_set(&container.id, ticket, None);
            Ok(())
        }
        // Somebody else is at it (409, "removal … is already in progress"): it will be gone, sooner or later.
        Err(DockerError::Conflict(message)) => match look(&shared.client, &shared.world, &container.id).await? {
            None => Ok(()),
            Some(_) => Err(DockerError::Conflict(message)),
        },
        Err(error) => Err(error),
    }
}

/// Removes the volumes of ours with these labels.
pub(in crate::docker) async fn volumes_remove(shared: &Shared, labels: &[(&str, &str)]) -> Result<(), DockerError> {
    let mut all = vec![(labels::INSTANCE, shared.instance.as_str())];
    all.extend_from_slice(labels);
    let options = ListVolumesOptionsBuilder::new().filters(&labels::filter(&all)).build();
    let list = shared.client.call(|docker| async move { docker.list_volumes(Some(options)).await }).await?;
    for volume in list.volumes.unwrap_or_default() {
        let options = RemoveVolumeOptionsBuilder::new().build();
        let name = volume.name;
        let removed = shared
            .client
            .call_patient(VOLUME_LIMIT, |docker| async move { docker.remove_volume(&name, Some(options)).await });
        match removed.await {
            Ok(()) | Err(DockerError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How long after a container was killed Docker may say that its memory was at an end. Up to 1.7 s were seen on a busy
/// machine.
const MEMORY_SAID_WITHIN: Duration = Duration::from_secs(3);

/// The containers as they are once Docker had its time to say of those that were killed whether their memory was at an
/// end. That news has its own way from the kernel to Docker and may come after the news of the end: then only an event
/// says it, and `OOMKilled` never does; or it is lost, when what brings it is gone before (containerd's pull request 12714
/// is about both).
pub(in crate::docker) async fn memory_said(shared: &Shared, containers: &[Arc<Container>]) -> Vec<Arc<Container>> {
    let now = || -> Vec<Arc<Container>> {
        let known = |container: &Arc<Container>| shared.world.container(&container.id);
        containers.iter().map(|container| known(container).unwrap_or_else(|| Arc::clone(container))).collect()
    };
    let mut news = shared.world.news();
    let said = async {
        while now().iter().any(|container| killed(container)) {
            shared.world.changed_since(&mut news).await;
        }
    };
    // When nothing is said by then, somebody else killed it.
    let _ = tokio::time::timeout(MEMORY_SAID_WITHIN, said).await;
    now()
}

/// The last lines of a copy's containers: those of the one that is to blame, or of all.
pub(in crate::docker) async fn last_words(
    shared: &Shared,
    containers: &[Arc<Container>],
    culprit: Option<&str>,
) -> Vec<LogLine> {
    let to_blame = |container: &&Arc<Container>| culprit.is_none_or(|name| container.container == name);
    let mut lines = Vec::new();
    for container in containers.iter().filter(|container| !container.is_pause).filter(to_blame) {
        if container.run == Run::Created {
            continue;
        }
        lines.extend(logs::tail(shared, container, LAST_WORDS).await);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::world::sample;

    #[test]
    fn a_stop_is_waited_for_as_long_as_the_container_may_take() {
        let limit = stop_limit(&Container { stop_timeout_s: 900, ..sample() });
        assert!(limit > Duration::from_secs(900), "{limit:?}");
    }
}
