//! The Docker engine against a real Docker engine. Needs `docker` (engine and client); `make test` runs it.

#![expect(clippy::print_stdout, reason = "measured times and Docker's words are for whoever reads a run")]

mod copies;
mod faults;
mod pulls;
mod services;
mod suite;
mod support;
mod sweep;
