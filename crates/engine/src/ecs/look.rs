//! The loop that looks: at what is under way often, at the rest now and then, and goes the next steps.
//!
//! A quiet service costs a tenth of a call: `DescribeServices` takes ten, and as long as it shows what it showed before, its
//! tasks are not asked for. Beside it, `stops` looks which tasks ended, for one call a cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Weak;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use layer0_domain::model::entity::EntityRef;
use layer0_domain::model::failure::LogLine;
use layer0_domain::model::id::{EnvironmentId, LoadBalancerId, ServiceId, TaskId};
use tokio::time::Instant;
use tracing::debug;

use super::aws::{AwsError, EcsTask, Kind, Span, TaskFilter};
use super::names::Names;
use super::services::ServiceState;
use super::state::{BalancerState, Shared};
use super::stops;

/// From so many restless services in a cluster on, all tasks of it are listed at once in place of those of each service.
const ALL_AT_ONCE: usize = 5;

/// For how many pauses a look waits for wishes that keep coming.
const WISHES_TOGETHER: u32 = 5;

/// How many of the last lines of each container of a failed copy are kept with the failure.
const LAST_WORDS: u32 = 20;

/// How many clusters are looked at side by side: a look waits for AWS most of the time.
pub(super) const CLUSTERS_AT_ONCE: usize = 8;

/// Runs until the engine is gone.
pub(super) async fn run(shared: Weak<Shared>) {
    let mut quiet_due = Instant::now();
    loop {
        let Some(here) = shared.upgrade() else { return };
        let everything = Instant::now() >= quiet_due;
        let busy = here.pass(everything).await;
        if everything {
            let calls = stops::calls(&here.services_by_cluster());
            let pause = stops::pause(here.config.look_quiet, calls, here.config.rates.ecs_read.per_second);
            quiet_due = Instant::now() + pause;
        }
        let next = quiet_due.saturating_duration_since(Instant::now());
        here.pause(if busy { here.config.look_busy } else { next.max(here.config.look_busy) }).await;
    }
}

impl Shared {
    /// Waits for the next look. A wish wakes the loop early, but never at once: the wish itself went the first step. Wishes
    /// that come one upon the other, as when a server starts, are looked at together.
    async fn pause(&self, pause: Duration) {
        if tokio::time::timeout(pause, self.wake.notified()).await.is_ok() {
            let gap = self.config.look_busy.min(pause);
            let end = Instant::now() + gap * WISHES_TOGETHER;
            while tokio::time::timeout_at(end.min(Instant::now() + gap), self.wake.notified()).await.is_ok() {}
        }
    }

    /// One look. `everything`: at what is quiet too. Answers whether something is under way.
    async fn pass(&self, everything: bool) -> bool {
        let mut busy = false;
        for id in self.environments_busy() {
            busy = true;
            self.tried(self.environment_turn(&id).await, "an environment");
        }
        for id in self.balancers_busy() {
            busy = true;
            self.tried(self.balancer_turn(&id).await, "a load balancer");
        }
        let looks = stream::iter(self.services_due(everything))
            .map(|(cluster, services)| async move { self.services_look(&cluster, &services).await });
        let looks: Vec<_> = looks.buffer_unordered(CLUSTERS_AT_ONCE).collect().await;
        for look in looks {
            match look {
                Ok(restless) => busy |= restless,
                Err(error) => {
                    busy = true;
                    self.tried(Err(error), "services");
                }
            }
        }
        for id in self.tasks_busy() {
            busy = true;
            let _turn = self.turn(&EntityRef::Task(id.clone())).await;
            self.tried(self.task_advance(&id).await, "a task");
        }
        if busy {
            self.changed();
        }
        busy
    }

    /// What could not be looked at is looked at again; whoever waits for it learns by what it waits for.
    fn tried(&self, result: Result<(), AwsError>, what: &str) {
        if let Err(error) = result {
            debug!(error = %error, "{what} could not be looked at; it is tried again");
        }
    }

    /// Has services say what right is missing to see how they are: no look after this one will see more.
    fn unseen(&self, services: &[&ServiceId], error: &AwsError) {
        if error.kind != Kind::Denied {
            return;
        }
        let mut state = self.state();
        for id in services {
            if let Some(service) = state.services.get_mut(*id) {
                service.waiting_for = Some(format!("the right to see its copies: {}", error.reason()));
            }
        }
        drop(state);
        self.changed();
    }

