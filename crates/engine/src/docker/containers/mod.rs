//! Copies as containers: making, starting, stopping and removing them.
//!
//! A definition of one container becomes one container in the environment's network. Several containers share one
//! network namespace, as `awsvpc` has it: that of a [pause container](super::pause), which holds the address and
//! outlives restarts of none of them.

pub(super) mod body;
pub(super) mod copy;
pub(super) mod end;
pub(super) mod start;
pub(super) mod warnings;

use std::sync::Arc;

use layer0_domain::model::failure::{Failure, FailureClass};
use layer0_domain::model::id::{DeploymentId, EnvironmentId};
use layer0_domain::model::name::Name;
use layer0_domain::model::task_definition::TaskDefinition;
use tokio::task::JoinHandle;

use super::client::{DockerError, chain};
use super::labels::OwnerKind;

/// What a copy is to be.
#[derive(Debug, Clone)]
pub(super) struct CopySpec {
    pub(super) kind: OwnerKind,
    /// The service's or task's id.
    pub(super) entity: String,
    /// Its name; the copy is found under it in its networks.
    pub(super) name: Name,
    pub(super) environment: EnvironmentId,
    pub(super) deployment: Option<DeploymentId>,
    pub(super) number: u32,
    pub(super) definition: Arc<TaskDefinition>,
    /// Held while Docker is making something for the copy: see [`whole`].
    pub(super) making: Making,
}

/// Whether Docker is making something for a copy.
pub(super) type Making = Arc<tokio::sync::Mutex<()>>;

/// Makes something to the end even when the job that wants it is given up: Docker would finish it anyhow, and whoever
/// takes the copy away must know that nothing of it comes after. He waits for `making` to be free:
/// see [`Starting::over`].
///
/// `making` is held before the work is sent off: a job that is given up in between must not leave work behind that has
/// not begun and that nobody waits for.
pub(super) async fn whole<T: Send + 'static>(
    making: &Making,
    work: impl Future<Output = Result<T, DockerError>> + Send + 'static,
) -> Result<T, DockerError> {
    let held = Arc::clone(making).lock_owned().await;
    let work = tokio::spawn(async move {
        let _held = held;
        work.await
    });
    work.await.unwrap_or_else(|_| Err(DockerError::Down("the engine is being stopped".to_owned())))
}

/// Why a copy did not start.
#[derive(Debug, Clone)]
pub(super) enum StartError {
    /// It is nobody's fault here; try again when what is waited for may have come: words after `waiting for`.
    Waiting(String),
    /// The start failed.
    Failed(Box<Failure>),
}

impl StartError {
    pub(super) fn waiting(what: impl Into<String>) -> Self {
        StartError::Waiting(what.into())
    }

    pub(super) fn failed(failure: Failure) -> Self {
        StartError::Failed(Box::new(failure))
    }

    /// An error of Docker that has no class of its own at this place.
    pub(super) fn docker(error: DockerError) -> Self {
        match error {
            DockerError::Down(why) => StartError::Waiting(format!("the Docker engine: {why}")),
            other => StartError::failed(Failure::new(FailureClass::CannotStart, chain(&other))),
        }
    }
}

/// A start that was sent off, for whoever may have to give it up.
pub(super) struct Starting {
    work: JoinHandle<()>,
    making: Making,
}

impl Starting {
    pub(super) fn new(work: JoinHandle<()>, making: Making) -> Self {
        Self { work, making }
    }

    /// Asks for its end. On another thread it still goes on to its next wait: see [`over`](Self::over).
    pub(super) fn give_up(&self) {
        self.work.abort();
    }

    /// Returns when it has ended and Docker makes nothing more for it: what is there then is all that ever comes.
    pub(super) async fn over(self) {
        // Whether it came to its own end or was cut off makes no difference here.
        let _ = self.work.await;
        drop(self.making.lock().await);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn nothing_is_made_after_a_given_up_job_was_waited_for() {
        let (making, made) = (Making::default(), Arc::new(AtomicBool::new(false)));
        let note = Arc::clone(&made);
        let work = async move {
            note.store(true, Ordering::Relaxed);
            Ok(())
        };
        {
            let mut job = std::pin::pin!(whole(&making, work));
            assert!(futures_util::poll!(&mut job).is_pending());
            assert!(!made.load(Ordering::Relaxed), "the work has begun already, so this proves nothing");
        }
        drop(making.lock().await);
        let waited_for = made.load(Ordering::Relaxed);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        assert_eq!(made.load(Ordering::Relaxed), waited_for, "it was made after the wait was over");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_start_that_is_given_up_in_the_middle_of_its_work_is_awaited() {
        let (making, made) = (Making::default(), Arc::new(AtomicBool::new(false)));
        let (inside, note) = (Making::clone(&making), Arc::clone(&made));
        let (told, at_work) = tokio::sync::oneshot::channel();
        let (go_on, blocked) = std::sync::mpsc::channel();
        let work = tokio::spawn(async move {
            told.send(()).expect("the test waits");
            // As on a lock that another thread holds.
            blocked.recv().expect("the test goes on");
            let making = async move {
                note.store(true, Ordering::Relaxed);
                Ok(())
            };
            drop(whole(&inside, making).await);
        });
        at_work.await.expect("it is being polled");
        let starting = Starting::new(work, making);
        starting.give_up();
        let mut over = std::pin::pin!(starting.over());
        assert!(futures_util::poll!(&mut over).is_pending(), "it is still at work");
        go_on.send(()).expect("it waits");
        over.await;
        assert!(made.load(Ordering::Relaxed), "what it had sent off is still to come");
    }
}
