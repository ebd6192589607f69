//! The policies of repositories and of their registry, in memory: what `l0 server --engine fake --account-grants on` keeps in place of ECR's.
//!
//! It takes what ECR takes and refuses what ECR refuses: documents without a statement, with a `Resource` where none belongs
//! or without one where it does, of more than 10,240 characters, and such as name an account that nobody has. How long calls take, how many writes a second are let
//! through and what goes wrong is data.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use layer0_domain::model::grant::AccountId;
use layer0_domain::model::image::RepositoryName;
use layer0_domain::port::registry_policy::PolicyScope;
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPage, RepositoryPolicies};
use tokio::time::Instant;

mod check;
mod registry;

use check::{Of, check};

/// The methods of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyOp {
    /// `repository_page`
    Page,
    /// `policy_read`
    Read,
    /// `policy_write`
    Write,
    /// `policy_delete`
    Delete,
    /// `registry_policy_scope`
    RegistryScope,
    /// `registry_policy_read`
    RegistryRead,
    /// `registry_policy_write`
    RegistryWrite,
    /// `registry_policy_delete`
    RegistryDelete,
}

/// What a document became: of a repository, or of the registry (`None`); and its text, `None` when it went.
pub type PolicyWrite = (Option<RepositoryName>, Option<String>);

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyFault {
    /// It is asked to slow down; nothing is done.
    Throttled,
    /// The server may not; nothing is done.
    Denied,
    /// No answer; nothing is done.
    Unavailable,
    /// It is done, but the answer is lost on the way.
    AnswerLost,
    /// The call never returns; nothing is done.
    Hang,
}

/// How quick the registry is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PolicyPace {
    /// How long a call takes.
    pub latency: Duration,
    /// How many writes and deletes a second are let through; a second's worth at once after a quiet time. `None` for all.
    pub writes_per_second: Option<f64>,
    /// How many repositories a page has.
    pub page: usize,
}

impl Default for PolicyPace {
    fn default() -> Self {
        Self { latency: Duration::ZERO, writes_per_second: None, page: 1000 }
    }
}

/// A registry's policies. Cheap to clone; clones share everything, and a restart of the server does not touch them.
#[derive(Clone, Default)]
pub struct FakePolicies {
    pace: PolicyPace,
    world: Arc<Mutex<World>>,
}

#[derive(Default)]
struct World {
    repositories: BTreeMap<RepositoryName, Option<String>>,
    registry: Option<String>,
    /// Whether the registry's policy is asked about replication only.
    is_narrow: bool,
    /// What was written, once somebody wants to know.
    history: Option<Vec<PolicyWrite>>,
    unknown: BTreeSet<AccountId>,
    faults: BTreeMap<PolicyOp, VecDeque<PolicyFault>>,
    nth: BTreeMap<(PolicyOp, u64), PolicyFault>,
    calls: BTreeMap<PolicyOp, u64>,
    throttled: u64,
    /// How many calls go on, and how many did at most.
    going_on: u64,
    most_at_once: u64,
    /// What of the second's worth is left, and when that was so.
    bucket: Option<(f64, Instant)>,
}

impl FakePolicies {
    /// One that has no repository and answers at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One to order.
    #[must_use]
    pub fn with_pace(pace: PolicyPace) -> Self {
        Self { pace, world: Arc::default() }
    }

