//! The contract of the port `Engine`, and what the fake can do beyond it.

mod fake;
