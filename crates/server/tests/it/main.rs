//! The server through its front door: a real socket, a real store, the fake engine.

mod auth;
mod bad_input;
mod contract;
mod crash;
mod defects;
mod operations;
mod scale;
mod stop;
mod support;
mod trouble;
