//! The built program on ECS: on an emulator of AWS that runs real containers on the machine's Docker engine, and on the fake
//! AWS of the test kit for what the emulator lacks. `scripts/aws.sh` starts the emulator and says where it is; without it
//! these tests fail.

mod bucket;
mod cloud;
#[path = "../common/mod.rs"]
mod common;
mod conformance;
mod ecr;
mod ecr_owners;
mod emulator;
mod every_command;
mod faults;
mod guestbook;
mod identity;
mod line_r;
mod machines;
mod main_path;
mod mirror;
mod moving;
mod on_fake;
mod page;
mod pull_check;
mod registries;
mod script;
mod servers;
mod setup;
mod stack;
mod start;
mod two_helpers;
