//! `l0 setup`: an instance in an AWS account, from a file of wishes to a CloudFormation stack, and out again.
//!
//! ```text
//! account    port: what is asked of an account, and done there
//! image      the servers' image, made of this program
//! instance   what is wished: read, checked with a reason for each refusal, written
//! ops        what a person can ask: plan, apply, destroy, …
//! template   the stack that it becomes: the same wishes give the same bytes
//! ```

pub mod account;
pub mod image;
pub mod instance;
pub mod ops;
pub mod template;