    /// One to try things with: three repositories, and account `999999999999` which AWS does not know.
    #[must_use]
    pub fn demo() -> Self {
        let this = Self::new();
        for name in ["team/app", "team/web", "other/app"] {
            this.repository_make(&RepositoryName::parse(name).expect("a legal name"));
        }
        this.account_forget(&AccountId::parse("999999999999").expect("twelve digits"));
        this
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a repository without a policy; one that is there stays as it is.
    pub fn repository_make(&self, name: &RepositoryName) {
        self.world().repositories.entry(name.clone()).or_default();
    }

    /// Takes a repository away.
    pub fn repository_remove(&self, name: &RepositoryName) {
        self.world().repositories.remove(name);
    }

    /// From now on AWS knows no such account; what names it already stays.
    pub fn account_forget(&self, account: &AccountId) {
        self.world().unknown.insert(account.clone());
    }

    /// The policy that a repository has.
    #[must_use]
    pub fn policy(&self, name: &RepositoryName) -> Option<String> {
        self.world().repositories.get(name).cloned().flatten()
    }

    /// Edits a policy behind everybody's back, in a repository that is there.
    pub fn policy_edit(&self, name: &RepositoryName, text: Option<&str>) {
        if let Some(policy) = self.world().repositories.get_mut(name) {
            *policy = text.map(str::to_owned);
        }
    }

    /// The policy that the registry has.
    #[must_use]
    pub fn registry_policy(&self) -> Option<String> {
        self.world().registry.clone()
    }

    /// Edits the registry's policy behind everybody's back.
    pub fn registry_policy_edit(&self, text: Option<&str>) {
        self.world().registry = text.map(str::to_owned);
    }

    /// Says what the registry's policy is asked about: every request, when nothing else was said.
    pub fn registry_policy_scope_set(&self, scope: PolicyScope) {
        self.world().is_narrow = scope == PolicyScope::Narrow;
    }

    /// From now on takes down what is written.
    pub fn history_keep(&self) {
        self.world().history = Some(Vec::new());
    }

    /// What was written since, the oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<PolicyWrite> {
        self.world().history.clone().unwrap_or_default()
    }

    /// Lets the next call of this kind go wrong; more of them go wrong one after the other.
    pub fn fail_next(&self, op: PolicyOp, fault: PolicyFault) {
        self.world().faults.entry(op).or_default().push_back(fault);
    }

    /// Lets a call of this kind go wrong after `n` others that do not.
    pub fn fail_after(&self, op: PolicyOp, n: u64, fault: PolicyFault) {
        let mut world = self.world();
        let at = world.calls.get(&op).copied().unwrap_or(0).saturating_add(n);
        world.nth.insert((op, at), fault);
    }

    /// Forgets the faults that have not come yet.
    pub fn faults_clear(&self) {
        let mut world = self.world();
        world.faults.clear();
        world.nth.clear();
    }

    /// How often a method was called.
    #[must_use]
    pub fn calls(&self, op: PolicyOp) -> u64 {
        self.world().calls.get(&op).copied().unwrap_or(0)
    }

    /// How many calls were asked to slow down because there were too many.
    #[must_use]
    pub fn throttled(&self) -> u64 {
        self.world().throttled
    }

    /// How many calls went on at the same time, at most.
    #[must_use]
    pub fn most_at_once(&self) -> u64 {
        self.world().most_at_once
    }

    /// Counts a call, lets it take its time, and does it unless something goes wrong.
    async fn call<T>(
        &self,
        op: PolicyOp,
        work: impl FnOnce(&mut World) -> Result<T, PolicyError> + Send,
    ) -> Result<T, PolicyError> {
        let fault = {
            let mut world = self.world();
            let calls = world.calls.entry(op).or_default();
            let at = *calls;
            *calls += 1;
            world.going_on += 1;
            world.most_at_once = world.most_at_once.max(world.going_on);
            world.nth.remove(&(op, at)).or_else(|| world.faults.get_mut(&op)?.pop_front())
        };
        let _going_on = GoingOn(&self.world);
        if !self.pace.latency.is_zero() {
            tokio::time::sleep(self.pace.latency).await;
        }
        let lost = || PolicyError::Unavailable { source: "it was told not to answer".into() };
        match fault {
            None => self.within_rate(op).and_then(|()| work(&mut self.world())),
            Some(PolicyFault::Throttled) => Err(PolicyError::Throttled { after: Duration::from_millis(100) }),
            Some(PolicyFault::Denied) => {
                Err(PolicyError::Denied { why: "the server's role may not do this".to_owned() })
            }
            Some(PolicyFault::Unavailable) => Err(lost()),
            Some(PolicyFault::AnswerLost) => {
                work(&mut self.world())?;
                Err(lost())
            }
            Some(PolicyFault::Hang) => std::future::pending().await,
        }
    }