    fn environments_busy(&self) -> Vec<EnvironmentId> {
        let state = self.state();
        let comes = |it: &EnvironmentId| state.can_come(it);
        let busy = state.environments.iter().filter(|(_, it)| it.stack.is_busy() || it.unknown.iter().any(comes));
        busy.map(|(id, _)| id.clone()).collect()
    }

    async fn environment_turn(&self, id: &EnvironmentId) -> Result<(), AwsError> {
        let _turn = self.turn(&EntityRef::Environment(id.clone())).await;
        self.environment_advance(id).await
    }

    fn balancers_busy(&self) -> Vec<LoadBalancerId> {
        let state = self.state();
        let comes = |it: &EnvironmentId| state.can_come(it);
        let is_busy = |it: &BalancerState| {
            it.stack.is_busy() && state.balancer_stranded(it).is_none() || it.unknown.iter().any(comes)
        };
        let busy = state.balancers.iter().filter(|(_, it)| is_busy(it));
        busy.map(|(id, _)| id.clone()).collect()
    }

    async fn balancer_turn(&self, id: &LoadBalancerId) -> Result<(), AwsError> {
        let _turn = self.turn(&EntityRef::LoadBalancer(id.clone())).await;
        self.load_balancer_advance(id).await
    }

    fn tasks_busy(&self) -> Vec<TaskId> {
        self.state().tasks.iter().filter(|(_, it)| it.is_busy()).map(|(id, _)| id.clone()).collect()
    }

    /// The services to look at, by cluster.
    fn services_due(&self, everything: bool) -> BTreeMap<String, Vec<ServiceId>> {
        let state = self.state();
        let mut due: BTreeMap<String, Vec<ServiceId>> = BTreeMap::new();
        for (id, service) in &state.services {
            if let Some(spec) = service.spec.as_ref().filter(|_| (everything || service.is_busy) && !service.removing) {
                due.entry(self.names.environment(&spec.environment)).or_default().push(id.clone());
            }
        }
        due
    }

    /// Looks at services of one cluster and goes a step with each. Answers whether one of them is under way.
    async fn services_look(&self, cluster: &str, services: &[ServiceId]) -> Result<bool, AwsError> {
        let by_name: HashMap<String, &ServiceId> = services.iter().map(|id| (self.names.service(id), id)).collect();
        let names: Vec<String> = by_name.keys().cloned().collect();
        let acts = |id: &ServiceId| self.state().services.get(id).map(|service| service.acts);
        let before: HashMap<&ServiceId, Option<u64>> = services.iter().map(|id| (id, acts(id))).collect();
        let mut found = self.aws.services_describe(cluster, &names).await?;
        let mut restless: Vec<&ServiceId> = Vec::new();
        for (name, id) in &by_name {
            let seen = found.iter().position(|it| it.name == *name).map(|at| found.swap_remove(at));
            let _turn = self.turn(&EntityRef::Service((*id).clone())).await;
            if let Some(service) = self.state().services.get_mut(*id)
                && before.get(*id) == Some(&Some(service.acts))
                && (service.is_busy || service.seen.as_ref() != seen.as_ref().filter(|seen| !seen.is_gone()))
            {
                service.seen_put(&self.names, seen);
                restless.push(id);
            }
        }
        if restless.is_empty() {
            return Ok(false);
        }
        let (due, known): (Vec<&ServiceId>, Vec<&ServiceId>) =
            restless.iter().partition(|id| self.state().services.get(**id).is_none_or(ServiceState::tasks_due));
        if let Err(error) = self.tasks_take_in(cluster, &due).await {
            self.unseen(&due, &error);
            return Err(error);
        }
        for id in known {
            // Nothing of them changed but how long they run.
            if let Some(service) = self.state().services.get_mut(id) {
                let tasks = std::mem::take(&mut service.tasks);
                let _ = service.tasks_put(&self.names, tasks, self.config.settle);
            }
        }
        self.rollouts_take_in(&restless).await?;
        let mut busy = false;
        for id in restless {
            // What hinders one holds up no other.
            if let Err(error) = self.targets_take_in(cluster, id).await {
                self.unseen(&[id], &error);
                self.tried(Err(error), "the targets of a service");
                busy = true;
                continue;
            }
            let _turn = self.turn(&EntityRef::Service(id.clone())).await;
            let result = self.service_advance(id).await;
            {
                // In one turn with the state: a load balancer that changes now marks the service after this.
                let mut state = self.state();
                let differs = self.targets_differ(&state, id);
                if let Some(service) = state.services.get_mut(id) {
                    service.is_busy = result.is_err() || differs || !service.is_steady(&self.names, self.config.settle);
                    busy |= service.is_busy;
                }
            }
            self.tried(result, "a service");
        }
        self.changed();
        Ok(busy)
    }

