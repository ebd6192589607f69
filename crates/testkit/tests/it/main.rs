//! Integration tests of the fakes that are servers.

mod aws;
