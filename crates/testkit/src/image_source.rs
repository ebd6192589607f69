//! The port `ImageSource` without a registry of its own.

use async_trait::async_trait;
use layer0_domain::model::backing::BackingPlace;
use layer0_domain::model::image::{ImageRef, RepositoryName};
use layer0_domain::model::registry::Visibility;
use layer0_domain::port::image_source::{ImageSource, ImageSourceError, PullCredential, SourceAnswer};

/// Knows no image, and gives no credential.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSource;

#[async_trait]
impl ImageSource for NoSource {
    async fn describe(&self, _image: &ImageRef) -> Result<SourceAnswer, ImageSourceError> {
        Ok(SourceAnswer::NotOurs)
    }

    async fn visibility_of(&self, _repository: &RepositoryName) -> Result<Visibility, ImageSourceError> {
        Ok(Visibility::Private)
    }

    async fn place_of(&self, _repository: &RepositoryName) -> Result<Option<BackingPlace>, ImageSourceError> {
        Ok(None)
    }

    async fn credential(&self, _image: &ImageRef) -> Result<Option<PullCredential>, ImageSourceError> {
        Ok(None)
    }
}
