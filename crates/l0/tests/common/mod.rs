//! What the suites share: the built program, run as a user runs it, and instances of their own.

#![allow(dead_code, reason = "each suite uses its own part of it")]

pub(crate) mod archive;
pub(crate) mod http;
pub(crate) mod instance;
pub(crate) mod port;
pub(crate) mod run;
pub(crate) mod until;
