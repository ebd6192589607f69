//! The port `ImageSource`: what is known about an image without pulling it, and the credential for pulling it.

use async_trait::async_trait;

use super::BoxError;
use crate::model::access::Secret;
use crate::model::backing::BackingPlace;
use crate::model::digest::Digest;
use crate::model::image::{ImageRef, RepositoryName};
use crate::model::registry::{Platform, Visibility};

/// What a registry of ours knows about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceImage {
    /// The digest that the reference stands for now.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// The platforms it has variants for; empty when the manifest does not say.
    pub platforms: Vec<Platform>,
    /// Bytes of the manifest and all that it needs, each counted once.
    pub size: u64,
    /// What is missing in the store; empty for a complete image.
    pub missing: Vec<Digest>,
    /// Who may pull from its repository.
    pub visibility: Visibility,
}

/// What a registry of ours answers about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceAnswer {
    /// It is here.
    Found(SourceImage),
    /// The repository is not.
    NoRepository,
    /// The repository is here, the tag or digest is not. With some tags that are, the newest names first.
    NoImage {
        /// Up to ten tags of the repository.
        tags: Vec<String>,
        /// Who may pull from it.
        visibility: Visibility,
    },
    /// Whoever asks may not pull from that repository. No source answers this by itself: it knows nobody.
    Denied,
    /// The registry that is mirrored does not show it to this server, or does not have it: in its words.
    Withheld {
        /// Which registry, and what it says.
        said: String,
    },
    /// The reference does not point to a registry of ours.
    NotOurs,
}

/// A credential that the engine gets for one pull.
#[derive(Debug, Clone)]
pub struct PullCredential {
    /// The user name to give.
    pub username: String,
    /// The password to give.
    pub password: Secret,
}

/// The source could not answer.
#[derive(Debug, thiserror::Error)]
pub enum ImageSourceError {
    /// The registry that is mirrored has no answer: its trouble, in words for whoever asked.
    #[error("{said}")]
    Upstream {
        /// Which registry, and what is wrong there.
        said: String,
    },
    /// Our own registry, or where its images lie.
    #[error("the registry can't be asked about the image")]
    Failed {
        /// Why.
        #[source]
        source: BoxError,
    },
}

/// The registries that Layer0 itself answers for.
#[async_trait]
pub trait ImageSource: Send + Sync {
    /// What is known about a backing reference. Pulls no layer. Of a repository that mirrors another registry it is what that one says,
    /// which is kept here: so only for whoever may pull.
    async fn describe(&self, image: &ImageRef) -> Result<SourceAnswer, ImageSourceError>;

    /// Who may pull from a repository of ours; `Private` for one that is not there. Asks nobody but the store.
    async fn visibility_of(&self, repository: &RepositoryName) -> Result<Visibility, ImageSourceError>;

    /// Where a repository of ours lies, or would lie if it was made now; `None` for with the registry itself. Changes nothing.
    async fn place_of(&self, repository: &RepositoryName) -> Result<Option<BackingPlace>, ImageSourceError>;

    /// A new credential for pulling one image: good for that repository only, to pull only, for minutes. `None` for an
    /// image of a registry that is not ours.
    async fn credential(&self, image: &ImageRef) -> Result<Option<PullCredential>, ImageSourceError>;
}
