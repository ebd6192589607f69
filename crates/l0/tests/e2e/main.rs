//! The built program on a real Docker engine, driven as a user drives it: with `l0`, docker, skopeo and podman.

#[path = "../common/mod.rs"]
mod common;
mod commands;
mod containers;
mod environments;
mod faults;
mod main_path;
mod recorder;
mod stage;
mod tasks;
