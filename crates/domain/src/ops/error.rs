//! What can go wrong when a user asks for something.

use crate::model::entity::EntityRef;
use crate::model::failure::Failure;
use crate::model::grant::Grant;
use crate::model::image::{ImageRef, RepositoryName};
use crate::model::image_map::{ImageMapError, MapApplyError, MapRuleError};
use crate::model::load_balancer::Port;
use crate::model::task_definition::DocumentError;
use crate::port::access_store::AccessStoreError;
use crate::port::engine::EngineError;
use crate::port::home_store::HomeStoreError;
use crate::port::image_source::ImageSourceError;
use crate::port::store::{Holder, StoreError};

/// What went wrong, by what the user can do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// It isn't there.
    #[error("{entity} does not exist")]
    Missing {
        /// What.
        entity: EntityRef,
    },
    /// It is on its way out.
    #[error("{entity} is being deleted")]
    Deleting {
        /// What.
        entity: EntityRef,
    },
    /// Against the rules.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// The document is none.
    #[error("the task definition can't be used")]
    Document(#[source] DocumentError),
    /// An image can't be mapped.
    #[error(transparent)]
    Mapping(MapApplyError),
    /// The map would not hold together.
    #[error(transparent)]
    Map(ImageMapError),
    /// A rule means what this instance does not have.
    #[error(transparent)]
    MapRule(MapRuleError),
    /// The rules changed while this one was written.
    #[error("the image map was changed by somebody else meanwhile")]
    MapConflict,
    /// The map has no such rule, or it is not one that can be removed.
    #[error("there is no map rule for `{prefix}`")]
    MapRuleMissing {
        /// Which.
        prefix: String,
        /// Whether it stands in the instance's configuration.
        fixed: bool,
    },
    /// There is no such account grant.
    #[error("there is no grant for {grant}")]
    GrantMissing {
        /// Which.
        grant: Grant,
    },
    /// The grant changed while it was written.
    #[error("the grant for {grant} was changed by somebody else meanwhile")]
    GrantConflict {
        /// Which.
        grant: Grant,
    },
    /// The repository was never moved.
    #[error("repository `{repository}` was never moved")]
    MigrationMissing {
        /// Which.
        repository: RepositoryName,
    },
    /// Something about the move of a repository does not go together with what it is doing.
    #[error("{message}")]
    MigrationConflict {
        /// What is wrong.
        message: String,
        /// What to do instead.
        hint: String,
    },
    /// Where repositories lie could not be read or written.
    #[error(transparent)]
    Home(#[from] HomeStoreError),
    /// The engine would not be able to pull images.
    #[error("the pull check failed: {}", .failures.iter().map(|(_, failure)| failure.message.as_str()).collect::<Vec<_>>().join("; "))]
    PullCheck {
        /// Each image with its reason; never empty.
        failures: Vec<(ImageRef, Failure)>,
    },
    /// A host port belongs to another load balancer.
    #[error("host port {} is taken by load balancer `{}`", .port.host_port, .holder.name)]
    PortTaken {
        /// Which port.
        port: Port,
        /// By whom.
        holder: Holder,
    },
    /// The caller may not.
    #[error("{message}")]
    Denied {
        /// What may not be done, and why.
        message: String,
        /// How to go on, where that is known.
        hint: Option<String>,
    },
    /// Users, owners or tokens could not be read or written.
    #[error(transparent)]
    Access(#[from] AccessStoreError),
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A registry of ours could not answer.
    #[error(transparent)]
    ImageSource(#[from] ImageSourceError),
}

impl OpsError {
    pub(super) fn missing(entity: EntityRef) -> Self {
        OpsError::Missing { entity }
    }

    pub(super) fn denied(message: impl Into<String>) -> Self {
        OpsError::Denied { message: message.into(), hint: None }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        OpsError::Invalid { message: message.into(), hint: None }
    }

    pub(super) fn invalid_with(message: impl Into<String>, hint: impl Into<String>) -> Self {
        OpsError::Invalid { message: message.into(), hint: Some(hint.into()) }
    }
}
