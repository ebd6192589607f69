//! What every engine must do: one public function for each behaviour of the port `Engine`, run by all engines.
//!
//! An engine's integration test says how to make a [`Subject`] and calls [`engine_suite!`](crate::engine_suite!), which makes a
//! test of each behaviour, so that none is left out. Each behaviour works on entities of its own, takes them away at the
//! end and checks that nothing of them is left, so several can share one Docker engine.
//!
//! Nothing here sleeps; conditions are awaited with [`until`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::environment::Environment;
use layer0_domain::model::id::{DeploymentId, EnvironmentId, LoadBalancerId, ServiceId, TaskId, id_text};
use layer0_domain::model::image::ImageRef;
use layer0_domain::model::load_balancer::{LoadBalancer, Port, Protocol};
use layer0_domain::model::name::Name;
use layer0_domain::model::task_definition::TaskDefinition;
use layer0_domain::model::time::{Generation, Timestamp};
use layer0_domain::port::engine::{
    Capacity, CopySeen, CopyState, Engine, EngineError, EnvironmentSeen, LoadBalancerSeen, Observed, Removed, Revision,
    Scope, ServiceMode, ServiceSeen, ServiceSpec, TaskRun, TaskSeen, TaskSpec, Want,
};
use layer0_domain::port::pull::Launch;
use layer0_domain::port::thing::Thing;

use crate::sample;
use crate::until::{ends, until};

pub mod environment;
pub mod general;
pub mod inventory;
pub mod load_balancer;
pub mod logs;
pub mod restart;
pub mod rollout;
pub mod service;
pub mod task;

/// What the one container of a definition, named [`CONTAINER`], has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs until it is stopped, is healthy within seconds, and writes at least one line when it starts.
    Serves,
    /// Ends with code 0 at once. As a service's copy it never counts as healthy.
    ExitsZero,
    /// Ends with code 3 at once. As a service's copy it never counts as healthy.
    ExitsThree,
    /// Runs until it is stopped, but its container health check fails each time, and soon.
    NeverHealthy,
    /// The engine has the image but can't start the container (a command that isn't there).
    CannotStart,
    /// Writes the lines of [`TALK`] and ends with code 0.
    Talks,
}

/// The name of the container in the definitions of a subject.
pub const CONTAINER: &str = "main";

/// What a container in the role [`Role::Talks`] writes.
pub const TALK: [&str; 3] = ["one", "two", "three"];

/// How a subject gives out definitions.
pub type Definitions = Box<dyn Fn(Role) -> TaskDefinition + Send + Sync>;

/// How a subject restarts the server: a new engine over the same world, which was told of nothing.
pub type Reconnect = Box<dyn Fn() -> BoxFuture<'static, Arc<dyn Engine>> + Send + Sync>;

/// An engine to be examined.
pub struct Subject {
    engine: Option<Arc<dyn Engine>>,
    reconnect: Reconnect,
    definitions: Definitions,
    missing_image: ImageRef,
    made: Vec<EntityRef>,
    ids: Arc<AtomicU64>,
}

/// Makes names and ids differ between the subjects of one process.
static IDS: AtomicU64 = AtomicU64::new(1);

impl Subject {
    /// A subject.
    ///
    /// `missing_image` is an image that is neither on the engine nor in any registry.
    #[must_use]
    pub fn new(
        engine: Arc<dyn Engine>,
        reconnect: Reconnect,
        definitions: Definitions,
        missing_image: ImageRef,
    ) -> Self {
        // Different between processes too, which may share one Docker engine.
        let start = u64::from(std::process::id()) << 24 | IDS.fetch_add(1 << 10, Ordering::Relaxed);
        let ids = Arc::new(AtomicU64::new(start));
        Self { engine: Some(engine), reconnect, definitions, missing_image, made: Vec::new(), ids }
    }

    /// The engine of now.
    #[must_use]
    pub fn engine(&self) -> &dyn Engine {
        self.engine.as_deref().expect("it is only away while the server restarts")
    }

    /// Restarts the server.
    pub async fn restart(&mut self) {
        self.engine = None;
        self.engine = Some((self.reconnect)().await);
    }

    /// An image that is nowhere.
    #[must_use]
    pub fn missing_image(&self) -> &ImageRef {
        &self.missing_image
    }

