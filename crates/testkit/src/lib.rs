//! Contract suites for the ports, shared by everything that fulfils one, the fake AWS (feature `aws`), and an issuer of OpenID
//! Connect (feature `oidc`). For tests only: it panics where a promise is broken.

pub mod access_store_suite;
#[cfg(feature = "aws")]
pub mod aws;
pub mod blob_bytes_suite;
pub mod clock;
pub mod corpus;
pub mod engine_suite;
pub mod home_store_suite;
pub mod image_end_suite;
pub mod image_source;
pub mod kept;
pub mod memory_bytes;
pub mod memory_end;
#[cfg(feature = "oidc")]
pub mod oidc;
pub mod public_store_suite;
pub mod pulls;
pub mod registry_policy_suite;
pub mod registry_store_suite;
pub mod repository_policies_suite;
#[cfg(feature = "aws")]
pub mod s3;
pub mod sample;
pub mod store_suite;
pub mod until;
