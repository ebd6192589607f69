//! Making and starting one copy.
//!
//! All containers are made before any is started: one that was started proves that all were made, so whoever finds a
//! half-made copy after a crash knows what may still be started. A container that is there already under its name is
//! taken over if it is of the same copy; one that ran is never started again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerCreateBody, VolumeCreateRequest};
use bollard::query_parameters::{CreateContainerOptionsBuilder, StartContainerOptions};
use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::task_definition::{
    ContainerDefinition, DependencyCondition, DependsOn, TaskDefinition, VolumeScope,
};

use super::body::{self, NetworkOf};
use super::{CopySpec, StartError, whole};
use crate::docker::Shared;
use crate::docker::client::{DockerError, LAYER_LIMIT, START_LIMIT};
use crate::docker::images::refusal;
use crate::docker::labels::{self, OwnerKind};
use crate::docker::watch::look;
use crate::docker::world::{Container, Health, NetworkUse, Run};

/// How long a dependency may take that has no `startTimeout`: ECS's default for containers on EC2.
const DEPENDENCY_LIMIT: Duration = Duration::from_secs(180);

/// Makes a copy and starts it; returns when all its containers were started.
///
/// `progress` is told what is being waited for. Calling it again for a copy that is half made goes on where it stopped.
pub(in crate::docker) async fn copy_start(
    shared: &Shared,
    spec: &CopySpec,
    progress: &(dyn Fn(Option<String>) + Sync),
) -> Result<(), StartError> {
    let mut pulled: Vec<&str> = Vec::new();
    for container in &spec.definition.containers {
        if !pulled.contains(&container.image.as_str()) {
            pulled.push(&container.image);
            image_ensure(shared, container, progress).await?;
        }
    }
    progress(None);
    let network = shared
        .world
        .network(&NetworkUse::Environment(spec.environment.to_string()))
        .ok_or_else(|| StartError::waiting(format!("the network of environment {}", spec.environment)))?;
    let _turn = shared.starts.acquire().await;
    volumes_make(shared, spec).await?;
    if body::is_shared(&spec.definition) {
        let image = shared.pause.ensure(&shared.client).await.map_err(StartError::docker)?;
        let name = labels::pause_name(&spec.entity, spec.number);
        let pause = make(shared, spec, &name, body::pause(&shared.instance, spec, &image, &network.id))
            .await
            .map_err(StartError::docker)?;
        links_join(shared, spec, &pause).await?;
        if pause.run != Run::Running {
            let started = start(shared, spec, &pause.id).await.map_err(StartError::docker)?;
            links_rejoin(shared, spec, started.as_ref()).await?;
        }
        let made = containers_make(shared, spec, &NetworkOf::Shared(&pause.id)).await?;
        drop(_turn);
        return containers_start(shared, spec, &made, progress).await;
    }
    let own = NetworkOf::Own { network: &network.id, aliases: body::aliases(spec) };
    let made = containers_make(shared, spec, &own).await?;
    for container in made.values().filter(|container| !container.networks.is_empty() || container.run == Run::Created) {
        if is_online(spec) {
            links_join(shared, spec, container).await?;
        }
    }
    drop(_turn);
    containers_start(shared, spec, &made, progress).await
}

/// Whether all containers of the definition have a network.
fn is_online(spec: &CopySpec) -> bool {
    !spec.definition.containers.iter().any(|definition| body::is_offline(&spec.definition, definition))
}

async fn image_ensure(
    shared: &Shared,
    container: &ContainerDefinition,
    progress: &(dyn Fn(Option<String>) + Sync),
) -> Result<(), StartError> {
    let image = ImageRef::parse(&container.image).map_err(|error| {
        StartError::failed(Failure::new(FailureClass::CannotStart, format!("container `{}`: {error}", container.name)))
    })?;
    if shared.images.here(&image).await.map_err(StartError::docker)? {
        return Ok(());
    }
    progress(Some(format!("pulling {image}")));
    shared.images.ensure(&image).await
}

