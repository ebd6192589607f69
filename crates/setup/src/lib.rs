//! `l0 setup`: an instance in an AWS account, from a file of wishes to a CloudFormation stack, and out again.
//!
//! ```text
//! account    port: what is asked of an account, and done there
//! image      the servers' image, made of this program
//! instance   what is wished: read, checked with a reason for each refusal, written
//! ops        what a person can ask: plan, apply, destroy, …
//! prices     what is always on costs, by a dated table: an estimate
//! template   the stack that it becomes: the same wishes give the same bytes
//! words      what a plan does and what a choice means, for people
//! ```

pub mod account;
pub mod image;
pub mod instance;
pub mod ops;
pub mod prices;
pub mod template;
pub mod words;
