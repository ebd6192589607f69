//! The policy of a repository that comes to lie in ECR: made there, adopted, or moved there.
//!
//! One that was there before may have a policy of that time, and whoever was taken back since is named in it: no look has met the
//! repository while its name led elsewhere. So it is read, also where nothing is granted any more. And what is asked for while
//! it comes may be through before its policy is written, by a look that has found none: so what is wanted is read again after
//! each write.

use std::collections::BTreeSet;

use layer0_domain::model::grant::{Duty, Grant, GrantPlace, KeptGrant, KeptStrategy};
use layer0_domain::model::image::RepositoryName;
#[cfg(any(feature = "aws", test))]
use layer0_registry::Origin;

use super::document::Which;
use super::keeper::{Keeper, LookError};
#[cfg(any(feature = "aws", test))]
use super::keeper::{Look, Mending};
#[cfg(any(feature = "aws", test))]
use super::pass::{BEGINNINGS, CHANGING, Pass};
use super::preview::PreviewChange;

/// What a repository that comes is to say.
struct Wanted {
    /// The grants that are about it.
    grants: BTreeSet<Grant>,
    /// How its policy is judged: it says nothing of ours where grants stand elsewhere.
    strategy: KeptStrategy,
}

impl Wanted {
    #[cfg(any(feature = "aws", test))]
    fn duty(&self) -> Duty {
        self.strategy.duty(GrantPlace::Repositories)
    }
}

impl Keeper {
    /// What a repository is to say, and all grants, which that was found among.
    async fn wanted_of(&self, name: &RepositoryName) -> Result<(Vec<KeptGrant>, Wanted), LookError> {
        let all = self.access.grant_list().await?;
        let is_about = |kept: &&KeptGrant| kept.is_wanted() && kept.grant.scope.covers(name);
        let grants = all.iter().filter(is_about).map(|kept| kept.grant.clone()).collect();
        let strategy = self.strategies.read().await?.strategy;
        let strategy = match strategy.duty(GrantPlace::Repositories) {
            Duty::Hold | Duty::Clear => strategy,
            // A change that is through has not met it.
            Duty::Leave => strategy.clearing_others(),
        };
        Ok((all, Wanted { grants, strategy }))
    }

    /// Brings the policy of a repository that has come in line with what is granted.
    ///
    /// # Errors
    /// Why it is not, in words: the grants can't be read, or ECR refuses.
    #[cfg(any(feature = "aws", test))]
    pub(crate) async fn repository_came(&self, name: &RepositoryName, origin: Origin) -> Result<(), String> {
        let words = |why: LookError| crate::error::chain(&why);
        let (mut all, mut wanted) = self.wanted_of(name).await.map_err(words)?;
        let is_held = wanted.duty() == Duty::Hold && !wanted.grants.is_empty();
        // A new one has no policy. Where it is to get none ECR is not asked, and no right to it is needed.
        if origin == Origin::Made && !is_held {
            return Ok(());
        }
        for _ in 0..BEGINNINGS {
            let strategy = wanted.strategy.clone();
            Pass::new(self, Look::All(Mending::Mend), strategy, &all, Vec::new()).alone(name).await?;
            let before = wanted;
            (all, wanted) = self.wanted_of(name).await.map_err(words)?;
            if (&wanted.grants, wanted.duty()) == (&before.grants, before.duty()) {
                return Ok(());
            }
        }
        Err(CHANGING.to_owned())
    }

    /// What would become of the policy of a repository that was there before, if it came now.
    pub(crate) async fn preview_coming(&self, name: &RepositoryName) -> Result<PreviewChange, LookError> {
        let (_, Wanted { grants, strategy }) = self.wanted_of(name).await?;
        Ok(self.preview_document(Which::Repository(name), &strategy, &grants).await.change)
    }
}
