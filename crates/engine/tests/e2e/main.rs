//! The Docker engine against a real Docker engine. Needs `docker` (engine and client); `make test` runs it.

mod copies;
mod faults;
mod pulls;
mod services;
mod suite;
mod support;
