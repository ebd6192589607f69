//! What goes over the wire: types, error codes and the typed client, shared by server, CLI and tests.
//!
//! Field names are the contract with everyone's scripts. They are those of the predecessor's redesigned API; what we
//! added stands beside them and is optional for old clients. Wire types know nothing of the domain's types: the server
//! converts, so that neither bends the other.

pub mod client;
pub mod error;
pub mod shell;
pub mod types;

pub use client::{Client, ClientError, ClientOptions};
pub use error::{ErrorBody, ErrorCode};
