//! Deploys: named, versioned task definition documents, never changed once made.

use serde::{Deserialize, Serialize};

use super::id::DeployId;
use super::image::ImageRef;
use super::image_map::MapRule;
use super::name::Name;
use super::owner::OwnerName;
use super::task_definition::Document;
use super::time::Timestamp;

/// One version of a deploy.
#[derive(Debug, Clone, PartialEq)]
pub struct Deploy {
    /// `<name>.<version>`.
    pub id: DeployId,
    /// The name that the versions share.
    pub name: Name,
    /// Whose it is, as all versions of the name; `None` for the instance.
    pub owner: Option<OwnerName>,
    /// From 1, never used twice, not even after a delete.
    pub version: u32,
    /// The document as the user wrote it (friendly image names).
    pub document: Document,
    /// What each container's image became when the deploy was made.
    pub images: Vec<DeployImage>,
    /// When it was made.
    pub created: Timestamp,
}

impl Deploy {
    /// The id of version `version` of `name`.
    #[must_use]
    pub fn id_of(name: &Name, version: u32) -> DeployId {
        DeployId::parse(&format!("{name}.{version}"))
            .expect("a name and a number hold only characters that ids may have")
    }

    /// The image of a container: what was written and what it became.
    #[must_use]
    pub fn image_of(&self, container: &str) -> Option<&DeployImage> {
        self.images.iter().find(|image| image.container == container)
    }
}

/// The image of one container: what the user wrote and what the image map made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployImage {
    /// The container's name.
    pub container: String,
    /// As written.
    pub written: ImageRef,
    /// The rule that matched; `None` when the image stays as written.
    pub rule: Option<MapRule>,
    /// What the engine is to pull.
    pub backing: ImageRef,
}
