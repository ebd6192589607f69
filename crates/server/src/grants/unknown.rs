//! Which account it is that AWS does not know.
//!
//! ECR says that a policy names somebody who does not exist, and not whom. So those whom the policy does not name yet are
//! tried in halves, each over what was taken before: nobody who may pull is shut out for a moment, and each half that is taken
//! is a step on the way. Whoever is found out is written into no policy from then on.

use std::collections::BTreeMap;
use std::sync::Arc;

use layer0_domain::model::grant::{AccountId, Grant, Grantee, Grants};
use layer0_domain::plan::grants::{Change, Due};
use layer0_domain::port::repository_policies::PolicyError;

use super::document::Which;
use super::pass::{Pass, words};

/// The grants of one account.
type Of = (AccountId, Vec<Grant>);

/// A policy that grows by whom AWS knows.
struct Trial<'a> {
    pass: &'a Pass<'a>,
    which: Which<'a>,
    /// Those whom it names.
    base: Grants,
    present: Option<String>,
}

impl Pass<'_> {
    /// Finds out whom of those who are wanted in a document AWS does not know, and lets nobody want them any more. `present`
    /// is the policy that is there.
    pub(super) async fn unknown(
        &self,
        which: Which<'_>,
        wanted: &Arc<Grants>,
        present: Option<&str>,
    ) -> Result<(), String> {
        let _turn = self.finding.lock().await;
        if !Arc::ptr_eq(wanted, &self.wanted()) {
            // Somebody else has found one meanwhile.
            return Ok(());
        }
        let keeper = self.keeper;
        let borne = wanted.iter().filter(|grant| which.bears(grant));
        let (base, new): (Grants, Grants) =
            borne.cloned().partition(|grant| keeper.document_holds(which, grant, present));
        // A list in place of conditions would have to name all at once: trying it in halves would shut out the others.
        if base.iter().any(|grant| is_account(grant) && !keeper.document_names(which, grant, present)) {
            return Err(
                "AWS does not know one of the accounts that would stand in the list; what stands stays so".to_owned()
            );
        }
        let mut suspects: BTreeMap<AccountId, Vec<Grant>> = BTreeMap::new();
        let mut trial = Trial { pass: self, which, base, present: present.map(str::to_owned) };
        for grant in new {
            match &grant.grantee {
                Grantee::Account(id) => suspects.entry(id.clone()).or_default().push(grant),
                // Only accounts are looked up; these are conditions.
                Grantee::Organization(_) | Grantee::Unit { .. } => drop(trial.base.insert(grant)),
            }
        }
        // An account that was closed since it was written: then whoever is new has nothing to do with it.
        if let Some(present) = present {
            match keeper.document_write(which, present).await {
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

fn is_account(grant: &Grant) -> bool {
    matches!(grant.grantee, Grantee::Account(_))
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
        let Pass { keeper, strategy, .. } = self.pass;
        let mut grants = self.base.clone();
        grants.extend(group.iter().flat_map(|(_, grants)| grants.iter().cloned()));
        let due = keeper.document_due(self.which, strategy, &grants, self.present.as_deref());
        let change = match due.map_err(|why| why.to_string())? {
            Due::Nothing => Change::Keep,
            Due::As(change) | Due::Meanwhile(change, _) => change,
        };
        if let Change::Write(text) = change {
            match keeper.document_write(self.which, &text).await {
                Ok(()) => self.present = Some(text),
                Err(PolicyError::UnknownPrincipal) => return Ok(false),
                Err(why) => return Err(words(&why)),
            }
        }
        self.base = grants;
        Ok(true)
    }
}
