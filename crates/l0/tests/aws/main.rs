//! The built program on ECS: an emulator of AWS that runs real containers on the machine's Docker engine.
//! `scripts/aws.sh` starts the emulator and says where it is; without it these tests fail.

mod cloud;
#[path = "../common/mod.rs"]
mod common;
mod faults;
mod main_path;
mod servers;
