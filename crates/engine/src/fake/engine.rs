//! The port on the world.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use layer0_domain::model::digest::Digest;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::{Failure, FailureClass, LogLine};
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::registry::Platform;
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::port::engine::{
    Capabilities, Engine, EngineError, LogQuery, LogStream, Observed, Removed, Scope, Want,
};
use layer0_domain::port::pull::{AnsweredBy, Launch, PullEvidence, PullQuestion, RemoteImage};
use layer0_domain::port::thing::Thing;
use layer0_domain::port::trail::{Trail, TrailAbout, TrailQuery};
use tokio::time::{Instant, sleep, timeout};

use super::behaviour::{self, StartFault};
use super::fault::{Fault, Op, unavailable};
use super::logs::Cursor;
use super::world::{Owner, Stale, State};
use super::{FakeEngine, World, aws};

/// How long `changed` may wait (contract of the port).
const CHANGED_LIMIT: Duration = Duration::from_secs(30);
/// How often the clock is looked at while something is due some time: a clock that is set forward by a test tells nobody.
const CLOCK_LOOK: Duration = Duration::from_millis(20);

impl FakeEngine {
    async fn call<T>(
        &self,
        op: Op,
        act: impl FnOnce(&mut State) -> Result<T, EngineError> + Send,
    ) -> Result<T, EngineError> {
        let answer = self.called(op, act).await;
        self.world.lock().faults.answer(op);
        answer
    }

    /// A call with all that can go wrong with it.
    async fn called<T>(
        &self,
        op: Op,
        act: impl FnOnce(&mut State) -> Result<T, EngineError> + Send,
    ) -> Result<T, EngineError> {
        let fault = self.world.lock().faults.begin(op);
        self.holds.pass(op).await;
        let mut frozen = self.world.frozen.subscribe();
        // An error means that the sender is gone, and we hold it ourselves.
        let _ = frozen.wait_for(|frozen| !*frozen).await;
        let lost = match fault {
            Some(fault @ Fault::AnswerLost) => Some(fault),
            Some(fault) => match fault.error() {
                Some(error) => return Err(error),
                None => std::future::pending().await,
            },
            None => None,
        };
        let answer = self.world.with(|state| {
            if !state.available {
                return Err(unavailable("it was made unavailable"));
            }
            if state.view != self.view {
                return Err(unavailable("another server has taken it over"));
            }
            act(state)
        });
        match lost.and_then(Fault::error) {
            Some(error) => Err(error),
            None => answer,
        }
    }
}

#[async_trait]
impl Engine for FakeEngine {
    fn capabilities(&self) -> Capabilities {
        Capabilities::one_machine("fake")
    }

    async fn ensure(&self, want: Want) -> Result<(), EngineError> {
        self.call(Op::Ensure, |state| ensure(state, want)).await
    }

    async fn remove(&self, entity: &EntityRef) -> Result<Removed, EngineError> {
        self.call(Op::Remove, |state| {
            if let Some(why) = state.hindered.get(entity) {
                return Ok(Removed::Hindered {
                    waiting_for: "its parts to be taken away".to_owned(),
                    why: why.clone(),
                });
            }
            Ok(match entity {
                EntityRef::Environment(id) => state.environment_remove(id),
                EntityRef::LoadBalancer(id) => {
                    state.version += u64::from(state.load_balancers.remove(id));
                    Removed::Gone
                }
                EntityRef::Service(id) => state.service_remove(id),
                EntityRef::Task(id) => state.task_remove(id),
                EntityRef::Deploy(_) => Removed::Gone,
            })
        })
        .await
    }

    async fn observe(&self, scope: Scope) -> Result<Observed, EngineError> {
        self.call(Op::Observe, |state| Ok(observe(state, &scope))).await
    }

    async fn inventory(&self) -> Result<Vec<Thing>, EngineError> {
        self.call(Op::Inventory, |state| Ok(inventory(state))).await
    }

    async fn logs(&self, of: &EntityRef, query: LogQuery) -> Result<LogStream, EngineError> {
        let missing = || EngineError::Missing { entity: of.clone() };
        let owner = match of {
            EntityRef::Service(id) => Owner::Service(id.clone()),
            EntityRef::Task(id) => Owner::Task(id.clone()),
            EntityRef::Deploy(_) | EntityRef::Environment(_) | EntityRef::LoadBalancer(_) => return Err(missing()),
        };
        let mut cursor = Cursor::new();
        let first =
            self.call(Op::Logs, |state| state.log_read(&owner, &query, &mut cursor).ok_or_else(missing)).await?;
        let follower = (!first.is_last).then(|| Follower { world: Arc::clone(&self.world), owner, query, cursor });
        let later = stream::unfold(follower, |follower| async move {
            let (lines, follower) = follower?.next().await?;
            Some((stream::iter(lines), follower))
        });
        Ok(stream::iter(first.lines).chain(later.flatten()).map(Ok).boxed())
    }

