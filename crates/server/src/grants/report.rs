//! What a look means for the grants that it is for: written down as it goes, and at its end.

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use layer0_domain::model::grant::{GrantReport, GrantState, GrantWish, KeptGrant};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::model::time::Generation;
use layer0_domain::port::access_store::AccessStoreError;
use layer0_domain::port::repository_policies::PolicyError;
use tokio::time::Instant;
use tracing::info;

use super::keeper::Look;
use super::pass::{Pass, Row, words};

/// How often whoever watches is told how far it is.
pub(super) const TELL: Duration = Duration::from_secs(2);

impl Pass<'_> {
    pub(super) fn note(&self, name: &RepositoryName, take_down: impl Fn(&KeptGrant, &mut GrantReport)) {
        for row in self.rows().iter_mut().filter(|row| row.kept.grant.scope.covers(name)) {
            take_down(&row.kept, &mut row.report);
        }
    }

    /// Tells whoever watches how far it is, from time to time.
    pub(super) async fn tell(&self) {
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
            let mut report = GrantReport { looked: Some(now), ..row.report.clone() };
            if report.wrong_count() == 0 {
                report.trouble = self.registry_trouble(&row.kept);
            }
            let is_done = report.wrong_count() == 0 && report.trouble.is_none();
            let state = if is_done { GrantState::Settled } else { GrantState::Incomplete };
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

    /// Why a grant is not as wished in the registry's policy, where that counts, though no repository shows it: there may be
    /// none.
    fn registry_trouble(&self, kept: &KeptGrant) -> Option<String> {
        let registry = self.registry.as_ref().filter(|end| !end.is_right())?;
        let counts = kept.wish == GrantWish::TakeBack || self.hangs_on_registry();
        (counts && !self.is_as_wished(kept, None)).then(|| registry.trouble())
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
        // A look that is for no grant in particular goes on.
        self.idle.store(!rows.is_empty() && rows.iter().all(|row| row.passed_over), Ordering::Relaxed);
        drop(rows);
        self.keeper.nudge.nudge();
        Ok(())
    }
}