    /// Reads the tasks of services: those that run, and those that ended lately.
    async fn tasks_take_in(&self, cluster: &str, services: &[&ServiceId]) -> Result<(), AwsError> {
        if services.is_empty() {
            return Ok(());
        }
        let mut ids: BTreeSet<String> = BTreeSet::new();
        if services.len() > ALL_AT_ONCE {
            for wanted in [true, false] {
                ids.extend(self.aws.tasks_list(cluster, TaskFilter::All, wanted).await?);
            }
        } else {
            for id in services {
                let there = self.state().services.get(*id).is_some_and(|it| it.seen.is_some());
                if !there {
                    continue;
                }
                for wanted in [true, false] {
                    let name = self.names.service(id);
                    ids.extend(self.aws.tasks_list(cluster, TaskFilter::Service(&name), wanted).await?);
                }
            }
        }
        let ids: Vec<String> = ids.into_iter().collect();
        let mut by_service: HashMap<ServiceId, Vec<EcsTask>> = HashMap::new();
        for task in self.aws.tasks_describe(cluster, &ids).await? {
            if let Some((service, _)) = self.names.deployment_of(&task.family) {
                by_service.entry(service).or_default().push(task);
            }
        }
        let mut failed = Vec::new();
        {
            let mut state = self.state();
            for id in services {
                if let Some(service) = state.services.get_mut(*id) {
                    let tasks = by_service.remove(*id).unwrap_or_default();
                    let new = service.tasks_read(&self.names, tasks, self.config.settle).into_iter();
                    failed.extend(new.map(|(deployment, task)| ((*id).clone(), deployment, task)));
                }
            }
        }
        for (id, deployment, task) in failed {
            let words = self.last_words(cluster, id.as_str(), &task).await;
            if let Some(service) = self.state().services.get_mut(&id) {
                service.last_words_put(&deployment, words);
            }
        }
        Ok(())
    }

    /// The last lines of each container of a task that failed. A copy that never ran wrote none; what can't be read is left
    /// out: the failure has its cause without it.
    async fn last_words(&self, cluster: &str, entity: &str, task: &EcsTask) -> Vec<LogLine> {
        let mut words = Vec::new();
        for container in task.containers.iter().filter(|it| it.exit_code.is_some()) {
            let stream = format!("{}{}/{}", Names::streams(entity), container.name, task.id);
            match self.aws.log_newest(cluster, &stream, Span::default(), LAST_WORDS).await {
                Ok(events) => words.extend(
                    events.into_iter().map(|event| LogLine { container: container.name.clone(), line: event.line }),
                ),
                Err(error) => debug!(error = %error, "the last lines of a failed copy could not be read"),
            }
        }
        words
    }

    /// A service that we were not told of, as it is: three calls.
    pub(super) async fn service_look_untold(
        &self,
        cluster: &str,
        id: &ServiceId,
    ) -> Result<Option<super::services::ServiceState>, AwsError> {
        let name = self.names.service(id);
        let found = self.aws.services_describe(cluster, std::slice::from_ref(&name)).await?;
        let Some(seen) = found.into_iter().next().filter(|seen| !seen.is_gone()) else { return Ok(None) };
        let ids = self.aws.tasks_list(cluster, TaskFilter::Service(&name), true).await?;
        let tasks = self.aws.tasks_describe(cluster, &ids).await?;
        let mut service = super::services::ServiceState::untold(seen);
        // Nobody who only looks counts failures.
        let _ = service.tasks_put(&self.names, tasks, Duration::ZERO);
        Ok(Some(service))
    }
}