    async fn trail(&self, query: &TrailQuery) -> Result<Trail, EngineError> {
        self.call(Op::Trail, |state| {
            let is_wanted = |about: &Option<EntityRef>| match (&query.about, about) {
                (TrailAbout::Instance, _) => true,
                (TrailAbout::Environment { id, members }, Some(about)) => {
                    matches!(about, EntityRef::Environment(of) if of == id) || members.contains(about)
                }
                (TrailAbout::Environment { .. }, None) => false,
            };
            let mut records: Vec<_> = state
                .trail
                .iter()
                .filter(|(about, _)| is_wanted(about))
                .map(|(_, record)| record.clone())
                .filter(|it| query.start.is_none_or(|start| it.at >= start) && query.end.is_none_or(|end| it.at <= end))
                .collect();
            records.sort_by_key(|record| record.at);
            records.drain(..records.len().saturating_sub(query.most as usize));
            Ok(Trail { records, gap: state.trail_gap.clone() })
        })
        .await
    }

    async fn pull_evidence(&self, question: &PullQuestion) -> Result<PullEvidence, EngineError> {
        self.call(Op::PullEvidence, |state| {
            let image = &question.image;
            let set = [image.to_string(), image.repository()].into_iter().find_map(|key| state.evidence.get(&key));
            if let Some(set) = set {
                return Ok(set.clone());
            }
            let remote = (question.registry == AnsweredBy::Registry).then(|| remote_image(state, image));
            let aws = match &remote {
                Some(RemoteImage::Found { platforms, .. }) => aws::evidence(question, platforms),
                _ => None,
            };
            let runs_on = match &aws {
                Some(_) => question.platform.clone(),
                None => None,
            };
            Ok(PullEvidence {
                platform: runs_on.unwrap_or_else(|| platform("amd64")),
                local: None,
                remote: if aws.is_some() { None } else { remote },
                aws: aws.map(Box::new),
            })
        })
        .await
    }

    fn host_reach(&self, definition: &TaskDefinition) -> Vec<&'static str> {
        definition.host_reach()
    }

    fn refusal(&self, _: &TaskDefinition, _: Launch) -> Option<Failure> {
        None
    }

    fn warnings(&self, definition: &TaskDefinition, _: Option<Launch>) -> Vec<String> {
        behaviour::warnings(definition)
    }

    async fn changed(&self) {
        let mut version = self.world.version.subscribe();
        let limit = Instant::now() + CHANGED_LIMIT;
        loop {
            let next_event_ms = self.world.with(|state| state.next_event_ms());
            let now = *version.borrow_and_update();
            if now > self.last_told() {
                self.told.store(now, Ordering::Release);
                return;
            }
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            // Both ends of the wait lead to another look.
            let _ = timeout(look_again_in(next_event_ms).unwrap_or(left).min(left), version.changed()).await;
        }
    }

    /// It carries nothing; that it was asked is noted.
    async fn stop(&self, _limit: Duration) {
        self.world.stops.fetch_add(1, Ordering::Relaxed);
    }
}

/// When to look at the clock again; `None` when nothing is due ever.
fn look_again_in(next_event_ms: Option<u64>) -> Option<Duration> {
    next_event_ms.map(|ms| Duration::from_millis(ms.max(1)).min(CLOCK_LOOK))
}

/// Somebody who reads a log as it is written.
struct Follower {
    world: Arc<World>,
    owner: Owner,
    query: LogQuery,
    cursor: Cursor,
}

impl Follower {
    /// Waits for the next lines; `None` when what writes them was removed. The follower comes back while there may be more.
    async fn next(mut self) -> Option<(Vec<LogLine>, Option<Self>)> {
        let mut version = self.world.version.subscribe();
        loop {
            version.mark_unchanged();
            let Self { world, owner, query, cursor } = &mut self;
            let batch = world.with(|state| state.log_read(owner, query, cursor))?;
            if batch.is_last {
                return Some((batch.lines, None));
            }
            if !batch.lines.is_empty() {
                return Some((batch.lines, Some(self)));
            }
            // Lines come with time, too, and the clock may be one that is set forward.
            tokio::select! {
                _ = version.changed() => {}
                () = sleep(CLOCK_LOOK) => {}
            }
        }
    }
}

