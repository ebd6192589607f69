//! What speaks to ECR, on the fake AWS.

mod client;
mod policies;
