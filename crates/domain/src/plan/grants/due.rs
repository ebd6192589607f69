//! What has to be done about a document under a strategy, also while it changes.

use std::collections::BTreeSet;

use super::{Change, GrantPolicyError, RegistryNames, Sheet, Signature, policy_change};
use crate::model::grant::{Duty, Grant, GrantPlace, KeptStrategy};
use crate::model::image::RepositoryName;

/// What has to be done about a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// It is not looked at: nothing of ours is in it.
    Nothing,
    /// This; then it is as the strategy wants it.
    As(Change),
    /// This, which keeps what stands there true; the wished words can't be written.
    Meanwhile(Change, GrantPolicyError),
}

/// What has to be done about the policy of a repository.
///
/// # Errors
/// [`GrantPolicyError`]; the document is then not to be touched.
pub fn repository_due(
    signature: &Signature,
    strategy: &KeptStrategy,
    repository: &RepositoryName,
    grants: &BTreeSet<Grant>,
    present: Option<&str>,
) -> Result<Due, GrantPolicyError> {
    let sheet = Sheet::Repository(repository);
    due(strategy.duty(GrantPlace::Repositories), grants, |grants| policy_change(signature, sheet, grants, present))
}

/// What has to be done about the policy of the registry.
///
/// # Errors
/// As [`repository_due`].
pub fn registry_due(
    signature: &Signature,
    strategy: &KeptStrategy,
    names: &RegistryNames,
    grants: &BTreeSet<Grant>,
    present: Option<&str>,
) -> Result<Due, GrantPolicyError> {
    let (wording, meanwhile) = strategy.wordings();
    let change =
        |wording, grants: &BTreeSet<Grant>| policy_change(signature, Sheet::Registry(names, wording), grants, present);
    let wished = due(strategy.duty(GrantPlace::Registry), grants, |grants| change(wording, grants));
    match (wished, meanwhile) {
        (Err(why @ GrantPolicyError::TooLong { .. }), Some(wording)) => {
            Ok(Due::Meanwhile(change(wording, grants)?, why))
        }
        (wished, _) => wished,
    }
}

fn due(
    duty: Duty,
    grants: &BTreeSet<Grant>,
    change: impl Fn(&BTreeSet<Grant>) -> Result<Change, GrantPolicyError>,
) -> Result<Due, GrantPolicyError> {
    match duty {
        Duty::Leave => Ok(Due::Nothing),
        Duty::Clear => change(&BTreeSet::new()).map(Due::As),
        Duty::Hold => change(grants).map(Due::As),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::grant::{AccountId, GrantScope, GrantStrategy, Grantee};
    use crate::model::image_map::EcrHost;
    use crate::model::time::Timestamp;

    /// Coming from conditions, lists that are too long are not written; who is taken out is taken out all the same.
    #[test]
    fn a_list_that_is_too_long_keeps_nobody_in() {
        let host = EcrHost { account: "444455556666".to_owned(), region: "eu-west-1".to_owned() };
        let names = RegistryNames::new(host, "").expect("no prefix");
        let signature = Signature::new("prod", "eu-west-1");
        let grant = |n: u32| {
            let id = AccountId::parse(&format!("{n:012}")).expect("12 digits");
            Grant { grantee: Grantee::Account(id), scope: GrantScope::Instance }
        };
        let grants: BTreeSet<Grant> = (0..400).map(grant).collect();
        let settled = KeptStrategy { wish: GrantStrategy::Organization, ..KeptStrategy::default() };
        let Ok(Due::As(Change::Write(stands))) = registry_due(&signature, &settled, &names, &grants, None) else {
            panic!("400 conditions fit")
        };
        let changing = settled.wished(GrantStrategy::Registry, Timestamp(1));
        let without: BTreeSet<Grant> = (1..400).map(grant).collect();
        match registry_due(&signature, &changing, &names, &without, Some(&stands)) {
            Ok(Due::Meanwhile(Change::Write(text), GrantPolicyError::TooLong { accounts: 399, .. })) => {
                assert!(!text.contains("\"000000000000\""));
            }
            other => panic!("{other:?}"),
        }
        // Fewer of them fit, and the change goes on.
        let few: BTreeSet<Grant> = (0..9).map(grant).collect();
        match registry_due(&signature, &changing, &names, &few, Some(&stands)) {
            Ok(Due::As(Change::Write(text))) => assert!(text.contains(":root"), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}
