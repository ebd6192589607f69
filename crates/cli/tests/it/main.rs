//! The command line against a server with canned replies: exit codes, stdout and stderr.

mod access;
mod account;
mod audit;
mod connection;
mod credential_helper;
mod entities;
mod fake;
mod following;
mod gc;
mod home;
mod local;
mod login;
mod logs;
mod migration;
mod registry;
mod registry_login;
mod sweep;
mod usage;
mod verify;
