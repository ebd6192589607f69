//! The built program on a real Docker engine, driven as a user drives it: with `l0`, docker, skopeo,
//! podman, buildah and curl.

mod balancers;
mod clients;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod containers;
mod developer;
mod disk_full;
mod engine_away;
mod environments;
mod faults;
mod main_path;
mod pull_through;
mod recorder;
mod registry_kill;
mod second_engine;
mod stage;
mod tasks;
mod teams;
mod uploads;
