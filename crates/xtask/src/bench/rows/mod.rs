//! The rows of the table, one module each.

pub(super) mod balancer;
pub(super) mod crash;
pub(super) mod create;
pub(super) mod idle;
pub(super) mod list;
pub(super) mod restart;
pub(super) mod rollout;
pub(super) mod start;
