//! Between wire types and domain types: free functions, so that neither side knows the other.

pub(crate) mod grant;
pub(crate) mod migration;
pub(crate) mod read;
pub(crate) mod sweep;
pub(crate) mod trust;
pub(crate) mod verify;
pub(crate) mod write;