/// The copy's own volumes, and shared ones that are to be made.
async fn volumes_make(shared: &Shared, spec: &CopySpec) -> Result<(), StartError> {
    let used = |name: &str| {
        let mut points = spec.definition.containers.iter().flat_map(|container| &container.mount_points);
        points.any(|point| point.source_volume == name)
    };
    for volume in spec.definition.volumes.iter().filter(|volume| volume.host_path.is_none() && used(&volume.name)) {
        let docker = volume.docker.as_ref();
        let shared_volume = docker.filter(|docker| docker.scope == VolumeScope::Shared);
        let mut labels: HashMap<String, String> =
            docker.map(|docker| docker.labels.clone().into_iter().collect()).unwrap_or_default();
        labels.insert(labels::INSTANCE.to_owned(), shared.instance.clone());
        let name = match shared_volume {
            // It outlives the task and may be somebody else's: it is found by its plain name and never removed.
            Some(shared_volume) if !shared_volume.autoprovision => continue,
            Some(_) => {
                labels.insert(labels::KIND.to_owned(), labels::SHARED_VOLUME.to_owned());
                volume.name.clone()
            }
            None => {
                labels.insert(labels::KIND.to_owned(), spec.kind.as_str().to_owned());
                labels.insert(labels::ENTITY.to_owned(), spec.entity.clone());
                labels.insert(labels::ENVIRONMENT.to_owned(), spec.environment.to_string());
                labels.insert(labels::COPY.to_owned(), format!("{}-{}", spec.entity, spec.number));
                labels::volume_name(&spec.entity, spec.number, &volume.name)
            }
        };
        let request = VolumeCreateRequest {
            name: Some(name),
            driver: docker.and_then(|docker| docker.driver.clone()),
            driver_opts: docker.map(|docker| docker.driver_opts.clone().into_iter().collect()),
            labels: Some(labels),
            ..VolumeCreateRequest::default()
        };
        let client = Arc::clone(&shared.client);
        let work = async move { client.call(|docker| async move { docker.create_volume(request).await }).await };
        whole(&spec.making, work).await.map_err(|error| {
            if error.is_down() {
                return StartError::docker(error);
            }
            let message = format!("volume `{}` can't be made: {error}", volume.name);
            StartError::failed(Failure::new(FailureClass::CannotStart, message))
        })?;
    }
    Ok(())
}

/// Makes all containers of the definition, in an order in which `volumesFrom` finds what it names.
async fn containers_make(
    shared: &Shared,
    spec: &CopySpec,
    network: &NetworkOf<'_>,
) -> Result<HashMap<String, Container>, StartError> {
    let mut made = HashMap::new();
    for container in spec.definition.start_order() {
        let name = labels::container_name(&spec.entity, spec.number, &container.name);
        let network = if body::is_offline(&spec.definition, container) { &NetworkOf::None } else { network };
        let body = body::app(&shared.instance, spec, container, network);
        let found = make(shared, spec, &name, body)
            .await
            .map_err(|error| refusal::of_start(&container.name, &container.image, error))?;
        made.insert(container.name.clone(), found);
    }
    Ok(made)
}

/// Makes one container, or takes over the one that is there.
async fn make(
    shared: &Shared,
    spec: &CopySpec,
    name: &str,
    body: ContainerCreateBody,
) -> Result<Container, DockerError> {
    let (client, world) = (Arc::clone(&shared.client), Arc::clone(&shared.world));
    let (entity, number, name) = (spec.entity.clone(), spec.number, name.to_owned());
    let work = async move {
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let asked = client
            .call_patient(LAYER_LIMIT, |docker| async move { docker.create_container(Some(options), body).await })
            .await;
        match asked {
            Ok(created) => {
                let found = look(&client, &world, &created.id).await?;
                found.ok_or_else(|| DockerError::NotFound(format!("container {name} went away at once")))
            }
            Err(DockerError::Conflict(message)) => match look(&client, &world, &name).await? {
                Some(found) if found.entity == entity && found.number == number => Ok(found),
                _ => Err(DockerError::Conflict(message)),
            },
            Err(error) => Err(error),
        }
    };
    whole(&spec.making, work).await
}

/// Connects a copy to the networks of its environment's links; says whether there was any to connect it to.
async fn links_join(shared: &Shared, spec: &CopySpec, owner: &Container) -> Result<bool, StartError> {
    let mut joined = false;
    for network in shared.links_of(&spec.environment) {
        if !owner.networks.contains_key(&network.id) {
            let aliases = match spec.kind {
                OwnerKind::Service => shared.link_aliases(spec.name.as_str(), spec.environment.as_str()),
                OwnerKind::Task => Vec::new(),
            };
            match shared.networks.connect(&network, &owner.id, aliases).await {
                // The link was cut, or the copy is being taken away.
                Ok(()) | Err(DockerError::NotFound(_) | DockerError::Conflict(_)) => {}
                Err(error) => return Err(StartError::docker(error)),
            }
            joined = true;
        }
    }
    Ok(joined)
}

