//! The command line against a server with canned replies: exit codes, stdout and stderr.

mod access;
mod account;
mod audit;
mod connection;
mod entities;
mod fake;
mod following;
mod local;
mod logs;
mod registry;
mod sweep;
mod usage;
mod verify;
