//! The built binary against itself: `l0 server` with the fake engine, and `l0` as its user.

mod process;
mod support;
mod walk;
