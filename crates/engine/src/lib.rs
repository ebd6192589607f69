//! The port `Engine`: on Docker, on ECS, and as a fake for tests. One cargo feature each.

#[cfg(feature = "docker")]
pub mod docker;
#[cfg(feature = "ecs")]
pub mod ecs;
#[cfg(feature = "fake")]
pub mod fake;