    fn fresh(&self, stem: &str) -> String {
        id_text(stem, self.ids.fetch_add(1, Ordering::Relaxed))
    }

    fn definition(&self, role: Role) -> TaskDefinition {
        (self.definitions)(role)
    }

    /// Tells the engine what is wanted; it has to agree. Remembers the entity, to be taken away in the end.
    async fn ensure(&mut self, want: Want) {
        let entity = want.entity();
        if !self.made.contains(&entity) {
            self.made.push(entity.clone());
        }
        let answer = ends(format!("ensure of {entity}"), self.engine().ensure(want)).await;
        answer.unwrap_or_else(|error| panic!("ensure of {entity}: {error}"));
    }

    /// Tells the engine what is wanted; it must refuse it as outdated.
    async fn ensure_outdated(&self, want: Want) {
        let entity = want.entity();
        match self.engine().ensure(want).await {
            Err(EngineError::Outdated { entity: named }) => assert_eq!(named, entity),
            other => panic!("an older generation of {entity} must be refused as outdated, but: {other:?}"),
        }
    }

    /// Looks at one entity or at all.
    async fn observe(&self, scope: Scope) -> Observed {
        let what = format!("observe of {scope:?}");
        ends(&what, self.engine().observe(scope)).await.unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    async fn environment_seen(&self, id: &EnvironmentId) -> Option<EnvironmentSeen> {
        let seen = self.observe(Scope::One(EntityRef::Environment(id.clone()))).await;
        seen.environments.into_iter().find(|seen| seen.id == *id)
    }

    async fn load_balancer_seen(&self, id: &LoadBalancerId) -> Option<LoadBalancerSeen> {
        let seen = self.observe(Scope::One(EntityRef::LoadBalancer(id.clone()))).await;
        seen.load_balancers.into_iter().find(|seen| seen.id == *id)
    }

    async fn service_seen(&self, id: &ServiceId) -> Option<ServiceSeen> {
        let seen = self.observe(Scope::One(EntityRef::Service(id.clone()))).await;
        seen.services.into_iter().find(|seen| seen.id == *id)
    }

    async fn task_seen(&self, id: &TaskId) -> Option<TaskSeen> {
        let seen = self.observe(Scope::One(EntityRef::Task(id.clone()))).await;
        seen.tasks.into_iter().find(|seen| seen.id == *id)
    }

    /// Waits until a service is seen of which `holds` is true.
    async fn service_until(&self, what: &str, id: &ServiceId, holds: impl Fn(&ServiceSeen) -> bool) -> ServiceSeen {
        until(what, || async {
            match self.service_seen(id).await {
                Some(seen) if holds(&seen) => Ok(seen),
                other => Err(format!("{other:#?}")),
            }
        })
        .await
    }

    /// Waits until a task is seen of which `holds` is true.
    async fn task_until(&self, what: &str, id: &TaskId, holds: impl Fn(&TaskSeen) -> bool) -> TaskSeen {
        until(what, || async {
            match self.task_seen(id).await {
                Some(seen) if holds(&seen) => Ok(seen),
                other => Err(format!("{other:#?}")),
            }
        })
        .await
    }

    /// Waits until a service has exactly its wanted copies of its revision, all healthy.
    async fn service_steady(&self, spec: &ServiceSpec) -> ServiceSeen {
        let what = format!("{} healthy copies of {}", spec.desired_count, spec.revision.label);
        self.service_until(&what, &spec.id, |seen| is_steady(seen, spec)).await
    }

    /// The things that were made for an entity.
    async fn things_of(&self, entity: &EntityRef) -> Vec<Thing> {
        let all = ends("an inventory", self.engine().inventory()).await;
        let all = all.unwrap_or_else(|error| panic!("an inventory: {error}"));
        all.into_iter().filter(|thing| thing.made_for.contains(entity)).collect()
    }

    /// Takes an entity away and waits until it is gone.
    async fn remove(&self, entity: &EntityRef) {
        until(format!("{entity} to be gone"), || async {
            match self.engine().remove(entity).await {
                Ok(Removed::Gone) => Ok(()),
                Ok(Removed::Going { waiting_for }) => Err(format!("it waits for {waiting_for}")),
                Ok(Removed::Hindered { waiting_for, why }) => Err(format!("it waits for {waiting_for}: {why}")),
                Err(error) if error.retryable() => Err(format!("{error}")),
                Err(error) => panic!("remove of {entity}: {error}"),
            }
        })
        .await;
    }

    /// Takes away all that was made, the last first, and checks that nothing of it is left.
    async fn leave(self) {
        for entity in self.made.iter().rev() {
            self.remove(entity).await;
        }
        let all = self.observe(Scope::All).await;
        let left: Vec<_> = entities(&all).into_iter().filter(|entity| self.made.contains(entity)).collect();
        assert!(left.is_empty(), "left after all was removed: {left:?}");
        let things = ends("an inventory", self.engine().inventory()).await;
        let things = things.unwrap_or_else(|error| panic!("an inventory: {error}"));
        let left: Vec<_> =
            things.into_iter().filter(|thing| thing.made_for.iter().any(|entity| self.made.contains(entity))).collect();
        assert!(left.is_empty(), "listed after all was removed: {left:?}");
    }

    /// Makes an environment, and waits until it is ready.
    async fn environment(&mut self) -> Environment {
        let environment = self.environment_wanted();
        self.ensure(wish(&environment, &[])).await;
        self.environment_settled(&environment.id).await;
        environment
    }

    /// Waits until an environment is as it was asked for.
    async fn environment_settled(&self, id: &EnvironmentId) -> EnvironmentSeen {
        until(format!("environment {id} to be ready"), || async {
            match self.environment_seen(id).await {
                Some(seen) if seen.waiting_for.is_none() && seen.problem.is_none() => Ok(seen),
                other => Err(format!("{other:#?}")),
            }
        })
        .await
    }

    fn environment_wanted(&self) -> Environment {
        let id = self.fresh("env");
        sample::environment(&id, &id)
    }

    fn load_balancer_wanted(&self, environment: &Environment, host_ports: &[u16]) -> LoadBalancer {
        let id = self.fresh("lb");
        {
            let mut wanted = sample::load_balancer(&id, &id, environment.id.clone());
            wanted.ports = host_ports.iter().map(|port| listener(*port)).collect();
            wanted.health_check.path = String::new();
            wanted
        }
    }

    fn service_wanted(&self, environment: &Environment, role: Role, desired_count: u32) -> ServiceSpec {
        let id = self.fresh("svc");
        ServiceSpec {
            name: name(&id),
            id: ServiceId::parse(&id).expect("made to be an id"),
            environment: environment.id.clone(),
            desired_count,
            revision: self.revision(role),
            mode: ServiceMode::Run,
            load_balancer: None,
            launch: Launch::Fargate,
            generation: Generation(1),
        }
    }

    fn revision(&self, role: Role) -> Revision {
        let id = self.fresh("dep");
        Revision {
            deployment: DeploymentId::parse(&id).expect("made to be an id"),
            label: format!("{role:?} ({id})"),
            definition: self.definition(role),
        }
    }

    fn task_wanted(&self, environment: &Environment, role: Role, copies: u32) -> TaskSpec {
        let id = self.fresh("task");
        TaskSpec {
            name: name(&id),
            id: TaskId::parse(&id).expect("made to be an id"),
            environment: environment.id.clone(),
            copies,
            definition: self.definition(role),
            run: TaskRun::Once,
            launch: Launch::Fargate,
            capacity: Capacity::Regular,
            generation: Generation(1),
        }
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("ids made of names are names")
}

fn listener(host_port: u16) -> Port {
    Port::forward(host_port, 80, Protocol::Http)
}

/// A host port that nobody holds right now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a machine has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// All that an observation names.
fn entities(seen: &Observed) -> Vec<EntityRef> {
    let environments = seen.environments.iter().map(|seen| EntityRef::Environment(seen.id.clone()));
    let load_balancers = seen.load_balancers.iter().map(|seen| EntityRef::LoadBalancer(seen.id.clone()));
    let services = seen.services.iter().map(|seen| EntityRef::Service(seen.id.clone()));
    let tasks = seen.tasks.iter().map(|seen| EntityRef::Task(seen.id.clone()));
    environments.chain(load_balancers).chain(services).chain(tasks).collect()
}

/// The copies that have not ended.
fn live(seen: &ServiceSeen) -> Vec<&CopySeen> {
    seen.copies.iter().filter(|copy| copy.state != CopyState::Stopped).collect()
}

fn healthy(seen: &ServiceSeen) -> usize {
    seen.copies.iter().filter(|copy| copy.state == CopyState::Healthy).count()
}

fn is_steady(seen: &ServiceSeen, spec: &ServiceSpec) -> bool {
    let live = live(seen);
    let is_right = |copy: &&CopySeen| {
        copy.state == CopyState::Healthy && copy.deployment.as_ref() == Some(&spec.revision.deployment)
    };
    seen.generation == Some(spec.generation) && live.len() == spec.desired_count as usize && live.iter().all(is_right)
}

/// Which copies live, and since when: what must not change when nothing is restarted.
fn identity(seen: &ServiceSeen) -> Vec<(String, Option<Timestamp>)> {
    live(seen).into_iter().map(|copy| (copy.id.to_string(), copy.started)).collect()
}

/// The wish for an environment that others may reach.
fn wish(environment: &Environment, from: &[&Environment]) -> Want {
    let reachable_from = from.iter().map(|other| other.id.clone()).collect();
    Want::Environment { environment: environment.clone(), reachable_from }
}

/// The wish for a load balancer that only its own environment may reach, when it is private.
fn wish_balancer(load_balancer: &LoadBalancer) -> Want {
    Want::LoadBalancer { load_balancer: load_balancer.clone(), reachable_from: Vec::new() }
}

/// The wish for a service.
fn wish_service(spec: &ServiceSpec) -> Want {
    Want::Service(spec.clone())
}

/// The wish for a task.
fn wish_task(spec: &TaskSpec) -> Want {
    Want::Task(spec.clone())
}

/// Makes a test of each behaviour of the port `Engine`, in one module for each file of the suite.
///
/// `engine_suite!(make)`, where `make` is an `async fn() -> Subject` beside the call; attributes before it go to each test:
/// `engine_suite!(#[ignore = "needs a Docker engine"] make)`. The calling crate needs `tokio` with its macros.
#[macro_export]
macro_rules! engine_suite {
    ($(#[$attribute:meta])* $make:ident) => {
        $crate::engine_suite!{@modules [$(#[$attribute])*] $make
            environment [is_made_and_taken_away links_are_made_and_cut older_is_refused]
            general [
                capabilities_have_a_name
                change_is_told
                removing_the_unknown_is_done
                logs_of_the_unknown_are_missing
                missing_image_is_not_found
                our_own_registry_is_not_asked
                trail_of_the_unknown_is_empty
            ]
            inventory [
                lists_what_was_made_until_it_is_gone
                strays_are_listed_and_go_with_their_entity
            ]
            load_balancer [
                listens
                port_change_keeps_the_others
                rules_and_redirects_come_and_go
                port_conflict_is_named
                older_is_refused
            ]
            logs [
                lines_of_a_task_stay_until_it_is_removed
                tail_and_time_limit_the_lines
                follow_of_a_task_ends_with_it
                follow_of_a_service_has_new_copies_too
            ]
            restart [
                copies_are_adopted
                strays_are_listed_until_told
                strays_can_be_removed
                tasks_are_not_run_twice
            ]
            rollout [
                copies_are_replaced_without_a_gap
                failing_revision_keeps_the_old_copies
                never_healthy_counts_as_failed
                start_that_cannot_be_counts_as_failed
                going_back_is_healthy_again
                halted_starts_nothing
            ]
            service [
                comes_up_healthy
                ensure_is_idempotent
                scales_up_and_down_and_to_nothing
                older_is_refused
                is_removed_without_litter
            ]
            task [
                runs_each_copy_once
                tells_the_exit_code
                start_that_cannot_be_is_told
                stops
                older_is_refused
            ]
        }
    };
    (@modules $attributes:tt $make:ident $($module:ident [$($behaviour:ident)*])*) => {
        $($crate::engine_suite!{@module $attributes $make $module [$($behaviour)*]})*
    };
    (@module $attributes:tt $make:ident $module:ident [$($behaviour:ident)*]) => {
        mod $module {
            $($crate::engine_suite!{@test $attributes $make $module $behaviour})*
        }
    };
    (@test [$(#[$attribute:meta])*] $make:ident $module:ident $behaviour:ident) => {
        $(#[$attribute])*
        #[tokio::test]
        async fn $behaviour() {
            $crate::engine_suite::$module::$behaviour(super::$make().await).await;
        }
    };
}