    fn within_rate(&self, op: PolicyOp) -> Result<(), PolicyError> {
        let Some(rate) = self.pace.writes_per_second.filter(|_| op.writes()) else { return Ok(()) };
        let (mut world, now) = (self.world(), Instant::now());
        let (left, since) = world.bucket.unwrap_or((rate, now));
        let left = (left + now.saturating_duration_since(since).as_secs_f64() * rate).min(rate);
        if left >= 1.0 {
            world.bucket = Some((left - 1.0, now));
            return Ok(());
        }
        world.bucket = Some((left, now));
        world.throttled += 1;
        Err(PolicyError::Throttled { after: Duration::from_secs_f64((1.0 - left) / rate) })
    }
}

/// One call that goes on, until it returns or nobody waits for it any more.
struct GoingOn<'a>(&'a Mutex<World>);

impl Drop for GoingOn<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).going_on -= 1;
    }
}

impl World {
    fn policy_mut(&mut self, name: &RepositoryName) -> Result<&mut Option<String>, PolicyError> {
        let gone = || PolicyError::NoRepository { repository: name.clone() };
        self.repositories.get_mut(name).ok_or_else(gone)
    }

    fn wrote(&mut self, of: Option<&RepositoryName>, text: Option<&str>) {
        if let Some(history) = &mut self.history {
            history.push((of.cloned(), text.map(str::to_owned)));
        }
    }
}

impl PolicyOp {
    fn writes(self) -> bool {
        match self {
            PolicyOp::Write | PolicyOp::Delete | PolicyOp::RegistryWrite | PolicyOp::RegistryDelete => true,
            PolicyOp::Page | PolicyOp::Read | PolicyOp::RegistryScope | PolicyOp::RegistryRead => false,
        }
    }
}

#[async_trait]
impl RepositoryPolicies for FakePolicies {
    async fn repository_page(&self, next: Option<&str>) -> Result<RepositoryPage, PolicyError> {
        let (most, from) = (self.pace.page.max(1), next.map(str::to_owned));
        self.call(PolicyOp::Page, move |world| {
            let from = match from.as_deref().map(RepositoryName::parse) {
                None => None,
                Some(Ok(from)) => Some(from),
                Some(Err(_)) => return Err(PolicyError::Refused { why: "the page is not known".to_owned() }),
            };
            let behind = world.repositories.keys().filter(|name| from.as_ref().is_none_or(|from| *name > from));
            let names: Vec<RepositoryName> = behind.take(most + 1).cloned().collect();
            let next = (names.len() > most).then(|| names[most - 1].to_string());
            Ok(RepositoryPage { names: names.into_iter().take(most).collect(), next })
        })
        .await
    }

    async fn policy_read(&self, repository: &RepositoryName) -> Result<Option<String>, PolicyError> {
        self.call(PolicyOp::Read, |world| world.policy_mut(repository).map(|policy| policy.clone())).await
    }

    async fn policy_write(&self, repository: &RepositoryName, text: &str) -> Result<(), PolicyError> {
        self.call(PolicyOp::Write, |world| {
            world.policy_mut(repository)?;
            check(Of::Repository, &world.unknown, text)?;
            *world.policy_mut(repository)? = Some(text.to_owned());
            world.wrote(Some(repository), Some(text));
            Ok(())
        })
        .await
    }

    async fn policy_delete(&self, repository: &RepositoryName) -> Result<(), PolicyError> {
        self.call(PolicyOp::Delete, |world| {
            *world.policy_mut(repository)? = None;
            world.wrote(Some(repository), None);
            Ok(())
        })
        .await
    }
}
