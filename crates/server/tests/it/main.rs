//! The server through its front door: a real socket, a real store, the fake engine.

mod access;
mod across;
mod auth;
mod auth_registry;
mod bad_input;
mod balancers;
mod contract;
mod crash;
mod defects;
mod going_back;
mod grants;
mod happened;
mod operations;
mod pull_check;
mod registry_credential;
mod review;
mod scale;
mod servers;
mod stop;
mod support;
mod sweep;
mod takeover;
mod teams;
mod trouble;
mod upkeep;
mod wire;
