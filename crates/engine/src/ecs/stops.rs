//! The look for tasks that ended: what tells of a crash long before its service's turn comes.
//!
//! ECS lists the tasks of a cluster that it does not want to run any more, a hundred a call, and keeps each for an hour. Of
//! those that were not there the last time only the services are asked for; so a cluster of thousands of services where
//! nothing happens costs one call, and a crash is seen at the next of these looks. What ECS lists for other reasons, a
//! roll-out or fewer copies, is looked at no more than that once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Weak;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::Instant;
use tracing::debug;

use super::aws::{AwsError, TaskFilter};
use super::look::CLUSTERS_AT_ONCE;
use super::state::Shared;

/// How many services one call of the look at all services takes.
const SERVICES_A_CALL: usize = 10;

/// How many ended tasks one call lists.
const TASKS_A_CALL: usize = 100;

/// How long a cluster is left to the other look in which too many tasks ended: ECS forgets each after an hour.
const LEFT_ALONE: Duration = Duration::from_secs(600);

/// What was listed before.
#[derive(Debug, Default)]
struct Stops {
    /// The ended tasks, by cluster.
    known: HashMap<String, HashSet<String>>,
    /// Until when clusters are left alone.
    left_alone: HashMap<String, Instant>,
}

/// Looks until the engine is gone.
pub(super) async fn run(shared: Weak<Shared>) {
    let mut stops = Stops::default();
    loop {
        let Some(here) = shared.upgrade() else { return };
        let calls = here.stops_look(&mut stops).await;
        let pause = pause(here.config.look_stops, calls, here.config.rates.tasks_read.per_second);
        drop(here);
        tokio::time::sleep(pause).await;
    }
}

impl Shared {
    /// Looks which tasks ended since the last time, and has their services looked at. Answers the calls that the next such
    /// look is going to take.
    async fn stops_look(&self, stops: &mut Stops) -> usize {
        let clusters = self.services_by_cluster();
        let now = Instant::now();
        stops.known.retain(|cluster, _| clusters.contains_key(cluster));
        stops.left_alone.retain(|cluster, until| clusters.contains_key(cluster) && *until > now);
        let due: Vec<String> =
            clusters.keys().filter(|cluster| !stops.left_alone.contains_key(*cluster)).cloned().collect();
        let listed = stream::iter(due).map(|cluster| async {
            let ids = self.aws.tasks_list(&cluster, TaskFilter::All, false).await;
            (cluster, ids)
        });
        let listed: Vec<_> = listed.buffer_unordered(CLUSTERS_AT_ONCE).collect().await;
        let (mut found, mut calls) = (false, 0);
        for (cluster, ids) in listed {
            let ids: HashSet<String> = match ids {
                Ok(ids) => ids.into_iter().collect(),
                Err(error) => {
                    debug!(error = %error, "the ended tasks of a cluster could not be listed; it is tried again");
                    continue;
                }
            };
            let pages = ids.len().div_ceil(TASKS_A_CALL).max(1);
            if worth(pages, clusters.get(&cluster).copied().unwrap_or_default()) {
                calls += pages;
            } else {
                stops.left_alone.insert(cluster.clone(), now + LEFT_ALONE);
            }
            let new: Vec<String> = match stops.known.get(&cluster) {
                Some(known) => ids.difference(known).cloned().collect(),
                // The cluster is met for the first time: its services are being read, whatever became of their tasks.
                None => Vec::new(),
            };
            match self.stops_take_in(&cluster, &new).await {
                Ok(some) => {
                    found |= some;
                    stops.known.insert(cluster, ids);
                }
                Err(error) => debug!(error = %error, "ended tasks could not be looked at; it is tried again"),
            }
        }
        if found {
            self.changed();
            self.wake.notify_one();
        }
        calls
    }

    /// Has the services of ended tasks looked at. Answers whether there are any.
    async fn stops_take_in(&self, cluster: &str, new: &[String]) -> Result<bool, AwsError> {
        if new.is_empty() {
            return Ok(false);
        }
        let mut found = false;
        for task in self.aws.tasks_describe(cluster, new).await? {
            let Some((id, _)) = self.names.deployment_of(&task.family) else { continue };
            if let Some(service) = self.state().services.get_mut(&id) {
                service.is_busy = true;
                service.task_ended(&self.names, task, self.config.settle);
                found = true;
            }
        }
        Ok(found)
    }

    /// How many services each cluster has that we were told of.
    pub(super) fn services_by_cluster(&self) -> BTreeMap<String, usize> {
        let mut clusters = BTreeMap::new();
        for spec in self.state().services.values().filter_map(|service| service.spec.as_ref()) {
            *clusters.entry(self.names.environment(&spec.environment)).or_default() += 1;
        }
        clusters
    }
}

/// Whether it is worth the calls: never more of them than the look at all services takes, which sees the same later.
fn worth(pages: usize, services: usize) -> bool {
    pages <= services.div_ceil(SERVICES_A_CALL)
}

/// The pause after a look of so many calls: as it is configured, or longer where more than half of the calls that may be made
/// would be made for it.
pub(super) fn pause(configured: Duration, calls: usize, per_second: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, reason = "some thousand calls")]
    let fair = Duration::try_from_secs_f64(2.0 * calls as f64 / per_second).unwrap_or(Duration::MAX);
    configured.max(fair)
}

/// How many calls the look at all services takes.
pub(super) fn calls(clusters: &BTreeMap<String, usize>) -> usize {
    clusters.values().map(|services| services.div_ceil(SERVICES_A_CALL)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_never_takes_more_than_half_of_the_calls() {
        let configured = Duration::from_secs(20);
        assert_eq!(pause(configured, 100, 10.0), configured);
        assert_eq!(pause(configured, 10_000, 10.0), Duration::from_secs(2000));
    }

    #[test]
    fn a_cluster_with_more_ended_tasks_than_services_is_left_to_the_other_look() {
        assert!(worth(1, 1) && worth(5, 50));
        assert!(!worth(2, 10));
    }

    #[test]
    fn each_cluster_has_calls_of_its_own() {
        let clusters = [("a".to_owned(), 11), ("b".to_owned(), 1)].into();
        assert_eq!(calls(&clusters), 3);
    }
}
