//! AWS's protocols: requests in, members out, and back. Nothing here knows what an operation does.

pub(crate) mod answer;
mod error;
pub(crate) mod input;
pub(crate) mod query;
pub(crate) mod request;
pub(crate) mod time;
pub(crate) mod xml;

pub use error::AwsError;
pub(crate) use input::Input;
pub use request::{Protocol, Service};