fn ensure(state: &mut State, want: Want) -> Result<(), EngineError> {
    let entity = want.entity();
    let outdated = match want {
        Want::Environment { environment, reachable_from } => state.environment_ensure(&environment, reachable_from),
        Want::LoadBalancer { load_balancer, .. } => {
            state.environment_required(&load_balancer.environment)?;
            let (stale, changed) = state.load_balancers.ensure(load_balancer);
            state.version += u64::from(changed);
            stale
        }
        Want::Service(spec) => return state.service_ensure(spec),
        Want::Task(spec) => return state.task_ensure(spec),
    };
    match outdated {
        Stale::Yes => Err(EngineError::Outdated { entity }),
        Stale::No => Ok(()),
    }
}

fn observe(state: &State, scope: &Scope) -> Observed {
    let mut seen = Observed::default();
    match scope {
        Scope::All => {
            seen.environments = state.environments.keys().filter_map(|id| state.environment_seen(id)).collect();
            seen.load_balancers = state.load_balancers.ids().filter_map(|id| state.load_balancers.seen(id)).collect();
            seen.services = state.services.keys().filter_map(|id| state.service_seen(id)).collect();
            seen.tasks = state.tasks.keys().filter_map(|id| state.task_seen(id)).collect();
        }
        Scope::One(EntityRef::Environment(id)) => seen.environments.extend(state.environment_seen(id)),
        Scope::One(EntityRef::LoadBalancer(id)) => seen.load_balancers.extend(state.load_balancers.seen(id)),
        Scope::One(EntityRef::Service(id)) => seen.services.extend(state.service_seen(id)),
        Scope::One(EntityRef::Task(id)) => seen.tasks.extend(state.task_seen(id)),
        Scope::One(EntityRef::Deploy(_)) => {}
    }
    seen
}

/// One thing for each entity: that is all a world without machines has.
fn inventory(state: &State) -> Vec<Thing> {
    let copies = |count: usize| if count == 1 { "1 copy".to_owned() } else { format!("{count} copies") };
    let environments = state.environments.keys().map(|id| {
        let name = format!("fake-network-{id}");
        Thing::of("network", name, "", EntityRef::Environment(id.clone()))
    });
    let load_balancers = state
        .load_balancers
        .ids()
        .map(|id| Thing::of("load balancer", id.as_str(), "listening", EntityRef::LoadBalancer(id.clone())));
    let services = state.services.iter().map(|(id, service)| {
        Thing::of("service", id.as_str(), copies(service.copies.len()), EntityRef::Service(id.clone()))
    });
    let tasks = state
        .tasks
        .iter()
        .map(|(id, task)| Thing::of("task", id.as_str(), copies(task.copies.len()), EntityRef::Task(id.clone())));
    let things = environments.chain(load_balancers).chain(services).chain(tasks);
    let hindrance = |thing: &Thing| thing.made_for.iter().find_map(|of| state.hindered.get(of)).cloned();
    things.map(|thing| Thing { hindrance: hindrance(&thing), ..thing }).collect()
}

/// Linux on a processor.
pub(super) fn platform(architecture: &str) -> Platform {
    Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), variant: None }
}

/// What a registry out there would say: that it has the image, unless a behaviour or the name says otherwise. Names under
/// `.invalid` never resolve (RFC 2606).
fn remote_image(state: &State, image: &ImageRef) -> RemoteImage {
    let host = image.canonical_host();
    if host.ends_with(".invalid") {
        return RemoteImage::Unreachable { message: format!("lookup {host}: no such host") };
    }
    let digest = image.digest().cloned().unwrap_or_else(|| Digest::sha256_of(image.canonical_key().as_bytes()));
    let behaviour = state.behaviours.of_image(&image.to_string());
    let platforms = match behaviour.and_then(|behaviour| behaviour.cannot_start.as_ref()) {
        Some(StartFault { class: FailureClass::ImageNotFound, .. }) => return RemoteImage::NotFound,
        Some(StartFault { class: FailureClass::PullDenied, .. }) => return RemoteImage::Denied,
        Some(StartFault { class: FailureClass::WrongArchitecture, .. }) => vec![platform("s390x")],
        _ => vec![platform("amd64"), platform("arm64")],
    };
    RemoteImage::Found { digest, platforms }
}
