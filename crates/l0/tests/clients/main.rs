//! What is written in Go, clients and a provider of OpenID Connect, and a blob that is larger than memory, against the built program. `make clients`
//! builds the clients from what `tools/go` pins and says where they are; a client that is missing fails its tests.

#[path = "../common/mod.rs"]
mod common;
mod cosign;
mod crane;
mod large;
mod layout;
mod oidc;
mod oras;
mod place;
mod regctl;
