//! The registry over real HTTP, with a store in memory.

#![expect(clippy::unwrap_used, reason = "a failing call fails the test")]

#[path = "../common/mod.rs"]
mod common;

mod access;
mod around;
mod blobs;
mod bytes;
mod client;
mod collect;
mod crash;
mod damage;
mod early_sync;
#[cfg(feature = "ecr")]
mod ecr;
mod ends;
mod faults;
mod foreign;
mod homes;
mod listing;
mod manifests;
mod many;
mod names;
mod orders;
mod packs;
mod pull_through;
mod reads;
mod repositories;
mod source;
mod staged;
mod staging;
mod sweep;
mod uploads;
mod verify;

/// On the disk.
async fn elsewhere() -> Option<common::Elsewhere> {
    None
}
