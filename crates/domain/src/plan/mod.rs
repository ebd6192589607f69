//! Decisions: pure, synchronous, deterministic. Each takes what is wanted, what is seen and the time, and answers what
//! that means; acting on it is the reconciler's business.

pub mod adoption;
pub mod clock;
pub mod copying;
pub mod environment;
pub mod fargate;
pub mod grants;
pub mod lease;
pub mod load_balancer;
pub mod person;
pub mod policy;
pub mod pull_check;
pub mod retention;
pub mod service;
pub mod stop_reason;
pub mod sweep;
pub mod task;
pub mod trust;
pub mod verdict;
