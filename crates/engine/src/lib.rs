//! The port `Engine`: on Docker, and as a fake for tests. One cargo feature each.

#[cfg(feature = "docker")]
pub mod docker;
#[cfg(feature = "fake")]
pub mod fake;
