//! ECR.

mod policies;

pub use policies::{EcrClient, EcrPolicies};
