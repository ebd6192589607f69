//! The commands over an account in memory.
