//! Real clients against the registry: docker, skopeo, podman, buildah; each with Basic and with Bearer.

#![expect(clippy::unwrap_used, reason = "a failing call fails the test")]

mod buildah;
#[path = "../common/mod.rs"]
mod common;
mod docker;
mod podman;
mod run;
mod skopeo;

/// On the disk.
async fn elsewhere() -> Option<common::Elsewhere> {
    None
}
