//! Contract suites for the ports, shared by everything that fulfils one, and the fake AWS (feature `aws`). For tests
//! only: it panics where a promise is broken.

pub mod access_store_suite;
#[cfg(feature = "aws")]
pub mod aws;
pub mod clock;
pub mod corpus;
pub mod engine_suite;
pub mod home_store_suite;
pub mod image_end_suite;
pub mod memory_end;
pub mod registry_store_suite;
pub mod repository_policies_suite;
pub mod sample;
pub mod store_suite;
pub mod until;
