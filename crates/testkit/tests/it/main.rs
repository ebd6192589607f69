//! Integration tests of the fakes that are servers, and of what the domain does through ports that are faked here.

mod aws;
mod copy;
