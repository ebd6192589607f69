//! The fake AWS, driven over the wire by plain HTTP, as an SDK would drive it.

mod client;
mod ecr;
mod faults;
mod logs;
mod networks;
mod organizations;
mod rollouts;
mod services;
mod stacks;
mod tasks;
mod updates;
