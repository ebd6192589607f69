//! The way to AWS: region, credentials and HTTP client; roles; calls of services whose SDK is not worth its weight; and what can be
//! done about a call that failed. Who calls which service is no matter of this crate.
//!
//! ```text
//! connect   the SDK's default chain, asked once
//! role      the same in the name of a role
//! signed    calls signed and sent without an SDK
//! query     the query protocols: forms out, XML back
//! xml       what answers them, as a tree
//! error     errors by what a caller can do
//! ```

mod connect;
mod error;
pub mod query;
mod role;
pub mod signed;
pub mod xml;

pub use self::connect::{ConnectError, Connection, connect};
pub use self::error::{AwsError, Kind};
pub use self::role::Role;
pub use self::signed::domain;