/// For a link that came while the copy was made and not started. Such a container shows no networks, so whoever made the
/// link could not see that it has to be joined; from its start on he does. The mirror is told, for whoever cuts the link.
async fn links_rejoin(shared: &Shared, spec: &CopySpec, started: Option<&Container>) -> Result<(), StartError> {
    match started {
        Some(owner) if owner.owns_network() && owner.run == Run::Running => {
            if links_join(shared, spec, owner).await? {
                look(&shared.client, &shared.world, &owner.id).await.map_err(StartError::docker)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn containers_start(
    shared: &Shared,
    spec: &CopySpec,
    made: &HashMap<String, Container>,
    progress: &(dyn Fn(Option<String>) + Sync),
) -> Result<(), StartError> {
    for container in spec.definition.start_order() {
        let Some(found) = made.get(&container.name) else { continue };
        if found.run != Run::Created {
            continue;
        }
        for dependency in &container.depends_on {
            let limit = depend_limit(&spec.definition, dependency);
            depend(shared, container, dependency, limit, made, progress).await?;
        }
        let _turn = shared.starts.acquire().await;
        let started = start(shared, spec, &found.id).await;
        let started = started.map_err(|error| refusal::of_start(&container.name, &container.image, error))?;
        if is_online(spec) {
            links_rejoin(shared, spec, started.as_ref()).await?;
        }
    }
    progress(None);
    Ok(())
}

/// Starts a container, and looks at it.
async fn start(shared: &Shared, spec: &CopySpec, id: &str) -> Result<Option<Container>, DockerError> {
    let (client, world) = (Arc::clone(&shared.client), Arc::clone(&shared.world));
    let id = id.to_owned();
    let work = async move {
        let begin = client.call_within(START_LIMIT, |docker| {
            let id = id.clone();
            async move { docker.start_container(&id, None::<StartContainerOptions>).await }
        });
        begin.await?;
        look(&client, &world, &id).await
    };
    whole(&spec.making, work).await
}

/// Waits until a dependency's condition holds; fails when it can't hold any more or takes too long.
async fn depend(
    shared: &Shared,
    container: &ContainerDefinition,
    dependency: &DependsOn,
    limit: Duration,
    made: &HashMap<String, Container>,
    progress: &(dyn Fn(Option<String>) + Sync),
) -> Result<(), StartError> {
    let Some(other) = made.get(&dependency.container_name) else { return Ok(()) };
    let words = match dependency.condition {
        DependencyCondition::Start => "to start",
        DependencyCondition::Complete => "to end",
        DependencyCondition::Success => "to end with code 0",
        DependencyCondition::Healthy => "to become healthy",
    };
    let failed = |message: String| StartError::failed(Failure::new(FailureClass::CannotStart, message));
    let (name, awaited) = (&container.name, &dependency.container_name);
    let wait = async {
        let mut news = shared.world.news();
        loop {
            let now = shared.world.container(&other.id);
            match verdict(now, dependency.condition) {
                Verdict::Holds => return Ok(()),
                Verdict::Never(why) => {
                    return Err(failed(format!("container `{name}` waits for `{awaited}` {words}, but {why}")));
                }
                Verdict::NotYet => {}
            }
            progress(Some(format!("container `{awaited}` {words}")));
            shared.world.changed_since(&mut news).await;
        }
    };
    match tokio::time::timeout(limit, wait).await {
        Ok(result) => result,
        Err(_) => Err(StartError::failed(Failure::new(
            FailureClass::Timeout,
            format!("container `{name}` waited {} s for `{awaited}` {words}", limit.as_secs()),
        ))),
    }
}

/// How long a dependency may take: `startTimeout` of the container that is waited for, not of the one that waits.
fn depend_limit(definition: &TaskDefinition, dependency: &DependsOn) -> Duration {
    let awaited = definition.containers.iter().find(|container| container.name == dependency.container_name);
    let seconds = awaited.and_then(|awaited| awaited.start_timeout_s);
    seconds.map_or(DEPENDENCY_LIMIT, |seconds| Duration::from_secs(u64::from(seconds)))
}

enum Verdict {
    Holds,
    NotYet,
    Never(String),
}

fn verdict(container: Option<Arc<Container>>, condition: DependencyCondition) -> Verdict {
    let Some(container) = container else { return Verdict::Never("it is gone".to_owned()) };
    let code = container.exit_code.unwrap_or_default();
    match (condition, container.run) {
        (DependencyCondition::Start, Run::Created) => Verdict::NotYet,
        (DependencyCondition::Start, Run::Running | Run::Ended) => Verdict::Holds,
        (DependencyCondition::Complete, Run::Ended) => Verdict::Holds,
        (DependencyCondition::Success, Run::Ended) if code == 0 => Verdict::Holds,
        (DependencyCondition::Success | DependencyCondition::Healthy, Run::Ended) => {
            Verdict::Never(format!("it ended with code {code}"))
        }
        (DependencyCondition::Healthy, Run::Running) => match container.health {
            Health::Healthy => Verdict::Holds,
            Health::Unhealthy => Verdict::Never("its health check fails".to_owned()),
            Health::Starting => Verdict::NotYet,
            Health::None => Verdict::Never("it has no health check".to_owned()),
        },
        (DependencyCondition::Complete | DependencyCondition::Success | DependencyCondition::Healthy, _) => {
            Verdict::NotYet
        }
    }
}

#[cfg(test)]
mod tests {
    use layer0_domain::model::task_definition::Document;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_dependency_has_the_time_that_it_asks_for_itself() {
        let document = json!({ "containerDefinitions": [
            { "name": "slow", "image": "app:1", "memory": 32, "essential": false, "startTimeout": 7 },
            { "name": "plain", "image": "app:1", "memory": 32, "essential": false },
            { "name": "app", "image": "app:1", "memory": 32, "startTimeout": 2, "dependsOn": [
                { "containerName": "slow", "condition": "COMPLETE" },
                { "containerName": "plain", "condition": "COMPLETE" },
            ]},
        ]});
        let definition = Document::from_canonical(document).expect("a legal document").definition().clone();
        let limits = definition.containers[2].depends_on.iter().map(|awaited| depend_limit(&definition, awaited));
        assert_eq!(limits.collect::<Vec<_>>(), [Duration::from_secs(7), DEPENDENCY_LIMIT]);
    }
}
