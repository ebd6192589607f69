//! Answers about what changes seldom, kept for ten minutes: roles, policies of the account, the network. Who starts ten
//! services one after the other asks for them once; what is the instance's own is asked for anew before it is that old
//! ([`set_up`](super::set_up)). What is looked at of an image is never kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use layer0_domain::port::pull::aws::{PolicyText, SecurityGroup, Simulated};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::ecs::aws::{EndpointSeen, RoleSeen, RouteTable, SubnetSeen};

/// How long an answer is kept.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(600);

/// The answers, by what they are of.
#[derive(Default)]
pub(in crate::ecs) struct KeptFacts {
    /// The account's organization.
    pub(super) organization: Kept<Option<String>>,
    /// Where the account stands in it.
    pub(super) units: Kept<Vec<String>>,
    /// Policies of registries, by region.
    pub(super) registry_policies: Kept<Option<String>>,
    /// Settings of registries, by region and name.
    pub(super) registry_settings: Kept<String>,
    /// Configurations of images, by their digests.
    pub(super) image_configs: Kept<Vec<u8>>,
    /// Roles, by name.
    pub(super) roles: Kept<Option<RoleSeen>>,
    /// What roles may do, each action with each resource.
    pub(super) simulated: Kept<Simulated>,
    /// Simulations, by all that is asked in one call.
    pub(super) simulations: Kept<Vec<Simulated>>,
    /// The policies of roles, by name.
    pub(super) role_policies: Kept<Vec<PolicyText>>,
    /// Managed policies, by ARN.
    pub(super) policies: Kept<PolicyText>,
    /// Subnets, by their ids.
    pub(super) subnets: Kept<Vec<SubnetSeen>>,
    /// Route tables, by VPC.
    pub(super) route_tables: Kept<Vec<RouteTable>>,
    /// Endpoints, by VPC.
    pub(super) endpoints: Kept<Vec<EndpointSeen>>,
    /// Security groups, by their ids.
    pub(super) groups: Kept<Vec<SecurityGroup>>,
}

/// Answers of one kind. Whoever asks while another one does waits for its answer.
pub(super) struct Kept<T> {
    answers: Mutex<HashMap<String, Asked<T>>>,
}

struct Asked<T> {
    at: Instant,
    answer: Arc<OnceCell<T>>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { answers: Mutex::default() }
    }
}

impl<T: Clone> Kept<T> {
    /// The answer for `key` that was asked for at `since` or later, with when that was; else asks `now`. Only answers are
    /// kept: what failed is asked again.
    ///
    /// # Errors
    /// What the asking comes to.
    pub(super) async fn get<E>(
        &self,
        key: String,
        since: Instant,
        now: Instant,
        ask: impl Future<Output = Result<T, E>>,
    ) -> Result<(T, Instant), E> {
        let (at, answer) = self.asked(key, since, now);
        let answer = answer.get_or_try_init(|| ask).await?;
        Ok((answer.clone(), at))
    }

    /// The answer for `key` that is there already and was asked for at `since` or later.
    pub(super) fn before(&self, key: &str, since: Instant, now: Instant) -> Option<(T, Instant)> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = answers.get(key)?;
        let is_good = asked.at >= since && now.saturating_duration_since(asked.at) < KEPT_FOR;
        is_good.then(|| asked.answer.get().cloned()).flatten().map(|answer| (answer, asked.at))
    }

    /// Keeps an answer that was asked for at `at`, unless a newer one is there.
    pub(super) fn put(&self, key: String, at: Instant, answer: T) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, asked| at.saturating_duration_since(asked.at) < KEPT_FOR);
        if answers.get(&key).is_none_or(|asked| asked.at <= at) {
            answers.insert(key, Asked { at, answer: Arc::new(OnceCell::new_with(Some(answer))) });
        }
    }

    fn asked(&self, key: String, since: Instant, now: Instant) -> (Instant, Arc<OnceCell<T>>) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, asked| now.saturating_duration_since(asked.at) < KEPT_FOR);
        let asked = answers.entry(key).or_insert_with(|| Asked::at(now));
        if asked.at < since {
            *asked = Asked::at(now);
        }
        (asked.at, Arc::clone(&asked.answer))
    }
}

impl<T> Asked<T> {
    fn at(now: Instant) -> Self {
        Self { at: now, answer: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_given_again_for_ten_minutes_unless_a_newer_one_is_wanted() {
        let kept = Kept::default();
        let asked = Cell::new(0);
        let get = async |since: Instant, now: Instant| {
            let ask = async {
                asked.set(asked.get() + 1);
                Ok::<_, ()>(asked.get())
            };
            kept.get("key".to_owned(), since, now, ask).await.expect("it is answered")
        };
        let start = Instant::now();
        assert_eq!(get(start, start).await, (1, start));
        let later = start + Duration::from_secs(599);
        assert_eq!(get(start, later).await, (1, start));
        assert_eq!(get(later, later).await, (2, later), "a newer one was wanted");
        assert_eq!(get(start, start).await, (2, later), "the newer one serves all");
        assert_eq!(get(start, later + KEPT_FOR).await.0, 3, "ten minutes are over");
    }

    #[tokio::test]
    async fn what_failed_is_asked_again_and_nothing_of_another_key_is_given() {
        let kept: Kept<u8> = Kept::default();
        let now = Instant::now();
        let failed = async { Err("denied") };
        assert_eq!(kept.get("a".to_owned(), now, now, failed).await, Err("denied"));
        for (key, answer) in [("a", 1), ("b", 2)] {
            let got = kept.get(key.to_owned(), now, now, async { Ok::<_, ()>(answer) }).await;
            assert_eq!(got, Ok((answer, now)));
        }
    }

    #[tokio::test]
    async fn what_is_put_is_there_before_it_is_asked_for_and_an_older_answer_changes_nothing() {
        let kept = Kept::default();
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        assert_eq!(kept.before("a", start, later), None);
        kept.put("a".to_owned(), later, 1);
        kept.put("a".to_owned(), start, 2);
        assert_eq!(kept.before("a", start, later), Some((1, later)));
        assert_eq!(kept.before("a", later + KEPT_FOR, later + KEPT_FOR), None, "a newer one is wanted");
        assert_eq!(kept.before("a", start, later + KEPT_FOR), None, "ten minutes are over");
    }
}
