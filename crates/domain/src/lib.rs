//! What Layer0 knows and decides.
//!
//! This crate is the inside of the house: the words of the trade ([`model`]), the decisions ([`plan`], pure and
//! synchronous), what the outside must provide ([`port`]) and one function for each thing a user can ask for ([`ops`]).
//! It knows no other crate of the workspace and touches no clock, randomness, environment, file or socket: time,
//! random bytes and everything else come in through a port, so that every decision can be tested as a value.

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod model;
pub mod ops;
pub mod plan;
pub mod port;
