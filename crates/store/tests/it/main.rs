//! The store through its front door: both contracts, crashes, a full disk, many callers, and the schema's history.

mod commits;
mod contract;
mod crash;
mod damage;
mod full;
mod schema;
mod views;
