//! What the outside must provide. Ports have no default methods; comfort for callers is in `…Ext` traits.

pub mod access_store;
pub mod blob_bytes;
pub mod clock;
pub mod engine;
pub mod home_store;
pub mod image_end;
pub mod image_source;
pub mod public_store;
pub mod pull;
pub mod registry_policy;
pub mod registry_store;
pub mod repository_policies;
pub mod store;
pub mod thing;
pub mod trail;

/// An error of a library underneath, kept for the log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
