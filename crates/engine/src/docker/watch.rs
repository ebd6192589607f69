//! Keeps the [mirror](super::world) true: Docker's events, and a complete list now and then.
//!
//! ```text
//!            connected, listed                 event stream ends, a list fails or hangs
//!   Down ───────────────────────────▶ Up ──────────────────────────────────────────────▶ Down
//!    ▲ │ no answer: again after 0.2 s, doubling up to 5 s
//!    └─┘
//! ```
//!
//! Events carry the news within milliseconds; the list every [`LIST_EVERY`] is what finds a Docker that hangs, and mends
//! what an event stream can lose. Nothing is asked more often while nothing happens.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum, EventMessage};
use bollard::query_parameters::{
    EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder, ListNetworksOptionsBuilder,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use layer0_domain::port::clock::Clock;
use tracing::{info, warn};

use super::client::{Client, DockerError, chain};
use super::labels;
use super::networks::network_of;
use super::world::{Container, Health, Run, World};

/// How often everything is listed while nothing happens: one call that Docker answers from memory.
const LIST_EVERY: Duration = Duration::from_secs(15);

/// How long the first answer of a Docker that was down may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Containers that are looked at side by side when many are new.
const SIDE_BY_SIDE: usize = 8;

/// The first and the longest pause between two tries to reach Docker.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// What keeps the mirror true.
pub(super) struct Watch {
    pub(super) client: Arc<Client>,
    pub(super) world: Arc<World>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) instance: String,
}

impl Watch {
    /// Runs until it is dropped.
    pub(super) async fn run(self) {
        let mut pause = RETRY.0;
        let mut told_down = false;
        loop {
            match self.session(&mut pause, &mut told_down).await {
                Ok(()) => {}
                Err(error) => {
                    let why = match error {
                        DockerError::Down(why) => why,
                        other => chain(&other),
                    };
                    self.client.lost(&why);
                    if !told_down {
                        warn!(engine.host = %self.client.words(), "lost {}: {why}", self.client.words());
                        told_down = true;
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY.1);
        }
    }

    /// From connecting until the connection is lost.
    async fn session(&self, pause: &mut Duration, told_down: &mut bool) -> Result<(), DockerError> {
        let docker = self.client.connect(CONNECT_LIMIT).await?;
        // Docker repeats the events from shortly before the list on, so that nothing falls between list and stream.
        let since = (self.clock.now().0 / 1_000 - 2).to_string();
        let options = EventsOptionsBuilder::new().since(&since).filters(&self.event_filter()).build();
        let events = docker.events(Some(options)).map_err(Client::stream_error);
        let mut events = std::pin::pin!(events.ready_chunks(256));
        self.client.found();
        let mut link = self.client.link();
        self.list_all().await?;
        self.client.listed();
        info!(engine.host = %self.client.words(), "connected to {}", self.client.words());
        *pause = RETRY.0;
        *told_down = false;
        loop {
            tokio::select! {
                chunk = events.next() => self.take(chunk).await?,
                () = tokio::time::sleep(LIST_EVERY) => self.list_all().await?,
                _ = link.changed() => {
                    if let super::client::Link::Down(why) = &*link.borrow_and_update() {
                        return Err(DockerError::Down(why.clone()));
                    }
                }
            }
        }
    }

    async fn take(&self, chunk: Option<Vec<Result<EventMessage, DockerError>>>) -> Result<(), DockerError> {
        let Some(chunk) = chunk else { return Err(DockerError::Down("it closed the stream of events".to_owned())) };
        let mut ids = Vec::new();
        for event in chunk {
            let event = event?;
            let Some(id) = event.actor.and_then(|actor| actor.id) else { continue };
            if event.action.as_deref() == Some("oom") {
                self.world.memory_ended(&id);
            }
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        self.look_all(ids).await
    }

    fn event_filter(&self) -> HashMap<String, Vec<String>> {
        let mut filter = labels::filter(&[(labels::INSTANCE, &self.instance)]);
        filter.insert("type".to_owned(), vec!["container".to_owned()]);
        let events = ["create", "start", "die", "oom", "destroy", "health_status"];
        filter.insert("event".to_owned(), events.map(str::to_owned).to_vec());
        filter
    }

    async fn list_all(&self) -> Result<(), DockerError> {
        networks_refresh(&self.client, &self.world, &self.instance).await?;
        let ticket = self.world.ticket();
        let filter = labels::filter(&[(labels::INSTANCE, &self.instance)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
        let list = self.client.call(|docker| async move { docker.list_containers(Some(options)).await }).await?;
        let ids: Vec<String> = list.iter().filter_map(|seen| seen.id.clone()).collect();
        self.world.containers_keep(&ids, ticket);
        let news = list.into_iter().filter(|seen| self.is_news(seen)).filter_map(|seen| seen.id).collect();
        self.look_all(news).await
    }

    /// Whether a list's line says something that the mirror does not know.
    fn is_news(&self, seen: &ContainerSummary) -> bool {
        let Some(known) = seen.id.as_deref().and_then(|id| self.world.container(id)) else { return true };
        let run = match seen.state {
            Some(ContainerSummaryStateEnum::CREATED) => Run::Created,
            Some(
                ContainerSummaryStateEnum::RUNNING
                | ContainerSummaryStateEnum::PAUSED
                | ContainerSummaryStateEnum::RESTARTING,
            ) => Run::Running,
            _ => Run::Ended,
        };
        // The health is in the text only: `Up 5 seconds (health: starting)`, `(healthy)`, `(unhealthy)`.
        let text = seen.status.as_deref().unwrap_or_default();
        let health = match known.health {
            Health::Healthy => text.contains("(healthy)"),
            Health::Unhealthy => text.contains("(unhealthy)"),
            Health::Starting => text.contains("starting"),
            Health::None => true,
        };
        run != known.run || (run == Run::Running && !health)
    }

    async fn look_all(&self, ids: Vec<String>) -> Result<(), DockerError> {
        let mut looks = stream::iter(ids)
            .map(|id| async move { look(&self.client, &self.world, &id).await })
            .buffer_unordered(SIDE_BY_SIDE);
        while let Some(result) = looks.next().await {
            match result {
                Err(error) if error.is_down() => return Err(error),
                Err(error) => warn!("a container can't be looked at: {}", chain(&error)),
                Ok(_) => {}
            }
        }
        Ok(())
    }
}

/// Asks Docker about one container and writes the answer down.
pub(super) async fn look(client: &Client, world: &World, id: &str) -> Result<Option<Container>, DockerError> {
    let ticket = world.ticket();
    let asked = client.call(|docker| {
        let id = id.to_owned();
        async move { docker.inspect_container(&id, None::<InspectContainerOptions>).await }
    });
    let container = match asked.await {
        Ok(seen) => Container::of(&seen),
        Err(DockerError::NotFound(_)) => None,
        Err(error) => return Err(error),
    };
    let id = container.as_ref().map_or(id, |container| container.id.as_str()).to_owned();
    world.container_set(&id, ticket, container.clone());
    Ok(container)
}

/// Asks Docker for our networks and writes the answer down.
pub(super) async fn networks_refresh(client: &Client, world: &World, instance: &str) -> Result<(), DockerError> {
    let filter = labels::filter(&[(labels::INSTANCE, instance)]);
    let options = ListNetworksOptionsBuilder::new().filters(&filter).build();
    let list = client.call(|docker| async move { docker.list_networks(Some(options)).await }).await?;
    world.networks_set(list.into_iter().filter_map(network_of).collect());
    Ok(())
}
