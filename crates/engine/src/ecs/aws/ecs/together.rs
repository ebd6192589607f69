//! Looks at single services that are asked for at about the same time: one call for ten of a cluster.
//!
//! A server that starts is told of every service one by one, and so is one at which many are changed at once. Whoever asks first
//! for a service of a cluster waits a moment for others, asks for all of them, and hands the answers out. When it is dropped
//! in the middle of that, those who wait ask for themselves.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::super::{Aws, AwsError};
use super::EcsService;

/// How long others are waited for: far less than a call takes.
const MOMENT: Duration = Duration::from_millis(5);

type Answer = Result<Option<EcsService>, AwsError>;

/// Those who wait for a service, by its name.
type Waiting = HashMap<String, Vec<oneshot::Sender<Answer>>>;

/// Who waits, by cluster.
#[derive(Debug, Default)]
pub(in crate::ecs::aws) struct Together {
    clusters: Mutex<HashMap<String, Waiting>>,
}

impl Together {
    fn clusters(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Joins those who wait; answers whether this is the first of them.
    fn join(&self, cluster: &str, name: &str) -> (bool, oneshot::Receiver<Answer>) {
        let (sender, receiver) = oneshot::channel();
        let mut clusters = self.clusters();
        let first = !clusters.contains_key(cluster);
        clusters.entry(cluster.to_owned()).or_default().entry(name.to_owned()).or_default().push(sender);
        (first, receiver)
    }

    fn take(&self, cluster: &str) -> Waiting {
        self.clusters().remove(cluster).unwrap_or_default()
    }
}

/// The first of a cluster. Dropped before its time, it lets the others go.
struct First<'a> {
    together: &'a Together,
    cluster: &'a str,
}

impl First<'_> {
    /// All who wait by now; whoever comes afterwards is the next first.
    fn take(self) -> Waiting {
        let waiting = self.together.take(self.cluster);
        // There is nobody of its own left to let go, only perhaps of the next one.
        std::mem::forget(self);
        waiting
    }
}

impl Drop for First<'_> {
    fn drop(&mut self) {
        drop(self.together.take(self.cluster));
    }
}

impl Aws {
    /// One service by name; `None` when it, or its cluster, isn't there.
    pub(in crate::ecs) async fn service_describe(&self, cluster: &str, name: &str) -> Answer {
        let (first, answer) = self.together.join(cluster, name);
        if first {
            let first = First { together: &self.together, cluster };
            tokio::time::sleep(MOMENT).await;
            let waiting = first.take();
            let names: Vec<String> = waiting.keys().cloned().collect();
            match self.services_describe(cluster, &names).await {
                Ok(found) => {
                    let mut found: HashMap<String, EcsService> =
                        found.into_iter().map(|service| (service.name.clone(), service)).collect();
                    for (name, waiting) in waiting {
                        let service = found.remove(&name);
                        hand_out(waiting, || Ok(service.clone()));
                    }
                }
                Err(error) => {
                    for waiting in waiting.into_values() {
                        hand_out(waiting, || Err(error.again()));
                    }
                }
            }
        }
        match answer.await {
            Ok(answer) => answer,
            // Whoever asked was dropped.
            Err(_) => Ok(self.services_describe(cluster, &[name.to_owned()]).await?.into_iter().next()),
        }
    }
}

fn hand_out(waiting: Vec<oneshot::Sender<Answer>>, answer: impl Fn() -> Answer) {
    for waiting in waiting {
        // One who does not wait any more needs no answer.
        let _ = waiting.send(answer());
    }
}
