//! Which entities a caller may see, for lists.

use std::collections::HashSet;

use layer0_domain::model::access::{Action, Place, Rights};
use layer0_domain::model::entity::EntityKind;
use layer0_domain::model::id::EnvironmentId;
use layer0_domain::port::store::Summary;

use crate::app::App;
use crate::auth::SignedIn;
use crate::error::ApiError;

/// What of the instance a caller may see.
pub(crate) enum Visible {
    /// All of it.
    Everything,
    /// What the rights say, and what stands in these environments.
    Some {
        /// The caller's.
        rights: Rights,
        /// Those that the caller may see.
        environments: HashSet<EnvironmentId>,
    },
}

impl Visible {
    /// What `who` may see now.
    pub(crate) async fn to(app: &App, who: &SignedIn) -> Result<Self, ApiError> {
        let rights = &who.caller.rights;
        if rights.are_everything() {
            return Ok(Visible::Everything);
        }
        let all = app.store.summary_list(EntityKind::Environment).await?;
        let seen = all.into_iter().filter(|it| rights.may(Action::Pull, Place::of(it.owner.as_ref(), &it.name)));
        let environments = seen.filter_map(|it| EnvironmentId::parse(it.entity.id()).ok()).collect();
        Ok(Visible::Some { rights: rights.clone(), environments })
    }

    /// Whether it is all there is.
    pub(crate) fn is_everything(&self) -> bool {
        matches!(self, Visible::Everything)
    }

    /// Whether an entity is shown: an environment and a deploy by whose they are, the rest by their environment.
    pub(crate) fn shows(&self, it: &Summary) -> bool {
        match self {
            Visible::Everything => true,
            Visible::Some { rights, environments } => match &it.environment {
                Some(environment) => environments.contains(environment),
                None => rights.may(Action::Pull, Place::of(it.owner.as_ref(), &it.name)),
            },
        }
    }
}
