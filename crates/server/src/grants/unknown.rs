//! Which account it is that AWS does not know.
//!
//! ECR says that a policy names somebody who does not exist, and not whom. So those whom the policy does not name yet are
//! tried in halves, each over what was taken before: nobody who may pull is shut out for a moment, and each half that is taken
//! is a step on the way. Whoever is found out is written into no policy from then on.

use std::collections::BTreeMap;
use std::sync::Arc;

use layer0_domain::model::grant::{AccountId, Grant, Grantee, Grants};
use layer0_domain::model::image::RepositoryName;
use layer0_domain::plan::grants::{Change, holds, repository_policy};
use layer0_domain::port::repository_policies::{PolicyError, RepositoryPolicies as _};

use super::pass::{Pass, words};

/// The grants of one account.
type Of = (AccountId, Vec<Grant>);

/// A policy that grows by whom AWS knows.
struct Trial<'a> {
    pass: &'a Pass<'a>,
    name: &'a RepositoryName,
    /// Those whom it names.
    base: Grants,
    present: Option<String>,
}

impl Pass<'_> {
    /// Finds out whom of those who are wanted on a repository AWS does not know, and lets nobody want them any more. `present`
    /// is the policy that is there.
    pub(super) async fn unknown(
        &self,
        name: &RepositoryName,
        wanted: &Arc<Grants>,
        present: Option<&str>,
    ) -> Result<(), String> {
        let _turn = self.finding.lock().await;
        if !Arc::ptr_eq(wanted, &self.wanted()) {
            // Somebody else has found one meanwhile.
            return Ok(());
        }
        let covering = wanted.iter().filter(|grant| grant.scope.covers(name));
        let (base, new): (Grants, Grants) =
            covering.cloned().partition(|grant| holds(&self.keeper.signature, grant, present));
        let mut suspects: BTreeMap<AccountId, Vec<Grant>> = BTreeMap::new();
        let mut trial = Trial { pass: self, name, base, present: present.map(str::to_owned) };
        for grant in new {
            match &grant.grantee {
                Grantee::Account(id) => suspects.entry(id.clone()).or_default().push(grant),
                // Only accounts are looked up; these are conditions.
                Grantee::Organization(_) | Grantee::Unit { .. } => drop(trial.base.insert(grant)),
            }
        }
        // An account that was closed since it was written: then whoever is new has nothing to do with it.
        if let Some(present) = present {
            match self.keeper.policies.policy_write(name, present).await {
                Ok(()) => {}
                Err(PolicyError::UnknownPrincipal) => {
                    return Err("AWS does not know an account that its policy names already".to_owned());
                }
                Err(why) => return Err(words(&why)),
            }
        }
        let suspects: Vec<Of> = suspects.into_iter().collect();
        let found = match &suspects[..] {
            [only] => vec![only.0.clone()],
            suspects => trial.find(suspects).await?,
        };
        for account in found {
            let why = format!("AWS knows no account {account}; no policy names it");
            self.refuse(account.as_str(), &why).await.map_err(|why| crate::error::chain(&why))?;
        }
        Ok(())
    }
}

impl Trial<'_> {
    /// Those of a group whom AWS does not know; the others are in the policy then.
    async fn find(&mut self, group: &[Of]) -> Result<Vec<AccountId>, String> {
        // From the left to the right; a group that is taken is done with, another one is halved.
        let mut left: Vec<&[Of]> = vec![group];
        let mut found = Vec::new();
        while let Some(group) = left.pop() {
            if group.is_empty() || self.takes(group).await? {
                continue;
            }
            match group {
                [one] => found.push(one.0.clone()),
                group => {
                    let (first, second) = group.split_at(group.len() / 2);
                    left.extend([second, first]);
                }
            }
        }
        Ok(found)
    }

    /// Whether AWS takes a policy that names these too.
    async fn takes(&mut self, group: &[Of]) -> Result<bool, String> {
        let keeper = self.pass.keeper;
        let mut grants = self.base.clone();
        grants.extend(group.iter().flat_map(|(_, grants)| grants.iter().cloned()));
        let change = repository_policy(&keeper.signature, self.name, &grants, self.present.as_deref());
        if let Change::Write(text) = change.map_err(|why| why.to_string())? {
            match keeper.policies.policy_write(self.name, &text).await {
                Ok(()) => self.present = Some(text),
                Err(PolicyError::UnknownPrincipal) => return Ok(false),
                Err(why) => return Err(words(&why)),
            }
        }
        self.base = grants;
        Ok(true)
    }
}
