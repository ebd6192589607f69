//! The fake AWS, driven over the wire by plain HTTP, as an SDK would drive it.

mod balancers;
mod classic;
mod client;
mod ecr;
mod faults;
mod instances;
mod logs;
mod networks;
mod organizations;
mod pulls;
mod rollouts;
mod services;
mod stacks;
mod tasks;
mod updates;
