//! The built program with the fake engine: what a user's input and a server's life come to, without Docker.

mod backup;
mod bad_input;
#[path = "../common/mod.rs"]
mod common;
mod main_path;
mod pipeline;
mod process;
mod server_life;
mod sign_in;
mod start;
mod support;
mod walk;
