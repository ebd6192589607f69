//! One look at the repositories: what is wanted, what each came to, and what it means for the grants.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use layer0_domain::model::grant::{GrantReport, GrantState, GrantWish, Grants, KeptGrant};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Generation;
use layer0_domain::plan::grants::{Change, holds, repository_policy};
use layer0_domain::port::access_store::AccessStoreError;
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPolicies as _};
use tokio::time::Instant;
use tracing::{info, warn};

use super::keeper::{Keeper, Look, Mending};

/// How often whoever watches is told how far it is.
const TELL: Duration = Duration::from_secs(2);

/// How often a repository is begun anew in one look: once for each account that turns out to be unknown, and some more.
const BEGINNINGS: u32 = 50;

/// Why a look at a repository is given up that was begun too often.
const CHANGING: &str = "what is wanted of it kept changing";

/// One look that goes on.
pub(super) struct Pass<'a> {
    pub(super) keeper: &'a Keeper,
    look: Look,
    /// What the policies are to say. Another one when an account turns out to be unknown.
    pub(super) wanted: RwLock<Arc<Grants>>,
    /// The grants whose report this look is.
    rows: Mutex<Vec<Row>>,
    /// One at a time finds out which account is unknown.
    pub(super) finding: tokio::sync::Mutex<()>,
    /// Whether no grant is left that the look is for.
    idle: AtomicBool,
    /// When whoever watches was told last; one at a time tells.
    told: tokio::sync::Mutex<Instant>,
}

struct Row {
    kept: KeptGrant,
    report: GrantReport,
    /// Somebody changed the grant, or it was refused: what is found is of no use to it.
    passed_over: bool,
}

/// What a repository came to.
enum End {
    /// Its policy says what it should.
    Right { changed: bool },
    /// It does not, and why; with the policy that it has.
    Wrong { why: String, present: Option<String> },
    /// It isn't there.
    Gone,
    /// What is wanted has changed: once more.
    Again,
}

impl<'a> Pass<'a> {
    pub(super) fn new(keeper: &'a Keeper, look: Look, all: &[KeptGrant], concerned: Vec<KeptGrant>) -> Self {
        let wanted = all.iter().filter(|kept| kept.is_wanted()).map(|kept| kept.grant.clone()).collect();
        let row = |kept: KeptGrant| {
            let passed_over = matches!(kept.state, GrantState::Refused(_));
            Row { kept, report: GrantReport::default(), passed_over }
        };
        Self {
            keeper,
            look,
            wanted: RwLock::new(Arc::new(wanted)),
            rows: Mutex::new(concerned.into_iter().map(row).collect()),
            finding: tokio::sync::Mutex::default(),
            idle: AtomicBool::new(false),
            told: tokio::sync::Mutex::new(Instant::now()),
        }
    }

    pub(super) fn wanted(&self) -> Arc<Grants> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn rows(&self) -> MutexGuard<'_, Vec<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what is found is put right.
    fn mends(&self) -> bool {
        self.look != Look::All(Mending::ReportOnly)
    }

    /// Looks at one repository, puts it right, and takes down what came of it.
    pub(super) async fn one(&self, name: RepositoryName) {
        if self.idle.load(Ordering::Relaxed) {
            return;
        }
        match self.steps(&name).await {
            End::Right { changed } => {
                if changed && self.look == Look::All(Mending::Mend) {
                    info!(repository = %name, "the policy of {name} was not as the account grants say, and was mended");
                }
                self.note(&name, |_, report| {
                    report.note_right();
                    report.changed += u64::from(changed);
                });
            }
            End::Wrong { why, present } => {
                warn!(repository = %name, error = why, "account grants are not true on {name}");
                let signature = &self.keeper.signature;
                self.note(&name, |kept, report| {
                    let is_true = holds(signature, &kept.grant, present.as_deref());
                    if is_true == (kept.wish == GrantWish::Hold) {
                        report.note_right();
                    } else {
                        report.note_wrong(&name, &why);
                    }
                });
            }
            End::Gone => {}
            End::Again => self.note(&name, |_, report| report.note_wrong(&name, CHANGING)),
        }
        self.tell().await;
    }

    /// Puts one repository right that is nobody's to report.
    ///
    /// # Errors
    /// Why its policy does not say what it should, in words.
    #[cfg(feature = "aws")]
    pub(super) async fn alone(&self, name: &RepositoryName) -> Result<(), String> {
        match self.steps(name).await {
            End::Right { .. } | End::Gone => Ok(()),
            End::Wrong { why, .. } => Err(why),
            End::Again => Err(CHANGING.to_owned()),
        }
    }

    /// Looks at one repository, and begins anew as often as what is wanted of it changes.
    async fn steps(&self, name: &RepositoryName) -> End {
        for _ in 0..BEGINNINGS {
            match self.step(name).await {
                End::Again => {}
                end => return end,
            }
        }
        End::Again
    }

    fn note(&self, name: &RepositoryName, take_down: impl Fn(&KeptGrant, &mut GrantReport)) {
        for row in self.rows().iter_mut().filter(|row| row.kept.grant.scope.covers(name)) {
            take_down(&row.kept, &mut row.report);
        }
    }

