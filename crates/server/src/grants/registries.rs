//! Whose policy is meant, where an instance has several registries in ECR.
//!
//! Grants come to stand in a registry's own policy only while there is one registry. When another one comes to it, what stands there
//! is still to be kept true, and to be taken away by the change to the policies of repositories: so it has to be known whose policy
//! that is, wherever that registry stands in the configuration by now.

use std::collections::BTreeSet;

use layer0_domain::model::placement::BackingName;
use layer0_domain::plan::grants::RegistryNames;
use layer0_domain::port::store::{Store, StoreError};

use super::strategy::strategy_of;

/// Why it can't be told which registry's policy is meant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotToldApart {
    /// The strategies can't be read.
    #[error("the strategy of account grants can't be read")]
    Store(#[from] StoreError),
    /// Several may be.
    #[error(
        "account grants stand in a registry's own policy, and {named} may each be meant: have only the one that was there first in the \
         configuration, start with `--account-grants-strategy repositories`, and add the others when `l0 account status` says \
         that this strategy is settled"
    )]
    Several {
        /// Their names.
        named: String,
    },
}

/// The position of the registry in whose own policy grants stand, or may stand yet; of the first where there is none.
pub(crate) async fn with_registry_policy(
    store: &dyn Store,
    all: &[(BackingName, RegistryNames)],
) -> Result<usize, NotToldApart> {
    if all.len() < 2 {
        return Ok(0);
    }
    let mut standing = Vec::new();
    for (at, (_, names)) in all.iter().enumerate() {
        if strategy_of(store, names.host()).await?.stands_in_registry() {
            standing.push(at);
        }
    }
    match standing[..] {
        [] => Ok(0),
        [one] => Ok(one),
        _ => {
            let named: BTreeSet<String> = standing.iter().map(|at| format!("`{}`", all[*at].0)).collect();
            Err(NotToldApart::Several { named: named.into_iter().collect::<Vec<_>>().join(", ") })
        }
    }
}
