//! Engines that need nothing outside.

#[cfg(feature = "ecs")]
mod ecs;
mod fake;
mod policies;
