//! What a registry's policy calls repositories.

use crate::model::backing::{BackingPlace, PrefixError};
use crate::model::grant::GrantScope;
use crate::model::image_map::EcrHost;

/// The repositories of the instance in a registry, as the `Resource` of a policy names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryNames {
    host: EcrHost,
    place: BackingPlace,
}

impl RegistryNames {
    /// Of the registry of an account in a region, with what stands before all names there (empty for nothing).
    ///
    /// # Errors
    /// [`PrefixError`] for what can stand before no name.
    pub fn new(host: EcrHost, prefix: &str) -> Result<Self, PrefixError> {
        // Of the place only the names count: ARNs name the registry by its account and region.
        Ok(Self { host, place: BackingPlace::new("", prefix)? })
    }

    /// Whose registry it is, and where.
    #[must_use]
    pub fn host(&self) -> &EcrHost {
        &self.host
    }

    /// The ARN that means what a scope means. A name of one component is nobody's here, so that even the whole instance is
    /// only what has two.
    #[must_use]
    pub fn arn(&self, scope: &GrantScope) -> String {
        let below = |rest: &str| match self.place.prefix() {
            "" => rest.to_owned(),
            prefix => format!("{prefix}/{rest}"),
        };
        self.host.repository_arn(&match scope {
            GrantScope::Instance => below("*/*"),
            GrantScope::Owner(owner) => below(&format!("{owner}/*")),
            GrantScope::Repository(name) => self.place.path_of(name),
        })
    }
}
