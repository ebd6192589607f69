//! Whether the store answers, for those who may ask without a name: however often they do, it is looked at once in a while.

use std::time::Duration;

use layer0_domain::port::store::Store;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// For how long an answer holds.
const HOLDS: Duration = Duration::from_secs(3);

/// How long the store may take. A load balancer waits for some seconds before it takes a server for dead.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// What is read: a name that nobody gives a value. One small read.
const READ: &str = "health";

/// When the store was last asked, and whether it answered.
#[derive(Default)]
pub(crate) struct StoreHealth {
    last: Mutex<Option<(Instant, bool)>>,
}

impl StoreHealth {
    /// Whether the store answers, or did a moment ago. Who comes while it is asked waits for the same answer.
    pub(crate) async fn answers(&self, store: &dyn Store) -> bool {
        let mut last = self.last.lock().await;
        if let Some((at, answered)) = *last
            && at.elapsed() < HOLDS
        {
            return answered;
        }
        let answered = matches!(tokio::time::timeout(ANSWER_MAX, store.setting_get(READ)).await, Ok(Ok(_)));
        *last = Some((Instant::now(), answered));
        answered
    }
}

#[cfg(test)]
mod tests {
    use layer0_store::SqliteStore;

    use super::*;

    #[tokio::test]
    async fn a_store_that_does_not_answer_is_said_after_a_moment_at_the_latest() {
        let store = SqliteStore::in_memory();
        let health = StoreHealth::default();
        assert!(health.answers(&store).await);
        store.close().await;
        assert!(health.answers(&store).await, "asked a moment ago");
        let before = Instant::now().checked_sub(HOLDS).expect("the machine runs for longer");
        *health.last.lock().await = Some((before, true));
        assert!(!health.answers(&store).await);
    }
}