    async fn step(&self, name: &RepositoryName) -> End {
        let keeper = self.keeper;
        let wanted = self.wanted();
        let present = match keeper.policies.policy_read(name).await {
            Ok(present) => present,
            Err(PolicyError::NoRepository { .. }) => return End::Gone,
            Err(why) => return End::Wrong { why: words(&why), present: None },
        };
        let change = match repository_policy(&keeper.signature, name, &wanted, present.as_deref()) {
            Ok(change) => change,
            Err(why) => return End::Wrong { why: why.to_string(), present },
        };
        let written = match change {
            Change::Keep => return End::Right { changed: false },
            _ if !self.mends() => {
                let why = "its policy is not as the grants say, and is left so: this instance only reports".to_owned();
                return End::Wrong { why, present };
            }
            Change::Write(text) => keeper.policies.policy_write(name, &text).await,
            Change::Delete => keeper.policies.policy_delete(name).await,
        };
        match written {
            Ok(()) => End::Right { changed: true },
            Err(PolicyError::NoRepository { .. }) => End::Gone,
            Err(PolicyError::UnknownPrincipal) => match self.unknown(name, &wanted, present.as_deref()).await {
                Ok(()) => End::Again,
                Err(why) => End::Wrong { why, present },
            },
            Err(why) => End::Wrong { why: words(&why), present },
        }
    }

    /// Tells whoever watches how far it is, from time to time.
    async fn tell(&self) {
        let Ok(mut told) = self.told.try_lock() else { return };
        if self.look != Look::Asked || told.elapsed() < TELL {
            return;
        }
        *told = Instant::now();
        let rows: Vec<KeptGrant> = self.current(|row| KeptGrant { report: row.report.clone(), ..row.kept.clone() });
        for row in rows {
            if let Err(why) = self.put(row).await {
                tracing::debug!(error = %why, "the progress of an account grant could not be written");
            }
        }
    }

    /// Something of each row that still counts.
    fn current<T>(&self, of: impl Fn(&Row) -> T) -> Vec<T> {
        self.rows().iter().filter(|row| !row.passed_over).map(of).collect()
    }

    /// Writes a grant over the one that this look has read. One that somebody changed meanwhile stays as it is.
    async fn put(&self, kept: KeptGrant) -> Result<(), AccessStoreError> {
        let answer = self.keeper.access.grant_put(&kept, Some(kept.generation)).await?;
        self.written(&kept, answer);
        self.keeper.nudge.nudge();
        Ok(())
    }

    fn written(&self, kept: &KeptGrant, generation: Option<Generation>) {
        for row in self.rows().iter_mut().filter(|row| row.kept.grant == kept.grant) {
            match generation {
                Some(generation) => row.kept.generation = generation,
                None => row.passed_over = true,
            }
        }
    }

    /// The end of a look that met every repository.
    pub(super) async fn finish(&self) -> Result<(), AccessStoreError> {
        let now = self.keeper.clock.now();
        let ends = self.current(|row| {
            let report = GrantReport { looked: Some(now), ..row.report.clone() };
            let state = if report.wrong_count() == 0 { GrantState::Settled } else { GrantState::Incomplete };
            KeptGrant { state, report, ..row.kept.clone() }
        });
        for kept in ends {
            let grant = &kept.grant;
            if kept.wish == GrantWish::TakeBack && kept.state == GrantState::Settled {
                info!("the account grant for {grant} was taken back");
                self.keeper.access.grant_delete(grant, kept.generation).await?;
                self.keeper.nudge.nudge();
            } else {
                if self.look == Look::Asked {
                    info!("the account grant for {grant}: {}", kept.progress());
                }
                self.put(kept).await?;
            }
        }
        Ok(())
    }

    /// The end of a look that did not: what was asked for is still to be carried out, and says what it waits for.
    pub(super) async fn give_up(&self, why: &PolicyError) -> Result<(), AccessStoreError> {
        let trouble = Some(format!("the repositories can't be listed: {}", words(why)));
        for kept in self.current(|row| row.kept.clone()) {
            let report = GrantReport { trouble: trouble.clone(), ..kept.report.clone() };
            self.put(KeptGrant { report, ..kept }).await?;
        }
        Ok(())
    }

    /// Takes down that AWS does not know whom a grant is for: no policy is to name them any more.
    pub(super) async fn refuse(&self, account: &str, why: &str) -> Result<(), AccessStoreError> {
        let is_for = |kept: &KeptGrant| kept.grant.grantee.to_string() == account;
        for kept in self.keeper.access.grant_list().await?.into_iter().filter(is_for) {
            let refused = match kept.wish {
                GrantWish::Hold => KeptGrant { state: GrantState::Refused(why.to_owned()), ..kept },
                // It names nobody any more as it is.
                GrantWish::TakeBack => continue,
            };
            self.keeper.access.grant_put(&refused, Some(refused.generation)).await?;
        }
        {
            let mut wanted = self.wanted.write().unwrap_or_else(PoisonError::into_inner);
            let left = wanted.iter().filter(|grant| grant.grantee.to_string() != account).cloned().collect();
            *wanted = Arc::new(left);
        }
        let mut rows = self.rows();
        for row in rows.iter_mut().filter(|row| is_for(&row.kept) && row.kept.wish == GrantWish::Hold) {
            row.passed_over = true;
        }
        self.idle.store(rows.iter().all(|row| row.passed_over), Ordering::Relaxed);
        drop(rows);
        self.keeper.nudge.nudge();
        Ok(())
    }
}

/// An error with what is underneath, for people.
pub(super) fn words(why: &PolicyError) -> String {
    crate::error::chain(why)
}
